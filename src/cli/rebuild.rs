//! `assay rebuild`: rebuild declared sources and sign what came out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::args::RebuildArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::planning::known_answers;
use super::work::{Declared, Work};
use crate::domain::{BuilderId, Sha256};
use crate::environment::{self, Lock};
use crate::format::intoto::Outcome;
use crate::format::json;
use crate::host::{TempFolder, files};
use crate::publish::{Desk, LARGEST_LINK, Taken, add_document, add_link, contrasts, load_records};
use crate::rebuild::{self, Finished, Job, Limits, RecordInput, Variation};
use crate::site::{Backend, Builder};
use crate::store::Key;
use crate::trust::{Ed25519Key, Ed25519Public};

#[derive(Serialize)]
struct Rebuilt<'a> {
    source: &'a str,
    builder: &'a BuilderId,
    outcome: Outcome,
    /// Why it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    record: Sha256,
    /// How many operators must still answer until the outputs are shown.
    sealed: usize,
    outputs: Vec<(String, Sha256)>,
    seconds: i64,
    /// The log of one that did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Sha256>,
}

#[derive(Serialize)]
struct Received {
    answer: String,
    record: Sha256,
    sealed: usize,
}

pub(super) fn run(context: &Context, args: &RebuildArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.declared.archive.as_ref())?;
    let mut all_built = true;
    let mut failed = 0_usize;
    let steps = if args.plan {
        environment::order(&environment::declared_sources(&work.site)?)?
    } else {
        Vec::new()
    };
    let backend = args.backend.unwrap_or(work.site.config().rebuild.backend);
    let mut planned = Vec::new();
    for name in &args.declared.names {
        let declared = work.declared(name)?;
        let (lock, lock_sha256) = work.lock(name)?;
        let one = Run {
            context,
            work: &work,
            declared: &declared,
            lock: &lock,
            lock_sha256: &lock_sha256,
            sealed: work.sealed(),
            backend,
        };
        if args.plan {
            let (lacking, failures) = one.lacking(args.again)?;
            failed = failed.saturating_add(failures);
            planned.extend(one.plan(&steps, args.issue, &lacking)?);
        } else if args.compare {
            all_built &= one.compare()?;
        } else if !args.links.is_empty() {
            for path in &args.links {
                let bytes = files::read(path, LARGEST_LINK)?;
                let kept = add_link(work.store.as_ref(), &work.archive, &declared.policy, &bytes)?;
                let link = path.display().to_string();
                context
                    .output
                    .record(&(&link, kept), &format!("{link} is about {kept} files"))?;
            }
        } else if !args.take.is_empty() {
            one.take(&args.take)?;
        } else if let (Some(nonce), Some(run), Some(output)) = (&args.nonce, args.run, &args.output) {
            let [(builder, key)] = <[_; 1]>::try_from(builders(&work, &declared, &args.builders)?)
                .map_err(|_| UsageError::Argument("a nonce is for one builder".to_owned()))?;
            let answered = one.answer(builder, &key, nonce, run, output)?;
            one.show(builder, &answered, 0, output)?;
            all_built &= answered.finished.outcome == Outcome::Built;
        } else if let Some(output) = &args.output {
            all_built &= one.only_build(output)? == Outcome::Built;
        } else {
            for (builder, key) in builders(&work, &declared, &args.builders)? {
                all_built &= one.rebuild(builder, &key)? == Outcome::Built;
            }
        }
    }
    if args.canaries > 0 {
        let known = known_answers(context, &work, &args.declared.names, &steps, &planned, args.canaries)?;
        planned.extend(known);
        // By chance, too: the place in the plan says nothing.
        planned.sort_by(|a, b| a.nonce.cmp(&b.nonce));
    }
    for job in &planned {
        context.output.record(job, &job.command)?;
    }
    // A build that fails is recorded, and is no reason for this verb to fail silently either.
    Ok(if all_built && !(failed > 0 && planned.is_empty()) {
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

/// One run of one builder. Gives how it ended.
pub(super) fn rebuild_with(
    context: &Context,
    work: &Work,
    declared: &Declared,
    (builder, key): (&Builder, &Ed25519Key),
) -> Result<Outcome, Failure> {
    let (lock, lock_sha256) = work.lock(&declared.declaration.source)?;
    let one = Run {
        context,
        work,
        declared,
        lock: &lock,
        lock_sha256: &lock_sha256,
        sealed: work.sealed(),
        backend: work.site.config().rebuild.backend,
    };
    one.rebuild(builder, key)
}

/// Rebuilds of one declared source in its environment.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) work: &'a Work,
    pub(super) declared: &'a Declared,
    pub(super) lock: &'a Lock,
    pub(super) lock_sha256: &'a Sha256,
    pub(super) sealed: PathBuf,
    pub(super) backend: Backend,
}

/// What one builder answers.
struct Answered {
    finished: Finished,
    record: Sha256,
}

impl Run<'_> {
    /// The gate's key, which closes rounds; absent where it is not at hand.
    fn gate_key(&self) -> Result<Option<Ed25519Key>, Failure> {
        let (site, gate) = (&self.work.site, &self.work.site.config().gate);
        let here = files::exists(&site.secret_key_path(gate));
        Ok(here.then(|| site.ed25519_key(gate)).transpose()?)
    }

    /// Hands an answer in.
    fn hand_in(&self, folder: &Path) -> Result<Taken, Failure> {
        let (gate, key) = (self.work.site.gate_public()?, self.gate_key()?);
        let desk = Desk {
            store: self.work.store.as_ref(),
            archive: &self.work.archive,
            policy: &self.declared.policy,
            suites: &self.declared.suites,
            declaration: self.declared.sha256,
            sealed: &self.sealed,
            gate: &gate,
            key: key.as_ref(),
            now: self.context.now(),
        };
        let taken = desk.take(folder)?;
        if let Taken::Bound { folder, .. } = &taken {
            let (source, folder) = (&self.declared.declaration.source, folder.display());
            self.context.output.note(&format!(
                "enough operators are bound, and the gate, whose key is not here, has to close the round\n  next: `assay rebuild {source} \
                 --take {folder}` where its key is"
            ));
        }
        Ok(taken)
    }

    /// Shows where outputs differ. Gives whether they are all the same.
    fn compare(&self) -> Result<bool, Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        let records = load_records(store, archive, &self.declared.sha256, &self.declared.policy)?;
        let work = self.work.site.cache().join("work");
        let found = contrasts(store, archive, &records, "diffoscope", &work)?;
        for contrast in &found {
            let ((one, _), (other, _)) = (&contrast.one, &contrast.other);
            let mut text = format!("{}: {one} and {other} differ", contrast.file);
            for difference in &contrast.differences {
                text.push_str(&format!("\n  {difference}"));
            }
            for cause in &contrast.causes {
                text.push_str(&format!("\n  likely cause: {cause}"));
            }
            if let Some(said) = &contrast.diffoscope {
                text.push_str(&format!("\n{said}"));
            }
            self.context.output.record(contrast, &text)?;
        }
        Ok(found.is_empty())
    }

    /// Takes what builders on other machines answered.
    fn take(&self, folders: &[PathBuf]) -> Result<(), Failure> {
        self.documents()?;
        for folder in folders {
            let taken = self.hand_in(folder)?;
            let (record, sealed) = (taken.record(), taken.missing());
            let answer = folder.display().to_string();
            let text = format!("{answer} record {record}{}", waiting(sealed));
            self.context
                .output
                .record(&Received { answer, record, sealed }, &text)?;
        }
        Ok(())
    }

    /// Asks itself, answers, and hands the answer in.
    fn rebuild(&self, builder: &Builder, key: &Ed25519Key) -> Result<Outcome, Failure> {
        let nonce = self.issue(builder)?;
        let run = self.run_of(&nonce)?;
        let temp = TempFolder::below(&self.work.site.cache().join("work"))?;
        let folder = temp.path().join("answer");
        let answered = self.answer(builder, key, &nonce, run, &folder)?;
        self.documents()?;
        let taken = self.hand_in(&folder)?;
        self.show(builder, &answered, taken.missing(), &folder)?;
        Ok(answered.finished.outcome)
    }

    /// Builds, and leaves the answer to a nonce in a folder. Writes nothing into the store.
    fn answer(
        &self,
        builder: &Builder,
        key: &Ed25519Key,
        nonce: &str,
        run: usize,
        folder: &Path,
    ) -> Result<Answered, Failure> {
        let (work, declared) = (self.work, self.declared);
        let declaration = &declared.declaration;
        let temp = TempFolder::below(&work.site.cache().join("work"))?;
        let (variation, limits, finished) = self.build(&builder.id.to_string(), run, temp.path())?;
        let input = RecordInput {
            declaration,
            declaration_sha256: &declared.sha256,
            lock: self.lock,
            lock_sha256: self.lock_sha256,
            variation: &variation,
            limits: &limits,
            backend: self.backend,
            nonce,
            builder: &builder.id,
            finished: &finished,
        };
        let record = rebuild::write_answer(folder, &input, key)?;
        Ok(Answered { finished, record })
    }

    /// Builds for somebody who signs by other means: what came out goes into a new folder, and nothing else.
    fn only_build(&self, output: &Path) -> Result<Outcome, Failure> {
        let temp = TempFolder::below(&self.work.site.cache().join("work"))?;
        let (_, _, finished) = self.build("without a record", 0, temp.path())?;
        files::create_folder(output)?;
        for file in finished.outputs.iter().chain(&finished.byproducts) {
            files::copy(&file.path, &output.join(file.name.as_str()))?;
            let (name, sha256) = (file.name.to_string(), file.digest.sha256);
            let text = format!("{sha256} {name}");
            self.context.output.record(&(name, sha256), &text)?;
        }
        if let Some(reason) = &finished.reason {
            let log = finished
                .byproducts
                .iter()
                .find(|file| file.name.as_str().ends_with(".log"));
            for line in log
                .map(|log| rebuild::log_tail(&log.path))
                .transpose()?
                .iter()
                .flatten()
            {
                self.context.output.note(&format!("  | {line}"));
            }
            self.context.output.note(reason);
        }
        Ok(finished.outcome)
    }

    fn build(&self, who: &str, run: usize, folder: &Path) -> Result<(Variation, Limits, Finished), Failure> {
        let (work, declared) = (self.work, self.declared);
        let declaration = &declared.declaration;
        let variation = Variation::of_run(run, &declared.policy.vary);
        let (variation, limits) = variation.fitting(self.backend, &Limits::default())?;
        let package = work.derive_to_build(declared)?;
        let chroot = super::env::locked_chroot(self.context, work, self.lock)?;
        let waiting = format!("{who} rebuilds {}", declaration.source);
        let bar = self.context.progress.waiting(&waiting);
        let finished = rebuild::run(&Job {
            source: &declaration.source,
            version: &declaration.version,
            files: &package.files,
            chroot_tar: &chroot,
            chroot_sha256: &self.lock.chroot.tar_sha256,
            cache: &work.site.cache().join("chroots"),
            variation: &variation,
            limits: &limits,
            backend: self.backend,
            work: folder,
            clock: self.context.clock,
        });
        bar.finish();
        Ok((variation, limits, finished?))
    }

    /// Declaration and lock first: a record never names what is not there.
    fn documents(&self) -> Result<(), Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        add_document(store, archive, &self.declared.declaration.canonical()?)?;
        add_document(store, archive, &json::canonical("environment lock", self.lock)?)?;
        Ok(())
    }

    /// Says how it ended, from the folder of the answer; of one that did not succeed, also the end of its log.
    fn show(&self, builder: &Builder, answered: &Answered, sealed: usize, folder: &Path) -> Result<(), Failure> {
        let source = self.declared.declaration.source.as_str();
        let finished = &answered.finished;
        let name = |o: &rebuild::Produced| (o.name.to_string(), o.digest.sha256);
        let mut byproducts = finished.byproducts.iter();
        let log = byproducts.find(|file| file.name.as_str().ends_with(".log"));
        let log = log.filter(|_| finished.outcome != Outcome::Built);
        let rebuilt = Rebuilt {
            source,
            builder: &builder.id,
            outcome: finished.outcome,
            reason: finished.reason.as_deref(),
            record: answered.record,
            sealed,
            outputs: finished.outputs.iter().map(name).collect(),
            seconds: finished.ended.since(finished.started),
            log: log.map(|log| log.digest.sha256),
        };
        let outcome = match (finished.outcome, finished.outcome.limit()) {
            (Outcome::Built, _) => "built".to_owned(),
            (_, Some(limit)) => format!("ran out of {limit},"),
            (_, None) => "failed".to_owned(),
        };
        let mut text = format!(
            "{source} {} {outcome} record {}{}",
            builder.id,
            answered.record,
            waiting(sealed)
        );
        for (name, sha256) in &rebuilt.outputs {
            text.push_str(&format!("\n {sha256} {name}"));
        }
        self.context.output.record(&rebuilt, &text)?;
        if let Some(log) = log {
            let tail = rebuild::log_tail(&folder.join(log.name.as_str()))?;
            let place = match folder.starts_with(self.work.site.cache()) {
                true => format!(
                    "`{}` in the store",
                    Key::provenance(&self.work.archive, &log.digest.sha256)
                ),
                false => format!("`{}`", folder.join(log.name.as_str()).display()),
            };
            self.context
                .output
                .note(&failed(finished, &tail, &place, source, &builder.id));
        }
        Ok(())
    }
}

/// What somebody needs who has to mend a build that did not succeed.
fn failed(finished: &Finished, tail: &[String], place: &str, source: &str, builder: &BuilderId) -> String {
    let mut text = format!("the last {} lines of the log:", tail.len());
    for line in tail {
        text.push_str(&format!("\n  | {line}"));
    }
    if let Some(reason) = &finished.reason {
        text.push_str(&format!("\nthe build did not succeed: {reason}"));
    }
    text.push_str(&format!(
        "\nthe whole log is {place}\n  next: mend the source, tag it anew and declare that; if it was the machine's fault, \
         `assay rebuild {source} --builder {builder}` builds once more, with other variations"
    ));
    text
}

fn waiting(sealed: usize) -> String {
    match sealed {
        0 => String::new(),
        1 => ", sealed until 1 more operator has answered".to_owned(),
        n => format!(", sealed until {n} more operators have answered"),
    }
}
