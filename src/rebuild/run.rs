//! The runner: one build, in an overlay over the locked chroot, without network.
//!
//! What the package's own code can reach: the chroot, its sources, `/proc` of its own processes, and
//! a loopback interface. It runs as an ordinary user without capabilities. What it leaves is hostile
//! until `format` has read it; here only regular files with plain names are taken.

use std::path::{Path, PathBuf};

use super::RebuildError;
use super::base::unpacked;
use crate::domain::{Digest, FileName, PackageName, Sha256, Timestamp, Version, escape};
use crate::environment::chroot::sha256_of;
use crate::environment::namespace;
use crate::format::intoto::Outcome;
use crate::host::{Clock, HostError, TempFolder, files};

/// What a rebuilder varies on purpose between the runs of a quorum (gate rule E5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    /// The host name inside: lower-case letters, digits and `-`.
    pub hostname: String,
    /// The build user's name inside: the same grammar.
    pub user: String,
    /// Its numeric id inside: 1000 to 60000.
    pub uid: u32,
    /// `parallel=` of `DEB_BUILD_OPTIONS`.
    pub parallel: u32,
}

/// What one build may use. `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub seconds: u64,
    /// Address space of each process, in bytes.
    pub memory: u64,
    /// Largest file, in bytes.
    pub file: u64,
    /// Processes of the build user.
    pub processes: u64,
}

impl Default for Limits {
    /// Enough for most packages: an hour, 8 GiB, files of 16 GiB, 4096 processes.
    fn default() -> Self {
        Self {
            seconds: 3600,
            memory: 8 << 30,
            file: 16 << 30,
            processes: 4096,
        }
    }
}

/// One build to run.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The source package's name.
    pub source: &'a PackageName,
    /// Its version.
    pub version: &'a Version,
    /// The .dsc first, then what it names; checked against the declaration by the caller.
    pub files: &'a [(FileName, Vec<u8>)],
    /// The locked chroot's tar archive.
    pub chroot_tar: &'a Path,
    /// What the lock says about it: checked when it is unpacked.
    pub chroot_sha256: &'a Sha256,
    /// Where unpacked chroots are kept between builds, by digest.
    pub cache: &'a Path,
    /// What is varied.
    pub variation: &'a Variation,
    /// What the build may use.
    pub limits: &'a Limits,
    /// A folder of this build's own; its files stay in `out/` and `log` below it.
    pub work: &'a Path,
    /// When the build starts and ends.
    pub clock: Clock,
}

/// A file that the build left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Its name.
    pub name: FileName,
    /// Where it is, below the job's work folder.
    pub path: PathBuf,
    /// Its content.
    pub digest: Digest,
}

/// How the build ended. A failed build is a result like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Built, failed, or out of time.
    pub outcome: Outcome,
    /// Why it was not built, in one line; absent when it was.
    pub reason: Option<String>,
    /// Every .deb, .udeb and .ddeb, sorted by name. Empty unless built.
    pub outputs: Vec<Produced>,
    /// Log, .buildinfo, .changes: by-products, which differ between honest builds.
    pub byproducts: Vec<Produced>,
    /// The release of the kernel that it ran on.
    pub kernel: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

const OUTER: &str = include_str!("outer.sh");
const INNER: &str = include_str!("inner.sh");
const LARGEST_LOG: u64 = 256 << 20;

/// Where every build of this source package happens: as on Debian's own builders.
#[must_use]
pub fn build_path(source: &PackageName, version: &Version) -> String {
    format!("/build/reproducible-path/{}", folder_name(source, version))
}

/// `DEB_BUILD_OPTIONS` of a build.
#[must_use]
pub fn build_options(variation: &Variation) -> String {
    format!("parallel={}", variation.parallel)
}

fn folder_name(source: &PackageName, version: &Version) -> String {
    format!("{source}-{}", version.upstream())
}

/// Runs one build.
///
/// # Errors
/// When the build could not be run at all. A build that fails is an outcome.
pub fn run(job: &Job<'_>) -> Result<Finished, RebuildError> {
    let dsc = check(job)?;
    let base = unpacked(job.chroot_tar, job.chroot_sha256, job.cache)?;
    let scratch = TempFolder::below(job.work)?;
    let scratch = files::absolute(scratch.path())?;
    let done = build(job, &dsc, &base, &scratch);
    // Files of subordinate ids: only the namespace's root can remove them.
    remove_work_folder(&scratch)?;
    done
}

/// Removes what builds left in a work folder, whoever owns it: after a crash, and after use.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_work_folder(path: &Path) -> Result<(), RebuildError> {
    // A build that was killed may still be dying; its last files go with the second try.
    namespace::remove_folder(path).or_else(|_| namespace::remove_folder(path))?;
    Ok(())
}

/// Everything that becomes a word of a script is checked, and there is exactly one .dsc.
fn check(job: &Job<'_>) -> Result<FileName, RebuildError> {
    let variation = job.variation;
    for word in [&variation.hostname, &variation.user] {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts = word.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !starts || word.len() > 32 || !word.bytes().all(plain) {
            let why = format!("`{}` is not a plain name of a host or user", escape(word));
            return Err(RebuildError::Variation { why });
        }
    }
    if !(1000..=60_000).contains(&variation.uid) || variation.parallel == 0 {
        let why = "the user id must be from 1000 to 60000, and `parallel` at least 1".to_owned();
        return Err(RebuildError::Variation { why });
    }
    let is_dsc = |name: &&FileName| name.as_str().ends_with(".dsc");
    let mut found = job.files.iter().map(|(name, _)| name).filter(is_dsc);
    match (found.next(), found.next()) {
        (Some(dsc), None) => Ok(dsc.clone()),
        _ => Err(RebuildError::Source {
            why: "it does not have exactly one .dsc".to_owned(),
        }),
    }
}

fn build(job: &Job<'_>, dsc: &FileName, base: &Path, scratch: &Path) -> Result<Finished, RebuildError> {
    for (name, bytes) in job.files {
        files::write(&scratch.join("sources").join(name.as_str()), bytes)?;
    }
    let log = job.work.join("log");
    let started = job.clock.now();
    let ran = namespace::enter(&["--net", "--uts", "--ipc"])
        .args(["/bin/sh", "-c", OUTER])
        .env("ASSAY_INNER", INNER)
        .env("ASSAY_SCRATCH", scratch)
        .env("ASSAY_BASE", base)
        .env("ASSAY_DSC", dsc.as_str())
        .env("ASSAY_FOLDER", folder_name(job.source, job.version))
        .env("ASSAY_HOSTNAME", &job.variation.hostname)
        .env("ASSAY_USER", &job.variation.user)
        .env("ASSAY_UID", job.variation.uid.to_string())
        .env("ASSAY_BUILD_OPTIONS", build_options(job.variation))
        .env("ASSAY_MEMORY", limit(job.limits.memory))
        .env("ASSAY_FILE", limit(job.limits.file))
        .env("ASSAY_PROCESSES", limit(job.limits.processes))
        .env("ASSAY_LOG_LIMIT", LARGEST_LOG.to_string())
        .log(&log)
        .timeout(job.limits.seconds.min(u64::from(u32::MAX)))
        .run_any();
    let ended = job.clock.now();
    let (outcome, reason) = match ran {
        Ok((status, _)) => judged(status, scratch, &log)?,
        Err(HostError::TimedOut { seconds, .. }) => {
            (Outcome::Timeout, Some(format!("it did not end within {seconds} s")))
        }
        Err(error) => return Err(error.into()),
    };
    let mut finished = Finished {
        outcome,
        reason,
        outputs: Vec::new(),
        byproducts: vec![produced(
            FileName::new(format!("{}.log", folder_name(job.source, job.version)))?,
            log,
        )?],
        kernel: kernel()?,
        started,
        ended,
    };
    if finished.outcome == Outcome::Built {
        collect(&mut finished, &scratch.join("out"), &job.work.join("out"))?;
    }
    Ok(finished)
}

fn limit(value: u64) -> String {
    match value {
        u64::MAX => "unlimited".to_owned(),
        value => value.to_string(),
    }
}

/// The build's own exit status decides (gate rule R6), not which files are there.
fn judged(runner: Option<i32>, scratch: &Path, log: &Path) -> Result<(Outcome, Option<String>), RebuildError> {
    let status = scratch.join("status");
    if runner != Some(0) || !files::exists(&status) {
        return Err(RebuildError::Runner { why: end_of(log)? });
    }
    let status = files::read(&status, 16)?;
    match String::from_utf8_lossy(&status).trim() {
        "0" => Ok((Outcome::Built, None)),
        code => Ok((
            Outcome::Ftbfs,
            Some(format!("the build ended with exit status {}", escape(code))),
        )),
    }
}

/// Moves what the build left out of the scratch folder. A name that no archive takes fails the build.
fn collect(finished: &mut Finished, from: &Path, to: &Path) -> Result<(), RebuildError> {
    files::create_folder(to)?;
    for path in files::list(from)? {
        let text = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(name) = FileName::new(&text) else {
            finished.outcome = Outcome::Ftbfs;
            finished.reason = Some(format!(
                "it made a file with a name that no archive takes: `{}`",
                escape(&text)
            ));
            finished.outputs.clear();
            return Ok(());
        };
        let kept = to.join(name.as_str());
        files::rename(&path, &kept)?;
        let package = [".deb", ".udeb", ".ddeb"]
            .iter()
            .any(|end| name.as_str().ends_with(end));
        let list = if package {
            &mut finished.outputs
        } else {
            &mut finished.byproducts
        };
        list.push(produced(name, kept)?);
    }
    if finished.outputs.is_empty() {
        finished.outcome = Outcome::Ftbfs;
        finished.reason = Some("it made no package".to_owned());
    }
    Ok(())
}

fn produced(name: FileName, path: PathBuf) -> Result<Produced, RebuildError> {
    let digest = Digest {
        sha256: sha256_of(&path)?,
        size: files::size(&path)?,
    };
    Ok(Produced { name, path, digest })
}

fn kernel() -> Result<String, RebuildError> {
    let release = files::read(Path::new("/proc/sys/kernel/osrelease"), 4096)?;
    Ok(escape(String::from_utf8_lossy(&release).trim()))
}

fn end_of(log: &Path) -> Result<String, RebuildError> {
    let text = files::read(log, LARGEST_LOG.saturating_mul(2))?;
    let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(escape).collect();
    let from = lines.len().saturating_sub(10);
    Ok(lines.get(from..).unwrap_or_default().join("\n"))
}
