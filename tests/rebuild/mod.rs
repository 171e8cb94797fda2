//! Tests of `rebuild`: real builds in real chroots.

mod run;
