//! `assay verify`: recheck the whole store.

use std::process::ExitCode;

use super::args::{Against, VerifyArgs};
use super::context::{Context, named_or_all};
use super::failure::{Failure, UsageError};
use super::work::Work;
use crate::domain::Kind;
use crate::site::{ArchiveConfig, Site};
use crate::store::open_store_to_read;
use crate::verify::{Anchors, Problem, verify, verify_against_upstream};

pub(super) fn run(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let anchors = Anchors::from_site(&site)?;
    let store = match &args.store {
        Some(store) => open_store_to_read(store, &context.environment.current_folder()?)?,
        None => context.store_to_read(&site)?,
    };
    let mut report = match args.against {
        Some(Against::Upstream) => verify_against_upstream(store.as_ref(), &anchors, &context.progress)?,
        None => verify(store.as_ref(), &anchors, context.now(), &context.progress)?,
    };
    // Where a record is damaged, nothing can be said of what it holds.
    if args.against.is_none() && report.problems.is_empty() {
        report.problems.extend(super::lock::problems(&site, store.as_ref())?);
    }
    if args.git {
        report.problems.extend(sources(context, &site)?);
    }
    if report.snapshots == 0 && report.tags == 0 && report.problems.is_empty() {
        let nothing =
            "there is nothing to verify: the store has no snapshot or tag of the archives that were asked for";
        return Err(UsageError::NotFound(nothing.to_owned()).into());
    }
    problems(context, &report.problems)?;
    let text = format!(
        "{}: {} snapshots, {} tags, {} partial suites, {} signed Release files, {} packages and sources, {} objects, {} bytes",
        if report.problems.is_empty() {
            "verified".to_owned()
        } else {
            format!("{} problems", report.problems.len())
        },
        report.snapshots,
        report.tags,
        report.partial_suites,
        report.releases,
        report.packages,
        report.objects,
        report.bytes
    );
    context.output.record(&report, &text)?;
    let code = if report.problems.is_empty() {
        0
    } else {
        Kind::Verification.exit_code()
    };
    Ok(ExitCode::from(code))
}

/// One line for each problem; as JSON they are part of the report.
pub(super) fn problems(context: &Context, problems: &[Problem]) -> Result<(), Failure> {
    for problem in problems.iter().filter(|_| !context.output.json) {
        let mut text = format!("{} {}: {}", problem.code, problem.object, problem.why);
        if !problem.also.is_empty() {
            text.push_str(&format!(" (the same object as {})", problem.also.join(", ")));
        }
        context.output.record(problem, &text)?;
    }
    Ok(())
}

/// Derives every declared source from its Git repository again.
fn sources(context: &Context, site: &Site) -> Result<Vec<Problem>, Failure> {
    let mut problems = Vec::new();
    for archive in named_or_all(site, &[], |archive| matches!(archive, ArchiveConfig::Custom(_)))? {
        let work = Work::open(context, Some(&archive))?;
        for name in site.declared(&archive)? {
            let derived = work.declared(&name).and_then(|declared| work.derive(&declared));
            if let Err(failure) = derived {
                let object = format!("repos/{archive}/{name}.toml");
                problems.push(Problem::new(Problem::SOURCE, object, failure.cause()));
            }
        }
    }
    Ok(problems)
}
