//! Namespaces: how a program becomes root of its own small world, whoever runs Assay.

use crate::host::Program;

/// Runs what follows in new namespaces: mounts and processes, and those named in `more` (`--net`).
///
/// An ordinary user gets a user namespace as well, with all of the subordinate ids that
/// `/etc/subuid` gives, and is root there. When the program is killed, everything in the namespace
/// dies with it, and its mounts vanish.
pub(crate) fn enter(more: &[&str]) -> Program {
    let mut program = Program::new("unshare").args(["--mount", "--pid", "--fork", "--kill-child=KILL"]);
    if has_own_ids() {
        program = program.args(["--user", "--map-root-user", "--map-auto"]);
    }
    program.args(more).arg("--")
}

/// Whether users and groups inside are others than this machine's of the same numbers.
pub(crate) fn has_own_ids() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Removes a folder with files of any id of the namespace; one that is not there is no error.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn remove_folder(path: &std::path::Path) -> Result<(), crate::host::HostError> {
    enter(&[])
        .args(["rm", "--recursive", "--force", "--one-file-system", "--"])
        .arg(path)
        .run()
        .map(|_| ())
}
