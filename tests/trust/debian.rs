//! The archive that everybody knows.

use assay::domain::{Coded, Timestamp};
use assay::host::Clock;
use assay::trust::{Keyring, Requirement, verify_inrelease};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

fn keyring() -> Keyring {
    Keyring::parse(&std::fs::read(KEYRING).unwrap()).unwrap()
}

#[test]
fn every_certificate_of_debians_keyring_may_sign() {
    let at = Timestamp::parse_compact("20261122T000000Z").unwrap();
    let statuses = keyring().status(at);
    assert!(statuses.len() >= 9, "{} certificates", statuses.len());
    for status in statuses {
        assert!(!status.signing_keys.is_empty(), "{status:?}");
        assert!(status.user_ids[0].contains("Debian"), "{status:?}");
    }
}

#[test]
fn the_release_files_that_apt_fetched_verify() {
    let mut seen = 0;
    for entry in std::fs::read_dir("/var/lib/apt/lists").unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with("_InRelease") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if !bytes.windows(16).any(|line| line == b"\nOrigin: Debian\n") {
            continue;
        }
        let keyring = keyring();
        let requirement = Requirement {
            keyring: &keyring,
            threshold: 1,
            now: Clock::System.now(),
        };
        let verified = verify_inrelease(&bytes, &requirement).unwrap();
        assert!(verified.text.starts_with(b"Origin: Debian\n"));
        assert!(verified.signers.len() >= 2, "{path:?}: {verified:?}");
        assert!(verified.others.is_empty(), "{path:?}: {:?}", verified.others);
        let damaged = bytes.iter().position(|b| *b == b'0').unwrap();
        let mut bytes = bytes;
        bytes[damaged] = b'1';
        assert_eq!(verify_inrelease(&bytes, &requirement).unwrap_err().code(), "E-SIG-008");
        seen += 1;
    }
    assert!(seen > 0, "apt has fetched no InRelease of Debian");
}
