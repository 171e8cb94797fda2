//! `assay admit --from`: source packages of a mirror's snapshot, on upstream's signature.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::admit::show;
use super::args::AdmitArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::Work;
use crate::domain::{ArchiveName, Digest, PackageName, PoolPath, SnapshotRef, SuiteName, Version};
use crate::host::files;
use crate::publish::{ImportRequest, Importer, Unfetched};
use crate::source::Declaration;
use crate::store::{Key, StoreError};

/// The largest keyring that is read, in bytes.
const LARGEST_KEYRING: u64 = 16 << 20;

/// What makes an admission an import.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Import source packages of a mirror's snapshot or tag as they are, with their packages: upstream's signature
    /// is the proof, where the policy has an [[import]] for it
    #[arg(long, value_name = "REF", conflicts_with = "incoming", requires = "reason")]
    pub(super) from: Option<SnapshotRef>,
    /// The mirror's suite that they are in [default: the only one]
    #[arg(long, value_name = "SUITE", requires = "from")]
    from_suite: Option<SuiteName>,
    /// The suite that they go to, several times for several [default: the archive's only one]
    #[arg(long = "suite", value_name = "SUITE", requires = "from")]
    suites: Vec<SuiteName>,
    /// Why; it is signed with the decision
    #[arg(long, value_name = "TEXT", requires = "from")]
    reason: Option<String>,
    /// Who asks for it [default: $USER]
    #[arg(long, value_name = "NAME", requires = "from")]
    by: Option<String>,
    /// Only say what the gate would decide: nothing is kept but the files that were looked at
    #[arg(long, requires = "from")]
    dry_run: bool,
}

/// The sources that the archive declares, by what the files say, which must be what they are named after.
fn declared(work: &Work) -> Result<BTreeSet<PackageName>, Failure> {
    let names = work.site.declared(&work.archive)?.into_iter();
    let declaration = |name: PackageName| Declaration::load(&work.site.declaration_path(&work.archive, &name));
    names.map(|name| Ok(declaration(name)?.source)).collect()
}

/// Whether all were admitted.
pub(super) fn run(context: &Context, work: &Work, args: &AdmitArgs, from: &SnapshotRef) -> Result<bool, Failure> {
    let asked = &args.import;
    let mirror = work.site.mirror(&from.archive)?;
    let _working = context.writing(&work.store, &from.archive, "admit --from")?;
    let path: PathBuf = work.site.keyring(mirror);
    let keyring = files::read(&path, LARGEST_KEYRING)?;
    let suites = suites(work, &asked.suites)?;
    let (policy_name, policy) = work.policy_of(&suites)?;
    let user = || context.environment.get("USER").filter(|user| !user.is_empty());
    let asked_by = asked
        .by
        .clone()
        .or_else(user)
        .ok_or_else(|| UsageError::Argument("nobody is named who asks for it: say who with `--by`".to_owned()))?;
    let declared = declared(work)?;
    let known = work.site.import_keyring([&policy])?;
    let mut all = true;
    for candidate in &args.candidates {
        let (name, version) = named(candidate)?;
        let request = ImportRequest {
            from: &from.archive,
            name: &from.name,
            suite: asked.from_suite.as_ref(),
            source: &name,
            version: version.as_ref(),
            suites: &suites,
            policy_name: &policy_name,
            policy: &policy,
            keyring: &keyring,
            known: known.as_ref(),
            declared: declared.contains(&name),
            reason: asked.reason.as_deref().unwrap_or_default(),
            asked_by: &asked_by,
        };
        let bar = context.progress.waiting(&format!("importing {name}"));
        let found = work.with_files(|files| {
            let importer = Importer {
                store: files.store,
                archive: files.archive,
                config: &work.custom,
                keyrings: files.keyrings,
                fetch: files.fetch.unwrap_or(&nothing),
            };
            importer.find(&request, context.now())
        })?;
        bar.finish();
        for (component, names) in &found.evidence.elsewhere {
            let names: Vec<&str> = names.iter().map(PackageName::as_str).collect();
            let note = format!(
                "{name}: left out, since upstream has it in `{component}`: {}",
                names.join(", ")
            );
            context.output.note(&note);
        }
        let admission = if asked.dry_run {
            found.preview(&policy, context.now()).into()
        } else {
            let (key, signer) = (
                work.site.ed25519_key(&work.site.config().gate)?,
                work.archive_signers()?,
            );
            found.admit(&work.gate(&key, &signer), &policy, context.now())?
        };
        show(context, args, &admission)?;
        all &= admission.decision.admitted;
    }
    Ok(all)
}

/// `NAME` or `NAME=VERSION`.
fn named(text: &str) -> Result<(PackageName, Option<Version>), Failure> {
    Ok(match text.split_once('=') {
        Some((name, version)) => (PackageName::new(name)?, Some(Version::new(version)?)),
        None => (PackageName::new(text)?, None),
    })
}

/// The suites that were named, or the archive's only one.
fn suites(work: &Work, named: &[SuiteName]) -> Result<Vec<SuiteName>, Failure> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    match work.custom.suites.as_slice() {
        [only] => Ok(vec![only.name.clone()]),
        _ => Err(UsageError::Argument("no suite is named: name one with `--suite`".to_owned()).into()),
    }
}

fn nothing(archive: &ArchiveName, path: &PoolPath, _: &Digest) -> Result<(), Unfetched> {
    Err(Unfetched::of(&StoreError::Missing(Key::pool(archive, path))))
}
