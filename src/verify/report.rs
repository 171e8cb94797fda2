//! What was checked and what does not hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Proof;
use crate::domain::{ArchiveName, Coded, DomainError, Kind, PoolPath, RelPath};
use crate::site::SiteError;
use crate::store::{Key, StoreError};

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The object's name in the store.
    pub object: String,
    /// The stable code.
    pub code: &'static str,
    /// What is wrong with it.
    pub why: String,
    /// Other names of the very same object (hard links) that are wrong in the same way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl Problem {
    /// An object whose bytes are not what its name or an index says.
    pub(crate) const DAMAGED: &'static str = "V-DAMAGED";
    /// An object that must be there and is not.
    pub(crate) const MISSING: &'static str = "V-MISSING";
    /// An object that nothing signed names.
    pub(crate) const UNNAMED: &'static str = "V-UNNAMED";
    /// A symbolic link, pipe, socket or device, which the store never makes.
    pub(crate) const STRANGE: &'static str = "V-STRANGE";
    /// A snapshot record that is malformed or breaks the chain.
    pub(crate) const RECORD: &'static str = "V-RECORD";
    /// A signature that does not hold.
    pub(crate) const SIGNATURE: &'static str = "V-SIGNATURE";
    /// A Release file that is not what its record says.
    pub(crate) const RELEASE: &'static str = "V-RELEASE";
    /// A Release file that clients refuse because of its age.
    pub(crate) const EXPIRED: &'static str = "V-EXPIRED";
    /// An index that upstream did not sign.
    pub(crate) const UPSTREAM: &'static str = "V-UPSTREAM";
    /// An index that does not follow from its packages or decisions.
    pub(crate) const INDEX: &'static str = "V-INDEX";
    /// A decision that does not admit what is published.
    pub(crate) const DECISION: &'static str = "V-DECISION";
    /// A declaration that its Git repository does not bear out.
    pub(crate) const SOURCE: &str = "V-SOURCE";
    /// Evidence that a decision names and that does not carry it.
    pub(crate) const EVIDENCE: &'static str = "V-EVIDENCE";

    /// A build environment that its snapshots, or upstream's signature, do not bear out.
    pub(crate) const ENVIRONMENT: &'static str = "V-ENVIRONMENT";
    /// No finding: what could not be rechecked, since what it takes is in another store.
    pub(crate) const NOT_RECHECKED: &'static str = "V-NOT-RECHECKED";

    /// No finding: a decision that was made under other rules, which today's judge otherwise.
    pub(crate) const OTHER_RULES: &'static str = "V-OTHER-RULES";

    /// What the gate must never forget, and its ledger, lineages or newest record have not.
    pub(crate) const LEDGER: &'static str = "V-LEDGER";

    /// What a checkpoint knows and the store has no more.
    pub(crate) const CHECKPOINT: &'static str = "V-CHECKPOINT";

    /// What `assay.lock` says and the archives do not.
    pub(crate) const LOCK: &'static str = "V-LOCK";

    pub(crate) fn new(code: &'static str, object: impl ToString, why: impl ToString) -> Self {
        Self {
            object: object.to_string(),
            code,
            why: why.to_string(),
            also: Vec::new(),
        }
    }

    /// Whether the object is not there as it should be.
    fn is_lost(&self) -> bool {
        [Self::DAMAGED, Self::MISSING].contains(&self.code)
    }

    /// What is left of a proof that needs the object: without it nothing can be said.
    #[must_use]
    pub fn proof(&self) -> Proof {
        if [Self::MISSING, Self::NOT_RECHECKED].contains(&self.code) {
            Proof::Unknown
        } else {
            Proof::Refuted
        }
    }
}

/// How a recheck came out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Snapshots whose records were read.
    pub snapshots: u64,
    /// Tags that were read.
    pub tags: u64,
    /// Suites of snapshots and tags that have only some of upstream's packages or indexes.
    pub partial_suites: u64,
    /// The indexes that upstream's Release lists and these suites are without, by archive, edition and suite.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lacking: BTreeMap<String, BTreeSet<RelPath>>,
    /// Release files whose signatures were checked.
    pub releases: u64,
    /// Objects that were hashed.
    pub objects: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Packages whose decision was checked.
    pub packages: u64,
    /// Build environments, of packages that are listed, that were rechecked.
    pub environments: u64,
    /// Those that could not be, since the snapshots are not in this store, and why; and decisions that rules of today
    /// judge otherwise than those that they were made under.
    pub not_rechecked: Vec<Problem>,
    /// Packages and sources that are there on their operator's word, by unproven archive: their stanzas and hashes hold, and
    /// nothing is said of where they came from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unproven: BTreeMap<ArchiveName, u64>,
    /// Archives of which nothing is published yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<ArchiveName>,
    /// What does not hold, by object.
    pub problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn problem(&mut self, code: &'static str, object: impl ToString, why: impl ToString) {
        self.problems.push(Problem::new(code, object, why));
    }

    /// So many environments were looked at, and this was found.
    pub(super) fn environments(&mut self, all: usize, found: Vec<Problem>) {
        let (open, problems): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|problem| problem.code == Problem::NOT_RECHECKED);
        let unknown: BTreeSet<&str> = open.iter().map(|problem| problem.object.as_str()).collect();
        self.environments = all.saturating_sub(unknown.len()) as u64;
        self.not_rechecked.extend(open);
        self.problems.extend(problems);
    }

    pub(crate) fn sort(&mut self) {
        self.problems.sort();
        self.problems.dedup();
    }

    /// Whether something in this folder is damaged or missing.
    #[must_use]
    pub fn has_lost(&self, folder: &str) -> bool {
        let mut bad = self.problems.iter().filter(|problem| problem.is_lost());
        bad.any(|problem| {
            problem
                .object
                .rsplit_once('/')
                .is_some_and(|(above, _)| above == folder)
        })
    }

    /// The files of an archive's pool that are damaged or missing.
    #[must_use]
    pub fn pool_files(&self, archive: &ArchiveName) -> Vec<PoolPath> {
        let top = format!("{archive}/");
        let bad = self.problems.iter().filter(|problem| problem.is_lost());
        let below = bad.filter_map(|problem| problem.object.strip_prefix(&top));
        let ours = |path: &&str| {
            ["dists/", "provenance/", "project/"]
                .iter()
                .any(|top| path.starts_with(top))
        };
        let pool = below.filter(|path| !ours(path));
        pool.filter_map(|path| PoolPath::new(path).ok()).collect()
    }

    /// The names below `dists/` of an archive's files that are damaged or missing.
    #[must_use]
    pub fn index_files(&self, archive: &ArchiveName) -> BTreeSet<String> {
        let top = format!("{archive}/dists/");
        let bad = self.problems.iter().filter(|problem| problem.is_lost());
        let names = bad.flat_map(|problem| std::iter::once(&problem.object).chain(&problem.also));
        names.filter(|name| name.starts_with(&top)).cloned().collect()
    }

    /// An object is there again as it should be, under this name.
    pub fn repaired(&mut self, name: &Key) {
        self.problems.retain_mut(|problem| {
            if !problem.is_lost() {
                return true;
            }
            problem.also.retain(|other| other != name.as_str());
            if problem.object != name.as_str() {
                return true;
            }
            // What is left has still the other names.
            match problem.also.is_empty() {
                true => false,
                false => {
                    problem.object = problem.also.remove(0);
                    true
                }
            }
        });
    }
}

/// Why nothing could be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The site's keys or policies.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] DomainError),
    /// A checkpoint that is none, or that too few witnesses signed.
    #[error("the checkpoint cannot be gone by: {0}")]
    Checkpoint(String),
    /// What was asked for may be in an index that cannot be read.
    #[error("it may be listed where nothing can be read: {}: {}", .0.object, .0.why)]
    Unread(Box<Problem>),
    /// A Git repository could not be read.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
}

impl Coded for VerifyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Site(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Name(error) => error.code(),
            Self::Checkpoint(_) => "E-VERIFY-001",
            Self::Unread(_) => "E-VERIFY-002",
            Self::Source(error) => error.code(),
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Site(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Name(error) => error.kind(),
            Self::Checkpoint(_) => Kind::Verification,
            Self::Unread(_) => Kind::Unknown,
            Self::Source(error) => error.kind(),
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Site(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Name(error) => error.hint(),
            Self::Unread(_) => Some("run `assay fsck`".to_owned()),
            Self::Checkpoint(_) => Some("take one that you kept, or that your witnesses signed".to_owned()),
            Self::Source(error) => error.hint(),
        }
    }
}
