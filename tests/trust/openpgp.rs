//! Which keys and signatures count (threats S5 to S7, S9).

use assay::domain::Fingerprint;
use assay::trust::{Keyring, TrustError, verify_detached, verify_tag};
use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Notation, RevocationCode, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyDetails, RevocationKey, RevocationKeyClass};

use super::forge::{Forge, Says, bytes, regular, sign, signature};
use super::{MADE, NOW, TEXT, at, code, needs};

const BINARY: SignatureType = SignatureType::Binary;
const DAY: i64 = 86_400;

fn verdict(certificate: &[u8], signature: &[u8]) -> Result<usize, TrustError> {
    let keyring = Keyring::parse(certificate)?;
    verify_detached(TEXT, signature, &needs(&keyring, 1)).map(|signers| signers.len())
}

fn why(certificate: &[u8], signature: &[u8]) -> String {
    verdict(certificate, signature).unwrap_err().to_string()
}

fn made(seconds: i64) -> Says {
    Says {
        made: at(MADE).plus(seconds),
        ..Says::default()
    }
}

#[test]
fn a_plain_key_counts() {
    let forge = Forge::new();
    let certificate = forge.certificate(&Says::default());
    let signature = forge.sign(BINARY, TEXT, &Says::default());
    assert_eq!(verdict(&certificate, &signature).unwrap(), 1);
    // Twice in the keyring, twice signed: still one certificate.
    let keyring = Keyring::parse(&[certificate.clone(), certificate].concat()).unwrap();
    assert_eq!(keyring.fingerprints().len(), 1);
    let twice = [signature.clone(), signature].concat();
    assert_eq!(verify_detached(TEXT, &twice, &needs(&keyring, 1)).unwrap().len(), 1);
    assert_eq!(code(verify_detached(TEXT, &twice, &needs(&keyring, 2))), "E-SIG-011");
    assert_eq!(code(verify_detached(TEXT, &twice, &needs(&keyring, 0))), "E-SIG-012");
}

#[test]
fn only_the_type_of_the_place_counts() {
    let forge = Forge::new();
    let certificate = forge.certificate(&Says::default());
    for kind in [SignatureType::Text, SignatureType::Standalone, SignatureType::Timestamp] {
        let mut packet = forge.sign(BINARY, TEXT, &Says::default());
        if kind == SignatureType::Text {
            packet = forge.sign(kind, TEXT, &Says::default());
        } else {
            // Tag, length, version, then the type.
            packet[3] = kind.into();
        }
        assert_eq!(code(verdict(&certificate, &packet)), "E-SIG-005", "{kind:?}");
        // A stranger's signature of another type is not waved through beside a good one.
        let good = Forge::new();
        let both = [good.sign(BINARY, TEXT, &Says::default()), packet].concat();
        assert_eq!(code(verdict(&good.certificate(&Says::default()), &both)), "E-SIG-005");
    }
}

#[test]
fn nothing_but_signatures_is_read() {
    let forge = Forge::new();
    let certificate = forge.certificate(&Says::default());
    let good = forge.sign(BINARY, TEXT, &Says::default());
    let body = good[2..].to_vec();
    let old_two = [&[0x89, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
    assert_eq!(verdict(&certificate, &old_two).unwrap(), 1);
    let indeterminate = [&[0x8B][..], &body].concat();
    let partial = [
        &[0xC2, 0xE6][..],
        &body[..64],
        &[u8::try_from(body.len() - 64).unwrap()],
        &body[64..],
    ]
    .concat();
    let compressed = [&[0xC8, u8::try_from(good.len() + 1).unwrap(), 0][..], &good].concat();
    let marker = [&b"\xCA\x03PGP"[..], &good].concat();
    let literal = [&good[..], b"\xCB\x07b\0\0\0\0\0x"].concat();
    let trailing = [&good[..], &[0]].concat();
    let mut longer = good.clone();
    longer[1] += 1;
    longer.push(0);
    let v3 = [&[0xC2, 22, 3, 5, 0][..], &[0; 19]].concat();
    let nothing = Vec::new();
    for forged in [
        indeterminate,
        partial,
        compressed,
        marker,
        literal,
        trailing,
        longer,
        v3,
        good[..good.len() - 1].to_vec(),
    ] {
        assert_eq!(
            code(verdict(&certificate, &forged)),
            "E-SIG-004",
            "{}",
            hex::encode(&forged)
        );
    }
    assert_eq!(code(verdict(&certificate, &nothing)), "E-SIG-011");
    assert_eq!(code(verdict(&certificate, &good.repeat(17))), "E-SIG-002");
    assert_eq!(code(verdict(&certificate, &vec![0xC2; (64 << 10) + 1])), "E-SIG-002");
}

#[test]
fn weak_hashes_and_false_dates_are_refused() {
    let forge = Forge::new();
    let certificate = forge.certificate(&Says::default());
    let now = at(NOW).since(at(MADE));
    for (says, expected) in [
        (made(-1), "E-SIG-009"),
        (made(now + 11), "E-SIG-010"),
        (made(now + 70 * 365 * DAY), "E-SIG-010"),
    ] {
        assert_eq!(code(verdict(&certificate, &forge.sign(BINARY, TEXT, &says))), expected);
    }
    assert!(verdict(&certificate, &forge.sign(BINARY, TEXT, &made(now + 10))).is_ok());
    let rsa = Forge::of(KeyType::Rsa(2048), PublicKeyAlgorithm::RSA);
    let certificate = rsa.certificate(&Says::default());
    assert!(verdict(&certificate, &rsa.sign(BINARY, TEXT, &Says::default())).is_ok());
    for hash in [
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Ripemd160,
        HashAlgorithm::Sha224,
    ] {
        let says = Says {
            hash,
            ..Says::default()
        };
        let weak = rsa.sign(BINARY, TEXT, &says);
        assert_eq!(code(verdict(&certificate, &weak)), "E-SIG-006", "{hash:?}");
        // The same hashes bind nothing either.
        let message = why(&rsa.certificate(&says), &rsa.sign(BINARY, TEXT, &Says::default()));
        assert!(message.contains("SHA-256 or better"), "{hash:?}: {message}");
    }
}

#[test]
fn unknown_demands_and_ended_signatures_do_not_count() {
    let forge = Forge::new();
    let certificate = forge.certificate(&Says::default());
    let notation = Notation {
        readable: true,
        name: "only-on-sundays@example.org".into(),
        value: "yes".into(),
    };
    let demand = Subpacket::critical(SubpacketData::Notation(notation)).unwrap();
    let with = |packet: Subpacket| Says {
        more: vec![packet],
        ..Says::default()
    };
    let signed = |says: &Says| forge.sign(BINARY, TEXT, says);
    assert_eq!(code(verdict(&certificate, &signed(&with(demand.clone())))), "E-SIG-009");
    let ended = with(regular(SubpacketData::SignatureExpirationTime(Duration::from_secs(
        3600,
    ))));
    assert!(why(&certificate, &signed(&ended)).contains("expired"));
    assert!(why(&forge.certificate(&with(demand)), &signed(&Says::default())).contains("no self-signature"));
    assert!(why(&forge.certificate(&ended), &signed(&Says::default())).contains("no self-signature"));
}

#[test]
fn expired_keys_count_only_for_tags_of_their_time() {
    let forge = Forge::new();
    let says = Says {
        lifetime: Some(3600),
        ..Says::default()
    };
    let certificate = forge.certificate(&says);
    let keyring = Keyring::parse(&certificate).unwrap();
    let within = forge.sign(BINARY, TEXT, &made(3599));
    let after = forge.sign(BINARY, TEXT, &made(3600));
    let message = why(&certificate, &within);
    assert!(message.contains("expired at 2026-11-21T13:00:00Z"), "{message}");
    assert_eq!(verify_tag(TEXT, &within, &needs(&keyring, 1)).unwrap().len(), 1);
    assert_eq!(code(verify_tag(TEXT, &after, &needs(&keyring, 1))), "E-SIG-011");
    // The newest self-signature decides, in either direction and in any order of packets.
    let (older, newer) = (forge.user_signature(&says), forge.user_signature(&made(60)));
    for signatures in [[&older, &newer], [&newer, &older]] {
        let user = [forge.key_packet(), forge.user_packet()].concat();
        assert!(verdict(&[&user[..], signatures[0], signatures[1]].concat(), &within).is_ok());
    }
    let shortened = Says {
        lifetime: Some(3600),
        ..made(120)
    };
    let certificate = [certificate, newer, forge.user_signature(&shortened)].concat();
    assert!(why(&certificate, &within).contains("expired"));
}

#[test]
fn revoking_wins_whatever_its_reason_date_or_hash() {
    let forge = Forge::new();
    let certificate = forge.certificate(&Says::default());
    let good = forge.sign(BINARY, TEXT, &Says::default());
    let revoked_by = |by: &Forge, says: &Says| {
        let revocation = forge.key_signature(SignatureType::KeyRevocation, &by.primary, says);
        let (key, rest) = certificate.split_at(forge.key_packet().len());
        [key, &revocation, rest].concat()
    };
    for reason in [
        RevocationCode::KeyCompromised,
        RevocationCode::KeyRetired,
        RevocationCode::KeySuperseded,
    ] {
        let reason = SubpacketData::RevocationReason(reason, bytes::Bytes::new());
        let says = Says {
            sign: None,
            more: vec![regular(reason)],
            ..made(DAY)
        };
        let certificate = revoked_by(&forge, &says);
        assert!(why(&certificate, &good).contains("revoked"));
        let keyring = Keyring::parse(&certificate).unwrap();
        assert_eq!(code(verify_tag(TEXT, &good, &needs(&keyring, 1))), "E-SIG-011");
        // A copy without the revocation does not undo it.
        let both = [certificate, forge.certificate(&Says::default())].concat();
        assert!(why(&both, &good).contains("revoked"));
    }
    // Damaged, it still counts: it can only take trust away.
    let mut damaged = forge.key_signature(SignatureType::KeyRevocation, &forge.primary, &Says::default());
    *damaged.last_mut().unwrap() ^= 1;
    let (key, rest) = certificate.split_at(forge.key_packet().len());
    assert!(why(&[key, &damaged, rest].concat(), &good).contains("does not verify"));
    // A stranger cannot revoke; a revoker that the key named can.
    let stranger = Forge::new();
    assert!(verdict(&revoked_by(&stranger, &Says::default()), &good).is_ok());
    let revoker = RevocationKey::new(
        RevocationKeyClass::Default,
        PublicKeyAlgorithm::EdDSALegacy,
        stranger.primary.fingerprint().as_bytes(),
    );
    let names = Says {
        sign: None,
        more: vec![regular(SubpacketData::RevocationKey(revoker))],
        ..Says::default()
    };
    let named = forge.key_signature(SignatureType::Key, &forge.primary, &names);
    let revocation = forge.key_signature(SignatureType::KeyRevocation, &stranger.primary, &Says::default());
    assert!(verdict(&[key, &named, rest].concat(), &good).is_ok());
    for order in [[&named, &revocation], [&revocation, &named]] {
        let certificate = [key, order[0], order[1], rest].concat();
        assert!(why(&certificate, &good).contains("a revoker that it names"));
    }
    // A user id that was revoked binds nothing, until it is certified again.
    let gone = [certificate.clone(), forge.user_revocation(at(MADE))].concat();
    assert!(why(&gone, &good).contains("no self-signature"));
    let back = [gone, forge.user_signature(&made(1))].concat();
    assert!(verdict(&back, &good).is_ok());
}

#[test]
fn flags_and_self_signatures_are_needed() {
    let forge = Forge::new();
    let good = forge.sign(BINARY, TEXT, &Says::default());
    let with = |sign| Says {
        sign,
        ..Says::default()
    };
    assert!(why(&forge.certificate(&with(Some(false))), &good).contains("flags"));
    assert!(why(&forge.certificate(&with(None)), &good).contains("no self-signature"));
    assert!(why(&forge.key_packet(), &good).contains("no self-signature"));
    // A signature over the key itself is as good as one over a user id.
    let direct = forge.key_signature(SignatureType::Key, &forge.primary, &Says::default());
    assert!(verdict(&[forge.key_packet(), direct].concat(), &good).is_ok());
    // What another key says of this one is nothing.
    let other = Forge::new();
    let foreign = forge.key_signature(SignatureType::Key, &other.primary, &Says::default());
    assert!(verdict(&[forge.key_packet(), foreign].concat(), &good).is_err());
    let stolen = [
        forge.key_packet(),
        other.user_packet(),
        other.user_signature(&Says::default()),
    ]
    .concat();
    assert!(verdict(&stolen, &good).is_err());
    // Not yet: a self-signature of tomorrow.
    assert!(why(&forge.certificate(&made(2 * DAY)), &good).contains("no self-signature"));
}

#[test]
fn subkeys_need_a_bond_in_both_directions() {
    let forge = Forge::new();
    let main = forge.certificate(&Says::default());
    let good = sign(&forge.subkey, BINARY, TEXT, &Says::default());
    let bond = |says: &Says, back| forge.subkey_signature(SignatureType::SubkeyBinding, says, back);
    let with = |bond: &[u8]| [&main[..], &forge.subkey_packet(), bond].concat();
    let keyring = Keyring::parse(&with(&bond(&Says::default(), true))).unwrap();
    let signers = verify_detached(TEXT, &good, &needs(&keyring, 1)).unwrap();
    let hex = |key: &dyn KeyDetails| hex::encode_upper(key.fingerprint().as_bytes());
    assert_eq!(signers[0].key.as_str(), hex(&forge.subkey));
    assert_eq!(signers[0].primary.as_str(), hex(&forge.primary));
    assert_eq!(signers[0].made_at, at(MADE));
    for (bond, expected) in [
        (bond(&Says::default(), false), "sign back"),
        (
            bond(
                &Says {
                    sign: Some(false),
                    ..Says::default()
                },
                true,
            ),
            "flags",
        ),
        (
            bond(
                &Says {
                    sign: None,
                    ..Says::default()
                },
                true,
            ),
            "flags",
        ),
        (
            bond(
                &Says {
                    lifetime: Some(60),
                    ..Says::default()
                },
                true,
            ),
            "expired",
        ),
        (bond(&made(2 * DAY), true), "vouch"),
        (Vec::new(), "vouch"),
        (
            Forge::new().subkey_signature(SignatureType::SubkeyBinding, &Says::default(), true),
            "vouch",
        ),
    ] {
        let message = why(&with(&bond), &good);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let revoked = [
        with(&bond(&Says::default(), true)),
        forge.subkey_signature(
            SignatureType::SubkeyRevocation,
            &Says {
                sign: None,
                ..Says::default()
            },
            false,
        ),
        bond(&made(60), true),
    ]
    .concat();
    assert!(why(&revoked, &good).contains("revoked"));
    // A subkey falls with its primary key.
    let main = forge.certificate(&Says {
        lifetime: Some(60),
        ..Says::default()
    });
    let fallen = [main, forge.subkey_packet(), bond(&Says::default(), true)].concat();
    assert!(why(&fallen, &good).contains("expired"));
    // Taken under another primary key, it does not sign for that one.
    let thief = Forge::new();
    let adopted = [
        thief.certificate(&Says::default()),
        forge.subkey_packet(),
        bond(&Says::default(), true),
    ]
    .concat();
    assert!(why(&adopted, &good).contains("vouch"));
}

#[test]
fn short_and_odd_keys_do_not_count() {
    let weak = Forge::of(KeyType::Rsa(1024), PublicKeyAlgorithm::RSA);
    let message = why(
        &weak.certificate(&Says::default()),
        &weak.sign(BINARY, TEXT, &Says::default()),
    );
    assert!(message.contains("RSA with 1024 bits"), "{message}");
    // A strong subkey does not help.
    let bond = weak.subkey_signature(SignatureType::SubkeyBinding, &Says::default(), true);
    let certificate = [weak.certificate(&Says::default()), weak.subkey_packet(), bond].concat();
    assert!(why(&certificate, &sign(&weak.subkey, BINARY, TEXT, &Says::default())).contains("1024"));
    let curve = pgp::crypto::ecc_curve::ECCCurve::Secp256k1;
    let odd = Forge::of(KeyType::ECDSA(curve), PublicKeyAlgorithm::ECDSA);
    assert!(
        why(
            &odd.certificate(&Says::default()),
            &odd.sign(BINARY, TEXT, &Says::default())
        )
        .contains("NIST")
    );
    let curve = pgp::crypto::ecc_curve::ECCCurve::P256;
    let nist = Forge::of(KeyType::ECDSA(curve), PublicKeyAlgorithm::ECDSA);
    assert!(
        verdict(
            &nist.certificate(&Says::default()),
            &nist.sign(BINARY, TEXT, &Says::default())
        )
        .is_ok()
    );
}

#[test]
fn strangers_change_nothing_and_known_keys_must_not_fail() {
    let (first, second, stranger) = (Forge::new(), Forge::new(), Forge::new());
    let keyring = [
        first.certificate(&Says::default()),
        second.certificate(&Says::default()),
    ]
    .concat();
    let keyring = Keyring::parse(&keyring).unwrap();
    let good = |forge: &Forge| forge.sign(BINARY, TEXT, &Says::default());
    let bad = |forge: &Forge| forge.sign(BINARY, b"other", &Says::default());
    let check = |signatures: &[Vec<u8>], threshold| {
        verify_detached(TEXT, &signatures.concat(), &needs(&keyring, threshold)).map(|signers| signers.len())
    };
    assert_eq!(check(&[bad(&stranger), good(&first)], 1).unwrap(), 1);
    assert_eq!(check(&[good(&first), good(&stranger), good(&second)], 2).unwrap(), 2);
    let error = check(&[good(&first), good(&stranger)], 2).unwrap_err();
    let name = hex::encode_upper(stranger.primary.fingerprint().as_bytes());
    assert!(
        error.to_string().contains(&format!("`{name}` is not in the keyring")),
        "{error}"
    );
    for signatures in [[good(&first), bad(&second)], [bad(&second), good(&first)]] {
        assert_eq!(code(check(&signatures, 1)), "E-SIG-008");
    }
    // A stranger who claims to be a known key is caught as one, also by the short key id.
    let mut claimed = signature(&stranger.primary, BINARY, TEXT, &Says::default());
    let id = SubpacketData::IssuerKeyId(first.primary.legacy_key_id());
    claimed.unhashed_subpacket_push(regular(id)).unwrap();
    assert_eq!(code(check(&[good(&second), bytes(&claimed)], 1)), "E-SIG-008");
    // Nor may a known key's own signature name somebody else besides: other readers would look there.
    let mut two = signature(&first.primary, BINARY, TEXT, &Says::default());
    let id = SubpacketData::IssuerKeyId(stranger.primary.legacy_key_id());
    two.unhashed_subpacket_push(regular(id)).unwrap();
    assert_eq!(code(check(&[bytes(&two)], 1)), "E-SIG-009");
}

#[test]
fn a_keyring_is_cut_down_to_full_fingerprints() {
    let (first, second) = (Forge::new(), Forge::new());
    let bytes = [
        first.certificate(&Says::default()),
        second.certificate(&Says::default()),
    ]
    .concat();
    let keyring = Keyring::parse(&bytes).unwrap();
    let names = keyring.fingerprints();
    let only = keyring.restricted_to(&names[1..]).unwrap();
    assert_eq!(only.fingerprints(), names[1..]);
    let by_first = first.sign(BINARY, TEXT, &Says::default());
    assert_eq!(code(verify_detached(TEXT, &by_first, &needs(&only, 1))), "E-SIG-011");
    assert_eq!(code(keyring.restricted_to(&[])), "E-SIG-013");
    let absent = Fingerprint::new("0".repeat(40)).unwrap();
    assert_eq!(code(keyring.restricted_to(&[absent])), "E-SIG-014");
    for broken in [
        &b""[..],
        b"garbage",
        &bytes[..bytes.len() - 1],
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
    ] {
        assert!(Keyring::parse(broken).is_err());
    }
    let secret = super::forge::bytes(&first.primary);
    assert_eq!(code(Keyring::parse(&secret)), "E-SIG-013");
}
