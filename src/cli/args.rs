//! Every verb and option, as clap reads them; man pages and completions are made from this.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::query::{
    BuiltWithArgs, BySignerArgs, DissentArgs, OutputsOfArgs, SourceOfArgs, StaleArgs, UnreproducedArgs,
};
use crate::domain::{
    ArchiveName, BuilderId, Component, Fingerprint, GitOid, GitRef, PackageName, PublicUrl, Sha256, SnapshotRef,
    SourceFolder, SuiteName, TagName, Timestamp,
};
use crate::site::Backend;

/// An APT repository manager that proves where every package came from.
#[derive(Debug, Parser)]
#[command(name = "assay", version, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// The site's folder [default: the nearest one with an `assay.toml`, from here upwards]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) site: Option<PathBuf>,
    /// The store, instead of the site's own: a folder, or `http://…` to read somebody else's
    #[arg(long, global = true, value_name = "URL")]
    pub(super) store: Option<String>,
    /// Print records as JSON, one a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// No notes and no progress, only records and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more; twice: still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// The whole command, for man pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Init(InitArgs),
    Mirror(MirrorArgs),
    Snapshot(SnapshotArgs),
    Tag(TagArgs),
    Declare(DeclareArgs),
    Source(SourceArgs),
    Env(super::env::EnvArgs),
    Rebuild(RebuildArgs),
    Admit(AdmitArgs),
    Import(super::import_repository::ImportRepositoryArgs),
    Include(super::include::IncludeArgs),
    Remove(super::include::RemoveArgs),
    Decisions(super::decisions::DecisionsArgs),
    Manifest(super::manifest::ManifestArgs),
    Suite(super::suite::SuiteArgs),
    Lock(super::lock::LockArgs),
    Prepare(super::prepare::PrepareArgs),
    Publish(PublishArgs),
    Sources(SourcesArgs),
    Freeze(FreezeArgs),
    Thaw(FreezeArgs),
    Why(WhyArgs),
    SourceOf(SourceOfArgs),
    OutputsOf(OutputsOfArgs),
    BySigner(BySignerArgs),
    BuiltWith(BuiltWithArgs),
    Unreproduced(UnreproducedArgs),
    Dissent(DissentArgs),
    Stale(StaleArgs),
    Verify(super::verify::VerifyArgs),
    Lint(super::lint::LintArgs),
    Fsck(FsckArgs),
    Gc(GcArgs),
    Status(StatusArgs),
    Serve(ServeArgs),
    Key(KeyArgs),
    Generate(GenerateArgs),
}

/// Make a new site with keys
///
/// Refuses a folder that is not empty. Prints the fingerprints of the new keys and the next steps.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay init /srv/assay --public-url http://deb.example.org")]
pub(super) struct InitArgs {
    /// The folder to make the site in
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// The base URL under which clients will reach the archives
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(super) public_url: PublicUrl,
    /// The Debian codename to mirror [default: that of this machine]
    #[arg(long)]
    pub(super) codename: Option<SuiteName>,
}

/// Follow upstream: verify, fetch, make the next snapshot and publish it
///
/// Prints one line for each archive: `debian 2026112201 20261122T072000Z new`, or `… unchanged`. All are
/// followed at once; what fails with one is named and stops no other, and the exit code is that of the
/// worst; `assay status` shows it until a run succeeds. What is followed is written in `repos/ARCHIVE.toml`: of
/// `[select]`, each package that any of `packages`, `sections` and `priorities` names: their union. `languages` that no
/// suite has are said.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay mirror debian\n  assay mirror --json")]
pub(super) struct MirrorArgs {
    /// The mirrors to follow [default: all]
    #[arg(value_name = "ARCHIVE")]
    pub(super) archives: Vec<ArchiveName>,
    /// Accept that upstream renamed a suite (`stable` became `oldstable`), once
    #[arg(long)]
    pub(super) allow_release_info_change: bool,
}

/// Look at snapshots
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay snapshot list\n  assay snapshot diff debian@2026112201 debian\n  assay snapshot keep debian --until 2099-06-01"
)]
pub(super) struct SnapshotArgs {
    #[command(subcommand)]
    pub(super) verb: SnapshotVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotVerb {
    /// List snapshots, oldest first, then tags: archive, serial or tag, id, reason, and which locks, serial files and
    /// packages need it
    #[command(after_help = "Example:\n  assay snapshot list debian")]
    List {
        /// The archives [default: all]
        #[arg(value_name = "ARCHIVE")]
        archives: Vec<ArchiveName>,
        /// Also those that were let go and are gone
        #[arg(long)]
        all: bool,
    },
    Diff(DiffArgs),
    /// Keep an edition whatever its age
    #[command(
        after_help = "Example:\n  assay snapshot keep debian@2026112201\n  assay snapshot keep debian@2026112201 --until 2027-06-01"
    )]
    Keep {
        /// `ARCHIVE@ID`: an id, a serial, a tag, `latest` or any timestamp
        #[arg(value_name = "REF", required = true)]
        references: Vec<SnapshotRef>,
        /// Until this day or instant (UTC) [default: until it is dropped]
        #[arg(long, value_name = "DATE")]
        until: Option<Until>,
    },
    /// Let an edition go: the next `assay gc` removes it, unless a lock or a serial file needs it
    #[command(after_help = "Example:\n  assay snapshot drop debian@2026112201\n  assay snapshot drop debian@5.15.1")]
    Drop {
        /// `ARCHIVE@ID`: an id, a serial, a tag or any timestamp
        #[arg(value_name = "REF", required = true)]
        references: Vec<SnapshotRef>,
    },
    Renew(RenewArgs),
    /// Show one edition: its suites, dates, sizes, what upstream signed, and why it is kept
    #[command(after_help = "Example:\n  assay snapshot show debian@2026112201\n  assay snapshot show debian")]
    Show {
        /// `ARCHIVE@ID`: an id, a serial, `latest` or any timestamp
        #[arg(value_name = "REF")]
        reference: SnapshotRef,
        /// Also how many of its pool files are in the store: reads its indexes
        #[arg(long)]
        pool: bool,
    },
}

/// An instant, or the start of a day in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until(pub(super) Timestamp);

impl std::str::FromStr for Until {
    type Err = crate::domain::DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = format!("{text}T00:00:00Z");
        Timestamp::parse_rfc3339(&day)
            .or_else(|_| Timestamp::parse_rfc3339(text))
            .map(Self)
    }
}

/// Compare two editions of an archive: what was added, removed, or changed
///
/// Prints one line for each package that differs: `added`, `removed`, `version` or `bytes` (the same
/// version with other bytes), then suite, index, package, and the version before and after (`-`: none).
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay snapshot diff debian@2026112201 debian\n  assay snapshot diff debian@5.15 debian@5.15.1 --by source\n  assay snapshot diff debian@2026112201 debian --indexes"
)]
pub(super) struct DiffArgs {
    /// The one before: `ARCHIVE@ID`, with an id, a serial, a tag, `latest` or any timestamp
    #[arg(value_name = "REF")]
    pub(super) old: SnapshotRef,
    /// The one after, of the same archive [default: its latest]
    #[arg(value_name = "REF")]
    pub(super) new: Option<SnapshotRef>,
    /// One line for each package, or how many differ of each source, or of each component
    #[arg(long, value_enum, default_value = "package")]
    pub(super) by: DiffBy,
    /// The index files that differ, instead of packages
    #[arg(long, conflicts_with = "by")]
    pub(super) indexes: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum DiffBy {
    /// Each package
    Package,
    /// Each source package: its versions, and how many binary packages differ
    Source,
    /// Each component and architecture of each suite
    Component,
}

/// Give snapshots a new Date and Valid-Until; nothing else changes
///
/// With `--all`, every kept snapshot whose time is more than half over: run it from a timer, at least twice
/// in `valid-days`. The newest snapshot of a mirror gets no new time so once upstream's own Release has ended, unless
/// somebody named it or other keys sign: clients would take it for news.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay snapshot renew debian@2026112201 --for 183d\n  assay snapshot renew --all")]
pub(super) struct RenewArgs {
    /// The snapshots
    #[arg(value_name = "REF", conflicts_with = "all")]
    pub(super) references: Vec<SnapshotRef>,
    /// Every kept snapshot of every archive that is due, or that other keys signed than sign now; such tags, too
    #[arg(long)]
    pub(super) all: bool,
    /// For how many days [default: the archive's `valid-days`]
    #[arg(long = "for", value_name = "DAYS")]
    pub(super) valid_for: Option<Days>,
    /// Allow a Valid-Until that is earlier than the one there is
    #[arg(long)]
    pub(super) shorten: bool,
}

/// A number of days: `183d`, or `183`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days(pub(super) u32);

impl std::str::FromStr for Days {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.strip_suffix('d').unwrap_or(text).parse().ok();
        let days = days.filter(|days| (1..=36_500).contains(days));
        days.map(Self)
            .ok_or("it is not a number of days from 1 to 36500, like `183d`")
    }
}

/// Tag a state of every archive named: it is kept until it is let go, and never expires
///
/// With `--manifest` the tag is partial: of every archive of the site, only the packages that the
/// manifests name, with their sources, wherever such a version is. The snapshots are those that the
/// manifests name, else those given with `--snapshot`, else the latest. Pool files are fetched. What is
/// not found is printed, one a line, with exit 1, and no tag is made.
///
/// A tag keeps its indexes, and the pool files that are here. A mirror with a lazy pool fetches the others
/// when somebody asks for them, as long as upstream has them: how many that are is said on standard error,
/// and `--fetch` fetches them at once, also for a tag that is there already.
///
/// Prints one line for each archive: archive, tag, serial, `new` or `unchanged`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay tag 5.15.1 --fetch\n  assay tag 5.15.1 --snapshot debian@2026112201 --snapshot custom\n  assay tag 5.15.1 --manifest tails-amd64-5.15.1.build-manifest\n  dpkg-query -W > installed; assay tag vm-1 --manifest installed\n  mmdebstrap --customize-hook='download /var/lib/dpkg/status status' …; assay tag vm-2 --manifest status"
)]
pub(super) struct TagArgs {
    /// The name: lower-case letters, digits, `.` and `-`
    #[arg(value_name = "NAME")]
    pub(super) tag: TagName,
    /// The snapshots [default: the latest of every archive]
    #[arg(long = "snapshot", value_name = "REF")]
    pub(super) snapshots: Vec<SnapshotRef>,
    /// The snapshots that a file of `assay lock` names, when they still are what it says
    #[arg(long, value_name = "FILE", conflicts_with = "snapshots")]
    pub(super) lock: Option<PathBuf>,
    /// Lists of packages: build manifests of Tails, what `dpkg-query -W` prints, dpkg's status file,
    /// `name=version` lists as mmdebstrap's `--include` takes them, `.buildinfo` files, environment locks, and `assay.lock`: the admitted packages that
    /// it names, of its snapshots (the snapshots whole when it names none)
    #[arg(long = "manifest", value_name = "FILE")]
    pub(super) manifests: Vec<PathBuf>,
    /// Fetch every pool file of the tag that mirrors have not fetched yet, verified, before it is made
    #[arg(long)]
    pub(super) fetch: bool,
}

/// Verify a signed tag or commit and write the declaration of its source package
///
/// Fetches it, checks who signed it, reads debian/, derives the source package, and writes
/// `repos/<archive>/<source>.toml`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  assay declare https://git.example.org/hello.git --ref refs/tags/debian/2.10-3 --archive custom
  assay declare https://git.example.org/hello.git --ref refs/heads/main --subfolder packaging/hello")]
pub(super) struct DeclareArgs {
    /// The repository: a URL or a folder
    #[arg(value_name = "GIT-URL")]
    pub(super) git: String,
    /// The signed tag, or a branch whose newest commit is signed, fully qualified
    #[arg(long = "ref", value_name = "REF", required_unless_present = "commit")]
    pub(super) reference: Option<GitRef>,
    /// The signed commit, in the history of the branch [default branch: the repository's own]
    #[arg(long, value_name = "ID")]
    pub(super) commit: Option<GitOid>,
    /// The custom archive [default: the only one]
    #[arg(long)]
    pub(super) archive: Option<ArchiveName>,
    /// The suites that the package is for [default: where branches have suites, that of the branch which has
    /// the declaration; else the first of the archive]
    #[arg(long = "suite", value_name = "SUITE")]
    pub(super) suites: Vec<SuiteName>,
    /// The component [default: the first of the archive]
    #[arg(long)]
    pub(super) component: Option<Component>,
    /// The tag of the upstream tree, for `3.0 (quilt)` [default: refs/tags/upstream/VERSION]
    #[arg(long, value_name = "REF")]
    pub(super) upstream: Option<GitRef>,
    /// The folder of the repository that is the source, with `debian/` in it [default: the whole]
    #[arg(long, value_name = "FOLDER")]
    pub(super) subfolder: Option<SourceFolder>,
    /// Make the upstream tarball again from the branch `pristine-tar` and the upstream tag
    #[arg(long)]
    pub(super) pristine_tar: bool,
    /// SHA-256 of the upstream tarball; without `--pristine-tar`, of one that `source add-file` kept
    #[arg(long, value_name = "SHA256")]
    pub(super) orig_sha256: Option<Sha256>,
    /// A snapshot of a mirror whose source package this is a change of: its upstream tarballs are taken
    #[arg(long, value_name = "REF", requires = "dsc", conflicts_with_all = ["upstream", "pristine_tar", "orig_sha256"])]
    pub(super) base: Option<SnapshotRef>,
    /// SHA-256 of that source package's .dsc
    #[arg(long, value_name = "SHA256", requires = "base")]
    pub(super) dsc: Option<Sha256>,
    /// A signer of the policy, by full fingerprint, who may sign the next version; all who may [default: as
    /// the declaration that was admitted last says]
    #[arg(long = "authorise", value_name = "FINGERPRINT")]
    pub(super) authorise: Vec<Fingerprint>,
    /// How many people must sign the next version
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) authorise_threshold: Option<u32>,
    /// Leave it to the policy again who may sign the next version
    #[arg(long, conflicts_with_all = ["authorise", "authorise_threshold"])]
    pub(super) authorise_by_policy: bool,
}

/// Names of declared source packages.
#[derive(Debug, Args)]
pub(super) struct Declared {
    /// Declared source packages
    #[arg(value_name = "NAME", required = true)]
    pub(super) names: Vec<PackageName>,
    /// The custom archive [default: the only one]
    #[arg(long)]
    pub(super) archive: Option<ArchiveName>,
}

/// Check a declared source, or derive its source package
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay source verify hello\n  assay source build hello --output .")]
pub(super) struct SourceArgs {
    #[command(subcommand)]
    pub(super) verb: SourceVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum SourceVerb {
    /// Fetch the tag again and check that all of the declaration follows from it
    #[command(after_help = "Example:\n  assay source verify hello")]
    Verify(Declared),
    /// Keep an upstream tarball in the store, for `declare --orig-sha256`
    #[command(after_help = "Example:\n  assay source add-file ../hello_2.10.orig.tar.gz")]
    AddFile {
        /// The tarballs
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// The custom archive [default: the only one]
        #[arg(long)]
        archive: Option<ArchiveName>,
    },
    /// Write the derived .dsc and tarballs to a folder
    #[command(after_help = "Example:\n  assay source build hello --output /tmp/hello")]
    Build {
        #[command(flatten)]
        declared: Declared,
        /// Where to write
        #[arg(long, value_name = "DIR", default_value = ".")]
        output: PathBuf,
    },
}

/// Rebuild declared sources and sign what came out
///
/// Each run makes one record. A build that fails is recorded too. What came out stays sealed until as many operators
/// as the policy asks for have answered. A builder on another machine answers with `--output`, and the gate takes
/// the answer with `--take`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay rebuild hello --builder alice/laptop\n  assay rebuild hello --plan --issue --json\n  assay \
                  rebuild hello --builder bob/ci --nonce $NONCE --run 1 --output answer\n  assay rebuild hello --take answer"
)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    pub(super) declared: Declared,
    /// The builder whose key signs [default: every builder of the policy whose secret key is here]
    #[arg(long = "builder", value_name = "ID")]
    pub(super) builders: Vec<BuilderId>,
    /// What runs the build: `overlay` or `sbuild` [default: what assay.toml says, else `overlay`]
    #[arg(long)]
    pub(super) backend: Option<Backend>,
    /// Only print the jobs that the policy still lacks. Builds that did not succeed are said on standard error; exit
    /// 1 when they are all that is left
    #[arg(long, conflicts_with_all = ["builders", "nonce", "take", "output"])]
    pub(super) plan: bool,
    /// With `--plan`: plan also for builders whose build did not succeed, with a nonce and a run of its own
    #[arg(long, requires = "plan")]
    pub(super) again: bool,
    /// With `--plan`: issue the nonce of each job, for builders that cannot write to the store
    #[arg(long, requires = "plan")]
    pub(super) issue: bool,
    /// With `--issue`: so many jobs more for each builder of the plan, of sources that were admitted, taken by
    /// chance among the others: a builder who answers one with other bytes counts no more (rule R9)
    #[arg(long, value_name = "N", requires = "issue", default_value_t = 0)]
    pub(super) canaries: usize,
    /// Answer this nonce, which the gate issued to the one builder
    #[arg(long, value_name = "HEX", requires_all = ["builders", "run", "output"])]
    pub(super) nonce: Option<String>,
    /// Which run this is, as the plan says: another one varies other things
    #[arg(long, value_name = "N", requires = "nonce")]
    pub(super) run: Option<usize>,
    /// Write the answer into this new folder, and nothing into the store; without `--nonce` only what was built,
    /// and no record
    #[arg(long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Only compare what rebuilds gave: where outputs differ, the likely cause, and diffoscope's word when it is
    /// installed
    #[arg(long, conflicts_with_all = ["builders", "nonce", "take", "output", "plan"])]
    pub(super) compare: bool,
    /// Keep links that workers of rebuilderd signed: they are shown, and never counted
    #[arg(long = "link", value_name = "FILE", conflicts_with_all = ["builders", "nonce", "output", "take", "plan"])]
    pub(super) links: Vec<PathBuf>,
    /// Take answers of builders on other machines: folders that `--output` wrote
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["builders", "nonce", "output"])]
    pub(super) take: Vec<PathBuf>,
}

/// Decide whether rebuilt packages may enter the archive, and publish those that may
///
/// Exit 1 when one is refused, 6 when the `.changes` that was named waits for rebuilds: nothing of it is kept before enough
/// builders are bound to their results. In an incoming folder (`--incoming`) an upload may wait: that is exit 0. Every decision is signed and kept, refusals too. With `--from` nothing was rebuilt:
/// packages of a mirror get in as upstream signed them, where the policy lets them, and every answer says so.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay admit hello\n  assay admit ./hello_2.10-3_amd64.changes --explain\n  assay admit --incoming /srv/incoming\n  assay admit --from debian@latest hello --suite stable --reason 'freeze exception'"
)]
pub(super) struct AdmitArgs {
    /// Declared source packages, or `.changes` files of builds that are offered; with `--from` the mirror's source
    /// packages, `NAME` or `NAME=VERSION`
    #[arg(value_name = "NAME|FILE.changes", required_unless_present = "incoming")]
    pub(super) candidates: Vec<String>,
    /// Every upload in a folder that dput or scp writes to [default folder: the archive's `incoming`]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub(super) incoming: Option<Option<PathBuf>>,
    /// How long an upload that is not whole may rest before it is refused, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "incoming")]
    pub(super) patience: u32,
    /// The custom archive [default: the only one]
    #[arg(long)]
    pub(super) archive: Option<ArchiveName>,
    /// Print each rule with its evidence and the command that repeats the check
    #[arg(long)]
    pub(super) explain: bool,
    #[command(flatten)]
    pub(super) import: super::import::ImportArgs,
}

/// Project the newest record again: finishes what a crash interrupted, renews what gets old
///
/// The suites that repos/ARCHIVE.toml names for a custom archive, and it has not yet, are made: empty and signed. A custom archive whose Valid-Until is more than half over gets a new snapshot of the same content.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay publish\n  assay publish --all debian   # what `verify` or `fsck` missed below dists/ comes back\n  assay publish custom   # also makes the suites that repos/custom.toml names anew\n  assay publish --prepare /media/usb/today\n  assay publish --attach /media/usb/today"
)]
pub(super) struct PublishArgs {
    /// The archives [default: all]
    #[arg(value_name = "ARCHIVE")]
    pub(super) archives: Vec<ArchiveName>,
    /// Also every snapshot and tag that is kept: files that are lost below dists/ come back when their bytes are under another name
    #[arg(long)]
    pub(super) all: bool,
    /// Publish nothing: write what waits for keys on another machine into a new folder, to be signed there
    #[arg(long, value_name = "DIR", conflicts_with = "attach")]
    pub(super) prepare: Option<PathBuf>,
    /// Take what was signed of such folders, check it, and publish it at once
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "archives")]
    pub(super) attach: Vec<PathBuf>,
}

/// Print APT sources for exactly one state
///
/// With `--tails-checkout`, what an image's checkout may be built from: its base branch, tags, overlays
/// and serial files decide, as policies/branches.toml says. Exit 1, with the rule, when it may not.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay sources --snapshot debian@2026112201 --snapshot custom > /etc/apt/sources.list.d/assay.sources\n  assay sources --tails-checkout ~/tails\n  assay sources --tails-checkout ~/tails --print-serials-only --json"
)]
pub(super) struct SourcesArgs {
    /// The snapshots [default: the latest of every archive]
    #[arg(long = "snapshot", value_name = "REF")]
    pub(super) snapshots: Vec<SnapshotRef>,
    /// Every archive that has this tag, at this tag
    #[arg(long, value_name = "NAME", conflicts_with = "snapshots")]
    pub(super) tag: Option<TagName>,
    /// The snapshots that a file of `assay lock` names, when they still are what it says
    #[arg(long, value_name = "FILE", conflicts_with_all = ["snapshots", "tag"])]
    pub(super) lock: Option<PathBuf>,
    /// The base URL to write [default: the site's public URL]
    #[arg(long)]
    pub(super) url: Option<String>,
    /// The checkout of an image that is built as Tails is
    #[arg(long, value_name = "DIR", conflicts_with_all = ["snapshots", "tag", "lock"])]
    pub(super) tails_checkout: Option<PathBuf>,
    /// Only print the serials, `latest` resolved: `ARCHIVE: SERIAL` lines, or one JSON object with --json
    #[arg(long, requires = "tails_checkout")]
    pub(super) print_serials_only: bool,
    /// The serials that another build used, as JSON: what `latest` means this time
    #[arg(long, value_name = "JSON", requires = "tails_checkout")]
    pub(super) serials: Option<String>,
    /// No packages of our own: for a site that has no custom archive, or an empty one
    #[arg(long, requires = "tails_checkout")]
    pub(super) without_custom: bool,
    /// Where the checkout keeps its serial files
    #[arg(long, value_name = "DIR", default_value = SERIAL_FILES)]
    pub(super) serial_files: PathBuf,
}

/// Where Tails keeps its serial files.
const SERIAL_FILES: &str = "config/APT_snapshots.d";

/// Write serial files in an image's checkout
///
/// `freeze` writes the newest serial of each archive, `thaw` writes `latest`; each prints what was
/// there and what is there now. Archives that policies/branches.toml calls `never-frozen`
/// (debian-security) are left alone unless they are named. Nothing is committed to Git.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay freeze ~/tails\n  assay thaw ~/tails --archive debian --archive torproject\n  assay freeze ~/tails --serial-files vagrant/definitions/tails-builder/config/APT_snapshots.d"
)]
pub(super) struct FreezeArgs {
    /// The checkout
    #[arg(value_name = "DIR")]
    pub(super) checkout: PathBuf,
    /// The archives [default: all that have a serial file, without those that are never frozen]
    #[arg(long = "archive", value_name = "ARCHIVE")]
    pub(super) archives: Vec<ArchiveName>,
    /// Where the checkout keeps its serial files
    #[arg(long, value_name = "DIR", default_value = SERIAL_FILES)]
    pub(super) serial_files: PathBuf,
}

/// Print the chain behind a package, a file or a hash, hop by hop
///
/// Exit 0 when every hop is proven, 3 when one is refuted, 6 when the evidence does not suffice.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay why hello\n  assay why ./hello_2.10-3_amd64.deb")]
pub(super) struct WhyArgs {
    /// A package name, a file, or a SHA-256
    #[arg(value_name = "PACKAGE|FILE|SHA256")]
    pub(super) what: String,
    /// Do not fetch the Git repository: the last hops are then unknown
    #[arg(long)]
    pub(super) offline: bool,
}

/// Look for damage: hash every object again, on all processors
///
/// Names each object that is damaged or missing, once, with its other names; exit 3 when there is one.
/// What is whole but not proven, too old, or not needed is no damage: `assay verify` and `assay gc` see to that.
/// A mirror has no need of a file that it never fetched; what a full pool had is missed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay fsck\n  assay fsck debian --json\n  assay fsck debian --repair")]
pub(super) struct FsckArgs {
    /// The archives [default: all]
    #[arg(value_name = "ARCHIVE")]
    pub(super) archives: Vec<ArchiveName>,
    /// Put back what is damaged and missing of mirrors: indexes from another of their names or forms or from upstream, pool
    /// files from upstream, all verified
    #[arg(long)]
    pub(super) repair: bool,
}

/// Remove what nobody needs: expired and dropped snapshots, then the files that only they had
///
/// Prints one line for each thing that goes, and why; with `-v` also for each that stays. Snapshots stay
/// by the archive's `keep`, and whatever that says when a tag, an environment lock, a serial file or
/// `assay snapshot keep` needs them. What was the newest until less than an hour ago stays for clients that are in the middle
/// of it, which is said, unless `--at-once` is given. Can be killed at any time: the next run finishes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay gc --dry-run\n  assay gc debian -v")]
pub(super) struct GcArgs {
    /// The archives [default: all]
    #[arg(value_name = "ARCHIVE")]
    pub(super) archives: Vec<ArchiveName>,
    /// Only say what would go
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Let go also what was the newest a moment ago, which clients that are reading it see vanish, and what a mirror without any
    /// snapshot has
    #[arg(long)]
    pub(super) at_once: bool,
    /// Go on although a serial file or a lock on a branch cannot be read: what it alone kept goes
    #[arg(long)]
    pub(super) ignore_unreadable: bool,
    /// Build outputs go that are held for so many days and wait for nothing
    #[arg(long, value_name = "DAYS", default_value = "30")]
    pub(super) held: Days,
    /// How many seconds to wait for others who work on an archive
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(super) wait: u64,
}

/// Ages, expiries, and what fails
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay status --json")]
pub(super) struct StatusArgs {}

/// Serve archives over HTTP, with snapshot URLs and pull-through
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay serve --listen 127.0.0.1:8080")]
pub(super) struct ServeArgs {
    /// Where to listen; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: std::net::SocketAddr,
}

/// Make and list keys
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay key new builder\n  assay key list")]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    pub(super) verb: KeyVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Make a key: OpenPGP for an archive, Ed25519 for a builder or the gate
    #[command(after_help = "Example:\n  assay key new archive --name 'Example archive'\n  assay key new builder")]
    New {
        /// What the key is for
        #[arg(value_enum)]
        purpose: Purpose,
        /// The user id of an archive's key
        #[arg(long, default_value = "Assay archive")]
        name: String,
        /// After how many days an archive's key ends [default: never]
        #[arg(long = "for", value_name = "DAYS")]
        valid_for: Option<Days>,
    },
    /// Let an archive's key, whose secret is here, end later: clients need its new certificate by then
    #[command(after_help = "Example:\n  assay key extend E8701A38B509D82F5BDF382BE360F957BB254C1F --for 730d")]
    Extend {
        /// The fingerprint
        #[arg(value_name = "FINGERPRINT")]
        key: Fingerprint,
        /// From today on for how many days
        #[arg(long = "for", value_name = "DAYS", default_value = "730d")]
        valid_for: Days,
    },
    /// List the site's keys: fingerprint, kind, whether this machine can sign with it, which archives it signs for, and when it ends
    #[command(after_help = "Example:\n  assay key list")]
    List,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Purpose {
    /// OpenPGP: signs Release files
    Archive,
    /// Ed25519: signs rebuild records
    Builder,
    /// Ed25519: signs decisions
    Gate,
}

/// Print shell completions or write man pages
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay generate completions bash > /etc/bash_completion.d/assay\n  assay generate man /usr/share/man/man1"
)]
pub(super) struct GenerateArgs {
    #[command(subcommand)]
    pub(super) what: GenerateVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum GenerateVerb {
    /// Completions for a shell, on standard output
    #[command(after_help = "Example:\n  assay generate completions bash > /etc/bash_completion.d/assay")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Man pages, one for each verb, into a folder
    #[command(after_help = "Example:\n  assay generate man /usr/share/man/man1")]
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}
