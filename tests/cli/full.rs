//! A disk that is really full, at each amount of room up to enough: what is asked for is not done, that is said with a code and
//! what to do, readers see the old or the new, and when there is room the same command goes on to the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay::domain::Sha256;

use super::ASSAY;
use super::imports::{IMPORT, Site};
use super::made::files;
use super::mirrors::Metals;
use super::small::said;
use super::unproven::Apps;
use crate::support::apt::{Apt, source};
use crate::support::disk::Disk;
use crate::support::packages::deb_in;

/// What is done to a store.
struct Change<'a> {
    command: &'a dyn Fn(&[&str]) -> Command,
    args: &'a [&'a str],
    /// Who reads it; there may be nothing yet.
    apt: &'a Apt,
    package: &'a str,
    /// What he sees before, and after.
    versions: [&'a [&'a str]; 2],
}

impl Change<'_> {
    /// What a reader sees, who has nothing to complain about.
    fn seen(&self) -> Vec<String> {
        if !self.versions[0].is_empty() {
            self.apt.update();
        } else if !self.apt.get(&["update"]).ok {
            return Vec::new();
        }
        self.apt.versions(self.package)
    }

    /// Does it with no room, a little, and more; gives how often that failed.
    fn with_little_room(&self, disk: &Disk) -> u32 {
        let [old, new] = self.versions;
        let (mut kib, mut failed) = (0, 0);
        assert_eq!(self.seen(), old);
        loop {
            disk.leave(kib);
            let output = disk.run(&(self.command)(self.args));
            let (heard, seen) = (said(&output), self.seen());
            if output.status.success() {
                assert_eq!(seen, new, "with {kib} KiB: {heard}");
                break;
            }
            let is_said = heard.contains("error[E-") && heard.contains("No space left") && heard.contains("next: ");
            assert!(
                output.status.code() == Some(5) && is_said,
                "with {kib} KiB: {:?} {heard}",
                output.status
            );
            assert!(seen == old || seen == new, "with {kib} KiB: {seen:?} {heard}");
            failed += 1;
            kib = (kib + 4).max(kib * 5 / 4);
        }
        // Nothing is left of what failed, and all of it is whole.
        disk.free();
        for args in [self.args, &["verify"], &["fsck"]] {
            let output = disk.run(&(self.command)(args));
            assert!(output.status.success(), "{args:?}: {}", said(&output));
        }
        assert_eq!(self.seen(), new);
        let left: Vec<PathBuf> = files(&disk.path("store"))
            .into_iter()
            .filter(|path| is_left_over(path))
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new());
        println!(
            "{}: {failed} amounts of room were too little, {kib} KiB enough",
            self.args[0]
        );
        failed
    }
}

/// Whether it is a file that a writer removes, or gives its name, at its end.
fn is_left_over(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    text.contains("/working/") || name.starts_with('.') || name.ends_with(".tmp")
}

fn in_folder(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(ASSAY);
    command.args(args).current_dir(folder);
    command
}

/// Bytes that do not get smaller.
fn random(seed: &str) -> String {
    let hash = |n: u32| Sha256::of(format!("{seed} {n}").as_bytes()).hex();
    (0..600).map(hash).collect()
}

#[test]
fn what_does_not_fit_into_an_unproven_archive_is_not_in_it() {
    let apps = Apps::with("");
    apps.prints(&["include", "apps", "stable", &apps.deb("hello", "1.0", "one")]);
    let disk = Disk::of(8 << 10);
    disk.take(&apps.made.path("store"));
    let (folder, content) = (tempfile::tempdir().unwrap(), random("hello"));
    let deb = deb_in(folder.path(), "hello", "2.0", "amd64", &content);
    let uri = format!("file:{}", disk.path("store/apps").display());
    let apt = Apt::new(&source(&uri, "stable", &apps.made.certificate("apps")));
    let failed = Change {
        command: &|args| apps.made.command(args),
        args: &["include", "apps", "stable", deb.to_str().unwrap()],
        apt: &apt,
        package: "hello",
        versions: [&["1.0"], &["2.0"]],
    }
    .with_little_room(&disk);
    assert!(failed >= 5, "{failed}");
    let failed = Change {
        command: &|args| apps.made.command(args),
        args: &["snapshot", "renew", "apps"],
        apt: &apt,
        package: "hello",
        versions: [&["2.0"], &["2.0"]],
    }
    .with_little_room(&disk);
    assert!(failed >= 2, "{failed}");
}

#[test]
fn what_does_not_fit_into_a_mirror_is_mirrored_when_there_is_room() {
    let metals = Metals::new("pool = \"full\"\n");
    metals.mirror();
    let disk = Disk::of(8 << 10);
    disk.take(&metals.site().join("store"));
    let uri = format!("file:{}", disk.path("store/foundry").display());
    let apt = Apt::new(&source(&uri, "tin", &metals.certificate()));
    metals.offer("2", -1800);
    let failed = Change {
        command: &|args| in_folder(&metals.site(), args),
        args: &["mirror"],
        apt: &apt,
        package: "alloy",
        versions: [&["1"], &["2"]],
    }
    .with_little_room(&disk);
    assert!(failed >= 5, "{failed}");
}

#[test]
fn what_does_not_fit_into_a_custom_archive_is_admitted_when_there_is_room() {
    let site = Site::new("http://127.0.0.1:1");
    site.allow("hel*");
    let disk = Disk::of(8 << 10);
    disk.take(&site.mirrored.site().join("store"));
    let uri = format!("file:{}", disk.path("store/custom").display());
    let apt = Apt::new(&source(&uri, "testing", &site.certificate()));
    let failed = Change {
        command: &|args| site.mirrored.command(site.at, args),
        args: &IMPORT,
        apt: &apt,
        package: "hello",
        versions: [&[], &["1.0+b1"]],
    }
    .with_little_room(&disk);
    assert!(failed >= 5, "{failed}");
}

#[test]
fn a_site_that_does_not_fit_is_not_made() {
    let disk = Disk::of(1 << 10);
    let mut failed = 0;
    for kib in (0..).step_by(4) {
        disk.leave(kib);
        let output = disk.run(&in_folder(&disk.inside(""), &["init", "site"]));
        if output.status.success() {
            break;
        }
        let heard = said(&output);
        assert_eq!(output.status.code(), Some(5), "with {kib} KiB: {heard}");
        assert!(
            heard.contains("error[E-HOST-001]") && heard.contains("next: make room"),
            "{heard}"
        );
        assert!(!disk.path("site").exists(), "with {kib} KiB something is left");
        failed += 1;
    }
    assert!(failed >= 5, "{failed}");
    disk.free();
    let status = disk.run(&in_folder(&disk.inside("site"), &["status"]));
    assert!(status.status.success(), "{}", said(&status));
    assert!(fs::read_dir(disk.path("site/keys")).unwrap().count() > 1);
}
