//! Rebuild records: what one builder says about one build, as an in-toto Statement with SLSA
//! Provenance v1 (`docs/build-type.md`).

use serde::{Deserialize, Serialize};

use super::{Finished, Limits, RebuildError, Variation};
use crate::domain::{BuilderId, Sha256};
use crate::environment::Lock;
use crate::format::intoto::{Provenance, Statement};
use crate::source::Declaration;

/// `buildType` of our records.
pub const BUILD_TYPE: &str = "https://assay.invalid/build-type/v1";

/// `externalParameters`: what a verifier has to check. Unknown ones are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Parameters {
    /// SHA-256 of the declaration's canonical JSON.
    pub declaration: Sha256,
    /// SHA-256 of the environment lock's canonical JSON.
    pub environment_lock: Sha256,
    /// How it was built.
    pub recipe: Recipe,
    /// What the gate issued for this one rebuild (gate rule R3).
    pub nonce: String,
}

/// How a build was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Recipe {
    /// What was built: `binary`, as `dpkg-buildpackage --build` has it.
    pub build: String,
    /// Where.
    pub build_path: String,
    /// `DEB_BUILD_OPTIONS`.
    pub deb_build_options: String,
    /// `DEB_BUILD_PROFILES`.
    pub deb_build_profiles: String,
    /// `LC_ALL`.
    pub lc_all: String,
    /// `TZ`.
    pub tz: String,
    /// The umask, octal.
    pub umask: String,
    /// The host name.
    pub hostname: String,
    /// The build user's name.
    pub user: String,
    /// The build user's id.
    pub uid: u32,
    /// `SOURCE_DATE_EPOCH`: the changelog head's date.
    pub source_date_epoch: i64,
    /// What the build could reach: `none`.
    pub network: String,
    /// Wall time that it had, in seconds.
    pub seconds: u64,
}

/// All that a record is made of.
#[derive(Debug, Clone, Copy)]
pub struct RecordInput<'a> {
    /// What was to be built.
    pub declaration: &'a Declaration,
    /// SHA-256 of its canonical JSON.
    pub declaration_sha256: &'a Sha256,
    /// In which environment.
    pub lock: &'a Lock,
    /// SHA-256 of its canonical JSON.
    pub lock_sha256: &'a Sha256,
    /// What was varied.
    pub variation: &'a Variation,
    /// What it could use.
    pub limits: &'a Limits,
    /// The gate's nonce.
    pub nonce: &'a str,
    /// Who built.
    pub builder: &'a BuilderId,
    /// What came out.
    pub finished: &'a Finished,
}

/// What the builder signs.
///
/// # Errors
/// Never for a finished run.
pub fn statement(input: &RecordInput<'_>) -> Result<Statement<Provenance<Parameters>>, RebuildError> {
    let _ = input;
    Err(RebuildError::Record {
        why: "not yet".to_owned(),
    })
}

/// Reads the payload of a record whose signature has been checked.
///
/// # Errors
/// When it is not exactly such a statement, of our build type.
pub fn read_statement(payload: &[u8]) -> Result<Statement<Provenance<Parameters>>, RebuildError> {
    let _ = payload;
    Err(RebuildError::Record {
        why: "not yet".to_owned(),
    })
}
