//! `assay import`: a repository of another tool, into an unproven archive.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::context::Context;
use super::failure::{Failure, UsageError};
use super::include::{show, show_included};
use super::publish::writer;
use crate::domain::{ArchiveName, Coded, Component, SuiteName};
use crate::host::files;
use crate::publish::{
    Destination, IncludeError, Included, Origin, Others, Provable, Repository, check_included, find_packages, include,
    provable, read_all,
};
use crate::site::UnprovenArchive;
use crate::trust::Keyring;

/// The largest keyring that is read, in bytes.
const LARGEST_KEYRING: u64 = 16 << 20;

/// Bring a repository of reprepro, aptly or any other tool over into an unproven archive
///
/// Reads what is published, with its suites and components, which the archive's file must name. Every index is checked by the
/// hash in its Release, every file by the hash in its index, and with --keyring each Release by its signature. What is wrong is
/// named, each thing, and then nothing is taken. Run again it takes what is new, and what the repository lists of a package takes
/// the place of what the suite had. At the end each source package is printed, with the custom archives that declare it: those
/// could be proven.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay import apps --from-reprepro /srv/reprepro --keyring old.gpg\n  assay import apps --from-aptly ~/.aptly\n  assay import apps --from-dir /srv/debs --suite stable"
)]
#[command(group(clap::ArgGroup::new("from").required(true).args(["from_dir", "from_reprepro", "from_aptly"])))]
pub(super) struct ImportRepositoryArgs {
    /// The unproven archive
    #[arg(value_name = "ARCHIVE")]
    archive: ArchiveName,
    /// A folder with `dists/`, as any tool publishes it; or any folder of packages, which go to --suite
    #[arg(long, value_name = "DIR")]
    from_dir: Option<PathBuf>,
    /// The base folder of reprepro, with `conf/`
    #[arg(long, value_name = "BASEDIR")]
    from_reprepro: Option<PathBuf>,
    /// The root folder of aptly, with `public/`
    #[arg(long, value_name = "ROOT")]
    from_aptly: Option<PathBuf>,
    /// The keys of which one must have signed each Release [default: signatures are not looked at]
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Only this suite, several times for several; of a folder of packages, where they go [default: all, or the only one]
    #[arg(long = "suite", value_name = "SUITE")]
    suites: Vec<SuiteName>,
    /// Of a folder of packages: the component
    #[arg(long, value_name = "COMPONENT", requires = "from_dir")]
    component: Option<Component>,
    /// Only check it and say what could be proven
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, args: &ImportRepositoryArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let config = site.unproven(&args.archive)?;
    let (packages, mut problems) = read(context, args, config)?;
    let store = context.store(&site)?;
    let _working = context.writing(&store, &args.archive, "import")?;
    let signer = context.signers(&site, &args.archive)?;
    let writer = writer(context, &site, store.as_ref(), (&args.archive, config), &signer)?;
    problems.extend(check_included(&writer, &packages, Others::Go)?);
    if !problems.is_empty() {
        return Err(told(context, problems)?);
    }
    let sources = provable(&site, &packages)?;
    if !args.dry_run {
        let reason = format!("import {} packages and sources, without the gate", packages.len());
        let bar = context.progress.waiting("taking them in");
        let published = include(&writer, &packages, Others::Go, &reason, context.now())?;
        bar.finish();
        if context.verbose {
            show_included(context, &args.archive, &packages)?;
        }
        show(context, &published)?;
    }
    for source in &sources {
        context.output.record(source, &said(source))?;
    }
    let declared = sources.iter().filter(|source| !source.declared.is_empty()).count();
    context.output.note(&format!(
        "{} packages and sources of {} source packages, of which {declared} are declared and could be proven",
        packages.len(),
        sources.len()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Names each problem; gives the failure that ends the run.
fn told(context: &Context, mut problems: Vec<IncludeError>) -> Result<Failure, Failure> {
    let count = problems.len();
    match (count, problems.pop()) {
        (1, Some(only)) => Ok(only.into()),
        (_, last) => {
            for problem in problems.into_iter().chain(last) {
                let (code, message) = (problem.code(), problem.to_string());
                let value = serde_json::json!({ "problem": { "code": code, "message": message } });
                context.output.aside(&value, &format!("{code}: {message}"))?;
            }
            Ok(IncludeError::Several(count).into())
        }
    }
}

fn said(source: &Provable) -> String {
    let declared: Vec<String> = source
        .declared
        .iter()
        .map(|(archive, version)| format!("{archive} as {version}"))
        .collect();
    let Provable { source, packages, .. } = source;
    match declared.is_empty() {
        true => format!("{source} ({packages}) is not declared"),
        false => format!(
            "{source} ({packages}) could be proven: declared in {}",
            declared.join(", ")
        ),
    }
}

fn read(
    context: &Context,
    args: &ImportRepositoryArgs,
    config: &UnprovenArchive,
) -> Result<(Vec<Included>, Vec<IncludeError>), Failure> {
    let origin = match (&args.from_dir, &args.from_reprepro, &args.from_aptly) {
        (Some(folder), ..) if !files::is_folder(&folder.join("dists")) => return plain(context, args, folder, config),
        (Some(folder), ..) => Origin::Folder(folder.clone()),
        (_, Some(base), _) => Origin::Reprepro(base.clone()),
        (_, _, Some(root)) => Origin::Aptly(root.clone()),
        _ => return Err(UsageError::Argument("no repository is named".to_owned()).into()),
    };
    let mut repository = Repository::find(&origin)?;
    repository.notes.iter().for_each(|note| context.output.note(note));
    if let Some(absent) = args.suites.iter().find(|suite| !repository.suites.contains(suite)) {
        let why = format!("`{}` has no suite `{absent}`", repository.base.display());
        return Err(UsageError::Argument(why).into());
    }
    if !args.suites.is_empty() {
        repository.suites.retain(|suite| args.suites.contains(suite));
    }
    let keyring = match &args.keyring {
        Some(path) => Some(Keyring::parse(&files::read(path, LARGEST_KEYRING)?)?),
        None => {
            context
                .output
                .note("no --keyring: hashes are checked, and not who signed them");
            None
        }
    };
    let bar = context.progress.items("reading packages", 0);
    let read = repository.read(config, keyring.as_ref().map(|keyring| (keyring, context.now())), &bar)?;
    bar.finish();
    Ok(read)
}

/// A folder of packages that nothing lists: they are what their own control files say.
fn plain(
    context: &Context,
    args: &ImportRepositoryArgs,
    folder: &std::path::Path,
    config: &UnprovenArchive,
) -> Result<(Vec<Included>, Vec<IncludeError>), Failure> {
    let suite = match (args.suites.as_slice(), config.suites.as_slice()) {
        ([suite], _) => suite,
        ([], [only]) => &only.name,
        _ => return Err(UsageError::Argument("name the one suite that they go to with `--suite`".to_owned()).into()),
    };
    let into = Destination {
        config,
        suite,
        component: args.component.as_ref(),
    };
    let paths = find_packages(folder)?;
    if paths.is_empty() {
        let why = "it has neither `dists/` nor any package".to_owned();
        return Err(IncludeError::Repository {
            path: folder.to_owned(),
            why,
        }
        .into());
    }
    let bar = context.progress.items("reading packages", paths.len() as u64);
    let (mut packages, mut problems) = (Vec::new(), Vec::new());
    for read in read_all(&paths, into, || bar.advance(1)) {
        match read {
            Ok(read) => packages.extend(read),
            Err(problem) => problems.push(problem),
        }
    }
    bar.finish();
    Ok((packages, problems))
}
