//! The one form of every answer: a decision or a declaration, why it is in the answer, and how sure that is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::{DecisionId, Imported, SiteDeclaration};
use super::index::Index;
use super::view::Declared;
use crate::domain::{PoolPath, Sha256, Timestamp};
use crate::site::{Policy, Relaxation};
use crate::verify::{Anchor, Problem, Proof};

/// What became of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its packages are in the newest snapshot.
    Admitted,
    /// Its packages were admitted, and are no longer in the newest snapshot.
    Superseded,
    /// The gate refused it.
    Refused,
    /// The site declares it, and nothing was decided.
    Declared,
    /// It is upstream's, in a mirror.
    Mirrored,
    /// It is in an unproven archive: nobody knows of what source.
    Unproven,
    /// It is of no source: a key, an exception.
    Policy,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Whether what it rests on was verified.
    pub proof: Proof,
    /// Why it is in the answer.
    pub why: String,
    /// What does not hold, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// The archive.
    pub archive: String,
    /// The suites whose newest state lists it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<String>,
    /// The source package.
    pub source: String,
    /// Its version.
    pub version: String,
    /// What became of it.
    pub state: State,
    /// Pool files, with their SHA-256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<PoolPath, Sha256>,
    /// The decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Sha256>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// The declaration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declaration: Option<Sha256>,
    /// Where the source came from, and who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// Where it was imported from; nobody rebuilt it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// `SLSA_BUILD_REPRODUCED`, `ASSAY_RELAXED_…`.
    pub levels: Vec<String>,
    /// The exceptions that the policy of today makes for this source (rule A7).
    pub exceptions: Vec<Exception>,
    /// For a package that is concerned through others of ours: those, from the one that it was built with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<String>,
    /// The rebuild record that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Sha256>,
}

/// A commit and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Git {
    /// The repository.
    pub repository: String,
    /// The signed tag, or the branch of the signed commit.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The tag object; absent when the commit itself is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The commit.
    pub commit: String,
    /// Its tree.
    pub tree: String,
    /// The tree's identity.
    pub tree_sha256: Sha256,
    /// Who signed, by fingerprint; with the policy's name for them.
    pub signers: BTreeMap<String, String>,
}

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// The rule.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl From<&Relaxation> for Exception {
    fn from(relaxation: &Relaxation) -> Self {
        Self {
            rule: relaxation.rule.clone(),
            reason: relaxation.reason.clone(),
            owner: relaxation.owner.clone(),
            expires: relaxation.expires,
        }
    }
}

impl Answer {
    /// About a decision, when the newest snapshot lists what it let in, or when it is known all the same.
    pub(super) fn of_decision(index: &Index<'_>, id: &DecisionId, why: String) -> Self {
        let listed = index.listed.of(id);
        let archive = index
            .anchor(id)
            .map(|anchor| anchor.name.to_string())
            .unwrap_or_default();
        let Some(known) = index.decision(id) else {
            let files = listed
                .iter()
                .map(|listed| (listed.path.clone(), listed.sha256))
                .collect();
            let mut answer = Self::bare(archive, "", "", State::Admitted, why);
            answer.files = files;
            return answer.with_decision(index, id);
        };
        let state = match (known.admitted, listed.is_empty()) {
            (false, _) => State::Refused,
            (true, false) => State::Admitted,
            (true, true) => State::Superseded,
        };
        let mut answer = Self::bare(archive, known.source, known.version, state, why);
        let policy = index.anchor(id).and_then(|anchor| anchor.policy(known.policy));
        answer.decided_at = Some(known.decided_at);
        answer.declaration = known.declaration;
        answer.imported = known.imported();
        answer.levels = known.levels.iter().map(str::to_owned).collect();
        let files = known.files.iter();
        answer.files = files
            .filter_map(|(path, sha256)| Some((path.parse().ok()?, sha256)))
            .collect();
        answer.git = known.declared().map(|declared| git(declared, policy));
        answer.exceptions = policy
            .map(|policy| in_force(policy, known.source, index.now).collect())
            .unwrap_or_default();
        answer.with_decision(index, id)
    }

    fn with_decision(mut self, index: &Index<'_>, id: &DecisionId) -> Self {
        let states = index.listed.of(id).iter().filter_map(|listed| index.state(listed));
        self.suites = states.map(|state| state.suite.to_string()).collect();
        self.suites.sort();
        self.suites.dedup();
        self.decision = Some(id.sha256);
        // A refusal needs no quorum: that the gate signed it was checked when it was read.
        if self.state != State::Refused {
            self.doubted(index.doubt(id).as_ref());
        }
        self
    }

    /// Lowers the proof to what a problem leaves of it.
    pub(super) fn doubted(&mut self, problem: Option<&Problem>) {
        if let Some(problem) = problem {
            self.proof = self.proof.max(problem.proof());
            let text = format!("{}: {}", problem.object, problem.why);
            self.doubt.get_or_insert(text);
        }
    }

    /// About a source of which nothing else is known.
    pub(super) fn bare(archive: String, source: &str, version: &str, state: State, why: String) -> Self {
        Self {
            proof: Proof::Proven,
            why,
            doubt: None,
            archive,
            suites: Vec::new(),
            source: source.to_owned(),
            version: version.to_owned(),
            state,
            files: BTreeMap::new(),
            decision: None,
            decided_at: None,
            declaration: None,
            git: None,
            imported: None,
            levels: Vec::new(),
            exceptions: Vec::new(),
            through: Vec::new(),
            record: None,
        }
    }

    /// About a source that the site declares.
    pub(super) fn declared(index: &Index<'_>, archive: &Anchor, declared: &SiteDeclaration, why: String) -> Self {
        let (source, version) = (declared.source.as_str(), declared.version.as_str());
        let mut answer = Self::bare(archive.name.to_string(), source, version, State::Declared, why);
        let policies = archive.policies();
        answer.exceptions = policies
            .flat_map(|policy| in_force(policy, source, index.now))
            .collect();
        answer
    }
}

fn git(declared: Declared<'_>, policy: Option<&Policy>) -> Git {
    let signers = declared.signers.iter().map(|fingerprint| {
        let known = policy.and_then(|policy| policy.signers.iter().find(|s| s.fingerprint.as_str() == fingerprint));
        (
            fingerprint.to_owned(),
            known.map(|s| s.name.clone()).unwrap_or_default(),
        )
    });
    Git {
        repository: declared.git.to_owned(),
        reference: declared.reference.to_owned(),
        tag: declared.git_tag.map(str::to_owned),
        commit: declared.git_commit.to_owned(),
        tree: declared.git_tree.to_owned(),
        tree_sha256: declared.tree_sha256,
        signers: signers.collect(),
    }
}

/// What a policy excepts of a source now.
pub(super) fn in_force<'p>(
    policy: &'p Policy,
    source: &'p str,
    now: Timestamp,
) -> impl Iterator<Item = Exception> + 'p {
    let ours = policy
        .exceptions
        .iter()
        .filter(move |e| e.source.as_str() == source && e.expires > now);
    ours.map(Exception::from)
}
