//! A decision for people, and for programs.

use serde_json::{Value, json};

use super::Decision;

/// Text for a terminal: the verdict, then one block per rule.
#[must_use]
pub fn explain(_decision: &Decision) -> String {
    String::new()
}

/// The same as JSON.
#[must_use]
pub fn explain_json(decision: &Decision) -> Value {
    json!({ "admitted": decision.admitted, "rules": decision.rules })
}
