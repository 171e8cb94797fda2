//! How many operators a set of rebuilds amounts to, and what that lacks for a policy: the gate, whoever asks for more
//! rebuilds, and whoever reads decisions later count in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::site::{Policy, Terms};

/// What rebuilds lack for a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    found: usize,
    wanted: usize,
    /// Of whom, in words.
    of: String,
}

impl Shortage {
    /// How many operators must still rebuild, at least.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.wanted.saturating_sub(self.found)
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} operators{}", self.found, self.wanted, self.of)
    }
}

/// What rebuilds by these operators (each with where it is hosted) lack for a policy under these terms: in all, or in
/// one of its groups. None when it is enough.
#[must_use]
pub fn shortage(policy: &Policy, terms: &Terms, rebuilders: &BTreeSet<(&str, &str)>) -> Option<Shortage> {
    let wanted = terms.quorum.max(1) as usize;
    let found = strength(rebuilders, terms.distinct_hosting);
    if found < wanted {
        let apart = if terms.distinct_hosting {
            ", each hosted apart,"
        } else {
            ""
        };
        return Some(Shortage {
            found,
            wanted,
            of: apart.to_owned(),
        });
    }
    let operators: BTreeSet<&str> = rebuilders.iter().map(|(operator, _)| *operator).collect();
    policy.groups.iter().find_map(|group| {
        let members: BTreeSet<&str> = group.operators.iter().map(String::as_str).collect();
        let (found, wanted) = (members.intersection(&operators).count(), group.threshold as usize);
        (found < wanted).then(|| Shortage {
            found,
            wanted,
            of: format!(" of the group `{}`", group.name),
        })
    })
}

/// The size of the largest part of `rebuilders` (operator, hosting) in which no operator stands twice;
/// and, when hosting must be distinct, no hosting either: the largest matching between the two.
#[must_use]
fn strength(rebuilders: &BTreeSet<(&str, &str)>, distinct_hosting: bool) -> usize {
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
