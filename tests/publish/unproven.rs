//! Unproven archives: what fails anywhere is finished by the next run, and nothing in one is evidence for the gate.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use assay::admission::{LedgerEntry, LedgerKey};
use assay::domain::{ArchiveName, Coded as _, Fingerprint, PoolPath, Sha256, SuiteName, Timestamp};
use assay::host::{Clock, Progress};
use assay::publish::{
    Book, Claimed, Destination, GateError, Gone, IncludeError, Others, ReleaseSigner as _, Writer, append_ledger,
    exclude, include, read_packages,
};
use assay::site::{Ungated, UnprovenArchive};
use assay::snapshot::{Chain, IndexFile, read_index};
use assay::store::{Key, Store};
use assay::trust::{ArchiveKey, Ed25519Key};
use assay::verify::{self, Anchor, AnchorKind, Anchors};

use super::crash::read_suite;
use super::faults::nothing_random;
use super::writers::Overtaken;
use crate::admission::site::Site;
use crate::support::faulty::{Objects, Scenario, everything, restored};
use crate::support::packages::deb_in;
use crate::support::repository::{Repository, now};

/// As its file in `repos/` says it.
fn config(key: &Fingerprint) -> UnprovenArchive {
    toml::from_str(&format!(
        "kind = \"unproven\"\norigin = \"Apps\"\nlabel = \"Apps\"\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n\
         signing-key = \"{key}\"\n[[suite]]\nname = \"stable\"\n"
    ))
    .unwrap()
}

struct Apps {
    archive: ArchiveName,
    config: UnprovenArchive,
    key: ArchiveKey,
    now: Timestamp,
}

impl Apps {
    fn new() -> Self {
        let key = ArchiveKey::generate("Apps <apps@example.org>", now()).unwrap();
        Self {
            archive: "apps".parse().unwrap(),
            config: config(key.fingerprint()),
            key,
            now: now(),
        }
    }

    fn writer<'a>(&'a self, store: &'a dyn Store) -> Writer<'a, Ungated> {
        Writer {
            store,
            archive: &self.archive,
            config: &self.config,
            public_url: "file:///nowhere",
            signer: &self.key,
            gate: Ed25519Key::generate().public(),
            program: "assay test",
            clock: Clock::Fixed(self.now),
        }
    }

    fn include(&self, store: &dyn Store, paths: &[&Path]) -> Result<(), IncludeError> {
        let suite: SuiteName = "stable".parse().unwrap();
        let into = Destination {
            config: &self.config,
            suite: &suite,
            component: None,
        };
        let packages: Vec<_> = paths
            .iter()
            .flat_map(|path| read_packages(path, into).unwrap())
            .collect();
        include(&self.writer(store), &packages, Others::Go, "a test", self.now).map(drop)
    }

    fn exclude(&self, store: &dyn Store, name: &str) -> Result<(), IncludeError> {
        let gone = Gone {
            name: name.parse().unwrap(),
            version: None,
            whole_source: false,
        };
        exclude(
            &self.writer(store),
            &"stable".parse().unwrap(),
            &[gone],
            "a test",
            self.now,
        )
        .map(drop)
    }

    fn clients(&self) -> Repository {
        let key = self.key.secret_armored().unwrap();
        Repository {
            archive: self.archive.clone(),
            suite: "stable".parse().unwrap(),
            key: ArchiveKey::parse(key.as_bytes()).unwrap(),
            ..Repository::new("file:///nowhere")
        }
    }
}

/// Indexes by path and hash, as a client has them.
fn seen(store: &dyn Store, clients: &Repository) -> Vec<(String, String)> {
    let release = read_suite(store, clients, "", now().plus(7200));
    let entries = release.iter().flat_map(|release| release.entries());
    entries
        .map(|(path, listed)| (path.to_string(), listed.digest.sha256.to_string()))
        .collect()
}

#[test]
fn including_and_excluding_that_fail_anywhere_are_finished_by_the_next_run() {
    let (site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    let first = deb_in(folder.path(), "hello", "1.0", "amd64", "first");
    let second = deb_in(folder.path(), "hello", "2.0", "amd64", "second");
    let other = deb_in(folder.path(), "other", "1.0", "all", "other");
    apps.include(&site.store, &[&first]).unwrap();
    let clients = apps.clients();
    let survives = |name, work: &dyn Fn(&dyn Store) -> Result<(), IncludeError>| {
        let scenario = Scenario {
            name,
            before: &everything(&site.store),
            work: &|store| work(store.as_ref()).map_err(|error| error.to_string()),
            one_of: 7,
            read: &|store| vec![seen(store, &clients)],
            same: &nothing_random,
        };
        scenario.survives();
    };
    let include = |store: &dyn Store| apps.include(store, &[&second, &other]);
    survives("include", &include);
    include(&site.store).unwrap();
    survives("exclude", &|store| match apps.exclude(store, "other") {
        // The run before did it.
        Err(IncludeError::NotThere { .. }) => Ok(()),
        done => done,
    });
}

#[test]
fn many_packages_together_are_checked_and_kept_as_each_is_alone() {
    let (alone, together, apps) = (Site::new(), Site::new(), Apps::new());
    let folder = tempfile::tempdir().unwrap();
    let debs: Vec<_> = (0..40)
        .map(|n| deb_in(folder.path(), &format!("package-{n}"), "1.0", "amd64", "one of many"))
        .collect();
    let paths: Vec<&Path> = debs.iter().map(AsRef::as_ref).collect();
    let suite: SuiteName = "stable".parse().unwrap();
    let into = Destination {
        config: &apps.config,
        suite: &suite,
        component: None,
    };
    let read: Vec<_> = paths
        .iter()
        .flat_map(|path| read_packages(path, into).unwrap())
        .collect();
    // One is another by the time it is copied.
    let (last, bytes) = (paths[39], std::fs::read(paths[39]).unwrap());
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(last, other).unwrap();
    let writer = apps.writer(&together.store);
    include(&writer, &read, Others::Go, "a test", now()).unwrap_err();
    let pool = |site: &Site| {
        let everything = everything(&site.store).into_iter();
        everything
            .filter(|(key, _)| key.to_string().starts_with("apps/pool/"))
            .collect::<Vec<_>>()
    };
    assert!(Chain::load(&together.store, &apps.archive).unwrap().latest().is_none());
    assert!(
        pool(&together)
            .iter()
            .all(|(key, _)| !key.to_string().contains("package-39"))
    );
    std::fs::write(last, bytes).unwrap();
    include(&writer, &read, Others::Go, "a test", now()).unwrap();
    for some in paths.chunks(20) {
        apps.include(&alone.store, some).unwrap();
    }
    assert!(pool(&together).len() == 40 && pool(&together) == pool(&alone));
    let packages = |site: &Site| {
        let seen = seen(&site.store, &apps.clients()).into_iter();
        seen.filter(|(path, _)| path.contains("Packages")).collect::<Vec<_>>()
    };
    assert_eq!(packages(&together), packages(&alone));
}

/// The order in which packages came, and what was there meanwhile, does not show: neither where a change touches a few names
/// and the rest is copied, nor where all is made of the whole catalog.
#[test]
fn a_suite_that_grew_change_by_change_is_as_one_that_was_made_at_once() {
    let (grown, made, mut apps) = (Site::new(), Site::new(), Apps::new());
    (apps.config.contents, apps.config.translations) = (true, true);
    apps.config.architectures.push("arm64".parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let deb =
        |name: &str, version: &str, of: &str| deb_in(folder.path(), name, version, of, &format!("{name} {version}"));
    let udeb = |name: &str| {
        let deb = deb(name, "1.0", "amd64");
        let udeb = deb.with_extension("udeb");
        std::fs::rename(deb, &udeb).unwrap();
        udeb
    };
    let (old, gone, brief) = (deb("hello", "1.0", "amd64"), deb("gone", "1.0", "all"), udeb("brief"));
    let last = [
        deb("mid", "1.0", "amd64"),
        deb("hello", "2.0", "amd64"),
        deb("hello", "2.0", "arm64"),
        deb("zeta", "1.0", "all"),
        udeb("abc"),
        deb("aa", "1.0", "arm64"),
    ];
    let include = |site: &Site, paths: &[&Path]| apps.include(&site.store, paths).unwrap();
    include(&grown, &[&old, &gone, &last[0]]);
    for path in [&last[1], &brief, &last[2], &last[3]] {
        include(&grown, &[path]);
    }
    apps.exclude(&grown.store, "gone").unwrap();
    apps.exclude(&grown.store, "brief").unwrap();
    include(&grown, &[&last[4], &last[5]]);
    include(&made, &last.each_ref().map(AsRef::as_ref));
    let seen = |site: &Site| seen(&site.store, &apps.clients());
    assert!(seen(&made).iter().any(|(path, _)| path.contains("Contents-arm64")));
    assert_eq!(seen(&grown), seen(&made));
    let indexes = |site: &Site| {
        Chain::load(&site.store, &apps.archive)
            .unwrap()
            .latest()
            .unwrap()
            .suites[0]
            .indexes
            .clone()
    };
    assert_eq!(indexes(&grown), indexes(&made), "of all forms");
}

#[test]
fn a_name_and_version_never_comes_back_with_other_bytes() {
    let (site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    let store = &site.store;
    let first = deb_in(&folder.path().join("a"), "hello", "1.0", "amd64", "first");
    let other = deb_in(&folder.path().join("b"), "hello", "1.0", "amd64", "other");
    let epoch = deb_in(&folder.path().join("c"), "hello", "1:1.0", "amd64", "epoch");
    let together = apps.include(store, &[&first, &other]).unwrap_err();
    assert_eq!(together.code(), "E-UNPROVEN-004", "in one go: {together}");
    // What was refused has claimed nothing.
    apps.include(store, &[&other]).unwrap();
    assert_eq!(apps.include(store, &[&first]).unwrap_err().code(), "E-UNPROVEN-004");
    apps.exclude(store, "hello").unwrap();
    // Whoever deletes the claims has not made them forgotten: the newest record remembers them.
    std::fs::remove_dir_all(site.folder.path().join("store/state/apps/claims")).unwrap();
    for path in [&first, &epoch] {
        let refused = apps.include(store, &[path]).unwrap_err();
        assert_eq!(refused.code(), "E-UNPROVEN-004", "after it has gone: {refused}");
    }
    apps.include(store, &[&other]).unwrap();
    assert!(
        seen(store, &apps.clients())
            .iter()
            .any(|(path, _)| path == "main/binary-amd64/Packages")
    );
}

/// The SHA-256 that the newest snapshot lists for `hello`, which its pool file has.
fn listed(store: &dyn Store, apps: &Apps) -> Sha256 {
    let chain = Chain::load(store, &apps.archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let is_packages = |index: &&IndexFile| index.path.as_str() == "main/binary-amd64/Packages";
    let index = state.indexes.iter().find(is_packages).unwrap();
    let text = String::from_utf8(read_index(store, &apps.archive, &state.suite, index).unwrap()).unwrap();
    let stanza = text.split("\n\n").find(|stanza| stanza.starts_with("Package: hello\n"));
    let field = |name: &str| {
        stanza
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
    };
    let path = PoolPath::new(field("Filename: ")).unwrap();
    let bytes = store.get(&Key::pool(&apps.archive, &path), 1 << 20).unwrap();
    let listed: Sha256 = field("SHA256: ").parse().unwrap();
    assert_eq!(listed, Sha256::of(&bytes), "the file is another");
    listed
}

#[test]
fn of_two_writers_with_other_bytes_one_has_the_name_wherever_they_meet() {
    let (apps, folder) = (Apps::new(), tempfile::tempdir().unwrap());
    // Of one size: the pool cannot tell them apart by that.
    let ours = deb_in(&folder.path().join("a"), "hello", "1.0", "amd64", "one");
    let theirs = deb_in(&folder.path().join("b"), "hello", "1.0", "amd64", "two");
    let more = deb_in(&folder.path().join("b"), "more", "1.0", "amd64", "more");
    let bytes = [&ours, &theirs].map(|path| Sha256::of(&std::fs::read(path).unwrap()));
    let before = {
        let site = Site::new();
        let first = deb_in(folder.path(), "first", "1.0", "amd64", "first");
        apps.include(&site.store, &[&first]).unwrap();
        everything(&site.store)
    };
    let (mut won, mut lost) = (0, 0);
    for at in 0.. {
        let store = restored(&before);
        let they = AtomicBool::new(false);
        let other = |store: &dyn Store| {
            let done = apps.include(store, &[&theirs, &more]);
            they.store(done.is_ok(), Ordering::SeqCst);
        };
        let overtaken = Overtaken::new(&store, &other, at);
        let done = apps.include(&overtaken, &[&ours]);
        if !overtaken.was_overtaken() {
            break;
        }
        let they = they.into_inner();
        let mine = match &done {
            Ok(()) => true,
            Err(error) if ["E-UNPROVEN-004", "E-GATE-104"].contains(&error.code()) => false,
            // Their snapshot overtook ours while it was published: ours is in the chain.
            Err(error) => panic!("{at}: {error}"),
        };
        assert!(mine != they, "{at}: {done:?}, the other one {they}");
        assert_eq!(listed(&store, &apps), bytes[usize::from(they)], "{at}");
        won += u32::from(mine);
        lost += u32::from(they);
        // Nobody gets it later either.
        let again = if mine { &theirs } else { &ours };
        assert_eq!(apps.include(&store, &[again]).unwrap_err().code(), "E-UNPROVEN-004");
    }
    assert!(won > 20 && lost > 5, "they met {won} and {lost} times");
}

#[test]
fn what_a_writer_claimed_that_was_killed_is_held_and_the_next_record_remembers_it() {
    let (site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    let deb = |place: &str, name: &str| deb_in(&folder.path().join(place), name, "1.0", "amd64", place);
    let [first, hello, other, more] =
        [("a", "first"), ("a", "hello"), ("b", "hello"), ("a", "more")].map(|(a, b)| deb(a, b));
    apps.include(&site.store, &[&first]).unwrap();
    let mut objects: Objects = everything(&site.store);
    // The entry of claims is all that a run left.
    apps.include(&site.store, &[&hello]).unwrap();
    let entry = "state/apps/claims/2";
    objects.insert(entry.to_owned(), everything(&site.store).remove(entry).unwrap());
    let store = restored(&objects);
    let refused = apps.include(&store, &[&other]).unwrap_err();
    assert_eq!(refused.code(), "E-UNPROVEN-004", "{refused}");
    // The next one takes it along; then the book has it, and entries begin anew.
    apps.include(&store, &[&more]).unwrap();
    let open = |store: &dyn Store| {
        let chain = Chain::load(store, &apps.archive).unwrap();
        let book = Book::of(store, &apps.archive, chain.latest()).unwrap();
        let claimed = Claimed::beside(store, &apps.archive, &book).unwrap().unwrap();
        (
            claimed.key(&apps.archive).to_string(),
            claimed.claims.len(),
            book.whole().unwrap().claims.len(),
        )
    };
    assert_eq!(open(&store), ("state/apps/claims/3".to_owned(), 0, 3));
    for k in 1..=3 {
        store.delete(&Key::claims(&apps.archive, k)).unwrap();
    }
    assert_eq!(apps.include(&store, &[&other]).unwrap_err().code(), "E-UNPROVEN-004");
    apps.include(&store, &[&hello]).unwrap();
    assert_eq!(
        open(&store),
        ("state/apps/claims/3".to_owned(), 0, 3),
        "nothing new was claimed"
    );
}

#[test]
fn fsck_names_each_claim_and_each_page_that_is_lost_or_flipped() {
    let (site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    for (place, name) in [("a", "hello"), ("b", "tool")] {
        let deb = deb_in(&folder.path().join(place), name, "1.0", "amd64", place);
        apps.include(&site.store, &[&deb]).unwrap();
    }
    let anchors = Anchors {
        archives: vec![Anchor {
            public_url: None,
            name: apps.archive.clone(),
            keyring: apps.key.keyring().unwrap(),
            kind: AnchorKind::Unproven {
                config: Box::new(apps.config.clone()),
            },
        }],
        imports: None,
        gate: site.gate_key.public(),
    };
    let damage = || {
        let report = verify::fsck(&site.store, &anchors, apps.now, &Progress::hidden()).unwrap();
        let problems = report.problems.into_iter();
        problems.map(|problem| problem.object).collect::<Vec<_>>()
    };
    assert_eq!(damage(), Vec::<String>::new());
    let ours = |name: &str| name.starts_with("state/apps/") || name.starts_with("apps/provenance/");
    let objects: Vec<_> = everything(&site.store)
        .into_iter()
        .filter(|(name, _)| ours(name))
        .collect();
    assert!(objects.iter().any(|(name, _)| name == "state/apps/claims/1"));
    let mut wrong = Vec::new();
    for (name, bytes) in objects {
        let key = Key::new(name.as_str()).unwrap();
        let mut flipped = bytes.clone();
        let at = bytes.len() / 2;
        flipped[at] ^= 1;
        for other in [None, Some(flipped)] {
            site.store.delete(&key).unwrap();
            if let Some(other) = &other {
                site.store.create(&key, other).unwrap();
            }
            let found = damage();
            if found != [name.as_str()] {
                wrong.push(format!("{name} {}: {found:?}", other.is_some()));
            }
            site.store.replace(&key, &bytes).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn claims_that_were_made_one_by_one_are_taken_over() {
    let (site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    let old = LedgerEntry {
        key: LedgerKey::Binary {
            package: "hello".parse().unwrap(),
            version: "1.0".to_owned(),
            architecture: "amd64".parse().unwrap(),
        },
        sha256: Sha256::of(b"what it was"),
        source: "hello".parse().unwrap(),
        version: "1.0".parse().unwrap(),
    };
    append_ledger(&site.store, &apps.archive, [&old]).unwrap();
    let hello = deb_in(folder.path(), "hello", "1.0", "amd64", "otherwise");
    let other = deb_in(folder.path(), "other", "1.0", "amd64", "other");
    assert_eq!(
        apps.include(&site.store, &[&hello]).unwrap_err().code(),
        "E-UNPROVEN-004"
    );
    apps.include(&site.store, &[&other]).unwrap();
    std::fs::remove_dir_all(site.folder.path().join("store/state/apps/ledger")).unwrap();
    assert_eq!(
        apps.include(&site.store, &[&hello]).unwrap_err().code(),
        "E-UNPROVEN-004"
    );
}

#[test]
fn the_gate_takes_no_unproven_package_for_an_environment() {
    let (mut site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    apps.include(
        &site.store,
        &[&deb_in(folder.path(), "gcc-14", "14.2.0-19", "amd64", "a backdoor")],
    )
    .unwrap();
    let record = Chain::load(&site.store, &apps.archive)
        .unwrap()
        .latest()
        .unwrap()
        .clone();
    let locked = &mut site.lock.snapshots[0];
    (locked.archive, locked.suite) = (apps.archive.clone(), "stable".parse().unwrap());
    (locked.id, locked.serial) = (record.id.clone(), record.serial.clone());
    for package in &mut site.lock.packages {
        (package.archive, package.suite) = (apps.archive.clone(), "stable".parse().unwrap());
    }
    let built = site.build("1.0", "built with it");
    let admission = site.admit(&built).unwrap();
    let broken: Vec<&str> = admission.decision.broken().map(|rule| rule.id.as_str()).collect();
    assert!(
        !admission.decision.admitted && broken.contains(&"E1") && broken.contains(&"E3"),
        "{broken:?}"
    );
}

#[test]
fn an_archive_stays_the_kind_that_it_was_made_as() {
    let (mut site, apps, folder) = (Site::new(), Apps::new(), tempfile::tempdir().unwrap());
    let hello = deb_in(folder.path(), "hello", "0.5", "amd64", "unproven");
    apps.include(&site.store, &[&hello]).unwrap();
    // The site's file calls it custom, with the same key: what is in it would be carried on as admitted.
    site.archive = apps.archive.clone();
    site.archive_key = ArchiveKey::parse(apps.key.secret_armored().unwrap().as_bytes()).unwrap();
    let built = site.build("1.0", "proven");
    let refused = site.admit(&built).unwrap_err();
    assert_eq!(refused.code(), "E-GATE-115", "{refused}");

    // And a custom one is not filled by hand.
    let site = Site::new();
    let built = site.build("1.0", "proven");
    assert!(site.admit(&built).unwrap().decision.admitted);
    let apps = Apps {
        archive: site.archive.clone(),
        config: config(site.archive_key.fingerprint()),
        key: ArchiveKey::parse(site.archive_key.secret_armored().unwrap().as_bytes()).unwrap(),
        now: now(),
    };
    let other = deb_in(folder.path(), "other", "1.0", "amd64", "unproven");
    let refused = apps.include(&site.store, &[&other]).unwrap_err();
    assert_eq!(refused.code(), "E-GATE-115", "{refused}");
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    assert_eq!(chain.len(), 1);
    assert!(matches!(refused, IncludeError::Gate(GateError::OtherKind { .. })));
}
