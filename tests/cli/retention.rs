//! Which snapshots are kept, and what people are told about it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use assay::environment::Lock;
use serde_json::{Value, json};

use super::snapshots::archive;
use crate::support::archive::noon;
use crate::support::mirrored::Mirrored;

/// Snapshots of three days, and the serial of each.
pub(crate) fn three_days(site: &Mirrored) -> [String; 3] {
    let day = |n: u32| site.follow(&archive(n, &[("alloy", &n.to_string()), ("brass", "1")]));
    [day(0), day(1), day(2)]
}

/// Serial, and whether it is kept and why, of every snapshot.
fn kept(site: &Mirrored, days: u32) -> Vec<(String, bool, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let listed = site.json(noon().plus_days(days), &["snapshot", "list", "foundry"]);
    let entry = |record: &Value| {
        (
            text(&record["serial"]),
            record["kept"].as_bool().unwrap(),
            text(&record["why"]),
        )
    };
    listed.iter().map(entry).collect()
}

fn git(folder: &Path, args: &[&str]) {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=stable",
        ])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}

#[test]
fn age_and_count_decide_and_people_overrule_them() {
    let site = Mirrored::new("http://127.0.0.1:1", "{ days = 5, count = 2 }");
    let [first, second, third] = three_days(&site);
    assert!(kept(&site, 3).iter().all(|(_, kept, _)| *kept));
    let at = noon().plus_days(10);
    let all = kept(&site, 10);
    assert_eq!(
        all[0],
        (
            first.clone(),
            false,
            "older than 5 days, not one of the newest 2".to_owned()
        )
    );
    assert_eq!(all[1].2, "one of the newest 2");
    assert!(all[2].2.starts_with("it is the newest"), "{all:?}");

    let reference = |serial: &str| format!("foundry@{serial}");
    let said = site.run(at, &["snapshot", "keep", &reference(&first), "--until", "2026-12-24"]);
    assert!(
        said.contains("stays: marked to be kept until 2026-12-24T00:00:00Z"),
        "{said}"
    );
    assert!(kept(&site, 10)[0].1);
    assert!(!kept(&site, 40)[0].1, "the day has passed");
    let said = site.run(at, &["snapshot", "drop", &reference(&second)]);
    assert!(said.contains("goes with the next `assay gc`: it was dropped"), "{said}");
    assert!(!kept(&site, 3)[1].1, "whatever its age");
    let refused = site.output(at, &["snapshot", "drop", &reference(&third)]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    site.run(at, &["snapshot", "keep", &reference(&second)]);
    let shown = site.run(at, &["snapshot", "show", &reference(&second)]);
    assert!(shown.contains("kept         marked to be kept"), "{shown}");
    assert!(shown.contains("age          8 days"), "{shown}");
    let verified = site.run(noon().plus_days(3), &["verify"]);
    assert!(verified.contains("verified"), "{verified}");
}

#[test]
fn locks_and_serial_files_on_any_branch_keep_what_they_name() {
    let site = Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    let [first, second, third] = three_days(&site);
    assert_eq!(kept(&site, 3).iter().filter(|(_, kept, _)| *kept).count(), 1);

    let snapshot = json!({
        "archive": "foundry", "suite": "tin", "components": ["main"], "id": "20261122T120100Z", "serial": first,
        "inrelease-sha256": null, "release-date": null, "packages-sha256": [],
    });
    let lock = json!({
        "format": 1, "architecture": "amd64", "snapshots": [snapshot], "wanted": "", "packages": [],
        "chroot": {"tar-sha256": "00".repeat(32), "tool": "mmdebstrap", "tool-version": "1", "source-date-epoch": 0},
    });
    let _: Lock = serde_json::from_value(lock.clone()).unwrap_or_else(|error| panic!("{error}"));
    let path = site.site().join("repos/foundry/alloy.lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, lock.to_string()).unwrap();
    assert_eq!(
        kept(&site, 3)[0],
        (first.clone(), true, "locked by repos/foundry/alloy.lock".to_owned())
    );
    let listed = site.run(noon().plus_days(2), &["snapshot", "list", "foundry"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].ends_with(" (locked by repos/foundry/alloy.lock)"), "{listed}");
    assert!(!lines[1].contains("locked by"), "{listed}");
    let listed = site.json(noon().plus_days(2), &["snapshot", "list", "foundry"]);
    assert_eq!(listed[0]["needed_by"], json!(["locked by repos/foundry/alloy.lock"]));

    // The serial of the builder, on a branch that is not checked out.
    let images = site.site().join("images");
    let file = "vagrant/definitions/tails-builder/config/APT_snapshots.d/foundry/serial";
    fs::create_dir_all(images.join(file).parent().unwrap()).unwrap();
    git(&images, &["init", "-q", "."]);
    fs::write(images.join(file), format!("{second}\n")).unwrap();
    git(&images, &["checkout", "-q", "-b", "feature/x"]);
    git(&images, &["add", "."]);
    git(&images, &["commit", "-q", "-m", "x"]);
    git(&images, &["checkout", "-q", "-b", "devel"]);
    fs::write(images.join(file), "latest\n").unwrap();
    git(&images, &["commit", "-q", "-a", "-m", "y"]);
    let config = site.site().join("assay.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}serials = [\"images\"]\n")).unwrap();
    let all = kept(&site, 3);
    assert_eq!(
        all[1],
        (
            second.clone(),
            true,
            format!("named by images, branch feature/x, {file}")
        )
    );

    // What a Git that was killed left is nobody's; and readers at the same time wait for one another.
    let caches = fs::read_dir(site.site().join("cache/serials")).unwrap().flatten();
    let caches: Vec<_> = caches.map(|entry| entry.path()).collect();
    let cache = caches
        .iter()
        .find(|path| path.extension().is_some_and(|end| end == "git"));
    for left in ["shallow.lock", "packed-refs.lock", "refs/heads/devel.lock"] {
        fs::write(cache.unwrap().join(left), "").unwrap();
    }
    let list = || {
        let mut command = site.command(noon().plus_days(2), &["snapshot", "list", "foundry"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let readers = [list(), list(), list()];
    site.run(noon().plus_days(2), &["gc", "--dry-run"]);
    for reader in readers {
        let said = reader.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.contains("is not shown"), "{said}");
    }
    // One that cannot be read may have named any: nothing goes until somebody mends it or says that it may.
    let gc = |args: &[&str], at| {
        let done = site.output(at, &[&["gc", "--dry-run"], args].concat());
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    git(&images, &["checkout", "-q", "-b", "merged", "feature/x"]);
    for (bytes, said) in [
        (format!("{first}\r\n"), format!("line 1, holds `{first}\\u{{d}}`")),
        (format!("{first}\n{second}\n"), format!("line 2, holds `{second}`")),
        (
            format!("<<<<<<< HEAD\n{first}\n"),
            "line 1, holds `<<<<<<< HEAD`".to_owned(),
        ),
    ] {
        fs::write(images.join(file), bytes).unwrap();
        git(&images, &["commit", "-q", "-a", "-m", "merged"]);
        let (code, out, error) = gc(&["foundry"], noon().plus_days(2));
        assert_eq!(code, Some(3), "{out}{error}");
        let told = [
            &format!("images: branch merged: rule `serial`: `{file}`, {said}"),
            "E-COLLECT-007",
            "--ignore-unreadable",
        ];
        assert!(
            told.iter().all(|told| error.contains(told)) && out.is_empty(),
            "{out}{error}"
        );
        assert!(kept(&site, 3)[1].1, "others still keep what they name");
        let (code, out, error) = gc(&["foundry", "--ignore-unreadable"], noon().plus_days(3));
        assert!(error.contains(told[0]) && error.contains("it keeps nothing"), "{error}");
        assert!(
            code == Some(0) && !out.contains(&format!("edition {second} goes")),
            "{out}"
        );
    }
    // What nobody knows to be kept is renewed all the same.
    fs::remove_file(&path).unwrap();
    let renewed = site.output(noon().plus_days(8), &["snapshot", "renew", "--all"]);
    let said = String::from_utf8_lossy(&renewed.stdout).into_owned();
    assert!(
        renewed.status.success() && said.contains(&format!("foundry {first} renewed")),
        "{said}"
    );
    // And what a file that can be read names, also when it is the newest, and upstream's own time is over.
    git(&images, &["checkout", "-q", "devel"]);
    fs::write(images.join(file), format!("{third}\n")).unwrap();
    git(&images, &["commit", "-q", "-a", "-m", "third"]);
    let renewed = site.output(noon().plus_days(14), &["snapshot", "renew", "--all"]);
    let said = String::from_utf8_lossy(&renewed.stdout).into_owned();
    assert!(said.contains(&format!("foundry {third} renewed")), "{said}");
    fs::write(&path, lock.to_string()).unwrap();
    fs::write(images.join(file), "latest\n").unwrap();
    git(&images, &["commit", "-q", "-a", "-m", "latest"]);
    git(&images, &["branch", "-D", "-q", "merged"]);

    git(&images, &["branch", "-D", "-q", "feature/x"]);
    assert!(!kept(&site, 3)[1].1, "the branch is gone");

    // Locks that are on a branch only: an environment's, and the whole site's.
    fs::remove_file(&path).unwrap();
    assert!(!kept(&site, 3)[0].1);
    git(&images, &["checkout", "-q", "-b", "release"]);
    fs::create_dir_all(images.join("repos/foundry")).unwrap();
    fs::write(images.join("repos/foundry/alloy.lock"), lock.to_string()).unwrap();
    let site_lock = format!(
        "format 1\narchive foundry {second} 20261123T120100Z {}\n",
        "ab".repeat(32)
    );
    fs::write(images.join("assay.lock"), &site_lock).unwrap();
    git(&images, &["add", "."]);
    git(&images, &["commit", "-q", "-m", "z"]);
    for file in ["assay.lock", "repos/foundry/alloy.lock"] {
        git(&images, &["checkout", "-q", "-b", "damaged"]);
        fs::write(images.join(file), "=======\n").unwrap();
        git(&images, &["commit", "-q", "-a", "-m", "damaged"]);
        let (code, _, error) = gc(&[], noon().plus_days(2));
        let told = format!("images: branch damaged: `{file}`: ");
        assert!(code == Some(3) && error.contains(&told), "{error}");
        git(&images, &["checkout", "-q", "release"]);
        git(&images, &["branch", "-D", "-q", "damaged"]);
    }
    git(&images, &["checkout", "-q", "devel"]);
    let why: Vec<String> = kept(&site, 3).into_iter().map(|(_, _, why)| why).collect();
    assert_eq!(why[0], "locked by images, branch release, repos/foundry/alloy.lock");
    assert_eq!(why[1], "locked by images, branch release, assay.lock");
}

#[test]
fn what_is_named_as_a_tag_waits_until_the_tag_is_gone() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let day = |n| noon().plus_days(n).plus(60);
    site.follow(&archive(0, &[("alloy", "1")]));
    for tag in ["extra", "inner"] {
        site.run(day(0), &["tag", tag]);
    }
    let config = site.site().join("repos/foundry.toml");
    let text = fs::read_to_string(&config).unwrap();
    let refused = |tag: &str| {
        let run = site.output(day(1), &["mirror", "foundry"]);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let next = format!("`assay snapshot drop foundry@{tag}`");
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains("E-SNAPSHOT-010") && said.contains(&next), "{said}");
        site.run(day(1), &["verify"]);
    };

    // A suite, in the folder of the tag of another one.
    fs::write(&config, text.replace("[\"tin\"]", "[\"tin/inner\"]")).unwrap();
    let mut inner = archive(1, &[("alloy", "1")]);
    inner.suite = "tin/inner";
    site.serve(&inner);
    refused("inner");

    // A component.
    fs::write(&config, text.replace("[\"main\"]", "[\"main\", \"extra\"]")).unwrap();
    let more = archive(1, &[("alloy", "1")]).edit("main contrib", "main contrib extra");
    let more = more.index("extra/source/Sources", b"");
    site.serve(&more.index("extra/binary-amd64/Packages", b""));
    refused("extra");

    site.run(day(1), &["snapshot", "drop", "foundry@extra"]);
    site.run(day(1), &["gc", "foundry"]);
    assert!(site.run(day(1), &["mirror", "foundry"]).ends_with("new\n"));
    // The tag's record is still there, and its name is that of a folder that stays.
    site.run(day(1), &["gc", "foundry"]);
    site.run(day(1), &["verify"]);
    let head = site.site().join("store/foundry/dists/tin/extra/binary-amd64/Packages");
    assert!(head.exists());

    // Where the other tag was, there is the suite now, and it is judged as that.
    fs::write(&config, text.replace("[\"tin\"]", "[\"tin/inner\"]")).unwrap();
    site.run(day(1), &["snapshot", "drop", "foundry@inner"]);
    site.run(day(1), &["gc", "--at-once", "foundry"]);
    let mut inner = archive(2, &[("alloy", "1")]);
    inner.suite = "tin/inner";
    site.serve(&inner);
    assert!(site.run(day(2), &["mirror", "foundry"]).ends_with("new\n"));
    site.run(day(2), &["verify"]);
    fs::write(site.site().join("store/foundry/dists/tin/inner/InRelease"), "other").unwrap();
    assert_eq!(site.output(day(2), &["verify"]).status.code(), Some(3));
}

/// Another run goes on with it; but nobody has to keep it.
#[test]
fn what_a_first_run_fetched_in_vain_is_no_damage_and_can_go() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let archive = archive(0, &[("alloy", "1"), ("brass", "1")]);
    site.serve(&archive);
    site.upstream.remove("pool/main/b/brass/brass_1_amd64.deb");
    assert_eq!(site.output(noon(), &["mirror"]).status.code(), Some(5));
    let file = site.site().join("store/foundry/pool/main/a/alloy/alloy_1_amd64.deb");
    assert!(file.exists());
    for (verb, code) in [("verify", 6), ("fsck", 0)] {
        let said = site.output(noon(), &[verb]);
        assert_eq!(said.status.code(), Some(code), "{said:?}");
        assert!(said.stdout.is_empty() || code == 0, "nothing is named: {said:?}");
    }
    let said = site.output(noon(), &["gc"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("no snapshot yet") && said.contains("`assay gc --at-once foundry`"),
        "{said}"
    );
    assert!(file.exists());
    let went = site.run(noon(), &["gc", "--at-once"]);
    assert!(
        went.contains("foundry pool foundry/pool/main/a/alloy/alloy_1_amd64.deb goes"),
        "{went}"
    );
    assert!(!file.exists());
}

/// The newest is seen by all; a branch may pin an older one, and finds out when it builds.
#[test]
fn a_kept_snapshot_that_has_expired_is_said_until_it_is_renewed() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let [first, second, _] = three_days(&site);
    let at = noon().plus_days(40).plus(3600);
    site.run(at, &["snapshot", "drop", &format!("foundry@{second}")]);
    let kept = format!("V-EXPIRED foundry@{first}: it is kept");
    let verified = site.output(at, &["verify"]);
    let found = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        found.contains("V-EXPIRED foundry/dists/tin/InRelease") && found.contains(&kept),
        "also when the newest has expired: {found}"
    );
    site.follow(&archive(40, &[("alloy", "3")]));
    let status = site.run(at, &["status"]);
    let line = format!("clients refuse 3 older snapshots, which have expired, {first} first");
    assert!(status.contains(&line), "{status}");
    let verified = site.output(at, &["verify"]);
    let found = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(3), "{found}");
    assert!(found.contains(&kept), "{found}");
    assert_eq!(found.matches("V-EXPIRED").count(), 2, "one was let go: {found}");
    // Who asks for it is told so, too.
    let reference = format!("foundry@{first}");
    let asked = ["sources", "--snapshot", &reference];
    let told = |at| String::from_utf8_lossy(&site.output(at, &asked).stderr).into_owned();
    let said = told(at);
    let next = format!("`assay snapshot renew {reference}`");
    assert!(
        said.contains("has expired") && said.contains("Valid-Until") && said.contains(&next),
        "{said}"
    );
    assert_eq!(site.json(at, &asked)[0]["expired"], json!("2026-12-02T12:01:00Z"));
    site.run(at, &["snapshot", "renew", "--all"]);
    site.run(at, &["gc", "foundry"]);
    site.run(at, &["verify"]);
    assert!(!site.run(at, &["status"]).contains("expired") && !told(at).contains("expired"));
    assert_eq!(site.json(at, &asked)[0].get("expired"), None);
}
