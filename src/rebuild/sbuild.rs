//! The second backend: Debian's own sbuild, in unshare mode, from the same locked chroot.
//!
//! The contract is that of the runner: source package and lock in, outputs and log out. sbuild names host
//! and user itself, and keeps to a limit of time and of the log; what it cannot keep to is recorded as 0.
//! It needs an ordinary user with subordinate ids.

use std::path::Path;

use super::run::{Job, build_options, end_of, folder_name};
use super::{FileOrder, Limits, RebuildError, Variation};
use crate::domain::{FileName, escape};
use crate::environment::namespace;
use crate::format::intoto::Outcome;
use crate::host::{Program, files};

/// How long sbuild may take to clean up, when its time is over: seconds.
const CLEANING: u64 = 60;
/// Where sbuild unpacks the chroot: its subordinate ids must be able to get there.
const UNPACKED: &str = "/var/tmp";
/// Exit status of timeout(1) when it had to end the program.
const TIMED_OUT: i32 = 124;
/// Exit status of sbuild(1) when the package's own build failed.
const ATTEMPTED: i32 = 2;

const SCRIPT: &str = r#"
set -eu
cd "$ASSAY_SCRATCH"
{
    status=0
    timeout --kill-after="$ASSAY_CLEANING" "$ASSAY_SECONDS" sbuild --chroot="$ASSAY_CHROOT" --dist=unstable --arch-all --arch-any \
        --no-source --build-dir="$ASSAY_SCRATCH/left" "sources/$ASSAY_DSC" </dev/null || status=$?
    echo "$status" > status
} 2>&1 | head --bytes="$ASSAY_LOG"
find left -mindepth 1 -maxdepth 1 -type f \
    \( -name '*.deb' -o -name '*.udeb' -o -name '*.ddeb' -o -name '*.buildinfo' -o -name '*.changes' \) \
    -exec cp --no-dereference --target-directory=out -- {} +
"#;

/// sbuild's configuration: nothing of the machine's or the user's own is used.
fn configuration(variation: &Variation, template: &Path) -> String {
    format!(
        "$chroot_mode = 'unshare';\n\
         $unshare_tmpdir_template = '{}';\n\
         $build_path = '/build/{}';\n\
         $build_environment = {{ 'LC_ALL' => '{}', 'TZ' => 'UTC', 'DEB_BUILD_OPTIONS' => '{}' }};\n\
         $environment_filter = ['^(PATH|LC_ALL|TZ|DEB_BUILD_OPTIONS)$'];\n\
         $build_dep_resolver = 'null';\n\
         $apt_update = 0; $apt_upgrade = 0; $apt_distupgrade = 0; $apt_clean = 0;\n\
         $run_lintian = 0; $run_autopkgtest = 0; $run_piuparts = 0; $clean_source = 0;\n\
         $purge_build_directory = 'always'; $purge_session = 'always'; $purge_build_deps = 'never';\n\
         $nolog = 1; $log_colour = 0; $stalled_pkg_timeout = 0;\n1;\n",
        template.display(),
        variation.place,
        variation.locale,
        build_options(variation),
    )
}

/// What a host is called in sbuild's namespaces, whatever was asked for.
pub const SBUILD_HOST: &str = "sbuild";

/// What sbuild makes of a variation and of limits.
///
/// # Errors
/// When the user's own name cannot be found.
pub(super) fn effective(mut variation: Variation, limits: &Limits) -> Result<(Variation, Limits), RebuildError> {
    let own = |what| -> Result<String, RebuildError> {
        let said = Program::new("id").arg(what).run()?.stdout;
        Ok(escape(String::from_utf8_lossy(&said).trim()))
    };
    variation.hostname = SBUILD_HOST.to_owned();
    variation.user = own("-un")?;
    // Inside, sbuild takes the first free number of a system user.
    variation.uid = own("-u")?.parse().unwrap_or_default();
    variation.file_order = FileOrder::Disk;
    let limits = Limits {
        memory: 0,
        disk: 0,
        processes: 0,
        ..*limits
    };
    Ok((variation, limits))
}

/// Runs sbuild; what it made is in `out` below the scratch folder.
///
/// # Errors
/// When sbuild is missing, or could not begin to build.
pub(super) fn build(
    job: &Job<'_>,
    dsc: &FileName,
    scratch: &Path,
    log: &Path,
) -> Result<(Outcome, Option<String>), RebuildError> {
    let mark = scratch.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let template = Path::new(UNPACKED).join(format!("{mark}.XXXXXXXXXX"));
    let configuration = configuration(job.variation, &template);
    files::write(&scratch.join("sbuild.conf"), configuration.as_bytes())?;
    for folder in ["out", "left"] {
        files::create_folder(&scratch.join(folder))?;
    }
    let ran = Program::new("/bin/sh")
        .args(["-c", SCRIPT])
        .env("HOME", scratch)
        .env("SBUILD_CONFIG", scratch.join("sbuild.conf"))
        .env("ASSAY_SCRATCH", scratch)
        .env("ASSAY_CHROOT", files::absolute(job.chroot_tar)?)
        .env("ASSAY_DSC", dsc.as_str())
        .env("ASSAY_SECONDS", job.limits.seconds.to_string())
        .env("ASSAY_CLEANING", CLEANING.to_string())
        .env("ASSAY_LOG", job.limits.log.to_string())
        .log(log)
        .timeout(job.limits.seconds.saturating_add(2 * CLEANING))
        .run_any();
    // sbuild removes its chroot itself, unless it was killed.
    for left in files::list(Path::new(UNPACKED))? {
        let name = left.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&format!("{mark}.")) {
            namespace::remove_folder(&left)?;
        }
    }
    ran?;
    judged(job, scratch, log)
}

fn judged(job: &Job<'_>, scratch: &Path, log: &Path) -> Result<(Outcome, Option<String>), RebuildError> {
    if files::size(log)? >= job.limits.log {
        let reason = format!("its log was longer than {} bytes", job.limits.log);
        return Ok((Outcome::Log, Some(reason)));
    }
    let status = files::read(&scratch.join("status"), 16)?;
    let status: Option<i32> = String::from_utf8_lossy(&status).trim().parse().ok();
    match status {
        Some(0) => Ok((Outcome::Built, None)),
        Some(TIMED_OUT) => {
            let reason = format!("it did not end within {} s", job.limits.seconds);
            Ok((Outcome::Timeout, Some(reason)))
        }
        Some(ATTEMPTED) => {
            let name = folder_name(job.source, job.version);
            Ok((Outcome::Ftbfs, Some(format!("sbuild could not build {name}"))))
        }
        _ => Err(RebuildError::Runner {
            why: end_of(log, job.limits.log)?,
        }),
    }
}
