//! `admit --from`: a package of a mirror in a custom archive, on upstream's signature alone; read by the real apt,
//! and proven where nothing is left of the mirror.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assay::domain::{Digest, Timestamp};
use md5::Digest as _;

use super::small::{kill, until};
use crate::admission::scenario::Scenario;
use crate::support::apt::{Apt, source};
use crate::support::archive::{Archive, key};
use crate::support::mirrored::{ASSAY, Mirrored};
use crate::support::repository::now;
use crate::support::web::Web;

const HELLO: &str = "pool/main/h/hello/hello_1.0+b1_amd64.deb";
const DATA: &str = "pool/main/h/hello/hello-data_1.0_all.deb";

/// What imports `hello`.
pub(super) const IMPORT: [&str; 10] = [
    "admit",
    "--from",
    "foundry",
    "hello",
    "--suite",
    "testing",
    "--reason",
    "it mends a crash",
    "--by",
    "dana",
];

/// A package that dpkg takes, built of `hello` 1.0.
fn deb(name: &str, version: &str, architecture: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nSource: hello (1.0)\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: T <t@example.org>\nDescription: test\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    fs::create_dir_all(tree.join("opt")).unwrap();
    fs::write(tree.join("opt").join(name), version).unwrap();
    let path = folder.path().join("made.deb");
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&tree, &path])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    fs::read(path).unwrap()
}

/// `hello` 1.0 with its signed .dsc, a binary-only rebuild, and a package for all architectures.
fn upstream(date: Timestamp) -> Archive {
    let tarball = b"the tarball of hello".to_vec();
    let lists = |files: &[(&str, &[u8])]| {
        let line = |name: &str, digest: String, bytes: &[u8]| format!("\n {digest} {} {name}", bytes.len());
        let sha256: String = files
            .iter()
            .map(|(n, b)| line(n, Digest::of(b).sha256.hex(), b))
            .collect();
        let md5: String = files
            .iter()
            .map(|(n, b)| line(n, hex::encode(md5::Md5::digest(b)), b))
            .collect();
        format!("Checksums-Sha256:{sha256}\nFiles:{md5}\n")
    };
    let fields = "Binary: hello, hello-data\nArchitecture: any all\nVersion: 1.0\nMaintainer: T <t@example.org>\n";
    let packed = ("hello_1.0.tar.xz", tarball.as_slice());
    let dsc = format!("Format: 3.0 (native)\nSource: hello\n{fields}{}", lists(&[packed]));
    let dsc = key("uploader").clearsign(dsc.as_bytes(), date).unwrap();
    let listed = lists(&[("hello_1.0.dsc", &dsc), packed]);
    let stanza = format!("Package: hello\nFormat: 3.0 (native)\n{fields}Directory: pool/main/h/hello\n{listed}\n");
    let mut archive = Archive::new(date)
        .with(HELLO, &deb("hello", "1.0+b1", "amd64"))
        .with(DATA, &deb("hello-data", "1.0", "all"))
        .extra(HELLO, "Source: hello (1.0)\n")
        .extra(DATA, "Source: hello (1.0)\n")
        .source_files(&[
            ("pool/main/h/hello/hello_1.0.dsc", dsc.as_slice()),
            ("pool/main/h/hello/hello_1.0.tar.xz", tarball.as_slice()),
        ]);
    archive.sources.push_str(&stanza);
    archive
}

pub(super) struct Site {
    pub(super) mirrored: Mirrored,
    pub(super) at: Timestamp,
    signer: String,
    /// What is mirrored.
    upstream: Archive,
}

impl Site {
    /// A lazy mirror of that upstream, and a custom archive under a policy that lets `hello` be imported.
    pub(super) fn new(public_url: &str) -> Self {
        let at = now();
        let mirrored = Mirrored::since(at.plus(-7200), public_url, "");
        let repos = mirrored.site().join("repos");
        let text = fs::read_to_string(repos.join("foundry.toml")).unwrap();
        fs::write(repos.join("foundry.toml"), text.replace("\"full\"", "\"lazy\"")).unwrap();
        let signing = text.lines().find(|line| line.starts_with("signing-key")).unwrap();
        let custom = format!(
            "kind = \"custom\"\norigin = \"Ours\"\nlabel = \"Ours\"\ncomponents = [\"main\"]\n\
             architectures = [\"amd64\"]\n{signing}\nvalid-days = 10\n[[suite]]\nname = \"stable\"\npolicy = \"default\"\n\
             [[suite]]\nname = \"testing\"\npolicy = \"default\"\n"
        );
        fs::write(repos.join("custom.toml"), custom).unwrap();
        let signer = text
            .lines()
            .find_map(|line| line.strip_prefix("signers = [\""))
            .unwrap();
        let signer = signer.trim_end_matches("\"]").to_owned();
        let upstream = upstream(at.plus(-3600));
        mirrored.follow(&upstream);
        Self {
            mirrored,
            at,
            signer,
            upstream,
        }
    }

    pub(super) fn allow(&self, sources: &str) {
        let path = self.mirrored.site().join("policies/default.toml");
        let rule = format!(
            "\n[[import]]\narchive = \"foundry\"\nsigners = [\"{}\"]\nsources = [\"{sources}\"]\n\
             reason = \"freeze exceptions\"\nowner = \"Olga\"\n",
            self.signer
        );
        fs::write(&path, fs::read_to_string(&path).unwrap() + &rule).unwrap();
    }

    fn output(&self, args: &[&str]) -> Output {
        self.mirrored.output(self.at, args)
    }

    /// What a run says, with its exit code.
    fn says(&self, args: &[&str]) -> (i32, String) {
        says(self.output(args))
    }

    fn import(&self) -> (i32, String) {
        self.says(&IMPORT)
    }

    /// The certificate of the custom archive's key.
    pub(super) fn certificate(&self) -> std::path::PathBuf {
        let site = self.mirrored.site();
        let config = fs::read_to_string(site.join("repos/custom.toml")).unwrap();
        let signing = config
            .lines()
            .find_map(|line| line.strip_prefix("signing-key = \""))
            .unwrap();
        site.join(format!("policies/keys/{}.asc", signing.trim_end_matches('"')))
    }

    /// How many snapshots the custom archive has.
    fn records(&self) -> usize {
        let folder = self.mirrored.site().join("store/state/custom");
        let entries = fs::read_dir(folder).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".json")).count()
    }
}

fn says(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// Upstream's certificate, with the revocation that gpg makes for it.
fn revoked(site: &Site) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let secret = home.path().join("secret.asc");
    fs::write(&secret, site.mirrored.key.secret_armored().unwrap().as_bytes()).unwrap();
    let script = "gpg --batch --quiet --import secret.asc && \
        printf 'y\\n0\\n\\ny\\n' | gpg --quiet --no-tty --pinentry-mode loopback --command-fd 0 --gen-revoke \"$1\" > revocation && \
        gpg --batch --quiet --import revocation && gpg --batch --armor --export \"$1\"";
    let made = Command::new("sh")
        .args(["-c", script, "sh", &site.signer])
        .current_dir(&home)
        .env("GNUPGHOME", home.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

#[test]
fn an_import_is_installed_explained_and_proven_without_its_mirror() {
    let site = Site::new("http://127.0.0.1:1");
    site.allow("hel*");
    let (code, said) = site.import();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("hello 1.0 admitted in custom@"), "{said}");
    assert!(
        said.contains("imported from foundry@") && said.contains("not rebuilt; dana: it mends a crash"),
        "{said}"
    );
    assert_eq!(site.import().0, 0);
    assert_eq!(site.records(), 1, "what is in is not imported again");
    // It moves between suites as everything does, by a decision of its own.
    let (code, said) = site.says(&["suite", "merge", "testing", "stable"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(site.records(), 2);

    // The real apt installs from it, and has its source.
    let store = site.mirrored.site().join("store");
    let web = Web::serve(&store);
    let certificate = site.certificate();
    let signing = certificate.file_stem().unwrap().to_str().unwrap();
    let apt = Apt::new(
        &source(&format!("{}/custom", web.url), "stable", &certificate).replace("Types: deb", "Types: deb deb-src"),
    );
    apt.update();

    assert!(apt.versions("hello").contains(&"1.0+b1".to_owned()));
    let got = apt.get(&["download", "hello", "hello-data"]);
    assert!(got.ok, "{}", got.text);
    let got = apt.get(&["source", "--download-only", "hello"]);
    assert!(got.ok, "{}", got.text);

    let upstream = format!("signed by {}", site.signer);
    for (args, code, wanted) in [
        (vec!["why", "hello", "--offline"], 0, upstream.as_str()),
        (vec!["unreproduced"], 0, "not rebuilt by us: imported from foundry@"),
        (vec!["source-of", "hello"], 0, "its source is upstream's"),
        (vec!["by-signer", site.signer.as_str()], 0, "signed upstream's Release"),
        (vec!["decisions", "hello", "--again"], 0, "made again: the same"),
        (vec!["decisions", "--revoked", site.signer.as_str()], 1, "I2"),
        (vec!["verify"], 0, "verified"),
        (vec!["verify", "--against", "upstream"], 0, "verified"),
        (vec!["stale"], 0, ""),
        (vec!["dissent"], 0, ""),
        (vec!["suite", "list"], 0, "stable"),
        (vec!["gc"], 0, ""),
        (vec!["fsck"], 0, ""),
    ] {
        let (found, said) = site.says(&args);
        assert_eq!(found, code, "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    let (_, said) = site.says(&["stale"]);
    assert!(!said.contains("declare"), "what is imported has no declaration: {said}");
    let (_, said) = site.says(&["by-signer", &site.signer.to_lowercase()]);
    assert!(said.contains("signed upstream's Release"), "{said}");

    // Elsewhere, with nothing of the mirror: the custom archive, the site's Git tree, and upstream's key.
    let elsewhere = tempfile::tempdir().unwrap();
    for part in [
        "assay.toml",
        "policies",
        "repos/custom.toml",
        "store/custom",
        "store/state/custom",
    ] {
        copy(&site.mirrored.site().join(part), &elsewhere.path().join(part));
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(ASSAY);
        command.args(args).current_dir(&elsewhere);
        says(
            command
                .env("ASSAY_TEST_CLOCK", site.at.unix().to_string())
                .output()
                .unwrap(),
        )
    };
    let (code, said) = run(&["verify"]);
    assert!(
        code == 3 && said.contains("V-SIGNATURE") && said.contains("has none of the keys"),
        "{said}"
    );
    let own = elsewhere.path().join(format!("policies/keys/{}.asc", site.signer));
    fs::copy(site.mirrored.site().join("upstream.asc"), &own).unwrap();
    for args in [
        &["verify"][..],
        &["verify", "--against", "upstream"],
        &["why", "hello"],
        &["decisions", "--again"],
    ] {
        let (code, said) = run(args);
        assert_eq!(code, 0, "{args:?}: {said}");
    }
    // What upstream signed was swapped, lost, or is by another key than the policy's: it is said.
    let decisions =
        fs::read_to_string(elsewhere.path().join("store/custom/dists/stable/provenance/Decisions")).unwrap();
    assert_eq!(decisions.lines().count(), 4);
    let documents = fs::read_dir(elsewhere.path().join("store/custom/provenance/sha256")).unwrap();
    let release = documents
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read(path).unwrap().windows(8).any(|w| w == b"Foundry\n"))
        .unwrap();
    let bytes = fs::read(&release).unwrap();
    fs::remove_file(&release).unwrap();
    let (code, said) = run(&["verify", "--against", "upstream"]);
    assert!(code == 3 && said.contains("V-MISSING"), "{said}");
    fs::write(&release, &bytes).unwrap();
    let policy = elsewhere.path().join("policies/default.toml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace(&site.signer, signing)).unwrap();
    for args in [&["verify"][..], &["verify", "--against", "upstream"], &["why", "hello"]] {
        let (code, said) = run(args);
        assert_eq!(code, 3, "{args:?}: {said}");
    }
}

#[test]
fn a_move_that_is_refused_ends_with_1_and_says_what_mends_it() {
    let site = Site::new("http://127.0.0.1:1");
    site.allow("hello");
    assert_eq!(site.import().0, 0);
    assert_eq!(site.says(&["suite", "merge", "testing", "stable"]).0, 0);
    let (code, said) = site.says(&["suite", "remove", "stable", "hello", "--reason", "it eats data"]);
    assert_eq!(code, 0, "{said}");
    let records = site.records();
    for verb in [["merge", "testing", "stable"], ["reset", "stable", "testing"]] {
        for more in [&[][..], &["--json"], &["--dry-run"], &["--dry-run", "--json"]] {
            let (code, said) = site.says(&[&["suite"], &verb[..], more].concat());
            assert_eq!(code, 1, "{verb:?} {more:?}: {said}");
            assert!(said.contains("A12: "), "{verb:?} {more:?}: {said}");
            let is_said = said.contains("next: ") && said.contains("--readd");
            assert!(is_said || more.contains(&"--json"), "{verb:?} {more:?}: {said}");
        }
    }
    assert_eq!(site.records(), records, "nothing was changed");
    for (verb, code, what) in [
        (&["merge", "nowhere", "stable"][..], 2, "nowhere"),
        (&["merge", "testing", "nowhere"], 2, "nowhere"),
        (&["reset", "nowhere", "testing"], 2, "nowhere"),
        (&["remove", "stable", "goodbye", "--reason", "x"], 2, "goodbye"),
        (&["restore", "testing", "hello", "--reason", "x"], 2, "hello"),
        (&["sync"], 2, "[branches]"),
    ] {
        let (found, said) = site.says(&[&["suite"], verb].concat());
        assert_eq!(found, code, "{verb:?}: {said}");
        assert!(said.contains(what) && said.contains("error["), "{verb:?}: {said}");
    }
    assert_eq!(site.records(), records);
    let (code, said) = site.says(&["suite", "merge", "testing", "stable", "--readd", "it is mended"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn what_the_policy_does_not_let_in_changes_nothing_and_is_kept_as_refused() {
    let site = Site::new("http://127.0.0.1:1");
    let (code, said) = site.import();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("I1: the policy has no [[import]] of `hello`"), "{said}");
    site.allow("goodbye");
    assert_eq!(site.import().0, 1);
    assert_eq!(site.records(), 0);
    let (code, said) = site.says(&["decisions", "--again"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches("hello 1.0 refused").count(), 2, "{said}");
    assert_eq!(said.matches("made again: the same").count(), 2, "{said}");

    site.allow("hello");
    let folder = site.mirrored.site().join("repos/custom");
    fs::create_dir_all(&folder).unwrap();
    let declaration = Scenario::good().candidate.declaration.to_toml().unwrap();
    fs::write(folder.join("other.toml"), &declaration).unwrap();
    let (code, said) = site.import();
    assert!(
        code == 2 && said.contains("E-SRC-015") && said.contains("other.toml"),
        "{said}"
    );
    fs::remove_file(folder.join("other.toml")).unwrap();
    fs::write(folder.join("hello.toml"), declaration).unwrap();
    let (code, said) = site.import();
    assert!(
        code == 1 && said.contains("I9: the site declares `hello` itself"),
        "{said}"
    );
    fs::remove_file(folder.join("hello.toml")).unwrap();

    // The site's Git tree knows that upstream's key was revoked; the mirror's keyring does not yet.
    let own = site.mirrored.site().join(format!("policies/keys/{}.asc", site.signer));
    fs::write(&own, revoked(&site)).unwrap();
    let (code, said) = site.import();
    assert!(
        code == 2 && said.contains("E-GATE-113") && said.contains("revoked"),
        "{said}"
    );
    assert_eq!(site.records(), 0);
    fs::remove_file(own).unwrap();

    // Whoever owns the server put another package into the mirror's pool.
    let pool = site.mirrored.site().join("store/foundry").join(HELLO);
    fs::remove_file(&pool).ok();
    fs::create_dir_all(pool.parent().unwrap()).unwrap();
    fs::write(&pool, deb("hello", "1.0+b1", "all")).unwrap();
    let held = site.mirrored.site().join("store/state/custom/held");
    fs::remove_dir_all(held).unwrap();
    let (code, said) = site.import();
    assert!(code != 0 && code != 1, "{said}");
    assert_eq!(site.records(), 0, "{said}");
    for (args, wanted) in [
        (
            vec![
                "admit", "--from", "foundry", "nothing", "--suite", "stable", "--reason", "r", "--by", "d",
            ],
            "E-GATE-113",
        ),
        (
            vec![
                "admit", "--from", "foundry", "hello=9", "--suite", "stable", "--reason", "r", "--by", "d",
            ],
            "no suite of foundry@",
        ),
        (vec!["admit", "--from", "foundry", "hello"], "--reason"),
        (
            vec![
                "admit",
                "--from",
                "foundry@20200101T000000Z",
                "hello",
                "--suite",
                "stable",
                "--reason",
                "r",
                "--by",
                "d",
            ],
            "E-SNAP",
        ),
    ] {
        let (code, said) = site.says(&args);
        assert!(code == 2 && said.contains(wanted), "{args:?}: {code} {said}");
    }
}

/// With more of the same source package: a package of the installer, and one in another component.
fn with_parts(archive: Archive) -> Archive {
    let part = |name: &str, place: &str| {
        let bytes = deb(name, "1.0", "amd64");
        let Digest { sha256, size } = Digest::of(&bytes);
        let stanza = format!(
            "Package: {name}\nSource: hello (1.0)\nVersion: 1.0\nArchitecture: amd64\nMaintainer: T <t@example.org>\n\
             Filename: {place}\nSize: {size}\nSHA256: {sha256}\nDescription: test\n\n"
        );
        (stanza, bytes)
    };
    let places = [
        "pool/main/h/hello/hello-udeb_1.0_amd64.udeb",
        "pool/contrib/h/hello/hello-firmware_1.0_amd64.deb",
    ];
    let (installer, udeb) = part("hello-udeb", places[0]);
    let (contrib, firmware) = part("hello-firmware", places[1]);
    archive
        .source_files(&[(places[0], udeb.as_slice()), (places[1], firmware.as_slice())])
        .index("main/debian-installer/binary-amd64/Packages.gz", installer.as_bytes())
        .index("contrib/binary-amd64/Packages.gz", contrib.as_bytes())
        .index("contrib/source/Sources.gz", b"")
}

#[test]
fn udebs_come_along_and_tags_and_filtered_mirrors_are_imported_from() {
    let site = Site::new("http://127.0.0.1:1");
    let config = site.mirrored.site().join("repos/foundry.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("components = [\"main\"]", "components = [\"main\", \"contrib\"]");
    fs::write(&config, &text).unwrap();
    // The archive that the mirror has followed already, with more in it.
    let mut hello = with_parts(site.upstream.clone());
    hello.date = site.at.plus(-1800);
    site.mirrored.follow(&hello);
    site.allow("hel*");
    let import = |from: &str, suite: &str| {
        let args = [
            "admit",
            "--from",
            from,
            "hello",
            "--suite",
            suite,
            "--reason",
            "r",
            "--by",
            "d",
            "--explain",
        ];
        let (code, said) = site.says(&args);
        assert_eq!(code, 0, "{from}: {said}");
        said
    };
    let store = site.mirrored.site().join("store");
    let installer = |suite: &str| {
        let path = format!("custom/dists/{suite}/main/debian-installer/binary-amd64/Packages");
        fs::read_to_string(store.join(path)).unwrap()
    };

    // From a tag, when upstream has gone on.
    let (code, said) = site.says(&["tag", "1.0", "--fetch"]);
    assert_eq!(code, 0, "{said}");
    let mut gone = Archive::new(site.at.plus(-900))
        .index("main/debian-installer/binary-amd64/Packages.gz", b"")
        .index("contrib/binary-amd64/Packages.gz", b"")
        .index("contrib/source/Sources.gz", b"");
    gone.pool.clear();
    site.mirrored.follow(&gone);
    let said = import("foundry@1.0", "testing");
    assert!(said.contains("imported from foundry@1.0"), "{said}");
    assert_eq!(
        said.matches("left out, since upstream has it in `contrib`: hello-firmware")
            .count(),
        2,
        "{said}"
    );
    assert!(installer("testing").contains("Package: hello-udeb\n"));
    let packages = fs::read_to_string(store.join("custom/dists/testing/main/binary-amd64/Packages")).unwrap();
    assert!(
        packages.contains("Package: hello\n") && !packages.contains("hello-udeb"),
        "{packages}"
    );

    // From a mirror whose own indexes have a part of them only: upstream's, of which they were taken, prove it.
    fs::write(&config, format!("{text}\n[select]\npackages = [\"hello\"]\n")).unwrap();
    hello.date = site.at.plus(-600);
    site.mirrored.follow(&hello);
    let listed = store.join("foundry/dists/tin/main/binary-amd64");
    let listed = Command::new("sh")
        .args(["-c", "xz -dc Packages.xz"])
        .current_dir(listed)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains("Package: hello\n") && !listed.contains("hello-data"),
        "{listed}"
    );
    import("foundry", "stable");
    assert!(installer("stable").contains("Package: hello-udeb\n"));
    let packages = fs::read_to_string(store.join("custom/dists/stable/main/binary-amd64/Packages")).unwrap();
    assert!(
        packages.contains("Package: hello-data\n"),
        "a source package comes whole: {packages}"
    );

    for args in [
        &["verify"][..],
        &["verify", "--against", "upstream"],
        &["decisions", "hello", "--again"],
    ] {
        let (code, said) = site.says(args);
        assert_eq!(code, 0, "{args:?}: {said}");
    }
    assert_eq!(site.records(), 2);
}

/// Killed when its files are held, when upstream's are kept, when the decision is signed, and when the snapshot is committed.
#[test]
fn an_import_that_is_killed_is_finished_by_the_next_run() {
    let site = Site::new("http://127.0.0.1:1");
    site.allow("hello");
    let state = site.mirrored.site().join("store/state/custom");
    let has = |path: &str| fs::read_dir(state.join(path)).is_ok_and(|mut entries| entries.next().is_some());
    let documents = site.mirrored.site().join("store/custom/provenance/sha256");
    for done in [
        &(|| has("held/sha256")) as &dyn Fn() -> bool,
        &|| fs::read_dir(&documents).is_ok_and(|mut entries| entries.next().is_some()),
        &|| has("decisions"),
        &|| state.join("1.json").exists(),
    ] {
        let mut command = site.mirrored.command(site.at, &IMPORT);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until(&mut child, done);
        kill(child);
    }
    let (code, said) = site.import();
    assert_eq!(code, 0, "{said}");
    assert_eq!(site.records(), 1, "committed once");
    for args in [
        &["verify"][..],
        &["verify", "--against", "upstream"],
        &["decisions", "hello", "--again"],
        &["fsck"],
    ] {
        let (code, said) = site.says(args);
        assert_eq!(code, 0, "{args:?}: {said}");
    }
    let web = Web::serve(&site.mirrored.site().join("store"));
    let apt = Apt::new(&source(&format!("{}/custom", web.url), "testing", &site.certificate()));
    apt.update();
    assert_eq!(apt.versions("hello"), ["1.0+b1"]);
}
