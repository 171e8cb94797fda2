//! Tests of `rebuild`: real builds in real chroots.

mod compare;
mod hostile;
mod limits;
mod run;
