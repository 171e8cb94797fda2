//! `assay verify`: recheck the whole store.

use std::process::ExitCode;

use super::args::VerifyArgs;
use super::context::Context;
use super::failure::Failure;
use crate::domain::Kind;
use crate::store::open_store;
use crate::verify::{Anchors, verify};

pub(super) fn run(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let anchors = Anchors::from_site(&site)?;
    let store = match &args.store {
        Some(store) => open_store(store, &context.environment.current_folder()?)?,
        None => context.store(&site)?,
    };
    let report = verify(store.as_ref(), &anchors, context.now(), &context.progress)?;
    for problem in &report.problems {
        let mut text = format!("{} {}: {}", problem.code, problem.object, problem.why);
        if !problem.also.is_empty() {
            text.push_str(&format!(" (the same object as {})", problem.also.join(", ")));
        }
        if !context.output.json {
            context.output.record(problem, &text)?;
        }
    }
    let text = format!(
        "{}: {} snapshots, {} signed Release files, {} packages and sources, {} objects, {} bytes",
        if report.problems.is_empty() {
            "verified".to_owned()
        } else {
            format!("{} problems", report.problems.len())
        },
        report.snapshots,
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
