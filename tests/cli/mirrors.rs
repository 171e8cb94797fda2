//! Mirrors as their owner sets them up: selections and pools.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay::host::Clock;
use assay::store::{LocalStore, Store};
use assay::trust::ArchiveKey;
use assay::upstream::{Client, PullThrough};

use super::{assay, text};
use crate::support::apt::{Apt, source};
use crate::support::archive::{Archive, Mirror, key};
use crate::support::http::Upstream;

/// A site that mirrors an upstream of four metals.
pub(super) struct Metals {
    folder: tempfile::TempDir,
    pub(super) upstream: Upstream,
    pub(super) signer: ArchiveKey,
}

impl Metals {
    pub(super) fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        assay(folder.path(), &["init", "site"]);
        let metals = Self {
            folder,
            upstream: Upstream::start(),
            signer: key("upstream"),
        };
        let repos = metals.site().join("repos");
        let signing_key = fs::read_to_string(repos.join("debian.toml")).unwrap();
        let signing_key = signing_key
            .lines()
            .find(|line| line.starts_with("signing-key"))
            .unwrap()
            .to_owned();
        for name in ["debian.toml", "custom.toml"] {
            fs::remove_file(repos.join(name)).unwrap();
        }
        let keyring = metals.folder.path().join("upstream.asc");
        fs::write(&keyring, metals.signer.certificate_armored().unwrap()).unwrap();
        let config = format!(
            "kind = \"mirror\"\nuri = \"{}\"\norigin = \"Foundry\"\nlabel = \"Foundry\"\nkeyring = \"{}\"\nsigners = [\"{}\"]\n\
             suites = [\"tin\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n{signing_key}\n",
            metals.upstream.url(),
            keyring.display(),
            metals.signer.fingerprint(),
        );
        fs::write(repos.join("foundry.base"), config).unwrap();
        metals.set(settings);
        metals.offer("1", -3600);
        metals
    }

    pub(super) fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// What the mirror's file says beside its upstream.
    pub(super) fn set(&self, settings: &str) {
        let repos = self.site().join("repos");
        let base = fs::read_to_string(repos.join("foundry.base")).unwrap();
        fs::write(repos.join("foundry.toml"), base + settings).unwrap();
    }

    /// Upstream has this version of alloy now.
    pub(super) fn offer(&self, version: &str, seconds: i64) {
        self.upstream.set(self.archive(version, seconds).files(&self.signer));
    }

    pub(super) fn archive(&self, version: &str, seconds: i64) -> Archive {
        let deb = |name: &str, version: &str| format!("pool/main/{}/{name}/{name}_{version}_amd64.deb", &name[..1]);
        let alloy = deb("alloy", version);
        let mut archive = Archive::new(Clock::System.now().plus(seconds))
            .with(&alloy, format!("alloy {version}").as_bytes())
            .extra(&alloy, "Depends: copper, nosuch | metal\nRecommends: zinc\n")
            .with(&deb("copper", "1"), b"copper")
            .with(&deb("lead", "1"), b"lead")
            .extra(&deb("lead", "1"), "Provides: metal\n")
            .with(&deb("zinc", "1"), b"zinc")
            .source("alloy", version)
            .source("zinc", "1");
        if version != "1" {
            archive.pool.remove(&deb("alloy", "1"));
        }
        archive
    }

    pub(super) fn mirror(&self) -> String {
        let done = assay(&self.site(), &["mirror"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout).split_whitespace().last().unwrap().to_owned()
    }

    pub(super) fn verify(&self) {
        let done = assay(&self.site(), &["verify"]);
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    }

    /// The names of pool files, without versions.
    pub(super) fn pool(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(&self.site().join("store/foundry/pool"), &mut found);
        found
    }

    /// The public half of the key that signs the mirror.
    pub(super) fn certificate(&self) -> PathBuf {
        let keys = fs::read_dir(self.site().join("policies/keys")).unwrap();
        let mut keys = keys.map(|entry| entry.unwrap().path());
        keys.find(|path| path.extension().is_some_and(|e| e == "asc")).unwrap()
    }

    pub(super) fn packages(&self) -> BTreeSet<String> {
        let apt = Apt::new(&source(
            &format!("file:{}", self.site().join("store/foundry").display()),
            "tin",
            &self.certificate(),
        ));
        apt.update();
        ["alloy", "copper", "lead", "zinc"]
            .into_iter()
            .filter(|name| !apt.versions(name).is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            collect(&entry.path(), found);
        } else {
            found.insert(name);
        }
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_closure_has_what_is_named_and_what_that_needs() {
    let metals = Metals::new("pool = \"closure\"\n[select]\npackages = [\"alloy\"]\n");
    assert_eq!(metals.mirror(), "new");
    assert_eq!(metals.packages(), set(&["alloy", "copper", "lead"]));
    let debs = [
        "alloy_1_amd64.deb",
        "copper_1_amd64.deb",
        "lead_1_amd64.deb",
        "alloy_1.dsc",
    ];
    assert_eq!(metals.pool(), set(&debs), "the pool is filled, sources too");
    metals.verify();
    assert_eq!(metals.mirror(), "unchanged");

    // Another selection makes another snapshot, of the same upstream.
    metals.set("pool = \"closure\"\n[select]\npackages = [\"al*\"]\nrecommends = true\n");
    assert_eq!(metals.mirror(), "new");
    assert_eq!(metals.packages(), set(&["alloy", "copper", "lead", "zinc"]));
    assert_eq!(metals.mirror(), "unchanged");
    metals.verify();

    metals.offer("2", -60);
    assert_eq!(metals.mirror(), "new");
    assert!(metals.pool().contains("alloy_2_amd64.deb"));
    assert_eq!(metals.mirror(), "unchanged");
    metals.verify();
}

#[test]
fn a_filter_alone_brings_nothing_along_and_says_what_it_misses() {
    let metals =
        Metals::new("pool = \"lazy\"\n[select]\npackages = [\"zinc\", \"gold\", \"sil*\"]\nsections = [\"ore\"]\n");
    let refused = assay(&metals.site(), &["mirror"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for all in [
        "E-GATE-112",
        "package `gold`, pattern `sil*`, section `ore`",
        "allow-missing",
    ] {
        assert!(said.contains(all), "{said}");
    }
    assert!(!said.contains("zinc"), "{said}");
    assert_eq!(text(&assay(&metals.site(), &["snapshot", "list"]).stdout), "");
    metals.set("pool = \"lazy\"\n[select]\npackages = [\"zinc\", \"gold\"]\nallow-missing = true\n");
    let done = assay(&metals.site(), &["mirror"]);
    let said = text(&done.stderr);
    assert!(
        done.status.success() && said.contains("upstream has no package `gold`"),
        "{said}"
    );
    // What is allowed is no other selection.
    metals
        .set("pool = \"lazy\"\n[select]\npackages = [\"zinc\", \"gold\"]\nallow-missing = true\nallow-unmet = true\n");
    assert_eq!(metals.mirror(), "unchanged");
    assert_eq!(metals.packages(), set(&["zinc"]));
    assert!(metals.pool().is_empty());
    metals.verify();
}

#[test]
fn a_closure_that_nobody_could_install_is_refused() {
    let metals = Metals::new("pool = \"closure\"\n[select]\npackages = [\"zinc\"]\nrecommends = true\n");
    assert_eq!(metals.mirror(), "new");
    let seen = metals.pool();
    let mut archive = metals.archive("1", -60);
    let zinc = "pool/main/z/zinc/zinc_1_amd64.deb";
    archive = archive.extra(zinc, "Depends: nosuch | northis, copper\nRecommends: nobody\n");
    metals.upstream.set(archive.files(&metals.signer));
    let refused = assay(&metals.site(), &["mirror"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("E-GATE-112") && said.contains("zinc: Depends: nosuch | northis"),
        "{said}"
    );
    assert!(said.contains("allow-unmet") && !said.contains("nobody"), "{said}");
    assert_eq!(metals.pool(), seen);
    metals.verify();
    metals.set("pool = \"closure\"\n[select]\npackages = [\"zinc\"]\nrecommends = true\nallow-unmet = true\n");
    let done = assay(&metals.site(), &["mirror"]);
    let said = text(&done.stderr);
    assert!(
        done.status.success() && said.contains("nothing satisfies zinc: Recommends: nobody"),
        "{said}"
    );
    assert_eq!(metals.packages(), set(&["copper", "zinc"]));
}

#[test]
fn a_pool_becomes_full_without_a_new_snapshot() {
    let metals = Metals::new("pool = \"lazy\"\n");
    assert_eq!(metals.mirror(), "new");
    assert!(metals.pool().is_empty());
    metals.set("pool = \"full\"\n");
    assert_eq!(metals.mirror(), "unchanged");
    assert_eq!(metals.pool().len(), 6, "{:?}", metals.pool());
    metals.verify();
}

/// Who takes files away may take the note that they were there, too: the snapshot's record says it.
#[test]
fn what_a_full_pool_lost_is_named_whatever_became_of_its_note() {
    let metals = Metals::new("pool = \"full\"\n");
    assert_eq!(metals.mirror(), "new");
    let store = metals.site().join("store");
    let notes: Vec<_> = std::fs::read_dir(store.join("state/foundry/filled")).unwrap().collect();
    let [Ok(note)] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    let note = note.path();
    let names = |line: &str| {
        for verb in ["verify", "fsck"] {
            let done = assay(&metals.site(), &[verb]);
            let said = text(&done.stdout) + &text(&done.stderr);
            assert_eq!(done.status.code(), Some(3), "{verb}: {said}");
            assert!(said.lines().any(|said| said.starts_with(line)), "{verb}: {said}");
        }
    };
    std::fs::write(&note, "yesterday").unwrap();
    names(&format!("V-DAMAGED {}", note.strip_prefix(&store).unwrap().display()));
    std::fs::remove_file(&note).unwrap();
    metals.verify();
    let lost = "foundry/pool/main/a/alloy/alloy_1_amd64.deb";
    std::fs::remove_file(store.join(lost)).unwrap();
    names(&format!("V-MISSING {lost}: "));
    assert_eq!(metals.mirror(), "unchanged");
    metals.verify();
}

#[test]
fn a_closure_of_nothing_is_refused_when_the_site_is_read() {
    let metals = Metals::new("pool = \"closure\"\n");
    let done = assay(&metals.site(), &["mirror"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("[select]"), "{}", text(&done.stderr));
    metals.set("pool = \"closure\"\nsources = false\n[select]\npackages = [\"zinc\"]\nbuild-dependencies = true\n");
    let done = assay(&metals.site(), &["mirror"]);
    let said = text(&done.stderr);
    assert!(
        done.status.code() == Some(2) && said.contains("E-SITE-006") && said.contains("`sources = true`"),
        "{said}"
    );
}

#[test]
fn a_tag_gives_the_sources_of_every_archive_that_has_it() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    let run = |args: &[&str]| assay(&metals.site(), args);
    assert!(run(&["tag", "5.15.1"]).status.success());
    metals.offer("2", -60);
    assert_eq!(metals.mirror(), "new");
    let sources = run(&["sources", "--tag", "5.15.1"]);
    let sources = text(&sources.stdout);
    assert!(
        sources.contains("URIs: http://127.0.0.1:8080/foundry/5.15.1/\n"),
        "{sources}"
    );
    let unknown = run(&["sources", "--tag", "5.15.2"]);
    assert_eq!(unknown.status.code(), Some(6), "{}", text(&unknown.stderr));
    let all = run(&["snapshot", "renew", "--all"]);
    assert!(all.status.success(), "{}", text(&all.stderr));
    let one = run(&["snapshot", "renew", "foundry", "--for", "183d"]);
    assert!(text(&one.stdout).contains("renewed until"), "{}", text(&one.stderr));
    let shorter = run(&["snapshot", "renew", "foundry", "--for", "5d"]);
    assert_eq!(shorter.status.code(), Some(2), "{}", text(&shorter.stderr));
    metals.verify();
}

#[test]
fn a_tag_of_a_lazy_mirror_keeps_its_packages_when_its_snapshot_goes() {
    let metals = Metals::new("pool = \"lazy\"\nkeep = { count = 1 }\n");
    metals.mirror();
    let run = |args: &[&str]| assay(&metals.site(), args);
    assert!(run(&["tag", "v1"]).status.success());
    metals.offer("2", -60);
    assert_eq!(metals.mirror(), "new");
    let collected = run(&["gc", "--at-once"]);
    assert!(collected.status.success(), "{}", text(&collected.stderr));
    let listed = text(&run(&["snapshot", "list"]).stdout);
    assert!(
        listed.contains("foundry v1 ") && listed.lines().count() == 2,
        "{listed}"
    );
    // Upstream still has the file, and the tag still names it.
    let old = "pool/main/a/alloy/alloy_1_amd64.deb";
    metals.upstream.add(old, b"alloy 1");
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(&metals.site().join("store")).unwrap());
    let client = Arc::new(Client::new(&metals.upstream.url(), Mirror::limits()).unwrap());
    let pool = PullThrough::new("foundry".parse().unwrap(), store, Some(client));
    pool.ensure(&old.parse().unwrap()).unwrap();
    assert!(metals.pool().contains("alloy_1_amd64.deb"));
    metals.verify();
    let tag = run(&["snapshot", "renew", "foundry@v1"]);
    assert_eq!(tag.status.code(), Some(2), "{}", text(&tag.stderr));
}

#[test]
fn a_tag_of_a_lazy_mirror_says_what_it_lacks_and_can_fetch_it() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    let run = |args: &[&str]| assay(&metals.site(), args);
    let said = run(&["tag", "v1"]);
    let note = text(&said.stderr);
    assert!(
        said.status.success() && note.contains("foundry: 6 pool files (") && note.contains("assay tag v1 --fetch"),
        "{note}"
    );
    assert!(metals.pool().is_empty());
    // The same tag, and one that is new.
    let fetched = run(&["tag", "v1", "--fetch"]);
    assert!(
        text(&fetched.stdout).ends_with(" unchanged\n"),
        "{}",
        text(&fetched.stderr)
    );
    assert_eq!(metals.pool().len(), 6, "{:?}", metals.pool());
    let quiet = run(&["tag", "v2"]);
    assert!(!text(&quiet.stderr).contains("are not here"), "{}", text(&quiet.stderr));
    metals.verify();
    // What was fetched for a tag is missed from then on.
    fs::remove_file(
        metals
            .site()
            .join("store/foundry/pool/main/c/copper/copper_1_amd64.deb"),
    )
    .unwrap();
    let missed = run(&["fsck"]);
    assert_eq!(missed.status.code(), Some(3));
    assert!(text(&missed.stdout).contains("V-MISSING foundry/pool/main/c/copper/copper_1_amd64.deb"));
    assert!(run(&["fsck", "--repair"]).status.success());
    metals.verify();
    // Upstream no longer has a file: no tag is made that could not be kept.
    metals.offer("2", -60);
    assert_eq!(metals.mirror(), "new");
    metals.upstream.remove("pool/main/a/alloy/alloy_2_amd64.deb");
    let failed = run(&["tag", "v3", "--fetch"]);
    assert!(!failed.status.success() && text(&failed.stderr).contains("alloy_2_amd64.deb"));
    assert!(!text(&run(&["snapshot", "list"]).stdout).contains(" v3 "));
}

/// Threat F7: the pool has room for one file of a name.
#[test]
fn other_bytes_under_a_name_that_a_snapshot_has_are_refused() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    let deb = "pool/main/c/copper/copper_1_amd64.deb";
    let other = Archive::new(Clock::System.now().plus(-60)).with(deb, b"other bytes");
    metals.upstream.set(other.files(&metals.signer));
    let refused = assay(&metals.site(), &["mirror"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("E-UP-031") && text(&refused.stderr).contains(deb));
    metals.verify();
}

#[test]
fn an_upstream_that_had_an_inrelease_keeps_to_it() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    metals.upstream.remove("dists/tin/InRelease");
    let refused = assay(&metals.site(), &["mirror"]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("InRelease"), "{}", text(&refused.stderr));
    // Threat S8: the other form is not taken in its place, however well it is signed.
    for name in ["Release", "Release.gpg"] {
        metals
            .upstream
            .add(&format!("dists/tin/{name}"), b"signed in another form");
    }
    let refused = assay(&metals.site(), &["mirror"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("E-UP-035") && said.contains("had an InRelease before"),
        "{said}"
    );
    metals.verify();
}

#[test]
fn nothing_to_tag_or_to_build_from_is_said() {
    let metals = Metals::new("pool = \"lazy\"\n");
    for args in [&["tag", "v1"][..], &["sources"]] {
        let done = assay(&metals.site(), args);
        assert_eq!(done.status.code(), Some(6), "{args:?}: {}", text(&done.stderr));
        assert!(done.stdout.is_empty());
    }
}

/// A killed mirror leaves a record that nobody published: what clients still read must not go.
#[test]
fn gc_publishes_what_a_killed_mirror_left_before_it_takes_the_old_away() {
    let metals = Metals::new("pool = \"lazy\"\nkeep = { count = 1 }\n");
    metals.mirror();
    metals.offer("2", -60);
    let dists = metals.site().join("store/foundry/dists/tin");
    let old: Vec<_> = ["InRelease", "Release", "Release.gpg"]
        .map(|name| (dists.join(name), fs::read(dists.join(name)).unwrap()))
        .into();
    let trace = metals.site().join("store/foundry/project/trace/foundry");
    let old_trace = fs::read(&trace).unwrap();
    metals.mirror();
    // As if it had been killed before the head moved.
    for (path, bytes) in old.into_iter().chain([(trace, old_trace)]) {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let collected = assay(&metals.site(), &["gc"]);
    assert!(collected.status.success(), "{}", text(&collected.stderr));
    // Clients saw the old one until now, whenever its successor was made.
    let said = text(&collected.stdout);
    assert!(said.contains("for clients that are reading it"), "{said}");
    assert_eq!(metals.packages(), set(&["alloy", "copper", "lead", "zinc"]));
    metals.verify();
}

/// The records may be honest and what apt reads not: upstream's keys prove both or neither.
#[test]
fn a_published_release_that_lists_something_else_is_not_upstreams() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    let check = || assay(&metals.site(), &["verify", "--against", "upstream"]);
    assert!(check().status.success());
    let inrelease = metals.site().join("store/foundry/dists/tin/InRelease");
    let honest = fs::read_to_string(&inrelease).unwrap();
    let line = honest
        .lines()
        .find(|line| line.ends_with("main/binary-amd64/Packages.gz"))
        .unwrap();
    let evil = honest.replace(line, &line.replacen(|c: char| c.is_ascii_hexdigit(), "0", 64));
    fs::remove_file(&inrelease).unwrap();
    fs::write(&inrelease, evil).unwrap();
    let refused = check();
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stdout));
    assert!(
        text(&refused.stdout).contains("V-RELEASE foundry/dists/tin/InRelease"),
        "{}",
        text(&refused.stdout)
    );
}

/// What the newest snapshot does not have any more is still there to read, until it is collected.
#[test]
fn a_suite_that_was_dropped_is_judged_until_it_is_collected() {
    let metals = Metals::new("pool = \"lazy\"\nkeep = { count = 1 }\n");
    let lead = |seconds: i64, version: &str| {
        let mut archive = Archive::new(Clock::System.now().plus(seconds)).field("Codename", "lead");
        archive.suite = "lead";
        archive.with(
            &format!("pool/main/l/lead/lead_{version}_amd64.deb"),
            version.as_bytes(),
        )
    };
    let offer = |tin: &str, seconds: i64, version: &str| {
        let mut files = metals.archive(tin, seconds).files(&metals.signer);
        files.extend(lead(seconds, version).files(&metals.signer));
        metals.upstream.set(files);
    };
    let base = metals.site().join("repos/foundry.base");
    let both = fs::read_to_string(&base)
        .unwrap()
        .replace("[\"tin\"]", "[\"tin\", \"lead\"]");
    let only = fs::read_to_string(&base).unwrap();
    let follow = |text: &str| {
        fs::write(&base, text).unwrap();
        metals.set("pool = \"lazy\"\nkeep = { count = 1 }\n");
        assert_eq!(metals.mirror(), "new");
    };
    offer("1", -3600, "2");
    follow(&both);
    let signed =
        ["InRelease", "Release", "Release.gpg"].map(|name| metals.site().join("store/foundry/dists/lead").join(name));
    let old = signed.clone().map(|path| fs::read(path).unwrap());
    offer("1", -1800, "3");
    follow(&both);
    offer("2", -900, "3");
    follow(&only);
    metals.verify();
    // An older state of it, as well signed.
    let last = signed.clone().map(|path| fs::read(path).unwrap());
    let put = |files: &[Vec<u8>; 3]| {
        for (path, bytes) in signed.iter().zip(files) {
            fs::remove_file(path).unwrap();
            fs::write(path, bytes).unwrap();
        }
    };
    put(&old);
    let refused = assay(&metals.site(), &["verify"]);
    let said = text(&refused.stdout);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("V-RELEASE foundry/dists/lead/InRelease") && said.contains("assay gc"),
        "{said}"
    );
    put(&last);
    metals.verify();
    let collected = assay(&metals.site(), &["gc"]);
    assert!(collected.status.success(), "{}", text(&collected.stderr));
    assert!(!signed[0].exists());
    metals.verify();
}
