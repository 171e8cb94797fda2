//! What readers would refuse does not take the place of what they have.

use assay::domain::{Coded as _, Timestamp};
use assay::publish::{PublishError, ReleaseSigner, Signed, complete, publish};
use assay::snapshot::Chain;
use assay::store::{ObjectStore, Store as _};
use assay::trust::{ArchiveKey, Keyring};

use super::crash::read_as_client_at;
use crate::support::repository::{Repository, now};

/// A signer that goes wrong in one way.
struct Faulty<'a> {
    key: &'a ArchiveKey,
    other: ArchiveKey,
    fault: Fault,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    OtherText,
    OtherKey,
    OtherDetached,
    Torn,
}

impl ReleaseSigner for Faulty<'_> {
    fn sign(&self, text: &[u8], at: Timestamp) -> Result<Signed, PublishError> {
        let mut signed = self.key.sign(text, at)?;
        match self.fault {
            Fault::OtherText => {
                let other = String::from_utf8_lossy(text).replace("Origin: Test", "Origin: Evil");
                signed.inrelease = self.key.sign(other.as_bytes(), at)?.inrelease;
            }
            Fault::OtherKey => signed = self.other.sign(text, at)?,
            Fault::OtherDetached => signed.release_gpg = self.other.sign(text, at)?.release_gpg,
            Fault::Torn => signed.inrelease.truncate(signed.inrelease.len() / 2),
        }
        Ok(signed)
    }

    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        ReleaseSigner::detach(self.key, data, at)
    }

    fn keyring(&self) -> Result<Keyring, PublishError> {
        self.key.keyring()
    }
}

#[test]
fn a_release_that_clients_would_refuse_does_not_move() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    repository.commit(&store, "Package: a\n");
    repository.publish(&store);
    let head = || store.get(&repository.dists("InRelease"), 1 << 20).unwrap();
    let before = head();
    repository.commit(&store, "Package: b\n");
    for fault in [Fault::OtherText, Fault::OtherKey, Fault::OtherDetached, Fault::Torn] {
        let faulty = Faulty {
            key: &repository.key,
            other: ArchiveKey::generate("Other <o@example.org>", now().plus(-100)).unwrap(),
            fault,
        };
        let error = publish(&store, &repository.archive, &faulty, &repository.url).unwrap_err();
        assert_eq!(error.code(), "E-PUBLISH-010", "{fault:?}: {error}");
        assert_eq!(head(), before, "{fault:?}");
    }
    repository.publish(&store);
    assert_ne!(head(), before);
    assert!(read_as_client_at(&store, &repository, "", now()).is_some());
}

/// Else the snapshot would be there, and neither it nor the one after it could be published.
#[test]
fn a_snapshot_that_no_client_would_take_is_not_made() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    repository.commit(&store, "Package: a\n");
    let chain = Chain::load(&store, &repository.archive).unwrap();
    let mut state = chain.latest().unwrap().suites[0].clone();
    let whole = repository.next(&store, &chain, vec![state.clone()]);
    complete(&store, &mut whole.clone(), &repository.key).unwrap();
    state.indexes.clear();
    let mut empty = repository.next(&store, &chain, vec![state]);
    let error = complete(&store, &mut empty, &repository.key).unwrap_err();
    assert_eq!(error.code(), "E-PUBLISH-023", "{error}");
    assert!(error.to_string().contains("L-WEAK-HASH"), "{error}");
    assert!(error.hint().unwrap().contains("no snapshot was made"));
}
