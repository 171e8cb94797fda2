//! `assay env diff`: whether two environments are alike.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::work::{Unframed, Work};
use crate::domain::{ArchiveName, Kind, PackageName};
use crate::environment::{Difference, Likeness, Side, compare};
use crate::host::files;

/// Compare two environments: identical, similar or different
///
/// Each is a file (an environment lock, a `.buildinfo`, dpkg's status file, what `dpkg-query -W` prints, a
/// build manifest) or the name of a declared source, for its lock. Identical: one lock. Similar: the same
/// packages by name, version, architecture and SHA-256, the same variables and build path. Prints each
/// difference, and what one of them does not say (`unsaid`); the last line is the verdict. Exit 0:
/// identical, 7: similar, 8: different, 6: nothing differs, and not everything is said.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay env diff hello old/hello.lock\n  assay env diff hello hello_2.10-3_amd64.buildinfo\n  assay env diff hello /var/lib/dpkg/status --json"
)]
pub(super) struct EnvDiffArgs {
    /// The first
    #[arg(value_name = "FILE|NAME")]
    a: String,
    /// The second
    #[arg(value_name = "FILE|NAME")]
    b: String,
    /// The custom archive of a name [default: the only one]
    #[arg(long)]
    archive: Option<ArchiveName>,
}

pub(super) fn run(context: &Context, args: &EnvDiffArgs) -> Result<ExitCode, Failure> {
    let compared = compare(&side(context, args, &args.a)?, &side(context, args, &args.b)?);
    for one in &compared.differences {
        context.output.record(one, &text(one))?;
    }
    let word = compared.likeness.as_str();
    let value = serde_json::json!({ "verdict": word, "a": args.a, "b": args.b });
    context
        .output
        .record(&value, &format!("{word} {} {}", args.a, args.b))?;
    Ok(ExitCode::from(match compared.likeness {
        Likeness::Identical => 0,
        Likeness::Similar => 7,
        Likeness::Different => 8,
        Likeness::Unknown => Kind::Unknown.exit_code(),
    }))
}

fn text(one: &Difference) -> String {
    let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    match one.kind {
        "unsaid" => format!("unsaid {}", one.what),
        kind => format!("{kind} {} {} {}", one.what, dash(&one.a), dash(&one.b)),
    }
}

fn side(context: &Context, args: &EnvDiffArgs, named: &str) -> Result<Side, Failure> {
    let path = Path::new(named);
    match PackageName::new(named) {
        Ok(name) if !files::exists(path) => {
            let (lock, _) = Work::open(context, args.archive.as_ref())?.lock(&name)?;
            Ok(Side::of_lock(&lock)?)
        }
        _ => Ok(Side::read(&Unframed::read(path)?.text)?),
    }
}
