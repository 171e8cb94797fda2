//! Lint: what each apt will do with a repository, any repository (`reference/apt-conformance.md`).
//!
//! Owns apt's own reading of Release, Packages and Sources, which is not ours: `format` refuses what is not
//! strict, apt takes much of it, warns of some, and drops some without a word. `judge` is pure: what was read
//! goes in, findings and what else is to be read come out. `lint` reads, from a folder or over HTTP. It trusts nothing that it reads, changes nothing, and what it says is a prediction: `verify` proves.
//!
//! The real apts are the oracles (`tests/lint`): for each kind of broken repository the word of this must be theirs.

mod apt;
mod finding;
mod head;
mod index;
mod judge;
mod patches;
mod read;
mod relations;
mod release;
mod section;
mod signed;
mod stanzas;
mod targets;

pub use apt::Apt;
pub use finding::{Finding, Outcome, Verdict};
pub use judge::{Judgement, Measured, Object, Question, Seen, judge};
pub use read::{LintError, Repository, lint};
