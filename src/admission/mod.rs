//! Admission: policy, rules, decide (DESIGN §7). The gate.
//!
//! Owns every rule by its stable id. [`decide`] is pure: it never sees the network, the disk or the
//! clock, and the same evidence gives the same decision, in whatever order it is handed over.
//! Nothing is kept here, so nothing can be left behind by a crash; `publish` keeps what was decided.

mod candidate;
mod case;
mod context;
mod decide;
mod differences;
mod error;
mod evidence;
mod explain;
mod facts;
mod import;
mod ledger;
mod proof;
mod quorum;
mod rules;
mod standing;
mod unvaried;
mod whole;

pub use candidate::{Candidate, Inspected, Moved, Offered, Output, OutputSet, Terms};
pub use case::{CASE, Case, ImportCase, KeptCase, Matter, Revoked};
pub use decide::{ALLOWABLE, Decision, decide};
pub use differences::{Compared, OtherRules, compare};
pub use error::AdmissionError;
pub use evidence::{
    Before, Evidence, Indexed, IndexedKind, IssuedNonce, KnownSnapshot, Lineage, Missed, Previous, RecordEvidence,
    Round, SourceEvidence, SourceFailure, TagSigner, builder_fingerprint, identity,
};
pub use explain::{explain, explain_json};
pub use facts::DebFacts;
pub use import::{
    Described, Import, ImportEvidence, ImportedFrom, ImportedSnapshot, UPSTREAM_SIGNED, decide_import, import_signers,
};
pub use ledger::{LedgerConflict, LedgerEntry, LedgerKey, LedgerView, claims};
pub use proof::{
    Asked, INDEX, KEYRING, Proof, ProvenIndex, RELEASE, SIGNATURE, UpstreamFiles, is_built_of, prove, prove_again,
};
pub use quorum::{Shortage, shortage};
pub use rules::{IMPORT_RULES, ONE_PATH, RULE_SET, RULES, Rule, Verdict, too_few_successors, unauthorised};
pub use unvaried::{Unvaried, unvaried};
pub use whole::{Whole, file_set};
