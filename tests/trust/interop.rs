//! The programs of the world: what they sign we verify, and what we sign they verify.

use std::path::Path;

use assay::domain::Timestamp;
use assay::host::Clock;
use assay::trust::{ArchiveKey, Keyring, Requirement, verify_detached, verify_inrelease, verify_tag};
use sha2::Digest as _;

use super::cleartext::dearmor;
use super::{TEXT, code, demand, run};

/// A home of gpg, whose agent ends with it.
struct Gpg(tempfile::TempDir);

impl Gpg {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str]) -> Vec<u8> {
        let quiet = [
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ];
        demand(
            "gpg",
            &[&quiet[..], args].concat(),
            self.folder(),
            &[("GNUPGHOME", self.folder())],
        )
    }

    fn keyring(&self) -> Keyring {
        Keyring::parse(&self.run(&["--export"])).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        run(
            "gpgconf",
            &["--kill", "gpg-agent"],
            self.folder(),
            &[("GNUPGHOME", self.folder())],
        );
    }
}

fn requirement(keyring: &Keyring) -> Requirement<'_> {
    Requirement {
        keyring,
        threshold: 1,
        now: Clock::System.now(),
    }
}

#[test]
fn what_gpg_signs_verifies_as_long_as_the_key_is_good() {
    let gpg = Gpg::new();
    let text = gpg.folder().join("text");
    std::fs::write(&text, TEXT).unwrap();
    let past = ["--faked-system-time", "20240101T000000!"];
    gpg.run(&["--quick-gen-key", "ed", "ed25519", "cert", "never"]);
    let listed = String::from_utf8(gpg.run(&["--with-colons", "--list-keys", "ed"])).unwrap();
    let primary = listed
        .lines()
        .find(|l| l.starts_with("fpr"))
        .unwrap()
        .split(':')
        .nth(9)
        .unwrap();
    gpg.run(&["--quick-add-key", primary, "ed25519", "sign", "1y"]);
    gpg.run(&["--quick-gen-key", "rsa", "rsa3072", "sign", "1y"]);
    gpg.run(&["--quick-gen-key", "nist", "nistp256", "sign", "1y"]);
    gpg.run(&[&past[..], &["--quick-gen-key", "old", "ed25519", "sign", "1d"]].concat());
    gpg.run(&["--quick-gen-key", "revoked", "ed25519", "sign", "1y"]);
    let keyring = gpg.keyring();
    let signed = |user: &str, how: &str| gpg.run(&["-u", user, how, "-o", "-", "text"]);
    for user in ["ed", "rsa", "nist", "revoked"] {
        let verified = verify_inrelease(&signed(user, "--clearsign"), &requirement(&keyring)).unwrap();
        assert_eq!(verified.text, TEXT, "{user}");
        assert_eq!(verified.signers[0].key == verified.signers[0].primary, user != "ed");
        assert!(verify_detached(TEXT, &signed(user, "--detach-sign"), &requirement(&keyring)).is_ok());
    }
    // Several signatures in one file, as Debian has them.
    let both = gpg.run(&["-u", "ed", "-u", "rsa", "--clearsign", "-o", "-", "text"]);
    let two = Requirement {
        threshold: 2,
        ..requirement(&keyring)
    };
    assert_eq!(verify_inrelease(&both, &two).unwrap().signers.len(), 2);
    // A key that has expired: its tags stand, its releases do not.
    let old = gpg.run(&[&past[..], &["-u", "old", "--armor", "--detach-sign", "-o", "-", "text"]].concat());
    assert_eq!(code(verify_detached(TEXT, &old, &requirement(&keyring))), "E-SIG-011");
    assert!(verify_tag(TEXT, &old, &requirement(&keyring)).is_ok());
    // A key that was revoked: neither.
    let before = gpg.run(&["-u", "revoked", "--detach-sign", "-o", "-", "text"]);
    let revoked = keyring_fingerprint(&gpg, "revoked");
    let certificate = gpg.folder().join(format!("openpgp-revocs.d/{revoked}.rev"));
    let certificate = std::fs::read_to_string(certificate)
        .unwrap()
        .replace(":-----BEGIN", "-----BEGIN");
    std::fs::write(gpg.folder().join("rev"), certificate).unwrap();
    gpg.run(&["--import", "rev"]);
    let keyring = gpg.keyring();
    let error = verify_tag(TEXT, &before, &requirement(&keyring)).unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
    assert_eq!(
        code(verify_detached(TEXT, &before, &requirement(&keyring))),
        "E-SIG-011"
    );
    // Debian's way of publishing certificates: armored.
    let armored = gpg.run(&["--armor", "--export"]);
    assert_eq!(Keyring::parse(&armored).unwrap().fingerprints(), keyring.fingerprints());
    a_tag_that_git_signs_verifies(&gpg, primary, &keyring);
}

fn keyring_fingerprint(gpg: &Gpg, user: &str) -> String {
    let listed = String::from_utf8(gpg.run(&["--with-colons", "--list-keys", user])).unwrap();
    let line = listed.lines().find(|l| l.starts_with("fpr")).unwrap();
    line.split(':').nth(9).unwrap().to_owned()
}

fn a_tag_that_git_signs_verifies(gpg: &Gpg, key: &str, keyring: &Keyring) {
    let git = |args: &[&str]| {
        let settings = [
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "gpg.format=openpgp",
        ];
        let args = [&settings[..], args].concat();
        demand("git", &args, gpg.folder(), &[("GNUPGHOME", gpg.folder())])
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&["tag", "-u", key, "-m", "version 1", "v1"]);
    let tag = git(&["cat-file", "tag", "v1"]);
    let from = tag.windows(19).position(|w| w == b"-----BEGIN PGP SIGN").unwrap();
    let (payload, signature) = tag.split_at(from);
    let signers = verify_tag(payload, signature, &requirement(keyring)).unwrap();
    assert_eq!(signers[0].primary.as_str(), key);
    assert_eq!(
        code(verify_tag(&payload[1..], signature, &requirement(keyring))),
        "E-SIG-008"
    );
}

#[test]
fn what_we_sign_gpgv_and_apt_take() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let now = Clock::System.now();
    let key = ArchiveKey::generate("Archive <archive@example.org>", now.plus(-60)).unwrap();
    let release = release(now);
    let inrelease = key.clearsign(release.as_bytes(), now).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("key.asc", key.certificate_armored().unwrap().as_bytes());
    write("key.gpg", &dearmor(&key.certificate_armored().unwrap()));
    write("InRelease", &inrelease);
    write("Release", release.as_bytes());
    write("Release.gpg", &key.detach(release.as_bytes(), now).unwrap());
    write("Packages", b"");
    let gpgv = ["--homedir", ".", "--keyring", "./key.gpg"];
    let taken = demand("gpgv", &[&gpgv[..], &["-o", "-", "InRelease"]].concat(), folder, &[]);
    assert_eq!(String::from_utf8(taken).unwrap(), release);
    demand("gpgv", &[&gpgv[..], &["Release.gpg", "Release"]].concat(), folder, &[]);
    if Path::new("/usr/bin/sqv").exists() {
        demand("sqv", &["--keyring", "key.asc", "Release.gpg", "Release"], folder, &[]);
    }
    assert!(apt_update(folder), "apt refused a good archive");
    // It asked for our signature, and not only for the file.
    let other = ArchiveKey::generate("Other <other@example.org>", now.plus(-60)).unwrap();
    write("InRelease", &other.clearsign(release.as_bytes(), now).unwrap());
    std::fs::remove_file(folder.join("Release")).unwrap();
    std::fs::remove_dir_all(folder.join("state")).unwrap();
    assert!(!apt_update(folder), "apt took another key");
}

fn release(now: Timestamp) -> String {
    let empty = hex::encode(sha2::Sha256::digest(b""));
    format!(
        "Origin: Test\nLabel: - -dashes\nSuite: stable\nCodename: stable\nDate: {}\nSHA256:\n {empty} 0 Packages\n",
        now.release_date()
    )
}

fn apt_update(folder: &Path) -> bool {
    let shown = folder.display();
    for name in ["state/lists/partial", "cache/archives/partial", "parts"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let list = format!("deb [signed-by={shown}/key.asc] file:{shown} ./\n");
    std::fs::write(folder.join("sources.list"), list).unwrap();
    let options = [
        format!("Dir::Etc::sourcelist={shown}/sources.list"),
        format!("Dir::Etc::sourceparts={shown}/parts"),
        format!("Dir::State={shown}/state"),
        format!("Dir::Cache={shown}/cache"),
        "Dir::State::status=/dev/null".to_owned(),
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Retries=0".to_owned(),
        "APT::Update::Error-Mode=any".to_owned(),
    ];
    let mut args: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
    args.push("update");
    run("apt-get", &args, folder, &[]).0
}
