//! `assay fsck`: whatever happens to an object, it is named, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::archive::{Archive, noon};
use crate::support::mirrored::Mirrored;

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Gives one name other bytes; other links of the same object keep theirs.
pub(super) fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_flip_a_cut_a_swap_and_a_loss_are_each_named() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    site.follow(&Archive::new(noon()));
    let at = noon().plus(600);
    let whole = site.run(at, &["fsck"]);
    assert!(whole.starts_with("whole: "), "{whole}");
    let store = site.site().join("store");
    let objects = files(&store.join("foundry"));
    assert!(objects.len() > 20);
    for path in &objects {
        let name = path.strip_prefix(&store).unwrap().to_str().unwrap();
        if name == "foundry/project/trace/foundry" {
            continue;
        }
        let bytes = fs::read(path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for other in [
            Some(flipped),
            Some(bytes[1..].to_vec()),
            Some(vec![b'x'; bytes.len()]),
            None,
        ] {
            match &other {
                Some(other) => replace(path, other),
                None => fs::remove_file(path).unwrap(),
            }
            let said = site.output(at, &["fsck", "foundry"]);
            let text = String::from_utf8(said.stdout).unwrap();
            let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("V-")).collect();
            assert_eq!(said.status.code(), Some(3), "{name}: {text}");
            assert!(
                lines.iter().all(|line| line.contains(name)) && lines.len() == 1,
                "{name}: {text}"
            );
            if other.is_some() {
                fs::remove_file(path).unwrap();
            }
            fs::write(path, &bytes).unwrap();
        }
    }
    assert!(site.run(at, &["fsck"]).starts_with("whole: "));
}

/// A full pool that lost a file, had one cut and one flipped: each is named, and upstream heals it.
#[test]
fn a_full_pool_that_lost_files_says_so_and_is_filled_again() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    site.follow(&Archive::new(noon()));
    let at = noon().plus(600);
    let store = site.site().join("store");
    let pool = files(&store.join("foundry/pool"));
    let path = &pool[0];
    let name = path.strip_prefix(&store).unwrap().to_str().unwrap();
    let bytes = fs::read(path).unwrap();
    let mut flipped = bytes.clone();
    flipped[0] ^= 1;
    let check = |verb: &str, code: &str| {
        let said = site.output(at, &[verb]);
        let text = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.status.code(), Some(3), "{verb}: {text}");
        assert!(text.contains(&format!("{code} {name}: ")), "{verb}: {text}");
        String::from_utf8(said.stderr).unwrap()
    };
    fs::remove_file(path).unwrap();
    check("verify", "V-MISSING");
    assert!(check("fsck", "V-MISSING").contains("assay fsck --repair"));
    assert!(site.run(at, &["mirror"]).ends_with("unchanged\n"));
    assert_eq!(fs::read(path).unwrap(), bytes, "the mirror misses it");
    replace(path, &bytes[1..]);
    check("fsck", "V-DAMAGED");
    site.run(at, &["mirror"]);
    assert_eq!(fs::read(path).unwrap(), bytes, "it is not as long as the index says");
    replace(path, &flipped);
    check("fsck", "V-DAMAGED");
    assert!(site.run(at, &["fsck", "--repair"]).starts_with("whole: "));
    assert_eq!(fs::read(path).unwrap(), bytes);
    // Upstream has it no more: it stays named, and what was there stays.
    replace(path, &flipped);
    site.upstream.remove(name.strip_prefix("foundry/").unwrap());
    let said = site.output(at, &["fsck", "--repair"]);
    assert_eq!(said.status.code(), Some(3));
    assert!(String::from_utf8(said.stdout).unwrap().contains(name));
    assert_eq!(fs::read(path).unwrap(), flipped);
}

/// What our key signed as a tag is kept until it is dropped: without its record nobody knows what it needs.
#[test]
fn a_lost_record_is_named_and_nothing_is_let_go_for_it() {
    let site = Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    site.follow(&Archive::new(noon()));
    let at = noon().plus(600);
    site.run(at, &["tag", "t2"]);
    let mut second = Archive::new(noon().plus(1200));
    second.pool = [("pool/main/b/brass/brass_1_amd64.deb".to_owned(), b"brass".to_vec())].into();
    site.follow(&second);
    let at = noon().plus(1800);
    let store = site.site().join("store");
    let lost = |record: &str, code: &str| {
        let path = store.join(record);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let published = files(&store.join("foundry"));
        for verb in ["fsck", "verify"] {
            let said = site.output(at, &[verb]);
            let text = String::from_utf8(said.stdout).unwrap();
            assert_eq!(said.status.code(), Some(3), "{verb}: {text}");
            assert!(text.contains(&format!("V-MISSING {record}: ")), "{verb}: {text}");
        }
        let refused = site.output(at, &["gc"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(3), "{record}: {said}");
        assert!(said.contains(code) && said.contains(record), "{said}");
        assert_eq!(files(&store.join("foundry")), published);
        fs::write(&path, bytes).unwrap();
    };
    lost("state/foundry/tags/t2.json", "E-COLLECT-005");
    lost("state/foundry/2.json", "E-PUBLISH-022");
    // Somebody's own folder is not ours, and keeps nobody from collecting.
    let other = store.join("foundry/dists/tin/mine");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("InRelease"), "x").unwrap();
    site.run(at, &["gc"]);
    assert!(site.run(at, &["fsck"]).starts_with("whole: "));
    let records: Vec<_> = files(&store.join("state/foundry"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    records.iter().for_each(|path| fs::remove_file(path).unwrap());
    let none = site.output(at, &["fsck"]);
    let text = String::from_utf8(none.stdout).unwrap();
    assert_eq!(none.status.code(), Some(3), "{text}");
    assert!(text.contains("V-MISSING state/foundry/1.json: "), "{text}");
}

/// What a web server on the store's folder would hand out, and no object is: each is named, and what of it is in the
/// place of a known object is fetched again.
#[test]
fn links_pipes_and_folders_are_named_and_a_known_object_takes_their_place() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let config = site.site().join("repos/foundry.toml");
    let lazy = fs::read_to_string(&config)
        .unwrap()
        .replace("pool = \"full\"", "pool = \"lazy\"");
    fs::write(&config, lazy).unwrap();
    site.follow(&Archive::new(noon()));
    let at = noon().plus(600);
    let store = site.site().join("store");
    let deb = "foundry/pool/main/a/alloy/alloy_1_amd64.deb";
    let (path, evil) = (store.join(deb), site.site().join("evil"));
    fs::write(&evil, "evil").unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&path);
    assert!(site.run(at, &["fsck"]).starts_with("whole: "));
    let named = |verb: &str, expected: &str| {
        let said = site.output(at, &[verb]);
        let text = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.status.code(), Some(3), "{verb}: {text}");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("V-")).collect();
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{verb}: {text}");
    };
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    let link = |path: &Path| std::os::unix::fs::symlink(&evil, path).unwrap();
    for (make, what) in [(&link as &dyn Fn(&Path), "a symbolic link"), (&pipe, "a pipe")] {
        make(&path);
        named("verify", &format!("V-DAMAGED {deb}: {what} "));
        named("fsck", &format!("V-DAMAGED {deb}: {what} "));
        assert!(site.run(at, &["fsck", "--repair"]).starts_with("whole: "));
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read(&evil).unwrap(), b"evil", "what the link led to is nobody's");
    fs::create_dir(&path).unwrap();
    named("fsck", &format!("V-DAMAGED {deb}: a folder "));
    fs::write(path.join("index.html"), "evil").unwrap();
    named("verify", &format!("V-DAMAGED {deb}: a folder "));
    named("fsck", &format!("V-DAMAGED {deb}: a folder "));
    fs::remove_dir_all(&path).unwrap();

    let (etc, hidden) = ("foundry/dists/etc", "foundry/dists/.hidden");
    std::os::unix::fs::symlink("/etc", store.join(etc)).unwrap();
    named("verify", &format!("V-STRANGE {etc}: a symbolic link"));
    named("fsck", &format!("V-STRANGE {etc}: a symbolic link"));
    fs::remove_file(store.join(etc)).unwrap();
    fs::write(store.join(hidden), "evil").unwrap();
    named("verify", &format!("V-UNNAMED {hidden}: "));
    fs::remove_file(store.join(hidden)).unwrap();
    assert!(site.run(at, &["fsck"]).starts_with("whole: "));
}
