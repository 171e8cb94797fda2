//! The judgement: what was read goes in, what each apt does and what else is to be read come out.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Findings, Outcome, Verdict, merged};
use super::head::{Before, head};
use super::patches::patches;
use super::release::Release;
use super::signed::{Believed, LARGEST_RELEASE, signed};
use super::stanzas::{Known, packages, sources};
use super::targets::{Holds, Target, fetched};
use super::{Apt, index};
use crate::domain::{Digest, Timestamp};
use crate::trust::Keyring;

/// What a client asks of a repository.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The suite, as a source names it; with a slash at its end, the folder of a flat repository.
    pub suite: &'a str,
    /// The components that a source names; none for those that the Release names.
    pub components: Vec<String>,
    /// The client's architectures; none for those of the Release.
    pub architectures: Vec<String>,
    /// Languages of descriptions.
    pub languages: Vec<String>,
    /// Whether the client wants sources; none when it does where there are some.
    pub sources: Option<bool>,
    /// The keys that the client trusts; none when nobody said.
    pub keyring: Option<&'a Keyring>,
    /// The client's clock.
    pub now: Timestamp,
    /// Whether the files of packages are looked at, too.
    pub files: bool,
}

impl Question<'_> {
    /// Whether the repository has no `dists/`.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }
}

/// What was found under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// Nothing.
    Absent,
    /// A redirect that apt does not follow, to there: nothing, for it.
    Astray(String),
    /// More bytes than apt takes.
    TooLarge,
    /// These.
    Bytes(Vec<u8>),
}

/// What was found of a file that is only measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// It is not there.
    Absent,
    /// It is this.
    Is(Digest),
}

/// What was read of a repository, by path below its URL.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Release files and indexes.
    pub objects: BTreeMap<String, Object>,
    /// Files of packages.
    pub files: BTreeMap<String, Measured>,
    /// When its InRelease was written, as a web server would say it; none when nobody knows.
    pub modified: Option<Timestamp>,
}

/// What is said, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What each apt does, and why.
    pub findings: Vec<Finding>,
    /// One for each apt.
    pub verdicts: Vec<Verdict>,
    /// What is to be read, with the most bytes that apt takes. The judgement holds when there is nothing.
    pub wanted: BTreeMap<String, u64>,
    /// What is to be measured.
    pub unmeasured: BTreeSet<String>,
}

/// One judgement while it is made.
#[derive(Debug)]
pub(super) struct Judging<'a> {
    pub(super) question: &'a Question<'a>,
    seen: &'a Seen,
    /// What clients have: what the repository was before.
    pub(super) before: Option<&'a Seen>,
    wanted: BTreeMap<String, u64>,
    unmeasured: BTreeSet<String>,
}

impl<'a> Judging<'a> {
    /// The path of a file of the suite, below the URL.
    pub(super) fn dists(&self, path: &str) -> String {
        dists(self.question, path)
    }

    /// What is under a path; none when it is to be read first.
    pub(super) fn get(&mut self, path: &str, limit: u64) -> Option<&'a Object> {
        let found = self.seen.objects.get(path);
        if found.is_none() {
            self.wanted.insert(path.to_owned(), limit);
        }
        found
    }

    /// What a file of a package is; none when it is to be measured first.
    pub(super) fn measure(&mut self, path: &str) -> Option<Measured> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let found = self.seen.files.get(path).copied();
        if found.is_none() {
            self.unmeasured.insert(path.to_owned());
        }
        found
    }
}

/// The path of a file of a suite, below the repository's URL.
pub(super) fn dists(question: &Question<'_>, path: &str) -> String {
    match question.suite.strip_prefix("./").unwrap_or(question.suite) {
        folder if question.is_flat() => format!("{folder}{path}"),
        suite => format!("dists/{suite}/{path}"),
    }
}

/// Judges a suite of a repository of which this was read, for clients that are new, or that have what it was
/// `before`.
#[must_use]
pub fn judge(question: &Question<'_>, seen: &Seen, before: Option<&Seen>) -> Judgement {
    let mut judging = Judging {
        question,
        seen,
        before,
        wanted: BTreeMap::new(),
        unmeasured: BTreeSet::new(),
    };
    let all = Apt::ALL.map(|apt| {
        let mut findings = Findings {
            apt,
            suite: question.suite.to_owned(),
            list: Vec::new(),
        };
        suite(&mut judging, &mut findings);
        astray(seen, &mut findings);
        findings
    });
    let verdict = |findings: &Findings| Verdict {
        apt: findings.apt,
        suite: question.suite.to_owned(),
        outcome: findings.list.iter().map(|f| f.outcome).max().unwrap_or(Outcome::Accept),
    };
    Judgement {
        verdicts: all.iter().map(verdict).collect(),
        findings: merged(all.into()),
        wanted: judging.wanted,
        unmeasured: judging.unmeasured,
    }
}

/// Why something is not there that a server has: what apt makes of that, others say.
fn astray(seen: &Seen, findings: &mut Findings) {
    for (path, object) in &seen.objects {
        if let Object::Astray(to) = object {
            let why = format!("its redirect to `{to}` is not followed: it is a loop, or leads away from HTTPS");
            findings.add(Outcome::Accept, "L-REDIRECT", path, why);
        }
    }
}

fn suite(judging: &mut Judging<'_>, findings: &mut Findings) {
    if let Some(at) = unmodified(judging) {
        let why = "it is not newer, to the second, than what clients have: they are told that nothing changed";
        return findings.add(Outcome::Ignore, "L-SAME-SECOND", &at, why);
    }
    let Some(believed) = signed(judging, findings) else {
        return;
    };
    let before = judging
        .before
        .and_then(|before| believed_before(judging.question, before, findings.apt));
    if !head(judging, findings, &believed, before.as_ref()) {
        return;
    }
    let Ok(release) = Release::load(&believed.text) else {
        return;
    };
    let mut known = Known::default();
    let targets = fetched(judging.question, findings, &believed.at, &release);
    let mut listed = BTreeSet::new();
    for target in &targets {
        let Some(text) = index::text(judging, findings, &release, target) else {
            continue;
        };
        patches(judging, findings, &release, target);
        let at = judging.dists(&target.key);
        match target.holds {
            Holds::Packages => {
                if all_of(&release, target).is_some() {
                    listed.extend(Known::names(&String::from_utf8_lossy(&text)));
                }
                packages(judging, findings, &mut known, &at, &text);
            }
            Holds::Sources => sources(judging, findings, &at, &text),
            Holds::Translation => {}
        }
    }
    unread_all(judging, findings, &release, &believed, (&targets, &listed));
}

/// An InRelease that changed without getting a newer time.
fn unmodified(judging: &mut Judging<'_>) -> Option<String> {
    let before = judging.before?;
    let at = judging.dists("InRelease");
    let is = judging.get(&at, LARGEST_RELEASE)?;
    let was = before.objects.get(&at)?;
    let changed = matches!((was, is), (Object::Bytes(was), Object::Bytes(is)) if was != is);
    (changed && judging.seen.modified? <= before.modified?).then_some(at)
}

/// The `binary-all` beside an index, when the Release lists one that apt does not read.
fn all_of(release: &Release<'_>, target: &Target) -> Option<Target> {
    let (component, _) = target.key.split_once("/binary-")?;
    let key = format!("{component}/binary-all/Packages");
    let is_other = target.key != key && !release.supports_all("Packages") && release.entries.contains_key(&key);
    is_other.then(|| Target { key, ..target.clone() })
}

/// Packages for all architectures that are in an index of their own which apt does not read, and nowhere else.
fn unread_all(
    judging: &mut Judging<'_>,
    findings: &mut Findings,
    release: &Release<'_>,
    believed: &Believed,
    (targets, listed): (&[Target], &BTreeSet<String>),
) {
    let mut looked_at = BTreeSet::new();
    for target in targets.iter().filter_map(|target| all_of(release, target)) {
        if !looked_at.insert(target.key.clone()) {
            continue;
        }
        // apt does not fetch it: what is wrong with its bytes is not said.
        let Some(text) = index::text(judging, &mut Findings::unsaid(findings.apt), release, &target) else {
            continue;
        };
        let names = Known::names(&String::from_utf8_lossy(&text));
        let missing: Vec<&String> = names.iter().filter(|name| !listed.contains(*name)).collect();
        let Some(first) = missing.first() else {
            continue;
        };
        let (count, all) = (missing.len(), names.len());
        let of = format!("{count} of {all} packages, such as {first}");
        if count > all / 2 {
            let why = format!(
                "`{}` has {of}, that are in no index which apt reads: Architectures must have `all`, and \
                 No-Support-for-Architecture-all must not be there",
                target.key
            );
            findings.add(Outcome::Ignore, "L-ARCH-ALL", &believed.at, why);
        } else {
            // As in Debian: what is for all architectures and of use on some is listed for those only.
            let why = format!("`{}` has {of}, that no architecture's index has", target.key);
            findings.add(Outcome::Accept, "L-ARCH-ALL", &believed.at, why);
        }
    }
}

/// The Release that clients have. They took it.
fn believed_before(question: &Question<'_>, before: &Seen, apt: Apt) -> Option<Before> {
    let mut judging = Judging {
        question,
        seen: before,
        before: None,
        wanted: BTreeMap::new(),
        unmeasured: BTreeSet::new(),
    };
    let Believed { text, .. } = signed(&mut judging, &mut Findings::unsaid(apt))?;
    Some(Before { text })
}
