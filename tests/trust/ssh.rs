//! SSH signatures, by the real ssh-keygen and git.

use std::path::Path;

use assay::trust::{SshKey, verify_ssh};

use super::{TEXT, code, demand};

fn new_key(folder: &Path, name: &str, kind: &str, bits: &str) -> String {
    let mut args = vec!["-q", "-t", kind, "-N", "", "-C", name, "-f", name];
    if !bits.is_empty() {
        args.extend(["-b", bits]);
    }
    demand("ssh-keygen", &args, folder, &[]);
    std::fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap()
}

fn sign(folder: &Path, key: &str, namespace: &str, more: &[&str]) -> Vec<u8> {
    let _ = std::fs::remove_file(folder.join("text.sig"));
    std::fs::write(folder.join("text"), TEXT).unwrap();
    let args = [&["-q", "-Y", "sign", "-f", key, "-n", namespace], more, &["text"]].concat();
    demand("ssh-keygen", &args, folder, &[]);
    std::fs::read(folder.join("text.sig")).unwrap()
}

#[test]
fn each_kind_of_key_signs_for_its_purpose_only() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let kinds = [("ed25519", ""), ("ecdsa", "256"), ("rsa", "3072")];
    let lines = kinds.map(|(kind, bits)| new_key(folder, kind, kind, bits));
    let keys: Vec<SshKey> = lines.iter().map(|line| SshKey::parse(line).unwrap()).collect();
    for (index, (kind, _)) in kinds.iter().enumerate() {
        let listed = demand("ssh-keygen", &["-lf", &format!("{kind}.pub")], folder, &[]);
        let listed = String::from_utf8(listed).unwrap();
        assert_eq!(listed.split(' ').nth(1), Some(keys[index].fingerprint().as_str()));
        for hash in ["sha256", "sha512"] {
            let signature = sign(folder, kind, "git", &["-O", &format!("hashalg={hash}")]);
            let signer = verify_ssh(TEXT, &signature, "git", &keys).unwrap();
            assert_eq!(&signer, keys[index].fingerprint());
            assert_eq!(code(verify_ssh(b"other", &signature, "git", &keys)), "E-SIG-019");
            assert_eq!(code(verify_ssh(TEXT, &signature, "file", &keys)), "E-SIG-017");
            let others: Vec<SshKey> = keys.iter().filter(|k| *k != &keys[index]).cloned().collect();
            assert_eq!(code(verify_ssh(TEXT, &signature, "git", &others)), "E-SIG-018");
            assert_eq!(code(verify_ssh(TEXT, &signature, "git", &[])), "E-SIG-018");
        }
        let for_files = sign(folder, kind, "file", &[]);
        assert_eq!(code(verify_ssh(TEXT, &for_files, "git", &keys)), "E-SIG-017");
        // Not one bit may change. The armor's line of dashes is not part of the signature.
        let signature = String::from_utf8(sign(folder, kind, "git", &[])).unwrap();
        let second = signature.lines().nth(2).unwrap();
        let changed = if second.starts_with('A') { "B" } else { "A" };
        let damaged = signature.replace(second, &format!("{changed}{}", &second[1..]));
        assert!(verify_ssh(TEXT, damaged.as_bytes(), "git", &keys).is_err());
        for around in [
            format!("x\n{signature}"),
            format!("{signature}x\n"),
            signature.repeat(2),
        ] {
            assert_eq!(code(verify_ssh(TEXT, around.as_bytes(), "git", &keys)), "E-SIG-016");
        }
    }
    for garbage in [&b""[..], b"-----BEGIN SSH SIGNATURE-----\n", TEXT] {
        assert_eq!(code(verify_ssh(TEXT, garbage, "git", &keys)), "E-SIG-016");
    }
    assert_eq!(code(verify_ssh(TEXT, &vec![b'A'; 70_000], "git", &keys)), "E-SIG-002");
}

#[test]
fn keys_that_do_not_count_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let good = new_key(folder, "good", "ed25519", "");
    let short = new_key(folder, "short", "rsa", "2048");
    let large = new_key(folder, "large", "ecdsa", "384");
    for line in [
        short.as_str(),
        &large,
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        &format!("cert-authority {good}"),
        &format!("namespaces=\"git\" {good}"),
        &format!("{good}{good}"),
        &format!("{}\r\n", good.trim_end()),
    ] {
        assert_eq!(code(SshKey::parse(line)), "E-SIG-015", "{line}");
    }
}

#[test]
fn a_tag_that_git_signs_verifies() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let key = SshKey::parse(&new_key(folder, "key", "ed25519", "")).unwrap();
    let git = |args: &[&str]| {
        let settings = [
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "gpg.format=ssh",
            "-c",
            "user.signingKey=key.pub",
        ];
        demand("git", &[&settings[..], args].concat(), folder, &[])
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&["tag", "-s", "-m", "version 1", "v1"]);
    let tag = git(&["cat-file", "tag", "v1"]);
    let from = tag.windows(19).position(|w| w == b"-----BEGIN SSH SIGN").unwrap();
    let (payload, signature) = tag.split_at(from);
    let signer = verify_ssh(payload, signature, "git", std::slice::from_ref(&key)).unwrap();
    assert_eq!(&signer, key.fingerprint());
}
