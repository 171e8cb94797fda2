//! The store: keys, durability, create-if-absent (DESIGN §4).
//!
//! Owns how objects are kept: on a local disk, or in any `object_store`. Knows nothing of what they
//! mean. After a crash every object is there whole or not at all; `create` has one winner ever,
//! among threads, processes and machines.

mod folder;
mod http;
mod local;
mod object;
mod strange;
mod stream;
mod survey;
mod url;

pub use http::{HttpStore, Looked};
pub use local::LocalStore;
pub use object::ObjectStore;
pub use strange::{Oddity, Strange};
pub use survey::{Reading, Survey, Surveyed};
pub use url::{open_store, open_store_to_read};

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use crate::domain::{
    ArchiveName, Coded, Digest, Kind, ObjectName, PoolPath, RelPath, Sha256, SuiteName, TagName, Timestamp,
};

/// The name of an object: segments of `[A-Za-z0-9][A-Za-z0-9.+~_@:,=-]*` joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(ObjectName);

impl Key {
    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// When a segment does not follow the grammar.
    pub fn new(text: impl Into<String>) -> Result<Self, StoreError> {
        ObjectName::new(text).map(Self).map_err(StoreError::Key)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A pool file of an archive.
    #[must_use]
    pub fn pool(archive: &ArchiveName, path: &PoolPath) -> Self {
        Self::joined(&[archive.as_str(), path.as_str()])
    }

    /// A file below `dists/<suite>/` of an archive.
    #[must_use]
    pub fn dists(archive: &ArchiveName, suite: &SuiteName, path: &RelPath) -> Self {
        Self::joined(&[archive.as_str(), "dists", suite.as_str(), path.as_str()])
    }

    /// A file below `dists/<suite>/<name>/` of an archive; `name` is a serial or a tag.
    #[must_use]
    pub fn dists_named(archive: &ArchiveName, suite: &SuiteName, name: &str, path: &RelPath) -> Self {
        Self::joined(&[archive.as_str(), "dists", suite.as_str(), name, path.as_str()])
    }

    /// The bytes of a file below `dists/<suite>/`, under their hash: beside `path`, as apt asks for them.
    #[must_use]
    pub fn by_hash(archive: &ArchiveName, suite: &SuiteName, path: &RelPath, sha256: &Sha256) -> Self {
        let name = Self::hashed(path, sha256);
        Self::joined(&[archive.as_str(), "dists", suite.as_str(), &name])
    }

    /// The same below `dists/<suite>/<name>/`.
    #[must_use]
    pub fn by_hash_named(
        archive: &ArchiveName,
        suite: &SuiteName,
        name: &str,
        path: &RelPath,
        sha256: &Sha256,
    ) -> Self {
        let hashed = Self::hashed(path, sha256);
        Self::joined(&[archive.as_str(), "dists", suite.as_str(), name, &hashed])
    }

    fn hashed(path: &RelPath, sha256: &Sha256) -> String {
        format!("{}by-hash/SHA256/{sha256}", path.folder())
    }

    /// Says which serial an archive is at, where Debian's mirrors say it.
    #[must_use]
    pub fn trace(archive: &ArchiveName) -> Self {
        Self::joined(&[archive.as_str(), "project", "trace", archive.as_str()])
    }

    /// A public document of an archive, by hash: declarations, locks, records, decisions, logs.
    #[must_use]
    pub fn provenance(archive: &ArchiveName, sha256: &Sha256) -> Self {
        Self::joined(&[archive.as_str(), "provenance", "sha256", &sha256.hex()])
    }

    /// Record `n` of an archive.
    #[must_use]
    pub fn record(archive: &ArchiveName, n: u64) -> Self {
        Self::joined(&["state", archive.as_str(), &format!("{n}.json")])
    }

    /// Renewal `k` of snapshot `n` of an archive.
    #[must_use]
    pub fn renewal(archive: &ArchiveName, n: u64, k: u64) -> Self {
        Self::joined(&[
            "state",
            archive.as_str(),
            "renewals",
            &n.to_string(),
            &format!("{k}.json"),
        ])
    }

    /// Entry `k` of what is claimed in an unproven archive: see `publish::claimed`.
    #[must_use]
    pub fn claims(archive: &ArchiveName, k: u64) -> Self {
        Self::joined(&["state", archive.as_str(), "claims", &k.to_string()])
    }

    /// The prefix of an archive's tags, for listing.
    #[must_use]
    pub fn tags(archive: &ArchiveName) -> String {
        format!("state/{archive}/tags")
    }

    /// A tag of an archive.
    #[must_use]
    pub fn tag(archive: &ArchiveName, tag: &TagName) -> Self {
        Self::joined(&["state", archive.as_str(), "tags", &format!("{tag}.json")])
    }

    /// Mark `k` of an archive.
    #[must_use]
    pub fn mark(archive: &ArchiveName, k: u64) -> Self {
        Self::joined(&["state", archive.as_str(), "marks", &format!("{k}.json")])
    }

    /// The second copy of mark `k` of an archive.
    #[must_use]
    pub fn mark_again(archive: &ArchiveName, k: u64) -> Self {
        Self::joined(&["state", archive.as_str(), "said", &format!("{k}.json")])
    }

    /// The prefix of the second copies of an archive's marks, for listing.
    #[must_use]
    pub fn marks_again(archive: &ArchiveName) -> String {
        format!("state/{archive}/said")
    }

    /// The prefix of what is being done to an archive, for listing.
    #[must_use]
    pub fn working_on(archive: &ArchiveName) -> String {
        format!("state/{archive}/working")
    }

    /// The archive key's signature on an entry of its state, by the entry's hash.
    #[must_use]
    pub fn signature(archive: &ArchiveName, entry: &Sha256) -> Self {
        Self::joined(&["state", archive.as_str(), "signatures", &entry.hex()])
    }

    /// An entry that waits for a signature from another machine, by its name.
    ///
    /// # Errors
    /// When the name does not follow the grammar.
    pub fn waiting(archive: &ArchiveName, name: &str) -> Result<Self, StoreError> {
        Self::new(format!("state/{archive}/waiting/{name}.json"))
    }

    /// The prefix of those, for listing.
    #[must_use]
    pub fn all_waiting(archive: &ArchiveName) -> String {
        format!("state/{archive}/waiting")
    }

    /// A signed form of a Release text, by the text's hash, until it is published: `InRelease` or `Release.gpg`.
    ///
    /// # Errors
    /// When the form does not follow the grammar.
    pub fn signed(archive: &ArchiveName, text: &Sha256, form: &str) -> Result<Self, StoreError> {
        Self::new(format!("state/{archive}/waiting/signed/{text}/{form}"))
    }

    /// A file that is not public: build outputs that wait for a decision, by hash.
    #[must_use]
    pub fn held(archive: &ArchiveName, sha256: &Sha256) -> Self {
        Self::joined(&["state", archive.as_str(), "held", "sha256", &sha256.hex()])
    }

    /// A pool file that came anew, before it takes the place of a damaged one. Not public.
    #[must_use]
    pub fn beside(archive: &ArchiveName, sha256: &Sha256) -> Self {
        Self::joined(&["state", archive.as_str(), "beside", &sha256.hex()])
    }

    /// Says that every pool file which this content names is in the store (see `content_digest`).
    #[must_use]
    pub fn filled(archive: &ArchiveName, content: &Sha256) -> Self {
        Self::joined(&["state", archive.as_str(), "filled", &content.hex()])
    }

    /// The prefix of those, for listing.
    #[must_use]
    pub fn all_filled(archive: &ArchiveName) -> String {
        format!("state/{archive}/filled")
    }

    /// Why the last run of a mirror came to nothing: see `upstream::refused`.
    #[must_use]
    pub fn refused(archive: &ArchiveName) -> Self {
        Self::joined(&["state", archive.as_str(), "refused.json"])
    }

    /// What left an archive's snapshots, by hash: see `upstream::left`.
    #[must_use]
    pub fn left(archive: &ArchiveName, sha256: &Sha256) -> Self {
        Self::joined(&["state", archive.as_str(), "left", &sha256.hex()])
    }

    /// The prefix of those, for listing.
    #[must_use]
    pub fn all_left(archive: &ArchiveName) -> String {
        format!("state/{archive}/left")
    }

    /// A signed rebuild record, listed below the declaration it is about.
    #[must_use]
    pub fn evidence(archive: &ArchiveName, declaration: &Sha256, record: &Sha256) -> Self {
        Self::joined(&["state", archive.as_str(), "evidence", &declaration.hex(), &record.hex()])
    }

    /// The SHA-256 that it is named by: the last part of the name, when that is one.
    #[must_use]
    pub fn named_sha256(&self) -> Option<Sha256> {
        self.as_str().rsplit('/').next()?.parse().ok()
    }

    /// Every part was checked by its own type, or is one of the words above.
    fn joined(parts: &[&str]) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "every part comes from a validated type whose grammar is this one's"
        )]
        Self(ObjectName::new(parts.join("/")).expect("validated parts"))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its name.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Timestamp,
    /// Tells objects with several names (`link`) apart, where the store can: what is the same here is
    /// one object, and need be read once only.
    pub object: Option<(u64, u64)>,
}

/// Whether `create` won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is ours.
    Yes,
    /// There was one already, with other bytes.
    No,
}

/// An object that [`Store::stage`] has taken.
#[derive(Debug)]
pub struct Staged {
    key: Key,
    digest: Digest,
    /// What it is called until it is settled; none when it is there already.
    temp: Option<String>,
}

impl Staged {
    fn done(key: &Key, digest: &Digest) -> Self {
        Self {
            key: key.clone(),
            digest: *digest,
            temp: None,
        }
    }

    /// Its size, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.digest.size
    }
}

/// What every backend promises. The conformance suite in `tests/store` states each promise as a test.
///
/// All methods block; call them from threads that may. Once a writing method returns `Ok`, the
/// bytes survive a power loss.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The whole object, of at most `limit` bytes.
    ///
    /// # Errors
    /// `Missing`, `TooLarge`, or the backend's failure.
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError>;

    /// The object as a stream.
    ///
    /// # Errors
    /// `Missing`, or the backend's failure.
    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError>;

    /// What a listing would show of one object; `None` when there is none.
    ///
    /// # Errors
    /// The backend's failure.
    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError>;

    /// Every object whose key starts with `prefix` and a slash (the empty prefix: every object), in
    /// key order.
    ///
    /// # Errors
    /// The backend's failure.
    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError>;

    /// Gives every object below `prefix` to `take`, in no order: what `list` gives, without having all of
    /// it in memory where the store can do that.
    ///
    /// # Errors
    /// The backend's failure.
    fn visit(&self, prefix: &str, take: &mut dyn FnMut(Meta)) -> Result<(), StoreError> {
        self.list(prefix)?.into_iter().for_each(take);
        Ok(())
    }

    /// Whether it can be listed at all. Who can only read it over HTTP knows the names that records say.
    fn has_listings(&self) -> bool {
        true
    }

    /// The folders in the folder `prefix`: the next part of each name that goes on after it; sorted. Without what is
    /// in them, where the store can do that.
    ///
    /// # Errors
    /// The backend's failure.
    fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let above = format!("{prefix}/");
        let mut found = BTreeSet::new();
        self.visit(prefix, &mut |meta| {
            let below = meta.key.as_str().strip_prefix(&above);
            if let Some((folder, _)) = below.and_then(|below| below.split_once('/')) {
                found.insert(folder.to_owned());
            }
        })?;
        Ok(found.into_iter().collect())
    }

    /// Every object below `prefix`, in no order, with the digests of those that `reading` wants: each is
    /// read once, on all cores, however many names it has. Beside them what the store never makes, where it is a folder.
    ///
    /// # Errors
    /// The backend's failure to list; an object that cannot be read has that in the place of its digest.
    fn survey(&self, prefix: &str, reading: &Reading<'_>) -> Result<Survey, StoreError> {
        Ok(Survey {
            objects: survey::of(self.list(prefix)?, reading, &|key| self.open(key)),
            strange: Vec::new(),
        })
    }

    /// Removes every object below `prefix`, and the folders, where the store has folders. Nobody may write
    /// there meanwhile. After a power loss some objects may be there again.
    ///
    /// # Errors
    /// The backend's failure.
    fn delete_all(&self, prefix: &str) -> Result<(), StoreError> {
        self.list(prefix)?.iter().try_for_each(|meta| self.delete(&meta.key))
    }

    /// Creates the object if there is none: one winner ever. An object with the very same bytes
    /// counts as ours (`Yes`), which makes a retry after an unknown outcome safe: callers put a
    /// nonce in what must not be shared.
    ///
    /// # Errors
    /// The backend's failure; the outcome is then unknown, and trying again tells.
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<Created, StoreError>;

    /// Writes an immutable object from a stream, hashing on the way. Nothing appears under the key
    /// unless size and SHA-256 are as said. An object already there is kept when its size is the
    /// same (its name vouches for its bytes; `fsck` rereads them).
    ///
    /// # Errors
    /// `Digest` when the stream is not what was said; the backend's failure.
    fn put_stream(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError>;

    /// As `put_stream`, of bytes that were just hashed.
    ///
    /// # Errors
    /// As `put_stream`.
    fn put_bytes(&self, key: &Key, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_stream(key, digest, &mut &*bytes)
    }

    /// As `put_stream`, for one of many: the object need not be there before [`Store::settle`] has
    /// taken what this gives.
    ///
    /// # Errors
    /// As `put_stream`.
    fn stage(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<Staged, StoreError> {
        self.put_stream(key, digest, stream)?;
        Ok(Staged::done(key, digest))
    }

    /// Makes all of these appear. Their bytes are brought to the disk together and before any name
    /// is there, which costs a fraction of doing it one by one.
    ///
    /// # Errors
    /// The backend's failure: some of them may be there, each whole.
    fn settle(&self, _staged: Vec<Staged>) -> Result<(), StoreError> {
        Ok(())
    }

    /// How many bytes there is room for; none where nobody can say.
    ///
    /// # Errors
    /// The backend's failure.
    fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Replaces a pointer (`InRelease`, a plain index name) atomically.
    ///
    /// # Errors
    /// The backend's failure; readers then see the old bytes or the new.
    fn replace(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes `to` the same object as `from`, replacing what was there: a hard link on a local disk,
    /// a server-side copy elsewhere.
    ///
    /// # Errors
    /// `Missing` when `from` is not there; the backend's failure.
    fn link(&self, from: &Key, to: &Key) -> Result<(), StoreError>;

    /// Whether two names are one object, as `link` makes them; none where the store cannot tell
    /// without reading both.
    ///
    /// # Errors
    /// The backend's failure.
    fn is_same(&self, a: &Key, b: &Key) -> Result<Option<bool>, StoreError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// The backend's failure.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// Where the object is on this machine's disk, when it is: for servers and programs that can
    /// read it there.
    fn local_path(&self, key: &Key) -> Option<PathBuf>;
}

/// The digest of an object's stream, read once and kept nowhere.
///
/// # Errors
/// When the stream breaks.
pub fn hash_stream(key: &Key, stream: impl Read) -> Result<Digest, StoreError> {
    hash_through(key, stream, &mut vec![0; HASHED])
}

/// As `hash_stream`, through room that the caller has: for one of many.
///
/// # Errors
/// When the stream breaks.
pub fn hash_through(key: &Key, mut stream: impl Read, buffer: &mut [u8]) -> Result<Digest, StoreError> {
    use sha2::Digest as _;
    let failed = |source: std::io::Error| StoreError::Backend {
        act: "read",
        key: key.to_string(),
        source: source.into(),
    };
    let mut hasher = sha2::Sha256::new();
    let mut size = 0_u64;
    loop {
        match stream.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                size = size.saturating_add(count as u64);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(Digest {
        sha256: Sha256::from_bytes(hasher.finalize().into()),
        size,
    })
}

/// Bytes that are read at once: many for large objects, and no burden for small ones.
pub const HASHED: usize = 32 << 10;

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key outside the grammar.
    #[error("bad object name: {0}")]
    Key(#[source] crate::domain::DomainError),
    /// No such object.
    #[error("`{0}` is not in the store")]
    Missing(Key),
    /// Larger than the reader takes.
    #[error("`{key}` is larger than {limit} bytes")]
    TooLarge {
        /// Which object.
        key: Key,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not the ones that were said.
    #[error("`{key}`: the bytes are {found}, not {expected}")]
    Digest {
        /// Which object.
        key: Key,
        /// What was said.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// An immutable object is there with other bytes.
    #[error("`{0}` is already there with other bytes")]
    Different(Key),
    /// The store's URL is of no known kind.
    #[error("the store `{url}` cannot be opened: {why}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A store that must be there is not.
    #[error("there is no store at `{0}`: it is not a folder")]
    Absent(String),
    /// Something else is where an object would be.
    #[error("cannot {act} `{key}`: {what} is there or on the way there, which the store never makes")]
    Strange {
        /// What was tried.
        act: &'static str,
        /// On which object.
        key: String,
        /// What is there.
        what: Oddity,
    },
    /// The backend failed.
    #[error("cannot {act} `{key}`: {source}")]
    Backend {
        /// What was tried.
        act: &'static str,
        /// On which object.
        key: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// The code of `Missing`.
    pub const MISSING: &'static str = "E-STORE-002";
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "E-STORE-001",
            Self::Missing(_) => Self::MISSING,
            Self::TooLarge { .. } => "E-STORE-003",
            Self::Digest { .. } => "E-STORE-004",
            Self::Different(_) => "E-STORE-005",
            Self::Url { .. } => "E-STORE-006",
            Self::Backend { .. } => "E-STORE-007",
            Self::Absent(_) => "E-STORE-008",
            Self::Strange { .. } => "E-STORE-009",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Key(_) | Self::Url { .. } => Kind::Usage,
            Self::Digest { .. } | Self::Different(_) | Self::TooLarge { .. } | Self::Strange { .. } => {
                Kind::Verification
            }
            Self::Missing(_) | Self::Absent(_) | Self::Backend { .. } => Kind::Environment,
        }
    }
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Key(_) => {
                "names have segments of letters, digits and `.+~_@:,=-`, which begin with a letter or digit"
            }
            Self::Missing(key) if key.as_str().contains("/held/sha256/") => {
                "what rebuilds gave, and the gate reads when it decides: `assay rebuild NAME` gives it again, or put it back from a copy of the store"
            }
            Self::Missing(_) => {
                "`assay fsck` names all that is missing; what a mirror's upstream still has, `assay fsck --repair` fetches again"
            }
            Self::TooLarge { .. } => "no such file of ours is as large: `assay fsck` says what is damaged",
            Self::Digest { .. } => {
                "nothing was kept of it: run this again; when it stays, look at what it comes from, and at this machine's memory and disk"
            }
            Self::Different(_) => {
                "what is written once stays: `assay fsck` says whether it is damaged; only then remove it, and run this again"
            }
            Self::Url { .. } => "`store` in assay.toml is a folder, or `file:///…`; to read only, also `http://…`",
            Self::Backend { .. } => {
                "look at the disk or server that the store is on (room, permissions, read-only), and run this again: it goes on where it ended"
            }
            Self::Strange { .. } => {
                "somebody put it there: `assay verify` names all such; remove it; what a mirror's upstream still has, `assay fsck --repair` \
                 puts in its place"
            }
            Self::Absent(_) => "name the folder that the store is in; the first snapshot makes the site's own",
        };
        Some(text.to_owned())
    }
}
