//! `assay source`: check a declared source, or derive its source package.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::args::{SourceArgs, SourceVerb};
use super::context::Context;
use super::failure::Failure;
use super::work::Work;
use crate::domain::{ArchiveName, Digest, FileName, Sha256};
use crate::host::files;
use crate::publish::hold;

/// The largest tarball that is kept, in bytes.
const LARGEST: u64 = 1 << 30;

#[derive(Serialize)]
struct Checked<'a> {
    source: String,
    version: String,
    tree_sha256: Sha256,
    files: Vec<(&'a FileName, Digest)>,
}

#[derive(Serialize)]
struct Added {
    file: String,
    #[serde(flatten)]
    digest: Digest,
}

/// Keeps files by their hash. Writing them again changes nothing.
fn add(context: &Context, paths: &[PathBuf], archive: Option<&ArchiveName>) -> Result<ExitCode, Failure> {
    let work = Work::open(context, archive)?;
    let _working = context.writing(&work.store, &work.archive, "source add-file")?;
    for path in paths {
        let bytes = files::read(path, LARGEST)?;
        let digest = Digest::of(&bytes);
        hold(work.store.as_ref(), &work.archive, &digest, &mut bytes.as_slice())?;
        let file = path.display().to_string();
        let text = format!("{} {} {file}", digest.sha256, digest.size);
        context.output.record(&Added { file, digest }, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(context: &Context, args: &SourceArgs) -> Result<ExitCode, Failure> {
    let (declared, output) = match &args.verb {
        SourceVerb::AddFile { files, archive } => return add(context, files, archive.as_ref()),
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
