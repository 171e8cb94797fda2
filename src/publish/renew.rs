//! What is made beside snapshots: renewals and tags. Each is signed, committed, then published; after
//! a crash in between, making it again finishes.

use std::collections::BTreeMap;

use super::project::{LARGEST_INRELEASE, check_tag, publish_record, publish_tag};
use super::{PublishError, Published, ReleaseSigner, check_vouched, commit, commit_in_time};
use crate::domain::{RelPath, Sha256, SuiteName, TagName, Timestamp};
use crate::snapshot::{
    Chain, Committed, Edition, EditionName, Entry as _, Made, Marks, Record, Renewal, SnapshotError, SuiteState,
    TagRecord, TaggedRecord, content_digest,
};
use crate::store::{Key, Store, StoreError};
use crate::trust::{Keyring, Requirement, verify_old_inrelease};

/// How often one writer starts over because others were faster.
const ATTEMPTS: u32 = 20;

/// Renews a snapshot: a new Date and Valid-Until, `made.valid_days` from now, over the same indexes.
///
/// # Errors
/// `Shorter` when it would run out earlier than now, unless `shorten`; `NotVouched`; `Ahead`; as `publish`.
pub fn renew(
    store: &dyn Store,
    chain: &Chain,
    record: &Record,
    shorten: bool,
    made: Made<'_>,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let keyring = signer.keyring()?;
    check_vouched(store, record, &keyring)?;
    for _ in 0..ATTEMPTS {
        let before = Renewal::newest(store, record)?;
        if let Some(before) = &before {
            check_vouched(store, before, &keyring)?;
        }
        let Some(days) = made.valid_days else { break };
        let mut renewal = Renewal::next(record, before.as_ref(), days, made.by, made.nonce, made.now)?;
        renewal.signed_by = signer.signed_by().to_vec();
        renewal.replaced = pinned(store, &Edition::of_record(record, before.as_ref()), &keyring, made.now)?;
        let until = Edition::of_record(record, before.as_ref()).valid_until();
        if let Some(until) = until.filter(|until| !shorten && *until > renewal.date.plus_days(days)) {
            return Err(PublishError::Shorter {
                name: record.serial.to_string(),
                until,
            });
        }
        if commit_in_time(store, &renewal, made.clock, signer)? == Committed::Yes {
            return publish_record(store, chain, record, signer, public_url);
        }
    }
    Err(PublishError::Busy(ATTEMPTS))
}

/// The InRelease of each suite that clients read of an edition, and can pin: what else is in its place they would not take.
fn pinned(
    store: &dyn Store,
    edition: &Edition,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<BTreeMap<SuiteName, Sha256>, PublishError> {
    let mut pinned = BTreeMap::new();
    let (name, Ok(path)) = (edition.name.as_str(), RelPath::new("InRelease")) else {
        return Ok(pinned);
    };
    for SuiteState { suite, date, .. } in &edition.suites {
        let key = Key::dists_named(&edition.archive, suite, name, &path);
        let inrelease = match store.get(&key, LARGEST_INRELEASE) {
            Ok(inrelease) => inrelease,
            Err(StoreError::Missing(_) | StoreError::TooLarge { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let sha256 = Sha256::of(&inrelease);
        let requirement = Requirement {
            keyring,
            threshold: 1,
            now: now.max(*date),
        };
        let by_hash = Key::by_hash_named(&edition.archive, suite, name, &path, &sha256);
        if verify_old_inrelease(&inrelease, &requirement).is_ok() && store.head(&by_hash)?.is_some() {
            pinned.insert(suite.clone(), sha256);
        }
    }
    Ok(pinned)
}

/// Publishes a renewed snapshot again, when whoever renewed it was killed before clients could see that. Whether that was to
/// be done. The newest snapshot is for [`super::finish`].
///
/// # Errors
/// As `publish`.
pub fn finish_renewal(
    store: &dyn Store,
    chain: &Chain,
    record: &Record,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<bool, PublishError> {
    let Some(renewal) = Renewal::newest(store, record)? else {
        return Ok(false);
    };
    if is_shown(store, &Edition::of_record(record, Some(&renewal)))? {
        return Ok(false);
    }
    publish_record(store, chain, record, signer, public_url)?;
    Ok(true)
}

/// Whether all suites below an edition's name have its Date: a later renewal has a later one, and InRelease is written last.
fn is_shown(store: &dyn Store, edition: &Edition) -> Result<bool, PublishError> {
    let Ok(path) = RelPath::new("InRelease") else {
        return Ok(false);
    };
    for state in &edition.suites {
        let key = Key::dists_named(&edition.archive, &state.suite, edition.name.as_str(), &path);
        let inrelease = match store.get(&key, LARGEST_INRELEASE) {
            Ok(bytes) => bytes,
            Err(StoreError::Missing(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let date = format!("Date: {}", state.date.release_date());
        if !inrelease
            .split(|byte| *byte == b'\n')
            .any(|line| line == date.as_bytes())
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What becomes a tag.
#[derive(Debug, Clone)]
pub struct Tagging<'a> {
    /// The name.
    pub tag: &'a TagName,
    /// The snapshot that it is made from.
    pub of: &'a Record,
    /// The suites: the snapshot's own, or what a manifest names of them.
    pub suites: Vec<SuiteState>,
    /// Whether packages were left out.
    pub partial: bool,
}

/// Whether a tag would be new; it is not when it is there with the same content.
///
/// # Errors
/// `TagTaken` when it is there with other content; `TagGone` when it was: it does not come again. When its folder would be
/// one of the newest snapshot's.
pub fn is_new_tag(store: &dyn Store, what: &Tagging<'_>) -> Result<bool, PublishError> {
    let (archive, edition) = (&what.of.archive, EditionName::Tag(what.tag.clone()));
    if let Some(at) = Marks::load(store, archive)?.gone(&edition) {
        let tag = what.tag.clone();
        return Err(PublishError::TagGone { tag, at });
    }
    match TagRecord::find(store, archive, what.tag)? {
        None => {
            if let Some(newest) = Chain::load(store, archive)?.latest() {
                TagRecord::check_apart(archive, what.tag, &what.suites, &newest.suites)?;
            }
            Ok(true)
        }
        Some(found)
            if found.partial == what.partial && content_digest(&found.suites) == content_digest(&what.suites) =>
        {
            Ok(false)
        }
        Some(_) => Err(PublishError::TagTaken(what.tag.clone())),
    }
}

/// Tags a state of an archive and publishes it, without a Valid-Until. Whether the tag is new: one
/// that is there with the same content is published again, which changes nothing.
///
/// # Errors
/// `TagTaken` when the tag is there with other content; `NotVouched`; as `publish`, and when an index is missing or
/// damaged there is no tag.
pub fn tag(
    store: &dyn Store,
    what: Tagging<'_>,
    made: Made<'_>,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<(Published, bool), PublishError> {
    check_vouched(store, what.of, &signer.keyring()?)?;
    let (archive, name) = (what.of.archive.clone(), what.tag.clone());
    let new = is_new_tag(store, &what)?;
    if new {
        let record = tag_record(what, made)?;
        // Else there were a tag that nobody can read until its snapshot is mended.
        check_tag(store, &record)?;
        if commit(store, &record, signer)? == Committed::Conflict {
            return Err(PublishError::TagTaken(name));
        }
    }
    Ok((publish_tag(store, &archive, &name, signer, public_url)?, new))
}

fn tag_record(what: Tagging<'_>, made: Made<'_>) -> Result<TagRecord, SnapshotError> {
    let record = TagRecord {
        format: 1,
        archive: what.of.archive.clone(),
        tag: what.tag.clone(),
        id: crate::domain::SnapshotId::at(made.now),
        of: TaggedRecord {
            n: what.of.n,
            serial: what.of.serial.clone(),
            record: what.of.identity()?,
        },
        partial: what.partial,
        reason: made.reason.to_owned(),
        made_by: made.by.to_owned(),
        nonce: made.nonce.to_owned(),
        suites: dated(what.suites, made.now),
    };
    record.check()?;
    Ok(record)
}

fn dated(mut suites: Vec<SuiteState>, now: crate::domain::Timestamp) -> Vec<SuiteState> {
    for state in &mut suites {
        state.date = now;
        state.indexes.sort_by(|a, b| a.path.cmp(&b.path));
    }
    suites.sort_by(|a, b| a.suite.cmp(&b.suite));
    suites
}
