//! `assay fsck`: what is damaged or missing.

use std::process::ExitCode;

use super::args::FsckArgs;
use super::context::{Context, named_or_all};
use super::failure::Failure;
use super::verify::problems;
use crate::domain::Kind;
use crate::verify::{Anchors, fsck};

pub(super) fn run(context: &Context, args: &FsckArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let named = named_or_all(&site, &args.archives, |_| true)?;
    let mut anchors = Anchors::from_site(&site)?;
    anchors.archives.retain(|anchor| named.contains(&anchor.name));
    let report = fsck(
        context.store_to_read(&site)?.as_ref(),
        &anchors,
        context.now(),
        &context.progress,
    )?;
    problems(context, &report.problems)?;
    let outcome = match report.problems.len() {
        0 => "whole".to_owned(),
        count => format!("{count} problems"),
    };
    let text = format!("{outcome}: {} objects, {} bytes", report.objects, report.bytes);
    context.output.record(&report, &text)?;
    Ok(match report.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(Kind::Verification.exit_code()),
    })
}
