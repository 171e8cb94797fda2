//! The table of rules. Ids are stable and never reused; `reference` names are those of the threat list.

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its stable id.
    pub id: &'static str,
    /// What it demands, in one line.
    pub demands: &'static str,
}

/// Every rule, in the order in which decisions list them.
pub static RULES: &[Rule] = &[];
