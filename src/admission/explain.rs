//! A decision for people, and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::format::intoto::RuleResult;

use super::Decision;

/// Text for a terminal: the verdict, what broke first, then every rule that held.
#[must_use]
pub fn explain(decision: &Decision) -> String {
    let mut text = String::new();
    let verdict = if decision.admitted { "admitted" } else { "refused" };
    let (source, version, archive) = (&decision.source, &decision.version, &decision.archive);
    let policy = decision.policy_sha256.map(|sha256| sha256.short()).unwrap_or_default();
    let suites: Vec<&str> = decision.suites.iter().map(|suite| suite.as_str()).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{source} {version}: {verdict} for {archive} ({})",
        suites.join(", ")
    );
    let _ = writeln!(
        text,
        "policy {} {policy}, decided at {}",
        decision.policy, decision.decided_at
    );
    if !decision.levels.is_empty() {
        let _ = writeln!(text, "levels {}", decision.levels.join(", "));
    }
    if let Some(import) = &decision.import {
        let (archive, snapshot, suite) = (&import.archive, &import.snapshot, &import.suite);
        let _ = writeln!(
            text,
            "imported from {archive}@{snapshot} ({suite}): upstream's signature is the proof, nobody rebuilt it"
        );
    }
    for broken in decision.broken() {
        let _ = writeln!(text, "\n{:<4} REFUSED  {}", broken.id, broken.evidence);
        let _ = writeln!(text, "     demands  {}", broken.rule);
        let _ = writeln!(text, "     repeat   {}", broken.repeat);
    }
    let _ = writeln!(text);
    for held in decision.rules.iter().filter(|rule| rule.passed) {
        let _ = writeln!(text, "{:<4} ok       {}", held.id, held.evidence);
    }
    text
}

/// The same as JSON, for `--json`.
#[must_use]
pub fn explain_json(decision: &Decision) -> Value {
    let files: serde_json::Map<String, Value> = decision
        .files
        .iter()
        .map(|(path, sha256)| (path.as_str().to_owned(), Value::String(sha256.hex())))
        .collect();
    json!({
        "admitted": decision.admitted,
        "archive": decision.archive,
        "suites": decision.suites,
        "component": decision.component,
        "source": decision.source,
        "version": decision.version,
        "policy": decision.policy,
        "policy-sha256": decision.policy_sha256,
        "declaration": decision.declaration,
        "decided-at": decision.decided_at,
        "levels": decision.levels,
        "import": decision.import,
        "files": files,
        "inputs": decision.inputs.iter().map(|(name, sha256)| json!({ "name": name, "sha256": sha256 })).collect::<Vec<_>>(),
        "rules": decision.rules,
    })
}

impl Decision {
    /// The rules that refuse it.
    pub fn broken(&self) -> impl Iterator<Item = &RuleResult> {
        self.rules.iter().filter(|rule| !rule.passed)
    }
}
