//! What a name of a snapshot or tag means: its folder, and its suites by each of their names.

use std::collections::BTreeMap;

use crate::domain::SuiteName;
use crate::snapshot::Edition;

/// What a name of a snapshot or tag means.
#[derive(Debug)]
pub(super) struct Meant {
    folder: String,
    suites: BTreeMap<String, SuiteName>,
}

impl Meant {
    pub(super) fn of(edition: &Edition) -> Self {
        let mut suites: BTreeMap<String, Option<SuiteName>> = BTreeMap::new();
        for state in &edition.suites {
            for (field, value) in &state.fields {
                if matches!(field.as_str(), "Suite" | "Codename") {
                    // A name that two suites would answer to is neither's.
                    let known = suites.entry(value.clone()).or_insert_with(|| Some(state.suite.clone()));
                    if known.as_ref() != Some(&state.suite) {
                        *known = None;
                    }
                }
            }
        }
        for state in &edition.suites {
            suites.insert(state.suite.to_string(), Some(state.suite.clone()));
        }
        let suites = suites.into_iter().filter_map(|(name, suite)| Some((name, suite?)));
        Self {
            folder: edition.name.to_string(),
            suites: suites.collect(),
        }
    }

    /// Its folder below `dists/<suite>/`.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// The suite that a path below `dists/` is of, under whichever of its names, and the path below it.
    pub(super) fn suite_of<'a>(&self, path: &'a str) -> Option<(&SuiteName, &'a str)> {
        let slashes = path.match_indices('/').map(|(at, _)| at);
        let mut longest = None;
        for at in slashes {
            if let Some(suite) = path.get(..at).and_then(|name| self.suites.get(name)) {
                longest = Some((suite, path.get(at.saturating_add(1)..)?));
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArchiveName, Serial, SnapshotId, Timestamp};
    use crate::snapshot::{EditionName, SuiteState};

    fn meant(suites: &[(&str, &str, &str)]) -> Meant {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let state = |(name, suite, codename): &(&str, &str, &str)| SuiteState {
            suite: SuiteName::new(*name).unwrap(),
            date: Timestamp::from_unix(7),
            fields: vec![field("Suite", suite), field("Codename", codename)],
            architectures: Vec::new(),
            components: Vec::new(),
            indexes: Vec::new(),
            upstream: None,
            custom: None,
        };
        Meant::of(&Edition {
            archive: ArchiveName::new("debian").unwrap(),
            name: EditionName::Serial(Serial::new("2026112201").unwrap()),
            id: SnapshotId::at(Timestamp::from_unix(7)),
            reason: String::new(),
            number: None,
            valid_days: None,
            signed_by: Vec::new(),
            suites: suites.iter().map(state).collect(),
        })
    }

    #[test]
    fn a_suite_answers_to_its_names_unless_another_does_too() {
        let names = meant(&[
            ("bookworm", "oldstable", "bookworm"),
            ("jessie/updates", "oldest", "jessie"),
            ("trixie", "stable", "trixie"),
            ("proposed", "stable", "trixie"),
            ("oldest", "archived", "wheezy"),
        ]);
        let found = |path| names.suite_of(path).map(|(suite, rest)| (suite.as_str(), rest));
        assert_eq!(found("oldstable/InRelease"), Some(("bookworm", "InRelease")));
        assert_eq!(found("jessie/updates/main/x"), Some(("jessie/updates", "main/x")));
        assert_eq!(found("trixie/InRelease"), Some(("trixie", "InRelease")));
        assert_eq!(found("oldest/InRelease"), Some(("oldest", "InRelease")));
        assert_eq!(found("stable/InRelease"), None);
        assert_eq!(found("bookworm"), None);
        assert_eq!(names.folder(), "2026112201");
    }
}
