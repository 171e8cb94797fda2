//! A change of a few packages of a suite: its catalog has no more than their names touch, and the rest of each index is
//! copied (`index::touched`).
//!
//! What comes out is what comes of the whole catalog: two stanzas get in each other's way by their package's name only,
//! which is in the name of a pool file, too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::GateError;
use super::stage::{Addition, Taken, Texts};
use crate::domain::RelPath;
use crate::format::FormatError;
use crate::format::deb822::Stanzas;
use crate::format::packages::Binary;
use crate::index::{places, spliced, touched};

/// The texts of all indexes of a suite.
type Whole<'t> = Vec<(RelPath, Cow<'t, [u8]>)>;

/// What a change touches of a suite.
#[derive(Debug)]
pub(super) struct Few {
    names: BTreeSet<String>,
    /// Where they are in each index.
    places: BTreeMap<RelPath, Vec<Range<usize>>>,
    /// Their stanzas, in each index.
    pub(super) texts: Texts,
}

impl Few {
    /// None where all has to be looked at.
    ///
    /// # Errors
    /// When an index is malformed.
    pub(super) fn of(
        texts: &Texts,
        additions: &[&Addition<'_>],
        taken: Option<&Taken<'_>>,
    ) -> Result<Option<Self>, GateError> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        if let Some(taken) = taken {
            let Some(known) = &taken.names else { return Ok(None) };
            names.extend(known.iter().map(|name| (*name).to_owned()));
        }
        for addition in additions {
            names.insert(addition.decision.source.to_string());
            let before = texts.iter().filter(|(path, _)| path.file_name() == "Packages");
            let before = before.map(|(_, (_, text))| text.as_slice());
            for stanza in before.chain([addition.packages.as_slice()]).flat_map(Stanzas::new) {
                let binary = Binary::from_stanza(&stanza.map_err(GateError::document("Packages"))?)
                    .map_err(GateError::document("Packages"))?;
                if binary.source == addition.decision.source {
                    names.insert(binary.package.to_string());
                }
            }
        }
        Ok(Self::named(texts, names))
    }

    /// The stanzas of these names; none when an index is not sorted.
    pub(super) fn named(texts: &Texts, names: BTreeSet<String>) -> Option<Self> {
        let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let found = texts.iter().map(|(path, (component, text))| {
            let places = places(text, &wanted)?;
            let cut = (path.clone(), (component.clone(), touched(text, &places)));
            Some((cut, (path.clone(), places)))
        });
        let (texts, places) = found.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(Self { names, places, texts })
    }

    /// All indexes of the suite, with these in the place of what was touched.
    ///
    /// # Errors
    /// Never: that the indexes are sorted was seen before.
    pub(super) fn put_in<'t>(&self, texts: &'t Texts, new: Vec<(RelPath, Vec<u8>)>) -> Result<Whole<'t>, GateError> {
        let names: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        let mut new: BTreeMap<RelPath, Vec<u8>> = new.into_iter().collect();
        for path in texts.keys() {
            new.entry(path.clone()).or_default();
        }
        let mut all = Vec::new();
        for (path, text) in new {
            let had = self.texts.get(&path).map_or(&[][..], |(_, text)| text);
            let before = texts.get(&path).map_or(&[][..], |(_, text)| text);
            let whole = match (had.is_empty() && text.is_empty(), before.is_empty()) {
                (true, _) => Cow::Borrowed(before),
                (_, true) => Cow::Owned(text),
                _ => {
                    let places = self.places.get(&path).map_or(&[][..], Vec::as_slice);
                    Cow::Owned(spliced(before, &names, places, &text).ok_or_else(|| unsorted(&path))?)
                }
            };
            // Of the installer's packages there is no empty index.
            if !whole.is_empty() || !path.as_str().contains("/debian-installer/") {
                all.push((path, whole));
            }
        }
        Ok(all)
    }
}

fn unsorted(path: &RelPath) -> GateError {
    GateError::document(path)(FormatError::Malformed {
        what: "index",
        at: path.to_string(),
        why: "its stanzas are not sorted".to_owned(),
    })
}
