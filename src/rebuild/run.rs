//! The runner: one build, in an overlay over the locked chroot, without network.
//!
//! What the package's own code can reach: the chroot, its sources, `/proc` of its own processes, and
//! a loopback interface. It runs as an ordinary user without capabilities. What it leaves is hostile
//! until `format` has read it; here only regular files with plain names are taken.

use std::path::{Path, PathBuf};

use super::base::{checked, unpacked};
use super::{RebuildError, Variation, sbuild};
use crate::domain::{Digest, FileName, PackageName, Sha256, Timestamp, Version, escape};
use crate::environment::chroot::sha256_of;
use crate::environment::namespace;
use crate::format::intoto::Outcome;
use crate::host::{Clock, HostError, Process, TempFolder, files};
use crate::site::Backend;

/// What one build may use. It ends when it uses more, and the record says so (gate rule A6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub seconds: u64,
    /// Bytes of memory that its processes hold together.
    pub memory: u64,
    /// Bytes that it may write.
    pub disk: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Bytes of the log.
    pub log: u64,
}

impl Default for Limits {
    /// Enough for most packages: an hour, 8 GiB, 32 GiB on disk, 4096 processes, 256 MiB of log.
    fn default() -> Self {
        Self {
            seconds: 3600,
            memory: 8 << 30,
            disk: 32 << 30,
            processes: 4096,
            log: 256 << 20,
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
    /// What runs it.
    pub backend: Backend,
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
const WATCH: &str = include_str!("watch.pl");
const INNER: &str = include_str!("inner.sh");
/// What the runner's own messages may add to a log, in bytes.
const LOG_SLACK: u64 = 1 << 20;
/// The most packages and by-products of one build.
const MOST_FILES: usize = 10_000;

/// Where a build of this source package happens: as on Debian's own builders, unless the path is varied.
#[must_use]
pub fn build_path(source: &PackageName, version: &Version, variation: &Variation) -> String {
    format!("/build/{}/{}", variation.place, folder_name(source, version))
}

/// `DEB_BUILD_OPTIONS` of a build.
#[must_use]
pub fn build_options(variation: &Variation) -> String {
    format!("parallel={}", variation.parallel)
}

pub(super) fn folder_name(source: &PackageName, version: &Version) -> String {
    format!("{source}-{}", version.upstream())
}

/// Runs one build.
///
/// # Errors
/// When the build could not be run at all. A build that fails is an outcome.
pub fn run(job: &Job<'_>) -> Result<Finished, RebuildError> {
    let dsc = check(job)?;
    let base = match job.backend {
        Backend::Overlay => unpacked(job.chroot_tar, job.chroot_sha256, job.cache)?,
        Backend::Sbuild => checked(job.chroot_tar, job.chroot_sha256)?,
    };
    let scratch = TempFolder::below(job.work)?;
    let scratch = files::absolute(scratch.path())?;
    let done = build(job, &dsc, &base, &scratch);
    // Files of subordinate ids: only the namespace's root can remove them.
    remove_work_folder(&scratch)?;
    done
}

/// Removes what killed runs left in a folder: temporary files, and builds with files of subordinate ids. What a run
/// that lives has there stays.
///
/// # Errors
/// When the folder cannot be read, or something in it cannot be removed.
pub fn sweep(folder: &Path, now: Timestamp) -> Result<(), RebuildError> {
    for path in files::litter(folder, now)? {
        if files::is_folder(&path) {
            remove_work_folder(&path)?;
        } else if let Err(error) = files::remove(&path) {
            // Another run was faster.
            if files::exists(&path) {
                return Err(error.into());
            }
        }
    }
    Ok(())
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
    for word in [&variation.hostname, &variation.user, &variation.place] {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts = word.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !starts || word.len() > 32 || !word.bytes().all(plain) {
            let why = format!("`{}` is not a plain name of a host, user or folder", escape(word));
            return Err(RebuildError::Variation { why });
        }
    }
    if job.backend == Backend::Overlay && !(1000..=60_000).contains(&variation.uid) || variation.parallel == 0 {
        let why = "the user id must be from 1000 to 60000, and `parallel` at least 1".to_owned();
        return Err(RebuildError::Variation { why });
    }
    if !matches!(variation.locale.as_str(), "C" | "C.UTF-8") {
        let why = format!("`{}` is no locale that every chroot has", escape(&variation.locale));
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
    let (outcome, reason) = match job.backend {
        Backend::Overlay => overlay(job, dsc, base, scratch, &log)?,
        Backend::Sbuild => sbuild::build(job, dsc, scratch, &log)?,
    };
    let ended = job.clock.now();
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
        collect(&mut finished, job.limits, &scratch.join("out"), &job.work.join("out"))?;
    }
    Ok(finished)
}

fn overlay(
    job: &Job<'_>,
    dsc: &FileName,
    base: &Path,
    scratch: &Path,
    log: &Path,
) -> Result<(Outcome, Option<String>), RebuildError> {
    let ran = namespace::enter(&["--net", "--uts", "--ipc"])
        .args(["/bin/sh", "-c", OUTER])
        .env("ASSAY_WATCH", WATCH)
        .env("ASSAY_INNER", INNER)
        .env("ASSAY_SCRATCH", scratch)
        .env("ASSAY_BASE", base)
        .env("ASSAY_DSC", dsc.as_str())
        .env("ASSAY_FOLDER", folder_name(job.source, job.version))
        .env("ASSAY_HOSTNAME", &job.variation.hostname)
        .env("ASSAY_USER", &job.variation.user)
        .env("ASSAY_UID", job.variation.uid.to_string())
        .env("ASSAY_BUILD_OPTIONS", build_options(job.variation))
        .env("ASSAY_PID", Process::current()?.pid.to_string())
        .env("ASSAY_PLACE", &job.variation.place)
        .env("ASSAY_LOCALE", &job.variation.locale)
        .env("ASSAY_FILE_ORDER", job.variation.file_order.word())
        .env("ASSAY_MEMORY", kib(job.limits.memory))
        .env("ASSAY_DISK", kib(job.limits.disk))
        .env("ASSAY_PROCESSES", job.limits.processes.to_string())
        .env("ASSAY_SPARE", spare_processes().to_string())
        .env("ASSAY_LOG", job.limits.log.to_string())
        .log(log)
        .timeout(job.limits.seconds.min(u64::from(u32::MAX)))
        .run_any();
    match ran {
        Ok((status, _)) => judged(job.limits, status, scratch, log),
        Err(HostError::TimedOut { seconds, .. }) => {
            Ok((Outcome::Timeout, Some(format!("it did not end within {seconds} s"))))
        }
        Err(error) => Err(error.into()),
    }
}

/// How many processes more than its limit the kernel lets the build's user have. As root the ids inside are this machine's, and
/// the kernel counts what a user of that number has elsewhere; an ordinary user's namespace has ids of its own.
fn spare_processes() -> u64 {
    if namespace::has_own_ids() { 64 } else { 1024 }
}

fn kib(bytes: u64) -> String {
    bytes.div_ceil(1024).to_string()
}

/// A limit that was exceeded, else the build's own exit status (gate rule R6), decides; not which files are there.
fn judged(
    limits: &Limits,
    runner: Option<i32>,
    scratch: &Path,
    log: &Path,
) -> Result<(Outcome, Option<String>), RebuildError> {
    let limit = scratch.join("limit");
    if files::exists(&limit) {
        let found = files::read(&limit, 64)?;
        let (outcome, limit, unit) = match String::from_utf8_lossy(&found).trim() {
            "memory" => (Outcome::Memory, limits.memory, "bytes of memory"),
            "disk" => (Outcome::Disk, limits.disk, "bytes on disk"),
            _ => (Outcome::Processes, limits.processes, "processes"),
        };
        return Ok((outcome, Some(over(limit, unit))));
    }
    if files::size(log)? >= limits.log {
        let reason = format!("its log was longer than {} bytes", limits.log);
        return Ok((Outcome::Log, Some(reason)));
    }
    let status = scratch.join("status");
    if runner != Some(0) || !files::exists(&status) {
        let why = end_of(log, limits.log)?;
        return Err(RebuildError::Runner { why });
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

fn over(limit: u64, unit: &str) -> String {
    format!("it took more than {limit} {unit}")
}

/// Moves what the build left out of the scratch folder. A name that no archive takes fails the build, as do so many files,
/// or such large ones, that whoever reads them would be busy for ever: holes in files cost the build nothing.
fn collect(finished: &mut Finished, limits: &Limits, from: &Path, to: &Path) -> Result<(), RebuildError> {
    let left = files::list(from)?;
    if left.len() > MOST_FILES {
        finished.outcome = Outcome::Ftbfs;
        finished.reason = Some(format!("it left more than {MOST_FILES} packages and by-products"));
        return Ok(());
    }
    let mut size = 0_u64;
    for path in &left {
        size = size.saturating_add(files::size(path)?);
    }
    if limits.disk > 0 && size > limits.disk {
        finished.outcome = Outcome::Disk;
        finished.reason = Some(over(limits.disk, "bytes on disk"));
        return Ok(());
    }
    files::create_folder(to)?;
    for path in left {
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

pub(super) fn end_of(log: &Path, most: u64) -> Result<String, RebuildError> {
    let text = files::read(log, most.saturating_add(LOG_SLACK))?;
    let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(escape).collect();
    let from = lines.len().saturating_sub(10);
    Ok(lines.get(from..).unwrap_or_default().join("\n"))
}
