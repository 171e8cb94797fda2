//! Imports, checked again from upstream's own files, which are kept with the archive that imported, and from
//! upstream's keys, which the site's Git tree names. The mirror is not needed, nor our word for anything.

use std::collections::{BTreeMap, BTreeSet};

use super::editions::{History, editions};
use super::evidence::{Agreeing, Decided, decision};
use super::{Anchor, Anchors, Problem, Report};
use crate::admission::{Asked, Matter, Proof, UpstreamFiles, prove, prove_again};
use crate::domain::{ArchiveName, Fingerprint, PackageName, PoolPath, Sha256, SuiteName, Timestamp, Version, escape};
use crate::format::intoto::ImportBinding;
use crate::publish::{GateError, Kept, kept_release, kept_upstream, read_decisions};
use crate::site::{ImportRule, Policy};
use crate::store::{Key, Store, StoreError};

/// What a decision stands on.
#[derive(Debug, Clone)]
pub(super) enum Carried {
    /// Records of enough operators.
    Rebuilds(Vec<Agreeing>),
    /// What upstream signed, in words.
    Upstream(String),
}

impl Carried {
    /// The records; none of an import.
    pub(super) fn rebuilds(&self) -> Option<&[Agreeing]> {
        match self {
            Self::Rebuilds(agreeing) => Some(agreeing),
            Self::Upstream(_) => None,
        }
    }
}

impl Decided {
    /// What carries it today: a signed source and rebuilds, or what upstream signed.
    pub(super) fn carried(
        &self,
        store: &dyn Store,
        (anchors, anchor): (&Anchors, &Anchor),
        now: Timestamp,
    ) -> Result<Carried, Problem> {
        match &self.summary.assay_import {
            None => {
                self.signed(store, anchor, now)?;
                self.quorum(store, anchor, now).map(Carried::Rebuilds)
            }
            Some(binding) => {
                let upstream = self.upstream(store, anchors, anchor, (binding, None));
                upstream.map(Carried::Upstream)
            }
        }
    }

    /// The same of a decision that was just made again: what it has read of upstream's indexes is not read once more.
    pub(super) fn carried_as(
        &self,
        store: &dyn Store,
        (anchors, anchor): (&Anchors, &Anchor),
        (kept, now): (&Kept, Timestamp),
    ) -> Result<Carried, Problem> {
        match (&self.summary.assay_import, kept.case.matter()) {
            (Some(binding), Matter::Imported(_, evidence)) => {
                let read = (binding, evidence.proof.as_ref());
                self.upstream(store, anchors, anchor, read).map(Carried::Upstream)
            }
            _ => self.carried(store, (anchors, anchor), now),
        }
    }

    /// Keys that the policy of today names signed what lists every file of it.
    fn upstream(
        &self,
        store: &dyn Store,
        anchors: &Anchors,
        anchor: &Anchor,
        (binding, before): (&ImportBinding, Option<&Proof>),
    ) -> Result<String, Problem> {
        let policy = self.policy(anchor)?;
        let wrong = |code, why: &dyn std::fmt::Display| Problem::new(code, &self.key, why);
        let bound = &self.summary.assay_binding;
        let source = PackageName::new(bound.source.as_str()).map_err(|error| wrong(Problem::DECISION, &error))?;
        let version = Version::new(bound.version.as_str()).map_err(|error| wrong(Problem::DECISION, &error))?;
        let rules: Vec<&ImportRule> = rules(policy, binding, &source).collect();
        let signers: BTreeSet<Fingerprint> = rules.iter().flat_map(|rule| rule.signers.iter().cloned()).collect();
        let there = |files: Result<Option<UpstreamFiles>, GateError>| {
            let files = files.map_err(|error| lost(&self.key, &error))?;
            files.ok_or_else(|| wrong(Problem::EVIDENCE, &"it names nothing that upstream signed"))
        };
        let signed = there(kept_release(store, &anchor.name, &self.inputs))?;
        if binding.proven_at > self.summary.time_verified {
            return Err(wrong(Problem::EVIDENCE, &"it was proven after it was decided"));
        }
        let keyring = anchors.imports.as_ref().ok_or_else(|| {
            let named: Vec<&str> = signers.iter().map(Fingerprint::as_str).collect();
            let why = format!(
                "the site has none of the keys {}: put them into policies/keys/",
                named.join(", ")
            );
            wrong(Problem::SIGNATURE, &why)
        })?;
        let asked = Asked {
            source: &source,
            version: &version,
            signers: &signers,
            at: binding.proven_at,
            keyring: Some(keyring),
        };
        let proof = match before.and_then(|before| prove_again(before, &signed, &asked)) {
            Some(proof) => proof,
            None => prove(
                &there(kept_upstream(store, &anchor.name, binding, &self.inputs))?,
                &asked,
            ),
        };
        if !rules.iter().any(|rule| rule.is_signed_by(&proof.signers)) {
            let why = proof.refused.as_deref().map(escape);
            let why = why.unwrap_or_else(|| "too few keys that the policy names for it signed it".to_owned());
            return Err(wrong(
                Problem::SIGNATURE,
                &format!("upstream's Release {}: {why}", proof.release),
            ));
        }
        covers(&self.files, &proof).map_err(|why| wrong(Problem::UPSTREAM, &why))?;
        let signers: Vec<&str> = proof.signers.iter().map(Fingerprint::as_str).collect();
        Ok(format!(
            "imported from {}@{} ({}), not rebuilt: upstream's Release {} lists every file, signed by {}; {} asked for it: {}",
            binding.archive,
            binding.snapshot,
            binding.suite,
            proof.release,
            signers.join(", "),
            escape(&binding.asked_by),
            escape(&binding.reason)
        ))
    }
}

/// The entries of a policy that let a source package be imported, whenever they end: what is in stays.
fn rules<'p>(
    policy: &'p Policy,
    binding: &ImportBinding,
    source: &PackageName,
) -> impl Iterator<Item = &'p ImportRule> {
    let place = ArchiveName::new(binding.archive.as_str()).ok();
    let place = place.zip(SuiteName::new(binding.suite.as_str()).ok());
    let source = source.clone();
    let takes = move |rule: &&ImportRule| {
        place
            .as_ref()
            .is_some_and(|(archive, suite)| rule.takes(archive, suite, &source))
    };
    policy.imports.iter().filter(takes)
}

/// The files of a decision are those that upstream's stanzas list, all of them.
fn covers(decided: &BTreeMap<PoolPath, Sha256>, proof: &Proof) -> Result<(), String> {
    for index in &proof.indexes {
        if index.listed != Some(index.digest) || index.unreadable.is_some() {
            return Err(format!("upstream's Release does not cover `{}`", index.path));
        }
    }
    let sources = proof.sources().flat_map(|source| &source.files);
    let listed = sources.map(|(name, digest)| (name.as_str(), digest.sha256));
    let binaries = proof.binaries();
    let packages = binaries.map(|binary| (binary.filename.file_name(), binary.digest.sha256));
    let listed: BTreeSet<(&str, Sha256)> = listed.chain(packages).collect();
    let found: BTreeSet<(&str, Sha256)> = decided
        .iter()
        .map(|(path, sha256)| (path.file_name(), *sha256))
        .collect();
    match found.symmetric_difference(&listed).next() {
        None => Ok(()),
        Some((name, sha256)) if found.contains(&(*name, *sha256)) => {
            Err(format!("`{}` is in no stanza that upstream signed", escape(name)))
        }
        Some((name, _)) => Err(format!("upstream lists `{}`, which it leaves out", escape(name))),
    }
}

/// Why upstream's files are not there as they were.
fn lost(decision: &Key, error: &GateError) -> Problem {
    match error {
        GateError::Store(StoreError::Missing(key)) => Problem::new(Problem::MISSING, key, error),
        GateError::Swapped { key, .. } => Problem::new(Problem::DAMAGED, key, error),
        _ => Problem::new(Problem::EVIDENCE, decision, error),
    }
}

/// Every import that an edition of a custom archive lists, from upstream's keys and files alone.
pub(super) fn check_against(
    store: &dyn Store,
    anchors: &Anchors,
    anchor: &Anchor,
    history: &History,
    report: &mut Report,
) {
    let mut seen = BTreeSet::new();
    for state in editions(store, history).flat_map(|edition| edition.suites) {
        let decisions = match read_decisions(store, &anchor.name, &state) {
            Ok(decisions) => decisions,
            Err(error) => {
                report.problem(Problem::INDEX, format!("{}/dists/{}", anchor.name, state.suite), error);
                continue;
            }
        };
        for (path, (sha256, by)) in decisions {
            if !seen.insert((path.clone(), sha256, by)) {
                continue;
            }
            // What was rebuilt is not upstream's to prove.
            let decided = match decision(store, anchors, anchor, &by) {
                Ok(decided) if decided.summary.assay_import.is_none() => continue,
                Ok(decided) => decided,
                Err(problem) => {
                    report.problems.push(problem);
                    continue;
                }
            };
            report.packages += 1;
            let new = !seen
                .iter()
                .any(|(other, _, decision)| *decision == by && *other != path);
            let carried = match (new, &decided.summary.assay_import) {
                (true, Some(binding)) => decided.upstream(store, anchors, anchor, (binding, None)).map(drop),
                _ => Ok(()),
            };
            report.problems.extend(carried.err());
            if decided.files.get(&path) != Some(&sha256) {
                let why = format!("the decision {by} does not import it");
                report.problem(Problem::DECISION, Key::pool(&anchor.name, &path), why);
            }
        }
    }
}
