//! Rebuild: run, compare, record (DESIGN §6).
//!
//! Owns the runner (a chroot without network) and what a rebuild record says. Never sees the
//! candidate's hashes before its record is signed.
//!
//! [`run`] builds a source package in an overlay over the locked chroot; [`statement`] says what
//! was built from what, for the builder to sign; [`compare`] tells in plain words where two sets of
//! outputs differ, and [`causes`] why. After a crash a work folder is left over and nothing else: mounts live in a
//! namespace that ends with the process. Its name says whose it was, and the next run removes it ([`sweep`]).

mod answer;
mod base;
mod cause;
mod compare;
mod diffoscope;
mod error;
mod record;
mod run;
mod sbuild;
mod tail;
mod variation;

pub use answer::{Answer, COMMITMENT, Commitment, write_answer};
pub use cause::{Cause, Circumstances, Guess, causes};
pub use compare::{Comparison, Difference, compare};
pub use diffoscope::diffoscope;
pub use error::RebuildError;
pub use record::{BUILD_TYPE, Parameters, Recipe, RecordInput, read_statement, statement};
pub use run::{Finished, Job, Limits, Produced, build_options, build_path, remove_work_folder, run, sweep};
pub use sbuild::SBUILD_HOST;
pub use tail::log_tail;
pub use variation::{FileOrder, VARIATIONS, Variation};
