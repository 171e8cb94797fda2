//! `assay admit`: decide, and publish what may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::AdmitArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::{Declared, Work};
use crate::admission::{Offered, OutputSet, SourceEvidence, SourceFailure, explain, explain_json};
use crate::domain::{Digest, FileName, Kind, PackageName, Sha256};
use crate::environment::Lock;
use crate::format::changes::Changes;
use crate::host::files;
use crate::publish::{self, Admission, Gate, Proposal, add_document, gather, hold, inspect, load_records, propose};
use crate::source::{self, SourceFile, SourcePackage};

/// The largest .changes file and the largest package that are read, in bytes.
const LARGEST_CHANGES: u64 = 1 << 20;
const LARGEST_PACKAGE: u64 = 2 << 30;

pub(super) fn run(context: &Context, args: &AdmitArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    let mut all = true;
    for candidate in &args.candidates {
        let upload = candidate.ends_with(".changes").then(|| Upload::read(Path::new(candidate))).transpose()?;
        let name = match &upload {
            Some(upload) => upload.source.clone(),
            None => PackageName::new(candidate.as_str())?,
        };
        let admission = admit(context, &work, &name, upload.as_ref())?;
        show(context, args, &work, &admission)?;
        all &= admission.decision.admitted;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(Kind::Refused.exit_code()) })
}

/// What somebody offers: a .changes file and the packages beside it.
struct Upload {
    source: PackageName,
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
            let is = Digest::of(&files::read(&file, LARGEST_PACKAGE)?);
            if is != *said {
                let why = format!("`{}` is {is}, and the .changes file says {said}", file.display());
                return Err(UsageError::Argument(why).into());
            }
            let package = [".deb", ".udeb", ".ddeb"].iter().any(|end| name.as_str().ends_with(end));
            if package {
                found.push((name.clone(), file));
            }
        }
        Ok(Self { source: changes.source, changes: bytes, files: found })
    }
}

fn admit(context: &Context, work: &Work, name: &PackageName, upload: Option<&Upload>) -> Result<Admission, Failure> {
    let declared = work.declared(name)?;
    let store = work.store.as_ref();
    let (lock, lock_sha256) = work.lock(name)?;
    let locks = BTreeMap::from([(lock_sha256, lock)]);
    let records = load_records(store, &work.archive, &declared.sha256, &declared.policy)?;
    for (sha256, why) in &records.unreadable {
        context.output.note(&format!("the record {sha256} counts for nothing: {why}"));
    }
    let bar = context.progress.waiting(&format!("deciding on {name}"));
    let (source, package) = derive(work, &declared);
    let source_files = package.map_or_else(|| declared.declaration.files.clone(), |package| source_files(&package));
    let proposal = Proposal {
        archive: &work.archive,
        suites: &declared.declaration.suites,
        policy_name: &declared.policy_name,
        policy: &declared.policy,
        declaration: &declared.declaration,
        source_files: &source_files,
        locks: &locks,
    };
    hold_sources(work, &source, &declared)?;
    let mut candidate = propose(store, &proposal, &records.records)?;
    if let Some(upload) = upload {
        candidate.offered = Offered::Upload { changes: add_document(store, &work.archive, &upload.changes)? };
        candidate.sets = vec![offered(work, upload, lock_sha256, locks.get(&lock_sha256))?];
    }
    let evidence = gather(store, &candidate, &locks, &records, source)?;
    let admission = publish::admit(
        &Gate {
            store,
            archive: &work.archive,
            config: &work.custom,
            public_url: &work.site.config().public_url,
            key: &work.site.ed25519_key(&work.site.config().gate)?,
            signer: &work.site.archive_key(&work.custom.signing_key)?,
            program: concat!("assay ", env!("CARGO_PKG_VERSION")),
        },
        &declared.policy,
        &candidate,
        &evidence,
        context.now(),
    );
    bar.finish();
    Ok(admission?)
}
