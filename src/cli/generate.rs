//! `assay generate`: completions and man pages, from the same definitions as the parser.

use std::process::ExitCode;

use super::args::{GenerateArgs, GenerateVerb, command};
use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::host::files;

pub(super) fn run(context: &Context, args: &GenerateArgs) -> Result<ExitCode, Failure> {
    match &args.what {
        GenerateVerb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(), "assay", &mut script);
            context.output.file(&script)?;
        }
        GenerateVerb::Man { folder } => {
            let top = command();
            write_page(folder, &top, "assay")?;
            for verb in top.get_subcommands() {
                let name = format!("assay-{}", verb.get_name());
                write_page(folder, verb, &name)?;
                for inner in verb.get_subcommands() {
                    write_page(folder, inner, &format!("{name}-{}", inner.get_name()))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_page(folder: &std::path::Path, command: &clap::Command, name: &str) -> Result<(), Failure> {
    let mut page = Vec::new();
    let titled = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(titled)
        .render(&mut page)
        .map_err(UsageError::Output)?;
    Ok(files::write(&folder.join(format!("{name}.1")), &page)?)
}
