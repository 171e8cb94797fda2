//! What is lost or swapped below `dists/`: named, with what puts it back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay::domain::Sha256;
use assay::host::Clock;

use super::mirrors::Metals;
use super::{ASSAY, assay, text};

/// The name by its hash of a file, in the folder that it lies in.
fn by_hash(path: &Path) -> PathBuf {
    let sha256 = Sha256::of(&fs::read(path).unwrap());
    path.parent().unwrap().join("by-hash/SHA256").join(sha256.to_string())
}

#[test]
fn what_is_lost_below_dists_is_named_and_comes_back_while_its_bytes_are_there() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    assert!(assay(&metals.site(), &["tag", "v1"]).status.success());
    metals.offer("2", -60);
    metals.mirror();
    metals.verify();
    let dists = metals.site().join("store/foundry/dists/tin");
    let serial = fs::read_dir(&dists)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut serials: Vec<String> = serial.filter(|name| name.len() == 10 && !name.contains('-')).collect();
    serials.sort();
    let first = dists.join(&serials[0]);
    let packages = dists.join("main/binary-amd64/Packages.xz");
    let lost = [
        by_hash(&dists.join("InRelease")),
        by_hash(&first.join("InRelease")),
        by_hash(&dists.join("v1/InRelease")),
        by_hash(&first.join("main/binary-amd64/Packages.xz")),
        by_hash(&packages),
    ];
    for path in &lost {
        fs::remove_file(path).unwrap();
    }
    for verb in ["verify", "fsck"] {
        let done = assay(&metals.site(), &[verb]);
        let said = text(&done.stdout);
        assert_eq!(done.status.code(), Some(3), "{said}");
        for path in &lost {
            let name = path.strip_prefix(metals.site().join("store")).unwrap().display();
            let line = said.lines().find(|line| line.contains(&format!("V-MISSING {name}:")));
            let line = line.unwrap_or_else(|| panic!("{verb} does not miss {name}: {said}"));
            assert!(line.contains("assay publish --all foundry"), "{line}");
        }
    }
    let again = assay(&metals.site(), &["publish", "--all", "foundry"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    metals.verify();
    assert!(lost.iter().all(|path| path.exists()));
    let nothing = text(&assay(&metals.site(), &["publish", "--all"]).stdout);
    assert!(nothing.ends_with(" 0 objects written\n"), "{nothing}");
}

/// Who asks for Release and Release.gpg must get the pair that InRelease is, also where nothing else is asked of our key.
#[test]
fn a_signature_of_another_release_is_none_of_this_one() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    let signature = metals.site().join("store/foundry/dists/tin/Release.gpg");
    let earlier = fs::read(&signature).unwrap();
    metals.offer("2", -60);
    metals.mirror();
    let own = fs::read(&signature).unwrap();
    let check = || assay(&metals.site(), &["verify", "--against", "upstream"]);
    assert!(check().status.success());
    for other in [&earlier[..], b"no signature", b""] {
        fs::remove_file(&signature).unwrap();
        fs::write(&signature, other).unwrap();
        let refused = check();
        let said = text(&refused.stdout);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("V-SIGNATURE foundry/dists/tin/Release.gpg"), "{said}");
    }
    fs::remove_file(&signature).unwrap();
    fs::write(&signature, own).unwrap();
    assert!(check().status.success());
}

/// One record that is gone takes nothing else out of sight: each record speaks for its own tree.
#[test]
fn a_broken_chain_hides_nothing_else_that_is_wrong() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    for (version, seconds) in [("2", -120), ("3", -60)] {
        metals.offer(version, seconds);
        metals.mirror();
    }
    metals.verify();
    let store = metals.site().join("store");
    let listed = text(&assay(&metals.site(), &["snapshot", "list"]).stdout);
    let first = listed.split(' ').nth(1).unwrap().to_owned();
    let spoil = |name: &str| {
        let path = store.join(name);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, [&whole[..whole.len() / 2], b"-"].concat()).unwrap();
        (path, whole)
    };
    let says = |args: &[&str], lines: &[&str]| {
        let done = assay(&metals.site(), args);
        let said = text(&done.stdout);
        assert_eq!(done.status.code(), Some(3), "{said}");
        for line in lines {
            assert!(said.contains(line), "{args:?} does not say {line}: {said}");
        }
        assert!(!said.contains("V-UNNAMED"), "what is not known is not judged: {said}");
        said
    };
    let index = format!("foundry/dists/tin/{first}/main/i18n/Translation-en.xz");
    let signed = format!("foundry/dists/tin/{first}/Release.gpg");
    let release = format!("V-SIGNATURE {signed}");
    let damaged = format!("V-DAMAGED {index}");
    let against = ["verify", "--against", "upstream"];
    // In the middle: what is newest is known, and clients read something else.
    let (middle, record) = spoil("state/foundry/2.json");
    fs::remove_file(&middle).unwrap();
    let quiet = says(&["verify"], &["V-RECORD state/foundry/2.json"]);
    assert!(
        quiet.lines().filter(|line| line.starts_with("V-")).count() == 1,
        "{quiet}"
    );
    let spoiled = [spoil(&index), spoil(&signed), spoil("foundry/dists/tin/InRelease")];
    let head = "V-SIGNATURE foundry/dists/tin/InRelease";
    says(
        &["verify"],
        &["V-RECORD state/foundry/2.json", &damaged, &release, head],
    );
    says(&["fsck"], &["V-RECORD state/foundry/2.json", &damaged, &release, head]);
    let head = "foundry/dists/tin/InRelease";
    says(&against, &["V-RECORD state/foundry/2.json", &damaged, &release, head]);
    fs::write(&middle, record).unwrap();
    // The newest: what it was is not known, and what can be read is judged.
    let (newest, record) = spoil("state/foundry/3.json");
    let head = "V-SIGNATURE foundry/dists/tin/InRelease";
    says(
        &["verify"],
        &["V-RECORD state/foundry/3.json", &damaged, &release, head],
    );
    says(&against, &["V-RECORD state/foundry/3.json", &damaged, &release]);
    for (path, whole) in spoiled.into_iter().chain([(newest, record)]) {
        fs::remove_file(&path).unwrap();
        fs::write(&path, whole).unwrap();
    }
    metals.verify();
}

/// What clients have seen is never replaced by something older, nor by something else under its serial: without the
/// newest record nobody knows what it was.
#[test]
fn a_lost_newest_record_is_asked_back_before_anything_new_is_made() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    metals.offer("2", -120);
    metals.mirror();
    let store = metals.site().join("store");
    let run = |args: &[&str]| assay(&metals.site(), args);
    let refused = |record: &str| {
        let published = contents(&store.join("foundry"));
        let verbs: [&[&str]; 7] = [
            &["mirror"],
            &["publish"],
            &["publish", "--all"],
            &["snapshot", "renew", "--all"],
            &["snapshot", "renew", "foundry@latest"],
            &["tag", "v1"],
            &["gc"],
        ];
        for args in verbs {
            let done = run(args);
            let said = text(&done.stderr);
            assert_eq!(done.status.code(), Some(3), "{args:?}: {said}");
            assert!(
                said.contains("E-PUBLISH-022") && said.contains(record),
                "{args:?}: {said}"
            );
            assert!(said.contains("from a backup"), "{args:?}: {said}");
            assert!(
                contents(&store.join("foundry")) == published,
                "{args:?} changed what clients have"
            );
        }
        for verb in ["status", "verify"] {
            let said = text(&run(&[verb]).stdout);
            let line = said
                .lines()
                .find(|line| line.contains(record) && line.contains("from a backup"));
            assert!(line.is_some(), "{verb}: {said}");
            let others = said.replace("came to nothing", "");
            assert!(!others.contains("run `assay publish"), "{verb}: {said}");
        }
    };
    let lose = |record: &str| {
        let path = store.join(record);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        (path, bytes)
    };
    let back = |(path, bytes): (PathBuf, Vec<u8>)| fs::write(path, bytes).unwrap();
    let second = lose("state/foundry/2.json");
    refused("state/foundry/2.json");
    metals.offer("3", -60);
    refused("state/foundry/2.json");
    back(second);
    metals.verify();
    assert_eq!(metals.mirror(), "new");
    let renew = ["snapshot", "renew", "foundry@latest", "--for", "60d"];
    let renewed = run(&renew);
    assert!(renewed.status.success(), "{}", text(&renewed.stderr));
    let renewal = lose("state/foundry/renewals/3/1.json");
    refused("state/foundry/renewals/3/1.json");
    back(renewal);
    assert_eq!(metals.mirror(), "unchanged");
    // A writer that was killed after its serial's tree, or that of its renewal, and before the head.
    let at = |name: &str| store.join("foundry/dists/tin").join(name);
    let head = fs::read(at("InRelease")).unwrap();
    let renewal = lose("state/foundry/renewals/3/1.json");
    let name = text(&run(&["snapshot", "list"]).stdout);
    let serial = |n: usize| name.lines().nth(n).unwrap().split(' ').nth(1).unwrap().to_owned();
    let put = |bytes: &[u8]| {
        fs::remove_file(at("InRelease")).unwrap();
        fs::write(at("InRelease"), bytes).unwrap();
    };
    let by_hash = |serial: &str| fs::read(at(serial).join("InRelease")).unwrap();
    put(&by_hash(&serial(1)));
    refused("state/foundry/renewals/3/1.json");
    back(renewal);
    let third = lose("state/foundry/3.json");
    refused("state/foundry/3.json");
    back(third);
    put(&head);
    metals.verify();
    // All of them: the first snapshot is no new one.
    let all = ["1", "2", "3"].map(|n| lose(&format!("state/foundry/{n}.json")));
    let done = run(&["mirror"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{said}");
    assert!(
        said.contains("E-PUBLISH-022") && said.contains("state/foundry/1.json"),
        "{said}"
    );
    all.into_iter().for_each(back);
    // What somebody else put there stops nobody.
    let head = store.join("foundry/dists/tin/InRelease");
    let whole = text(&fs::read(&head).unwrap());
    let date = whole.lines().find(|line| line.starts_with("Date: ")).unwrap();
    fs::remove_file(&head).unwrap();
    fs::write(&head, whole.replace(date, "Date: Sat, 01 Jan 2050 00:00:00 UTC")).unwrap();
    assert!(run(&["publish"]).status.success());
    metals.verify();
}

/// One archive that is broken is no reason to let another expire, or to say nothing of it.
#[test]
fn what_is_wrong_with_one_archive_is_said_and_the_others_are_done() {
    let metals = Metals::new("pool = \"lazy\"\n");
    let repos = metals.site().join("repos");
    fs::copy(repos.join("foundry.toml"), repos.join("smithy.toml")).unwrap();
    let run = |args: &[&str]| assay(&metals.site(), args);
    let done = run(&["mirror"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    metals.offer("2", -60);
    assert!(run(&["mirror"]).status.success());
    let first = metals.site().join("store/state/foundry/1.json");
    let record = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    let later = Clock::System.now().plus(30 * 86_400).unix().to_string();
    let verbs: [(&[&str], &str); 5] = [
        (&["snapshot", "renew", "--all"], " renewed until "),
        (&["status"], " mirror 2 snapshots"),
        (&["snapshot", "list"], " upstream changed"),
        (&["gc"], " editions stay"),
        (&["publish"], " objects written"),
    ];
    for (args, does) in verbs {
        let done = Command::new(ASSAY)
            .args(args)
            .current_dir(metals.site())
            .env("ASSAY_TEST_CLOCK", &later)
            .output()
            .unwrap();
        let (said, wrong) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(3), "{args:?}: {said}{wrong}");
        assert!(
            wrong.contains("]: foundry: ") && wrong.contains("state/foundry/1.json"),
            "{args:?}: {wrong}"
        );
        assert!(!wrong.contains("]: smithy: "), "{args:?}: {wrong}");
        let other = said
            .lines()
            .any(|line| line.starts_with("smithy") && line.contains(does));
        assert!(other, "{args:?} does nothing for the other: {said}{wrong}");
    }
    // Of the only one that was asked for it is the verb's own failure.
    let alone = run(&["snapshot", "list", "foundry"]);
    let wrong = text(&alone.stderr);
    assert_eq!(alone.status.code(), Some(3), "{wrong}");
    assert!(!wrong.contains("]: foundry: "), "{wrong}");
    fs::write(&first, record).unwrap();
    assert!(run(&["status"]).status.success());
}

/// A file has other bytes of the same length now, under all its names.
fn spoil(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, vec![b'x'; bytes.len()]).unwrap();
    bytes
}

/// An index of the newest snapshot that is damaged or gone stops nobody while its bytes can be had, and nothing but these
/// bytes takes its place.
#[test]
fn a_damaged_index_is_put_back_from_wherever_its_bytes_are_and_the_mirror_goes_on() {
    let metals = Metals::new("pool = \"lazy\"\n");
    let offer = |version: &str, seconds: i64| {
        let mut archive = metals.archive(version, seconds);
        archive.by_programs = true;
        metals.upstream.set(archive.files(&metals.signer));
    };
    offer("1", -3000);
    metals.mirror();
    let folder = metals.site().join("store/foundry/dists/tin/main/binary-amd64");
    let [gz, xz] = ["Packages.gz", "Packages.xz"].map(|name| folder.join(name));
    let mirrored = || {
        let done = assay(&metals.site(), &["mirror"]);
        let said = text(&done.stderr);
        assert!(
            done.status.success() && text(&done.stdout).ends_with(" new\n"),
            "{said}"
        );
        metals.verify();
        said
    };
    let from = |said: &str, from: &str| {
        let line = said.lines().find(|line| line.contains("was put back from"));
        let line = line.unwrap_or_else(|| panic!("nothing was put back: {said}"));
        assert!(line.contains("by-hash/SHA256") && line.contains(from), "{line}");
    };
    // Another name has the bytes.
    fs::remove_file(by_hash(&gz)).unwrap();
    offer("2", -2400);
    from(&mirrored(), "put back from `foundry/dists/tin/2");
    let lost = by_hash(&gz);
    fs::remove_file(&lost).unwrap();
    fs::write(&lost, vec![b'x'; fs::read(&gz).unwrap().len()]).unwrap();
    offer("3", -1800);
    from(&mirrored(), "put back from `foundry/dists/tin/2");
    // Another form has the text.
    spoil(&gz);
    offer("4", -1200);
    from(&mirrored(), "which has the same text");
    // Upstream has it.
    spoil(&gz);
    spoil(&xz);
    offer("4", -600);
    from(
        &mirrored(),
        "put back from upstream's `dists/tin/main/binary-amd64/by-hash/SHA256/",
    );
    // What has not changed is looked for, under each of its names.
    for path in [&gz, &xz] {
        let bytes = fs::read(path).unwrap();
        for spoiled in [None, Some(&bytes[1..])] {
            fs::remove_file(path).unwrap();
            spoiled.into_iter().for_each(|bytes| fs::write(path, bytes).unwrap());
            let done = assay(&metals.site(), &["mirror"]);
            let said = text(&done.stderr);
            assert!(
                done.status.success() && text(&done.stdout).ends_with(" unchanged\n"),
                "{said}"
            );
            assert!(said.contains("put back from"), "{said}");
            assert_eq!(fs::read(path).unwrap(), bytes);
        }
    }
    metals.verify();
    // It is not read by `mirror`; `fsck` does.
    let fsck = |args: &[&str], code: i32, says: &str| {
        let done = assay(&metals.site(), args);
        let said = text(&done.stdout) + &text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    };
    let whole = [&gz, &xz].map(|path| (path, by_hash(path), spoil(path)));
    fsck(&["fsck"], 3, "`assay fsck --repair` puts back");
    fsck(&["fsck", "--repair"], 0, "put back from upstream's");
    metals.verify();
    // Nobody has it: nothing else is taken for it.
    for (path, lost, bytes) in &whole {
        spoil(path);
        let name = lost.file_name().unwrap().to_str().unwrap();
        let at = "dists/tin/main/binary-amd64";
        let plain = path.file_name().unwrap().to_str().unwrap();
        for path in [format!("{at}/by-hash/SHA256/{name}"), format!("{at}/{plain}")] {
            metals.upstream.add(&path, &vec![b'y'; bytes.len()]);
        }
    }
    fsck(&["fsck", "--repair"], 3, "upstream gives no such bytes");
    offer("5", -60);
    let published = contents(&metals.site().join("store/foundry"));
    let refused = assay(&metals.site(), &["mirror"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("E-UP-041") && said.contains("from a backup"), "{said}");
    for (path, bytes) in &published {
        assert!(fs::read(path).unwrap() == *bytes, "{} changed", path.display());
    }
    // By hand, in the place of one of its forms.
    let (_, lost, bytes) = &whole[1];
    fs::remove_file(lost).unwrap();
    fs::write(lost, bytes).unwrap();
    let done = assay(&metals.site(), &["mirror"]);
    from(&text(&done.stderr), "which has the same text");
    assert!(text(&done.stdout).ends_with(" new\n"));
    fsck(&["fsck", "--repair"], 0, "Packages.xz`: put back from");
    metals.verify();
}

/// A tag is for each archive that it can be of; of those that it cannot, each says why, and has nothing of it.
#[test]
fn a_tag_tries_every_archive_and_says_of_each_what_is_wrong() {
    let metals = Metals::new("pool = \"lazy\"\n");
    let repos = metals.site().join("repos");
    for other in ["smithy", "anvil"] {
        fs::copy(repos.join("foundry.toml"), repos.join(format!("{other}.toml"))).unwrap();
    }
    let run = |args: &[&str]| assay(&metals.site(), args);
    let done = run(&["mirror"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let state = |name: &str| metals.site().join("store/state").join(name);
    let packages = metals
        .site()
        .join("store/anvil/dists/tin/main/binary-amd64/Packages.xz");
    let spoiled = [by_hash(&packages), state("foundry/1.json")].map(|path| {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        (path, bytes)
    });
    for args in [&["tag", "v1"][..], &["--json", "tag", "v1"]] {
        let done = run(args);
        let (said, wrong) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(3), "{said}{wrong}");
        assert!(said.lines().count() == 1 && said.contains("smithy"), "{said}");
        for archive in ["foundry", "anvil"] {
            let json = format!("\"message\":\"{archive}: ");
            let of_it = |line: &&str| line.contains(&format!("]: {archive}: ")) || line.contains(&json);
            assert_eq!(wrong.lines().filter(of_it).count(), 1, "{archive}: {wrong}");
            let next = format!("`v1` was not made for {archive}");
            assert!(wrong.contains(&next) || args[0] == "--json", "{wrong}");
            assert!(!state(&format!("{archive}/tags/v1.json")).exists());
            assert!(!metals.site().join(format!("store/{archive}/dists/tin/v1")).exists());
        }
        assert!(!wrong.contains("for smithy") && !wrong.contains("]: smithy"), "{wrong}");
    }
    for (path, bytes) in spoiled {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let again = run(&["tag", "v1"]);
    let said = text(&again.stdout);
    assert!(again.status.success(), "{said}{}", text(&again.stderr));
    assert_eq!(
        (said.matches(" new\n").count(), said.matches(" unchanged\n").count()),
        (2, 1),
        "{said}"
    );
    metals.verify();
}

/// Every file below a folder, with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}
