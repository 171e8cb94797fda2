//! Which signatures count (threats S5 to S7, S9).

use assay::trust::{Keyring, verify_detached};
use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Notation, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyDetails};

use super::forge::{BINARY, DAY, Forge, Says, bytes, made, regular, signature, verdict, why};
use super::{MADE, NOW, TEXT, at, code, needs};

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
