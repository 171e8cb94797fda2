//! `assay admit`: decide, and publish what may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use super::args::AdmitArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::incoming;
use super::work::{Declared, Work};
use crate::admission::{Candidate, Evidence, SourceEvidence, SourceFailure, decide, explain, explain_json};
use crate::domain::{Digest, FileName, Kind, PackageName, escape};
use crate::format::intoto::ImportBinding;
use crate::publish::{
    self, Admission, Desk, Hearing, Journal, Observation, Offer, Proposal, Upload, gather, hold, load_links,
    load_records, load_redeclared, propose,
};
use crate::source::{self, SourceError, SourceFile, SourceKeys, SourcePackage};

pub(super) fn run(context: &Context, args: &AdmitArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    let _working = context.writing(&work.store, &work.archive, "admit")?;
    if let Some(from) = &args.import.from {
        return Ok(exit(super::import::run(context, &work, args, from)?));
    }
    let mut all = true;
    if let Some(folder) = &args.incoming {
        all &= incoming::run(context, &work, args, folder.as_deref())?;
    }
    for candidate in &args.candidates {
        let upload = candidate
            .ends_with(".changes")
            .then(|| read(Path::new(candidate)))
            .transpose()?;
        let name = match &upload {
            Some(upload) => upload.source.clone(),
            None => PackageName::new(candidate.as_str())?,
        };
        let admission = admit(context, &work, &name, upload.as_ref())?;
        show(context, args, &admission)?;
        if args.explain && !context.output.json {
            for seen in observed(&work, &name, &admission)? {
                context.output.record(&(), &format!("weak ok       {seen}"))?;
            }
        }
        all &= admission.decision.admitted;
    }
    Ok(exit(all))
}

/// How it ends when all were admitted, or not.
fn exit(all: bool) -> ExitCode {
    match all {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(Kind::Refused.exit_code()),
    }
}

/// An upload that somebody named, whole.
fn read(path: &Path) -> Result<Upload, Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let upload = Upload::read(folder.unwrap_or(Path::new(".")), &FileName::new(name)?)?;
    upload.check()?;
    Ok(upload)
}

fn admit(context: &Context, work: &Work, name: &PackageName, upload: Option<&Upload>) -> Result<Admission, Failure> {
    let declared = work.declared(name)?;
    if let Some(why) = upload.and_then(|upload| undeclared(upload, &declared)) {
        return Err(UsageError::Argument(why).into());
    }
    if let Some(upload) = upload {
        upload.check_brought(&declared.declaration)?;
    }
    if upload.is_some()
        && let Some(why) = waits(context, work, &declared)?
    {
        return Err(UsageError::NotFound(format!("the upload of `{name}` waits for rebuilds: {why}")).into());
    }
    let offer = upload
        .map(|upload| upload.hold(work.store.as_ref(), &work.archive, &declared.declaration))
        .transpose()?;
    admit_declared(context, work, &declared, offer.as_ref())
}

/// What an upload waits for. Until enough operators are bound to what they got, and a decision can be made on
/// it, nothing of the upload is held or kept: all that is in the store can be read, and whoever rebuilds could
/// copy the hashes that are expected.
pub(super) fn waits(context: &Context, work: &Work, declared: &Declared) -> Result<Option<String>, Failure> {
    let (candidate, evidence) = prepare(context, work, declared, None)?;
    let decision = decide(&declared.policy, &candidate, &evidence, context.now());
    if decision.admitted {
        return Ok(None);
    }
    let (_, lock) = work.lock(&declared.declaration.source)?;
    if declared.policy.blind_rebuilds && !evidence.rounds.iter().any(|round| round.lock == lock) {
        return Ok(Some("too few operators have committed to what they got".to_owned()));
    }
    let first = decision
        .broken()
        .next()
        .map(|rule| format!("{}: {}", rule.id, rule.evidence));
    Ok(first.filter(|_| decision.waits_for_rebuilds()))
}

/// Why an upload is not of what is declared.
pub(super) fn undeclared(upload: &Upload, declared: &Declared) -> Option<String> {
    let (source, offered, wanted) = (&upload.source, &upload.version, &declared.declaration.version);
    (offered != wanted).then(|| format!("the .changes file is for {source} {offered}, and {wanted} is declared"))
}

/// Decides on a declared source, and publishes what may.
pub(super) fn admit_declared(
    context: &Context,
    work: &Work,
    declared: &Declared,
    offer: Option<&Offer>,
) -> Result<Admission, Failure> {
    let (candidate, evidence) = prepare(context, work, declared, offer)?;
    carry_out(context, work, declared, &candidate, &evidence)
}

/// Decides, and publishes what may.
pub(super) fn carry_out(
    context: &Context,
    work: &Work,
    declared: &Declared,
    candidate: &Candidate,
    evidence: &Evidence,
) -> Result<Admission, Failure> {
    let (key, signer) = (
        work.site.ed25519_key(&work.site.config().gate)?,
        work.archive_signers()?,
    );
    let gate = work.gate(&key, &signer);
    Ok(publish::admit(
        &gate,
        &declared.policy,
        candidate,
        evidence,
        context.now(),
    )?)
}

/// What is offered of a declared source, and what is known of it.
pub(super) fn prepare(
    context: &Context,
    work: &Work,
    declared: &Declared,
    offer: Option<&Offer>,
) -> Result<(Candidate, Evidence), Failure> {
    let name = &declared.declaration.source;
    let store = work.store.as_ref();
    let (lock, lock_sha256) = work.lock(name)?;
    let locks = BTreeMap::from([(lock_sha256, lock)]);
    let key = work.site.ed25519_key(&work.site.config().gate)?;
    let desk = Desk {
        store,
        archive: &work.archive,
        policy: &declared.policy,
        suites: &declared.declaration.suites,
        declaration: declared.sha256,
        sealed: &work.sealed(),
        gate: &key.public(),
        key: Some(&key),
        now: context.now(),
    };
    let hearing = Hearing {
        store,
        archive: &work.archive,
        key: &key,
        journal: Some(Journal(&work.decided)),
    };
    let back = hearing.recall(&declared.declaration)?;
    context
        .output
        .put_back(&work.archive, back, "evidence, as earlier decisions name it");
    desk.show_all()?;
    let mut records = load_records(store, &work.archive, &declared.sha256, &declared.policy)?;
    records.redeclared = load_redeclared(store, &work.archive, &declared.declaration, &declared.policy)?;
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
    if let Some(offer) = offer {
        offer.put_into(&mut candidate);
    }
    let known = (&work.site.mirrors(), &key.public());
    let evidence = gather(store, &candidate, &locks, &records, source, known)?;
    bar.finish();
    Ok((candidate, evidence))
}

/// What Git says now, and the source package that follows from it. That it says nothing, or
/// something else, is for the gate to judge.
fn derive_source(work: &Work, declared: &Declared) -> (Result<SourceEvidence, SourceFailure>, Option<SourcePackage>) {
    let declaration = &declared.declaration;
    let derive = || {
        let repository = work.fetch_declared(declaration)?;
        let keys = SourceKeys::load(&work.site.public_keys(), &declared.policy.signers)?;
        let signers = work.signers(&declared.policy, &keys);
        let (signed, derived, package) =
            work.with_files(|files| source::derive(&repository, declaration, &signers, files))?;
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

/// What workers of rebuilderd say of these files: for people, counted by nothing.
fn observed(work: &Work, name: &PackageName, admission: &Admission) -> Result<BTreeSet<Observation>, Failure> {
    let policy = work.declared(name)?.policy;
    let files = admission.decision.files.values().copied().collect();
    Ok(load_links(work.store.as_ref(), &work.archive, &policy, &files)?)
}

pub(super) fn show(context: &Context, args: &AdmitArgs, admission: &Admission) -> Result<(), Failure> {
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
    if let Some(import) = &decision.import {
        text.push_str(&format!("\n  {}", imported(import)));
    }
    for rule in decision.rules.iter().filter(|rule| !rule.passed) {
        text.push_str(&format!("\n  {}: {}", rule.id, rule.evidence));
    }
    let a7 = decision.rules.iter().find(|rule| rule.id == "A7" && rule.passed);
    let exceptions = a7.filter(|rule| !rule.evidence.starts_with("not applicable"));
    text.extend(exceptions.map(|rule| format!("\n  {}", rule.evidence)));
    if args.explain {
        text.push('\n');
        text.push_str(&explain(decision));
    }
    context.output.record(&(), &text)
}

/// What an import stands on, in one line.
pub(super) fn imported(import: &ImportBinding) -> String {
    let (archive, snapshot, suite) = (&import.archive, &import.snapshot, &import.suite);
    let (reason, by, signers) = (
        escape(&import.reason),
        escape(&import.asked_by),
        match import.signers.as_slice() {
            [] => "nobody whom the policy names".to_owned(),
            signers => signers.join(", "),
        },
    );
    format!("imported from {archive}@{snapshot} ({suite}), signed by {signers}, not rebuilt; {by}: {reason}")
}
