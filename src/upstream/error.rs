//! What following an upstream can run into.

use std::num::NonZeroU16;

use crate::domain::{Coded, Digest, Kind, PoolPath, RelPath, SuiteName, Timestamp};
use crate::format::FormatError;
use crate::host::HostError;
use crate::snapshot::SnapshotError;
use crate::store::{Key, StoreError};
use crate::trust::TrustError;

/// Why an upstream was not followed, or a file not fetched. Nothing that is published has changed.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// An address that is no usable URL.
    #[error("`{url}` is not usable as an upstream's address: {why}")]
    Url {
        /// The address, escaped.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The connection failed, or broke.
    #[error("cannot fetch `{url}`: {why}")]
    Transport {
        /// What was fetched.
        url: String,
        /// The error and its causes.
        why: String,
    },
    /// An answer other than 200 and 404.
    #[error("cannot fetch `{url}`: the server says {status}")]
    Status {
        /// What was fetched.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// 404 or 410.
    #[error("`{url}` is not there: the server says {status}")]
    NotFound {
        /// What was fetched.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// More bytes, or fewer, than were said beforehand.
    #[error("`{url}` has the wrong size: {found} bytes came or were announced, {expected} were expected")]
    Size {
        /// What was fetched.
        url: String,
        /// What Release or an index says, or the most that is taken.
        expected: u64,
        /// What the server announced, or how much had come when it was cut off.
        found: u64,
    },
    /// A redirect that is not followed.
    #[error("`{url}` redirects to `{to}`, which is refused: {why}")]
    Redirect {
        /// What was fetched.
        url: String,
        /// Where to, escaped.
        to: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// Nothing came for too long, or all of it took too long.
    #[error("`{url}` took too long: {what}")]
    TimedOut {
        /// What was fetched.
        url: String,
        /// Which limit was reached.
        what: String,
    },
    /// The bytes are not the ones that Release or an index says.
    #[error("`{url}` has the wrong bytes: {found}, not {expected}")]
    Digest {
        /// What was fetched.
        url: String,
        /// What was said.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// No signature on a Release holds.
    #[error("the signed Release of `{suite}` is not accepted: {source}")]
    Signature {
        /// Whose Release.
        suite: SuiteName,
        /// What `trust` says.
        source: Box<TrustError>,
    },
    /// Upstream no longer has the form of Release that it had.
    #[error(
        "`{suite}` had an InRelease before, and now only a Release with Release.gpg, which is not taken in its place"
    )]
    Downgrade {
        /// Which suite.
        suite: SuiteName,
    },
    /// An older Release than the one that we accepted before.
    #[error("`{suite}` went back in time: its Date is {found}, and we have accepted {accepted}")]
    Rollback {
        /// Which suite.
        suite: SuiteName,
        /// The Date that came.
        found: Timestamp,
        /// The Date of the newest that was accepted.
        accepted: Timestamp,
    },
    /// Two Releases with one Date.
    #[error("`{suite}` has two different Release files with the Date {date}")]
    Equivocation {
        /// Which suite.
        suite: SuiteName,
        /// Their Date.
        date: Timestamp,
    },
    /// Valid-Until is past.
    #[error("the Release of `{suite}` expired on {valid_until}; it is from {date}")]
    Expired {
        /// Which suite.
        suite: SuiteName,
        /// Its Date.
        date: Timestamp,
        /// Its Valid-Until.
        valid_until: Timestamp,
    },
    /// Date is longer ago than the site takes.
    #[error("the Release of `{suite}` is from {date}, and the site takes none that is older than {days} days")]
    TooOld {
        /// Which suite.
        suite: SuiteName,
        /// Its Date.
        date: Timestamp,
        /// The site's `max-age-days`.
        days: NonZeroU16,
    },
    /// Date is in the future.
    #[error("the Release of `{suite}` is from the future: its Date is {date}, and it is {now}")]
    Future {
        /// Which suite.
        suite: SuiteName,
        /// Its Date.
        date: Timestamp,
        /// Our clock.
        now: Timestamp,
    },
    /// Release names something else than what is configured, or was accepted before.
    #[error("the Release of `{suite}` has the {field} `{found}`, where `{expected}` is expected")]
    Identity {
        /// Which suite.
        suite: SuiteName,
        /// Which field.
        field: &'static str,
        /// What it says, escaped; `-` when it is not there.
        found: String,
        /// What it must say, escaped.
        expected: String,
    },
    /// The site asks for a component or architecture that upstream does not have.
    #[error("the Release of `{suite}` has no {what} `{wanted}`: it lists {listed}")]
    NotOffered {
        /// Which suite.
        suite: SuiteName,
        /// `component`, `architecture`, or `index for`.
        what: &'static str,
        /// What the site asks for.
        wanted: String,
        /// What there is, escaped.
        listed: String,
    },
    /// A name that our own Release cannot repeat.
    #[error("the Release of `{suite}` has a `{field}` of several lines, or of more than 1000 bytes")]
    Field {
        /// Which suite.
        suite: SuiteName,
        /// Which field.
        field: String,
    },
    /// A pool file that upstream's own indexes name, and that it does not have.
    #[error("upstream's indexes list `{path}`, and upstream does not have it: the server says {status} for `{url}`")]
    NotInPool {
        /// Which file.
        path: PoolPath,
        /// What was fetched.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// An index that must be there is not listed.
    #[error("the Release of `{suite}` does not list `{path}`, nor a compressed form of it that we read")]
    NotListed {
        /// Which suite.
        suite: SuiteName,
        /// The uncompressed index.
        path: RelPath,
    },
    /// Only compressed forms of an index are listed: apt takes what the index is from its uncompressed form, and passes over it.
    #[error("the Release of `{suite}` lists `{path}`, and not the size and hash of its uncompressed form")]
    OnlyCompressed {
        /// Which suite.
        suite: SuiteName,
        /// The compressed index.
        path: RelPath,
    },
    /// A compressed index does not hold what Release says of its uncompressed form.
    #[error("`{path}` of `{suite}` decompresses to {}; Release says {}", what.found, what.expected)]
    Uncompressed {
        /// Which suite.
        suite: SuiteName,
        /// The compressed index.
        path: RelPath,
        /// What Release says of the uncompressed index, and what came out.
        what: Box<Mismatch>,
    },
    /// An index whose SHA-256 is right, and another hash that Release lists is not.
    #[error("`{path}` of `{suite}` has another {hash} than Release says, and the same SHA-256")]
    OtherHash {
        /// Which suite.
        suite: SuiteName,
        /// The index.
        path: RelPath,
        /// The hash.
        hash: &'static str,
    },
    /// A pool file whose SHA-256 is right, and another hash that is listed for it is not.
    #[error("upstream's index contradicts itself: `{name}` has the SHA-256 that it lists, and another {hashes}")]
    PoolHash {
        /// The file.
        name: String,
        /// The hashes that are listed beside SHA-256: one of them, at least, is wrong.
        hashes: String,
    },
    /// An index says that a file is where no pool file can be.
    #[error("`{index}` of `{suite}` has the package `{package}` at `{path}`, which is not in `pool/`")]
    OutsidePool {
        /// Which suite.
        suite: SuiteName,
        /// The index.
        index: RelPath,
        /// The package, escaped.
        package: String,
        /// The path, escaped.
        path: String,
    },
    /// An index, or all of one run, is larger than is taken.
    #[error("the indexes of `{suite}` are larger than is taken: {size} bytes of at most {limit}")]
    TooLarge {
        /// Which suite.
        suite: SuiteName,
        /// What Release announces.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The store has no room for what is to be fetched.
    #[error("{needed} bytes are to be fetched, and the store has room for {free}")]
    NoRoom {
        /// Bytes to fetch.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The machine's apt follows no such archive.
    #[error("no `uri` is configured, and this machine's apt follows no {origin}/{label} with `{suites}`")]
    NoMirror {
        /// The configured Origin.
        origin: String,
        /// The configured Label.
        label: String,
        /// The configured suites.
        suites: String,
    },
    /// No kept snapshot has this pool file.
    #[error("no snapshot of this archive has `{0}`")]
    NotInSnapshots(PoolPath),
    /// What upstream signed names one file, or one version of a package, with different bytes.
    #[error("upstream's indexes give `{0}` two different digests")]
    Ambiguous(String),
    /// Upstream gives a file, or a version of a package, other bytes than a snapshot has or had.
    #[error("upstream's indexes now give `{name}` other bytes than an earlier snapshot, where {had}")]
    OtherBytes {
        /// The path, or the package, its version and architecture, and the path.
        name: String,
        /// What it had: the start of the SHA-256, in hex, or the size.
        had: String,
    },
    /// What upstream signed has, or had, one path as a file and as a folder of files.
    #[error(
        "upstream's indexes list `{0}`, and one path of it is a file and a folder, now or with an earlier snapshot: no folder has both"
    )]
    Nested(String),
    /// An index of the newest snapshot, which upstream is compared with, cannot be read.
    #[error(
        "upstream cannot be compared with the newest snapshot, whose `{index}` of `{suite}` cannot be read: {source}"
    )]
    Old {
        /// Which suite.
        suite: SuiteName,
        /// The index.
        index: RelPath,
        /// Why not.
        source: Box<UpstreamError>,
    },
    /// What is remembered of earlier snapshots is damaged.
    #[error("`{key}`, which remembers what left this mirror's snapshots, is damaged: {why}")]
    Left {
        /// Which object.
        key: Key,
        /// What is wrong with it.
        why: String,
    },
    /// A stanza that apt cannot read, or that does not say where its package is and what it is.
    #[error("`{index}` of `{suite}` has a stanza that no snapshot may name: {source}")]
    Stanza {
        /// Which suite.
        suite: SuiteName,
        /// The index.
        index: RelPath,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
    /// Another request was fetching the same file, and failed.
    #[error("{why}")]
    Shared {
        /// What it failed with.
        why: String,
        /// Its code.
        code: &'static str,
        /// Its kind.
        kind: Kind,
        /// Its next step.
        hint: Option<String>,
    },
    /// What came does not follow its format.
    #[error("`{url}`: {source}")]
    Format {
        /// What was read.
        url: String,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The machine failed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be started: {0}")]
    Client(String),
    /// A thread panicked.
    #[error("a thread of the fetch ended with a bug")]
    Bug,
}

/// Two digests that should be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// What was said.
    pub expected: Digest,
    /// What came.
    pub found: Digest,
}

impl UpstreamError {
    /// The code of `Old`.
    pub const OLD: &'static str = "E-UP-041";
    /// The code of `NotInPool`: what an upstream looks like that moved on after its indexes were read.
    pub const NOT_IN_POOL: &'static str = "E-UP-038";

    /// The same error for each of several waiting clients.
    pub(crate) fn shared(&self) -> Self {
        Self::Shared {
            why: self.to_string(),
            code: self.code(),
            kind: self.kind(),
            hint: self.hint(),
        }
    }

    /// Whether trying once more may help: the connection, not the content.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::TimedOut { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    /// Whether this is what an upstream looks like that is being updated while we read it.
    pub(crate) fn is_moving(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::Size { .. } | Self::Digest { .. } | Self::Uncompressed { .. }
        )
    }
}

impl Coded for UpstreamError {
    fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "E-UP-001",
            Self::Transport { .. } => "E-UP-002",
            Self::Status { .. } => "E-UP-003",
            Self::NotFound { .. } => "E-UP-004",
            Self::Size { .. } => "E-UP-005",
            Self::Redirect { .. } => "E-UP-006",
            Self::TimedOut { .. } => "E-UP-007",
            Self::Digest { .. } => "E-UP-008",
            Self::Signature { .. } => "E-UP-009",
            Self::Downgrade { .. } => "E-UP-035",
            Self::Rollback { .. } => "E-UP-010",
            Self::Equivocation { .. } => "E-UP-011",
            Self::Expired { .. } => "E-UP-012",
            Self::TooOld { .. } => "E-UP-032",
            Self::Future { .. } => "E-UP-013",
            Self::Identity { .. } => "E-UP-014",
            Self::NotListed { .. } => "E-UP-015",
            Self::OnlyCompressed { .. } => "E-UP-039",
            Self::NotOffered { .. } => "E-UP-037",
            Self::NotInPool { .. } => Self::NOT_IN_POOL,
            Self::Uncompressed { .. } => "E-UP-016",
            Self::NoMirror { .. } => "E-UP-017",
            Self::NotInSnapshots(_) => "E-UP-018",
            Self::Ambiguous(_) => "E-UP-030",
            Self::OtherBytes { .. } => "E-UP-031",
            Self::Stanza { .. } => "E-UP-033",
            Self::Left { .. } => "E-UP-034",
            Self::Old { .. } => Self::OLD,
            Self::Nested(_) => "E-UP-040",
            Self::Field { .. } => "E-UP-042",
            Self::Format { .. } => "E-UP-019",
            Self::Client(_) => "E-UP-020",
            Self::TooLarge { .. } => "E-UP-021",
            Self::OtherHash { .. } => "E-UP-022",
            Self::PoolHash { .. } => "E-UP-036",
            Self::Bug => "E-UP-023",
            Self::OutsidePool { .. } => "E-UP-025",
            Self::NoRoom { .. } => "E-UP-026",
            Self::Shared { code, .. } => code,
            Self::Store(source) => source.code(),
            Self::Snapshot(source) => source.code(),
            Self::Host(source) => source.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Url { .. } | Self::NoMirror { .. } | Self::NotOffered { .. } => Kind::Usage,
            Self::Transport { .. }
            | Self::Status { .. }
            | Self::NotFound { .. }
            | Self::NotInPool { .. }
            | Self::TimedOut { .. }
            | Self::NotInSnapshots(_)
            | Self::NoRoom { .. }
            | Self::Client(_) => Kind::Environment,
            Self::Size { .. }
            | Self::Redirect { .. }
            | Self::Digest { .. }
            | Self::Signature { .. }
            | Self::Downgrade { .. }
            | Self::Rollback { .. }
            | Self::Equivocation { .. }
            | Self::Ambiguous(_)
            | Self::OtherBytes { .. }
            | Self::Left { .. }
            | Self::Old { .. }
            | Self::Nested(_)
            | Self::Stanza { .. }
            | Self::Expired { .. }
            | Self::TooOld { .. }
            | Self::Future { .. }
            | Self::Identity { .. }
            | Self::NotListed { .. }
            | Self::Field { .. }
            | Self::OnlyCompressed { .. }
            | Self::Uncompressed { .. }
            | Self::TooLarge { .. }
            | Self::OutsidePool { .. }
            | Self::OtherHash { .. }
            | Self::PoolHash { .. }
            | Self::Format { .. } => Kind::Verification,
            Self::Shared { kind, .. } => *kind,
            Self::Bug => Kind::Bug,
            Self::Store(source) => source.kind(),
            Self::Snapshot(source) => source.kind(),
            Self::Host(source) => source.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Url { .. } => "give `uri` as http:// or https://, a host, and a folder",
            Self::Transport { .. } | Self::Status { .. } => "nothing was changed; try again, or set another `uri`",
            Self::TimedOut { .. } => {
                "nothing was changed; try again, set another `uri`, or fewer `connections` in assay.toml for a slow line"
            }
            Self::NotFound { .. } => {
                "nothing was changed; look whether `uri`, `suites` and `components` are right for this upstream: it may have dropped the \
                 file or the suite, as Debian moves old releases to an archive of their own"
            }
            Self::Size { .. } | Self::Digest { .. } | Self::Uncompressed { .. } => {
                "nothing was changed; an upstream that is being updated looks like this: try again in some minutes, \
                 or set another `uri`; when it stays, somebody changes the files on their way"
            }
            Self::Redirect { .. } => {
                "set `uri` to the address that the files really come from, or name its host in `allowed-hosts`: as `HOST:PORT` when the \
                 port is not the scheme's own"
            }
            Self::Signature { source, .. } => not_accepted(source),
            Self::OtherBytes { .. } => {
                "a name never comes back with other bytes, also when it was away: ask upstream; nothing was changed, and clients keep \
                 the old state. When upstream means it, mirror it under another name (another file in `repos/`), with a pool of its own"
            }
            Self::Left { .. } => {
                "put it back from a backup, or remove it: what it says of the past is then forgotten, and may come back as something else"
            }
            Self::Old { .. } => {
                "nothing was changed; neither the store nor upstream has these bytes any more: put the file back from a backup, and run it \
                 again; `assay fsck` names all that is damaged or missing"
            }
            Self::Nested(_) => {
                "no such package could be had: ask upstream, or leave out this component; nothing was changed, and clients keep the old state"
            }
            Self::Ambiguous(_) => {
                "nobody could say which of them is meant: ask upstream; nothing was changed, and clients keep the old state"
            }
            Self::Stanza { .. } => {
                "apt could not read this index, or not fetch what it lists: ask upstream, or leave out this component; nothing was \
                 changed, and clients keep the old state"
            }
            Self::Downgrade { .. } => {
                "nothing was changed; somebody between may hide the InRelease: set another `uri`, or ask upstream. When upstream means it, \
                 mirror it under another name (another file in `repos/`)"
            }
            Self::Rollback { .. } => "this mirror is behind or replays old files; set another `uri`",
            Self::Equivocation { .. } => {
                "the signer has signed two states for one instant: compare both Release files, and ask upstream"
            }
            Self::Expired { .. } => "this mirror is no longer updated, or hides updates: set another `uri`",
            Self::TooOld { .. } => {
                "this mirror is no longer updated, or hides updates: set another `uri`; a suite that is released as seldom needs a larger \
                 `max-age-days`, or none"
            }
            Self::Future { .. } => "look at this machine's clock first",
            Self::Identity {
                field: "Suite" | "Codename",
                ..
            } => {
                "upstream released, or renamed this suite, or this is another suite: compare, then take it once with \
                 `assay mirror --allow-release-info-change`; a suite that bears neither name is another one in `suites`"
            }
            Self::Identity { .. } => {
                "upstream changed what it calls itself, or this is another archive: compare, then change the site"
            }
            Self::OutsidePool { .. } => {
                "files outside of `pool/` would stand where other things are: ask upstream, or leave out this component"
            }
            Self::NotOffered { what: "component", .. } => {
                "nothing was changed; correct `components` in this archive's file in `repos/`: upstream may have renamed or dropped one"
            }
            Self::NotOffered { .. } => {
                "nothing was changed; correct `architectures` in this archive's file in `repos/`: upstream may have dropped one"
            }
            Self::NotInPool { .. } => {
                "nothing was changed; upstream removes old files while it is updated: run it again in some minutes. When it stays, this mirror \
                 is incomplete: set another `uri`; or `pool = \"lazy\"`, which fetches what somebody asks for; or, of the file of a source, `sources = false`"
            }
            Self::OnlyCompressed { .. } => {
                "nothing was changed; apt itself finds no package in such a suite: upstream must list the uncompressed index in its Release, \
                 also when it offers the compressed one alone; or take this out of `components`, `architectures` or `indexes`"
            }
            Self::Field { .. } => {
                "nothing was changed; clients tell archives apart by it, and it is not changed on its way: ask upstream"
            }
            Self::NotListed { .. } => "take it out of `components` or `architectures`",
            Self::NoRoom { .. } => {
                "nothing was changed; make room, follow fewer architectures or indexes, or use `pool = \"lazy\"`"
            }
            Self::NoMirror { .. } => "set `uri` in this archive's file, or run `apt-get update` and look at it",
            Self::NotInSnapshots(_) => {
                "only what the index of a kept snapshot names is fetched: compare the path with `apt-get --print-uris`; `assay snapshot list` \
                 prints the snapshots that are kept"
            }
            Self::Format { .. } => {
                "nothing was changed; the file is not as Debian's archives write it: look at it, ask upstream, or leave out the suite"
            }
            Self::TooLarge { .. } => {
                "nothing was changed; no archive is as large: ask upstream, or follow fewer components, architectures or `indexes`"
            }
            Self::OtherHash { .. } => {
                "nothing was changed; upstream's Release contradicts itself, or a weak hash was forged: ask upstream"
            }
            Self::PoolHash { .. } => {
                "the file was not taken, and nothing was changed: apt would refuse it with `Hash Sum mismatch`. Ask upstream for an index that is \
                 right; nobody can have this package before, and no `uri` helps"
            }
            Self::Client(_) => {
                "nothing was changed; this machine has no threads, memory or open files left for it: look at its limits, or follow fewer \
                 archives at once"
            }
            Self::Bug => "nothing was changed; run it again with `-v`, and report what it says",
            Self::Shared { hint, .. } => return hint.clone(),
            Self::Store(source) => return source.hint(),
            Self::Snapshot(source) => return source.hint(),
            Self::Host(source) => return source.hint(),
        };
        Some(text.to_owned())
    }
}

/// What to do about a signed Release that is not accepted: a key is not known or void, or the file is not what
/// upstream signed.
fn not_accepted(source: &TrustError) -> &'static str {
    match source {
        TrustError::Cleartext { .. }
        | TrustError::TooLarge { .. }
        | TrustError::Armor { .. }
        | TrustError::Packet { .. }
        | TrustError::SignatureType { .. }
        | TrustError::HashHeader { .. }
        | TrustError::BadSignature { .. } => {
            "nothing was changed; no key is missing: the file is not as upstream signed it, or never was one that may be taken. A proxy, a \
             login page or a broken mirror on the way does that, or an attacker: look at the file, set another `uri`, or ask upstream"
        }
        TrustError::WeakHash { .. } => {
            "nothing was changed; a signature over such a hash can be forged: ask upstream for a newer one"
        }
        TrustError::Future { .. } => "nothing was changed; look at this machine's clock first",
        _ => {
            "nothing was changed; compare `keyring`, `signers` and `threshold` with what upstream publishes: `signers` has the fingerprints \
             of primary keys, and what subkeys sign counts for theirs"
        }
    }
}
