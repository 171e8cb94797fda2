//! Certificates: which keys of one primary key may sign, from self-signatures only.
//!
//! The rules, stricter than GnuPG's: only signatures by the primary key itself count, over SHA-2
//! with 256 bits or more; of each user id and of the key itself only the newest counts; a signing
//! subkey must have signed back; flags must be there and allow signing. A revocation by the key
//! itself, or by a revoker that it named, ends the key for good, whatever its reason and date, and
//! also when it cannot be checked: revoking wins.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::Tag;

use super::key::{Key, Material, ends_at, has_unknown_demand, made_at};
use crate::domain::{Fingerprint, Timestamp};

/// How far a clock may be ahead of ours, in seconds; apt allows as much.
pub(super) const CLOCK_SKEW: i64 = 10;

/// One certificate, its self-signatures already verified.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) primary: Key,
    pub(super) subkeys: Vec<Subkey>,
    direct: Vec<Binding>,
    users: Vec<User>,
    revoked: Option<String>,
    revokers: Vec<Vec<u8>>,
    claims: Vec<Signature>,
}

#[derive(Debug, Clone)]
pub(super) struct Subkey {
    pub(super) key: Key,
    bindings: Vec<Binding>,
    revoked: Option<String>,
    claims: Vec<Signature>,
}

#[derive(Debug, Clone)]
struct User {
    id: Vec<u8>,
    bindings: Vec<Binding>,
    revoked: Vec<Timestamp>,
}

/// What one verified self-signature says.
#[derive(Debug, Clone)]
struct Binding {
    made_at: Timestamp,
    ends_at: Option<Timestamp>,
    key_ends_at: Option<Timestamp>,
    may_sign: Option<bool>,
}

/// When a key must be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When it signed, and now.
    SignedAndNow,
    /// When it signed; it may have expired since.
    Signed,
}

/// What a certificate says of one of its keys, whatever we think of the kind of key.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) may_sign: bool,
    pub(super) revoked: Option<String>,
    pub(super) key_ends_at: Option<Timestamp>,
}

impl Certificate {
    pub(super) fn new(primary: Key) -> Self {
        Self {
            primary,
            subkeys: Vec::new(),
            direct: Vec::new(),
            users: Vec::new(),
            revoked: None,
            revokers: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Which of this certificate's keys a signature claims: the primary first.
    pub(super) fn claimed_by<'a>(&'a self, signature: &'a Signature) -> impl Iterator<Item = &'a Key> {
        std::iter::once(&self.primary)
            .chain(self.subkeys.iter().map(|s| &s.key))
            .filter(move |key| key.is_claimed_by(signature))
    }

    /// The user ids, for people.
    pub(super) fn user_ids(&self) -> Vec<String> {
        self.users
            .iter()
            .map(|user| String::from_utf8_lossy(&user.id).into_owned())
            .collect()
    }

    /// Why `key`, one of this certificate's, may not have signed at `at`; none when it may.
    pub(super) fn objection(&self, key: &Fingerprint, at: Timestamp, now: Timestamp, when: When) -> Option<String> {
        let of_primary = self.primary_objection(at, now, when);
        if of_primary.is_some() || *key == self.primary.fingerprint {
            return of_primary.or_else(|| {
                let may_sign = self.newest(now).and_then(|b| b.may_sign) == Some(true);
                (!may_sign).then(|| "its flags do not allow it to sign".into())
            });
        }
        let Some(subkey) = self.subkeys.iter().find(|s| s.key.fingerprint == *key) else {
            return Some("it is not a key of this certificate".into());
        };
        subkey.objection(at, now, when)
    }

    /// What the certificate says of a key at `now`.
    pub(super) fn standing(&self, key: &Fingerprint, now: Timestamp) -> Standing {
        let primary = self.newest(now);
        let subkey = self.subkeys.iter().find(|s| s.key.fingerprint == *key);
        let own = subkey.map_or(primary, |subkey| newest(&subkey.bindings, now));
        let ends = [primary, own].map(|binding| binding.and_then(|binding| binding.key_ends_at));
        Standing {
            may_sign: primary.is_some() && own.and_then(|binding| binding.may_sign) == Some(true),
            revoked: self
                .revoked
                .clone()
                .or_else(|| subkey.and_then(|subkey| subkey.revoked.clone())),
            key_ends_at: ends.into_iter().flatten().min(),
        }
    }

    fn primary_objection(&self, at: Timestamp, now: Timestamp, when: When) -> Option<String> {
        if let Some(why) = self.primary.weakness() {
            return Some(why);
        }
        if let Some(how) = &self.revoked {
            return Some(format!("it was revoked: {how}"));
        }
        match self.newest(now) {
            None => Some("no self-signature binds its flags to it with SHA-256 or better".into()),
            Some(binding) => binding.expired(at, now, when),
        }
    }

    /// The newest self-signature that gives flags, over the key itself or a user id that stands.
    fn newest(&self, now: Timestamp) -> Option<&Binding> {
        let direct = newest(&self.direct, now).filter(|b| b.may_sign.is_some());
        let users = self.users.iter().filter_map(|user| {
            let binding = newest(&user.bindings, now)?;
            let stands = user.revoked.iter().all(|revoked| *revoked < binding.made_at);
            (stands && binding.may_sign.is_some()).then_some(binding)
        });
        // At the same second the earlier end wins: nobody can gain by the order of packets.
        users.chain(direct).max_by(|a, b| {
            let end = |binding: &Binding| binding.key_ends_at.map_or(i64::MAX, Timestamp::unix);
            a.made_at.cmp(&b.made_at).then_with(|| end(b).cmp(&end(a)))
        })
    }

    /// Takes a signature that stands right after the primary key.
    pub(super) fn add_direct(&mut self, signature: Signature) {
        let Material::Primary(primary) = &self.primary.material else {
            return;
        };
        if signature.typ() == Some(SignatureType::KeyRevocation) {
            if self.primary.is_claimed_by(&signature) {
                let checked = signature.verify_key(primary).is_ok();
                self.revoked = Some(revocation(&signature, checked));
            } else {
                self.claims.push(signature);
            }
        } else if signature.typ() == Some(SignatureType::Key)
            && self.counts(&signature)
            && signature.verify_key(primary).is_ok()
        {
            self.note_revokers(&signature);
            self.direct.extend(Binding::of(&signature, &self.primary));
        }
    }

    /// Finds or adds a user id.
    pub(super) fn user(&mut self, id: &[u8]) -> usize {
        if let Some(index) = self.users.iter().position(|user| user.id == id) {
            return index;
        }
        self.users.push(User {
            id: id.to_vec(),
            bindings: Vec::new(),
            revoked: Vec::new(),
        });
        self.users.len().saturating_sub(1)
    }

    /// Takes a signature that stands after a user id.
    pub(super) fn add_to_user(&mut self, index: usize, id: &pgp::packet::UserId, signature: &Signature) {
        let Material::Primary(primary) = &self.primary.material else {
            return;
        };
        let revokes = signature.typ() == Some(SignatureType::CertRevocation);
        let certifies = signature.is_certification() && !revokes;
        let believed = self.primary.is_claimed_by(signature)
            && (revokes || (certifies && self.counts(signature)))
            && signature.verify_certification(primary, Tag::UserId, id).is_ok();
        if !believed {
            return;
        }
        self.note_revokers(signature);
        let binding = Binding::of(signature, &self.primary);
        if let Some(user) = self.users.get_mut(index) {
            if revokes {
                user.revoked
                    .push(made_at(signature).unwrap_or(Timestamp::from_unix(i64::MAX)));
            } else {
                user.bindings.extend(binding);
            }
        }
    }

    /// Finds or adds a subkey.
    pub(super) fn subkey(&mut self, key: Key) -> usize {
        if let Some(index) = self.subkeys.iter().position(|s| s.key.fingerprint == key.fingerprint) {
            return index;
        }
        self.subkeys.push(Subkey {
            key,
            bindings: Vec::new(),
            revoked: None,
            claims: Vec::new(),
        });
        self.subkeys.len().saturating_sub(1)
    }

    /// Takes a signature that stands after a subkey.
    pub(super) fn add_to_subkey(&mut self, index: usize, signature: Signature) {
        let counts = self.counts(&signature);
        let Material::Primary(primary) = &self.primary.material else {
            return;
        };
        let by_primary = self.primary.is_claimed_by(&signature);
        let Some(subkey) = self.subkeys.get_mut(index) else {
            return;
        };
        let Material::Sub(sub) = &subkey.key.material else {
            return;
        };
        if signature.typ() == Some(SignatureType::SubkeyRevocation) {
            if by_primary {
                let checked = signature.verify_subkey_binding(primary, sub).is_ok();
                subkey.revoked = Some(revocation(&signature, checked));
            } else {
                subkey.claims.push(signature);
            }
            return;
        }
        let bound = signature.typ() == Some(SignatureType::SubkeyBinding)
            && counts
            && signature.verify_subkey_binding(primary, sub).is_ok();
        if let Some(mut binding) = Binding::of(&signature, &subkey.key).filter(|_| bound) {
            // Without a signature back, anybody could call a stranger's key his own.
            let signed_back = signature.embedded_signature().is_some_and(|back| {
                is_strong(back) && !has_unknown_demand(back) && back.verify_primary_key_binding(sub, primary).is_ok()
            });
            binding.may_sign = binding.may_sign.map(|may| may && signed_back);
            subkey.bindings.push(binding);
        }
    }

    /// A revocation that we could not even read.
    pub(super) fn add_unreadable_revocation(&mut self, subkey: Option<usize>) {
        let how = || Some("by a revocation signature that cannot be read".to_owned());
        match subkey.and_then(|index| self.subkeys.get_mut(index)) {
            Some(subkey) => subkey.revoked = how(),
            None => self.revoked = how(),
        }
    }

    /// After all packets: revocations by revokers that the key named count. Their keys are not at
    /// hand, so the claim is enough: it can only take trust away.
    pub(super) fn finish(&mut self) {
        let revokers = std::mem::take(&mut self.revokers);
        let by_revoker = |claim: &Signature| {
            revokers.iter().any(|revoker| {
                let id = revoker.iter().rev().take(8).rev().copied().collect::<Vec<u8>>();
                claim
                    .issuer_fingerprint()
                    .iter()
                    .any(|f| f.as_bytes() == revoker.as_slice())
                    || claim
                        .issuer_key_id()
                        .iter()
                        .any(|issuer| issuer.as_ref() == id.as_slice())
            })
        };
        let how = || Some("by a revoker that it names".to_owned());
        if self.claims.drain(..).any(|claim| by_revoker(&claim)) {
            self.revoked = how();
        }
        for subkey in &mut self.subkeys {
            if subkey.claims.drain(..).any(|claim| by_revoker(&claim)) {
                subkey.revoked = how();
            }
        }
    }

    /// Whether a signature is the primary key's own and of a form that may bind.
    fn counts(&self, signature: &Signature) -> bool {
        self.primary.is_claimed_by(signature) && is_strong(signature) && !has_unknown_demand(signature)
    }

    fn note_revokers(&mut self, signature: &Signature) {
        let packets = signature.config().into_iter().flat_map(|c| c.hashed_subpackets());
        for packet in packets {
            if let SubpacketData::RevocationKey(revoker) = &packet.data {
                self.revokers.push(revoker.fingerprint.to_vec());
            }
        }
    }
}

impl Subkey {
    fn objection(&self, at: Timestamp, now: Timestamp, when: When) -> Option<String> {
        if let Some(why) = self.key.weakness() {
            return Some(why);
        }
        if let Some(how) = &self.revoked {
            return Some(format!("it was revoked: {how}"));
        }
        match newest(&self.bindings, now) {
            None => Some("its primary key does not vouch for it with SHA-256 or better".into()),
            Some(binding) if binding.may_sign != Some(true) => {
                Some("its flags do not allow it to sign, or it did not sign back".into())
            }
            Some(binding) => binding.expired(at, now, when),
        }
    }
}

impl Binding {
    fn of(signature: &Signature, key: &Key) -> Option<Self> {
        let lifetime = signature.key_expiration_time().map_or(0, |d| d.as_secs());
        let has_flags = signature.config().is_some_and(|config| {
            config
                .hashed_subpackets()
                .any(|p| matches!(p.data, SubpacketData::KeyFlags(_)))
        });
        Some(Self {
            made_at: made_at(signature)?,
            ends_at: ends_at(signature),
            key_ends_at: (lifetime != 0).then(|| key.made_at.plus(i64::from(lifetime))),
            may_sign: has_flags.then(|| signature.key_flags().sign()),
        })
    }

    fn expired(&self, at: Timestamp, now: Timestamp, when: When) -> Option<String> {
        let end = self.key_ends_at?;
        let needed = if when == When::SignedAndNow { at.max(now) } else { at };
        (needed >= end).then(|| format!("it expired at {}", end.rfc3339()))
    }
}

/// The newest of some self-signatures, of those that exist by now. When that one has ended, none: an
/// older one must not come back to life.
fn newest(bindings: &[Binding], now: Timestamp) -> Option<&Binding> {
    bindings
        .iter()
        .filter(|binding| binding.made_at <= now.plus(CLOCK_SKEW))
        .max_by_key(|binding| binding.made_at)
        .filter(|binding| binding.ends_at.is_none_or(|end| now < end))
}

pub(super) fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    )
}

fn revocation(signature: &Signature, checked: bool) -> String {
    if !checked {
        return "by a revocation signature that does not verify, which counts all the same".into();
    }
    let reason = signature
        .revocation_reason_code()
        .map_or_else(|| "no reason given".to_owned(), |code| format!("{code:?}"));
    let date = made_at(signature).map_or_else(|| "without a date".to_owned(), Timestamp::rfc3339);
    format!("{reason}, {date}")
}
