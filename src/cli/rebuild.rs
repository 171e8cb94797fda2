//! `assay rebuild`: rebuild declared sources and sign what came out.

use std::process::ExitCode;

use serde::Serialize;

use super::args::RebuildArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::{Declared, Work};
use crate::admission::{IssuedNonce, RecordEvidence};
use crate::domain::{BuilderId, Sha256};
use crate::environment::{self, Lock, SourceName, Step};
use crate::format::dsse::IN_TOTO;
use crate::format::intoto::Outcome;
use crate::format::json;
use crate::host::{TempFolder, files};
use crate::publish::{add_document, add_record, hold, issue_nonce, load_nonces, load_records};
use crate::rebuild::{self, Finished, Job, Limits, RecordInput, Variation};
use crate::site::Builder;
use crate::trust::{Ed25519Key, Ed25519Public, sign_envelope};

/// How long an answer to a nonce is waited for, beyond the build's own limit: seconds.
const GRACE: i64 = 3600;
/// The largest log that is kept, in bytes.
const LARGEST_LOG: u64 = 1 << 30;

#[derive(Serialize)]
struct Planned<'a> {
    source: &'a str,
    version: String,
    archive: String,
    declaration: Sha256,
    lock: Sha256,
    builder: &'a BuilderId,
    /// Sources that must be admitted before, since this one is built with their packages.
    after: &'a [SourceName],
    command: String,
}

#[derive(Serialize)]
struct Rebuilt<'a> {
    source: &'a str,
    builder: &'a BuilderId,
    outcome: Outcome,
    record: Sha256,
    outputs: Vec<(String, Sha256)>,
    seconds: i64,
}

pub(super) fn run(context: &Context, args: &RebuildArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.declared.archive.as_ref())?;
    let mut all_built = true;
    let steps = if args.plan {
        environment::order(&environment::declared_sources(&work.site)?)?
    } else {
        Vec::new()
    };
    for name in &args.declared.names {
        let declared = work.declared(name)?;
        let (_, lock_sha256) = work.lock(name)?;
        let found = load_records(work.store.as_ref(), &work.archive, &declared.sha256, &declared.policy)?;
        for (sha256, why) in &found.unreadable {
            context
                .output
                .note(&format!("the record {sha256} counts for nothing: {why}"));
        }
        let records = found.records;
        if args.plan {
            let own = |step: &&Step| step.name.archive == work.archive && step.name.source == *name;
            let after = steps.iter().find(own).map_or(&[][..], |step| &step.after);
            plan(context, &work, &declared, after, &lock_sha256, &records)?;
            continue;
        }
        let chosen = builders(&work, &declared, &args.builders)?;
        for (run, (builder, key)) in (records.len()..).zip(chosen) {
            all_built &= rebuild_with(context, &work, &declared, (builder, &key), run)? == Outcome::Built;
        }
    }
    // A build that fails is recorded, and is no reason for this verb to fail silently either.
    Ok(if all_built {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The builders that were named, or all whose secret key is here.
pub(super) fn builders<'a>(
    work: &Work,
    declared: &'a Declared,
    named: &[BuilderId],
) -> Result<Vec<(&'a Builder, Ed25519Key)>, Failure> {
    let mut found = Vec::new();
    for id in named {
        if !declared.policy.builders.iter().any(|b| b.id == *id) {
            let policy = &declared.policy_name;
            return Err(UsageError::Argument(format!("the policy `{policy}` has no builder `{id}`")).into());
        }
    }
    for builder in &declared.policy.builders {
        let fingerprint = Ed25519Public::parse(&builder.public_key)?.fingerprint();
        let here = files::exists(&work.site.secret_key_path(&fingerprint));
        let wanted = if named.is_empty() {
            here
        } else {
            named.contains(&builder.id)
        };
        if wanted {
            found.push((builder, work.site.ed25519_key(&fingerprint)?));
        }
    }
    if found.is_empty() {
        let why = format!(
            "no builder of the policy `{}` has its secret key here",
            declared.policy_name
        );
        return Err(UsageError::NoBuilder(why).into());
    }
    Ok(found)
}

/// One run of one builder, whose number tells how it differs from others. Gives how it ended.
pub(super) fn rebuild_with(
    context: &Context,
    work: &Work,
    declared: &Declared,
    (builder, key): (&Builder, &Ed25519Key),
    run: usize,
) -> Result<Outcome, Failure> {
    let (lock, lock_sha256) = work.lock(&declared.declaration.source)?;
    let one = Run {
        work,
        declared,
        lock: &lock,
        lock_sha256: &lock_sha256,
        variation: Variation::of_run(run, &declared.policy.vary).fitting(&Limits::default())?,
    };
    one.rebuild(context, builder, key)
}

/// What the policy still lacks: one job for each builder without a record in this environment.
fn plan(
    context: &Context,
    work: &Work,
    declared: &Declared,
    after: &[SourceName],
    lock: &Sha256,
    records: &[RecordEvidence],
) -> Result<(), Failure> {
    let source = declared.declaration.source.as_str();
    let answered = |id: &BuilderId| {
        records
            .iter()
            .any(|record| record.builder == *id && record.lock == *lock)
    };
    for builder in declared
        .policy
        .builders
        .iter()
        .filter(|b| b.revoked_at.is_none() && !answered(&b.id))
    {
        let job = Planned {
            source,
            version: declared.declaration.version.to_string(),
            archive: work.archive.to_string(),
            declaration: declared.sha256,
            lock: *lock,
            builder: &builder.id,
            after,
            command: format!(
                "assay rebuild {source} --archive {} --builder {}",
                work.archive, builder.id
            ),
        };
        context.output.record(&job, &job.command)?;
    }
    Ok(())
}

/// One run of one builder.
struct Run<'a> {
    work: &'a Work,
    declared: &'a Declared,
    lock: &'a Lock,
    lock_sha256: &'a Sha256,
    variation: Variation,
}

impl Run<'_> {
    fn rebuild(&self, context: &Context, builder: &Builder, key: &Ed25519Key) -> Result<Outcome, Failure> {
        let (work, declaration) = (self.work, &self.declared.declaration);
        let package = work.derive(self.declared)?;
        let chroot = super::env::locked_chroot(context, work, self.lock)?;
        let limits = Limits::default();
        let nonce = self.issue(context, builder, &limits)?;

        let temp = TempFolder::below(&work.site.cache().join("work"))?;
        let bar = context
            .progress
            .waiting(&format!("{} rebuilds {}", builder.id, declaration.source));
        let finished = rebuild::run(&Job {
            source: &declaration.source,
            version: &declaration.version,
            files: &package.files,
            chroot_tar: &chroot,
            chroot_sha256: &self.lock.chroot.tar_sha256,
            cache: &work.site.cache().join("chroots"),
            variation: &self.variation,
            limits: &limits,
            work: temp.path(),
            clock: context.clock,
        });
        bar.finish();
        let finished = finished?;
        let record = self.keep(builder, key, &nonce, &limits, &finished)?;
        self.show(context, builder, record, &finished)?;
        Ok(finished.outcome)
    }

    /// A nonce of the gate; that of a run of this builder which was killed is answered now, for the gate
    /// waits for every answer.
    fn issue(&self, context: &Context, builder: &Builder, limits: &Limits) -> Result<String, Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        let declared = self.declared;
        let records = load_records(store, archive, &declared.sha256, &declared.policy)?.records;
        let needed = i64::try_from(limits.seconds).unwrap_or(GRACE);
        let unanswered = |nonce: &IssuedNonce| {
            nonce.builder == builder.id
                && nonce.lock == *self.lock_sha256
                && nonce.answer_by >= context.now().plus(needed)
                && declared.terms.fresh_since.is_none_or(|since| nonce.issued_at >= since)
                && !records.iter().any(|record| record.nonce == nonce.nonce)
        };
        if let Some(left) = load_nonces(store, archive, &declared.sha256)?
            .into_iter()
            .find(unanswered)
        {
            return Ok(left.nonce);
        }
        let patience = i64::try_from(limits.seconds).unwrap_or(GRACE).saturating_add(GRACE);
        let (declaration, lock) = (self.declared.sha256, *self.lock_sha256);
        Ok(issue_nonce(store, archive, declaration, lock, &builder.id, context.now(), patience)?.nonce)
    }

    /// Declaration and lock first: a record never names what is not there.
    fn keep(
        &self,
        builder: &Builder,
        key: &Ed25519Key,
        nonce: &str,
        limits: &Limits,
        finished: &Finished,
    ) -> Result<Sha256, Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        add_document(store, archive, &self.declared.declaration.canonical()?)?;
        add_document(store, archive, &json::canonical("environment lock", self.lock)?)?;
        for file in &finished.outputs {
            hold(store, archive, &file.digest, &mut files::open(&file.path)?)?;
        }
        for file in &finished.byproducts {
            add_document(store, archive, &files::read(&file.path, LARGEST_LOG)?)?;
        }
        let statement = rebuild::statement(&RecordInput {
            declaration: &self.declared.declaration,
            declaration_sha256: &self.declared.sha256,
            lock: self.lock,
            lock_sha256: self.lock_sha256,
            variation: &self.variation,
            limits,
            nonce,
            builder: &builder.id,
            finished,
        })?;
        let envelope = sign_envelope(IN_TOTO, &json::canonical("rebuild record", &statement)?, key);
        Ok(add_record(
            store,
            archive,
            &self.declared.sha256,
            &envelope.to_bytes()?,
        )?)
    }

    fn show(&self, context: &Context, builder: &Builder, record: Sha256, finished: &Finished) -> Result<(), Failure> {
        let source = self.declared.declaration.source.as_str();
        let rebuilt = Rebuilt {
            source,
            builder: &builder.id,
            outcome: finished.outcome,
            record,
            outputs: finished
                .outputs
                .iter()
                .map(|o| (o.name.to_string(), o.digest.sha256))
                .collect(),
            seconds: finished.ended.since(finished.started),
        };
        let outcome = match (finished.outcome, finished.outcome.limit()) {
            (Outcome::Built, _) => "built".to_owned(),
            (_, Some(limit)) => format!("ran out of {limit},"),
            (_, None) => "failed".to_owned(),
        };
        let mut text = format!("{source} {} {outcome} record {record}", builder.id);
        for (name, sha256) in &rebuilt.outputs {
            text.push_str(&format!("\n {sha256} {name}"));
        }
        context.output.record(&rebuilt, &text)?;
        if finished.outcome != Outcome::Built {
            let log = finished
                .byproducts
                .iter()
                .find(|file| file.name.as_str().ends_with(".log"));
            if let Some(log) = log {
                let key = crate::store::Key::provenance(&self.work.archive, &log.digest.sha256);
                context
                    .output
                    .note(&format!("the build did not succeed; its log is `{key}` in the store"));
            }
        }
        Ok(())
    }
}
