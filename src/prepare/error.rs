//! Why an image cannot be built yet.

use crate::domain::{Coded, GitOid, GitRef, Kind, PackageName, SuiteName};
use crate::source::Strayed;
use crate::source::checkout::LINK;

/// So many files are named.
const SHOWN: usize = 10;

/// Why an image cannot be built yet, with what mends it.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The branch that is built has no suite of its own for what it declares.
    #[error(
        "`{source_package}` is declared and in none of the image's suites, and there is none that it could go to: {why}"
    )]
    NoSuite {
        /// The source package.
        source_package: PackageName,
        /// Why.
        why: String,
        /// What mends it.
        fix: String,
    },
    /// It has to be admitted first, and this site cannot do that.
    #[error(
        "`{source_package}` is declared and not admitted to the suite `{suite}`, and this site cannot admit it: {why}"
    )]
    NotAdmitted {
        /// The source package.
        source_package: PackageName,
        /// The suite.
        suite: SuiteName,
        /// Why.
        why: String,
    },
    /// The gate refused it.
    #[error("`{source_package}` is refused for the suite `{suite}`: {why}")]
    Refused {
        /// The source package.
        source_package: PackageName,
        /// The suite.
        suite: SuiteName,
        /// The rules, with what was found.
        why: String,
    },
    /// A suite has it by a decision that does not hold.
    #[error("the suite `{suite}` has `{source_package}` by a decision that does not hold: {why}")]
    Unproven {
        /// The source package.
        source_package: PackageName,
        /// The suite.
        suite: SuiteName,
        /// What does not hold.
        why: String,
    },
    /// A suite of the image belongs to a branch or tag that the image is not built from.
    #[error("the suite `{suite}` is of `{reference}`, which is not what the image is built from")]
    Foreign {
        /// The suite.
        suite: SuiteName,
        /// Whose it is.
        reference: GitRef,
    },
    /// A suite of a tag that names another commit now.
    #[error("the suite `{suite}` was made for `{reference}` at {made}, and the tag names {now} here")]
    Moved {
        /// The suite.
        suite: SuiteName,
        /// The tag.
        reference: GitRef,
        /// What it named when the suite was made.
        made: GitOid,
        /// What it names in the checkout.
        now: GitOid,
    },
    /// A tag that a declared source was signed under is another one now.
    #[error("`{source_package}` is not what its repository has: {strayed}")]
    Strayed {
        /// The source package.
        source_package: PackageName,
        /// The tag, and what became of it.
        strayed: Strayed,
    },
    /// The work tree is not what is committed.
    #[error("the image's packages are not defined by a commit: {}", list(files))]
    Uncommitted {
        /// Each file, and what is wrong with it.
        files: Vec<(String, &'static str)>,
    },
    /// The work tree, or its commit, changed while it was prepared from.
    #[error("the checkout or the site changed while the image was prepared: it is of no one commit")]
    Changed,
    /// A snapshot that the image would be built from is too old for apt.
    #[error("`{archive}@{name}` runs out at {at}: apt would refuse it")]
    Expired {
        /// The archive.
        archive: String,
        /// The snapshot.
        name: String,
        /// When.
        at: String,
    },
}

impl Coded for PrepareError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuite { .. } => "E-PREP-001",
            Self::NotAdmitted { .. } => "E-PREP-002",
            Self::Refused { .. } => "E-PREP-003",
            Self::Unproven { .. } => "E-PREP-004",
            Self::Expired { .. } => "E-PREP-005",
            Self::Foreign { .. } => "E-PREP-006",
            Self::Moved { .. } => "E-PREP-007",
            Self::Uncommitted { .. } => "E-PREP-008",
            Self::Changed => "E-PREP-009",
            Self::Strayed { .. } => "E-PREP-010",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuite { .. } => Kind::Usage,
            Self::NotAdmitted { .. }
            | Self::Refused { .. }
            | Self::Expired { .. }
            | Self::Foreign { .. }
            | Self::Moved { .. }
            | Self::Uncommitted { .. }
            | Self::Changed => Kind::Refused,
            Self::Unproven { .. } | Self::Strayed { .. } => Kind::Verification,
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuite { fix, .. } => fix.clone(),
            Self::NotAdmitted { .. } => {
                "run `assay prepare` where the gate's and the archive's keys are, then publish the store".to_owned()
            }
            Self::Refused { source_package, .. } => {
                format!(
                    "`assay rebuild {source_package} --plan` says what is lacking, `assay admit {source_package} --explain` why"
                )
            }
            Self::Foreign { reference, .. } => format!(
                "delete `{reference}` or give the other another name; the suite is free when `assay suite sync` has let it go"
            ),
            Self::Moved { reference, .. } => format!(
                "find out who moved `{reference}`; fetch it as it was, or make a new tag for what is to be released"
            ),
            Self::Strayed {
                source_package,
                strayed,
            } => format!(
                "find out who moved `{}`, and put it back; what is new gets a tag of its own, and `assay declare` again: \
                 `assay source verify {source_package}` says more",
                strayed.reference
            ),
            Self::Uncommitted { files } if files.iter().any(|(_, what)| *what == LINK) => {
                "put the file itself in place of each link, and commit it: a commit does not have what a link leads to"
                    .to_owned()
            }
            Self::Uncommitted { .. } => "commit what belongs to the image, and remove what does not; `--allow-dirty` \
                                         prepares for a build that nobody has to repeat"
                .to_owned(),
            Self::Changed => "run `assay prepare` again: what was built already is used; prepare from a checkout \
                              that nobody else changes"
                .to_owned(),
            Self::Unproven { .. } => "`assay verify` names all that does not hold".to_owned(),
            Self::Expired { archive, name, .. } => format!("renew it: `assay snapshot renew {archive}@{name}`"),
        })
    }
}

/// Files with a word for each, the first ones.
pub(super) fn list(files: &[(String, &'static str)]) -> String {
    let shown: Vec<String> = files
        .iter()
        .take(SHOWN)
        .map(|(file, what)| format!("`{file}` is {what}"))
        .collect();
    match files.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}
