//! Which packages a build needs: asked of Debian's own apt, over our snapshots alone.
//!
//! apt gets a root of its own: an empty dpkg status, no configuration of this machine (which may
//! relax its checks), and one `file:` archive made of the snapshots' Packages indexes, signed by a
//! key that lives for this one question. Nothing is downloaded or installed.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::catalog::{Identity, find, visit};
use super::wanted::Wanted;
use super::{EnvironmentError, LockedPackage, LockedSnapshot};
use crate::domain::{Architecture, Digest, Timestamp};
use crate::host::{HostError, Program, TempFolder, files};
use crate::trust::ArchiveKey;

/// One suite of a snapshot, with its Packages indexes.
#[derive(Debug, Clone)]
pub struct SnapshotInput {
    /// Which snapshot and suite; goes into the lock as it is.
    pub locked: LockedSnapshot,
    /// Its Packages indexes, uncompressed, in the order of `locked.packages_sha256`. The caller has
    /// checked them.
    pub packages: Vec<Vec<u8>>,
}

/// What every environment has besides the Essential packages: what `dpkg-buildpackage` needs.
pub(super) const BASE: [&str; 3] = ["apt", "build-essential", "fakeroot"];

/// The exact set of packages that building with these build dependencies needs: all Essential
/// packages, `apt`, `build-essential`, `fakeroot`, and `wanted` (see [`super::wanted`]), without
/// recommended packages; sorted by name.
///
/// `work` is a folder of the caller; a temporary folder below it is made and removed.
///
/// # Errors
/// When the relations are malformed, cannot be satisfied, or apt cannot be run.
pub fn resolve(
    inputs: &[SnapshotInput],
    wanted: &str,
    architecture: &Architecture,
    work: &Path,
) -> Result<Vec<LockedPackage>, EnvironmentError> {
    let wanted = Wanted::parse(wanted)?;
    let mut depends: Vec<String> = essential(inputs)?.into_iter().collect();
    depends.extend(BASE.map(str::to_owned));
    if !wanted.depends.is_empty() {
        depends.push(wanted.depends);
    }
    resolve_among(inputs, inputs, &depends, &wanted.conflicts, architecture, work)
}

/// What apt installs for these relations out of the packages that it may see; their hashes are those
/// that all of `inputs` agree on.
pub(super) fn resolve_among(
    visible: &[SnapshotInput],
    inputs: &[SnapshotInput],
    depends: &[String],
    conflicts: &str,
    architecture: &Architecture,
    work: &Path,
) -> Result<Vec<LockedPackage>, EnvironmentError> {
    let folder = TempFolder::below(work)?;
    let root = files::absolute(folder.path())?;
    let apt = PrivateApt::new(&root, visible, architecture)?;
    let said = apt.satisfy(&depends.join(", "), conflicts)?;
    let mut identities = installed(&said)?;
    identities.sort();
    Ok(find(inputs, &identities)?
        .into_iter()
        .map(|found| found.locked)
        .collect())
}

/// apt installs Essential packages into no root by itself: they are asked for by name.
pub(super) fn essential(inputs: &[SnapshotInput]) -> Result<BTreeSet<String>, EnvironmentError> {
    names_with(inputs, "Essential", "yes")
}

/// The names of all packages that have this value in this field.
pub(super) fn names_with(
    inputs: &[SnapshotInput],
    field: &str,
    value: &str,
) -> Result<BTreeSet<String>, EnvironmentError> {
    let mut names = BTreeSet::new();
    visit(inputs, |_, stanza| {
        if stanza.field(field) == Some(value)
            && let Some(name) = stanza.field("Package")
        {
            // Written by the grammar again, like everything on apt's command line.
            names.insert(Wanted::parse(name)?.depends);
        }
        Ok(())
    })?;
    Ok(names)
}

/// Reads the lines `Inst <name>[:<arch>] (<version> <origin> [<arch>]) …` of a simulation.
fn installed(said: &str) -> Result<Vec<Identity>, EnvironmentError> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines
        .map(|line| {
            let bug = || EnvironmentError::Bug {
                what: format!(
                    "apt printed a line that is not understood: {}",
                    crate::domain::escape(line)
                ),
            };
            let (name, rest) = line.split_once(' ').ok_or_else(bug)?;
            let name = name.split_once(':').map_or(name, |(name, _)| name);
            // Nothing is installed before, so no `[old version]` may stand here.
            let inside = rest
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(')'))
                .ok_or_else(bug)?
                .0;
            let (version, rest) = inside.split_once(' ').ok_or_else(bug)?;
            let architecture = rest
                .rsplit_once('[')
                .and_then(|(_, a)| a.strip_suffix(']'))
                .ok_or_else(bug)?;
            Ok((name.parse()?, version.parse()?, architecture.parse()?))
        })
        .collect()
}

/// An apt that knows nothing of this machine.
struct PrivateApt {
    configuration: std::path::PathBuf,
}

impl PrivateApt {
    fn new(root: &Path, inputs: &[SnapshotInput], architecture: &Architecture) -> Result<Self, EnvironmentError> {
        let text = root.to_string_lossy();
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._-+@,=".contains(&b))
        {
            return Err(EnvironmentError::Folder { path: root.to_owned() });
        }
        for folder in ["lists/partial", "cache/archives/partial", "state", "etc"] {
            files::create_folder(&root.join(folder))?;
        }
        let signed_at = newest(inputs);
        let key = ArchiveKey::generate("Assay: one question to apt", signed_at)?;
        let keyring = root.join("archive.asc");
        files::write(&keyring, key.certificate_armored()?.as_bytes())?;
        files::write(&root.join("state/status"), b"")?;
        let mut sources = String::new();
        for (number, input) in inputs.iter().enumerate() {
            let components = write_suite(&root.join("archive"), number, input, architecture, &key, signed_at)?;
            sources.push_str(&format!(
                "deb [signed-by={text}/archive.asc arch={architecture}] file:{text}/archive snapshot-{number} {components}\n"
            ));
        }
        files::write(&root.join("sources.list"), sources.as_bytes())?;
        let configuration = root.join("apt.conf");
        files::write(&configuration, configuration_text(&text, architecture).as_bytes())?;
        let apt = Self { configuration };
        apt.program().args(["-q=2", "--error-on=any", "update"]).run()?;
        Ok(apt)
    }

    fn program(&self) -> Program {
        Program::new("apt-get").env("APT_CONFIG", &self.configuration)
    }

    fn satisfy(&self, depends: &str, conflicts: &str) -> Result<String, EnvironmentError> {
        let mut program = self
            .program()
            .args(["-q", "--simulate", "--no-install-recommends", "satisfy", depends]);
        if !conflicts.is_empty() {
            program = program.arg(format!("Conflicts: {conflicts}"));
        }
        let (status, output) = program.run_any()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if status == Some(0) {
            return Ok(stdout);
        }
        // What is of use comes last, under "The following packages have unmet dependencies".
        let said = stdout
            .rsplit_once("unmet dependencies:\n")
            .map_or(stdout.as_str(), |(_, end)| end);
        let lines = said.lines().chain(output.stderr.lines()).map(crate::domain::escape);
        Err(EnvironmentError::Unsatisfiable {
            said: lines.take(20).collect::<Vec<_>>().join("\n"),
        })
    }
}

/// One suite of the `file:` archive: a component for each index. Returns the components' names.
fn write_suite(
    archive: &Path,
    number: usize,
    input: &SnapshotInput,
    architecture: &Architecture,
    key: &ArchiveKey,
    signed_at: Timestamp,
) -> Result<String, EnvironmentError> {
    let folder = archive.join(format!("dists/snapshot-{number}"));
    let mut components = Vec::new();
    let mut entries = Vec::new();
    for (at, index) in input.packages.iter().enumerate() {
        let component = format!("index-{at}");
        let path = format!("{component}/binary-{architecture}/Packages");
        write_scratch(&folder.join(&path), index)?;
        entries.push((path, Digest::of(index)));
        components.push(component);
    }
    let components = components.join(" ");
    let name = format!("snapshot-{number}");
    let release = super::archive::release_text(&name, &components, architecture, signed_at, &entries);
    files::write(
        &folder.join("InRelease"),
        &key.clearsign(release.as_bytes(), signed_at)?,
    )?;
    Ok(components)
}

/// Writes without syncing: 50 MB that no crash needs.
fn write_scratch(path: &Path, bytes: &[u8]) -> Result<(), EnvironmentError> {
    files::create_folder(path.parent().unwrap_or(path))?;
    files::create_new(path)?.write_all(bytes).map_err(|source| {
        EnvironmentError::Host(HostError::File {
            act: "write",
            path: path.to_owned(),
            source,
        })
    })
}

/// Past for every clock: nothing here depends on when the question is asked.
fn newest(inputs: &[SnapshotInput]) -> Timestamp {
    let ids = inputs.iter().map(|input| input.locked.id.timestamp());
    ids.max().unwrap_or(Timestamp::from_unix(0))
}

/// `Dir::Etc::parts` is what keeps `/etc/apt/apt.conf.d` out: apt reads `APT_CONFIG` before it.
fn configuration_text(root: &str, architecture: &Architecture) -> String {
    format!(
        r#"Dir "{root}";
Dir::State "{root}/state";
Dir::State::status "{root}/state/status";
Dir::State::lists "{root}/lists";
Dir::Cache "{root}/cache";
Dir::Etc "{root}/etc";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::netrc "/dev/null";
Dir::Etc::netrcparts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulations_are_read() -> Result<(), EnvironmentError> {
        let said = "Inst libc6 (2.36-9+deb12u14 snapshot-0:snapshot-0 [amd64]) []\n\
                    Inst git-man (1:2.39.5-0+deb12u3 a, b:c [all])\nConf git-man (1:2.39.5-0+deb12u3 a [all])\n";
        let read: Vec<String> = installed(said)?
            .iter()
            .map(crate::environment::catalog::spell)
            .collect();
        assert_eq!(read, ["libc6 2.36-9+deb12u14 amd64", "git-man 1:2.39.5-0+deb12u3 all"]);
        assert!(
            installed("Inst libc6 [2.35] (2.36 x [amd64])").is_err(),
            "nothing may be installed before"
        );
        Ok(())
    }
}
