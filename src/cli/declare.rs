//! `assay declare`: from a signed tag or commit to a declaration.

use std::process::ExitCode;

use super::args::DeclareArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::Work;
use crate::domain::GitRef;
use crate::host::files;
use crate::source::{self, Request};

pub(super) fn run(context: &Context, args: &DeclareArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    let suites = match (args.suites.is_empty(), work.custom.suites.first()) {
        (false, _) => args.suites.clone(),
        (true, Some(first)) => vec![first.name.clone()],
        (true, None) => Vec::new(),
    };
    let component = args
        .component
        .clone()
        .or_else(|| work.custom.components.first().cloned());
    let component = component.ok_or_else(|| UsageError::Argument("the archive has no component".into()))?;
    let policy_name = work
        .custom
        .suites
        .iter()
        .find(|s| suites.contains(&s.name))
        .map(|s| s.policy.clone());
    let policy_name =
        policy_name.ok_or_else(|| UsageError::Argument(format!("the archive `{}` has no such suite", work.archive)))?;
    let policy = work.site.policy(&policy_name)?;

    let cache = work.git_cache();
    let reference = match &args.reference {
        Some(reference) => reference.clone(),
        None => source::main_branch(&args.git, &cache)?,
    };
    let refs: Vec<GitRef> = std::iter::once(&reference).chain(&args.upstream).cloned().collect();
    let repository = source::fetch(&args.git, &refs, &cache)?;
    let keys = work.source_keys(&policy)?;
    let signers = work.signers(&policy, &keys);
    let signed = source::verify_signed(&repository, &reference, args.commit.as_ref(), &signers)?;
    let request = Request {
        git: args.git.clone(),
        suites,
        component,
        subfolder: args.subfolder.clone(),
        upstream: args.upstream.clone(),
        supersedes: None,
        authorised_threshold: None,
        authorised: Vec::new(),
    };
    let (declaration, package) = source::declare(&repository, &request, &signed, &signers)?;
    work.policy_of(&declaration)?;
    let path = work.site.declaration_path(&work.archive, &declaration.source);
    files::write(&path, declaration.to_toml()?.as_bytes())?;

    let signers: Vec<String> = declaration.signers.iter().map(|s| s.fingerprint.to_string()).collect();
    let text = format!(
        "{} {} {} tree-sha256 {} signed by {}",
        declaration.source,
        declaration.version,
        declaration.git_commit,
        package.tree_sha256(),
        signers.join(", ")
    );
    context.output.record(&declaration, &text)?;
    context.output.note(&format!(
        "wrote {}; next: commit it, then `assay env lock {}`",
        path.display(),
        declaration.source
    ));
    Ok(ExitCode::SUCCESS)
}
