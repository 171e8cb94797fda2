//! Partial tags on the command line: what manifests name, from every archive that has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay::format::compress::{Compression, decompress};
use assay::trust::ArchiveKey;

use super::{assay, serve, text};
use crate::support::apt::{Apt, source};
use crate::support::archive::{Archive, key};
use crate::support::http::Upstream;
use crate::support::repository::now;
use crate::support::web::Web;

/// Two upstreams and a site that mirrors both. Both have `alloy` 1; each has packages of its own.
struct Built {
    folder: tempfile::TempDir,
    signer: ArchiveKey,
    main: Upstream,
    security: Upstream,
}

/// A package that dpkg takes.
fn deb(name: &str, version: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("tree/DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\nDescription: test\n"
    );
    fs::write(folder.path().join("tree/DEBIAN/control"), control).unwrap();
    fs::create_dir_all(folder.path().join("tree/opt")).unwrap();
    fs::write(folder.path().join(format!("tree/opt/{name}")), version).unwrap();
    let path = folder.path().join("made.deb");
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&folder.path().join("tree"), &path])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    fs::read(path).unwrap()
}

fn pool(name: &str, version: &str) -> String {
    format!("pool/main/x/{name}_{version}_amd64.deb")
}

impl Built {
    fn new() -> Self {
        let built = Self {
            folder: tempfile::tempdir().unwrap(),
            signer: key("upstream"),
            main: Upstream::start(),
            security: Upstream::start(),
        };
        let alloy = deb("alloy", "1");
        let mut main = Archive::new(now().plus(-3600))
            .with(&pool("alloy", "1"), &alloy)
            .with(&pool("brass", "2+b1"), &deb("brass", "2+b1"))
            .extra(&pool("brass", "2+b1"), "Source: metals (2)\n")
            .with(&pool("zinc", "3"), &deb("zinc", "3"))
            .source("alloy", "1")
            .source("metals", "2")
            .source("metals", "1")
            .source("zinc", "3");
        main.pool.remove("pool/main/a/alloy/alloy_1_amd64.deb");
        let mut security = Archive::new(now().plus(-3600))
            .with(&pool("alloy", "1"), &alloy)
            .with(&pool("iron", "1:4"), &deb("iron", "1:4"))
            .source("alloy", "1")
            .source("metals", "2")
            .source("iron", "1:4");
        // Listed for what was built with it; its files are in the other archive only.
        let extra = "Package: metals\nExtra-Source-Only: yes\n";
        security.sources = security.sources.replace("Package: metals\n", extra);
        security.pool.remove("pool/main/a/alloy/alloy_1_amd64.deb");
        built.main.set(main.files(&built.signer));
        built.security.set(security.files(&built.signer));
        built.security.remove("pool/main/s/metals/metals_2.dsc");
        built.make_site();
        built
    }

    fn make_site(&self) {
        let made = assay(self.folder.path(), &["init", "site", "--codename", "trixie"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        fs::write(
            self.site().join("upstream.asc"),
            self.signer.certificate_armored().unwrap(),
        )
        .unwrap();
        let debian = fs::read_to_string(self.site().join("repos/debian.toml")).unwrap();
        let ours = debian
            .lines()
            .find(|line| line.starts_with("signing-key"))
            .unwrap()
            .to_owned();
        fs::remove_file(self.site().join("repos/debian.toml")).unwrap();
        for (name, upstream) in [("main", &self.main), ("security", &self.security)] {
            let config = format!(
                "kind = \"mirror\"\nuri = \"{}\"\norigin = \"Foundry\"\nlabel = \"Foundry\"\nkeyring = \"upstream.asc\"\n\
                 signers = [\"{}\"]\nsuites = [\"tin\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\npool = \"lazy\"\n{ours}\n",
                upstream.url(),
                self.signer.fingerprint(),
            );
            fs::write(self.site().join(format!("repos/{name}.toml")), config).unwrap();
        }
        let custom = self.site().join("repos/custom.toml");
        let config = fs::read_to_string(&custom).unwrap();
        fs::write(custom, config.replace("archive = \"debian\"", "archive = \"main\"")).unwrap();
        self.prints(&["mirror"]);
    }

    fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    fn run(&self, args: &[&str]) -> Output {
        assay(&self.site(), args)
    }

    fn prints(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.site().join(name), content).unwrap();
    }

    /// The packages that an index of a tag lists, and its text.
    fn listed(&self, archive: &str, tag: &str, index: &str) -> (Vec<String>, String) {
        let path = self
            .site()
            .join(format!("store/{archive}/dists/tin/{tag}/main/{index}.xz"));
        let bytes = decompress(Compression::Xz, &fs::read(path).unwrap(), 1 << 20).unwrap();
        let text = text(&bytes);
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("Package: ").map(str::to_owned));
        (names.collect(), text)
    }
}

const MANIFEST: &str = "---
packages:
  binary:
  - arch: amd64
    package: alloy
    version: '1'
  - arch: amd64
    package: brass
    version: 2+b1
";

#[test]
fn a_manifest_makes_a_tag_that_apt_installs_from_and_that_verifies() {
    let built = Built::new();
    built.write("m", MANIFEST);
    let made = built.prints(&["tag", "5.15.1", "--manifest", "m"]);
    assert_eq!(made.matches(" new\n").count(), 2, "{made}");

    // What several archives have goes into each; with the sources of what was built from others.
    assert_eq!(
        built.listed("main", "5.15.1", "binary-amd64/Packages").0,
        ["alloy", "brass"]
    );
    assert_eq!(built.listed("security", "5.15.1", "binary-amd64/Packages").0, ["alloy"]);
    let (sources, text) = built.listed("main", "5.15.1", "source/Sources");
    assert_eq!(sources, ["alloy", "metals"]);
    assert!(text.contains("Version: 2\n") && !text.contains("Version: 1\nMaintainer: T <t@example.org>\nArchitecture: any\nFormat: 3.0 (native)\nDirectory: pool/main/s/metals"), "{text}");
    assert_eq!(built.listed("security", "5.15.1", "source/Sources").0, ["alloy"]);

    // Stanzas are upstream's, byte for byte.
    let upstream = built.site().join("store/main/dists/tin/main/binary-amd64/Packages.xz");
    let upstream = decompress(Compression::Xz, &fs::read(upstream).unwrap(), 1 << 20).unwrap();
    for stanza in built
        .listed("main", "5.15.1", "binary-amd64/Packages")
        .1
        .split_inclusive("\n\n")
    {
        assert!(
            upstream.windows(stanza.len()).any(|window| window == stanza.as_bytes()),
            "{stanza}"
        );
    }

    // Upstream may go: all files are there, and both proofs hold without it.
    built.main.set(BTreeMap::new());
    built.security.set(BTreeMap::new());
    let release = fs::read_to_string(built.site().join("store/main/dists/tin/5.15.1/InRelease")).unwrap();
    assert!(
        !release.contains("Valid-Until") && release.contains("Codename: tin"),
        "{release}"
    );
    assert!(release.contains("main/i18n/Translation-en.xz"), "{release}");
    built.prints(&["verify"]);
    let copy = built.folder.path().join("copy");
    let copied = Command::new("cp")
        .arg("-a")
        .args([&built.site().join("store"), &copy])
        .status()
        .unwrap();
    assert!(copied.success());
    let proven = built.prints(&["verify", copy.to_str().unwrap(), "--against", "upstream"]);
    assert!(proven.starts_with("verified: 2 snapshots"), "{proven}");

    let (mut server, url) = serve(&built.site());
    let certificate = fs::read_dir(built.site().join("policies/keys")).unwrap().flatten();
    let certificate = certificate
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "asc"))
        .unwrap();
    let fixed = Web::serve(&built.site().join("store"));
    for (uri, suite) in [
        (format!("{url}/5.15.1/main/"), "tin"),
        (format!("{url}/main/5.15.1/"), "stable"),
        (format!("{}/main/", fixed.url), "tin/5.15.1"),
    ] {
        let apt = Apt::new(&source(&uri, suite, &certificate));
        apt.update();
        assert_eq!(apt.versions("brass"), ["2+b1"], "{uri}");
        assert!(apt.versions("zinc").is_empty(), "{uri}");
        let target = tempfile::tempdir().unwrap();
        let got = apt.get(&["download", "alloy", "brass"]);
        assert!(got.ok, "{uri}: {}", got.text);
        let debs = fs::read_dir(apt.folder()).unwrap().flatten().map(|e| e.path());
        for deb in debs.filter(|path| path.extension().is_some_and(|e| e == "deb")) {
            let done = Command::new("dpkg-deb").arg("-x").args([&deb, target.path()]).status();
            assert!(done.unwrap().success());
        }
        assert_eq!(fs::read_to_string(target.path().join("opt/brass")).unwrap(), "2+b1");
        mmdebstrap(&uri, suite, &certificate);
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// A chroot of `alloy` alone, which needs nothing else.
fn mmdebstrap(uri: &str, suite: &str, certificate: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("root.tar");
    let source = format!(
        "deb [arch=amd64 signed-by={}] {uri} {suite} main",
        certificate.display()
    );
    let made = Command::new("mmdebstrap")
        .args(["--variant=extract", "--include=alloy", "--format=tar", suite])
        .arg(&target)
        .arg(source)
        .output()
        .unwrap();
    assert!(made.status.success(), "{uri}: {}", text(&made.stderr));
    let listed = Command::new("tar").arg("-tf").arg(&target).output().unwrap();
    assert!(text(&listed.stdout).contains("opt/alloy"), "{}", text(&listed.stdout));
}

#[test]
fn a_tag_is_made_once_and_again_only_with_the_same_content() {
    let built = Built::new();
    built.write("m", MANIFEST);
    built.prints(&["tag", "5.15.1", "--manifest", "m"]);
    let before = fs::read(built.site().join("store/main/dists/tin/5.15.1/InRelease")).unwrap();
    let again = built.prints(&["tag", "5.15.1", "--manifest", "m"]);
    assert_eq!(again.matches(" unchanged\n").count(), 2, "{again}");
    built.write("more", "zinc 3 amd64\n");
    let refused = built.run(&["tag", "5.15.1", "--manifest", "m", "--manifest", "more"]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    assert!(
        text(&refused.stderr).contains("tags are immutable"),
        "{}",
        text(&refused.stderr)
    );
    let whole = built.run(&["tag", "5.15.1"]);
    assert_eq!(whole.status.code(), Some(4));
    assert_eq!(
        fs::read(built.site().join("store/main/dists/tin/5.15.1/InRelease")).unwrap(),
        before
    );
    // One archive has the name with other content: none gets it.
    built.prints(&["tag", "half", "--snapshot", "security"]);
    assert_eq!(built.run(&["tag", "half", "--manifest", "m"]).status.code(), Some(4));
    assert!(!built.site().join("store/state/main/tags/half.json").exists());
    let archive = built.run(&["tag", "main", "--manifest", "m"]);
    assert_eq!(archive.status.code(), Some(2));
    // Nor does an archive get the name of a tag, whose URLs would be its own.
    let repos = built.site().join("repos");
    fs::copy(repos.join("main.toml"), repos.join("half.toml")).unwrap();
    for args in [&["mirror", "half"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let refused = built.run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        let said = text(&refused.stderr);
        assert!(said.contains("has the name of a tag of `security`"), "{said}");
    }
}

#[test]
fn every_form_of_a_list_names_the_same_packages() {
    let built = Built::new();
    let digest = |bytes: &[u8]| assay::domain::Digest::of(bytes);
    let brass = digest(&deb("brass", "2+b1"));
    let serial = built
        .prints(&["snapshot", "list", "main"])
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned();
    let id = built
        .prints(&["snapshot", "list", "main"])
        .split(' ')
        .nth(2)
        .unwrap()
        .to_owned();
    let buildinfo = format!(
        "Format: 1.0\nSource: tiny\nBinary: tiny\nArchitecture: all\nVersion: 1.0-1\nChecksums-Sha256:\n {} 0 tiny_1.0-1_all.deb\n\
         Build-Origin: Debian\nBuild-Architecture: amd64\nInstalled-Build-Depends:\n brass (= 2+b1)\nEnvironment:\n LANG=\"C\"\n",
        digest(b"").sha256
    );
    let signed = built.signer.clearsign(buildinfo.as_bytes(), now()).unwrap();
    let lock = serde_json::json!({
        "format": 1, "architecture": "amd64", "wanted": "brass",
        "snapshots": [{"archive": "main", "suite": "tin", "components": ["main"], "id": id, "serial": serial,
            "inrelease-sha256": null, "release-date": null, "packages-sha256": []}],
        "packages": [{"package": "brass", "version": "2+b1", "architecture": "amd64", "sha256": brass.sha256, "size": brass.size,
            "filename": pool("brass", "2+b1"), "archive": "main", "suite": "tin", "source": "metals", "source-version": "2"}],
        "chroot": {"tar-sha256": brass.sha256, "tool": "mmdebstrap", "tool-version": "1", "source-date-epoch": 0},
    });
    let forms = [
        ("list", "brass\t2+b1\n".to_owned()),
        ("columns", "brass:amd64 2+b1 amd64\n".to_owned()),
        ("include", "brass=2+b1\n".to_owned()),
        (
            "status",
            "Package: brass\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2+b1\n".to_owned(),
        ),
        ("buildinfo", buildinfo),
        ("signed", text(&signed)),
        ("lock", lock.to_string()),
    ];
    for (form, content) in &forms {
        built.write(form, content);
        let tag = format!("form-{form}");
        built.prints(&["tag", &tag, "--manifest", form]);
        assert_eq!(
            built.listed("main", &tag, "binary-amd64/Packages").0,
            ["brass"],
            "{form}"
        );
        assert_eq!(built.listed("main", &tag, "source/Sources").0, ["metals"], "{form}");
    }
    built.write("none", "{\"format\": 1}");
    assert_eq!(
        built.run(&["tag", "form-none", "--manifest", "none"]).status.code(),
        Some(3)
    );
}

#[test]
fn a_site_lock_brings_its_snapshots_and_every_kind_of_list_is_named() {
    let built = Built::new();
    built.prints(&["lock"]);
    let alone = built.run(&["tag", "locked", "--manifest", "assay.lock"]);
    assert!(alone.status.success(), "{}", text(&alone.stderr));
    assert!(
        text(&alone.stderr).contains("name no package, only snapshots: these are tagged whole"),
        "{}",
        text(&alone.stderr)
    );
    assert_eq!(
        built.listed("main", "locked", "binary-amd64/Packages").0,
        ["alloy", "brass", "zinc"]
    );
    built.write("zinc", "zinc=3\n");
    built.prints(&["tag", "some", "--manifest", "assay.lock", "--manifest", "zinc"]);
    assert_eq!(built.listed("main", "some", "binary-amd64/Packages").0, ["zinc"]);

    built.write("odd", "what is this line of words\n");
    let refused = built.run(&["tag", "odd", "--manifest", "odd"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = text(&refused.stderr);
    assert!(said.contains("E-FORMAT-001") && said.contains("  next: "), "{said}");
    for kind in [
        "build manifest of Tails",
        "dpkg-query",
        "mmdebstrap",
        ".buildinfo",
        "environment lock",
        "assay.lock",
    ] {
        assert!(said.contains(kind), "{kind}: {said}");
    }
}

#[test]
fn each_key_of_a_manifest_binds() {
    let built = Built::new();
    let size = deb("zinc", "3").len();
    let manifest = |key: &str, value: &str| {
        format!(
            "---\nformat: '2'\npackages:\n  binary:\n  - arch: amd64\n    {key}: '{value}'\n    package: zinc\n    version: '3'\n"
        )
    };
    for (key, value) in [
        ("archive", "nope"),
        ("archive", "security"),
        ("suite", "nosuite"),
        ("size", "1"),
    ] {
        built.write("m", &manifest(key, value));
        let refused = built.run(&["tag", "bound", "--manifest", "m"]);
        assert_eq!(refused.status.code(), Some(1), "{key}: {}", text(&refused.stderr));
        let said = text(&refused.stdout);
        assert!(
            said.starts_with("not found: zinc 3 amd64") && said.contains(value),
            "{said}"
        );
        assert!(!built.site().join("store/state/main/tags").exists());
    }
    for (key, value) in [("archive", "main"), ("suite", "tin"), ("size", &size.to_string())] {
        built.write("m", &manifest(key, value));
        built.prints(&["tag", &format!("by-{key}"), "--manifest", "m"]);
    }
}

#[test]
fn what_is_not_found_is_listed_and_nothing_is_made() {
    let built = Built::new();
    let tags = built.site().join("store/state/main/tags");
    built.write("list", "alloy 1\nbrass 2 amd64\nbronze:amd64 9\nzinc:i386 3\n");
    let refused = built.run(&["tag", "vm-1", "--manifest", "list"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert_eq!(
        text(&refused.stdout),
        "not found: brass 2 amd64\nnot found: bronze 9 amd64\nnot found: zinc 3 i386\n"
    );
    assert!(!tags.exists());

    let hash = "3".repeat(64);
    built.write("hashed", &format!("---\nformat: 2\npackages:\n  binary:\n  - arch: amd64\n    package: zinc\n    sha256: {hash}\n    version: '3'\n"));
    let refused = built.run(&["tag", "vm-1", "--manifest", "hashed", "--json"]);
    assert_eq!(
        text(&refused.stdout),
        "{\"missing\":\"zinc\",\"version\":\"3\",\"architecture\":\"amd64\",\"source_of\":null}\n"
    );

    // A source that was built from and is gone is missing, too.
    let mut lone = Archive::new(now().plus(-60))
        .with(&pool("tool", "1"), &deb("tool", "1"))
        .source("other", "1");
    lone.pool.remove("pool/main/a/alloy/alloy_1_amd64.deb");
    built.main.set(lone.files(&built.signer));
    built.prints(&["mirror", "main"]);
    built.write("tool", "tool=1\n");
    let refused = built.run(&["tag", "vm-1", "--manifest", "tool"]);
    assert_eq!(
        text(&refused.stdout),
        "not found: tool 1 source (the source of tool 1 amd64)\n"
    );
    assert!(!tags.exists());
}

#[test]
fn the_snapshots_are_those_of_the_manifest_and_unused_suites_stay_empty() {
    let built = Built::new();
    let listed = built.prints(&["snapshot", "list", "main"]);
    let serial = listed.split(' ').nth(1).unwrap().to_owned();
    let mut newer = Archive::new(now().plus(-60))
        .with(&pool("zinc", "4"), &deb("zinc", "4"))
        .source("zinc", "4");
    newer.pool.remove("pool/main/a/alloy/alloy_1_amd64.deb");
    built.main.set(newer.files(&built.signer));
    built.write("zinc", "zinc=3\n");
    assert_eq!(
        built.run(&["tag", "old", "--manifest", "zinc"]).status.code(),
        Some(5),
        "its file is no longer there"
    );
    built.prints(&["mirror", "main"]);
    assert_eq!(
        built.run(&["tag", "old", "--manifest", "zinc"]).status.code(),
        Some(1),
        "the latest has it no more"
    );
    let reference = format!("main@{serial}");
    let again = built.run(&["tag", "old", "--manifest", "zinc", "--snapshot", &reference]);
    assert_eq!(again.status.code(), Some(5), "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("/zinc_3"), "{}", text(&again.stderr));

    let mut files = newer_with_old(&built);
    files.retain(|path, _| !path.contains("/i18n/"));
    built.main.set(files);
    let made = built.prints(&["tag", "old", "--manifest", "zinc", "--snapshot", &reference]);
    assert!(made.contains(&format!("main old {serial} new")), "{made}");
    assert_eq!(built.listed("security", "old", "binary-amd64/Packages").0, [""; 0]);
    assert_eq!(built.listed("security", "old", "source/Sources").0, [""; 0]);

    let manifest = format!(
        "---\norigin_references:\n  main:\n    reference: '{serial}'\n  security:\n    reference: unknown\npackages:\n  binary:\n  - arch: amd64\n    package: zinc\n    version: '3'\n"
    );
    built.write("m", &manifest);
    let made = built.prints(&["tag", "older", "--manifest", "m"]);
    assert!(made.contains(&format!("main older {serial} new")), "{made}");
    built.write("m", &manifest.replace("security:", "torproject:"));
    let refused = built.run(&["tag", "oldest", "--manifest", "m"]);
    assert!(
        text(&refused.stderr).contains("E-SITE-004"),
        "{}",
        text(&refused.stderr)
    );
    // One that the site has and never mirrored: the set would lack what the manifest names.
    let repos = built.site().join("repos");
    fs::copy(repos.join("security.toml"), repos.join("torproject.toml")).unwrap();
    let refused = built.run(&["tag", "oldest", "--manifest", "m"]);
    let said = text(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("names `torproject`, which has no snapshot yet"), "{said}");
    fs::remove_file(repos.join("torproject.toml")).unwrap();

    let apt = Apt::new(&source(
        &format!("file://{}/", built.site().join("store/security").display()),
        "tin/old",
        &built.site().join("policies/keys").join(own_key(&built)),
    ));
    apt.update();
    assert!(apt.versions("zinc").is_empty());
    built.prints(&["verify"]);
}

fn own_key(built: &Built) -> String {
    let keys = fs::read_dir(built.site().join("policies/keys")).unwrap().flatten();
    let names = keys.map(|entry| entry.file_name().into_string().unwrap());
    names.into_iter().find(|name| name.ends_with(".asc")).unwrap()
}

/// The newer upstream, with the old pool files put back.
fn newer_with_old(built: &Built) -> BTreeMap<String, Vec<u8>> {
    Archive::new(now().plus(-60))
        .with(&pool("zinc", "4"), &deb("zinc", "4"))
        .with(&pool("zinc", "3"), &deb("zinc", "3"))
        .source("zinc", "4")
        .source("zinc", "3")
        .files(&built.signer)
}
