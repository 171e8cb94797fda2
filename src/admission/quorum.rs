//! How many operators a set of rebuilds amounts to.

use std::collections::{BTreeMap, BTreeSet};

/// The size of the largest part of `rebuilders` (operator, hosting) in which no operator stands twice;
/// and, when hosting must be distinct, no hosting either: the largest matching between the two.
#[must_use]
pub fn strength(rebuilders: &BTreeSet<(&str, &str)>, distinct_hosting: bool) -> usize {
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (operator, hosting) in rebuilders {
        places.entry(operator).or_default().insert(hosting);
    }
    if !distinct_hosting {
        return places.len();
    }
    let mut held: BTreeMap<&str, &str> = BTreeMap::new();
    places
        .keys()
        .filter(|operator| find_place(operator, &places, &mut held, &mut BTreeSet::new()))
        .count()
}

/// Finds a hosting for an operator, moving others on the way (an augmenting path).
fn find_place<'a>(
    operator: &'a str,
    places: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    held: &mut BTreeMap<&'a str, &'a str>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    for hosting in places.get(operator).into_iter().flatten().copied() {
        if !tried.insert(hosting) {
            continue;
        }
        let holder = held.get(hosting).copied();
        if holder.is_none_or(|holder| find_place(holder, places, held, tried)) {
            held.insert(hosting, operator);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::strength;

    #[test]
    fn operators_count_once_and_so_do_hostings() {
        let count = |pairs: &[(&str, &str)], distinct| strength(&pairs.iter().copied().collect(), distinct);
        assert_eq!(count(&[], true), 0);
        assert_eq!(count(&[("a", "x"), ("a", "y")], false), 1);
        assert_eq!(count(&[("a", "x"), ("a", "y")], true), 1);
        assert_eq!(count(&[("a", "x"), ("b", "x")], false), 2);
        assert_eq!(count(&[("a", "x"), ("b", "x")], true), 1);
        // Who may move, moves.
        assert_eq!(count(&[("a", "x"), ("a", "y"), ("b", "x")], true), 2);
        assert_eq!(
            count(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("c", "y")], true),
            2
        );
        assert_eq!(
            count(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "y"), ("c", "z")], true),
            3
        );
    }
}
