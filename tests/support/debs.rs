//! Real .debs, from the machine's own apt, fetched once.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Small packages that differ: symlinks, setuid, hard links, long and odd names, conffiles, scripts.
const NAMES: [&str; 8] = [
    "hello",
    "coreutils",
    "libc6",
    "dpkg",
    "passwd",
    "ca-certificates",
    "perl-base",
    "tzdata",
];

/// The .debs of some packages of this machine's distribution.
pub(crate) fn debs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debs");
    static FETCH: std::sync::Once = std::sync::Once::new();
    FETCH.call_once(|| {
        if !folder.exists() {
            let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let status = Command::new("apt-get")
                .args(["-qq", "-o", "APT::Sandbox::User=root", "download"])
                .args(NAMES)
                .current_dir(&new)
                .status()
                .unwrap();
            assert!(status.success(), "apt-get download failed");
            // Another run may have been faster; its files are as good.
            let _ = std::fs::rename(new.keep(), &folder);
        }
    });
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "deb"));
    found.sort();
    assert_eq!(found.len(), NAMES.len());
    found
}
