//! The command line: one file per verb; text, progress, exit codes; no logic.
//!
//! Owns what is printed and which exit code a failure gives (DESIGN §10, §11). What a script would
//! read goes to standard output, one record a line; everything else goes to standard error.

mod args;
mod attach;
mod context;
mod failure;
mod output;

mod admit;
mod checkout;
mod decisions;
mod declare;
mod defined;
mod diff;
mod env;
mod env_diff;
mod env_lock;
mod env_recreate;
mod fsck;
mod gc;
mod generate;
mod import;
mod import_repository;
mod include;
mod incoming;
mod init;
mod keep;
mod key;
mod lint;
mod lock;
mod manifest;
mod mirror;
mod planning;
mod prepare;
mod publish;
mod query;
mod rebuild;
mod renew;
mod serve;
mod snapshot;
mod source;
mod sources;
mod status;
mod suite;
mod tag;
mod taking;
mod verify;
mod why;
mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

pub use args::command;

use args::{Arguments, Verb};
use context::Context;
use failure::{Failure, UsageError};

use crate::host::Environment;

/// Parses the arguments of the process, runs the verb, prints how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let given = Environment.arguments();
    let arguments = match Arguments::try_parse_from(&given) {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(&error, &given),
    };
    start_log(arguments.verbose);
    let json = arguments.json;
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version, or what is wrong with the arguments: as JSON when they ask for it all the same.
fn not_parsed(error: &clap::Error, given: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let failure = Failure::from(UsageError::syntax(error));
    let mut options = given.iter().take_while(|argument| *argument != "--");
    if options.any(|argument| argument == "--json") {
        failure.print(true);
    } else {
        let _ = error.print();
    }
    ExitCode::from(failure.exit_code())
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let context = Context::new(&arguments)?;
    match arguments.verb {
        Verb::Init(args) => init::run(&context, &args),
        Verb::Mirror(args) => mirror::run(&context, &args),
        Verb::Snapshot(args) => snapshot::run(&context, &args),
        Verb::Tag(args) => tag::run(&context, &args),
        Verb::Declare(args) => declare::run(&context, &args),
        Verb::Source(args) => source::run(&context, &args),
        Verb::Env(args) => env::run(&context, &args),
        Verb::Rebuild(args) => rebuild::run(&context, &args),
        Verb::Admit(args) => admit::run(&context, &args),
        Verb::Import(args) => import_repository::run(&context, &args),
        Verb::Include(args) => include::run(&context, &args),
        Verb::Remove(args) => include::remove(&context, &args),
        Verb::Decisions(args) => decisions::run(&context, &args),
        Verb::Manifest(args) => manifest::run(&context, &args),
        Verb::Suite(args) => suite::run(&context, &args),
        Verb::Lock(args) => lock::run(&context, &args),
        Verb::Prepare(args) => prepare::run(&context, &args),
        Verb::Publish(args) => publish::run(&context, &args),
        Verb::Sources(args) => sources::run(&context, &args),
        Verb::Freeze(args) => checkout::freeze(&context, &args),
        Verb::Thaw(args) => checkout::thaw(&context, &args),
        Verb::Why(args) => why::run(&context, &args),
        Verb::SourceOf(args) => query::source_of(&context, &args),
        Verb::OutputsOf(args) => query::outputs_of(&context, &args),
        Verb::BySigner(args) => query::by_signer(&context, &args),
        Verb::BuiltWith(args) => query::built_with(&context, &args),
        Verb::Unreproduced(args) => query::unreproduced(&context, &args),
        Verb::Dissent(args) => query::dissent(&context, &args),
        Verb::Stale(args) => query::stale(&context, &args),
        Verb::Verify(args) => verify::run(&context, &args),
        Verb::Lint(args) => lint::run(&context, &args),
        Verb::Fsck(args) => fsck::run(&context, &args),
        Verb::Gc(args) => gc::run(&context, &args),
        Verb::Status(args) => status::run(&context, &args),
        Verb::Serve(args) => serve::run(&context, &args),
        Verb::Key(args) => key::run(&context, &args),
        Verb::Generate(args) => generate::run(&context, &args),
    }
}

/// What `-v` shows, on standard error.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "assay=warn",
        1 => "assay=info",
        _ => "assay=debug",
    };
    // A second subscriber in one process (tests) is no reason to fail.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        // It would complain on a closed standard error by writing there, and panic.
        .log_internal_errors(false)
        .try_init();
}
