//! A writer that is killed leaves whole objects, or none.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use assay::domain::Digest;
use assay::store::{LocalStore, Store};

use super::key;

const FOLDER: &str = "ASSAY_TEST_WRITE_UNTIL_KILLED";
const SIZE: usize = 3_000_000;

/// Not a test of its own: what the child process below does until it is killed.
#[test]
fn write_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = LocalStore::open(&PathBuf::from(folder)).unwrap();
    for n in 0_u32.. {
        let bytes = vec![(n % 256) as u8; SIZE];
        let name = format!("pool/{n}-{}", Digest::of(&bytes).sha256);
        store
            .put_stream(&key(&name), &Digest::of(&bytes), &mut &bytes[..])
            .unwrap();
        store.create(&key(&format!("state/{n}")), &bytes).unwrap();
        store.link(&key(&name), &key("linked")).unwrap();
        store.replace(&key("replaced"), &bytes).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_no_half_object() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::killed::write_until_killed"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        let before = store.list("state").unwrap().len();
        // It must have begun to write, and then be caught anywhere.
        for _ in 0..500 {
            if store.list("pool").unwrap().len() > before + 1 || child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let objects = store.list("").unwrap();
        assert!(objects.len() > 2, "the writer wrote nothing");
        for object in objects {
            let bytes = store.get(&object.key, 2 * SIZE as u64).unwrap();
            assert_eq!(bytes.len(), SIZE, "{}", object.key);
            assert!(bytes.iter().all(|b| *b == bytes[0]), "{}", object.key);
        }
        for object in store.list("").unwrap() {
            store.delete(&object.key).unwrap();
        }
    }
}
