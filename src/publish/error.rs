//! Why a snapshot could not be published.

use super::Unrecorded;
use crate::domain::{ArchiveName, Coded, Digest, Fingerprint, Kind, SuiteName, TagName, Timestamp};
use crate::site::SiteError;
use crate::snapshot::SnapshotError;
use crate::store::{Key, StoreError};

/// What `publish` refuses.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records are not in order.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An archive without snapshots.
    #[error("`{0}` has no snapshot to publish")]
    Nothing(ArchiveName),
    /// A record that the archive's key did not sign: somebody else put it there.
    #[error("the archive's key does not vouch for `{key}`: {why}")]
    NotVouched {
        /// Which record.
        key: Key,
        /// What is wrong with its signature.
        why: String,
    },
    /// Clients have seen something newer than all records: one is lost, and nothing may take its place.
    #[error("clients have `{}`, signed by the archive's key, and its record `{}` is missing", .0.inrelease, .0.record)]
    Unrecorded(Box<Unrecorded>),
    /// A file that the Release file would name is not in the store.
    #[error("`{0}` is not in the store, and the snapshot names it")]
    Missing(Key),
    /// A file that the Release file would name has other bytes.
    #[error("`{key}`: the bytes are {found}, and the snapshot names {expected}")]
    Damaged {
        /// Which file.
        key: Key,
        /// What the record says.
        expected: Digest,
        /// What the store has.
        found: Digest,
    },
    /// A Release file that apt would not read.
    #[error("the InRelease of suite `{suite}` would have {size} bytes: apt reads at most {limit}")]
    TooLarge {
        /// Which suite.
        suite: SuiteName,
        /// Bytes.
        size: u64,
        /// apt's limit.
        limit: u64,
    },
    /// A signed Release file that readers would not take: nothing of it has moved.
    #[error("the Release of suite `{suite}` would be refused by {by}: {why}")]
    Unreadable {
        /// Which suite.
        suite: SuiteName,
        /// Which readers.
        by: String,
        /// What is wrong.
        why: String,
    },
    /// A snapshot that was not made, since no client would take its Release.
    #[error("a snapshot with this suite `{suite}` would be refused by {by}: {why}")]
    Unfit {
        /// Which suite.
        suite: SuiteName,
        /// Which readers.
        by: String,
        /// What is wrong.
        why: String,
    },
    /// A renewal that would take time away from clients.
    #[error("`{name}` is valid until {until}, which is later than asked for")]
    Shorter {
        /// Which snapshot.
        name: String,
        /// Until when it is valid.
        until: Timestamp,
    },
    /// A tag that is there already with other content: tags never change.
    #[error("there is a tag `{0}` already, with other content")]
    TagTaken(TagName),
    /// A tag that was let go: its name does not come back as something else.
    #[error("the tag `{tag}` was let go, and is gone since {at}")]
    TagGone {
        /// Which.
        tag: TagName,
        /// When it went.
        at: Timestamp,
    },
    /// Other writers were always faster.
    #[error("other writers were faster {0} times")]
    Busy(u32),
    /// The site's keys.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A key of the archive's own that may not sign any more, or not yet.
    #[error("the key {key} of `{archive}` cannot sign: {why}")]
    KeyEnded {
        /// Whose.
        archive: ArchiveName,
        /// Which key.
        key: Fingerprint,
        /// Why.
        why: String,
    },
    /// A program that signs for us failed, or took too long.
    #[error("nothing was signed by {key}: {why}")]
    Outside {
        /// Which key.
        key: Fingerprint,
        /// What the program did.
        why: String,
    },
    /// A program gave back something else than was asked for.
    #[error("what `{program}` gave back is no signature by {key} over what it was given: {why}")]
    SignedWrongly {
        /// Which key.
        key: Fingerprint,
        /// The program.
        program: String,
        /// What is wrong with it.
        why: String,
    },
    /// What is to be made would have to be dated in the future.
    #[error("{what} would be dated {dated}, after what was made before it, and this machine's clock says {now}")]
    Ahead {
        /// Which entry.
        what: String,
        /// Its date.
        dated: Timestamp,
        /// The clock's.
        now: Timestamp,
    },
    /// A key that signs is on another machine.
    #[error("`{archive}`: what is new waits for a signature by {key}, which is on another machine")]
    Waits {
        /// Whose.
        archive: ArchiveName,
        /// Which key.
        key: Fingerprint,
    },
    /// A record that waits: one of packages that were admitted, which another would leave out; or any, whose indexes would go.
    #[error(
        "`{archive}`: `{title}` waits for its signatures, and nothing may take the place of what it names until then"
    )]
    StillWaits {
        /// Whose.
        archive: ArchiveName,
        /// Which entry.
        title: String,
    },
    /// What was given away to be signed is not what waits any more.
    #[error(
        "`{archive}`: {} that was given away does not wait any more, or cannot follow what is there now",
        title.as_deref().unwrap_or("something")
    )]
    Moved {
        /// Whose.
        archive: ArchiveName,
        /// Which entry.
        title: Option<String>,
    },
    /// A signature that was brought is not what was asked for.
    #[error("`{path}` of `{title}` is not signed by each of the archive's keys, and by nobody else: {why}")]
    Unsigned {
        /// Which entry.
        title: String,
        /// The file that was to be signed.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The signer failed.
    #[error("cannot sign: {0}")]
    Signing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PublishError {
    /// The code of `Waits`: nothing went wrong.
    pub const WAITS: &'static str = "E-PUBLISH-014";
    /// The code of `Missing`.
    pub const MISSING: &'static str = "E-PUBLISH-002";
    /// The code of `Damaged`.
    pub const DAMAGED: &'static str = "E-PUBLISH-003";
}

impl Coded for PublishError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Snapshot(error) => error.code(),
            Self::Site(error) => error.code(),
            Self::Nothing(_) => "E-PUBLISH-001",
            Self::NotVouched { .. } => "E-PUBLISH-006",
            Self::Missing(_) => Self::MISSING,
            Self::Damaged { .. } => Self::DAMAGED,
            Self::TooLarge { .. } => "E-PUBLISH-004",
            Self::Signing(_) => "E-PUBLISH-005",
            Self::Shorter { .. } => "E-PUBLISH-007",
            Self::TagTaken(_) => "E-PUBLISH-008",
            Self::Busy(_) => "E-PUBLISH-009",
            Self::Unreadable { .. } => "E-PUBLISH-010",
            Self::KeyEnded { .. } => "E-PUBLISH-011",
            Self::Outside { .. } => "E-PUBLISH-012",
            Self::SignedWrongly { .. } => "E-PUBLISH-013",
            Self::Ahead { .. } => "E-PUBLISH-020",
            Self::TagGone { .. } => "E-PUBLISH-021",
            Self::Unrecorded(_) => "E-PUBLISH-022",
            Self::Unfit { .. } => "E-PUBLISH-023",
            Self::Waits { .. } => Self::WAITS,
            Self::StillWaits { .. } => "E-PUBLISH-015",
            Self::Moved { .. } => "E-PUBLISH-016",
            Self::Unsigned { .. } => "E-PUBLISH-017",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Snapshot(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Nothing(_) | Self::Shorter { .. } | Self::KeyEnded { .. } | Self::TagGone { .. } => Kind::Usage,
            Self::TagTaken(_) | Self::Busy(_) | Self::StillWaits { .. } | Self::Moved { .. } => Kind::Conflict,
            Self::NotVouched { .. }
            | Self::Unrecorded(_)
            | Self::Missing(_)
            | Self::Damaged { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::Unfit { .. }
            | Self::SignedWrongly { .. }
            | Self::Unsigned { .. } => Kind::Verification,
            Self::Signing(_) | Self::Outside { .. } | Self::Waits { .. } | Self::Ahead { .. } => Kind::Environment,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Snapshot(error) => error.hint(),
            Self::NotVouched { .. } => Some(
                "somebody wrote to the store: compare with a backup, remove the record, then `assay verify`. If a key was taken out of \
                 `repos/` before `assay snapshot renew --all` had run with both, put it back and run that"
                    .to_owned(),
            ),
            Self::Unrecorded(lost) => Some(format!(
                "nothing was changed: put `{}` and its signature back from a backup, then `assay verify`. Without a backup what was \
                 published last is lost: remove `{}`, and the next run goes on from the record before",
                lost.record, lost.inrelease
            )),
            Self::Site(error) => error.hint(),
            Self::KeyEnded { archive, key, .. } => Some(format!(
                "put its renewed certificate into `policies/keys/{key}.asc`, or let another key sign in `repos/{archive}.toml` (README: keys in turn)"
            )),
            Self::Outside { key, .. } | Self::SignedWrongly { key, .. } => Some(format!(
                "nothing was published; run the program of `keys/{key}.toml` by hand: with `--clearsign` and `--detach-sign` it signs \
                 what it reads, by that key alone and with SHA-256 or better"
            )),
            Self::Waits { .. } => Some(
                "`assay publish --prepare DIR` writes what is to be signed, `assay publish --attach DIR` publishes it: clients keep the \
                 old state until then"
                    .to_owned(),
            ),
            Self::StillWaits { .. } => Some(
                "have it signed first: `assay publish --prepare DIR`, then `assay publish --attach DIR`; then run this again".to_owned(),
            ),
            Self::Moved { .. } => Some(
                "nothing was published of the folder: run the verb that made it again (`assay mirror`, `assay snapshot renew --all`), then \
                 `assay publish --prepare` into a new folder"
                    .to_owned(),
            ),
            Self::Unsigned { .. } => Some(
                "nothing was published: sign the very files that `--prepare` wrote, `Release` as InRelease (clearsigned) and as Release.gpg, \
                 `statement` as statement.gpg (detached), by each key that is elsewhere"
                    .to_owned(),
            ),
            Self::Shorter { .. } => Some("name more days with `--for`, or take them away with `--shorten`".to_owned()),
            Self::TagGone { .. } => Some("a name never comes back as something else: choose another".to_owned()),
            Self::TagTaken(_) => Some("tags are immutable: choose another name".to_owned()),
            Self::Busy(_) => Some("run it again".to_owned()),
            Self::Unreadable { .. } => Some(
                "nothing was published; look at the signer and its key, then run it again".to_owned(),
            ),
            Self::Unfit { .. } => Some(
                "no snapshot was made; what its Release says is of the archive's file in `repos/`, and of upstream's Release".to_owned(),
            ),
            Self::Missing(_) | Self::Damaged { .. } => Some("`assay verify` names all that is damaged".to_owned()),
            Self::Nothing(_) => Some("`assay mirror` makes the first snapshot of a mirror, `assay admit` that of a custom archive".to_owned()),
            Self::TooLarge { .. } => Some(
                "follow fewer components, architectures, languages or `indexes`: each file that Release lists takes a line".to_owned(),
            ),
            Self::Ahead { .. } => Some(
                "nothing was made: clients refuse what is from the future. Set this machine's clock right; when it was ahead at an \
                 earlier run, wait until then, or go on under another name of the archive"
                    .to_owned(),
            ),
            Self::Signing(_) => Some(
                "the secret key of `signing-key` must be in the site's `keys/`, and this machine's clock be right: `assay key list`".to_owned(),
            ),
        }
    }
}
