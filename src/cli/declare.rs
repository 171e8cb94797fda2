//! `assay declare`: from a signed tag or commit to a declaration.

use std::path::Path;
use std::process::ExitCode;

use super::args::DeclareArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::Work;
use crate::admission::{Lineage, Previous, too_few_successors, unauthorised};
use crate::domain::{Fingerprint, GitRef};
use crate::host::files;
use crate::publish::load_lineage;
use crate::site::Policy;
use crate::snapshot::Chain;
use crate::source::{self, Base, Declaration, DeclaredSigner, OrigMethod, Request, WantedOrig};

pub(super) fn run(context: &Context, args: &DeclareArgs) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    let suites = match (args.suites.is_empty(), work.custom.suites.first()) {
        (false, _) => args.suites.clone(),
        // For the suite of whichever branch has the declaration.
        (true, _) if work.custom.branches.is_some() => Vec::new(),
        (true, Some(first)) => vec![first.name.clone()],
        (true, None) => Vec::new(),
    };
    let component = args
        .component
        .clone()
        .or_else(|| work.custom.components.first().cloned());
    let component = component.ok_or_else(|| UsageError::Argument("the archive has no component".into()))?;
    let (_, policy) = work.policy_of(&suites)?;
    let cache = work.git_cache();
    let reference = match &args.reference {
        Some(reference) => reference.clone(),
        None => source::main_branch(&args.git, &cache)?,
    };
    let orig = wanted_orig(args);
    let mut refs: Vec<GitRef> = std::iter::once(&reference).chain(&args.upstream).cloned().collect();
    if args.pristine_tar {
        refs.push(source::pristine_branch()?);
    }
    let repository = source::fetch(&args.git, &refs, &cache)?;
    let keys = work.source_keys(&policy)?;
    let signers = work.signers(&policy, &keys);
    let signed = source::verify_signed(&repository, &reference, args.commit.as_ref(), &signers)?;
    let mut request = Request {
        git: source::address(&args.git)?,
        suites,
        component,
        subfolder: args.subfolder.clone(),
        upstream: args.upstream.clone(),
        orig,
        pristine_commit: None,
        base: base(&work, args)?,
        supersedes: None,
        authorised_threshold: None,
        authorised: Vec::new(),
    };
    let (mut declaration, package) =
        work.with_files(|files| source::declare(&repository, &request, &signed, &signers, files))?;
    let lineage = follow(&work, args, &policy, &declaration, &mut request)?;
    request.says_who_follows(&mut declaration);
    let path = work.site.declaration_path(&work.archive, &declaration.source);
    if let Some(before) = elsewhere(&path, &declaration) {
        return stays(context, &before, &declaration.git);
    }
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
    if let Some(difference) = declaration.orig.as_ref().and_then(|orig| orig.difference.as_ref()) {
        context.output.note(&format!(
            "the upstream tarball is not the tree of the upstream tag: {difference}; rule S7 asks for an exception in the policy"
        ));
    }
    if let Some(base) = declaration.below_base() {
        context.output.note(&format!(
            "its version is below that of its base, {base}: who has the base's packages will not be offered these\n  next: give \
             `debian/changelog` a version above {base}, and tag that"
        ));
    }
    let keys = signed.signatures.iter().map(|signature| &signature.signer);
    if let Some(why) = unauthorised(&lineage, declaration.supersedes, &policy, keys) {
        context.output.note(&format!(
            "rule S10 will refuse it: {why}\n  next: let one of those sign a new tag, and declare that; or ask for an exception in the policy"
        ));
    }
    context.output.note(&format!(
        "wrote {}; next: commit it, then `assay env lock {}`",
        path.display(),
        declaration.source
    ));
    Ok(ExitCode::SUCCESS)
}

/// What is declared already, when it states the same from another place: it would be another declaration, and nothing that was rebuilt
/// and decided would be about it.
fn elsewhere(path: &Path, declaration: &Declaration) -> Option<Declaration> {
    let written = Declaration::load(path).ok()?;
    (written.git != declaration.git && written.states_the_same(declaration)).then_some(written)
}

fn stays(context: &Context, written: &Declaration, url: &str) -> Result<ExitCode, Failure> {
    let (source, version, git) = (&written.source, &written.version, &written.git);
    let text = format!(
        "{source} {version} {} is declared already, from {git}",
        written.git_commit
    );
    context.output.record(written, &text)?;
    context.output.note(&format!(
        "nothing is written: where a source is fetched from is no part of what was rebuilt and decided\n  next: to fetch it from there \
         from now on, write into assay.toml:\n    [moved-git]\n    \"{git}\" = \"{url}\""
    ));
    Ok(ExitCode::SUCCESS)
}

fn wanted_orig(args: &DeclareArgs) -> Option<WantedOrig> {
    let method = match (args.pristine_tar, args.orig_sha256) {
        (true, _) => OrigMethod::PristineTar,
        (false, Some(_)) => OrigMethod::File,
        (false, None) => return None,
    };
    Some(WantedOrig {
        method,
        sha256: args.orig_sha256,
    })
}

/// The source package that `--base` and `--dsc` name.
fn base(work: &Work, args: &DeclareArgs) -> Result<Option<Base>, Failure> {
    let (Some(snapshot), Some(dsc)) = (&args.base, &args.dsc) else {
        return Ok(None);
    };
    let found = work.with_files(|files| files.find_base(&snapshot.archive, &snapshot.name, dsc));
    Ok(Some(found?))
}

/// What the declaration says of the one before, which names who may sign this one, and of the one after; gives what it is judged by:
/// nothing when it is the one that was admitted last.
fn follow(
    work: &Work,
    args: &DeclareArgs,
    policy: &Policy,
    declaration: &Declaration,
    request: &mut Request,
) -> Result<Lineage, Failure> {
    let chain = Chain::load(work.store.as_ref(), &work.archive)?;
    let lineage = load_lineage(
        work.store.as_ref(),
        &work.archive,
        &declaration.source,
        None,
        chain.latest(),
    )?;
    if let Some(previous) = &lineage.newest {
        if let Some(same) = unchanged(work, args, declaration, previous) {
            *request = Request::of(&same);
            return Ok(Lineage::default());
        }
        request.supersedes = Some(previous.declaration);
        if !args.authorise_by_policy {
            request.authorised.clone_from(&previous.authorised);
            request.authorised_threshold = previous.threshold;
        }
    }
    if !args.authorise.is_empty() {
        let signers = args.authorise.iter().map(|key| signer(policy, key));
        request.authorised = signers.collect::<Result<_, _>>()?;
    }
    request.authorised_threshold = args.authorise_threshold.or(request.authorised_threshold);
    if let Some(shortage) = too_few_successors(
        policy,
        &declaration.source,
        &request.authorised,
        request.authorised_threshold,
    ) {
        return Err(UsageError::Argument(shortage).into());
    }
    Ok(lineage)
}

/// The declaration that is written already, when it is the one that was admitted last and says the same:
/// what is declared again is no successor of itself.
fn unchanged(work: &Work, args: &DeclareArgs, found: &Declaration, previous: &Previous) -> Option<Declaration> {
    let written = Declaration::load(&work.site.declaration_path(&work.archive, &found.source)).ok()?;
    let mut same = found.clone();
    Request::of(&written).says_who_follows(&mut same);
    let asked = args.authorise_by_policy || args.authorise_threshold.is_some() || !args.authorise.is_empty();
    (!asked && same == written && written.identity().ok()? == previous.declaration).then_some(written)
}

fn signer(policy: &Policy, key: &Fingerprint) -> Result<DeclaredSigner, UsageError> {
    let found = policy.signers.iter().find(|signer| signer.fingerprint == *key);
    let found = found.ok_or_else(|| UsageError::Argument(format!("the policy does not know the signer {key}")))?;
    Ok(DeclaredSigner {
        scheme: found.scheme,
        fingerprint: found.fingerprint.clone(),
    })
}
