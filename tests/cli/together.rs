//! Several writers on one store at once, as processes of their own: they take packages in and out, mirror, renew and collect,
//! while real apts update, install and upgrade. `make test` has a few of them, `make show-writers` up to sixteen.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex, RwLock};
use std::time::Duration;

use super::mirrors::Metals;
use super::small::said;
use super::{ASSAY, text};
use crate::support::apt::{Apt, source};
use crate::support::packages::deb_in;
use crate::support::s3::{Fault, S3};
use crate::support::web::Web;

/// How many writers there are: `2,4,8,16`.
const WRITERS: &str = "ASSAY_WRITERS";
/// How often a writer that was told to try again does so.
const PATIENCE: u32 = 200;
/// How long a client waits until it looks again.
const PAUSE: Duration = Duration::from_millis(300);
/// Writers take packages out again, mirror and renew, or collect.
const ROLES: usize = 3;

/// A site with a mirror and an unproven archive, and who reads what it publishes.
struct Busy {
    metals: Metals,
    cloud: Option<S3>,
    apps: PathBuf,
    foundry: PathBuf,
    debs: tempfile::TempDir,
    url: String,
    /// Its version; it does not change while somebody mirrors it.
    upstream: RwLock<i64>,
    /// The newest version of each package that a writer was told is in.
    told: Mutex<BTreeMap<String, u32>>,
    conflicts: AtomicU64,
    reads: AtomicU64,
    over: AtomicBool,
}

impl Busy {
    fn new(cloud: Option<S3>) -> Self {
        let metals = Metals::new("pool = \"full\"\nkeep = { count = 1 }\n");
        let site = metals.site();
        let foundry = metals.certificate();
        let key = Command::new(ASSAY)
            .args(["key", "new", "archive", "--name", "Apps"])
            .current_dir(&site)
            .output()
            .unwrap();
        let key = text(&key.stdout).split_whitespace().last().unwrap().to_owned();
        let config = format!(
            "kind = \"unproven\"\norigin = \"Apps\"\nlabel = \"Apps\"\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n\
             signing-key = \"{key}\"\nkeep = {{ count = 1 }}\n[[suite]]\nname = \"stable\"\n"
        );
        fs::write(site.join("repos/apps.toml"), config).unwrap();
        let url = match &cloud {
            Some(cloud) => format!("{}/bucket/site", cloud.url()),
            None => {
                fs::create_dir_all(site.join("store")).unwrap();
                Web::serve(&site.join("store")).url
            }
        };
        Self {
            apps: site.join(format!("policies/keys/{key}.asc")),
            foundry,
            debs: tempfile::tempdir().unwrap(),
            upstream: RwLock::new(1),
            told: Mutex::default(),
            reads: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            over: AtomicBool::new(false),
            metals,
            cloud,
            url,
        }
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new(ASSAY);
        if let Some(cloud) = &self.cloud {
            command.args(["--store", "s3://bucket/site"]).envs(cloud.settings());
        }
        command.args(args).current_dir(self.metals.site()).output().unwrap()
    }

    /// It is done in the end; whoever is overtaken is told so by a code, and what to do.
    fn insist(&self, args: &[&str]) -> String {
        for _ in 0..PATIENCE {
            let output = self.run(args);
            if output.status.success() {
                return text(&output.stdout);
            }
            let heard = said(&output);
            let is_told = heard.contains("error[E-") && heard.contains("next: ");
            assert!(
                output.status.code() == Some(4) && is_told,
                "{args:?}: {:?} {heard}",
                output.status
            );
            self.conflicts.fetch_add(1, Ordering::SeqCst);
        }
        panic!("{args:?} was overtaken {PATIENCE} times");
    }

    fn deb(&self, name: &str, version: u32, content: &str) -> String {
        let folder = self.debs.path().join(content);
        deb_in(&folder, name, &version.to_string(), "amd64", content)
            .display()
            .to_string()
    }

    fn take_in(&self, deb: &str) {
        self.insist(&["include", "apps", "stable", deb]);
    }

    /// What one writer does; whether its bytes are those of the name that all of them want.
    fn write(&self, me: usize, rounds: u32, start: &Barrier) -> bool {
        let tool = format!("tool{me}");
        let debs: Vec<String> = (1..=rounds)
            .map(|version| self.deb(&tool, version, &format!("{tool} {version}")))
            .collect();
        let (same, passing) = (self.deb("same", 1, &tool), format!("passing{me}"));
        let passing_deb = self.deb(&passing, 1, "passing");
        start.wait();
        let is_first = self.wants(&same);
        for (version, deb) in (1..).zip(&debs) {
            self.take_in(deb);
            self.told.lock().unwrap().insert(tool.clone(), version);
            match me % ROLES {
                0 => {
                    self.take_in(&passing_deb);
                    self.insist(&["remove", "apps", "stable", &passing]);
                }
                1 => {
                    self.follow(me);
                    self.insist(&["snapshot", "renew", "apps"]);
                }
                _ => drop(self.insist(&["gc"])),
            }
        }
        is_first
    }

    /// Wants a name and version for its own bytes: it has them, or is refused for good.
    fn wants(&self, deb: &str) -> bool {
        for _ in 0..PATIENCE {
            let output = self.run(&["include", "apps", "stable", deb]);
            let heard = said(&output);
            match output.status.code() {
                Some(0) => return true,
                Some(1) if heard.contains("error[E-UNPROVEN-004]") => return false,
                code => assert!(code == Some(4) && heard.contains("next: "), "{code:?} {heard}"),
            }
        }
        panic!("{deb} was overtaken {PATIENCE} times");
    }

    /// Mirrors; the first who does lets upstream move on before.
    fn follow(&self, me: usize) {
        if me == 1 {
            let mut version = self.upstream.write().unwrap();
            *version += 1;
            self.metals.offer(&version.to_string(), *version * 100 - 3600);
        }
        let _reading = self.upstream.read().unwrap();
        self.insist(&["mirror"]);
    }

    /// What a client does all the time: it updates, and installs or upgrades all that there is. It never sees anything
    /// broken, and never less than what a writer was told before it began.
    fn read(&self, writers: usize) {
        let apps = source(&format!("{}/apps", self.url), "stable", &self.apps);
        let metals = source(&format!("{}/foundry", self.url), "tin", &self.foundry);
        let apt = Apt::new(&format!("{apps}\n{metals}"));
        loop {
            let last = self.over.load(Ordering::SeqCst);
            let told = self.told.lock().unwrap().clone();
            let upstream = *self.upstream.read().unwrap();
            apt.update();
            let mut there = vec!["base".to_owned()];
            for tool in (0..writers).map(|me| format!("tool{me}")) {
                let seen = apt.versions(&tool);
                let newest = seen.first().map_or(0, |version| version.parse().unwrap());
                let least = told.get(&tool).copied().unwrap_or(0);
                assert!(newest >= least && seen.len() < 2, "{tool}: told {least}, seen {seen:?}");
                there.extend((newest > 0).then_some(tool));
            }
            let names: Vec<&str> = there.iter().map(String::as_str).collect();
            let installed = apt.install(&names);
            assert!(installed.ok, "{}", installed.text);
            let alloy = apt.get(&["download", "alloy"]);
            assert!(alloy.ok, "{}", alloy.text);
            self.reads.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
            if last {
                assert_eq!(apt.versions("alloy"), [upstream.to_string()]);
                assert_eq!(there.len(), writers + 1);
                return;
            }
        }
    }

    /// So many writers at once, each of whom takes in so many packages, one after the other.
    fn run_with(&self, (writers, rounds): (usize, u32)) {
        let readers = writers.div_ceil(4);
        self.take_in(&self.deb("base", 1, "base"));
        self.insist(&["mirror"]);
        let start = Barrier::new(writers);
        let firsts: usize = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..readers).map(|_| scope.spawn(|| self.read(writers))).collect();
            let start = &start;
            let wrote: Vec<_> = (0..writers)
                .map(|me| scope.spawn(move || self.write(me, rounds, start)))
                .collect();
            let wrote: Vec<_> = wrote.into_iter().map(|writer| writer.join()).collect();
            self.over.store(true, Ordering::SeqCst);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            wrote.into_iter().map(|first| usize::from(first.unwrap())).sum()
        });
        assert_eq!(firsts, 1, "one writer has a name and version");
        // One snapshot for each change that a writer was told of, and none besides.
        let removing = writers.div_ceil(ROLES);
        let rounds = rounds as usize;
        let changes = 2 + writers * rounds + 2 * removing * rounds;
        let newest = self.insist(&["snapshot", "list", "apps"]);
        let newest = newest
            .lines()
            .map(|line| line.split(' ').nth(1).unwrap())
            .max()
            .unwrap();
        assert!(
            newest.ends_with(&format!("{changes:02}")),
            "{changes} changes, and the newest is {newest}"
        );
        for verb in ["verify", "fsck"] {
            let done = self.run(&[verb]);
            assert!(done.status.success(), "{verb}: {}", said(&done));
        }
        println!(
            "{writers} writers: {changes} changes, {} conflicts, {} reads",
            self.conflicts.load(Ordering::SeqCst),
            self.reads.load(Ordering::SeqCst)
        );
    }
}

fn how_many(few: (usize, u32)) -> Vec<(usize, u32)> {
    match std::env::var(WRITERS) {
        Ok(text) => text.split(',').map(|count| (count.parse().unwrap(), 2)).collect(),
        Err(_) => vec![few],
    }
}

#[test]
fn writers_on_one_folder_lose_nothing_and_apt_sees_nothing_broken() {
    for writers in how_many((3, 2)) {
        Busy::new(None).run_with(writers);
    }
}

#[test]
fn writers_on_one_bucket_lose_nothing_and_apt_sees_nothing_broken() {
    for writers in how_many((2, 1)) {
        let cloud = S3::start();
        let busy = Busy::new(Some(cloud.clone()));
        cloud.fail_each(211, Fault::DoneAndGone);
        busy.run_with(writers);
        let left = cloud.names().into_iter().filter(|name| name.contains("/working/"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
    }
}
