//! `assay prepare`: what an automated image build calls first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::admit::admit_declared;
use super::checkout::state;
use super::context::{Context, custom_archive};
use super::defined::Defined;
use super::failure::{Failure, UsageError};
use super::rebuild::{builders, rebuild_with};
use super::sources::{Source, stanza};
use super::work::{Declared, Work};
use crate::admission::shortage;
use crate::collect::Working;
use crate::domain::{ArchiveName, GitOid, PackageName, SnapshotName, SnapshotRef, SuiteName, suite_of_branch};
use crate::environment;
use crate::format::json;
use crate::host::{Clock, files};
use crate::prepare::{Heads, Image, Own, PrepareError, Step, Wanted, check_tag, place};
use crate::publish::{self, Fresh, Said, check_named, contents, load_nonces, load_records, load_vouched, said};
use crate::site::{ArchiveConfig, Rebuild};
use crate::snapshot::{Chain, Record, SuiteState};
use crate::source::checkout::{Checkout, Frozen, Origin, Serials, check_replayed, head_of, tags_of};
use crate::source::{Declaration, branches_and_tags, strayed_tags};
use crate::verify::{Anchors, check_admitted, contradicted};

/// The serials of a build, in its folder.
const SERIALS: &str = "serials.json";
/// The APT sources of a build, in its folder.
const SOURCES: &str = "assay.sources";
const LARGEST: u64 = 1 << 20;

/// Bring all that a checkout declares into the archive, and print the APT sources to build its image from
///
/// Resolves the snapshot of every archive once. Each source that the checkout's branch declares is then
/// brought to where the image needs it: what is admitted is reused, what lacks rebuilds is rebuilt with the
/// builders' keys that are here, when the suite's `rebuild` says so, and admitted with the gate's key. A
/// site without keys can prepare what is admitted already. Prints the sources when all is there, else
/// nothing, and why, with what mends it. Run again it does nothing and prints the same; killed, it goes on.
///
/// The site is `--site`, or the checkout, or the nearest folder above it that has an `assay.toml`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay prepare --checkout ~/image > assay.sources\n  assay prepare --checkout ~/image --build-dir build\n  assay prepare --checkout ~/image --from-json other-build/serials.json"
)]
pub(super) struct PrepareArgs {
    /// The image's checkout
    #[arg(long, value_name = "DIR")]
    checkout: PathBuf,
    /// The custom archive [default: that of policies/branches.toml, or the only one]
    #[arg(long)]
    archive: Option<ArchiveName>,
    /// The branch that is built [default: the one that HEAD is on]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Write `serials.json` and `assay.sources` there; serials that are there already are used again
    #[arg(long, value_name = "DIR")]
    build_dir: Option<PathBuf>,
    /// The serials of another build, to take the same snapshots
    #[arg(long, value_name = "FILE")]
    from_json: Option<PathBuf>,
    /// The base URL to write [default: the site's public URL]
    #[arg(long)]
    url: Option<String>,
    /// Prepare although declarations, policies or serial files differ from the commit, and say so
    #[arg(long)]
    allow_dirty: bool,
    /// Where the checkout keeps its serial files
    #[arg(long, value_name = "DIR", default_value = "config/APT_snapshots.d")]
    serial_files: PathBuf,
}

pub(super) fn run(context: &Context, args: &PrepareArgs) -> Result<ExitCode, Failure> {
    let context = &context.in_site(&args.checkout)?;
    let site = context.site()?;
    let archive = match &args.archive {
        Some(archive) => archive.clone(),
        None => custom_archive(&site, site.branch_policy()?.custom.as_ref())?,
    };
    let work = Work::open(context, Some(&archive))?;
    let replayed = replayed(args)?;
    if let Some(replayed) = &replayed {
        check_replayed(replayed, work.site.archives().keys())?;
    }
    let tags = tags_of(&args.checkout, args.branch.as_deref(), &work.site.cache())?;
    let (before, locks) = Defined::read(&work.site, &args.checkout, &args.serial_files)?;
    for lock in locks {
        context.output.note(&format!(
            "`{lock}` is not committed yet: commit it, so that other sites build with it"
        ));
    }
    before.check(context, &work.site, args.allow_dirty)?;
    let job = Job {
        context,
        anchors: Anchors::from_site(&work.site)?,
        build: Build::read(&work, args)?,
        tags,
        work,
        args,
    };
    let mut serials = job.resolve(replayed.as_ref())?;
    // At once, before anything that takes long: what is interrupted goes on with the same snapshots.
    let own = replayed.as_ref().and_then(|all| all.get(&archive)).cloned();
    let first = serials.clone().into_iter();
    job.keep(
        &first
            .chain(own.clone().map(|serial| (archive.clone(), serial)))
            .collect(),
    )?;
    let record = job.bring_all(&serials, own.as_ref())?;
    serials.insert(archive, record.serial.clone());
    let sources = job.sources(&serials, &record)?;
    // Declarations and policies were read one after another, beside builds that take long.
    if Defined::read(&job.work.site, &args.checkout, &args.serial_files)?.0 != before {
        return Err(PrepareError::Changed.into());
    }
    job.print(&serials, &sources)?;
    Ok(ExitCode::SUCCESS)
}

/// The serials of a build to take again: another's, or this one's before it was interrupted.
fn replayed(args: &PrepareArgs) -> Result<Option<Serials>, Failure> {
    let own = args.build_dir.as_ref().map(|folder| folder.join(SERIALS));
    let path = args.from_json.clone().or(own.filter(|path| files::exists(path)));
    let Some(path) = path else { return Ok(None) };
    let unfit = |why: String| UsageError::Serials {
        path: path.display().to_string(),
        why,
    };
    let bytes = files::read(&path, LARGEST).map_err(|error| unfit(error.to_string()))?;
    Ok(Some(
        json::strict("serials", &bytes).map_err(|error| unfit(error.to_string()))?,
    ))
}

/// What a checkout is built from.
struct Build {
    image: Image,
    heads: Heads,
    archives: BTreeMap<ArchiveName, Origin>,
}

impl Build {
    fn read(work: &Work, args: &PrepareArgs) -> Result<Self, Failure> {
        let (site, folder) = (&work.site, &args.checkout);
        if !files::exists(&folder.join("config/base_branch")) {
            return Self::plain(work, args);
        }
        let checkout = Checkout::read(folder, &args.serial_files, &site.cache())?;
        let resolved = checkout.resolve(&site.branch_policy()?)?;
        let branch = args.branch.clone().or_else(|| checkout.branch.clone());
        let released = SuiteName::new(suite_of_branch(checkout.version.as_str())).ok();
        let is_release = checkout.was_released(&checkout.version) && resolved.custom.first() == released.as_ref();
        let (own, heads) = match (branch, released) {
            (_, Some(released)) if is_release => (Some(Own::Suite(released.clone())), Heads::Release(released)),
            (branch, _) => {
                let own = branch.map(|branch| own_of(&branch, &resolved.custom));
                (own, Heads::Branches)
            }
        };
        Ok(Self {
            image: Image {
                suites: resolved.custom,
                own: own.unwrap_or_else(detached),
            },
            heads,
            archives: resolved.archives,
        })
    }

    /// A checkout that says nothing of snapshots: the newest of every mirror, and the suite of its branch or
    /// tag where that has a class; else the suites that declarations name.
    fn plain(work: &Work, args: &PrepareArgs) -> Result<Self, Failure> {
        let mirrors = work.site.archives().iter();
        let mirrors = mirrors.filter(|(_, archive)| matches!(archive, ArchiveConfig::Mirror(_)));
        let archives = mirrors.map(|(name, _)| (name.clone(), Origin::TimeBased(Frozen::Latest)));
        let mut image = Image {
            suites: Vec::new(),
            own: detached(),
        };
        let mut heads = Heads::Branches;
        if work.custom.branches.is_some() {
            let head = head_of(&args.checkout, args.branch.as_deref(), &work.site.cache())?;
            if let Some(reference) = head.into_iter().find(|head| work.custom.class_of(head).is_some()) {
                let suite = reference.suite()?;
                image.suites = vec![suite.clone()];
                image.own = Own::Suite(suite);
                heads = Heads::Head(reference);
            }
        }
        Ok(Self {
            image,
            heads,
            archives: archives.collect(),
        })
    }
}

fn own_of(branch: &str, suites: &[SuiteName]) -> Own {
    let name = suite_of_branch(branch);
    match suites.iter().find(|suite| suite.as_str() == name) {
        Some(suite) => Own::Suite(suite.clone()),
        None => Own::None {
            why: format!("HEAD is on `{branch}`, and its suite `{name}` is none of the image's"),
            fix: format!("add an empty file `config/APT_overlays.d/{name}`"),
        },
    }
}

fn detached() -> Own {
    Own::None {
        why: "HEAD is on no branch or tag that has a suite".to_owned(),
        fix: "name the branch with `--branch`, or a suite in the declaration".to_owned(),
    }
}

struct Job<'a> {
    context: &'a Context,
    anchors: Anchors,
    work: Work,
    build: Build,
    /// What the checkout's tags mean.
    tags: BTreeMap<String, GitOid>,
    args: &'a PrepareArgs,
}

impl Job<'_> {
    /// The serial of every archive that the image is built from, `latest` resolved.
    fn resolve(&self, replayed: Option<&Serials>) -> Result<Serials, Failure> {
        let mut serials = Serials::new();
        for (archive, origin) in &self.build.archives {
            let Origin::TimeBased(frozen) = origin else { continue };
            let serial = match frozen.settle(archive, replayed)? {
                Some(serial) => serial,
                None => {
                    let chain = self.chain(archive)?;
                    chain.resolve(self.work.store.as_ref(), &SnapshotName::Latest)?.serial
                }
            };
            serials.insert(archive.clone(), serial);
        }
        Ok(serials)
    }

    fn keep(&self, serials: &Serials) -> Result<(), Failure> {
        if let Some(folder) = &self.args.build_dir {
            files::create_folder(folder)?;
            crate::rebuild::sweep(folder, Clock::System.now())?;
            let text = json::canonical("serials", serials)?;
            files::write(&folder.join(SERIALS), &[text.as_slice(), b"\n"].concat())?;
        }
        Ok(())
    }

    /// An archive's chain, for which its own key vouches.
    fn chain(&self, archive: &ArchiveName) -> Result<Chain, Failure> {
        let site = &self.work.site;
        let keyring = site.archive_keyring(archive)?;
        Ok(load_vouched(self.work.store.as_ref(), archive, &keyring)?)
    }

    /// The record of the custom archive that has all that the checkout declares.
    fn bring_all(&self, serials: &Serials, replayed: Option<&crate::domain::Serial>) -> Result<Record, Failure> {
        let store = self.work.store.as_ref();
        let steps = environment::order(&environment::declared_sources(&self.work.site)?)?;
        let ours = steps.iter().filter(|step| step.name.archive == self.work.archive);
        let sources: Vec<_> = ours.map(|step| &step.name.source).collect();
        self.tags_stand(&sources)?;
        if let Some(serial) = replayed {
            let chain = self.chain(&self.work.archive)?;
            let record = chain.resolve(store, &SnapshotName::Serial(serial.clone()))?;
            let mut all = true;
            for source in &sources {
                all &= !matches!(self.step(&self.wanted(source)?, Some(&record))?, Step::Bring(_));
            }
            if all {
                self.are_ours(Some(&record))?;
                self.publish_unfinished(&chain)?;
                self.say_dissent(&sources, &record);
                return Ok(record);
            }
        }
        let mut working: Option<Working> = None;
        for source in sources.iter().copied() {
            let wanted = self.wanted(source)?;
            let chain = self.chain(&self.work.archive)?;
            match self.step(&wanted, chain.latest())? {
                Step::Held(suite) => self.context.output.note(&format!("{source}: in `{suite}`")),
                Step::Elsewhere => self
                    .context
                    .output
                    .note(&format!("{source}: for suites that this image has not")),
                Step::Bring(suites) => {
                    self.can_admit(&wanted, &suites)?;
                    if working.is_none() {
                        let (store, archive) = (&self.work.store, &self.work.archive);
                        working = Some(self.context.writing(store, archive, "prepare")?);
                    }
                    self.bring(&wanted, &suites, serials)?;
                }
            }
        }
        self.make_suites(&self.build.image.suites)?;
        let chain = self.chain(&self.work.archive)?;
        self.are_ours(chain.latest())?;
        self.publish_unfinished(&chain)?;
        let record = chain.resolve(store, &SnapshotName::Latest)?;
        self.say_dissent(&sources, &record);
        Ok(record)
    }

    /// What builders said against sources of the image after they were admitted. Their decisions stand: nothing is refused for it.
    /// An index that cannot be read is named by who needs it.
    fn say_dissent(&self, sources: &[&PackageName], record: &Record) {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        let mut decisions = BTreeSet::new();
        for state in record
            .suites
            .iter()
            .filter(|state| self.build.image.wants(std::slice::from_ref(&state.suite)))
        {
            let Ok(held) = contents(store, archive, state) else {
                continue;
            };
            decisions.extend(sources.iter().filter_map(|source| Some(held.get(*source)?.decision)));
        }
        for decision in decisions {
            for said in contradicted(store, &self.anchors, archive, &decision, self.context.now()) {
                self.context.output.note(&format!("dissent: {said}"));
            }
        }
    }

    /// What a run before committed and did not come to publish: apt would not find it.
    fn publish_unfinished(&self, chain: &Chain) -> Result<(), Failure> {
        let (site, store) = (&self.work.site, self.work.store.as_ref());
        let Some(newest) = chain.latest_edition() else {
            return Ok(());
        };
        if publish::is_published(store, &newest)? || site.absent_key(&self.work.archive)?.is_some() {
            return Ok(());
        }
        let _working = self.context.writing(&self.work.store, &self.work.archive, "prepare")?;
        let signer = self.work.archive_signers()?;
        publish::finish(store, chain, &signer, site.config().public_url.as_str())?;
        Ok(())
    }

    /// Checks of which branch or tag each suite of the image is.
    fn are_ours(&self, record: Option<&Record>) -> Result<(), Failure> {
        let states = record.iter().flat_map(|record| &record.suites);
        for state in states.filter(|state| self.build.image.suites.contains(&state.suite)) {
            let made_for = state.made_for().map(|made| &made.reference);
            self.build.heads.check(&state.suite, made_for)?;
            if let Some(made) = state.made_for() {
                check_tag(&state.suite, made, &self.tags)?;
            }
        }
        Ok(())
    }

    /// Checks that no tag was moved which a source of the image is declared by: what is admitted already is taken from the store, and
    /// nobody would look at Git. A repository that does not answer keeps no image from being built.
    fn tags_stand(&self, sources: &[&PackageName]) -> Result<(), Failure> {
        let (site, archive) = (&self.work.site, &self.work.archive);
        let mut declared = Vec::new();
        for source in sources {
            let declaration = Declaration::load(&site.declaration_path(archive, source))?;
            if self.build.image.wants(&declaration.suites) {
                let url = site.config().moved_git.now(&declaration.git);
                declared.push((declaration, url));
            }
        }
        for ((declaration, _), said) in declared.iter().zip(strayed_tags(&declared, &self.work.git_cache())) {
            let source = &declaration.source;
            let strayed = said.unwrap_or_else(|error| {
                let output = &self.context.output;
                output.note(&format!("{source}: nobody can say whether its tag was moved: {error}"));
                Vec::new()
            });
            for strayed in strayed {
                if strayed.found.is_some() {
                    let source_package = source.clone();
                    return Err(PrepareError::Strayed {
                        source_package,
                        strayed,
                    }
                    .into());
                }
                self.context.output.note(&format!("{source}: {strayed}"));
            }
        }
        Ok(())
    }

    fn wanted(&self, source: &PackageName) -> Result<Wanted, Failure> {
        let declaration = Declaration::load(&self.work.site.declaration_path(&self.work.archive, source))?;
        Ok(Wanted {
            source: source.clone(),
            declaration: declaration.identity()?,
            suites: declaration.suites,
        })
    }

    fn step(&self, wanted: &Wanted, latest: Option<&Record>) -> Result<Step, Failure> {
        place(wanted, &self.build.image, |suite| {
            let state = latest.and_then(|record| record.suites.iter().find(|state| state.suite == *suite));
            state.map_or(Ok(false), |state| self.holds(wanted, state))
        })
    }

    /// Whether a suite has exactly what is declared. Who reads the store need not be who wrote it: the
    /// decision is checked from the site's keys, with the records that it rests on.
    fn holds(&self, wanted: &Wanted, state: &SuiteState) -> Result<bool, Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        let held = contents(store, archive, state)?;
        let Some(held) = held.get(&wanted.source) else {
            return Ok(false);
        };
        let declared = check_admitted(store, &self.anchors, archive, state, &held.decision, self.context.now());
        let declared = declared.map_err(|problem| PrepareError::Unproven {
            source_package: wanted.source.clone(),
            suite: state.suite.clone(),
            why: format!("{}: {}", problem.object, problem.why),
        })?;
        Ok(declared == Some(wanted.declaration))
    }

    /// Before anything is built for it: whether this site could admit it at all.
    fn can_admit(&self, wanted: &Wanted, suites: &[SuiteName]) -> Result<(), Failure> {
        let site = &self.work.site;
        let absent = if !files::exists(&site.secret_key_path(&site.config().gate)) {
            Some("the gate's key")
        } else {
            site.absent_key(&self.work.archive)?.map(|_| "the archive's key")
        };
        let (Some(what), Some(suite)) = (absent, suites.first()) else {
            return Ok(());
        };
        Err(PrepareError::NotAdmitted {
            source_package: wanted.source.clone(),
            suite: suite.clone(),
            why: format!("{what} is not here"),
        }
        .into())
    }

    /// Makes the suites that the image needs and the archive has not, for their branches and tags.
    fn make_suites(&self, suites: &[SuiteName]) -> Result<(), Failure> {
        let chain = self.chain(&self.work.archive)?;
        let has = |suite: &SuiteName| {
            chain
                .latest()
                .is_some_and(|r| r.suites.iter().any(|s| s.suite == *suite))
        };
        let Some(branches) = &self.work.custom.branches else {
            return Ok(());
        };
        let site = &self.work.site;
        let named = |suite: &SuiteName| self.work.custom.rules_of(suite, None).is_some();
        let absent = suites.iter().any(|suite| !has(suite) && !named(suite));
        if !absent || site.absent_key(&self.work.archive)?.is_some() {
            return Ok(());
        }
        let refs = branches_and_tags(&branches.git, &self.work.git_cache())?.named;
        let signer = self.work.archive_signers()?;
        publish::sync(&self.work.writer(&signer)?, &refs, self.context.now())?;
        Ok(())
    }

    /// Locks, rebuilds and admits one declared source, as far as that is not done.
    fn bring(&self, wanted: &Wanted, suites: &[SuiteName], serials: &Serials) -> Result<(), Failure> {
        self.make_suites(suites)?;
        self.are_ours(self.chain(&self.work.archive)?.latest())?;
        let source = &wanted.source;
        let aside = &self.context.aside();
        if !files::exists(&self.work.site.lock_path(&self.work.archive, source)) {
            let of_environment = |archive: &&ArchiveName| {
                let mut sources = self.work.custom.environment.iter();
                sources.any(|source| source.archive == **archive)
            };
            let snapshots = serials.iter().filter(|(archive, _)| of_environment(archive));
            let snapshots = snapshots.map(|(archive, serial)| SnapshotRef {
                archive: archive.clone(),
                name: SnapshotName::Serial(serial.clone()),
            });
            super::env_lock::lock(aside, &self.work.archive, source, snapshots.collect())?;
        }
        let (declared, rebuild) = self.work.declared_for(source, suites)?;
        if rebuild != Rebuild::Never {
            self.rebuild(aside, &declared)?;
        }
        let admission = admit_declared(aside, &self.work, &declared, None)?;
        if admission.decision.admitted {
            self.context
                .output
                .note(&format!("{source}: admitted to {}", words(suites)));
            return Ok(());
        }
        let broken = admission.decision.broken();
        let why: Vec<String> = broken.map(|rule| format!("{}: {}", rule.id, rule.evidence)).collect();
        Err(PrepareError::Refused {
            source_package: source.clone(),
            suite: suites.first().cloned().map_or_else(|| SuiteName::new("unnamed"), Ok)?,
            why: why.join("; "),
        }
        .into())
    }

    /// Rebuilds with the builders that are here, until enough operators have, counting only what counts
    /// for these suites. Which records those are is told by declaration, lock and nonce.
    fn rebuild(&self, aside: &Context, declared: &Declared) -> Result<(), Failure> {
        let (store, archive) = (self.work.store.as_ref(), &self.work.archive);
        let (_, lock) = self.work.lock(&declared.declaration.source)?;
        let found = load_records(store, archive, &declared.sha256, &declared.policy)?;
        let nonces = load_nonces(store, archive, &declared.sha256)?;
        let fresh = Fresh::of(
            declared.terms.fresh_since,
            &declared.policy,
            &declared.suites,
            self.work.now,
        );
        // What the suites ask for, which may be more than the policy does elsewhere.
        let terms = declared.policy.terms(&declared.suites);
        let said = said(&declared.policy, &terms, &found, &nonces, &lock, fresh);
        let built = said.iter().filter(|(_, said)| *said == Said::Built);
        let enough = |rebuilders: &BTreeSet<(&str, &str)>| shortage(&declared.policy, &terms, rebuilders).is_none();
        let mut rebuilders: BTreeSet<(&str, &str)> =
            built.map(|(b, _)| (b.operator.as_str(), b.hosting.as_str())).collect();
        if enough(&rebuilders) {
            return Ok(());
        }
        let here = builders(&self.work, declared, &[])?;
        for (builder, key) in here {
            let new = !rebuilders.iter().any(|(operator, _)| *operator == builder.operator);
            if new && !enough(&rebuilders) {
                rebuilders.insert((&builder.operator, &builder.hosting));
                rebuild_with(aside, &self.work, declared, (builder, &key))?;
            }
        }
        Ok(())
    }

    /// Every source, all known before the first is printed.
    fn sources(&self, serials: &Serials, record: &Record) -> Result<Vec<Source>, Failure> {
        let (site, store) = (&self.work.site, self.work.store.as_ref());
        let url = self.args.url.as_deref().unwrap_or(site.config().public_url.as_str());
        let url = url.trim_end_matches('/');
        let mut sources = Vec::new();
        for (archive, origin) in &self.build.archives {
            let (name, uri) = match (origin, serials.get(archive)) {
                (Origin::Tagged(tag), _) => (SnapshotName::Tag(tag.clone()), format!("{url}/{tag}/{archive}/")),
                (_, Some(serial)) => {
                    let uri = format!("{url}/{archive}/{serial}/");
                    (SnapshotName::Serial(serial.clone()), uri)
                }
                _ => continue,
            };
            self.is_usable(archive, &name)?;
            sources.push(state(self.context, site, store, archive, &name, uri)?);
        }
        let archive = &self.work.archive;
        let find = |suite: &SuiteName| record.suites.iter().find(|state| state.suite == *suite).cloned();
        let suites = &self.build.image.suites;
        if let Some(absent) = suites.iter().find(|suite| find(suite).is_none()) {
            let why = format!(
                "`{archive}` has no suite `{absent}`: `assay suite sync` makes those of branches and tags, `assay publish \
                 {archive}` those that repos/{archive}.toml names"
            );
            return Err(UsageError::NotFound(why).into());
        }
        let states: Vec<SuiteState> = match suites.is_empty() {
            true => record.suites.clone(),
            false => suites.iter().filter_map(find).collect(),
        };
        self.is_usable(archive, &SnapshotName::Serial(record.serial.clone()))?;
        sources.push(Source::new(
            site,
            archive,
            &states,
            format!("{url}/{archive}/{}/", record.id),
        )?);
        Ok(sources)
    }

    /// Before the build starts: apt must take the snapshot.
    fn is_usable(&self, archive: &ArchiveName, name: &SnapshotName) -> Result<(), Failure> {
        let (site, store) = (&self.work.site, self.work.store.as_ref());
        let chain = self.chain(archive)?;
        let keyring = site.archive_keyring(archive)?;
        check_named(store, &chain, name, &keyring)?;
        let edition = chain.edition(store, name)?;
        match edition.valid_until().filter(|end| *end <= self.context.now()) {
            None => Ok(()),
            Some(end) => Err(PrepareError::Expired {
                archive: archive.to_string(),
                name: edition.name.as_str().to_owned(),
                at: end.to_string(),
            }
            .into()),
        }
    }

    fn print(&self, serials: &Serials, sources: &[Source]) -> Result<(), Failure> {
        if let Some(folder) = &self.args.build_dir {
            self.keep(serials)?;
            let stanzas: String = sources.iter().map(|source| format!("{}\n", stanza(source))).collect();
            files::write(&folder.join(SOURCES), stanzas.as_bytes())?;
        }
        for source in sources {
            self.context.output.record(source, &stanza(source))?;
        }
        Ok(())
    }
}

fn words(suites: &[SuiteName]) -> String {
    let names: Vec<String> = suites.iter().map(|suite| format!("`{suite}`")).collect();
    names.join(", ")
}
