//! Why an image cannot be built yet.

use crate::domain::{Coded, GitRef, Kind, PackageName, SuiteName};

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
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuite { .. } => Kind::Usage,
            Self::NotAdmitted { .. } | Self::Refused { .. } | Self::Expired { .. } | Self::Foreign { .. } => {
                Kind::Refused
            }
            Self::Unproven { .. } => Kind::Verification,
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
            Self::Unproven { .. } => "`assay verify` names all that does not hold".to_owned(),
            Self::Expired { archive, name, .. } => format!("renew it: `assay snapshot renew {archive}@{name}`"),
        })
    }
}
