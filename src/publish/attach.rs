//! Taking over what was signed on another machine: all of it is checked, then kept, and only then committed.
//!
//! Killed at any point: before the entry is created clients have the old state, after it the next run finishes, without
//! the folder that the signatures came in.

use std::collections::BTreeMap;

use super::project::{publish, publish_record, publish_tag};
use super::reader::read_as_clients;
use super::waiting::{LARGEST, Stage, Waiting, What, edition, entry_date, forget, release_path, waiting};
use super::{PublishError, Release, ReleaseSigner as _, Signed, Signers};
use crate::domain::{ArchiveName, Fingerprint, Sha256, Timestamp};
use crate::host::Clock;
use crate::snapshot::{Chain, Committed, Marks, commit as create, index_key};
use crate::store::{Key, Store};
use crate::trust::{Keyring, Requirement, Verified, latest_date, verify_inrelease, verify_release_gpg};

/// How far ahead of clients a signature may be, in seconds: what sqv allows.
const SKEW: i64 = 10;

/// What was signed elsewhere over one file: nothing of it is believed before it was checked.
#[derive(Debug, Clone, Default)]
pub struct Brought {
    /// The text, clearsigned.
    pub clearsigned: Vec<Vec<u8>>,
    /// Detached signatures.
    pub detached: Vec<Vec<u8>>,
}

impl Brought {
    /// Takes a file that somebody signed, whichever form it has.
    pub fn add(&mut self, bytes: Vec<u8>) {
        match bytes.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
            true => self.clearsigned.push(bytes),
            false => self.detached.push(bytes),
        }
    }
}

/// Commits and publishes those entries that were signed elsewhere: `named` are those that were given away, by their
/// SHA-256, with their places; and `brought` has by the path of each file what signed it. What was given away and has been taken over already
/// is published to its end.
///
/// # Errors
/// `Moved` when one of them does not wait any more; `Unsigned` when a signature is missing, wrong or by somebody else:
/// nothing has moved then. As `publish` afterwards: calling it again finishes.
pub fn attach(
    store: &dyn Store,
    archive: &ArchiveName,
    signers: &Signers,
    named: &BTreeMap<Sha256, Key>,
    brought: &BTreeMap<String, Brought>,
    public_url: &str,
) -> Result<Vec<String>, PublishError> {
    let mut taken = waiting(store, archive, signers, public_url)?;
    taken.retain(|waiting| named.contains_key(&waiting.sha256));
    let moved = |title: Option<&Waiting>| PublishError::Moved {
        archive: archive.clone(),
        title: title.map(|waiting| waiting.title.clone()),
    };
    if let Some(late) = taken.iter().find(|waiting| waiting.is_late()) {
        return Err(moved(Some(late)));
    }
    for (sha256, key) in named
        .iter()
        .filter(|(sha256, _)| taken.iter().all(|waiting| waiting.sha256 != **sha256))
    {
        // A run before was killed when all was done but to forget that it waited.
        if !matches!(store.get(key, LARGEST), Ok(there) if Sha256::of(&there) == *sha256) {
            return Err(moved(None));
        }
    }
    let mut checked = Vec::new();
    for waiting in &taken {
        checked.push(match waiting.is_open() {
            true => Some(check(waiting, signers, brought)?),
            false => None,
        });
        is_whole(store, archive, waiting)?;
    }
    // All is good. What is kept now is found by every later run, should this one be killed.
    for (waiting, signed) in taken.iter().zip(&checked) {
        let releases = signed.iter().flat_map(|signed| &signed.releases);
        for ((_, text), release) in waiting.releases.iter().zip(releases) {
            let sha256 = Sha256::of(text);
            store.replace(&Key::signed(archive, &sha256, "Release.gpg")?, &release.release_gpg)?;
            store.replace(&Key::signed(archive, &sha256, "InRelease")?, &release.inrelease)?;
        }
    }
    let mut titles = Vec::new();
    for (waiting, signed) in taken.iter().zip(&checked) {
        if let (Stage::Next, Some(signed)) = (waiting.stage, signed) {
            let signature = Key::signature(archive, &waiting.sha256);
            store.replace(&signature, &signed.statement)?;
            if commit(store, &waiting.what)? == Committed::Conflict {
                return Err(moved(Some(waiting)));
            }
        }
        publish_one(store, archive, waiting, signers, public_url)?;
        // Of what was there before, its own signature is the last to change (see `resign`).
        if let (Stage::Anew, Some(signed)) = (waiting.stage, signed) {
            store.replace(&Key::signature(archive, &waiting.sha256), &signed.statement)?;
        }
        titles.push(waiting.title.clone());
    }
    for waiting in &taken {
        for (_, text) in &waiting.releases {
            for form in ["InRelease", "Release.gpg"] {
                store.delete(&Key::signed(archive, &Sha256::of(text), form)?)?;
            }
        }
        forget(store, archive, waiting)?;
    }
    Ok(titles)
}

/// Before the record is there that names them: each index is still in the store. Publishing reads them whole.
fn is_whole(store: &dyn Store, archive: &ArchiveName, waiting: &Waiting) -> Result<(), PublishError> {
    let edition = edition(&waiting.what).filter(|_| waiting.stage == Stage::Next);
    for state in edition.iter().flat_map(|edition| &edition.suites) {
        for index in state.indexes.iter().filter(|index| index.kept) {
            let key = index_key(archive, &state.suite, index);
            match store.head(&key)? {
                Some(meta) if meta.size == index.digest.size => {}
                _ => return Err(PublishError::Missing(key)),
            }
        }
    }
    Ok(())
}

fn commit(store: &dyn Store, what: &What) -> Result<Committed, PublishError> {
    Ok(match what {
        What::Record(entry) => create(store, entry),
        What::Tag(entry) => create(store, entry),
        What::Renewal(entry, _) => create(store, entry),
        What::Mark(entry) => {
            let done = create(store, entry)?;
            Marks::load(store, &entry.archive)?.copy(store, &entry.archive)?;
            Ok(done)
        }
    }?)
}

fn publish_one(
    store: &dyn Store,
    archive: &ArchiveName,
    waiting: &Waiting,
    signers: &Signers,
    public_url: &str,
) -> Result<(), PublishError> {
    match &waiting.what {
        What::Record(_) if waiting.stage != Stage::Anew => {
            publish(store, archive, signers, public_url)?;
        }
        What::Tag(tag) => {
            publish_tag(store, archive, &tag.tag, signers, public_url)?;
        }
        What::Renewal(_, of) if waiting.stage != Stage::Anew => {
            let chain = Chain::load(store, archive)?;
            publish_record(store, &chain, of, signers, public_url)?;
        }
        What::Record(_) | What::Renewal(..) | What::Mark(_) => {}
    }
    Ok(())
}

/// The signatures of one entry.
struct Checked {
    statement: Vec<u8>,
    releases: Vec<Signed>,
}

/// Puts together what was signed here and elsewhere; each key must have signed, and nobody else, these very bytes.
fn check(waiting: &Waiting, signers: &Signers, brought: &BTreeMap<String, Brought>) -> Result<Checked, PublishError> {
    let (keyring, none) = (signers.keyring()?, Brought::default());
    let of = |path: &str| brought.get(path).unwrap_or(&none);
    let at = entry_date(&waiting.what);
    let path = format!("{}/statement", waiting.name);
    let detach = |path: &str, data: &[u8], at: Timestamp| -> Result<Vec<u8>, PublishError> {
        let bad = |why: String| unsigned(waiting, path, why);
        let signature = signers
            .detach_with(data, at, &of(path).detached)
            .map_err(|error| bad(error.to_string()))?;
        let requirement = on_its_day(&keyring, latest_date(&signature), at).map_err(bad)?;
        let verified = verify_release_gpg(data, &signature, &requirement, false);
        by_each(&verified.map_err(|error| bad(error.to_string()))?, &keyring).map_err(bad)?;
        Ok(signature)
    };
    let statement = detach(&path, &waiting.statement, at)?;
    let mut releases = Vec::new();
    let edition = edition(&waiting.what);
    let states = edition.iter().flat_map(|edition| &edition.suites);
    for ((suite, text), state) in waiting.releases.iter().zip(states) {
        let path = release_path(&waiting.name, suite);
        let bad = |why: String| unsigned(waiting, &path, why);
        let inrelease = signers.clearsign_with(text, state.date, &of(&path).clearsigned);
        let inrelease = inrelease.map_err(|error| bad(error.to_string()))?;
        let requirement = on_its_day(&keyring, latest_date(&inrelease), state.date).map_err(bad)?;
        let verified = verify_inrelease(&inrelease, &requirement).map_err(|error| bad(error.to_string()))?;
        by_each(&verified, &keyring).map_err(bad)?;
        if verified.text != *text {
            return Err(bad("what was clearsigned is another text".to_owned()));
        }
        let signed = Signed {
            inrelease,
            release_gpg: detach(&path, text, state.date)?,
        };
        let release = Release {
            text: text.clone(),
            signed,
        };
        read_as_clients(state, &release, &keyring)?;
        releases.push(release.signed);
    }
    Ok(Checked { statement, releases })
}

fn unsigned(waiting: &Waiting, path: &str, why: String) -> PublishError {
    PublishError::Unsigned {
        title: waiting.title.clone(),
        path: path.to_owned(),
        why,
    }
}

/// The day on which the last has signed. Clients refuse what is signed tomorrow.
fn on_its_day(keyring: &Keyring, date: Option<Timestamp>, at: Timestamp) -> Result<Requirement<'_>, String> {
    let now = date.map_or(at, |date| date.max(at));
    let present = Clock::System.now().max(at);
    if now > present.plus(SKEW) {
        return Err(format!(
            "it is signed at {now}, and now is {present}: look at the clock of the machine that signs"
        ));
    }
    Ok(Requirement {
        keyring,
        threshold: 1,
        now,
    })
}

/// Whether each key has signed, and nobody else.
fn by_each(verified: &Verified, keyring: &Keyring) -> Result<(), String> {
    if let Some(other) = verified.others.first() {
        return Err(other.clone());
    }
    let signed = |key: &Fingerprint| verified.signers.iter().any(|signer| signer.primary == *key);
    match keyring.fingerprints().into_iter().find(|key| !signed(key)) {
        Some(key) => Err(format!("there is no signature by {key}")),
        None => Ok(()),
    }
}
