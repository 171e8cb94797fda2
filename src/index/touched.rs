//! A change of a few packages: what it touches is taken out of the indexes by name, and what becomes of that is put in
//! again. The rest is copied, and never parsed: it was when it came.
//!
//! Only for indexes of ours, in which stanzas begin with `Package` and are sorted by it (`suite_indexes`).

use std::collections::BTreeSet;
use std::ops::Range;

use super::blocks::{Cut, units};

/// Where the stanzas of each of these names are in a text, in order of names: an empty range where they would be, of a
/// name that has none. None when the text is no sorted index of ours.
#[must_use]
pub fn places(text: &[u8], names: &BTreeSet<&str>) -> Option<Vec<Range<usize>>> {
    let mut found: Vec<Range<usize>> = Vec::with_capacity(names.len());
    let mut wanted = names.iter().peekable();
    let mut named = Named::of(text);
    let mut last = None;
    for stanza in &mut named {
        let Range { start, end } = stanza.range;
        while wanted.next_if(|name| **name < stanza.name).is_some() {
            found.push(start..start);
        }
        if wanted.next_if(|name| **name == stanza.name).is_some() {
            found.push(start..end);
            last = Some(stanza.name);
        } else if let Some(range) = found.last_mut().filter(|_| last == Some(stanza.name)) {
            range.end = end;
        }
    }
    found.extend(wanted.map(|_| text.len()..text.len()));
    named.is_sound.then_some(found)
}

/// The stanzas at these places, each with the empty line after it.
#[must_use]
pub fn touched(text: &[u8], places: &[Range<usize>]) -> Vec<u8> {
    let stanzas = places.iter().filter_map(|place| text.get(place.clone()));
    stanzas.flatten().copied().collect()
}

/// The text with these stanzas in the place of all that it has of some names, of which these are the [`places`]. `new` is
/// sorted, and has no other names: else, none.
#[must_use]
pub fn spliced(text: &[u8], names: &BTreeSet<&str>, places: &[Range<usize>], new: &[u8]) -> Option<Vec<u8>> {
    let mut added = Named::of(new);
    let mut next = added.next();
    let mut out = Vec::with_capacity(text.len().saturating_add(new.len()));
    let mut copied = 0;
    for (name, place) in names.iter().zip(places) {
        out.extend_from_slice(text.get(copied..place.start)?);
        while let Some(stanza) = next.take_if(|next| next.name == *name) {
            out.extend_from_slice(new.get(stanza.range)?);
            next = added.next();
        }
        copied = place.end;
    }
    out.extend_from_slice(text.get(copied..)?);
    (next.is_none() && added.is_sound).then_some(out)
}

/// A stanza, and the name that it begins with.
struct NamedStanza<'a> {
    name: &'a str,
    range: Range<usize>,
}

/// The stanzas of an index; ends where it is not sorted or not whole.
struct Named<'a, U> {
    text: &'a [u8],
    units: U,
    last: &'a str,
    is_sound: bool,
}

impl<'a> Named<'a, ()> {
    fn of(text: &'a [u8]) -> Named<'a, impl Iterator<Item = Range<usize>>> {
        Named {
            text,
            units: units(text, Cut::Stanzas),
            last: "",
            is_sound: true,
        }
    }
}

impl<'a, U: Iterator<Item = Range<usize>>> Iterator for Named<'a, U> {
    type Item = NamedStanza<'a>;

    fn next(&mut self) -> Option<NamedStanza<'a>> {
        let range = self.units.next()?;
        let unit = self.text.get(range.clone())?;
        let name = name(unit).filter(|name| self.last <= *name && unit.ends_with(b"\n\n"));
        self.is_sound &= name.is_some();
        self.last = name?;
        Some(NamedStanza { name: self.last, range })
    }
}

fn name(stanza: &[u8]) -> Option<&str> {
    let line = stanza.strip_prefix(b"Package: ")?;
    let end = memchr::memchr(b'\n', line)?;
    std::str::from_utf8(line.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(stanzas: &[(&str, &str)]) -> Vec<u8> {
        let stanza = |(name, version): &(&str, &str)| format!("Package: {name}\nVersion: {version}\n\n");
        stanzas.iter().map(stanza).collect::<String>().into_bytes()
    }

    #[test]
    fn what_has_a_name_is_taken_out_and_put_in() {
        let before = text(&[("b", "1"), ("b", "2"), ("d", "1"), ("f", "1")]);
        let names = BTreeSet::from(["a", "b", "e", "f", "g"]);
        let at = places(&before, &names).unwrap();
        assert_eq!(touched(&before, &at), text(&[("b", "1"), ("b", "2"), ("f", "1")]));
        let new = text(&[("a", "1"), ("b", "3"), ("e", "1"), ("g", "1"), ("g", "2")]);
        let after = text(&[("a", "1"), ("b", "3"), ("d", "1"), ("e", "1"), ("g", "1"), ("g", "2")]);
        assert_eq!(spliced(&before, &names, &at, &new), Some(after));
        assert_eq!(spliced(&before, &names, &at, b""), Some(text(&[("d", "1")])));
        assert_eq!(spliced(b"", &names, &places(b"", &names).unwrap(), &new), Some(new));
        assert_eq!(spliced(&before, &names, &at, &text(&[("c", "1")])), None);
    }

    #[test]
    fn what_is_no_sorted_index_is_left_to_others() {
        let names = BTreeSet::from(["a"]);
        let bad: [&[u8]; 4] = [
            b"Package: b\n\nPackage: a\n\n",
            b"Version: 1\nPackage: a\n\n",
            b"Package: a\n",
            b"\n\nPackage: a\n\n",
        ];
        for text in bad {
            assert_eq!(places(text, &names), None);
        }
    }
}
