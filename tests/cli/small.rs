//! A whole site in small: a package that is built in a second, signed in a Git repository of its own, the chroot that
//! all tests share, and two builders whose keys are here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use assay::environment::Lock;
use assay::format::json;
use assay::store::LocalStore;

use super::made::{Made, files};
use super::text;
use crate::environment::fixture;
use crate::rebuild::run::{bare_rules, write_source};
use crate::support::apt::{Apt, source};
use crate::support::repository::{Repository, now};
use crate::support::web::Web;

/// What it is built by takes long enough to be met at work.
const RULES: &str = "echo building; sleep 1; echo $(DEB_VERSION) > $(D)/version";

/// As debhelper makes a package: with its changelog, and its debug symbols in a package of their own.
const AS_DEBHELPER: &str = r"
mkdir -p debian/tiny/usr/bin debian/tiny/usr/share/doc/tiny debian/tiny-dbgsym/DEBIAN
gzip -9nc debian/changelog > debian/tiny/usr/share/doc/tiny/changelog.gz
echo 'int main(void) { return 0; }' | gcc -g -ffile-prefix-map=$(CURDIR)=. -x c -Wl,--build-id -o debian/tiny/usr/bin/tiny -
readelf -n debian/tiny/usr/bin/tiny | sed -n 's/.*Build ID: //p' > id
echo debian/tiny-dbgsym/usr/lib/debug/.build-id/$$(cut -c1-2 id)/$$(cut -c3- id).debug > symbols
mkdir -p $$(dirname $$(cat symbols)); objcopy --only-keep-debug debian/tiny/usr/bin/tiny $$(cat symbols)
strip -s debian/tiny/usr/bin/tiny
dpkg-gencontrol -ptiny -Pdebian/tiny-dbgsym -DPackage=tiny-dbgsym -DSection=debug -DAuto-Built-Package=debug-symbols -DBuild-Ids=$$(cat id) '-DDepends=tiny (= $${binary:Version})'
dpkg-deb --root-owner-group --build debian/tiny-dbgsym ..
echo $(DEB_VERSION) > $(D)/version";

const SET_UP: &str = r#"
set -eu
ssh-keygen -q -t ed25519 -N '' -C t@example.org -f ../signer
signer=$(ssh-keygen -lf ../signer.pub | cut -d' ' -f2)
cp ../signer.pub "policies/keys/$(echo "$signer" | tr '/:' '_-').pub"
printf '\n[[signer]]\nname = "T"\nscheme = "ssh"\nfingerprint = "%s"\n' "$signer" >> policies/default.toml
git init --quiet
git init --quiet ../tiny
"#;

/// Another builder, behind those that the policy has.
const BUILDER: &str = r#"
set -eu
key=$("$ASSAY" key new builder)
cat >> policies/default.toml <<END

[[builder]]
id = "$OPERATOR/laptop"
operator = "$OPERATOR"
hosting = "$OPERATOR"
public-key = "$(cat policies/keys/ed25519-${key#ed25519:}.pub)"
END
"#;

const RELEASE: &str = r#"
set -eu
cd ../tiny
sed -i "1s/(.*)/($VERSION)/" debian/changelog
git add --all
git commit --quiet --message "$VERSION"
git -c gpg.format=ssh -c user.signingKey=../signer tag --sign --message "v$VERSION" "v$VERSION"
cd ../site
"$ASSAY" declare ../tiny --ref "refs/tags/v$VERSION"
git add --all
git commit --quiet --message "tiny $VERSION"
"#;

pub(super) struct Small {
    pub(super) made: Made,
}

impl Small {
    pub(super) fn new() -> Self {
        Self::built_by(RULES)
    }

    /// Of a package that these commands make.
    pub(super) fn built_by(commands: &str) -> Self {
        let small = Self { made: Made::at(now()) };
        small.sh(SET_UP, &[]);
        small.add_builder("alice");
        small.add_builder("bob");
        write_source(
            &small.path("../tiny"),
            "tiny",
            "dpkg-dev",
            &bare_rules("tiny", commands),
        );
        let lock = small.lock();
        let path = small
            .made
            .load()
            .lock_path(&"custom".parse().unwrap(), &"tiny".parse().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, json::canonical("lock", &lock).unwrap()).unwrap();
        small.release("1.0");
        small
    }

    /// The mirror has the packages that the shared chroot was made of, and the lock names them.
    fn lock(&self) -> Lock {
        let site = self.made.load();
        let archive = "debian".parse().unwrap();
        let store = LocalStore::open(&self.path("store")).unwrap();
        let debian = Repository {
            key: site.archive_key(site.archive(&archive).unwrap().signing_key()).unwrap(),
            archive,
            suite: "tin".parse().unwrap(),
            ..Repository::new(site.config().public_url.as_str())
        };
        let mut lock = crate::admission::scenario::lock();
        lock.wanted = "build-essential, dpkg-dev".to_owned();
        lock.packages = fixture::served().packages.clone();
        let mut stanzas = String::new();
        for package in &mut lock.packages {
            (package.archive, package.suite) = (debian.archive.clone(), debian.suite.clone());
            stanzas.push_str(&format!(
                "Package: {}\nSource: {} ({})\nVersion: {}\nArchitecture: {}\nMaintainer: T <t@example.org>\n\
                 Filename: {}\nSize: {}\nSHA256: {}\n\n",
                package.package,
                package.source,
                package.source_version,
                package.version,
                package.architecture,
                package.filename,
                package.size,
                package.sha256
            ));
        }
        lock.packages.sort_by(|a, b| {
            let key = |p: &assay::environment::LockedPackage| (p.archive.clone(), p.suite.clone(), p.package.clone());
            key(a).cmp(&key(b))
        });
        let record = debian.commit(&store, &stanzas);
        debian.publish(&store);
        let upstream = record.suites[0].upstream.clone().unwrap();
        let locked = &mut lock.snapshots[0];
        (locked.suite, locked.id, locked.serial) = (debian.suite.clone(), record.id.clone(), record.serial.clone());
        locked.inrelease_sha256 = Some(upstream.inrelease.sha256);
        locked.release_date = Some(upstream.date);
        locked.packages_sha256 = vec![assay::domain::Sha256::of(stanzas.as_bytes())];

        let chroot = fixture::chroot();
        lock.chroot = chroot.made.clone();
        let named = chroot.folder.join(format!("{}.tar", lock.chroot.tar_sha256));
        if !named.exists() {
            // Another test may be as far.
            let _ = fs::hard_link(&chroot.tar, named);
        }
        fs::create_dir_all(self.path("cache")).unwrap();
        symlink(&chroot.folder, self.path("cache/chroots")).unwrap();
        lock
    }

    /// Another version, signed, declared and committed.
    pub(super) fn release(&self, version: &str) {
        self.sh(RELEASE, &[("VERSION", version)]);
    }

    /// Another builder, `OPERATOR/laptop`, whose key is here. Committed with the next release.
    pub(super) fn add_builder(&self, operator: &str) {
        self.sh(BUILDER, &[("OPERATOR", operator)]);
    }

    fn sh(&self, script: &str, environment: &[(&str, &str)]) {
        let mut run = Command::new("sh");
        run.args(["-c", script]).current_dir(self.path(""));
        run.env("ASSAY", super::ASSAY).envs(environment.iter().copied());
        run.env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            run.env(format!("GIT_{who}_NAME"), "T")
                .env(format!("GIT_{who}_EMAIL"), "t@example.org");
        }
        let ran = run.output().unwrap();
        assert!(ran.status.success(), "{}\n{}", text(&ran.stdout), text(&ran.stderr));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.made.path(name)
    }

    /// What the program prints; it must succeed.
    pub(super) fn prints(&self, args: &[&str]) -> String {
        let output = self.made.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        text(&output.stdout)
    }

    /// Starts the program.
    pub(super) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.made.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The folders of builds at work, and of those that were killed at it.
    pub(super) fn builds(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/work")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
        found.sort();
        found
    }

    /// Whether in one of these folders the package's own rules run.
    pub(super) fn is_building(folder: &Path) -> bool {
        fs::read_to_string(folder.join("log")).is_ok_and(|log| log.contains("\nbuilding\n"))
    }
}

pub(super) fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Waits for something that a process does before it ends.
pub(super) fn until(child: &mut Child, what: impl Fn() -> bool) {
    while !what() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() || what(), "it ended before: {ended:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// SIGKILL.
pub(super) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_build_that_fails_shows_the_end_of_its_log() {
    let small = Small::built_by("seq 1 100\nprintf 'm.c:3: error: no \\033[31msuch\\033[0m thing\\n'; exit 3");
    for more in [&["--builder", "alice/laptop"][..], &["--output", "../out"]] {
        let failed = small.made.run(&[&["rebuild", "tiny"], more].concat());
        let said = text(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        assert!(said.contains("  | m.c:3: error: no "), "{said}");
        assert!(!said.contains('\u{1b}'), "nothing that a terminal would follow: {said}");
        assert!(
            said.contains("  | 100\n") && !said.contains("  | 1\n"),
            "its end only: {said}"
        );
        assert!(said.contains("the build ended with exit status"), "{said}");
    }
    let whole = fs::read_to_string(small.path("../out/tiny-1.0.log")).unwrap();
    assert!(whole.contains("\n1\n2\n"), "{whole}");
    assert_eq!(small.builds(), [""; 0].map(PathBuf::from));
}

#[test]
fn an_upload_waits_for_rebuilds_and_is_admitted_with_what_they_gave() {
    let small = Small::built_by(AS_DEBHELPER.trim());
    let web = symbols_apart_and_changelogs_served(&small);
    // Who signs this one may sign the next, and nobody else.
    let key = Command::new("ssh-keygen")
        .args(["-lf", "../signer.pub"])
        .current_dir(small.path(""))
        .output()
        .unwrap();
    let key = text(&key.stdout).split(' ').nth(1).unwrap().to_owned();
    let declare = ["declare", "../tiny", "--ref", "refs/tags/v1.0", "--authorise", &key];
    let twice = [&declare[..], &["--authorise", &key, "--authorise-threshold", "2"]].concat();
    let alone = small.made.run(&twice);
    assert_eq!(alone.status.code(), Some(2), "one person is not two: {}", said(&alone));
    assert!(
        text(&alone.stderr)
            .contains("1 people are authorised who may sign `tiny`, and 2 must sign: nobody could follow")
    );
    small.prints(&declare);
    small.prints(&["rebuild", "tiny", "--output", "../offered"]);
    let (offered, incoming) = (small.path("../offered"), small.path("../incoming"));
    fs::create_dir(&incoming).unwrap();
    for path in files(&offered) {
        fs::copy(&path, incoming.join(path.file_name().unwrap())).unwrap();
    }
    let admit = || small.prints(&["admit", "--incoming", "../incoming"]);
    let changes = incoming.join("tiny_1.0_amd64.changes");
    assert!(admit().contains("tiny_1.0_amd64.changes waits: "));
    small.prints(&["rebuild", "tiny", "--builder", "alice/laptop"]);
    assert!(admit().contains(" waits: "), "one operator is not enough");
    assert_eq!(
        small.made.run(&["admit", "tiny"]).status.code(),
        Some(1),
        "refused, and kept"
    );
    assert!(changes.exists());
    small.prints(&["rebuild", "tiny", "--builder", "bob/laptop"]);
    what_waits_and_is_gone_is_named(&small);
    let admitted = admit();
    assert!(admitted.contains("tiny_1.0_amd64.changes admitted"), "{admitted}");
    let package = "tiny_1.0_amd64.deb";
    assert_eq!(
        fs::read(small.path("store/custom/pool/main/t/tiny").join(package)).unwrap(),
        fs::read(offered.join(package)).unwrap()
    );
    assert!(
        !changes.exists() && !incoming.join(package).exists(),
        "what was admitted is taken away"
    );
    let apt = small.made.apt("custom", "stable");
    apt.update();
    assert_eq!(apt.versions("tiny"), ["1.0"]);
    apt_finds_the_changelog_and_who_wants_them_the_symbols(&small, &web);
    a_signer_who_is_revoked_proves_nothing(&small);
    what_the_gate_keeps_is_missed(&small);
    what_nobody_may_sign_is_said_when_it_is_declared(&small);
}

/// The site as somebody sets it up who wants both.
fn symbols_apart_and_changelogs_served(small: &Small) -> Web {
    let web = Web::serve(&small.path("store"));
    small.made.edit("assay.toml", |text| {
        let line = text.lines().find(|line| line.starts_with("public-url")).unwrap();
        text.replace(line, &format!("public-url = \"{}\"", web.url))
    });
    small.made.edit("repos/custom.toml", |text| {
        text.replacen(
            "components = [\"main\"]",
            "components = [\"main\", \"debug\"]\ndbgsym-component = \"debug\"\nextract-changelogs = true",
            1,
        )
    });
    web
}

/// What the gate admitted, on both apts.
fn apt_finds_the_changelog_and_who_wants_them_the_symbols(small: &Small, web: &Web) {
    let certificate = small.made.certificate("custom");
    for next in [false, true] {
        let apt = if next { Apt::next("") } else { Apt::new("") };
        // That of the next stable has a root of its own, which has nothing of the site.
        let own = apt.folder().join("custom.asc");
        fs::copy(&certificate, &own).unwrap();
        let main = source(&format!("{}/custom", web.url), "stable", &own);
        apt.set_sources(&main);
        apt.update();
        assert!(apt.versions("tiny-dbgsym").is_empty());
        let printed = apt.run("apt", &["changelog", "tiny"]);
        assert!(printed.ok && printed.text.contains("  * One."), "{}", printed.text);
        apt.set_sources(&main.replace("Components: main", "Components: main debug"));
        apt.update();
        assert_eq!(apt.versions("tiny-dbgsym"), ["1.0"]);
        let got = apt.get(&["download", "tiny-dbgsym"]);
        assert!(
            got.ok && apt.folder().join("tiny-dbgsym_1.0_amd64.deb").exists(),
            "{}",
            got.text
        );
    }
    let named = text(&small.made.run(&["verify"]).stdout);
    // The mirror of this fixture is signed by nobody: only what is said of this archive's own files counts.
    let ours = |line: &&str| line.contains(" custom/pool/") || line.contains(" custom/dists/");
    let named: Vec<&str> = named.lines().filter(ours).collect();
    assert!(named.is_empty(), "{named:?}");
    // The decision covers what stands apart, too.
    let why = text(&small.made.run(&["why", "tiny-dbgsym"]).stdout);
    for hop in [
        "index       debug/binary-amd64/Packages lists",
        "decision    custom/",
        "signature   the tag is",
    ] {
        assert!(why.contains(&format!("  proven   {hop}")), "{hop}: {why}");
    }
}

/// Another person, whom the policy lets sign, and the declaration that was admitted does not.
const OTHER_SIGNER: &str = r#"
set -eu
mv ../signer ../first; mv ../signer.pub ../first.pub
ssh-keygen -q -t ed25519 -N '' -C u@example.org -f ../signer
signer=$(ssh-keygen -lf ../signer.pub | cut -d' ' -f2)
cp ../signer.pub "policies/keys/$(echo "$signer" | tr '/:' '_-').pub"
printf '\n[[signer]]\nname = "U"\nscheme = "ssh"\nfingerprint = "%s"\n' "$signer" >> policies/default.toml
"#;

fn what_nobody_may_sign_is_said_when_it_is_declared(small: &Small) {
    let warned = |version: &str| {
        let tag = format!("refs/tags/v{version}");
        let declared = small.made.run(&["declare", "../tiny", "--ref", &tag]);
        assert!(declared.status.success(), "{}", said(&declared));
        text(&declared.stderr).contains("rule S10 will refuse it: 0 of 1 people signed it whom the declaration of 1.0")
    };
    small.sh(OTHER_SIGNER, &[]);
    small.release("1.1");
    assert!(warned("1.1"));
    small.sh("mv ../first ../signer; mv ../first.pub ../signer.pub", &[]);
    small.release("1.2");
    assert!(!warned("1.2"));
    assert!(!warned("1.0"), "what is in is no successor of itself");
}

/// An output that the gate looks for and does not find is named by `fsck` and `verify`, and the next step that they say helps.
fn what_waits_and_is_gone_is_named(small: &Small) {
    let package = fs::read(small.path("../offered/tiny_1.0_amd64.deb")).unwrap();
    let held = format!("state/custom/held/sha256/{}", assay::domain::Sha256::of(&package));
    fs::remove_file(small.path("store").join(&held)).unwrap();
    let refused = small.made.run(&["admit", "tiny"]);
    assert!(said(&refused).contains("E-STORE-002") && said(&refused).contains("`assay rebuild NAME` gives it again"));
    let named = |verb: &str| {
        let found = text(&small.made.run(&[verb]).stdout);
        let mut lines = found
            .lines()
            .filter(|line| line.starts_with(&format!("V-MISSING {held}: ")));
        lines.next().map(ToOwned::to_owned)
    };
    for verb in ["fsck", "verify"] {
        let line = named(verb).unwrap_or_default();
        assert!(
            line.contains("tiny_1.0_amd64.deb") && line.contains("`assay rebuild tiny"),
            "{verb}: {line}"
        );
    }
    assert_eq!(small.made.run(&["fsck", "custom"]).status.code(), Some(3));
    small.prints(&["rebuild", "tiny", "--builder", "bob/laptop"]);
    assert_eq!([named("fsck"), named("verify")], [None, None]);
}

/// In every verb: the decision comes out the same, and does not stand any more.
fn a_signer_who_is_revoked_proves_nothing(small: &Small) {
    let policy = small.path("policies/default.toml");
    let rules = fs::read_to_string(&policy).unwrap();
    let verbs = [&["decisions", "--again"][..], &["source-of", "tiny"]];
    for verb in verbs {
        assert_eq!(small.made.run(verb).status.code(), Some(0), "{verb:?}");
    }
    let name = "name = \"T\"\n";
    let revoked = rules.replace(name, &format!("{name}revoked-at = \"2026-01-01T00:00:00Z\"\n"));
    assert_ne!(revoked, rules);
    fs::write(&policy, revoked).unwrap();
    for (verb, code) in [(verbs[0], 3), (verbs[1], 3), (&["why", "tiny"], 3), (&["verify"], 3)] {
        let run = small.made.run(verb);
        assert_eq!(run.status.code(), Some(code), "{verb:?}: {}", said(&run));
        let found = text(&run.stdout);
        assert!(
            found.contains("was revoked at 2026-01-01T00:00:00Z"),
            "{verb:?}: {found}"
        );
    }
    // `status` says it beside all else that wants somebody, and fails for none of it; no lock is written.
    let status = small.prints(&["status"]);
    let line = "tiny 1.0 does not stand today: V-EVIDENCE";
    assert!(status.contains(line) && status.contains("was revoked at"), "{status}");
    let lock = small.made.run(&["lock"]);
    assert_eq!(lock.status.code(), Some(3), "{}", said(&lock));
    assert!(text(&lock.stdout).contains("was revoked at"), "{}", said(&lock));
    assert!(!small.path("assay.lock").exists());
    // Nor does it help to export a day before she was revoked.
    let earlier = small
        .made
        .command(&["verify"])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output();
    assert_eq!(earlier.unwrap().status.code(), Some(3));
    let again = text(&small.made.run(verbs[0]).stdout);
    let counts = ["made again: the same", "  today: "].map(|what| again.matches(what).count());
    assert_eq!(counts, [2, 1], "a refusal needs no signer: {again}");
    fs::write(&policy, rules).unwrap();
}

/// The ledger is asked for by `verify`, and put back by `publish`; and `decisions` lists all, whatever is missing.
fn what_the_gate_keeps_is_missed(small: &Small) {
    // The mirror of this fixture is signed by nobody: only what is said of the ledger counts.
    let lost = || text(&small.made.run(&["verify"]).stdout).contains("V-LEDGER state/custom/ledger/");
    assert!(!lost());
    fs::remove_dir_all(small.path("store/state/custom/ledger")).unwrap();
    assert!(lost());
    let back = small.made.run(&["publish", "custom"]);
    assert!(
        back.status.success() && said(&back).contains("put back"),
        "{}",
        said(&back)
    );
    assert!(!lost());
    // The same for what decisions were made on.
    let kinds = ["evidence", "nonces", "rounds", "declared"].map(|kind| small.path("store/state/custom").join(kind));
    let there = kinds.each_ref().map(|kind| files(kind));
    for kind in &kinds {
        fs::remove_dir_all(kind).unwrap();
    }
    let named = text(&small.made.run(&["verify"]).stdout);
    for path in there.iter().flatten() {
        let path = path.strip_prefix(small.path("store")).unwrap().display().to_string();
        assert!(
            named.contains(&format!("V-EVIDENCE {path}: it is gone")),
            "{path}: {named}"
        );
    }
    small.prints(&["publish", "custom"]);
    assert_eq!(kinds.each_ref().map(|kind| files(kind)), there);
    // And for each decision that is taken out of its list, a refusal too.
    let decisions = files(&small.path("store/state/custom/decisions"));
    assert_eq!(decisions.len(), 2);
    for path in decisions {
        fs::remove_file(&path).unwrap();
        let name = path.strip_prefix(small.path("store")).unwrap().display().to_string();
        for verb in ["fsck", "verify"] {
            let named = small.made.run(&[verb]);
            assert_eq!(named.status.code(), Some(3), "{verb}");
            let named = text(&named.stdout);
            assert!(
                named.contains(&format!("V-EVIDENCE {name}: it is gone")),
                "{verb} {name}: {named}"
            );
        }
        fs::write(&path, "").unwrap();
    }

    // A key in the form in which its public half stands in the policy; and what nobody knows.
    let policy = fs::read_to_string(small.path("policies/default.toml")).unwrap();
    let key = policy
        .lines()
        .find_map(|line| line.strip_prefix("public-key = \""))
        .unwrap();
    let fallen = small.made.run(&["decisions", "--revoked", key.trim_end_matches('"')]);
    let listed = text(&fallen.stdout);
    assert_eq!(fallen.status.code(), Some(1), "{}", said(&fallen));
    assert!(
        listed.contains("was revoked from the beginning") && !listed.contains("1970"),
        "{listed}"
    );
    let unknown = small.made.run(&["built-with", "nosuchpkg"]);
    assert!(
        !unknown.status.success() && said(&unknown).contains("held `nosuchpkg`"),
        "{}",
        said(&unknown)
    );

    let again = small.prints(&["decisions", "--again"]);
    assert_eq!(again.matches("made again: the same").count(), 2, "{again}");
    let evidence = files(&small.path("store/state/custom/evidence"));
    for record in &evidence {
        let name = record.file_name().unwrap();
        fs::remove_file(small.path("store/custom/provenance/sha256").join(name)).unwrap();
    }
    let again = small.made.run(&["decisions", "--again"]);
    let listed = text(&again.stdout);
    assert_eq!(again.status.code(), Some(6), "{listed}");
    // The refusal rests on no record: results were sealed then.
    let came_out = ["  made again: the same", "  now: "].map(|what| listed.matches(what).count());
    assert_eq!(came_out, [1, 1], "{listed}");
    let admitted = listed.lines().find(|line| line.contains(" admitted for ")).unwrap();
    let admitted = admitted.rsplit(' ').next().unwrap();
    fs::remove_file(small.path("store/custom/provenance/sha256").join(admitted)).unwrap();
    let listed = small.made.run(&["decisions"]);
    assert_eq!(listed.status.code(), Some(6), "{}", said(&listed));
    let listed = text(&listed.stdout);
    assert!(
        listed.contains(&format!("{admitted} cannot be read: ")) && listed.contains(" refused for "),
        "{listed}"
    );
    // The gate decides nothing while it lacks what it once signed, whatever else is taken away: the newest snapshot names it.
    for list in ["decisions", "heard"] {
        let _ = fs::remove_dir_all(small.path("store/state/custom").join(list));
    }
    let stopped = small.made.run(&["admit", "tiny"]);
    assert!(
        !stopped.status.success() && said(&stopped).contains("E-GATE-124") && said(&stopped).contains(admitted),
        "{}",
        said(&stopped)
    );
    let kept = files(&small.path("cache/decided/custom/tiny"));
    assert_eq!(kept.len(), 2, "this machine knows both decisions: {kept:?}");
}
