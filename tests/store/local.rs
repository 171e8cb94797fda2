//! What only a folder has: links, rights, times, left-overs.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use assay::domain::Digest;
use assay::host::Progress;
use assay::store::{Created, LocalStore, Oddity, Reading, Store, open_store};

use super::key;

#[test]
fn no_link_inside_leads_out() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let store = LocalStore::open(inside.path()).unwrap();
    store.create(&key("d/real"), b"real").unwrap();
    symlink(outside.path(), inside.path().join("folder")).unwrap();
    symlink(outside.path().join("secret"), inside.path().join("d/file")).unwrap();
    symlink("real", inside.path().join("d/near")).unwrap();
    symlink("/nonexistent", inside.path().join("d/broken")).unwrap();

    for name in ["folder/secret", "d/file", "d/near", "d/broken"] {
        let name = key(name);
        assert!(store.get(&name, 100).is_err(), "{name}");
        assert!(store.open(&name).is_err(), "{name}");
        assert!(store.head(&name).is_err(), "{name}");
        assert_eq!(store.local_path(&name), None);
        assert!(store.create(&name, b"x").is_err(), "{name}");
        assert!(store.put_stream(&name, &Digest::of(b"x"), &mut &b"x"[..]).is_err());
        assert!(store.link(&name, &key("stolen")).is_err(), "{name}");
    }
    for name in ["folder/new", "folder/a/b"] {
        let name = key(name);
        assert!(store.create(&name, b"x").is_err());
        assert!(store.replace(&name, b"x").is_err());
        assert!(store.link(&key("d/real"), &name).is_err());
        assert!(store.delete(&key("folder/secret")).is_err());
    }
    assert!(store.list("folder").is_err());
    let listed: Vec<_> = store.list("").unwrap().iter().map(|m| m.key.to_string()).collect();
    assert_eq!(listed, ["d/real"]);
    let untouched: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
    assert_eq!(untouched.len(), 1);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn a_pipe_does_not_block_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    assert!(store.get(&key("pipe"), 10).is_err());
    assert!(store.open(&key("pipe")).is_err());
    assert_eq!(store.list("").unwrap(), []);
}

#[test]
fn what_somebody_changed_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let read = || {
        let mut bytes = Vec::new();
        store.open(&key("d/object")).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let file = folder.path().join("d/object");
    let large = vec![7; 100_000];
    for before in [&b""[..], b"whole", &large] {
        store.replace(&key("d/object"), before).unwrap();
        assert_eq!(read(), before);
        let more = [before, b"+"].concat();
        fs::write(&file, &more).unwrap();
        assert_eq!(read(), more, "a byte too many must not stay unseen");
        let less = &before[..before.len() / 2];
        fs::write(&file, less).unwrap();
        assert_eq!(read(), less);
    }
    assert!(store.open(&key("d")).is_err(), "a folder is no object");
}

#[test]
fn a_survey_follows_no_link_and_reads_what_somebody_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    for name in ["d/changed", "d/same", "e/large"] {
        store.create(&key(name), &vec![b'a'; 300_000]).unwrap();
    }
    symlink("same", folder.path().join("d/link")).unwrap();
    symlink("d", folder.path().join("folder")).unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.path().join("d/pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    fs::remove_file(folder.path().join("d/changed")).unwrap();
    fs::write(folder.path().join("d/changed"), "longer or shorter").unwrap();

    let bar = Progress::hidden().bytes("hashing", 0);
    let reading = Reading {
        wanted: &|_| true,
        bar: &bar,
    };
    let survey = store.survey("", &reading).unwrap();
    let mut strange: Vec<_> = survey
        .strange
        .into_iter()
        .map(|found| (found.name, found.what))
        .collect();
    strange.sort();
    let links = ["d/link", "folder"].map(|name| (name.to_owned(), Oddity::Link));
    assert_eq!(
        strange,
        [links[0].clone(), ("d/pipe".to_owned(), Oddity::Pipe), links[1].clone()]
    );
    let surveyed = survey.objects;
    let mut found: Vec<_> = surveyed
        .into_iter()
        .map(|object| (object.meta.key.to_string(), object.digest.unwrap().unwrap()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let same = Digest::of(&vec![b'a'; 300_000]);
    let expected = [
        ("d/changed".to_owned(), Digest::of(b"longer or shorter")),
        ("d/same".to_owned(), same),
        ("e/large".to_owned(), same),
    ];
    assert_eq!(found, expected);
}

#[test]
fn listing_twice_and_at_the_same_time_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    for n in 0..200 {
        store.create(&key(&format!("pool/{}/{n}", n % 20)), b"x").unwrap();
    }
    let first = store.list("").unwrap();
    assert_eq!(first.len(), 200);
    std::thread::scope(|scope| {
        let lists: Vec<_> = (0..4).map(|_| scope.spawn(|| store.list("").unwrap())).collect();
        for list in lists {
            assert_eq!(list.join().unwrap(), first);
        }
    });
}

#[test]
fn immutable_objects_are_read_only_and_everyone_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    store.create(&key("a/created"), b"1").unwrap();
    store
        .put_stream(&key("a/streamed"), &Digest::of(b"2"), &mut &b"2"[..])
        .unwrap();
    store.replace(&key("a/pointer"), b"3").unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("a/created"), 0o444);
    assert_eq!(mode("a/streamed"), 0o444);
    assert_eq!(mode("a/pointer"), 0o644);
    assert_eq!(mode("a"), 0o755);
}

#[test]
fn a_pointer_that_moved_is_newer_by_whole_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let mut last = 0;
    for version in 0..4 {
        store
            .replace(&key("InRelease"), format!("{version}").as_bytes())
            .unwrap();
        let modified = store.head(&key("InRelease")).unwrap().unwrap().modified.unix();
        assert!(modified > last, "apt would be told that nothing changed");
        last = modified;
    }
}

#[test]
fn a_link_takes_no_space_and_ends_up_under_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    store.create(&key("by-hash/1"), b"one").unwrap();
    for _ in 0..3 {
        store.link(&key("by-hash/1"), &key("plain")).unwrap();
    }
    let inode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().ino();
    assert_eq!(inode("by-hash/1"), inode("plain"));
    assert_eq!(fs::metadata(folder.path().join("plain")).unwrap().nlink(), 2);
    assert_eq!(left_overs(folder.path()), 0);
}

#[test]
fn torn_files_are_invisible_and_old_ones_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    store.create(&key("k"), b"whole").unwrap();
    let temp = folder.path().join(".tmp-writes");
    fs::write(temp.join(".tmp-1-1-0"), "torn").unwrap();
    fs::write(temp.join(".tmp-2-2-0"), "torn long ago").unwrap();
    fs::write(temp.join("not-ours"), "").unwrap();
    for name in [".tmp-2-2-0", "not-ours"] {
        let aged = Command::new("touch")
            .args(["-d", "2 days ago"])
            .arg(temp.join(name))
            .status();
        assert!(aged.unwrap().success());
    }
    assert_eq!(store.list("").unwrap().len(), 1);

    let again = LocalStore::open(folder.path()).unwrap();
    assert!(temp.join(".tmp-1-1-0").exists(), "its writer may still be at work");
    assert!(!temp.join(".tmp-2-2-0").exists());
    assert!(temp.join("not-ours").exists());
    assert_eq!(again.list("").unwrap().len(), 1);
}

#[test]
fn failed_writes_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let digest = Digest::of(b"right");
    assert!(store.put_stream(&key("p"), &digest, &mut &b"wrong"[..]).is_err());
    store.create(&key("file"), b"x").unwrap();
    assert!(store.create(&key("file/below"), b"x").is_err(), "a file is no folder");
    store.create(&key("folder/below"), b"x").unwrap();
    assert!(store.replace(&key("folder"), b"x").is_err());
    assert_eq!(store.create(&key("folder"), b"x").unwrap(), Created::No);
    assert_eq!(left_overs(folder.path()), 0);
}

/// `serve` and `verify` may run as a user that may only read.
#[test]
fn a_folder_that_may_only_be_read_is_read() {
    let folder = tempfile::tempdir().unwrap();
    LocalStore::open(folder.path())
        .unwrap()
        .create(&key("k"), b"v")
        .unwrap();
    fs::remove_dir(folder.path().join(".tmp-writes")).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    assert_eq!(store.get(&key("k"), 9).unwrap(), b"v");
    // root may write all the same.
    if !folder.path().join(".tmp-writes").exists() {
        assert!(store.create(&key("new"), b"v").is_err());
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn urls_name_folders() {
    let base = tempfile::tempdir().unwrap();
    let absolute = base.path().join("absolute");
    let url = format!("file://{}", absolute.display());
    for (url, place) in [("store", "store"), ("./deep/er", "deep/er"), (url.as_str(), "absolute")] {
        let store = open_store(url, base.path(), assay::host::Environment).unwrap();
        store.create(&key("k"), b"v").unwrap();
        assert_eq!(fs::read(base.path().join(place).join("k")).unwrap(), b"v");
        let path = store.local_path(&key("k")).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"v");
    }
}

fn left_overs(root: &Path) -> usize {
    fs::read_dir(root.join(".tmp-writes")).unwrap().count()
}
