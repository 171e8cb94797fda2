//! A small disk of its own, which can be really full: a tmpfs in a mount namespace that a process holds.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// It goes when this is dropped.
pub(crate) struct Disk {
    holder: Child,
    folder: tempfile::TempDir,
}

impl Disk {
    /// One of so many KiB.
    pub(crate) fn of(kib: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(format!(
                "mount -t tmpfs -o size={kib}k none \"$0\" && echo mounted && read end"
            ))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "mounted\n");
        Self { holder, folder }
    }

    /// A path on it, for those who are sent there ([`Disk::run`]).
    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program, in the folder and with the environment that it was given, where this disk is to be seen.
    pub(crate) fn run(&self, command: &Command) -> Output {
        let mut entering = Command::new("nsenter");
        entering
            .args(["--user", "--preserve-credentials", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .args(["env", "--chdir"])
            .arg(command.get_current_dir().unwrap())
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            entering.env(name, value.unwrap());
        }
        entering.output().unwrap()
    }

    /// The same by a path that every process can read; the program resolves it, and would look elsewhere.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let inside = self.folder.path().strip_prefix("/").unwrap();
        Path::new(&format!("/proc/{}/root", self.holder.id()))
            .join(inside)
            .join(name)
    }

    /// Moves a folder onto it, and leaves a link in its place.
    pub(crate) fn take(&self, folder: &Path) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .args([folder, &self.path(name)])
            .status()
            .unwrap();
        assert!(copied.success());
        fs::remove_dir_all(folder).unwrap();
        std::os::unix::fs::symlink(self.inside(name), folder).unwrap();
    }

    /// Fills it until so many KiB are free.
    pub(crate) fn leave(&self, kib: u64) {
        self.free();
        let said = Command::new("stat")
            .args(["--file-system", "--format=%a %S"])
            .arg(self.path(""))
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let (blocks, size) = said.trim().split_once(' ').unwrap();
        let free = blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap();
        let much = free.saturating_sub(kib << 10).try_into().unwrap();
        let mut filled = fs::File::create(self.path("ballast")).unwrap();
        filled.write_all(&vec![0; much]).unwrap();
    }

    /// There is room again.
    pub(crate) fn free(&self) {
        let _ = fs::remove_file(self.path("ballast"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
