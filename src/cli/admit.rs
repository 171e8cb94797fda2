//! `assay admit`: decide, and publish what may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::AdmitArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::{Declared, Work};
use crate::admission::{Offered, Output, SourceEvidence, SourceFailure, explain, explain_json};
use crate::domain::{Digest, FileName, Kind, PackageName, Version};
use crate::format::changes::Changes;
use crate::host::files;
use crate::publish::{self, Admission, Proposal, add_document, gather, hold, inspect, load_records, propose};
use crate::source::{self, SourceError, SourceFile, SourceKeys, SourcePackage};

/// The largest .changes file and the largest package that are read, in bytes.
const LARGEST_CHANGES: u64 = 1 << 20;
const LARGEST_PACKAGE: u64 = 2 << 30;

pub(super) fn run(context: &Context, args: &AdmitArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    let _working = context.writing(&work.store, &work.archive, "admit")?;
    let mut all = true;
    for candidate in &args.candidates {
        let upload = candidate
            .ends_with(".changes")
            .then(|| Upload::read(Path::new(candidate)))
            .transpose()?;
        let name = match &upload {
            Some(upload) => upload.source.clone(),
            None => PackageName::new(candidate.as_str())?,
        };
        let admission = admit(context, &work, &name, upload.as_ref())?;
        show(context, args, &admission)?;
        all &= admission.decision.admitted;
    }
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Kind::Refused.exit_code())
    })
}

/// What somebody offers: a .changes file and the packages beside it.
pub(super) struct Upload {
    source: PackageName,
    version: Version,
    changes: Vec<u8>,
    files: Vec<(FileName, PathBuf)>,
}

impl Upload {
    fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, LARGEST_CHANGES)?;
        let changes = Changes::parse(&bytes)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut found = Vec::new();
        for (name, said) in &changes.files {
            let file = folder.join(name.as_str());
            if files::size(&file)? != said.size {
                let why = format!(
                    "`{}` has not the {} bytes that the .changes file says",
                    file.display(),
                    said.size
                );
                return Err(UsageError::Argument(why).into());
            }
            let is = Digest::of(&files::read(&file, LARGEST_PACKAGE)?);
            if is != *said {
                let why = format!("`{}` is {is}, and the .changes file says {said}", file.display());
                return Err(UsageError::Argument(why).into());
            }
            let package = [".deb", ".udeb", ".ddeb"]
                .iter()
                .any(|end| name.as_str().ends_with(end));
            if package {
                found.push((name.clone(), file));
            }
        }
        Ok(Self {
            source: changes.source,
            version: changes.source_version,
            changes: bytes,
            files: found,
        })
    }
}

fn admit(context: &Context, work: &Work, name: &PackageName, upload: Option<&Upload>) -> Result<Admission, Failure> {
    admit_declared(context, work, &work.declared(name)?, upload)
}

/// Decides on a declared source, and publishes what may.
pub(super) fn admit_declared(
    context: &Context,
    work: &Work,
    declared: &Declared,
    upload: Option<&Upload>,
) -> Result<Admission, Failure> {
    let name = &declared.declaration.source;
    if let Some(upload) = upload.filter(|upload| upload.version != declared.declaration.version) {
        let (offered, wanted) = (&upload.version, &declared.declaration.version);
        let why = format!("the .changes file is for {name} {offered}, and {wanted} is declared");
        return Err(UsageError::Argument(why).into());
    }
    let store = work.store.as_ref();
    let (lock, lock_sha256) = work.lock(name)?;
    let locks = BTreeMap::from([(lock_sha256, lock)]);
    let records = load_records(store, &work.archive, &declared.sha256, &declared.policy)?;
    for (sha256, why) in &records.unreadable {
        context
            .output
            .note(&format!("the record {sha256} counts for nothing: {why}"));
    }
    let bar = context.progress.waiting(&format!("deciding on {name}"));
    let (source, package) = derive_source(work, declared);
    for (_, bytes) in package.iter().flat_map(|package| &package.files) {
        hold(store, &work.archive, &Digest::of(bytes), &mut bytes.as_slice())?;
    }
    let source_files = package.map_or_else(|| declared.declaration.files.clone(), |package| source_files(&package));
    let proposal = Proposal {
        archive: &work.archive,
        suites: &declared.suites,
        policy_name: &declared.policy_name,
        policy: &declared.policy,
        declaration: &declared.declaration,
        source_files: &source_files,
        locks: &locks,
    };
    let mut candidate = propose(store, &proposal, &records.records)?;
    candidate.terms = declared.terms.clone();
    if let Some(upload) = upload {
        let changes = add_document(store, &work.archive, &upload.changes)?;
        candidate.offered = Offered::Upload { changes };
        for set in &mut candidate.sets {
            set.outputs = offered(work, upload)?;
        }
    }
    let evidence = gather(store, &candidate, &locks, &records, source)?;
    let (key, signer) = (
        work.site.ed25519_key(&work.site.config().gate)?,
        work.site.archive_key(&work.custom.signing_key)?,
    );
    let gate = work.gate(&key, &signer);
    let admission = publish::admit(&gate, &declared.policy, &candidate, &evidence, context.now());
    bar.finish();
    Ok(admission?)
}

/// What Git says now, and the source package that follows from it. That it says nothing, or
/// something else, is for the gate to judge.
fn derive_source(work: &Work, declared: &Declared) -> (Result<SourceEvidence, SourceFailure>, Option<SourcePackage>) {
    let declaration = &declared.declaration;
    let derive = || {
        let repository = source::fetch_declared(declaration, &work.git_cache())?;
        let keys = SourceKeys::load(&work.site.public_keys(), &declared.policy.signers)?;
        let (signed, derived, package) =
            source::derive(&repository, declaration, &work.signers(&declared.policy, &keys))?;
        Ok((SourceEvidence::new(&signed, derived), package))
    };
    match derive() {
        Ok((evidence, package)) => (Ok(evidence), Some(package)),
        Err(error) => {
            let error: SourceError = error;
            let rule = error.broken_rule().map(str::to_owned);
            (
                Err(SourceFailure {
                    rule,
                    why: error.to_string(),
                }),
                None,
            )
        }
    }
}

fn source_files(package: &SourcePackage) -> Vec<SourceFile> {
    let file = |(name, bytes): &(FileName, Vec<u8>)| SourceFile {
        name: name.clone(),
        digest: Digest::of(bytes),
    };
    package.files.iter().map(file).collect()
}

/// The offered files, held and inspected like those of rebuilders.
fn offered(work: &Work, upload: &Upload) -> Result<Vec<Output>, Failure> {
    let mut outputs = Vec::new();
    for (name, path) in &upload.files {
        let bytes = files::read(path, LARGEST_PACKAGE)?;
        let digest = Digest::of(&bytes);
        hold(work.store.as_ref(), &work.archive, &digest, &mut bytes.as_slice())?;
        outputs.push(inspect(
            work.store.as_ref(),
            &work.archive,
            name.clone(),
            digest.sha256,
        )?);
    }
    Ok(outputs)
}

fn show(context: &Context, args: &AdmitArgs, admission: &Admission) -> Result<(), Failure> {
    let decision = &admission.decision;
    if context.output.json {
        return context.output.record(&explain_json(decision), "");
    }
    let verdict = if decision.admitted { "admitted" } else { "refused" };
    let mut text = format!("{} {} {verdict}", decision.source, decision.version);
    if let Some(published) = &admission.published {
        text.push_str(&format!(" in {}@{}", published.archive, published.name));
    }
    if let Some(sha256) = admission.decision_sha256 {
        text.push_str(&format!(" by decision {sha256}"));
    }
    for rule in decision.rules.iter().filter(|rule| !rule.passed) {
        text.push_str(&format!("\n  {}: {}", rule.id, rule.evidence));
    }
    if args.explain {
        text.push('\n');
        text.push_str(&explain(decision));
    }
    context.output.record(&(), &text)
}
