//! An image's checkout on the command line: sources that apt takes, and serial files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay::serve::{Overlays, Running, ServeConfig, ServedArchive, Server};
use assay::site::Site;
use assay::store::open_store;

use super::{assay, text};
use crate::support::apt::Apt;
use crate::support::repository::{Repository, now};

const MIRRORS: [&str; 3] = ["debian", "debian-security", "torproject"];

/// A site with three mirrors and a custom archive, each with snapshots, served; and a checkout.
pub(super) struct Built {
    folder: tempfile::TempDir,
    serials: [String; 2],
}

impl Built {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = assay(folder.path(), &["init", "site", "--codename", "trixie"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let root = folder.path().join("site");
        for name in &MIRRORS[1..] {
            fs::copy(root.join("repos/debian.toml"), root.join(format!("repos/{name}.toml"))).unwrap();
        }
        let custom = root.join("repos/custom.toml");
        let more = fs::read_to_string(&custom).unwrap() + "\n[[suite]]\nname = \"feature-foo\"\npolicy = \"default\"\n";
        fs::write(custom, more).unwrap();
        let mut built = Self {
            folder,
            serials: [String::new(), String::new()],
        };
        for name in MIRRORS {
            built.snapshot(name, &["trixie"], "1.0");
            built.serials[0] = built.snapshot(name, &["trixie"], "2.0");
        }
        built.serials[1] = built.snapshot("debian", &["trixie"], "3.0");
        built.snapshot("custom", &["feature-foo", "stable"], "9.0");
        built.write("config/base_branch", "stable\n");
        built.write("config/APT_overlays.d/feature-foo", "");
        for name in MIRRORS {
            let serial = if name == "debian-security" {
                "latest"
            } else {
                &built.serials[0]
            };
            built.write(&format!("config/APT_snapshots.d/{name}/serial"), &format!("{serial}\n"));
        }
        built.write("config/APT_snapshots.d/.placeholder", "");
        let entry = |v| {
            format!(
                "tails ({v}) unstable; urgency=low\n\n  * X.\n\n -- T <t@example.org>  Tue, 14 Nov 2023 20:13:20 +0000\n"
            )
        };
        built.write("debian/changelog", &format!("{}\n{}", entry("0.11"), entry("0.10")));
        built.git(&["init", "-q", "-b", "stable"]);
        built.git(&["add", "--all", "--force", "."]);
        built.git(&["commit", "-q", "-m", "all"]);
        built.git(&["tag", "0.10"]);
        built
    }

    pub(super) fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    pub(super) fn checkout(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    /// Makes and publishes a snapshot that has `hello` of this version; gives its serial.
    pub(super) fn snapshot(&self, archive: &str, suites: &[&str], version: &str) -> String {
        let site = Site::load(&self.site()).unwrap();
        let store = open_store(&site.config().store, site.root(), assay::host::Environment).unwrap();
        let name = archive.parse().unwrap();
        let mut repository = Repository {
            key: site.archive_key(site.archive(&name).unwrap().signing_key()).unwrap(),
            archive: name,
            ..Repository::new(site.config().public_url.as_str())
        };
        let packages = repository.add_hello(store.as_ref(), version);
        let mut states = Vec::new();
        for suite in suites {
            repository.suite = suite.parse().unwrap();
            let mut state = repository.stage(store.as_ref(), &packages);
            state.fields.iter_mut().for_each(|(field, value)| {
                if field == "Codename" {
                    (*suite).clone_into(value);
                }
            });
            states.push(state);
        }
        let chain = assay::snapshot::Chain::load(store.as_ref(), &repository.archive).unwrap();
        let record = repository.next(store.as_ref(), &chain, states);
        assay::publish::commit(store.as_ref(), &record, &repository.key).unwrap();
        repository.publish(store.as_ref());
        record.serial.to_string()
    }

    pub(super) fn serve(&self) -> Running {
        let site = Site::load(&self.site()).unwrap();
        let archives = MIRRORS.iter().chain(&["custom"]);
        let archives = archives.map(|name| ServedArchive {
            name: name.parse().unwrap(),
            upstream: None,
        });
        Server::start(ServeConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            store: open_store(&site.config().store, site.root(), assay::host::Environment).unwrap(),
            archives: archives.collect(),
            root: None,
            overlays: Overlays::default(),
            now: now(),
        })
        .unwrap()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.checkout().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn git(&self, args: &[&str]) {
        let settings = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
        let done = Command::new("git")
            .args(settings)
            .args(args)
            .current_dir(self.checkout())
            .output();
        assert!(done.unwrap().status.success(), "{args:?}");
    }

    /// The site becomes a Git repository with all that it ships.
    pub(super) fn git_site(&self) {
        let run = |args: &[&str]| {
            let settings = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
            let done = Command::new("git")
                .args(settings)
                .args(args)
                .current_dir(self.site())
                .output();
            assert!(done.unwrap().status.success(), "{args:?}");
        };
        run(&["init", "-q", "-b", "main"]);
        run(&["add", "--all"]);
        run(&["commit", "-q", "-m", "all"]);
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        assay(&self.site(), args)
    }

    /// What the program prints, which must succeed; `CHECKOUT` stands for the checkout.
    pub(super) fn prints(&self, args: &[&str]) -> String {
        let output = self.run(&self.named(args));
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(super) fn named<'a>(&self, args: &[&'a str]) -> Vec<&'a str> {
        let path: &'static str = String::leak(self.checkout().display().to_string());
        let site: &'static str = String::leak(self.site().display().to_string());
        args.iter()
            .map(|arg| match *arg {
                "CHECKOUT" => path,
                "SITE" => site,
                arg => arg,
            })
            .collect()
    }

    fn serial_file(&self, archive: &str) -> String {
        fs::read_to_string(self.checkout().join(format!("config/APT_snapshots.d/{archive}/serial"))).unwrap()
    }
}

#[test]
fn apt_takes_the_sources_of_a_checkout() {
    let built = Built::new();
    let running = built.serve();
    let url = running.url();
    let sources = built.prints(&["sources", "--tails-checkout", "CHECKOUT", "--url", &url]);
    for expected in [
        format!("URIs: {url}/debian/{}/\nSuites: trixie\n", built.serials[0]),
        format!("URIs: {url}/debian-security/{}/\n", built.serials[0]),
        "Suites: stable feature-foo\n".to_owned(),
    ] {
        assert!(sources.contains(&expected), "{expected}\n{sources}");
    }
    assert_eq!(sources.matches("Signed-By:").count(), 4);
    let apt = Apt::new(&sources);
    apt.update();
    assert_eq!(apt.versions("hello").into_iter().next().as_deref(), Some("9.0"));
    assert!(
        !apt.versions("hello").contains(&"3.0".to_owned()),
        "debian is frozen before it"
    );
}

#[test]
fn a_custom_archive_without_a_snapshot_is_left_out_on_request_and_unless_something_of_it_is_needed() {
    let built = Built::new();
    let state = built.site().join("store/state/custom");
    fs::remove_dir_all(&state).unwrap();
    let checkout = built.checkout();
    let sources = |more: &[&str]| {
        let args = ["sources", "--tails-checkout", checkout.to_str().unwrap()];
        let run = assay(&built.site(), &[&args, more].concat());
        (run.status.code(), text(&run.stdout), text(&run.stderr))
    };
    let refused = || {
        let (code, said, why) = sources(&[]);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{why}");
        assert!(why.contains("E-CLI-009") && why.contains("next: "), "{why}");
    };
    refused();
    let (code, said, why) = sources(&["--without-custom"]);
    assert_eq!((code, said.as_str()), (Some(2), ""), "an overlay needs it: {why}");
    assert!(why.contains("feature-foo"), "{why}");
    fs::remove_file(checkout.join("config/APT_overlays.d/feature-foo")).unwrap();
    refused();
    let (code, said, why) = sources(&["--without-custom"]);
    assert_eq!(
        (code, said.matches("URIs: ").count()),
        (Some(0), MIRRORS.len()),
        "{why}"
    );
}

#[test]
fn a_release_is_built_from_its_tag_whatever_came_later() {
    let built = Built::new();
    built.write("config/APT_overlays.d/.placeholder", "");
    fs::remove_file(built.checkout().join("config/APT_overlays.d/feature-foo")).unwrap();
    built.git(&["add", "--all", "--force", "."]);
    built.git(&["commit", "-q", "-m", "overlays are merged"]);
    built.git(&["tag", "0.11"]);
    built.git(&["checkout", "-q", "0.11"]);
    let asked = ["sources", "--tails-checkout", "CHECKOUT"];
    let early = built.run(&built.named(&asked));
    assert!(
        text(&early.stderr).contains("has no snapshot `0.11`"),
        "{}",
        text(&early.stderr)
    );
    let made = built.prints(&[
        "tag",
        "0.11",
        "--snapshot",
        "debian",
        "--snapshot",
        "debian-security",
        "--snapshot",
        "torproject",
    ]);
    assert_eq!(made.matches(" new\n").count(), 3);
    let unknown = built.run(&built.named(&asked));
    assert!(
        text(&unknown.stderr).contains("`custom` has no suite `0.11`"),
        "{}",
        text(&unknown.stderr)
    );
    built.snapshot("custom", &["0.11", "feature-foo", "stable"], "9.0");
    built.snapshot("debian", &["trixie"], "10.0");

    let running = built.serve();
    let url = running.url();
    let sources = built.prints(&[&asked[..], &["--url", &url]].concat());
    assert!(
        sources.contains(&format!("URIs: {url}/0.11/debian-security/\n")),
        "{sources}"
    );
    assert!(sources.contains("Suites: 0.11\n"), "{sources}");
    let apt = Apt::new(&sources);
    apt.update();
    let mut versions = apt.versions("hello");
    versions.sort();
    versions.dedup();
    assert_eq!(versions, ["2.0", "3.0", "9.0"], "no 10.0");
}

#[test]
fn a_checkout_that_may_not_be_built_is_refused_with_the_rule() {
    let built = Built::new();
    built.write("config/APT_snapshots.d/debian/serial", "latest\n");
    let refused = built.run(&built.named(&["sources", "--tails-checkout", "CHECKOUT"]));
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("rule `frozen`") && said.contains("next: freeze it: `assay freeze"),
        "{said}"
    );
    assert!(
        refused.stdout.is_empty(),
        "half of the sources would be a build of something else"
    );

    built.write("config/APT_snapshots.d/debian/serial", "2016010101\n");
    let gone = built.run(&built.named(&["sources", "--tails-checkout", "CHECKOUT"]));
    assert!(text(&gone.stderr).contains("`debian` has no snapshot `2016010101`"));
    assert!(gone.stdout.is_empty(), "{}", text(&gone.stdout));
}

#[test]
fn serials_are_printed_resolved_and_replayed() {
    let built = Built::new();
    let ask = ["sources", "--tails-checkout", "CHECKOUT", "--print-serials-only"];
    let [old, new] = &built.serials;
    let lines = format!("debian: {old}\ndebian-security: {old}\ntorproject: {old}\n");
    assert_eq!(built.prints(&ask), lines);
    let json = built.prints(&[&ask[..], &["--json"]].concat());
    assert_eq!(
        json.trim_end(),
        format!(r#"{{"debian":"{old}","debian-security":"{old}","torproject":"{old}"}}"#)
    );

    built.snapshot("debian-security", &["trixie"], "5.0");
    let security = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("debian-security"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        security(&built.prints(&ask)),
        format!("debian-security: {new}"),
        "latest is the newest"
    );
    let replayed = built.prints(&[&ask[..], &["--serials", json.trim()]].concat());
    assert_eq!(replayed, lines, "the other build's latest");
    for bad in [
        json.trim().replacen(old, new, 1),
        json.replacen(old, "latest", 1),
        format!(r#"{{"debian":"{old}"}}"#),
        json.replacen("debian\"", "other\"", 1),
        format!("{},\"nosuch\":\"{old}\"}}", json.trim().trim_end_matches('}')),
        "x".to_owned(),
    ] {
        let refused = built.run(&built.named(&[&ask[..], &["--serials", &bad]].concat()));
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{bad}");
    }
}

#[test]
fn freezing_writes_the_newest_serials_and_thawing_latest() {
    let built = Built::new();
    let [old, new] = &built.serials;
    let said = built.prints(&["freeze", "CHECKOUT"]);
    assert_eq!(said, format!("debian: {old} → {new}\ntorproject: {old} → {old}\n"));
    assert_eq!(built.serial_file("debian"), format!("{new}\n"));
    assert_eq!(built.serial_file("debian-security"), "latest\n");

    let said = built.prints(&["thaw", "CHECKOUT", "--json"]);
    assert_eq!(
        said.lines().next().unwrap(),
        format!(r#"{{"archive":"debian","old":"{new}","new":"latest"}}"#)
    );
    assert_eq!(built.serial_file("torproject"), "latest\n");

    built.prints(&["freeze", "CHECKOUT", "--archive", "debian-security"]);
    assert_eq!(built.serial_file("debian-security"), format!("{old}\n"));
    assert_eq!(built.serial_file("debian"), "latest\n");

    let builder = Path::new("vagrant/config/APT_snapshots.d");
    built.write("vagrant/config/APT_snapshots.d/debian/serial", "latest\n");
    built.prints(&["freeze", "CHECKOUT", "--serial-files", builder.to_str().unwrap()]);
    let frozen = fs::read_to_string(built.checkout().join(builder).join("debian/serial")).unwrap();
    assert_eq!(frozen, format!("{new}\n"));
    let unknown = built.run(&built.named(&["freeze", "CHECKOUT", "--archive", "other"]));
    assert_eq!(unknown.status.code(), Some(2));
}
