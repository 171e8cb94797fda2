//! Tests of `rebuild`: real builds in real chroots.

mod compare;
mod hostile;
mod limits;
mod links;
pub(crate) mod run;
mod sealed;
mod unreproducible;
