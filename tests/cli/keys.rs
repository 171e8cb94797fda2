//! The keys that sign for an archive: several, in turn, by other programs and on other machines; as real clients and
//! `verify` see it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use assay::domain::{Fingerprint, Timestamp};
use assay::publish::{self, Brought, Signers};
use assay::site::Site;
use assay::store::{Key, LocalStore, Store};
use assay::trust::{Requirement, merge_certificates, merge_clearsigned, merge_detached, verify_inrelease};

use crate::publish::crash::{Faulty, Mode, everything, restored};
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
fn gpg_signs_beside_a_key_of_our_own() {
    let keyed = Keyed::new();
    let outside = Gpg::new(keyed.start);
    let (first, primary) = (keyed.first(), &outside.primary);
    keyed.outside(&outside);
    let exact = format!("signed-by = [\"{}!\", \"{first}\"]", outside.subkey);
    keyed.sign_by(&first, &format!("further-keys = {}\n{exact}", list(&[primary])));
    keyed.follow(1);
    let follower = keyed.following(&[primary]);
    for client in [&keyed.trusting(&first), &keyed.trusting(primary), &follower] {
        client.update();
    }
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);
    // What is signed is not signed again: neither when it is published again nor when nothing changed.
    for verb in ["publish", "mirror"] {
        let before = fs::read(keyed.dists("InRelease")).unwrap();
        let said = keyed.site.run(keyed.at(2), &[verb, "foundry"]);
        assert!(
            said.contains(" 0 objects written") || said.ends_with(" unchanged\n"),
            "{said}"
        );
        assert_eq!(fs::read(keyed.dists("InRelease")).unwrap(), before);
    }
    keyed.follow(3);
    follower.update();
    // gpg's key alone; clients that follow go by its primary key.
    keyed.sign_by(primary, &format!("signed-by = {}", list(&[primary])));
    keyed.site.run(keyed.at(4), &["snapshot", "renew", "--all"]);
    keyed.follow(5);
    follower.update();
    assert_eq!(follower.versions("alloy"), ["2.5", "1"]);
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);
    let said = keyed.site.run(keyed.at(6), &["key", "list"]);
    assert!(
        said.contains(&format!("{primary} openpgp outside signs=foundry\n")),
        "{said}"
    );

    // A Signed-By that names none who signs would shut clients out: it does not get to them.
    keyed.sign_by(primary, &format!("signed-by = [\"{primary}!\"]"));
    keyed.offer(7);
    let before = fs::read(keyed.dists("InRelease")).unwrap();
    let said = keyed.refused(7, &["mirror", "foundry"], 3);
    assert!(said.contains("E-PUBLISH-010") && said.contains("Signed-By"), "{said}");
    assert_eq!(fs::read(keyed.dists("InRelease")).unwrap(), before);
}

#[test]
fn what_an_outside_signer_gives_back_is_checked_before_anything_moves() {
    let keyed = Keyed::new();
    let [outside, other] = [(); 2].map(|()| Gpg::new(keyed.start));
    keyed.outside(&outside);
    keyed.sign_by(&outside.primary, "");
    keyed.offer(1);
    let signs = |script: &str| {
        let path = keyed.path("signer.sh");
        let [right, wrong] = [&outside, &other].map(|gpg| gpg.command().replace(['[', ']', ','], " "));
        let times = [keyed.at(5), now().plus(86_400)].map(|at| at.unix().to_string());
        let script = script.replace("BEFORE", &times[0]).replace("TOMORROW", &times[1]);
        fs::write(&path, script.replace("RIGHT", &right).replace("WRONG", &wrong)).unwrap();
        keyed.signer(
            &outside,
            &format!("[\"sh\", \"{}\"]", path.display()),
            "timeout-seconds = 2",
        );
    };
    let mirror = ["mirror", "foundry"];
    for (script, exit, code, named) in [
        ("sleep 60 & wait", 5, "E-PUBLISH-012", "did not end within"),
        ("echo no PIN >&2; exit 1", 5, "E-PUBLISH-012", "no PIN"),
        ("echo hello", 3, "E-PUBLISH-013", ""),
        ("true", 3, "E-PUBLISH-013", ""),
        ("cat /dev/zero", 5, "E-PUBLISH-012", ""),
        ("echo other | RIGHT \"$1\"", 3, "E-PUBLISH-013", ""),
        ("WRONG \"$1\"", 3, "E-PUBLISH-013", other.subkey.as_str()),
        ("RIGHT --digest-algo SHA1 \"$1\"", 3, "E-PUBLISH-013", "SHA1"),
        (
            "RIGHT --faked-system-time=BEFORE! --default-sig-expire seconds=60 \"$1\"",
            3,
            "E-PUBLISH-013",
            "expired",
        ),
        (
            "RIGHT --faked-system-time=TOMORROW! \"$1\"",
            3,
            "E-PUBLISH-013",
            "is dated",
        ),
    ] {
        signs(script);
        let said = keyed.refused(2, &mirror, exit);
        assert!(said.contains(code) && said.contains(named), "{script}: {said}");
        assert!(said.contains("nothing was published"), "{said}");
        assert!(
            !keyed.exists("store/state/foundry/1.json") && !keyed.dists("InRelease").exists(),
            "{script}"
        );
    }
    fs::remove_file(keyed.path(&format!("keys/{}.toml", outside.primary))).unwrap();
    keyed.signer(&outside, "[\"no-such-program\"]", "");
    assert!(keyed.refused(2, &mirror, 5).contains("no-such-program"));

    // Right for the record, wrong for the Release: clients see nothing of it, and the next run finishes.
    signs("case $1 in --clearsign) echo other | RIGHT \"$1\" ;; *) RIGHT \"$1\" ;; esac");
    let said = keyed.refused(3, &mirror, 3);
    assert!(
        said.contains("E-PUBLISH-013") && said.contains("another text"),
        "{said}"
    );
    assert!(keyed.exists("store/state/foundry/1.json") && !keyed.dists("InRelease").exists());
    keyed.outside(&outside);
    keyed.site.run(keyed.at(4), &["publish", "foundry"]);
    keyed.trusting(&outside.primary).update();
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);

    // Two ways to sign are one too many.
    fs::copy(
        keyed.path(&format!("keys/{}.secret", keyed.another())),
        keyed.path(&format!("keys/{}.secret", outside.primary)),
    )
    .unwrap();
    assert!(keyed.refused(5, &mirror, 2).contains("lies beside it"));
}

#[test]
fn a_key_that_ends_says_so_in_time_and_then_signs_nothing() {
    let keyed = Keyed::new();
    let (first, day) = (keyed.first(), 24 * 60);
    let said = keyed.site.run(keyed.start, &["key", "new", "archive", "--for", "40d"]);
    let ending: Fingerprint = said.trim().parse().unwrap();
    keyed.sign_by(&first, &format!("further-keys = {}", list(&[&ending])));
    keyed.follow(1);
    let noted = |minutes| {
        keyed.offer(minutes);
        let output = keyed.site.output(keyed.at(minutes), &["mirror", "foundry"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let end = keyed.start.plus_days(40);
    assert!(!noted(2).contains("ends at"));
    let soon = noted(15 * day);
    assert!(
        soon.contains(&format!(
            "the key {ending} of `foundry` ends at {end}: `assay key extend"
        )),
        "{soon}"
    );
    let late = noted(35 * day);
    assert!(late.contains("before what is signed now runs out"), "{late}");
    let status = keyed.site.run(keyed.at(15 * day), &["status"]);
    assert!(
        status.contains(&format!("problem: the key {ending} of `foundry` ends at {end}")),
        "{status}"
    );
    let listed = keyed.site.run(keyed.at(15 * day), &["key", "list"]);
    assert!(
        listed.contains(&format!("{ending} openpgp secret-here signs=foundry ends={end}\n")),
        "{listed}"
    );

    // From its end on nothing moves, whoever else may sign.
    keyed.offer(41 * day);
    let before = keyed.stored();
    for verb in [
        &["mirror", "foundry"][..],
        &["publish"],
        &["snapshot", "renew", "--all"],
        &["gc"],
    ] {
        let said = keyed.refused(41 * day, verb, 2);
        assert!(
            said.contains("E-PUBLISH-011") && said.contains(ending.as_str()) && said.contains("it expired at"),
            "{said}"
        );
    }
    assert_eq!(keyed.stored(), before);
    let status = keyed.site.run(keyed.at(41 * day), &["status"]);
    assert!(status.contains("cannot sign: "), "{status}");
    let said = keyed
        .site
        .run(keyed.at(41 * day), &["key", "extend", ending.as_str(), "--for", "100d"]);
    assert!(said.starts_with(&format!("{ending} ends ")), "{said}");
    keyed.site.run(keyed.at(41 * day), &["mirror", "foundry"]);
    assert_eq!(keyed.verify(41 * day).0, Some(0), "{}", keyed.verify(41 * day).1);
}

#[test]
fn a_key_of_our_own_that_was_revoked_signs_nothing() {
    let keyed = Keyed::new();
    let outside = Gpg::new(keyed.start);
    keyed.outside(&outside);
    keyed.sign_by(&keyed.first(), &format!("further-keys = {}", list(&[&outside.primary])));
    keyed.follow(1);
    let revocation = outside
        .home
        .path()
        .join(format!("openpgp-revocs.d/{}.rev", outside.primary));
    let text = fs::read_to_string(&revocation)
        .unwrap()
        .replace(":-----BEGIN", "-----BEGIN");
    fs::write(&revocation, text).unwrap();
    gpg(outside.home.path(), &["--import", revocation.to_str().unwrap()]);
    fs::write(keyed.certificate(&outside.primary), outside.certificate()).unwrap();
    keyed.offer(2);
    let before = keyed.stored();
    let said = keyed.refused(2, &["mirror", "foundry"], 2);
    assert!(
        said.contains("E-PUBLISH-011") && said.contains("it was revoked"),
        "{said}"
    );
    assert_eq!(keyed.stored(), before);
}

/// A key that is on another machine: gpg's, which nothing of the site reaches.
struct Away {
    gpg: Gpg,
    keyed: Keyed,
}

impl Away {
    /// The site's own key signs, and the one that is away.
    fn new() -> Self {
        let keyed = Keyed::new();
        let gpg = Gpg::new(keyed.start);
        fs::write(keyed.certificate(&gpg.primary), gpg.certificate()).unwrap();
        fs::write(keyed.path(&format!("keys/{}.toml", gpg.primary)), "offline = true\n").unwrap();
        keyed.sign_by(&keyed.first(), &format!("further-keys = {}", list(&[&gpg.primary])));
        Self { gpg, keyed }
    }

    /// A folder of what waits.
    fn prepare(&self, minutes: i64, name: &str) -> PathBuf {
        let folder = self.keyed.path(name);
        self.keyed.site.run(
            self.keyed.at(minutes),
            &["publish", "--prepare", folder.to_str().unwrap()],
        );
        folder
    }

    /// What the people do who have the key.
    fn sign(&self, folder: &std::path::Path) {
        for path in super::made::files(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let (file, at) = (path.to_str().unwrap(), path.parent().unwrap());
            let user = format!("{}!", self.gpg.subkey);
            let run = |to: &str, form: &str| {
                let to = at.join(to);
                gpg(
                    self.gpg.home.path(),
                    &["--yes", "--armor", "-u", &user, "-o", to.to_str().unwrap(), form, file],
                );
            };
            if name == "Release" || name == "statement" {
                run(&format!("{name}.gpg"), "--detach-sign");
            }
            if name == "Release" {
                run("InRelease", "--clearsign");
            }
        }
    }

    fn attach(&self, minutes: i64, folder: &std::path::Path) -> String {
        self.keyed.site.run(
            self.keyed.at(minutes),
            &["publish", "--attach", folder.to_str().unwrap()],
        )
    }

    fn not_attached(&self, minutes: i64, folder: &std::path::Path, exit: i32) -> String {
        let before = contents(&self.keyed.path("store"));
        let said = self
            .keyed
            .refused(minutes, &["publish", "--attach", folder.to_str().unwrap()], exit);
        assert!(before == contents(&self.keyed.path("store")), "{said}");
        said
    }

    /// The upstream changes, and the mirror's next snapshot waits.
    fn wait(&self, minutes: i64) {
        self.keyed.offer(minutes);
        let said = self.keyed.refused(minutes, &["mirror", "foundry"], 5);
        assert!(
            said.contains("E-PUBLISH-014") && said.contains("publish --prepare"),
            "{said}"
        );
    }
}

fn contents(folder: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = super::made::files(folder).into_iter();
    let files = files.filter(|path| !path.ends_with("refused.json"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_a_key_on_another_machine_signs_waits_and_is_published_at_once() {
    let away = Away::new();
    let keyed = &away.keyed;
    away.wait(1);
    assert!(!keyed.exists("store/state/foundry/1.json") && !keyed.dists("InRelease").exists());
    let folder = away.prepare(2, "usb");
    let given = super::made::files(&folder);
    let given: Vec<&str> = given
        .iter()
        .map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap())
        .collect();
    assert_eq!(given, ["foundry/1/statement", "foundry/1/tin/Release", "manifest.json"]);
    let statement = fs::read_to_string(folder.join("foundry/1/statement")).unwrap();
    assert!(statement.starts_with("assay snapshot record foundry 1 "), "{statement}");

    // Nothing but what was asked for is taken.
    let said = away.not_attached(3, &folder, 3);
    assert!(
        said.contains("E-PUBLISH-017") && said.contains(away.gpg.primary.as_str()),
        "{said}"
    );
    let stranger = Gpg::new(keyed.start);
    let by = |gpg_home: &Gpg, to: &str, form: &str, file: &str| {
        let user = format!("{}!", gpg_home.subkey);
        let [to, file] = [to, file].map(|name| folder.join(name).to_str().unwrap().to_owned());
        gpg(
            gpg_home.home.path(),
            &["--yes", "--armor", "-u", &user, "-o", &to, form, &file],
        );
    };
    let (statement, release) = ("foundry/1/statement", "foundry/1/tin/Release");
    for (gpg_home, to, form, file, named) in [
        (
            &stranger,
            "foundry/1/statement.gpg",
            "--detach-sign",
            statement,
            "statement",
        ),
        (
            &away.gpg,
            "foundry/1/statement.gpg",
            "--detach-sign",
            release,
            "statement",
        ),
        (&stranger, "foundry/1/tin/InRelease", "--clearsign", release, "Release"),
        (
            &away.gpg,
            "foundry/1/tin/InRelease",
            "--clearsign",
            statement,
            "Release",
        ),
        (
            &away.gpg,
            "foundry/1/tin/Release.gpg",
            "--detach-sign",
            statement,
            "Release",
        ),
    ] {
        away.sign(&folder);
        by(gpg_home, to, form, file);
        let said = away.not_attached(3, &folder, 3);
        assert!(
            said.contains("E-PUBLISH-017") && said.contains(named),
            "{to} {form} {file}: {said}"
        );
    }
    away.sign(&folder);
    fs::remove_file(folder.join("foundry/1/tin/Release.gpg")).unwrap();
    assert!(away.not_attached(3, &folder, 3).contains("E-PUBLISH-017"));

    away.sign(&folder);
    assert_eq!(away.attach(4, &folder), "record foundry 1 published\n");
    assert!(!keyed.exists("store/state/foundry/waiting/1.json"));
    for key in [&keyed.first(), &away.gpg.primary] {
        let client = keyed.trusting(key);
        client.update();
        assert_eq!(client.versions("alloy"), ["2.1", "1"]);
    }
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);
    // It is done: again changes nothing, and nobody has to sign again for what is published.
    let before = contents(&keyed.path("store"));
    away.attach(5, &folder);
    assert!(keyed.site.run(keyed.at(5), &["publish"]).contains(" 0 objects written"));
    assert!(keyed.site.run(keyed.at(5), &["mirror"]).ends_with(" unchanged\n"));
    assert!(before == contents(&keyed.path("store")));
    assert!(
        keyed
            .site
            .run(keyed.at(5), &["key", "list"])
            .contains(" offline signs=foundry")
    );
}

#[test]
fn what_was_overtaken_while_it_was_away_is_refused() {
    let away = Away::new();
    let keyed = &away.keyed;
    away.wait(1);
    let first = away.prepare(2, "first");
    away.sign(&first);
    // The same news again: what was given away stays good. Other news take its place.
    away.wait(1);
    keyed.refused(3, &["mirror", "foundry"], 5);
    let same = away.prepare(3, "same");
    assert_eq!(
        fs::read(first.join("manifest.json")).unwrap(),
        fs::read(same.join("manifest.json")).unwrap()
    );
    away.wait(4);
    let second = away.prepare(5, "second");
    away.sign(&second);
    let said = away.not_attached(6, &first, 4);
    assert!(said.contains("E-PUBLISH-016") && said.contains("--prepare"), "{said}");
    assert_eq!(away.attach(6, &second), "record foundry 1 published\n");
    let client = keyed.trusting(&away.gpg.primary);
    client.update();
    assert_eq!(client.versions("alloy"), ["2.4", "1"]);

    // A snapshot waits; then the one that clients have is renewed, to a later Date.
    away.wait(7);
    let late = away.prepare(8, "late");
    away.sign(&late);
    let waits = keyed.path("store/state/foundry/waiting/2.json");
    fs::rename(&waits, keyed.path("2.json")).unwrap();
    let day = 24 * 60;
    keyed.refused(6 * day, &["snapshot", "renew", "foundry"], 5);
    let renewal = away.prepare(6 * day, "renewal");
    away.sign(&renewal);
    assert_eq!(away.attach(6 * day, &renewal), "renewal foundry 1 1 published\n");
    fs::rename(keyed.path("2.json"), &waits).unwrap();
    let said = away.not_attached(6 * day, &late, 4);
    assert!(
        said.contains("E-PUBLISH-016") && said.contains("record foundry 2"),
        "{said}"
    );
    // A folder that is in use is not written to.
    keyed.refused(6 * day, &["publish", "--prepare", late.to_str().unwrap()], 2);
}

#[test]
fn all_that_is_kept_goes_to_another_machine_in_one_folder() {
    let away = Away::new();
    let keyed = &away.keyed;
    let first = keyed.first();
    keyed.sign_by(&first, "");
    let one = keyed.follow(1);
    keyed.follow(2);
    keyed
        .site
        .run(keyed.at(3), &["tag", "5.0", "--snapshot", &format!("foundry@{one}")]);
    keyed.sign_by(&first, &format!("further-keys = {}", list(&[&away.gpg.primary])));
    let said = keyed.refused(4, &["snapshot", "renew", "--all"], 5);
    assert!(said.contains("E-PUBLISH-014"), "{said}");
    let folder = away.prepare(5, "usb");
    away.sign(&folder);
    let said = away.attach(6, &folder);
    assert_eq!(
        said.lines().count(),
        5,
        "two renewals, the tag, and two records that keep what they are: {said}"
    );
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);
    for suite in ["tin".to_owned(), format!("tin/{one}"), "tin/5.0".to_owned()] {
        Apt::new(&source(&keyed.url(), &suite, &keyed.certificate(&away.gpg.primary))).update();
    }
    assert_eq!(
        keyed.site.run(keyed.at(7), &["snapshot", "renew", "--all"]),
        "",
        "it is done"
    );
}

/// Killed at any operation on the store, clients have the old state or the new, and the next run finishes.
#[test]
fn attaching_that_fails_anywhere_is_finished_by_the_next_run() {
    let away = Away::new();
    let keyed = &away.keyed;
    let first = keyed.first();
    keyed.sign_by(&first, "");
    let serial = keyed.follow(1);
    keyed.site.run(keyed.at(2), &["tag", "5.0", "--snapshot", "foundry"]);
    keyed.sign_by(&first, &format!("further-keys = {}", list(&[&away.gpg.primary])));
    keyed.refused(3, &["snapshot", "renew", "--all"], 5);
    away.wait(4);
    let folder = away.prepare(5, "usb");
    away.sign(&folder);

    let (site, archive) = (keyed.load(), "foundry".parse().unwrap());
    let signers = Signers::of(&site, &archive, keyed.at(6)).unwrap();
    let url = site.config().public_url.as_str();
    let disk = LocalStore::open(&keyed.path("store")).unwrap();
    let before = everything(&disk);
    let (mut named, mut brought) = (BTreeMap::new(), BTreeMap::<String, Brought>::new());
    for waiting in publish::waiting(&disk, &archive, &signers, url).unwrap() {
        named.insert(waiting.sha256, waiting.key.clone());
        for (path, _) in waiting.files() {
            let at = folder.join("foundry").join(&path);
            let back = brought.entry(path).or_default();
            for signed in [at.with_extension("gpg"), at.with_file_name("InRelease")] {
                fs::read(signed).into_iter().for_each(|bytes| back.add(bytes));
            }
        }
    }
    let attach = |store: &dyn Store| publish::attach(store, &archive, &signers, &named, &brought, url).map(|_| ());
    let read = |store: &dyn Store| {
        let places = [String::new(), format!("{serial}/"), "5.0/".to_owned()];
        let places = places.map(|place| format!("foundry/dists/tin/{place}InRelease"));
        places.map(|place| store.get(&Key::new(place).unwrap(), 1 << 20).unwrap_or_default())
    };
    let old = read(&disk);
    let undisturbed = restored(&before);
    attach(&undisturbed).unwrap();
    let new = read(&undisturbed);
    assert!(old.iter().zip(&new).all(|(old, new)| old != new && !old.is_empty()));
    assert!(undisturbed.list(&Key::all_waiting(&archive)).unwrap().is_empty());
    let done = everything(&undisturbed);
    let mut last = BTreeMap::new();
    for (turn, fails_at) in (0..).step_by(7).enumerate() {
        let mode = if turn % 2 == 0 { Mode::Before } else { Mode::After };
        let store = restored(&before);
        let outcome = attach(&Faulty::new(&store, fails_at, mode));
        let left = everything(&store);
        // What only read since the run before failed has left the same.
        if outcome.is_err() && left == last {
            continue;
        }
        last = left;
        for ((read, old), new) in read(&store).iter().zip(&old).zip(&new) {
            assert!(read == old || read == new, "{fails_at} {mode:?}");
        }
        attach(&store).unwrap();
        assert!(everything(&store) == done, "{fails_at} {mode:?}");
        if outcome.is_ok() {
            assert!(fails_at > 100, "it only had {fails_at} operations to fail at");
            return;
        }
    }
}
