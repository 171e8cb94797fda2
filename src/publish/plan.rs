//! What publishing an edition consists of, as a list: pure.

use std::collections::BTreeSet;

use super::Signed;
use crate::domain::{Digest, RelPath, Sha256};
use crate::snapshot::{Edition, IndexFile, SuiteState, UpstreamFile, index_key, upstream_files};
use crate::store::Key;

/// One step. Doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The object must be there, and be these bytes.
    Check {
        /// Which object.
        key: Key,
        /// What it must be.
        digest: Digest,
        /// How that is found out.
        how: How,
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
    /// Takes a name away that the edition does not have.
    Remove(Key),
    /// Ends here when this record is there: a newer snapshot owns the rest.
    StopIfThere(Key),
}

/// How an object is checked before a Release file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Read whole, as a reader would.
    Read,
    /// It was read whole when an edition that has it was published: it is there, with its size.
    Size,
    /// It is the same object as this one; where the store cannot tell, it is read whole.
    Linked(Key),
}

/// A suite's Release file, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The text that is signed.
    pub text: Vec<u8>,
    /// Its signed forms.
    pub signed: Signed,
}

/// The steps that publish an edition. `releases` has one for each of its suites, in the same order.
/// With `newest` they also make it what `dists/<suite>/` shows; that is without `stale` then. The objects in `known` were read
/// whole when another edition was published.
///
/// The tree of the name is complete before the first name of `dists/<suite>/` moves; in each tree
/// InRelease is last; the trace, which says which serial is the newest, is last of all.
#[must_use]
pub fn plan(
    edition: &Edition,
    releases: &[Release],
    (newest, stale): (bool, &[Key]),
    known: &BTreeSet<Sha256>,
) -> Vec<Step> {
    let suites = || edition.suites.iter().zip(releases);
    let mut steps = Vec::new();
    for (state, _) in suites() {
        steps.extend(staged(edition, state, known));
    }
    for (state, release) in suites() {
        steps.extend(tree(
            edition,
            state,
            release,
            Some(edition.name.as_str()),
            &overtaken(edition, false),
        ));
    }
    if newest {
        let overtaken = overtaken(edition, true);
        steps.extend(overtaken.iter().cloned());
        for (state, release) in suites() {
            steps.extend(tree(edition, state, release, None, &overtaken));
        }
        // No Release names them any more. Whoever comes later puts back what is his.
        steps.extend(overtaken);
        steps.extend(stale.iter().cloned().map(Step::Remove));
        steps.push(Step::Replace {
            key: Key::trace(&edition.archive),
            bytes: trace(edition),
        });
    }
    steps
}

/// Whoever comes later owns the pointers: a newer renewal those of the snapshot, a newer snapshot
/// those of the head. A tag has no successor.
fn overtaken(edition: &Edition, head: bool) -> Vec<Step> {
    let Some((n, k)) = edition.number else {
        return Vec::new();
    };
    let mut steps = vec![Step::StopIfThere(Key::renewal(
        &edition.archive,
        n,
        k.saturating_add(1),
    ))];
    if head {
        steps.push(Step::StopIfThere(Key::record(&edition.archive, n.saturating_add(1))));
    }
    steps
}

/// What must be in the store before anything moves.
pub(super) fn staged(edition: &Edition, state: &SuiteState, known: &BTreeSet<Sha256>) -> Vec<Step> {
    let archive = &edition.archive;
    let check = |key: Key, digest: Digest| {
        let how = if known.contains(&digest.sha256) {
            How::Size
        } else {
            How::Read
        };
        Step::Check { key, digest, how }
    };
    let proofs = state.upstream.iter().flat_map(|upstream| &upstream.indexes);
    let proofs = proofs.filter(|index| index.kept);
    let mut steps: Vec<Step> = kept(state)
        .chain(proofs)
        .map(|index| check(index_key(archive, &state.suite, index), index.digest))
        .collect();
    let signed = signed_upstream(edition, state).into_iter();
    steps.extend(signed.map(|file| check(file.key, file.digest)));
    steps.dedup();
    steps
}

/// `dists/<suite>/<name>/`, or `dists/<suite>/` itself.
fn tree(edition: &Edition, state: &SuiteState, release: &Release, name: Option<&str>, overtaken: &[Step]) -> Vec<Step> {
    let (archive, suite) = (&edition.archive, &state.suite);
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
    for file in signed_upstream(edition, state) {
        links.push((file.key, plain(&file.path), file.digest));
    }
    // At the head the by-hash names are the objects themselves.
    links.retain(|(from, to, _)| from != to);

    // Looked for again before each group of pointers: one that has been overtaken moves none.
    let mut steps = overtaken.to_vec();
    for (from, to, digest) in &links {
        steps.push(Step::Link {
            from: from.clone(),
            to: to.clone(),
            digest: *digest,
        });
    }
    for (from, key, digest) in links {
        let how = How::Linked(from);
        steps.push(Step::Check { key, digest, how });
    }
    let Signed { inrelease, release_gpg } = &release.signed;
    let [release_path, gpg_path, inrelease_path] = [RELEASE, RELEASE_GPG, INRELEASE].map(constant);
    steps.push(Step::Create {
        key: by_hash(&inrelease_path, &Sha256::of(inrelease)),
        bytes: inrelease.clone(),
    });
    steps.extend(overtaken.iter().cloned());
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

/// The files that upstream signed.
fn signed_upstream(edition: &Edition, state: &SuiteState) -> Vec<UpstreamFile> {
    let files = |upstream| upstream_files(&edition.archive, &state.suite, upstream);
    state.upstream.as_ref().map(files).unwrap_or_default()
}

/// As the mirrors of Debian write it: other tools read the serial from it. The date is that of the
/// newest Release file, so that a renewal that a crash cut short shows.
pub(super) fn trace(edition: &Edition) -> Vec<u8> {
    let date = edition.date().unwrap_or(edition.id.timestamp()).rfc2822();
    format!("Archive serial: {}\nDate: {date}\n", edition.name).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArchiveName, Serial, SnapshotId, SuiteName, Timestamp};
    use crate::snapshot::{EditionName, UpstreamRelease};

    fn edition() -> Edition {
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
            custom: None,
            upstream: Some(UpstreamRelease {
                inrelease: Digest::of(b"upstream"),
                release_gpg: None,
                flat: false,
                date: Timestamp::from_unix(1),
                valid_until: None,
                signers: Vec::new(),
                verified_at: Timestamp::from_unix(2),
                uri: "u".to_owned(),
                indexes: Vec::new(),
                selection: None,
                filled: false,
                absent: Vec::new(),
            }),
        };
        Edition {
            archive: ArchiveName::new("debian").unwrap(),
            name: EditionName::Serial(Serial::new("2026112201").unwrap()),
            id: SnapshotId::at(Timestamp::from_unix(7)),
            reason: "r".to_owned(),
            number: Some((1, 0)),
            valid_days: None,
            signed_by: Vec::new(),
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
        let steps = plan(&edition(), &releases(), (true, &[]), &BTreeSet::new());
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
    fn an_older_edition_moves_nothing_of_the_head() {
        let steps = plan(&edition(), &releases(), (false, &[]), &BTreeSet::new());
        for key in written(&steps) {
            assert!(key.contains("/2026112201/"), "{key}");
        }
    }

    #[test]
    fn every_name_that_a_release_lists_is_read_before_it_is_signed_for() {
        let steps = plan(&edition(), &releases(), (true, &[]), &BTreeSet::new());
        for (at, step) in steps.iter().enumerate() {
            if let Step::Link { from, to, digest } = step {
                let inrelease = steps[at..]
                    .iter()
                    .position(|s| matches!(s, Step::Replace { key, .. } if key.as_str().ends_with("InRelease")))
                    .unwrap();
                let check = Step::Check {
                    key: to.clone(),
                    digest: *digest,
                    how: How::Linked(from.clone()),
                };
                assert!(steps[at..at + inrelease].contains(&check), "{to}");
            }
        }
    }
}
