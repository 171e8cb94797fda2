//! `assay admit --incoming`: every upload in a folder is admitted, refused with its reason, or waits.

use std::path::Path;

use serde::Serialize;

use super::admit::{carry_out, prepare, show, undeclared, waits};
use super::args::AdmitArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::Work;
use crate::admission::{decide, explain};
use crate::domain::{Coded as _, FileName};
use crate::publish::{Incoming, Upload, UploadError};

/// What becomes of an upload.
enum Fate {
    Admitted,
    /// What its reason file says.
    Refused(String),
    /// For what.
    Waits(String),
}

#[derive(Serialize)]
struct Listed<'a> {
    upload: &'a str,
    fate: &'static str,
    why: String,
}

/// Whether nothing was refused.
pub(super) fn run(context: &Context, work: &Work, args: &AdmitArgs, folder: Option<&Path>) -> Result<bool, Failure> {
    let configured = work
        .custom
        .incoming
        .as_ref()
        .map(|folder| work.site.root().join(folder));
    let Some(folder) = folder.map(Path::to_owned).or(configured) else {
        let why = format!("`repos/{}.toml` has no `incoming`: name the folder", work.archive);
        return Err(UsageError::Argument(why).into());
    };
    let mut incoming = Incoming::look(&folder)?;
    for name in &incoming.strange {
        let why = "no file of an archive could have that name".to_owned();
        say(context, name, "ignored", why)?;
    }
    let (mut all, mut failed) = (true, None);
    for name in incoming.changes.clone() {
        let (fate, why) = match one(context, work, args, &mut incoming, &name) {
            Ok(Fate::Admitted) => ("admitted", String::new()),
            Ok(Fate::Waits(why)) => ("waits", why),
            Ok(Fate::Refused(why)) => {
                all = false;
                ("refused", why)
            }
            // It stays where it is. What ails one is no reason to keep the others waiting.
            Err(failure) => {
                let why = format!("{}: {}", failure.code(), failure.cause());
                failed.get_or_insert(failure);
                ("failed", why)
            }
        };
        say(context, name.as_str(), fate, why)?;
    }
    failed.map_or(Ok(all), Err)
}

fn say(context: &Context, upload: &str, fate: &'static str, why: String) -> Result<(), Failure> {
    let text = if why.is_empty() {
        format!("{upload} {fate}")
    } else {
        format!("{upload} {fate}: {why}")
    };
    context.output.record(&Listed { upload, fate, why }, &text)
}

/// Works through one upload, and takes it away or leaves it there.
fn one(
    context: &Context,
    work: &Work,
    args: &AdmitArgs,
    incoming: &mut Incoming,
    name: &FileName,
) -> Result<Fate, Failure> {
    let fate = match upload(context, work, args, incoming, name) {
        Ok(fate) => fate,
        Err(Stopped::Upload(error)) if error.is_its_own() => {
            let idle = incoming.idle(name, context.now());
            let overdue = args.patience == 0 || idle >= i64::from(args.patience);
            match incoming.contested(name).filter(|_| error.may_be_unfinished()) {
                Some(contested) => Fate::Refused(in_words(&contested)),
                None if error.may_be_unfinished() && !overdue => Fate::Waits(error.to_string()),
                None => Fate::Refused(in_words(&error)),
            }
        }
        Err(Stopped::Upload(error)) => return Err(error.into()),
        Err(Stopped::Verb(failure)) => return Err(failure),
    };
    Ok(match fate {
        Fate::Admitted => {
            incoming.done(name)?;
            Fate::Admitted
        }
        Fate::Waits(why) => Fate::Waits(why),
        Fate::Refused(reason) => {
            let place = incoming.refuse(name, &format!("{}\n", reason.trim_end()))?;
            let first = reason.lines().next().unwrap_or_default();
            Fate::Refused(format!("{first} ({})", place.display()))
        }
    })
}

/// What the reason file says of what no gate decided on.
fn in_words(error: &UploadError) -> String {
    let next = error.hint().map(|hint| format!("\nnext: {hint}"));
    format!("{}: {error}{}", error.code(), next.unwrap_or_default())
}

/// Why an upload was not decided on.
enum Stopped {
    Upload(UploadError),
    Verb(Failure),
}

impl From<UploadError> for Stopped {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Verb(failure)
    }
}

fn upload(
    context: &Context,
    work: &Work,
    args: &AdmitArgs,
    incoming: &Incoming,
    name: &FileName,
) -> Result<Fate, Stopped> {
    let upload = Upload::read(incoming.folder(), name)?;
    upload.check()?;
    let declared = match work.declared(&upload.source) {
        Ok(declared) => declared,
        Err(failure) if failure.code() == "E-CLI-005" => return Ok(Fate::Refused(failure.cause())),
        Err(failure) => return Err(failure.into()),
    };
    if let Some(why) = undeclared(&upload, &declared) {
        return Ok(Fate::Refused(why));
    }
    upload.check_brought(&declared.declaration)?;
    match waits(context, work, &declared) {
        Ok(None) => {}
        Ok(Some(why)) => return Ok(Fate::Waits(why)),
        // Nobody has locked its environment yet: that is no reason to stop at it.
        Err(failure) if failure.code() == "E-CLI-006" => return Ok(Fate::Waits(failure.cause())),
        Err(failure) => return Err(failure.into()),
    }
    let offer = upload.hold(work.store.as_ref(), &work.archive, &declared.declaration)?;
    let (candidate, evidence) = prepare(context, work, &declared, Some(&offer))?;
    let decision = decide(&declared.policy, &candidate, &evidence, context.now());
    if decision.waits_for_rebuilds() {
        let first = decision
            .broken()
            .next()
            .map(|rule| format!("{}: {}", rule.id, rule.evidence));
        return Ok(Fate::Waits(first.unwrap_or_default()));
    }
    let admission = carry_out(context, work, &declared, &candidate, &evidence)?;
    show(context, args, &admission)?;
    if admission.decision.admitted {
        return Ok(Fate::Admitted);
    }
    let decision = admission.decision_sha256.map(|sha256| format!("\ndecision {sha256}\n"));
    Ok(Fate::Refused(format!(
        "{}{}",
        explain(&admission.decision),
        decision.unwrap_or_default()
    )))
}
