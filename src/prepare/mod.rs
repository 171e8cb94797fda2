//! Prepare: what an image build needs of a custom archive before it starts.
//!
//! Owns which suite each declared source has to be in, and whether something is still to be done for it:
//! functions of what a checkout declares and of what suites hold. Carries nothing out and keeps nothing,
//! so a run that was killed is simply done again: what is done by then is held, and held is never done twice.

mod error;
mod plan;

pub use error::PrepareError;
pub use plan::{Heads, Image, Own, Step, Wanted, check_tag, place, says_what_is_in, undefined};
