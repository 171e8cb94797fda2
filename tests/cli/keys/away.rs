//! Keys on another machine: what they must sign waits, is brought back, and is published at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay::publish::{self, Brought, Signers};
use assay::store::{Key, LocalStore, Store};

use super::{Gpg, Keyed, TODAY, gpg, list};
use crate::cli::made;
use crate::support::apt::{Apt, source};
use crate::support::faulty::{Faulty, Mode, everything, restored};

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
    fn sign(&self, folder: &Path) {
        for path in made::files(folder) {
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

    fn attach(&self, minutes: i64, folder: &Path) -> String {
        self.keyed.site.run(
            self.keyed.at(minutes),
            &["publish", "--attach", folder.to_str().unwrap()],
        )
    }

    fn not_attached(&self, minutes: i64, folder: &Path, exit: i32) -> String {
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

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = made::files(folder).into_iter();
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
    let given = made::files(&folder);
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
        let store: Arc<dyn Store> = Arc::new(restored(&before));
        let outcome = attach(&Faulty::new(Arc::clone(&store), fails_at, mode));
        let store = store.as_ref();
        let left = everything(store);
        // What only read since the run before failed has left the same.
        if outcome.is_err() && left == last {
            continue;
        }
        last = left;
        for ((read, old), new) in read(store).iter().zip(&old).zip(&new) {
            assert!(read == old || read == new, "{fails_at} {mode:?}");
        }
        attach(store).unwrap();
        assert!(everything(store) == done, "{fails_at} {mode:?}");
        if outcome.is_ok() {
            assert!(fails_at > 100, "it only had {fails_at} operations to fail at");
            return;
        }
    }
}
