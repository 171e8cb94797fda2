//! `assay why`: the chain behind a package, a file or a hash.

use std::path::Path;
use std::process::ExitCode;

use super::args::WhyArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::{Kind, PackageName, Sha256};
use crate::host::files;
use crate::verify::{Anchors, Git, Proof, Subject, find, why};

/// The largest file that is hashed whole, in bytes.
const LARGEST: u64 = 4 << 30;

pub(super) fn run(context: &Context, args: &WhyArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store_if_any(&site)?;
    let anchors = Anchors::from_site(&site)?;
    let subject = subject(&args.what)?;
    let findings = find(store.as_ref(), &anchors, &subject);
    if findings.found.is_empty() && findings.unread.is_empty() {
        let why = format!("no newest snapshot of this site lists `{}`", args.what);
        let next = "`assay unreproduced` lists what is declared and not in, `assay suite list` what each suite has; `assay source-of --all` also answers \
                    from decisions of before";
        return Err(UsageError::Unknown { why, next }.into());
    }
    let (cache, keys) = (site.cache().join("git"), site.public_keys());
    let git = (!args.offline).then_some(Git {
        moved: &site.config().moved_git,
        cache: &cache,
        keys: &keys,
    });
    let mut worst = Proof::Proven;
    for found in &findings.found {
        let chain = why(store.as_ref(), &anchors, found, git, context.now());
        worst = worst.max(chain.proof());
        let mut lines = vec![format!(
            "{} {} {} in {}/{}\n  {}  {}",
            chain.package, chain.version, chain.architecture, chain.archive, chain.suite, chain.sha256, chain.file
        )];
        for hop in &chain.hops {
            let mark = mark(hop.proof);
            lines.push(format!("  {mark}  {:11} {}", hop.hop, hop.evidence));
        }
        context.output.record(&chain, &lines.join("\n"))?;
    }
    for problem in &findings.unread {
        worst = worst.max(problem.proof());
        let text = format!("{} {}: {}", problem.code, problem.object, problem.why);
        context.output.record(problem, &text)?;
    }
    Ok(exit_code(worst))
}

/// How a proof is shown, always as wide.
pub(super) fn mark(proof: Proof) -> &'static str {
    match proof {
        Proof::Proven => "proven ",
        Proof::Unknown => "unknown",
        Proof::Refuted => "REFUTED",
    }
}

/// How a verb ends that checked something.
pub(super) fn exit_code(proof: Proof) -> ExitCode {
    ExitCode::from(match proof {
        Proof::Proven => 0,
        Proof::Refuted => Kind::Verification.exit_code(),
        Proof::Unknown => Kind::Unknown.exit_code(),
    })
}

/// A hash, a file that is there, or a package name.
pub(super) fn subject(text: &str) -> Result<Subject, Failure> {
    if let Ok(sha256) = text.parse::<Sha256>() {
        return Ok(Subject::File(sha256));
    }
    let path = Path::new(text);
    if text.contains('/') || files::exists(path) {
        return Ok(Subject::File(Sha256::of(&files::read(path, LARGEST)?)));
    }
    Ok(Subject::Package(PackageName::new(text)?))
}
