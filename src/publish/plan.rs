//! What publishing a snapshot consists of, as a list: pure.

use super::Signed;
use crate::domain::{Digest, RelPath, Sha256};
use crate::snapshot::{IndexFile, Record, SuiteState, index_key, upstream_inrelease_key, upstream_inrelease_path};
use crate::store::Key;

/// One step. Doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Reads the object as a reader would: it must be there, and be these bytes.
    Check {
        /// Which object.
        key: Key,
        /// What it must be.
        digest: Digest,
    },
    /// Gives an object a second name.
    Link {
        /// The object by hash.
        from: Key,
        /// Its public name.
        to: Key,
        /// What it is.
        digest: Digest,
    },
    /// Writes an immutable object.
    Create {
        /// Its name, with its hash in it.
        key: Key,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Moves a pointer.
    Replace {
        /// Its name.
        key: Key,
        /// Its new bytes.
        bytes: Vec<u8>,
    },
    /// Ends here when this record is there: a newer snapshot owns the rest.
    StopIfThere(Key),
}

/// A suite's Release file, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The text that is signed.
    pub text: Vec<u8>,
    /// Its signed forms.
    pub signed: Signed,
}

/// The steps that publish a record. `releases` has one for each of its suites, in the same order.
/// With `newest` they also make it what `dists/<suite>/` shows.
///
/// The tree of the serial is complete before the first name of `dists/<suite>/` moves; in each tree
/// InRelease is last; the trace, which says which serial is the newest, is last of all.
#[must_use]
pub fn plan(record: &Record, releases: &[Release], newest: bool) -> Vec<Step> {
    let suites = || record.suites.iter().zip(releases);
    let mut steps = Vec::new();
    for (state, _) in suites() {
        steps.extend(staged(record, state));
    }
    for (state, release) in suites() {
        steps.extend(tree(record, state, release, Some(record.serial.as_str())));
    }
    if newest {
        steps.push(Step::StopIfThere(Key::record(
            &record.archive,
            record.n.saturating_add(1),
        )));
        for (state, release) in suites() {
            steps.extend(tree(record, state, release, None));
        }
        steps.push(Step::Replace {
            key: Key::trace(&record.archive),
            bytes: trace(record),
        });
    }
    steps
}

/// What must be in the store before anything moves.
fn staged(record: &Record, state: &SuiteState) -> Vec<Step> {
    let mut steps: Vec<Step> = kept(state)
        .map(|index| Step::Check {
            key: index_key(&record.archive, &state.suite, index),
            digest: index.digest,
        })
        .collect();
    steps.extend(state.upstream.as_ref().map(|upstream| Step::Check {
        key: upstream_inrelease_key(&record.archive, &state.suite, &upstream.inrelease),
        digest: upstream.inrelease,
    }));
    steps.dedup();
    steps
}

/// `dists/<suite>/<name>/`, or `dists/<suite>/` itself.
fn tree(record: &Record, state: &SuiteState, release: &Release, name: Option<&str>) -> Vec<Step> {
    let (archive, suite) = (&record.archive, &state.suite);
    let plain = |path: &RelPath| match name {
        Some(name) => Key::dists_named(archive, suite, name, path),
        None => Key::dists(archive, suite, path),
    };
    let by_hash = |path: &RelPath, sha256: &Sha256| match name {
        Some(name) => Key::by_hash_named(archive, suite, name, path, sha256),
        None => Key::by_hash(archive, suite, path, sha256),
    };
    let mut links = Vec::new();
    for index in kept(state) {
        let from = index_key(archive, suite, index);
        for to in [by_hash(&index.path, &index.digest.sha256), plain(&index.path)] {
            links.push((from.clone(), to, index.digest));
        }
    }
    if let Some(upstream) = &state.upstream {
        let from = upstream_inrelease_key(archive, suite, &upstream.inrelease);
        links.push((from, plain(&upstream_inrelease_path()), upstream.inrelease));
    }
    // Looked for again before each group of pointers: a record that has been overtaken moves none.
    let overtaken = Step::StopIfThere(Key::record(archive, record.n.saturating_add(1)));
    // At the head the by-hash names are the objects themselves.
    links.retain(|(from, to, _)| from != to);

    let mut steps = Vec::new();
    if name.is_none() {
        steps.push(overtaken.clone());
    }
    for (from, to, digest) in &links {
        steps.push(Step::Link {
            from: from.clone(),
            to: to.clone(),
            digest: *digest,
        });
    }
    for (_, key, digest) in links {
        steps.push(Step::Check { key, digest });
    }
    let Signed { inrelease, release_gpg } = &release.signed;
    let [release_path, gpg_path, inrelease_path] = [RELEASE, RELEASE_GPG, INRELEASE].map(constant);
    steps.push(Step::Create {
        key: by_hash(&inrelease_path, &Sha256::of(inrelease)),
        bytes: inrelease.clone(),
    });
    if name.is_none() {
        steps.push(overtaken);
    }
    for (path, bytes) in [
        (release_path, &release.text),
        (gpg_path, release_gpg),
        (inrelease_path, inrelease),
    ] {
        steps.push(Step::Replace {
            key: plain(&path),
            bytes: bytes.clone(),
        });
    }
    steps
}

pub(super) const INRELEASE: &str = "InRelease";
const RELEASE: &str = "Release";
const RELEASE_GPG: &str = "Release.gpg";

pub(super) fn constant(path: &str) -> RelPath {
    #[expect(clippy::expect_used, reason = "only called with the three constants above")]
    RelPath::new(path).expect("constant")
}

fn kept(state: &SuiteState) -> impl Iterator<Item = &IndexFile> {
    state.indexes.iter().filter(|index| index.kept)
}

/// As the mirrors of Debian write it: other tools read the serial from it.
pub(super) fn trace(record: &Record) -> Vec<u8> {
    let date = record.id.timestamp().rfc2822();
    format!("Archive serial: {}\nDate: {date}\n", record.serial).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArchiveName, Serial, SnapshotId, SuiteName, Timestamp};
    use crate::snapshot::UpstreamRelease;

    fn record() -> Record {
        let index = |path: &str, kept| IndexFile {
            path: RelPath::new(path).unwrap(),
            digest: Digest::of(path.as_bytes()),
            kept,
        };
        let state = |suite: &str| SuiteState {
            suite: SuiteName::new(suite).unwrap(),
            date: Timestamp::from_unix(7),
            fields: Vec::new(),
            architectures: Vec::new(),
            components: Vec::new(),
            indexes: vec![
                index("main/source/Sources", false),
                index("main/source/Sources.xz", true),
            ],
            upstream: Some(UpstreamRelease {
                inrelease: Digest::of(b"upstream"),
                date: Timestamp::from_unix(1),
                valid_until: None,
                signers: Vec::new(),
                verified_at: Timestamp::from_unix(2),
                uri: "u".to_owned(),
            }),
        };
        Record {
            format: 1,
            archive: ArchiveName::new("debian").unwrap(),
            n: 1,
            previous: None,
            id: SnapshotId::at(Timestamp::from_unix(7)),
            serial: Serial::new("2026112201").unwrap(),
            reason: "r".to_owned(),
            made_by: "m".to_owned(),
            nonce: "n".to_owned(),
            valid_days: None,
            suites: vec![state("a"), state("b")],
        }
    }

    fn releases() -> Vec<Release> {
        let release = |name: &str| Release {
            text: format!("text {name}").into_bytes(),
            signed: Signed {
                inrelease: format!("inrelease {name}").into_bytes(),
                release_gpg: format!("gpg {name}").into_bytes(),
            },
        };
        vec![release("a"), release("b")]
    }

    fn written(steps: &[Step]) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for step in steps {
            if let Step::Link { to: key, .. } | Step::Create { key, .. } | Step::Replace { key, .. } = step {
                keys.push(key.as_str());
            }
        }
        keys
    }

    #[test]
    fn inrelease_is_last_in_its_tree_and_the_trace_is_last_of_all() {
        let steps = plan(&record(), &releases(), true);
        let keys = written(&steps);
        assert_eq!(keys.last(), Some(&"debian/project/trace/debian"));
        for suite in ["a", "b"] {
            let head = format!("debian/dists/{suite}/");
            let named = format!("{head}2026112201/");
            let place = |key: String| keys.iter().position(|k| *k == key).unwrap();
            let last_named = keys.iter().rposition(|k| k.starts_with(&named)).unwrap();
            assert_eq!(last_named, place(format!("{named}InRelease")));
            let in_head = |k: &&str| k.starts_with(&head) && !k.starts_with(&named);
            let last_head = keys.iter().rposition(in_head).unwrap();
            assert_eq!(last_head, place(format!("{head}InRelease")));
            assert!(
                last_named < keys.iter().position(in_head).unwrap(),
                "the serial comes first"
            );
        }
        assert!(!keys.iter().any(|key| key.ends_with("Sources")), "not kept: {keys:?}");
    }

    #[test]
    fn an_older_record_moves_nothing_of_the_head() {
        let steps = plan(&record(), &releases(), false);
        for key in written(&steps) {
            assert!(key.contains("/2026112201/"), "{key}");
        }
    }

    #[test]
    fn every_name_that_a_release_lists_is_read_before_it_is_signed_for() {
        let steps = plan(&record(), &releases(), true);
        for (at, step) in steps.iter().enumerate() {
            if let Step::Link { to, digest, .. } = step {
                let inrelease = steps[at..]
                    .iter()
                    .position(|s| matches!(s, Step::Replace { key, .. } if key.as_str().ends_with("InRelease")))
                    .unwrap();
                let check = Step::Check {
                    key: to.clone(),
                    digest: *digest,
                };
                assert!(steps[at..at + inrelease].contains(&check), "{to}");
            }
        }
    }
}
