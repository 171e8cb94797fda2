//! The next stable Debian, whose apt verifies with sqv and knows `Snapshot:`: a root of its own, made once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use assay::host::apt_sources;

/// Debian's release after the one that the tests were written on.
pub(crate) const NEXT: &str = "trixie";

/// A folder with its essential packages and apt. Others read it, too: nothing may be written there.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{NEXT}-apt"));
        if !folder.exists() {
            let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            make(new.path());
            // Another run may have been faster; its root is as good.
            let _ = std::fs::rename(new.keep(), &folder);
        }
        folder
    })
}

fn make(folder: &Path) {
    let sources = apt_sources().unwrap();
    let debian = sources
        .iter()
        .find(|s| s.origin == "Debian" && s.label == "Debian")
        .unwrap();
    let mirror = format!(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} {NEXT} main",
        debian.uri
    );
    let tar = folder.join("root.tar");
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=apt", "--architectures=amd64", NEXT])
        .args([tar.as_os_str(), mirror.as_ref()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let unpacked = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--exclude=./dev/*", "--file"])
        .arg(&tar)
        .arg("--directory")
        .arg(folder)
        .output()
        .unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    std::fs::remove_file(tar).unwrap();
}

/// A root of one's own, to write to.
pub(crate) fn copy(to: &Path) {
    let copied = Command::new("cp")
        .args(["--archive", "--reflink=auto", "--no-target-directory"])
        .args([root(), to])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
}

/// A program of it, in `root`, which it may write to when that is a copy; and to `folder`, at its own path.
pub(crate) fn program(root: &Path, folder: &Path, program: &str) -> Command {
    let mut command = Command::new("bwrap");
    let bind = if root == self::root() { "--ro-bind" } else { "--bind" };
    command.args(["--unshare-user", "--uid", "0", "--gid", "0", "--die-with-parent"]);
    command.arg(bind).arg(root).arg("/");
    command.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
    command
        .arg("--bind")
        .args([folder, folder])
        .arg("--chdir")
        .args([folder]);
    command.args(["--", program]);
    command
}
