//! Carrying out the plan.

use std::collections::BTreeSet;
use std::io::Read;

use super::plan::{How, INRELEASE, constant, staged};
use super::reader::{read_as_clients, said_before, signed_before};
use super::{PublishError, Release, ReleaseSigner, Step, check_vouched, load_vouched, plan};
use crate::domain::{ArchiveName, Digest, Sha256, SnapshotId, SuiteName, TagName};
use crate::index::release::{Terms, release_text};
use crate::snapshot::{Chain, Edition, EditionName, Marks, Record, Renewal, SuiteState, TagRecord};
use crate::store::{Created, Key, Store, StoreError, hash_stream};

/// apt's `Acquire::MaxReleaseFileSize`.
pub(super) const LARGEST_INRELEASE: u64 = 10_000_000;

/// What is public now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Whose.
    pub archive: ArchiveName,
    /// Which snapshot.
    pub id: SnapshotId,
    /// Its serial, or the tag.
    pub name: EditionName,
    /// Its suites.
    pub suites: Vec<PublishedSuite>,
    /// How many objects were written: none when all was there already.
    pub written: u64,
    /// Whether its Release files still lead to snapshots below the `public-url` of before.
    pub former_url: bool,
}

/// One published suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSuite {
    /// Its name.
    pub suite: SuiteName,
    /// Its signed Release file, which a client can pin by hash.
    pub inrelease: Digest,
}

/// Whether the newest edition of an archive is published: its serial and Date are in the trace, which
/// is written last of all.
///
/// # Errors
/// The store's failure.
pub fn is_published(store: &dyn Store, newest: &Edition) -> Result<bool, PublishError> {
    let wanted = super::plan::trace(newest);
    match store.get(&Key::trace(&newest.archive), wanted.len() as u64) {
        Ok(found) => Ok(found == wanted),
        Err(StoreError::Missing(_) | StoreError::TooLarge { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Publishes the newest snapshot when somebody committed it and was killed before it was published; none when it is.
///
/// # Errors
/// As [`publish`].
pub fn finish(
    store: &dyn Store,
    chain: &Chain,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Option<Published>, PublishError> {
    match chain.latest_edition() {
        Some(newest) if !is_published(store, &newest)? => publish(store, chain.archive(), signer, public_url).map(Some),
        _ => Ok(None),
    }
}

/// Publishes the newest snapshot of an archive, and those before it whose publishing a crash cut
/// short. Safe beside other writers: whoever ends last leaves the newest.
///
/// `public_url` is the site's, below which clients find the archive.
///
/// # Errors
/// When an index is missing or damaged: no InRelease that would name it has moved then; the
/// signer's or the store's failure: calling it again finishes.
pub fn publish(
    store: &dyn Store,
    archive: &ArchiveName,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let mut written = 0;
    loop {
        let chain = load_vouched(store, archive, &signer.keyring()?)?;
        let latest = chain.latest().ok_or_else(|| PublishError::Nothing(archive.clone()))?;
        let mut published = publish_record(store, &chain, latest, signer, public_url)?;
        // A record that came meanwhile may have been published under our hands. What we wrote after
        // it is older: it is on us to publish that record again.
        if store.head(&Key::record(archive, chain.next_number()))?.is_some() {
            written += published.written;
            continue;
        }
        for record in cut_short(store, &chain)? {
            written += publish_record(store, &chain, &record, signer, public_url)?.written;
        }
        published.written += written;
        return Ok(published);
    }
}

/// Publishes every snapshot and tag of an archive again that was not let go, and the newest as `publish` does:
/// names that were lost come back as long as the bytes are there. Gives how many objects were written.
///
/// # Errors
/// As `publish`; what is wrong with any record.
pub fn publish_all(
    store: &dyn Store,
    archive: &ArchiveName,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<u64, PublishError> {
    let mut written = 0;
    let marks = Marks::load(store, archive)?;
    let there = |name: EditionName| marks.gone(&name).is_none();
    let chain = load_vouched(store, archive, &signer.keyring()?)?;
    for record in chain.records(store) {
        let record = record?;
        if record.n != chain.len() && there(EditionName::Serial(record.serial.clone())) {
            written += publish_record(store, &chain, &record, signer, public_url)?.written;
        }
    }
    for tag in TagRecord::all(store, archive)? {
        if there(EditionName::Tag(tag.tag.clone())) {
            written += publish_tag(store, archive, &tag.tag, signer, public_url)?.written;
        }
    }
    Ok(written + publish(store, archive, signer, public_url)?.written)
}

/// Publishes one snapshot as its newest renewal has it; as the head too when it is the chain's latest.
///
/// # Errors
/// As `publish`.
pub fn publish_record(
    store: &dyn Store,
    chain: &Chain,
    record: &Record,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let newest = chain.latest().is_some_and(|latest| latest.n == record.n);
    let mut written = 0;
    loop {
        let renewal = Renewal::newest(store, record)?;
        if let Some(renewal) = &renewal {
            check_vouched(store, renewal, &signer.keyring()?)?;
        }
        // What was published before was read whole then.
        let before = chain.before(store, record)?;
        let known = match (&renewal, &before) {
            (Some(_), _) => objects(&record.suites),
            (None, before) => before
                .as_ref()
                .map(|before| objects(&before.suites))
                .unwrap_or_default(),
        };
        let edition = Edition::of_record(record, renewal.as_ref());
        let stale = before.map(|before| stale(&before, &edition)).unwrap_or_default();
        let outcome = project(store, &edition, (newest, &stale), &known, signer, public_url);
        // As above: what we read back may be newer, and it is on us to publish the newer renewal again.
        if let Some((n, k)) = edition.number
            && store
                .head(&Key::renewal(&edition.archive, n, k.saturating_add(1)))?
                .is_some()
        {
            written += outcome.map_or(0, |published| published.written);
            continue;
        }
        let overtaken = newest
            && store
                .head(&Key::record(&edition.archive, chain.next_number()))?
                .is_some();
        let mut published = match outcome {
            // The newer record's writer moved names that we then read back.
            Err(PublishError::Missing(_) | PublishError::Damaged { .. }) if overtaken => unfinished(&edition),
            done => done?,
        };
        published.written += written;
        return Ok(published);
    }
}

/// Publishes a tag.
///
/// # Errors
/// As `publish`; `NotFound`.
pub fn publish_tag(
    store: &dyn Store,
    archive: &ArchiveName,
    tag: &TagName,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let tag = TagRecord::load(store, archive, tag)?;
    check_vouched(store, &tag, &signer.keyring()?)?;
    project(
        store,
        &Edition::of_tag(&tag),
        (false, &[]),
        &known(&tag),
        signer,
        public_url,
    )
}

/// Checks that all that a tag consists of is in the store, as publishing it does.
pub(super) fn check_tag(store: &dyn Store, tag: &TagRecord) -> Result<(), PublishError> {
    let (edition, known) = (Edition::of_tag(tag), known(tag));
    for state in &edition.suites {
        execute(store, &staged(&edition, state, &known))?;
    }
    Ok(())
}

/// What was read whole when the snapshot was published that a tag is of.
fn known(tag: &TagRecord) -> BTreeSet<Sha256> {
    if tag.partial {
        BTreeSet::new()
    } else {
        objects(&tag.suites)
    }
}

/// The names at the head that the snapshot before had of the same suites, and an edition has not. A suite that went keeps
/// its head until `gc`.
fn stale(before: &Record, edition: &Edition) -> Vec<Key> {
    let mut before = Edition::of_record(before, None);
    let is_there = |state: &SuiteState| edition.suites.iter().any(|there| there.suite == state.suite);
    before.suites.retain(is_there);
    let heads =
        |edition: &Edition| -> BTreeSet<Key> { edition.files().into_iter().filter_map(|file| file.head).collect() };
    heads(&before).difference(&heads(edition)).cloned().collect()
}

fn unfinished(edition: &Edition) -> Published {
    Published {
        archive: edition.archive.clone(),
        id: edition.id.clone(),
        name: edition.name.clone(),
        suites: Vec::new(),
        written: 0,
        former_url: false,
    }
}

/// What suites consist of, by hash.
fn objects(suites: &[SuiteState]) -> BTreeSet<Sha256> {
    let indexes = suites
        .iter()
        .flat_map(|state| &state.indexes)
        .map(|index| index.digest.sha256);
    let upstream = suites.iter().filter_map(|state| state.upstream.as_ref());
    let proofs = upstream.flat_map(|upstream| {
        let theirs = upstream.indexes.iter().map(|index| index.digest.sha256);
        theirs.chain([upstream.inrelease.sha256])
    });
    indexes.chain(proofs).collect()
}

fn project(
    store: &dyn Store,
    edition: &Edition,
    (newest, stale): (bool, &[Key]),
    known: &BTreeSet<Sha256>,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let mut releases = Vec::new();
    let (mut suites, mut former_url) = (Vec::new(), false);
    let keyring = signer.keyring()?;
    for state in &edition.suites {
        let release = signed_release(store, edition, state, signer, public_url)?;
        read_as_clients(state, &release, &keyring)?;
        former_url |= release.text != release_of(edition, state, public_url);
        suites.push(PublishedSuite {
            suite: state.suite.clone(),
            inrelease: Digest::of(&release.signed.inrelease),
        });
        releases.push(release);
    }
    let steps = plan(edition, &releases, (newest, stale), known);
    let mut found_again = 0;
    let written = loop {
        match execute(store, &steps) {
            Err(PublishError::Missing(lost)) if find_again(store, &steps, &lost)? => found_again += 1,
            done => break done?,
        }
    };
    Ok(Published {
        archive: edition.archive.clone(),
        id: edition.id.clone(),
        name: edition.name.clone(),
        suites,
        written: written + found_again,
        former_url,
    })
}

/// Gives an object back the name by its hash that it lost, when it has its bytes under another one. Each time
/// one object less is lost.
fn find_again(store: &dyn Store, steps: &[Step], lost: &Key) -> Result<bool, StoreError> {
    for step in steps {
        if let Step::Link { from, to, digest } = step
            && from == lost
            && found(store, to, digest.size)? == Some(*digest)
        {
            store.link(to, from)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn signed_release(
    store: &dyn Store,
    edition: &Edition,
    state: &SuiteState,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Release, PublishError> {
    let text = release_of(edition, state, public_url);
    if let Some(said) = said_before(store, edition, state, &text, &signer.keyring()?) {
        return Ok(said);
    }
    let before = match signer.repeats() {
        true => None,
        false => signed_before(store, edition, state, &text, &signer.keyring()?),
    };
    let signed = match before {
        Some(signed) => signed,
        None => signer.sign(&text, state.date)?,
    };
    let size = signed.inrelease.len() as u64;
    if size > LARGEST_INRELEASE {
        return Err(PublishError::TooLarge {
            suite: state.suite.clone(),
            size,
            limit: LARGEST_INRELEASE,
        });
    }
    Ok(Release { text, signed })
}

/// The Release file of one suite of an edition, as it is signed.
pub(super) fn release_of(edition: &Edition, state: &SuiteState, public_url: &str) -> Vec<u8> {
    let snapshots = snapshots_url(&edition.archive, public_url);
    release_text(state, &Terms::of(edition, snapshots.as_deref()))
}

/// What apt puts a snapshot's id into. Only a server can answer it: files on a disk cannot.
pub(crate) fn snapshots_url(archive: &ArchiveName, public_url: &str) -> Option<String> {
    let base = public_url.trim_end_matches('/');
    let served = base.starts_with("http://") || base.starts_with("https://");
    served.then(|| format!("{base}/{archive}/@SNAPSHOTID@/"))
}

/// The records before the latest that nobody finished publishing, newest first. Everyone finishes
/// what he finds, so that the first finished one ends the search.
fn cut_short(store: &dyn Store, chain: &Chain) -> Result<Vec<Record>, PublishError> {
    let marks = Marks::load(store, chain.archive())?;
    let mut found = Vec::new();
    let mut next = chain.latest().cloned();
    while let Some(record) = next {
        next = chain.before(store, &record)?;
        match &next {
            // It was public, or nobody needs it.
            Some(before) if marks.gone(&EditionName::Serial(before.serial.clone())).is_some() => break,
            Some(before) if !is_public(store, before)? => found.push(before.clone()),
            _ => break,
        }
    }
    Ok(found)
}

fn is_public(store: &dyn Store, record: &Record) -> Result<bool, StoreError> {
    for state in &record.suites {
        let key = Key::dists_named(
            &record.archive,
            &state.suite,
            record.serial.as_str(),
            &constant(INRELEASE),
        );
        if store.head(&key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does the steps in order; gives the number of objects written.
fn execute(store: &dyn Store, steps: &[Step]) -> Result<u64, PublishError> {
    let mut written = 0;
    for step in steps {
        match step {
            Step::Check { key, digest, how } => check(store, key, digest, how)?,
            Step::Link { from, to, digest } => {
                if !is_linked(store, from, to, digest)? {
                    store.link(from, to)?;
                    written += 1;
                }
            }
            Step::Create { key, bytes } => {
                if store.head(key)?.is_none() {
                    written += 1;
                }
                if store.create(key, bytes)? == Created::No {
                    return Err(StoreError::Different(key.clone()).into());
                }
            }
            Step::Replace { key, bytes } => {
                if found(store, key, bytes.len() as u64)? != Some(Digest::of(bytes)) {
                    store.replace(key, bytes)?;
                    written += 1;
                }
            }
            Step::Remove(key) => {
                if store.head(key)?.is_some() {
                    store.delete(key)?;
                    written += 1;
                }
            }
            Step::StopIfThere(key) => {
                if store.head(key)?.is_some() {
                    break;
                }
            }
        }
    }
    Ok(written)
}

fn check(store: &dyn Store, key: &Key, expected: &Digest, how: &How) -> Result<(), PublishError> {
    let found = match how {
        How::Size => match store.head(key)? {
            Some(meta) if meta.size == expected.size => return Ok(()),
            _ => found(store, key, expected.size)?,
        },
        How::Linked(from) if is_linked(store, from, key, expected)? => return Ok(()),
        How::Read | How::Linked(_) => found(store, key, expected.size)?,
    };
    match found {
        None => Err(PublishError::Missing(key.clone())),
        Some(found) if found != *expected => Err(PublishError::Damaged {
            key: key.clone(),
            expected: *expected,
            found,
        }),
        Some(_) => Ok(()),
    }
}

/// Whether `to` is `from`, or has its bytes.
fn is_linked(store: &dyn Store, from: &Key, to: &Key, digest: &Digest) -> Result<bool, StoreError> {
    match store.is_same(from, to)? {
        Some(same) => Ok(same),
        None => Ok(found(store, to, digest.size)? == Some(*digest)),
    }
}

/// What is under a name, as far as it can still be what has `size` bytes; none when nothing is.
fn found(store: &dyn Store, key: &Key, size: u64) -> Result<Option<Digest>, StoreError> {
    let stream = match store.open(key) {
        Ok(stream) => stream,
        Err(StoreError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    hash_stream(key, stream.take(size.saturating_add(1))).map(Some)
}
