//! The keys that sign for an archive: several, in turn, by other programs and on other machines; as real clients and
//! `verify` see it.

mod away;
mod outside;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use assay::domain::{Fingerprint, Timestamp};
use assay::site::Site;
use assay::trust::{Requirement, merge_certificates, merge_clearsigned, merge_detached, verify_inrelease};

use crate::support::apt::{Apt, source};
use crate::support::archive::Archive;
use crate::support::mirrored::Mirrored;
use crate::support::repository::now;
use crate::support::web::Web;

/// So many minutes after the start of a test, when programs that have a clock of their own have signed.
const TODAY: i64 = 61;

/// A mirror, and the keys that tests made for it.
struct Keyed {
    site: Mirrored,
    web: Web,
    start: Timestamp,
}

impl Keyed {
    /// One that was made an hour ago.
    fn new() -> Self {
        let start = now().plus(-3600);
        let site = Mirrored::since(start, "http://127.0.0.1:1", "");
        let web = Web::serve(&site.site().join("store"));
        Self { site, web, start }
    }

    fn at(&self, minutes: i64) -> Timestamp {
        self.start.plus(60 * minutes)
    }

    /// What is in the store, but for the note of a mirror's refused run.
    fn stored(&self) -> Vec<PathBuf> {
        let mut files = super::made::files(&self.path("store"));
        files.retain(|path| !path.ends_with("refused.json"));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.site().join(name)
    }

    /// The key that `init` made.
    fn first(&self) -> Fingerprint {
        self.load()
            .archive(&"foundry".parse().unwrap())
            .unwrap()
            .signing_key()
            .clone()
    }

    fn load(&self) -> Site {
        Site::load(&self.site.site()).unwrap()
    }

    fn another(&self) -> Fingerprint {
        let said = self.site.run(
            self.start,
            &["key", "new", "archive", "--name", "Another <a@example.org>"],
        );
        said.trim().parse().unwrap()
    }

    /// Who signs from now on.
    fn sign_by(&self, key: &Fingerprint, signing: &str) {
        let path = self.path("repos/foundry.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("[signing]").next().unwrap();
        let lines = text.lines().map(|line| match line.starts_with("signing-key") {
            true => format!("signing-key = \"{key}\"\n"),
            false => format!("{line}\n"),
        });
        let text: String = lines.collect();
        fs::write(path, format!("{text}[signing]\n{signing}\n")).unwrap();
    }

    /// The upstream changes, and the mirror follows; the serial.
    fn follow(&self, minutes: i64) -> String {
        self.offer(minutes);
        let said = self.site.run(self.at(minutes), &["mirror", "foundry"]);
        assert!(said.ends_with("new\n"), "{said}");
        said.split(' ').nth(1).unwrap().to_owned()
    }

    fn certificate(&self, key: &Fingerprint) -> PathBuf {
        self.path(&format!("policies/keys/{key}.asc"))
    }

    fn url(&self) -> String {
        format!("{}/foundry", self.web.url)
    }

    /// A client that trusts one key.
    fn trusting(&self, key: &Fingerprint) -> Apt {
        Apt::new(&source(&self.url(), "tin", &self.certificate(key)))
    }

    /// A client that trusts some keys for all, so that the field `Signed-By` of a Release says which it takes next.
    fn following(&self, keys: &[&Fingerprint]) -> Apt {
        let apt = Apt::new(&format!(
            "Types: deb\nURIs: {}\nSuites: tin\nComponents: main\n",
            self.url()
        ));
        for key in keys {
            let to = apt.folder().join(format!("etc/apt/trusted.gpg.d/{key}.asc"));
            fs::copy(self.certificate(key), to).unwrap();
        }
        apt
    }

    fn dists(&self, name: &str) -> PathBuf {
        self.path("store/foundry/dists/tin").join(name)
    }

    /// The exit code of `verify`, and what it says.
    fn verify(&self, minutes: i64) -> (Option<i32>, String) {
        let output = self.site.output(self.at(minutes), &["verify"]);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

fn list(keys: &[&Fingerprint]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!("[{}]", keys.join(", "))
}

/// Writes a file anew: its other names stay what they are.
fn write(path: &std::path::Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A home of the real gpg, with one key: its primary key certifies, a subkey signs.
struct Gpg {
    home: tempfile::TempDir,
    primary: Fingerprint,
    subkey: Fingerprint,
}

impl Gpg {
    /// One that was made at an instant.
    fn new(at: Timestamp) -> Self {
        let home = tempfile::tempdir().unwrap();
        let time = format!("--faked-system-time={}!", at.unix());
        let gpg = |args: &[&str]| gpg(home.path(), &[&[time.as_str()], args].concat());
        gpg(&[
            "--quick-generate-key",
            "Outside <o@example.org>",
            "ed25519",
            "cert",
            "never",
        ]);
        let fingerprints = || -> Vec<Fingerprint> {
            let listed = gpg(&["--with-colons", "--list-keys"]);
            let listed = String::from_utf8(listed).unwrap();
            let lines = listed.lines().filter_map(|line| line.strip_prefix("fpr:"));
            lines.map(|line| line.trim_matches(':').parse().unwrap()).collect()
        };
        let primary = fingerprints().remove(0);
        gpg(&["--quick-add-key", primary.as_str(), "ed25519", "sign", "never"]);
        let subkey = fingerprints().remove(1);
        Self { home, primary, subkey }
    }

    fn certificate(&self) -> Vec<u8> {
        gpg(self.home.path(), &["--armor", "--export"])
    }

    /// The command that signs, as TOML.
    fn command(&self) -> String {
        let home = self.home.path().display();
        format!(
            "[\"gpg\", \"--homedir\", \"{home}\", \"--batch\", \"--armor\", \"--local-user\", \"{}!\"]",
            self.subkey
        )
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let agent = std::process::Command::new("gpgconf")
            .args(["--kill", "all"])
            .env("GNUPGHOME", self.home.path())
            .output();
        assert!(agent.is_ok());
    }
}

fn gpg(home: &std::path::Path, args: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new("gpg")
        .args(["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"])
        .args(args)
        .env("GNUPGHOME", home)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    output.stdout
}

impl Keyed {
    /// A key that gpg holds signs from now on, alone.
    fn outside(&self, gpg: &Gpg) {
        fs::write(self.certificate(&gpg.primary), gpg.certificate()).unwrap();
        self.signer(gpg, &gpg.command(), "");
    }

    /// The key is signed with by a command.
    fn signer(&self, gpg: &Gpg, command: &str, more: &str) {
        let path = self.path(&format!("keys/{}.toml", gpg.primary));
        fs::write(path, format!("signer = {command}\n{more}\n")).unwrap();
    }

    /// What upstream has from now on.
    fn offer(&self, minutes: i64) {
        let version = format!("pool/main/a/alloy/alloy_2.{minutes}_amd64.deb");
        let archive = Archive::new(self.at(minutes).plus(-30)).with(&version, version.as_bytes());
        self.site.serve(&archive);
    }

    /// A run that must fail with this exit code; what it says.
    fn refused(&self, minutes: i64, args: &[&str], exit: i32) -> String {
        let output = self.site.output(self.at(minutes), args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
        said
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }
}

#[test]
fn apt_takes_what_several_keys_sign_by_any_of_them() {
    let keyed = Keyed::new();
    let (first, second) = (keyed.first(), keyed.another());
    keyed.sign_by(
        &first,
        &format!(
            "further-keys = {0}\nsigned-by = {1}",
            list(&[&second]),
            list(&[&first, &second])
        ),
    );
    let serial = keyed.follow(1);
    let release = fs::read_to_string(keyed.dists("Release")).unwrap();
    assert!(
        release.contains(&format!("\nSigned-By: {first}, {second}\n")),
        "{release}"
    );
    let both = keyed.following(&[&first, &second]);
    let clients = [keyed.trusting(&first), keyed.trusting(&second), both];
    for client in &clients {
        client.update();
        assert_eq!(client.versions("alloy"), ["2.1", "1"]);
    }
    // By Release and Release.gpg alone, too, and by the apt that has sqv.
    let kept = fs::read(keyed.dists("InRelease")).unwrap();
    fs::remove_file(keyed.dists("InRelease")).unwrap();
    for key in [&first, &second] {
        let said = keyed.trusting(key).get(&["update"]);
        assert!(said.ok && !said.text.contains("W:"), "{}", said.text);
    }
    fs::write(keyed.dists("InRelease"), &kept).unwrap();
    let sources = keyed.site.run(keyed.at(2), &["sources", "--snapshot", "foundry"]);
    for key in [&first, &second] {
        let certificate = fs::read_to_string(keyed.certificate(key)).unwrap();
        let next = Apt::next(&source(&keyed.url(), "tin", std::path::Path::new("/dev/null")));
        fs::write(next.folder().join("one.asc"), certificate).unwrap();
        next.set_sources(&source(&keyed.url(), "tin", &next.folder().join("one.asc")));
        next.update();
    }
    // One block has both keys: apt reads it where the sources are written.
    assert_eq!(sources.matches("BEGIN PGP PUBLIC KEY BLOCK").count(), 1, "{sources}");
    let certificates = [&first, &second].map(|key| fs::read(keyed.certificate(key)).unwrap());
    let block = merge_certificates(&certificates).unwrap();
    assert!(
        block
            .lines()
            .filter(|line| !line.is_empty())
            .all(|line| sources.contains(line))
    );

    let (code, said) = keyed.verify(2);
    assert_eq!(code, Some(0), "{said}");
    names_what_is_signed_by_others(&keyed, &first, &second, &serial);
}

/// Every signature is looked at: one that is missing, and one by somebody else, is named.
fn names_what_is_signed_by_others(keyed: &Keyed, first: &Fingerprint, second: &Fingerprint, serial: &str) {
    let key = |fingerprint| keyed.load().archive_key(fingerprint).unwrap();
    let stranger = assay::trust::ArchiveKey::generate("Stranger <s@example.org>", keyed.start).unwrap();
    let text = fs::read(keyed.dists("Release")).unwrap();
    let at = keyed.at(1);
    let one = key(first).clearsign(&text, at).unwrap();
    let two = key(second).clearsign(&text, at).unwrap();
    let three = merge_clearsigned(&[one.clone(), two, stranger.clearsign(&text, at).unwrap()]).unwrap();
    let detached = [first, second].map(|fingerprint| key(fingerprint).detach(&text, at).unwrap());
    let with_stranger = [&detached[..], &[stranger.detach(&text, at).unwrap()]].concat();
    for (name, bytes, named) in [
        ("InRelease", one, second),
        ("InRelease", three, stranger.fingerprint()),
        ("Release.gpg", detached[1].clone(), first),
        (
            "Release.gpg",
            merge_detached(&with_stranger).unwrap(),
            stranger.fingerprint(),
        ),
    ] {
        for place in [keyed.dists(name), keyed.dists(&format!("{serial}/{name}"))] {
            let before = fs::read(&place).unwrap();
            write(&place, &bytes);
            let (code, said) = keyed.verify(2);
            let problem = said
                .lines()
                .find(|line| line.contains(&format!("/{name}")))
                .unwrap_or_default();
            assert_eq!(code, Some(3), "{said}");
            assert!(
                problem.contains("V-SIGNATURE") && problem.contains(named.as_str()),
                "{named}: {said}"
            );
            write(&place, &before);
        }
    }
    // Publishing again puts back what each key signs: the same bytes.
    let before = fs::read(keyed.dists("InRelease")).unwrap();
    write(&keyed.dists("InRelease"), b"x");
    keyed.site.run(keyed.at(2), &["publish", "foundry"]);
    assert_eq!(fs::read(keyed.dists("InRelease")).unwrap(), before);
    assert_eq!(keyed.verify(2).0, Some(0));
}

/// Every file of the store, but those that signing changes.
fn unsigned(keyed: &Keyed) -> Vec<(PathBuf, Vec<u8>)> {
    let signed = |path: &PathBuf| {
        let text = path.to_string_lossy();
        ["InRelease", "Release", "Release.gpg"]
            .iter()
            .any(|name| text.ends_with(&format!("/{name}")))
            || ["/signatures/", "/renewals/", "/project/trace/", "/working/"]
                .iter()
                .any(|part| text.contains(part))
            || text.contains("dists/tin/by-hash/")
            || text.contains("/by-hash/SHA256/") && fs::read(path).unwrap().starts_with(b"-----BEGIN PGP SIGNED")
    };
    let all = super::made::files(&keyed.path("store")).into_iter();
    all.filter(|path| !signed(path))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn keys_change_hands_while_both_sign() {
    let keyed = Keyed::new();
    let (old, new) = (keyed.first(), keyed.another());
    keyed.sign_by(&old, &format!("signed-by = {}", list(&[&old])));
    let first = keyed.follow(1);
    keyed.site.run(keyed.at(2), &["tag", "5.0", "--snapshot", "foundry"]);
    let [follower, late] = [(); 2].map(|()| keyed.following(&[&old, &new]));
    follower.update();
    late.update();

    let both = format!("further-keys = {}\nsigned-by = {}", list(&[&old]), list(&[&new, &old]));
    keyed.sign_by(&new, &both);
    let (code, said) = keyed.verify(3);
    assert!(
        code == Some(3) && said.contains(&format!("no signature by `{new}`")),
        "{said}"
    );
    assert!(said.contains("`assay snapshot renew --all`"), "{said}");
    let before = unsigned(&keyed);
    let said = keyed.site.run(keyed.at(4), &["snapshot", "renew", "--all"]);
    assert!(said.contains(&format!("foundry {first} renewed until")), "{said}");
    assert!(said.contains("foundry 5.0 signed anew"), "{said}");
    assert!(before == unsigned(&keyed), "nothing else changes");
    assert_eq!(
        keyed.site.run(keyed.at(5), &["snapshot", "renew", "--all"]),
        "",
        "it is done"
    );
    assert_eq!(keyed.verify(5).0, Some(0), "{}", keyed.verify(5).1);
    follower.update();
    for suite in ["tin".to_owned(), format!("tin/{first}"), "tin/5.0".to_owned()] {
        let client = Apt::new(&source(&keyed.url(), &suite, &keyed.certificate(&new)));
        client.update();
        assert_eq!(client.versions("alloy"), ["2.1", "1"], "{suite}");
    }
    let second = keyed.follow(6);
    follower.update();

    // The old key goes, with its secret.
    keyed.sign_by(
        &new,
        &format!("former-keys = {}\nsigned-by = {}", list(&[&old]), list(&[&new])),
    );
    fs::remove_file(keyed.path(&format!("keys/{old}.secret"))).unwrap();
    keyed.site.run(keyed.at(7), &["snapshot", "renew", "--all"]);
    assert_eq!(keyed.verify(7).0, Some(0), "{}", keyed.verify(7).1);
    follower.update();
    let third = keyed.follow(8);
    follower.update();
    assert_eq!(follower.versions("alloy"), ["2.8", "1"], "{first} {second} {third}");
    let refused = keyed.trusting(&old).get(&["update"]);
    assert!(!refused.ok && refused.text.contains("NO_PUBKEY"), "{}", refused.text);
    // Who was away for longer than both signed keeps what it has, until that expires.
    let said = late.get(&["update"]);
    assert!(said.ok && said.text.contains("W:"), "{}", said.text);
    assert_eq!(late.versions("alloy"), ["2.1", "1"], "{}", said.text);
    // Nothing needs the old key any more.
    keyed.sign_by(&new, "");
    keyed.site.run(keyed.at(9), &["snapshot", "renew", "--all"]);
    keyed
        .site
        .run(keyed.at(9), &["tag", "5.1", "--snapshot", &format!("foundry@{first}")]);
    assert_eq!(keyed.verify(9).0, Some(0), "{}", keyed.verify(9).1);
}

#[test]
fn a_former_key_proves_what_is_old_and_makes_nothing_new() {
    let keyed = Keyed::new();
    let (old, new) = (keyed.first(), keyed.another());
    let first = keyed.follow(1);
    // Without a time in which both sign, nobody vouches for what is there.
    keyed.sign_by(&new, &format!("former-keys = {}", list(&[&old])));
    let refused = keyed.site.output(keyed.at(2), &["mirror", "foundry"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("E-PUBLISH-006") && said.contains("snapshot renew --all"),
        "{said}"
    );

    keyed.sign_by(&new, &format!("further-keys = {}", list(&[&old])));
    keyed.follow(3);
    keyed.sign_by(&new, &format!("former-keys = {}", list(&[&old])));
    keyed.follow(4);
    let (code, said) = keyed.verify(5);
    assert_eq!(code, Some(0), "the first is by the old key alone: {said}");
    let why = keyed
        .site
        .output(keyed.at(5), &["tag", "5.0", "--snapshot", &format!("foundry@{first}")]);
    assert_eq!(why.status.code(), Some(3), "{why:?}");
    assert!(
        String::from_utf8_lossy(&why.stderr).contains("E-PUBLISH-006"),
        "{why:?}"
    );
    keyed.sign_by(&new, "");
    let (code, said) = keyed.verify(5);
    assert!(code == Some(3) && said.contains(old.as_str()), "{said}");
    // A key has one part to play, and no other.
    keyed.sign_by(&new, &format!("further-keys = {0}\nformer-keys = {0}", list(&[&old])));
    let refused = keyed.site.output(keyed.at(5), &["status"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("E-SITE-006"),
        "{refused:?}"
    );
}

/// Signing anew goes on where a killed run was, and clients can read every place at any moment.
#[test]
fn a_change_of_keys_that_is_killed_is_finished_by_the_next_run() {
    let keyed = Keyed::new();
    let (old, new) = (keyed.first(), keyed.another());
    let serials = [1, 2, 3].map(|minutes| keyed.follow(minutes));
    keyed.site.run(keyed.at(4), &["tag", "5.0", "--snapshot", "foundry"]);
    keyed.sign_by(&new, &format!("further-keys = {}", list(&[&old])));
    let serials = serials.iter().map(|serial| format!("{serial}/"));
    let places: Vec<String> = serials.chain(["5.0/".to_owned(), String::new()]).collect();
    let keyring = keyed.load().openpgp_keyring(&old).unwrap();
    for round in 0.. {
        let at = keyed.at(5 + i64::from(round));
        let mut command = keyed.site.command(at, &["snapshot", "renew", "--all"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 << round));
        let ended = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        for place in &places {
            let inrelease = fs::read(keyed.dists(&format!("{place}InRelease"))).unwrap();
            let requirement = Requirement {
                keyring: &keyring,
                threshold: 1,
                now: at,
            };
            verify_inrelease(&inrelease, &requirement).unwrap();
        }
        if ended {
            break;
        }
    }
    let at = keyed.at(50);
    keyed.site.run(at, &["snapshot", "renew", "--all"]);
    assert_eq!(keyed.site.run(at, &["snapshot", "renew", "--all"]), "", "it is done");
    assert_eq!(keyed.verify(50).0, Some(0), "{}", keyed.verify(50).1);
    for place in &places {
        let suite = format!("tin/{place}");
        Apt::new(&source(
            &keyed.url(),
            suite.trim_end_matches('/'),
            &keyed.certificate(&new),
        ))
        .update();
    }
}
