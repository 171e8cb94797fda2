//! `repos/<archive>.toml`: mirrors, custom archives and unproven ones.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::own::{Gated, OwnKind, Ungated};
use super::{BranchSuites, Overrides, Rebuild, Select};

use crate::domain::{
    Architecture, ArchiveName, Component, Fingerprint, FlatFolder, HostName, PolicyName, PublicUrl, SignedByKey,
    SuiteName,
};
use crate::format::compress::Compression;

/// One archive of the site. The file's name is the archive's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveConfig {
    /// Follows an upstream archive.
    Mirror(MirrorArchive),
    /// Holds what we admitted, nothing else.
    Custom(CustomArchive),
    /// Holds what its operator puts in: nothing of it is proven.
    Unproven(UnprovenArchive),
}

impl ArchiveConfig {
    /// See [`OwnArchive::extract_changelogs`].
    pub(super) fn say_where_changelogs_are(&mut self, name: &ArchiveName, public_url: &PublicUrl) {
        match self {
            Self::Mirror(_) => {}
            Self::Custom(custom) => custom.say_where_changelogs_are(name, public_url),
            Self::Unproven(unproven) => unproven.say_where_changelogs_are(name, public_url),
        }
    }

    /// The word for it.
    #[must_use]
    pub fn kind(&self) -> ArchiveKind {
        match self {
            Self::Mirror(mirror) => mirror.kind,
            Self::Custom(custom) => custom.kind,
            Self::Unproven(unproven) => unproven.kind,
        }
    }

    /// How long its snapshots are kept.
    #[must_use]
    pub fn keep(&self) -> Option<Keep> {
        match self {
            Self::Mirror(mirror) => mirror.keep,
            Self::Custom(custom) => custom.keep,
            Self::Unproven(unproven) => unproven.keep,
        }
    }

    /// The OpenPGP key that signs its Release files, alone or first.
    #[must_use]
    pub fn signing_key(&self) -> &Fingerprint {
        match self {
            Self::Mirror(mirror) => &mirror.signing_key,
            Self::Custom(custom) => &custom.signing_key,
            Self::Unproven(unproven) => &unproven.signing_key,
        }
    }

    /// What else there is to say of its keys.
    #[must_use]
    pub fn signing(&self) -> &Signing {
        match self {
            Self::Mirror(mirror) => &mirror.signing,
            Self::Custom(custom) => &custom.signing,
            Self::Unproven(unproven) => &unproven.signing,
        }
    }

    /// All keys that sign its Release files, each of them each.
    #[must_use]
    pub fn signing_keys(&self) -> Vec<Fingerprint> {
        let further = self.signing().further_keys.iter();
        std::iter::once(self.signing_key()).chain(further).cloned().collect()
    }

    /// `Valid-Until` of its Release files, in days from their Date.
    #[must_use]
    pub fn valid_days(&self) -> u32 {
        match self {
            Self::Mirror(mirror) => mirror.valid_days,
            Self::Custom(custom) => custom.valid_days,
            Self::Unproven(unproven) => unproven.valid_days,
        }
    }
}

/// `[signing]` of an archive: its keys beside `signing-key`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Signing {
    /// Keys that sign everything that `signing-key` signs, too: clients need to trust one of them.
    #[serde(default)]
    pub further_keys: Vec<Fingerprint>,
    /// Keys that signed before. Nothing new is believed by them; `verify` proves by them what is old.
    #[serde(default)]
    pub former_keys: Vec<Fingerprint>,
    /// `Signed-By` of our Release files: the keys by which clients take the next one. Empty: there is no such field.
    #[serde(default)]
    pub signed_by: Vec<SignedByKey>,
}

impl Signing {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The word in `kind`. It stands in each kind's own struct, not in a tag around them: so errors keep
/// the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveKind {
    /// Follows an upstream archive.
    Mirror,
    /// Holds what we admitted, nothing else.
    Custom,
    /// Holds what its operator puts in: nothing of it is proven.
    Unproven,
}

impl ArchiveKind {
    /// The word in `kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Custom => "custom",
            Self::Unproven => "unproven",
        }
    }
}

/// How a mirror keeps pool files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolMode {
    /// On first request.
    Lazy,
    /// All that the indexes name, before a snapshot is made.
    Full,
    /// What `[select]` names and all that it needs, before a snapshot is made.
    Closure,
}

/// A kind of index that a mirror follows beside Packages, Sources and Translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexKind {
    /// `Contents-*`: which package has which file.
    Contents,
    /// `dep11/`: what software centres show, with icons.
    Dep11,
    /// `cnf/Commands-*`: which package has which command.
    CommandNotFound,
    /// `debian-installer/binary-*`: packages of the installer.
    Udebs,
    /// `*.diff/`: patches for clients that have an earlier snapshot.
    Pdiffs,
    /// `installer-*/`: images of the installer, with all that their `SHA256SUMS` name.
    Installer,
}

impl IndexKind {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Contents,
        Self::Dep11,
        Self::CommandNotFound,
        Self::Udebs,
        Self::Pdiffs,
        Self::Installer,
    ];
}

/// A compressed form of the indexes that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexForm {
    /// gzip: what every client reads.
    Gz,
    /// xz: the smallest, and what apt takes first.
    Xz,
    /// Zstandard: the quickest.
    Zst,
}

impl IndexForm {
    /// How it is compressed.
    #[must_use]
    pub fn compression(self) -> Compression {
        match self {
            Self::Gz => Compression::Gzip,
            Self::Xz => Compression::Xz,
            Self::Zst => Compression::Zstd,
        }
    }

    /// The two that every client has one of.
    #[must_use]
    pub fn usual() -> BTreeSet<Self> {
        BTreeSet::from([Self::Gz, Self::Xz])
    }
}

/// Where packages for all architectures are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllPackages {
    /// In the index of each architecture.
    #[default]
    Everywhere,
    /// There, and in an index of their own, which apt is told not to read: as Debian does.
    Also,
    /// In an index of their own, and nowhere else.
    Apart,
}

impl AllPackages {
    /// Whether they have an index of their own.
    #[must_use]
    pub fn has_index(self) -> bool {
        self != Self::Everywhere
    }

    /// Whether they are in the index of each architecture.
    #[must_use]
    pub fn is_in_each(self) -> bool {
        self != Self::Apart
    }
}

/// How long snapshots are kept: each rule keeps what the other would not. Without any: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keep {
    /// This many days from the snapshot's id.
    pub days: Option<u32>,
    /// This many of the newest.
    pub count: Option<u32>,
}

/// `kind = "mirror"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MirrorArchive {
    /// `mirror`.
    pub kind: ArchiveKind,
    /// The upstream's base URL. Absent: the mirror that this machine's apt follows for the same
    /// Origin, Label and suite.
    pub uri: Option<String>,
    /// Hosts that redirects may lead to, beside that of the base URL. A private address must be named
    /// itself: a name that leads to one is not followed.
    #[serde(default)]
    pub allowed_hosts: Vec<HostName>,
    /// How old upstream's Release files may get, in days from their Date; absent: as `Valid-Until` says,
    /// and as old as they like without one, as those of a released Debian are.
    pub max_age_days: Option<NonZeroU16>,
    /// `Origin` that upstream's Release files must have.
    pub origin: String,
    /// `Label` that upstream's Release files must have.
    pub label: String,
    /// A keyring file: absolute, or relative to the site.
    pub keyring: PathBuf,
    /// Full fingerprints of the primary keys that may sign, out of the keyring.
    pub signers: Vec<Fingerprint>,
    /// How many of them must have signed.
    #[serde(default = "one")]
    pub threshold: u32,
    /// Upstream is a flat repository in this folder below `uri`: `./`, or one with its slash. The one
    /// suite and component that are configured are then names of ours.
    pub flat: Option<FlatFolder>,
    /// Suites or codenames to follow.
    pub suites: Vec<SuiteName>,
    /// Components to follow.
    pub components: Vec<Component>,
    /// Architectures to follow; `all` comes with them.
    pub architectures: Vec<Architecture>,
    /// Languages of Translation indexes to follow.
    #[serde(default = "english")]
    pub languages: Vec<String>,
    /// Which indexes are followed beside Packages, Sources and Translation.
    #[serde(default = "usual_indexes")]
    pub indexes: BTreeSet<IndexKind>,
    /// Whether an index is made of the one before and upstream's patches, where those are less to fetch. It
    /// takes a minute of computing for what a fast line fetches in a second.
    #[serde(default)]
    pub follow_patches: bool,
    /// Whether sources are followed.
    #[serde(default = "yes")]
    pub sources: bool,
    /// How pool files are kept.
    pub pool: PoolMode,
    /// Which packages are followed; absent: all.
    pub select: Option<Select>,
    /// How long snapshots are kept; absent: for ever.
    pub keep: Option<Keep>,
    /// `Valid-Until` of our Release files, in days from our Date.
    #[serde(default = "ten_days")]
    pub valid_days: u32,
    /// The OpenPGP key that signs our Release files: `policies/keys/<this>.asc`, and the secret in
    /// the folder of keys.
    pub signing_key: Fingerprint,
    /// Which other keys sign, and which did.
    #[serde(default, skip_serializing_if = "Signing::is_default")]
    pub signing: Signing,
}

/// An archive whose indexes we make: custom, or unproven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", bound = "K: OwnKind")]
pub struct OwnArchive<K: OwnKind> {
    /// `custom` or `unproven`.
    pub kind: ArchiveKind,
    /// Our own `Origin`; it may not be one of an upstream's.
    pub origin: String,
    /// Our own `Label`.
    pub label: String,
    /// The suites that have a name of their own.
    #[serde(rename = "suite", default)]
    pub suites: Vec<OwnSuite<K>>,
    /// Suites of the branches and tags of a Git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<K::Gate<BranchSuites>>,
    /// Components; packages go to the first unless their declaration says otherwise.
    pub components: Vec<Component>,
    /// Architectures that have indexes.
    pub architectures: Vec<Architecture>,
    /// Where packages for all architectures are listed.
    #[serde(default)]
    pub all: AllPackages,
    /// The compressed forms of indexes, beside the plain one.
    #[serde(default = "IndexForm::usual")]
    pub compress: BTreeSet<IndexForm>,
    /// `Changelogs`: where clients find them, with `@CHANGEPATH@`; or `no`.
    #[serde(default)]
    pub changelogs: Option<String>,
    /// The component, one of `components`, that packages of debug symbols go to; absent: where their source goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbgsym_component: Option<Component>,
    /// Whether the changelogs of packages are taken out of them into the pool, where `apt changelog` finds them;
    /// `changelogs` follows from the site's `public-url` then, when it says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extract_changelogs: bool,
    /// Whether there are Contents indexes: which package has which file.
    #[serde(default = "yes")]
    pub contents: bool,
    /// Whether long descriptions are in a Translation-en, which clients may leave alone, and not in Packages.
    #[serde(default)]
    pub translations: bool,
    /// `Valid-Until` of our Release files, in days from our Date.
    #[serde(default = "ten_days")]
    pub valid_days: u32,
    /// How long snapshots are kept; absent: for ever.
    pub keep: Option<Keep>,
    /// The OpenPGP key that signs our Release files: `policies/keys/<this>.asc`, and the secret in
    /// the folder of keys.
    pub signing_key: Fingerprint,
    /// Which other keys sign, and which did.
    #[serde(default, skip_serializing_if = "Signing::is_default")]
    pub signing: Signing,
    /// The folder that uploads arrive in, relative to the site; absent: none is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<K::Gate<PathBuf>>,
    /// Sections and priorities that its indexes give binary packages.
    #[serde(rename = "override", default)]
    pub overrides: Overrides,
    /// Where build environments are resolved from; none where nothing is built, as when all is imported.
    #[serde(default)]
    pub environment: Vec<K::Gate<EnvironmentSource>>,
}

/// `kind = "custom"`: packages get in through the gate.
pub type CustomArchive = OwnArchive<Gated>;
/// `kind = "unproven"`: packages get in by whoever holds its key.
pub type UnprovenArchive = OwnArchive<Ungated>;

impl<K: OwnKind> OwnArchive<K> {
    /// The architectures that its Release files name: apt reads the index for all of them only when they name `all`.
    #[must_use]
    pub fn release_architectures(&self) -> Vec<Architecture> {
        let mut architectures = self.architectures.clone();
        if self.all.has_index() && !architectures.iter().any(Architecture::is_all) {
            architectures.insert(0, Architecture::all());
        }
        architectures
    }
}

/// One suite of an archive whose indexes we make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", bound = "K: OwnKind")]
pub struct OwnSuite<K: OwnKind> {
    /// Its name: `Suite` and `Codename` of its Release file.
    pub name: SuiteName,
    /// The policy that admits packages to it.
    pub policy: K::Gate<PolicyName>,
    /// When `assay prepare` rebuilds.
    #[serde(default = "K::rebuild")]
    pub rebuild: K::Gate<Rebuild>,
    /// `Description` of its Release file.
    #[serde(default)]
    pub description: Option<String>,
    /// `NotAutomatic: yes`: clients install from it only what they ask for by suite (pin 1).
    #[serde(default)]
    pub not_automatic: bool,
    /// `ButAutomaticUpgrades: yes`, beside the other: what came from it is upgraded from it (pin 100).
    #[serde(default)]
    pub but_automatic_upgrades: bool,
}

/// One suite of a custom archive.
pub type CustomSuite = OwnSuite<Gated>;

/// An archive and suite that build environments are resolved from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnvironmentSource {
    /// An archive of this site.
    pub archive: ArchiveName,
    /// One of its suites.
    pub suite: SuiteName,
    /// The components to use.
    pub components: Vec<Component>,
}

fn one() -> u32 {
    1
}

fn english() -> Vec<String> {
    vec!["en".to_owned()]
}

/// What stock clients look for. Patches and installer images are large, and few have use for them.
fn usual_indexes() -> BTreeSet<IndexKind> {
    use IndexKind::{CommandNotFound, Contents, Dep11, Udebs};
    BTreeSet::from([Contents, Dep11, CommandNotFound, Udebs])
}

fn yes() -> bool {
    true
}

fn ten_days() -> u32 {
    10
}
