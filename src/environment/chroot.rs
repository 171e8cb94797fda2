//! The chroot: made by mmdebstrap from a locked archive, the same bytes each time.
//!
//! mmdebstrap sees one archive, which has the locked packages and no others; what it installed is
//! compared with the lock afterwards, from the finished tar archive itself.

use std::collections::BTreeSet;
use std::path::Path;

use sha2::Digest as _;

use super::archive::{COMPONENT, SUITE};
use super::catalog::{Identity, spell};
use super::{EnvironmentError, LockedChroot, LockedPackage, namespace};
use crate::domain::{Architecture, Sha256, escape};
use crate::format::deb822::Stanzas;
use crate::host::{Program, TempFolder, files};

/// A chroot to make.
#[derive(Debug, Clone, Copy)]
pub struct ChrootJob<'a> {
    /// Where the locked archive is served: `http://127.0.0.1:<port>/env/<set digest>/`.
    pub base_url: &'a str,
    /// The armored OpenPGP certificate that signs it.
    pub certificate: &'a str,
    /// The architecture.
    pub architecture: &'a Architecture,
    /// Exactly what is to be installed.
    pub packages: &'a [LockedPackage],
    /// The newest upstream `Date` of the snapshots; seconds since 1970. No file is younger.
    pub source_date_epoch: i64,
    /// Where the tar archive goes. What is there is replaced, when the new one is whole.
    pub output_tar: &'a Path,
    /// A folder for temporary files: 2 GiB.
    pub work: &'a Path,
    /// Where mmdebstrap's output goes; must not exist.
    pub log: &'a Path,
}

/// What removes the traces of this machine from the chroot.
const FINISH: &str = include_str!("finish-chroot.sh");
/// The index of manual pages is not reproducible, and nothing in a build reads it.
const NO_MAN_INDEX: &str = r#"echo man-db man-db/auto-update boolean false | chroot "$1" debconf-set-selections"#;
const SECONDS: u64 = 3600;
const LARGEST_STATUS: u64 = 64 << 20;

/// Makes the chroot, as root or as an ordinary user with subordinate ids.
///
/// # Errors
/// When mmdebstrap is missing or fails, or when what it installed is not exactly `packages`.
pub fn build_chroot(job: &ChrootJob<'_>) -> Result<LockedChroot, EnvironmentError> {
    let folder = TempFolder::below(job.work)?;
    let temporary = files::absolute(folder.path())?;
    let certificate = temporary.join("lock.asc");
    files::write(&certificate, job.certificate.as_bytes())?;
    files::write(&temporary.join("finish"), FINISH.as_bytes())?;
    files::set_mode(&temporary.join("finish"), 0o755)?;
    let tar = temporary.join("chroot.tar");
    let made = mmdebstrap(job, &temporary, &certificate, &tar).and_then(|()| check(job.packages, &tar));
    // mmdebstrap cleans up after itself unless it was killed.
    if made.is_err() {
        namespace::remove_folder(&temporary)?;
    }
    made?;
    let chroot = LockedChroot {
        tar_sha256: sha256_of(&tar)?,
        tool: "mmdebstrap".to_owned(),
        tool_version: tool_version()?,
        source_date_epoch: job.source_date_epoch,
    };
    if let Some(parent) = job.output_tar.parent() {
        files::create_folder(parent)?;
    }
    files::rename(&tar, job.output_tar)?;
    Ok(chroot)
}

/// Variant `essential`, then everything by name: mmdebstrap unpacks the Essential packages first, and
/// apt orders the rest. There is nothing else that it could choose.
fn mmdebstrap(job: &ChrootJob<'_>, temporary: &Path, certificate: &Path, tar: &Path) -> Result<(), EnvironmentError> {
    let names: Vec<&str> = job.packages.iter().map(|p| p.package.as_str()).collect();
    let source = format!(
        "deb [signed-by={} arch={}] {} {SUITE} {COMPONENT}",
        certificate.display(),
        job.architecture,
        job.base_url
    );
    let (status, _) = namespace::enter(&[])
        .args([
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            "--format=tar",
            "--verbose",
        ])
        .arg(format!("--architectures={}", job.architecture))
        .arg(format!("--include={}", names.join(",")))
        .arg(r#"--aptopt=APT::Install-Recommends "false""#)
        .arg(r#"--aptopt=Acquire::Languages "none""#)
        // A chroot that a crash leaves half made is thrown away: no need to sync each file.
        .arg("--dpkgopt=force-unsafe-io")
        .arg(format!("--essential-hook={NO_MAN_INDEX}"))
        .arg(format!("--customize-hook={}/finish", temporary.display()))
        .arg("--skip=cleanup/apt")
        .arg(SUITE)
        .arg(tar)
        .arg(source)
        .env("SOURCE_DATE_EPOCH", job.source_date_epoch.to_string())
        .env("TMPDIR", temporary)
        .log(job.log)
        .timeout(SECONDS)
        .run_any()?;
    if status == Some(0) {
        return Ok(());
    }
    Err(EnvironmentError::Mmdebstrap {
        status: status.map_or("killed".to_owned(), |code| format!("exit status {code}")),
        log: end_of(job.log)?,
    })
}

/// The names, versions and architectures in the chroot's own dpkg status are those of the lock.
fn check(packages: &[LockedPackage], tar: &Path) -> Result<(), EnvironmentError> {
    let status = Program::new("tar")
        .args(["--extract", "--to-stdout", "--occurrence=1", "--file"])
        .arg(tar)
        .arg("./var/lib/dpkg/status")
        .limit(LARGEST_STATUS)
        .run()?
        .stdout;
    let installed = installed(&status)?;
    let locked: BTreeSet<Identity> = packages
        .iter()
        .map(|p| (p.package.clone(), p.version.clone(), p.architecture.clone()))
        .collect();
    let list = |word: &str, set: Vec<&Identity>| {
        let some: Vec<String> = set
            .iter()
            .take(5)
            .map(|id| format!("`{}` is {word}", spell(id)))
            .collect();
        some.join(", ")
    };
    let missing = list("missing", locked.difference(&installed).collect());
    let extra = list("extra", installed.difference(&locked).collect());
    let difference: Vec<String> = [missing, extra].into_iter().filter(|text| !text.is_empty()).collect();
    if difference.is_empty() {
        return Ok(());
    }
    Err(EnvironmentError::NotTheLock {
        difference: difference.join(", "),
    })
}

fn installed(status: &[u8]) -> Result<BTreeSet<Identity>, EnvironmentError> {
    let mut installed = BTreeSet::new();
    for stanza in Stanzas::new(status) {
        let malformed = || EnvironmentError::format("dpkg status");
        let stanza = stanza.map_err(malformed())?;
        let field = |name| stanza.require("dpkg status", name).map_err(malformed());
        let package = field("Package")?.parse()?;
        if field("Status")? != "install ok installed" {
            return Err(EnvironmentError::NotTheLock {
                difference: format!("`{package}` is not fully installed"),
            });
        }
        installed.insert((package, field("Version")?.parse()?, field("Architecture")?.parse()?));
    }
    Ok(installed)
}

/// SHA-256 of a file that is too large to hold.
pub(crate) fn sha256_of(path: &Path) -> Result<Sha256, crate::host::HostError> {
    let mut hasher = sha2::Sha256::new();
    std::io::copy(&mut files::open(path)?, &mut hasher).map_err(|source| crate::host::HostError::File {
        act: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(Sha256::from_bytes(hasher.finalize().into()))
}

fn tool_version() -> Result<String, EnvironmentError> {
    let said = Program::new("mmdebstrap").arg("--version").run()?.stdout;
    let said = String::from_utf8_lossy(&said);
    Ok(escape(said.trim().trim_start_matches("mmdebstrap ")))
}

fn end_of(log: &Path) -> Result<String, EnvironmentError> {
    let text = files::read(log, 256 << 20)?;
    let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(escape).collect();
    let from = lines.len().saturating_sub(15);
    Ok(lines.get(from..).unwrap_or_default().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_installed_is_not_installed() {
        let good = b"Package: aa\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
        assert_eq!(installed(good).map(|set| set.len()).ok(), Some(1));
        let bad = b"Package: aa\nStatus: install ok half-configured\nVersion: 1\nArchitecture: all\n";
        assert!(matches!(installed(bad), Err(EnvironmentError::NotTheLock { .. })));
    }
}
