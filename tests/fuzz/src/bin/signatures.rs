//! Signatures and keys: nothing but the one signed text is ever believed.
#![no_main]

use std::sync::LazyLock;

use assay::domain::Timestamp;
use assay::trust::{Keyring, Requirement, SshKey, verify_detached, verify_inrelease, verify_ssh, verify_tag};
use libfuzzer_sys::fuzz_target;

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::parse(include_bytes!("../certificate.asc")).expect("the fixture"));

/// The only text that this key ever signed; its private part is gone.
const SIGNED: &[u8] = b"Origin: Test\n- dash\n";

fuzz_target!(|data: &[u8]| {
    let requirement = Requirement {
        keyring: &KEYRING,
        threshold: 1,
        now: Timestamp::from_unix(1_800_000_000),
    };
    if let Ok(verified) = verify_inrelease(data, &requirement) {
        assert_eq!(verified.text, SIGNED);
    }
    assert!(verify_detached(b"never signed\n", data, &requirement).is_err());
    assert!(verify_tag(b"never signed\n", data, &requirement).is_err());
    assert!(verify_ssh(b"never signed\n", data, "git", &[]).is_err());
    let _ = Keyring::parse(data);
    if let Ok(line) = std::str::from_utf8(data) {
        let _ = SshKey::parse(line);
    }
});
