//! `assay source`: check a declared source, or derive its source package.

use std::process::ExitCode;

use serde::Serialize;

use super::args::{SourceArgs, SourceVerb};
use super::context::Context;
use super::failure::Failure;
use super::work::Work;
use crate::domain::{Digest, FileName, Sha256};
use crate::host::files;

#[derive(Serialize)]
struct Checked<'a> {
    source: String,
    version: String,
    tree_sha256: Sha256,
    files: Vec<(&'a FileName, Digest)>,
}

pub(super) fn run(context: &Context, args: &SourceArgs) -> Result<ExitCode, Failure> {
    let (declared, output) = match &args.verb {
        SourceVerb::Verify(declared) => (declared, None),
        SourceVerb::Build { declared, output } => (declared, Some(output)),
    };
    let work = Work::open(context, declared.archive.as_ref())?;
    for name in &declared.names {
        let declared = work.declared(name)?;
        let bar = context.progress.waiting(&format!("deriving {name}"));
        let package = work.derive(&declared);
        bar.finish();
        let package = package?;
        let checked = Checked {
            source: name.to_string(),
            version: declared.declaration.version.to_string(),
            tree_sha256: package.tree_sha256(),
            files: package
                .files
                .iter()
                .map(|(name, bytes)| (name, Digest::of(bytes)))
                .collect(),
        };
        let mut text = format!("{name} {} tree-sha256 {}", checked.version, checked.tree_sha256);
        for (file, digest) in &checked.files {
            text.push_str(&format!("\n {} {} {file}", digest.sha256, digest.size));
        }
        context.output.record(&checked, &text)?;
        if let Some(folder) = output {
            for (file, bytes) in &package.files {
                files::write(&folder.join(file.as_str()), bytes)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
