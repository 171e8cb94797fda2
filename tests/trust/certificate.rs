//! Which keys count (threats S6, S7).

use assay::domain::Fingerprint;
use assay::trust::{Keyring, verify_detached, verify_tag};
use pgp::composed::KeyType;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{RevocationCode, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, RevocationKey, RevocationKeyClass};

use super::forge::{BINARY, DAY, Forge, Says, made, regular, sign, verdict, why};
use super::{MADE, TEXT, at, code, needs};

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

#[test]
fn keys_that_cannot_be_read_are_left_out_and_named() {
    let forge = Forge::new();
    let good = forge.sign(BINARY, TEXT, &Says::default());
    let mut ancient = forge.key_packet();
    ancient[2] = 3;
    let mut odd = forge.subkey_packet();
    // The curve's object identifier, which starts after version, date, algorithm and length.
    odd[9] ^= 0xFF;
    let with_subkey = [forge.certificate(&Says::default()), odd.clone()].concat();
    let both = [ancient.clone(), forge.user_packet(), with_subkey].concat();
    let keyring = Keyring::parse(&both).unwrap();
    assert_eq!(keyring.fingerprints().len(), 1);
    assert_eq!(keyring.left_out().len(), 2, "{:?}", keyring.left_out());
    assert!(keyring.left_out()[0].contains("version 3"), "{:?}", keyring.left_out());
    assert!(verify_detached(TEXT, &good, &needs(&keyring, 1)).is_ok());
    assert_eq!(code(Keyring::parse(&ancient)), "E-SIG-013");
}

#[test]
fn damage_to_a_certificate_never_helps() {
    let forge = Forge::new();
    let says = Says {
        lifetime: Some(60),
        ..Says::default()
    };
    let bond = forge.subkey_signature(SignatureType::SubkeyBinding, &Says::default(), false);
    let certificate = [forge.certificate(&says), forge.subkey_packet(), bond].concat();
    let by_primary = forge.sign(BINARY, TEXT, &made(1));
    let by_subkey = sign(&forge.subkey, BINARY, TEXT, &Says::default());
    for index in 0..certificate.len() {
        for bit in 0..8 {
            let mut damaged = certificate.clone();
            damaged[index] ^= 1 << bit;
            assert!(verdict(&damaged, &by_primary).is_err(), "byte {index} bit {bit}");
            assert!(verdict(&damaged, &by_subkey).is_err(), "byte {index} bit {bit}");
        }
    }
}
