//! `kind = "unproven"`: packages without the gate, which everything says; repositories of reprepro and aptly brought over into
//! one; and no way from there into a custom archive.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::made::{Made, files};
use super::small::said;
use super::text;
use crate::support::apt::{Apt, source};
use crate::support::packages::{deb_in, deb_of, source_in};
use crate::support::repository::now;

pub(super) struct Apps {
    pub(super) made: Made,
    debs: tempfile::TempDir,
}

impl Apps {
    /// A site with the unproven archive `apps`, and these lines more in its file.
    pub(super) fn with(more: &str) -> Self {
        let made = Made::at(now());
        let apps = Self {
            made,
            debs: tempfile::tempdir().unwrap(),
        };
        let key = text(&apps.made.run(&["key", "new", "archive", "--name", "Apps"]).stdout);
        apps.declare(key.split_whitespace().last().unwrap(), more);
        apps
    }

    fn declare(&self, key: &str, more: &str) {
        let file = format!(
            "kind = \"unproven\"\norigin = \"Apps\"\nlabel = \"Apps\"\ncomponents = [\"main\", \"contrib\"]\n\
             architectures = [\"amd64\"]\nsigning-key = \"{key}\"\n{more}\n[[suite]]\nname = \"stable\"\n\n\
             [[suite]]\nname = \"testing\"\ndescription = \"what comes next\"\n"
        );
        fs::write(self.made.path("repos/apps.toml"), file).unwrap();
    }

    pub(super) fn deb(&self, name: &str, version: &str, content: &str) -> String {
        let folder = self.debs.path().join(content);
        deb_in(&folder, name, version, "amd64", content).display().to_string()
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.made.run(args)
    }

    pub(super) fn prints(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        text(&output.stdout)
    }

    /// It ends with this exit code, and says this.
    fn fails(&self, args: &[&str], code: i32, says: &str) {
        let output = self.run(args);
        let heard = said(&output);
        assert!(
            output.status.code() == Some(code) && heard.contains(says),
            "{args:?}: {:?} {heard}",
            output.status
        );
    }

    /// What the site's server answers.
    fn served(&self, paths: &[&str]) -> Vec<String> {
        let mut serve = self.made.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut serve = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(serve.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let place = line
            .trim()
            .rsplit("http://")
            .next()
            .unwrap()
            .trim_end_matches('/')
            .to_owned();
        let get = |path: &&str| {
            let mut stream = TcpStream::connect(&place).unwrap();
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {place}\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let answers = paths.iter().map(get).collect();
        serve.kill().unwrap();
        serve.wait().unwrap();
        answers
    }

    /// The custom archive as a client sees it, and its records.
    fn custom(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let store = self.made.path("store");
        let all = [store.join("custom"), store.join("state/custom")];
        let paths = all.iter().flat_map(|folder| files(folder));
        paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

#[test]
fn everything_says_that_it_is_unproven_and_apt_reads_it() {
    let apps = Apps::with("translations = true\n");
    apps.fails(
        &["include", "custom", "stable", &apps.deb("hello", "1.0", "one")],
        2,
        "E-SITE-005",
    );
    let dsc = source_in(&apps.debs.path().join("source"), "hello", "1.0");
    let contrib = deb_of(
        apps.debs.path(),
        ("tool", "1:2.0", "all"),
        "Section: contrib/misc\n",
        "a tool",
    );
    let printed = apps.prints(&[
        "include",
        "apps",
        "stable",
        &apps.deb("hello", "1.0", "one"),
        dsc.to_str().unwrap(),
        contrib.to_str().unwrap(),
    ]);
    assert!(printed.contains("apps stable main hello 1.0 source"), "{printed}");
    assert!(printed.contains("apps stable contrib tool 1:2.0 all"), "{printed}");
    assert!(printed.contains(" unproven published"), "{printed}");

    let release = fs::read_to_string(apps.made.path("store/apps/dists/stable/Release")).unwrap();
    assert!(release.contains("\nProvenance: unproven\n"), "{release}");
    assert!(release.contains("\nDescription: unproven: nobody rebuilt"), "{release}");
    let testing = fs::read_to_string(apps.made.path("store/apps/dists/testing/Release")).unwrap();
    assert!(
        testing.contains("\nDescription: what comes next (unproven: "),
        "{testing}"
    );
    assert!(!release.contains("provenance/Decisions"), "{release}");

    let apt = apps.made.apt("apps", "stable");
    apt.update();
    assert_eq!(apt.versions("hello")[0], "1.0");
    let fetched = apt.get(&["download", "hello"]);
    assert!(fetched.ok, "{}", fetched.text);

    let status = apps.prints(&["status"]);
    assert!(status.contains("apps unproven 1 snapshots"), "{status}");
    apps.fails(&["why", "hello", "--offline"], 6, "unknown  unproven");
    apps.fails(&["why", "hello", "--offline"], 6, "nobody rebuilt this one");
    let sources = apps.prints(&["sources", "--snapshot", "apps"]);
    assert!(sources.starts_with("# unproven: "), "{sources}");
    let verified = apps.run(&["verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
    assert!(said(&verified).contains("`apps` is unproven: 3 packages and sources taken on the operator's word"));
    let report = apps.prints(&["verify", "--json"]);
    assert!(
        report.contains("\"packages\":0") && report.contains("\"unproven\":{\"apps\":3}"),
        "{report}"
    );

    let pages = apps.served(&["/", "/api/v1/snapshots"]);
    assert!(
        pages[0].contains("<h2>apps</h2>\n<p><strong>unproven</strong>"),
        "{}",
        pages[0]
    );
    assert!(pages[1].contains("\"unproven\":true"), "{}", pages[1]);

    // No question takes it for proof, and no lock defines anything by it.
    apps.fails(&["source-of", "hello"], 6, "hello 1.0 is unproven");
    for question in [&["built-with", "hello"][..], &["unreproduced"], &["stale"]] {
        let answered = apps.run(question);
        assert!(
            !text(&answered.stdout).contains("apps"),
            "{question:?}: {}",
            said(&answered)
        );
    }
    apps.prints(&["lock"]);
    let lock = fs::read_to_string(apps.made.path("assay.lock")).unwrap();
    assert!(!lock.contains("apps"), "{lock}");

    // It lives as other archives do.
    apps.prints(&["tag", "1.0", "--snapshot", "apps"]);
    apps.prints(&["publish"]);
    apps.prints(&["snapshot", "renew", "apps"]);
    apps.prints(&["gc"]);
    apps.prints(&["fsck"]);
    assert!(apps.run(&["verify"]).status.success());
    apps.made.edit("repos/apps.toml", |text| {
        text.replace("translations = true\n", "contents = false\n")
    });
    apps.prints(&["publish", "apps"]);
    assert!(
        apps.run(&["verify"]).status.success(),
        "{}",
        said(&apps.run(&["verify"]))
    );

    // Who changes a byte, a stanza or what it says of itself is found out.
    let pool = apps.made.path("store/apps/pool/main/h/hello/hello_1.0_amd64.deb");
    let bytes = fs::read(&pool).unwrap();
    fs::remove_file(&pool).unwrap();
    fs::write(&pool, [&bytes[..bytes.len() - 1], b"x"].concat()).unwrap();
    apps.fails(&["verify"], 3, "V-DAMAGED apps/pool/main/h/hello/hello_1.0_amd64.deb");
    apps.fails(&["why", "hello", "--offline"], 3, "REFUTED");
}

/// Where Contents speak of what packages hold they are unpacked; else they are hashed only, as other tools do it.
#[test]
fn a_package_whose_data_is_damaged_is_refused_where_contents_speak_of_it() {
    for (contents, code) in [(true, 3), (false, 0)] {
        let apps = Apps::with(&format!("contents = {contents}\n"));
        let path = apps.deb("hello", "1.0", "hello");
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(9).rposition(|window| window == b"data.tar.").unwrap();
        // Behind the header of the member and that of its compression.
        bytes[at + 60 + 40] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let run = apps.run(&["include", "apps", "stable", &path]);
        assert_eq!(run.status.code(), Some(code), "{contents}: {}", said(&run));
    }
}

#[test]
fn versions_follow_each_other_and_go() {
    let apps = Apps::with("");
    let [one, two] = [apps.deb("hello", "1.0", "one"), apps.deb("hello", "2.0", "two")];
    apps.prints(&["include", "apps", "stable", &two]);
    apps.fails(&["include", "apps", "stable", &one], 1, "E-UNPROVEN-005");
    apps.prints(&["include", "apps", "stable", &one, "--keep-older"]);
    let apt = apps.made.apt("apps", "stable");
    apt.update();
    assert_eq!(apt.versions("hello"), ["2.0", "1.0"]);
    let three = apps.deb("hello", "3.0", "three");
    apps.prints(&["include", "apps", "stable", &three]);
    let again = apps.prints(&["include", "apps", "stable", &three]);
    assert!(again.contains(" unproven unchanged"), "{again}");
    apt.update();
    assert_eq!(apt.versions("hello"), ["3.0"]);
    apps.fails(
        &["include", "apps", "stable", &apps.deb("hello", "3.0", "other")],
        1,
        "E-UNPROVEN-004",
    );
    apps.fails(&["include", "apps", "unstable", &three], 2, "E-UNPROVEN-006");
    apps.fails(&["remove", "apps", "stable", "hello=2.0"], 2, "E-UNPROVEN-007");
    apps.prints(&["remove", "apps", "stable", "hello"]);
    apps.fails(&["why", "hello", "--offline"], 6, "E-CLI-004");
    let old = apps.prints(&["snapshot", "list", "apps"]);
    assert_eq!(old.lines().count(), 4, "{old}");
    assert!(apps.run(&["verify"]).status.success());
    // Whoever may write to the store claims it for other bytes: what the newest snapshot remembers holds.
    let claims = apps.made.path("store/state/apps/claims");
    let entry = fs::read_to_string(claims.join("3")).unwrap();
    let sha256 = entry.split("\"sha256\":\"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(claims.join("4"), entry.replace(sha256, &"0".repeat(64))).unwrap();
    apps.fails(&["verify"], 3, "V-LEDGER state/apps/claims/4");
    apps.fails(&["include", "apps", "stable", &three], 3, "E-GATE-114");
}

#[test]
fn nothing_of_it_gets_past_the_gate() {
    let apps = Apps::with("");
    apps.prints(&["publish", "custom"]);
    apps.prints(&["include", "apps", "stable", &apps.deb("hello", "1.0", "one")]);
    let custom = apps.custom();
    // No verb of the gate takes it for what it works on.
    apps.fails(&["admit", "hello", "--archive", "apps"], 2, "E-SITE-005");
    apps.fails(
        &["admit", "--from", "apps@latest", "hello", "--reason", "why not"],
        2,
        "E-SITE-005",
    );
    apps.fails(
        &["declare", "/nowhere", "--ref", "refs/tags/1", "--archive", "apps"],
        2,
        "E-SITE-005",
    );
    apps.fails(&["suite", "list", "--archive", "apps"], 2, "E-SITE-005");
    apps.fails(&["mirror", "apps"], 2, "E-SITE-005");

    // The site's files cannot make it a part of any proof.
    let refused = |file: &str, change: &dyn Fn(&str) -> String, says: &str| {
        let path = apps.made.path(file);
        let before = fs::read_to_string(&path).unwrap();
        let changed = change(&before);
        assert_ne!(before, changed, "{file}: {says}");
        fs::write(&path, changed).unwrap();
        apps.fails(&["status"], 2, says);
        fs::write(&path, before).unwrap();
    };
    let key_of = |archive: &str| {
        let text = fs::read_to_string(apps.made.path(&format!("repos/{archive}.toml"))).unwrap();
        let line = text.lines().find(|line| line.starts_with("signing-key")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    let (own, theirs) = (key_of("apps"), key_of("custom"));
    refused(
        "repos/apps.toml",
        &|text| text.replace(&own, &theirs),
        "has keys of its own",
    );
    let further = format!("[signing]\nfurther-keys = [\"{theirs}\"]\n");
    refused(
        "repos/apps.toml",
        &|text| format!("{text}{further}"),
        "has keys of its own",
    );
    let signed_by = format!("\n[signing]\nsigned-by = [\"{own}\", \"{theirs}\"]\n");
    for archive in ["repos/custom.toml", "repos/debian.toml"] {
        refused(archive, &|text| format!("{text}{signed_by}"), "has keys of its own");
    }
    let signers = |text: &str| text.replace("signers = [", &format!("signers = [\"{own}\", "));
    refused("repos/debian.toml", &signers, "has keys of its own");
    let environment = "\n[[environment]]\narchive = \"apps\"\nsuite = \"stable\"\ncomponents = [\"main\"]\n";
    refused(
        "repos/custom.toml",
        &|text| format!("{text}{environment}"),
        "nothing is built with it",
    );
    refused(
        "repos/apps.toml",
        &|text| format!("{text}policy = \"default\"\n"),
        "has no gate",
    );
    refused("repos/apps.toml", &|text| format!("{text}{environment}"), "has no gate");
    refused(
        "repos/apps.toml",
        &|text| text.replace("label", "incoming = \"x\"\nlabel"),
        "has no gate",
    );
    refused(
        "repos/apps.toml",
        &|text| text.replace("origin = \"Apps\"", "origin = \"Debian\""),
        "upstream's",
    );
    for (archive, signer) in [("apps", &"A".repeat(40)), ("debian", &own)] {
        let import = format!(
            "\n[[import]]\narchive = \"{archive}\"\nsigners = [\"{signer}\"]\nsources = [\"*\"]\nreason = \"x\"\nowner = \"x\"\n"
        );
        refused(
            "policies/default.toml",
            &|text| format!("{text}{import}"),
            "which is unproven",
        );
    }
    let example = include_str!("../../docs/examples/unproven.toml").replace(&"0".repeat(40), &own);
    fs::write(apps.made.path("repos/example.toml"), example).unwrap();
    assert!(apps.prints(&["status"]).contains("example unproven 0 snapshots"));
    fs::remove_file(apps.made.path("repos/example.toml")).unwrap();

    // Its kind is for ever.
    let toml = fs::read_to_string(apps.made.path("repos/apps.toml")).unwrap();
    let as_custom = toml
        .replace("\"unproven\"", "\"custom\"")
        .replace("name = \"stable\"", "name = \"stable\"\npolicy = \"default\"")
        .replace("name = \"testing\"", "name = \"testing\"\npolicy = \"default\"");
    fs::write(apps.made.path("repos/apps.toml"), as_custom).unwrap();
    apps.fails(&["publish", "apps"], 2, "E-GATE-115");
    apps.fails(&["verify"], 3, "V-RELEASE");
    fs::write(apps.made.path("repos/apps.toml"), toml).unwrap();

    // An environment that somebody wrote by hand.
    fs::create_dir_all(apps.made.path("repos/custom")).unwrap();
    let mut lock = crate::admission::scenario::lock();
    lock.packages[0].archive = "apps".parse().unwrap();
    let bytes = assay::format::json::canonical("lock", &lock).unwrap();
    fs::write(apps.made.path("repos/custom/hello.lock"), bytes).unwrap();
    apps.fails(&["env", "build", "hello"], 1, "E-CLI-011");
    assert_eq!(apps.custom(), custom, "nothing changed in the custom archive");
}

/// Runs a tool in a folder; it must succeed.
fn tool(folder: &Path, program: &str, args: &[&str]) -> Output {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("GNUPGHOME", folder.join("gnupg"))
        .env("HOME", folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", said(&output));
    output
}

/// A repository of reprepro with two suites, signed; its keyring is `old.gpg`.
fn reprepro(folder: &Path) {
    fs::create_dir_all(folder.join("conf")).unwrap();
    fs::create_dir_all(folder.join("gnupg")).unwrap();
    tool(folder, "chmod", &["700", "gnupg"]);
    let key = [
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-generate-key",
        "Old <o@example.org>",
        "ed25519",
        "sign",
        "1y",
    ];
    tool(folder, "gpg", &key);
    fs::write(folder.join("old.gpg"), tool(folder, "gpg", &["--export"]).stdout).unwrap();
    let suite = |name: &str| {
        format!(
            "# {name}\nCodename: {name}\nSuite: {name}\nComponents: main contrib\nArchitectures: amd64 source\nSignWith: yes\n\
             Contents: .gz\n\n"
        )
    };
    let conf = [suite("stable"), suite("testing"), suite("never")].concat();
    fs::write(folder.join("conf/distributions"), conf).unwrap();
    fs::write(folder.join("conf/options"), "outdir +b/www\n").unwrap();
    let made = folder.join("made");
    let add = |args: &[&str]| tool(folder, "reprepro", &[&["-S", "misc", "-P", "optional"], args].concat());
    let hello = deb_in(&made, "hello", "1.0", "amd64", "hello");
    add(&["includedeb", "stable", hello.to_str().unwrap()]);
    add(&["includedeb", "testing", hello.to_str().unwrap()]);
    let tool_deb = deb_in(&made, "tool", "1:2.0", "all", "tool");
    add(&["-C", "contrib", "includedeb", "stable", tool_deb.to_str().unwrap()]);
    let dsc = source_in(&made, "hello", "1.0");
    add(&["includedsc", "stable", dsc.to_str().unwrap()]);
}

#[test]
fn a_repository_of_reprepro_comes_over_whole() {
    let (apps, old) = (Apps::with(""), tempfile::tempdir().unwrap());
    reprepro(old.path());
    let base = old.path().to_str().unwrap();
    let keyring = old.path().join("old.gpg").display().to_string();
    let import = ["import", "apps", "--from-reprepro", base, "--keyring", &keyring];
    let pool = old.path().join("www/pool/main/h/hello/hello_1.0_amd64.deb");
    let good = fs::read(&pool).unwrap();

    // One byte is another, and a second file is gone: each is named, and nothing is taken.
    fs::write(&pool, [&good[..good.len() - 1], b"x"].concat()).unwrap();
    let tarball = files(&old.path().join("www/pool"))
        .into_iter()
        .find(|path| path.extension().unwrap() == "xz")
        .unwrap();
    let packed = fs::read(&tarball).unwrap();
    fs::remove_file(&tarball).unwrap();
    let refused = apps.run(&import);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    for says in [
        "hello_1.0_amd64.deb` has the SHA-256",
        ".tar.xz` is listed, and is not there",
        "E-UNPROVEN-010",
    ] {
        assert!(said(&refused).contains(says), "{says}: {}", said(&refused));
    }
    assert!(files(&apps.made.path("store/apps")).is_empty());
    fs::write(&pool, good).unwrap();
    fs::write(&tarball, packed).unwrap();
    let other = apps.made.path("policies/keys");
    let other = files(&other)
        .into_iter()
        .find(|path| path.extension().unwrap() == "asc")
        .unwrap();
    apps.fails(
        &[
            "import",
            "apps",
            "--from-reprepro",
            base,
            "--keyring",
            other.to_str().unwrap(),
        ],
        3,
        "E-UNPROVEN-009",
    );
    assert!(files(&apps.made.path("store/apps")).is_empty());

    let first = apps.run(&import);
    assert!(first.status.success(), "{}", said(&first));
    assert!(
        said(&first).contains("`never` is in conf/distributions and not published"),
        "{}",
        said(&first)
    );
    assert!(said(&first).contains("hello (3) is not declared"), "{}", said(&first));
    let again = apps.prints(&import);
    assert!(again.contains(" unproven unchanged"), "{again}");
    assert!(
        apps.run(&["verify"]).status.success(),
        "{}",
        said(&apps.run(&["verify"]))
    );

    // The real apt gets from it what it got from the old one, by the same path.
    let apt = apps.made.apt("apps", "stable");
    apt.update();
    assert_eq!(apt.versions("hello")[0], "1.0");
    assert!(apt.get(&["download", "hello"]).ok);
    assert_eq!(
        fs::read(apt.folder().join("hello_1.0_amd64.deb")).unwrap(),
        fs::read(&pool).unwrap()
    );
    let testing = fs::read_to_string(apps.made.path("store/apps/dists/testing/main/binary-amd64/Packages")).unwrap();
    assert!(
        testing.contains("Filename: pool/main/h/hello/hello_1.0_amd64.deb\n"),
        "{testing}"
    );

    // Moving over step by step: what is new there comes, and takes the place of what was.
    let newer = deb_in(old.path(), "hello", "1.1", "amd64", "newer");
    tool(
        old.path(),
        "reprepro",
        &["includedeb", "stable", newer.to_str().unwrap()],
    );
    let json = apps.prints(&["--json", "import", "apps", "--from-reprepro", base, "--suite", "stable"]);
    assert!(
        json.contains("{\"source\":\"tool\",\"packages\":1,\"declared\":{}}"),
        "{json}"
    );
    apt.update();
    assert_eq!(apt.versions("hello")[0], "1.1");
}

#[test]
fn a_repository_of_aptly_and_a_folder_of_packages_come_over() {
    let (apps, old) = (Apps::with(""), tempfile::tempdir().unwrap());
    let folder = old.path();
    let config = format!("{{\"rootDir\": \"{}\"}}", folder.join("aptly").display());
    fs::write(folder.join("aptly.conf"), config).unwrap();
    let aptly = |args: &[&str]| tool(folder, "aptly", &[&["-config=aptly.conf"], args].concat());
    let made = folder.join("made");
    // aptly has several versions of one package.
    for version in ["1.0", "1.1"] {
        deb_in(&made, "hello", version, "amd64", version);
    }
    source_in(&made, "hello", "1.0");
    aptly(&["repo", "create", "-distribution=stable", "-component=main", "r"]);
    aptly(&["repo", "add", "r", "made"]);
    aptly(&["publish", "repo", "-skip-signing", "-architectures=amd64,source", "r"]);
    let root = folder.join("aptly");
    apps.prints(&["import", "apps", "--from-aptly", root.to_str().unwrap()]);
    let apt = apps.made.apt("apps", "stable");
    apt.update();
    assert_eq!(apt.versions("hello"), ["1.1", "1.0"]);
    let public = root.join("public");
    let again = apps.prints(&["import", "apps", "--from-dir", public.to_str().unwrap()]);
    assert!(again.contains(" unproven unchanged"), "{again}");

    let plain = folder.join("plain");
    deb_in(&plain.join("deep"), "third", "3.0", "all", "third");
    fs::write(plain.join("README"), "no package").unwrap();
    let plain = plain.to_str().unwrap();
    apps.fails(&["import", "apps", "--from-dir", plain], 2, "--suite");
    let dry = ["import", "apps", "--from-dir", plain, "--suite", "testing", "--dry-run"];
    assert_eq!(apps.prints(&dry), "third (1) is not declared\n");
    // What the site declares could go through the gate, and is named with the version that would come of it.
    let mut declared = crate::admission::scenario::Scenario::good().candidate.declaration;
    declared.source = "third".parse().unwrap();
    let path = apps
        .made
        .load()
        .declaration_path(&"custom".parse().unwrap(), &declared.source);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, declared.to_toml().unwrap()).unwrap();
    let could = format!(
        "third (1) could be proven: declared in custom as {}\n",
        declared.version
    );
    assert_eq!(apps.prints(&dry), could);
    fs::remove_file(&path).unwrap();
    apps.prints(&["import", "apps", "--from-dir", plain, "--suite", "testing"]);
    let certificate = apps.prints(&["sources", "--snapshot", "apps"]);
    assert!(certificate.contains("Suites: stable testing"), "{certificate}");
    let key = fs::read_to_string(apps.made.path("repos/apps.toml")).unwrap();
    let key = key.split('"').find(|word| word.len() == 40).unwrap();
    let uri = format!("file:{}", apps.made.path("store/apps").display());
    let apt = Apt::new(&source(
        &uri,
        "testing",
        &apps.made.path(&format!("policies/keys/{key}.asc")),
    ));
    apt.update();
    assert_eq!(apt.versions("third"), ["3.0"]);
    assert!(apps.run(&["verify"]).status.success());
}
