//! `assay rebuild --plan`: the jobs that the policy still lacks, and the nonces that they answer.

use std::collections::BTreeSet;

use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::rebuild::Run;
use super::work::Work;
use crate::admission::{IssuedNonce, RecordEvidence, Unvaried};
use crate::domain::{BuilderId, PackageName, Sha256};
use crate::environment::{SourceName, Step};
use crate::format::intoto::Outcome;
use crate::host::files;
use crate::publish::{Fresh, Said, canaries, issue_nonce, load_nonces, load_records, note_declared, run_of, said};
use crate::rebuild::Limits;
use crate::site::Builder;
use crate::store::Key;

/// How long an answer to a nonce is waited for, beyond the build's own limit: seconds.
const GRACE: i64 = 3600;

#[derive(Serialize)]
pub(super) struct Planned {
    source: String,
    version: String,
    archive: String,
    declaration: Sha256,
    lock: Sha256,
    builder: BuilderId,
    /// Sources that must be admitted before, since this one is built with their packages.
    after: Vec<SourceName>,
    /// What this job answers, when `--issue` asked for it; without, the job issues one itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<String>,
    /// Which run it is: each varies other things.
    run: usize,
    pub(super) command: String,
}

/// A build that did not succeed, and is not planned again by itself. No job: so it is not among them.
#[derive(Serialize)]
struct NotAgain<'a> {
    source: &'a str,
    builder: &'a BuilderId,
    outcome: Outcome,
    record: Sha256,
    log: Option<Sha256>,
    again: String,
}

/// Builds that were all made with the same of something, so that the gate refuses them. No job: what is planned for it is.
#[derive(Serialize)]
struct TooMuchAlike<'a> {
    source: &'a str,
    rule: &'static str,
    same: String,
}

/// Jobs for the builders of a plan whose answers the gate knows: of sources that were admitted (rule R9).
pub(super) fn known_answers(
    context: &Context,
    work: &Work,
    asked: &[PackageName],
    steps: &[Step],
    planned: &[Planned],
    count: usize,
) -> Result<Vec<Planned>, Failure> {
    let mut locked = Vec::new();
    for name in work.site.declared(&work.archive)? {
        if !asked.contains(&name) && files::exists(&work.site.lock_path(&work.archive, &name)) {
            locked.push((work.declared(&name)?, work.lock(&name)?));
        }
    }
    let builders: BTreeSet<&BuilderId> = planned.iter().map(|job| &job.builder).collect();
    let mut jobs = Vec::new();
    for id in builders {
        let known = locked.iter().map(|one| (one, &one.0.declaration, one.1.1)).collect();
        for (declared, (lock, lock_sha256)) in canaries(work.store.as_ref(), &work.archive, known, count)? {
            let one = Run {
                context,
                work,
                declared,
                lock,
                lock_sha256,
                sealed: work.sealed(),
                backend: work.site.config().rebuild.backend,
            };
            let builder = declared.policy.builders.iter().filter(|builder| builder.id == *id);
            jobs.extend(one.plan(steps, true, &builder.collect::<Vec<_>>())?);
        }
    }
    Ok(jobs)
}

impl Run<'_> {
    /// The builders that were not asked, or did not answer, or have to build once more since all was built alike; with `again` also
    /// those whose build did not succeed, which are said else, and counted.
    pub(super) fn lacking(&self, again: bool) -> Result<(Vec<&Builder>, usize), Failure> {
        let (work, declared) = (self.work, self.declared);
        let store = work.store.as_ref();
        let found = load_records(store, &work.archive, &declared.sha256, &declared.policy)?;
        for (sha256, why) in &found.unreadable {
            let note = format!("the record {sha256} counts for nothing: {why}");
            self.context.output.note(&note);
        }
        let nonces = load_nonces(store, &work.archive, &declared.sha256)?;
        let fresh = Fresh::of(declared.terms.fresh_since, &declared.policy, &declared.suites, work.now);
        let terms = declared.policy.terms(&declared.suites);
        let (mut lacking, mut failures, mut same) = (Vec::new(), 0_usize, None);
        for (builder, said) in said(&declared.policy, &terms, &found, &nonces, self.lock_sha256, fresh) {
            match said {
                Said::Built => {}
                Said::Alike(what) => {
                    same = Some(what);
                    lacking.push(builder);
                }
                Said::Failed(record) if !again => {
                    self.say_failed(record)?;
                    failures = failures.saturating_add(1);
                }
                Said::Nothing | Said::Failed(_) => lacking.push(builder),
            }
        }
        if let Some(same) = same {
            self.say_alike(same)?;
        }
        Ok((lacking, failures))
    }

    /// On standard error, as what failed.
    fn say_alike(&self, same: Unvaried) -> Result<(), Failure> {
        let source = self.declared.declaration.source.as_str();
        let text = format!(
            "{source}: all rebuilds had the same {same}, which the gate refuses (rule E5): each builder has to build it once more, as another run"
        );
        let value = TooMuchAlike {
            source,
            rule: "E5",
            same: same.to_string(),
        };
        self.context.output.aside(&value, &text)
    }

    /// On standard error: job engines read standard output, and this is no job.
    fn say_failed(&self, record: &RecordEvidence) -> Result<(), Failure> {
        let source = self.declared.declaration.source.as_str();
        let archive = &self.work.archive;
        let why = match record.outcome.limit() {
            Some(limit) => format!("ran out of {limit}"),
            None => "failed".to_owned(),
        };
        let again = format!("assay rebuild {source} --archive {archive} --plan --again");
        let mut text = format!(
            "{source}: the build of `{}` {why} at {}: record {}",
            record.builder, record.finished_on, record.sha256
        );
        if let Some(log) = &record.log {
            text.push_str(&format!(
                "; its log is `{}` in the store",
                Key::provenance(archive, log)
            ));
        }
        text.push_str(&format!(
            "\n  next: mend the source and declare it again; if it was the machine's fault, `{again}` plans another run, \
             with a nonce and variations of its own"
        ));
        let value = NotAgain {
            source,
            builder: &record.builder,
            outcome: record.outcome,
            record: record.sha256,
            log: record.log,
            again,
        };
        self.context.output.aside(&value, &text)
    }

    /// One job for each of these builders.
    pub(super) fn plan(&self, steps: &[Step], issue: bool, builders: &[&Builder]) -> Result<Vec<Planned>, Failure> {
        let (work, declared) = (self.work, self.declared);
        let source = &declared.declaration.source;
        let own = |step: &&Step| step.name.archive == work.archive && step.name.source == *source;
        let after = steps.iter().find(own).map_or(&[][..], |step| &step.after);
        let mut next = load_nonces(work.store.as_ref(), &work.archive, &declared.sha256)?.len();
        let mut jobs = Vec::new();
        for builder in builders {
            let nonce = if issue { Some(self.issue(builder)?) } else { None };
            let run = match &nonce {
                Some(nonce) => self.run_of(nonce)?,
                None => next,
            };
            let mut command = format!(
                "assay rebuild {source} --archive {} --builder {}",
                work.archive, builder.id
            );
            if let Some(nonce) = &nonce {
                command.push_str(&format!(
                    " --nonce {nonce} --run {run} --output answer-{}",
                    short(nonce)
                ));
            }
            jobs.push(Planned {
                source: source.to_string(),
                version: declared.declaration.version.to_string(),
                archive: work.archive.to_string(),
                declaration: declared.sha256,
                lock: *self.lock_sha256,
                builder: builder.id.clone(),
                after: after.to_vec(),
                nonce,
                run,
                command,
            });
            next = next.saturating_add(1);
        }
        Ok(jobs)
    }

    /// A nonce of the gate; that of a run of this builder which was killed is answered now, for the gate
    /// waits for every answer.
    pub(super) fn issue(&self, builder: &Builder) -> Result<String, Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        let (declared, now) = (self.declared, self.context.now());
        note_declared(store, archive, &declared.declaration)?;
        let found = load_records(store, archive, &declared.sha256, &declared.policy)?;
        let seconds = i64::try_from(Limits::default().seconds).unwrap_or(GRACE);
        let answered = |nonce: &str| {
            found.records.iter().any(|record| record.nonce == nonce)
                || found.commitments.iter().any(|c| c.nonce == nonce)
        };
        let unanswered = |nonce: &IssuedNonce| {
            nonce.builder == builder.id
                && nonce.lock == *self.lock_sha256
                && nonce.answer_by >= now.plus(seconds)
                && declared.terms.fresh_since.is_none_or(|since| nonce.issued_at >= since)
                && !answered(&nonce.nonce)
        };
        let issued = load_nonces(store, archive, &declared.sha256)?;
        if let Some(left) = issued.into_iter().find(unanswered) {
            return Ok(left.nonce);
        }
        let patience = seconds.saturating_add(GRACE);
        let about = (self.declared.sha256, *self.lock_sha256);
        let builders = &declared.policy.builders;
        let place = builders.iter().position(|one| one.id == builder.id).unwrap_or_default();
        let whom = (&builder.id, (place, builders.len()));
        Ok(issue_nonce(store, archive, about, whom, now, patience)?.nonce)
    }

    /// Which run a nonce is for, counted from 0: each varies other things than the one before.
    pub(super) fn run_of(&self, nonce: &str) -> Result<usize, Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        Ok(run_of(&load_nonces(store, archive, &self.declared.sha256)?, nonce))
    }
}

fn short(nonce: &str) -> String {
    nonce.chars().take(12).collect()
}
