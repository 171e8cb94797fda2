//! The table of rules. Ids are stable and never reused. S: source, E: environment, R: records,
//! B: build outputs, D: the .debs themselves, V: versions, A: the archive and the decision, I: imports.

mod archive;
mod asked;
mod authority;
mod build;
mod deb;
mod environment;
mod import;
mod names;
mod record;
mod source;
mod version;

use std::collections::BTreeSet;

use super::context::{Common, Context};
use super::import::ImportContext;
pub use authority::{too_few_successors, unauthorised};
pub(super) use environment::{dependencies, dependency_levels};
pub use record::ONE_PATH;

/// The version of the rules, which every decision names. It goes up with each change in what is judged.
pub const RULE_SET: u32 = 5;
/// The rules that a version judges otherwise than the one before, or has anew. What only became more or less in words is none.
const CHANGED: &[(u32, &[&str])] = &[
    // What was asked and built in environments that were locked before.
    (2, &["R4", "A5"]),
    // What was asked and built under other declarations of the same source package.
    (3, &["R4", "A5"]),
    // What builders are bound to, and is not there.
    (4, &["R4"]),
    // What another declaration's builds gave, where nothing is offered that it could contradict.
    (5, &["A5"]),
];

/// The rules that are judged otherwise than in a version; none when that is newer than this program.
pub(super) fn changed_since(version: u32) -> Option<BTreeSet<&'static str>> {
    let newer = CHANGED.iter().filter(|(changed, _)| *changed > version);
    (version <= RULE_SET).then(|| newer.flat_map(|(_, rules)| rules.iter().copied()).collect())
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its stable id.
    pub id: &'static str,
    /// What it demands, in one line.
    pub demands: &'static str,
    /// Whether a policy may make an exception to it.
    pub excusable: bool,
    /// The command that repeats the check; `{source}` stands for the source package.
    pub repeat: &'static str,
    pub(super) check: Check,
}

/// How a rule is checked: on what every candidate has, or on what one kind of candidate has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Check {
    /// It is the same whatever proves the packages.
    Any(fn(&Common<'_>) -> Verdict),
    /// It is about rebuilds of a declared source.
    Rebuilt(fn(&Context<'_>) -> Verdict),
    /// It is about what an upstream signed.
    Imported(fn(&ImportContext<'_>) -> Verdict),
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen<'c, 'a> {
    /// A declared source that was rebuilt.
    Rebuilt(&'c Context<'a>),
    /// What an upstream signed.
    Imported(&'c ImportContext<'a>),
}

impl<'c, 'a> Seen<'c, 'a> {
    /// What every candidate has.
    pub(super) fn common(self) -> &'c Common<'a> {
        match self {
            Self::Rebuilt(context) => &context.common,
            Self::Imported(context) => &context.common,
        }
    }
}

impl Rule {
    /// How it comes out.
    pub(super) fn verdict(&self, seen: Seen<'_, '_>) -> Verdict {
        match (self.check, seen) {
            (Check::Any(check), seen) => check(seen.common()),
            (Check::Rebuilt(check), Seen::Rebuilt(context)) => check(context),
            (Check::Imported(check), Seen::Imported(context)) => check(context),
            (Check::Rebuilt(_) | Check::Imported(_), _) => Verdict::broken("the rule is about another kind of proof"),
        }
    }
}

/// How a rule came out, with what was found in one plain sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Held(String),
    /// There is nothing that it could apply to.
    NotApplicable(String),
    /// It does not hold.
    Broken(String),
}

impl Verdict {
    fn held(evidence: impl Into<String>) -> Self {
        Self::Held(evidence.into())
    }

    fn broken(evidence: impl Into<String>) -> Self {
        Self::Broken(evidence.into())
    }

    fn not_applicable(why: impl Into<String>) -> Self {
        Self::NotApplicable(why.into())
    }

    /// Broken by the first problem, if there is one.
    fn unless(problem: Option<String>, evidence: impl Into<String>) -> Self {
        match problem {
            Some(problem) => Self::Broken(problem),
            None => Self::Held(evidence.into()),
        }
    }
}

use Check::{Any, Imported, Rebuilt};

const SOURCE: &str = "assay source verify {source}";
const ENVIRONMENT: &str = "assay env build {source}";
const COMPARE: &str = "assay rebuild {source} --compare";
const REBUILD: &str = "assay rebuild {source}";
const EXPLAIN: &str = "assay admit --explain {source}";
pub(super) const AGAIN: &str = "assay decisions {source} --again";

const fn rule(id: &'static str, demands: &'static str, repeat: &'static str, check: Check) -> Rule {
    Rule {
        id,
        demands,
        excusable: false,
        repeat,
        check,
    }
}

const fn excusable(id: &'static str, demands: &'static str, repeat: &'static str, check: Check) -> Rule {
    Rule {
        id,
        demands,
        excusable: true,
        repeat,
        check,
    }
}

/// The rules that are the same whatever proves the packages.
#[rustfmt::skip]
mod shared {
    use super::*;

    pub(super) const D1: Rule = rule("D1", "every file is a well-formed .deb, compressed as the policy takes it", EXPLAIN, Any(deb::d1));
    pub(super) const D2: Rule = excusable("D2", "no package has set-user-id or set-group-id files; what runs as root, and what of it is new, is shown", EXPLAIN, Any(deb::d2));
    pub(super) const D3: Rule = rule("D3", "no file exceeds the reader's limits", EXPLAIN, Any(deb::d3));
    pub(super) const D4: Rule = rule("D4", "no control field is one that the archive itself writes", EXPLAIN, Any(deb::d4));
    pub(super) const V1: Rule = rule("V1", "a binary package's name, version and architecture never come back with other bytes", EXPLAIN, Any(version::v1));
    pub(super) const V2: Rule = rule("V2", "a source package's version, an upstream version and a file name never come back with other bytes", EXPLAIN, Any(version::v2));
    pub(super) const V3: Rule = excusable("V3", "versions do not go back in a suite", EXPLAIN, Any(version::v3));
    pub(super) const V4: Rule = excusable("V4", "a binary package stays with its source package", EXPLAIN, Any(version::v4));
    pub(super) const A8: Rule = excusable("A8", "names and fields that reach beyond the package are those that the policy lists", EXPLAIN, Any(names::a8));
    pub(super) const A10: Rule = rule("A10", "the policy is the one that the archive names, by SHA-256", EXPLAIN, Any(archive::a10));
    pub(super) const A12: Rule = rule("A12", "the source package was not removed from the suite on purpose", EXPLAIN, Any(archive::a12));
}
use shared::{A8, A10, A12, D1, D2, D3, D4, V1, V2, V3, V4};

/// Every rule about what was rebuilt, in the order in which decisions list them.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule("S1", "enough people signed the tag or commit whose keys the policy allows for this source, valid then and not revoked", SOURCE, Rebuilt(source::s1)),
    rule("S2", "ref, tag object, commit and tree are the declared ones", SOURCE, Rebuilt(source::s2)),
    rule("S3", "every Git object is what its id says, and the tree's own SHA-256 is the declared one", SOURCE, Rebuilt(source::s3)),
    rule("S4", "the source format is one that the policy takes; no submodule, LFS pointer or attribute has a say", SOURCE, Rebuilt(source::s4)),
    rule("S5", "the source is read from objects in a bare repository, without configuration or hooks", SOURCE, Rebuilt(source::s5)),
    rule("S6", "no path of the tree leaves it or has a twin", SOURCE, Rebuilt(source::s6)),
    excusable("S7", "the upstream tarball is exactly the tree of the declared upstream tag, or one that a mirrored upstream signed", SOURCE, Rebuilt(source::s7)),
    rule("S8", "patches and options of the source package stay inside it", SOURCE, Rebuilt(source::s8)),
    rule("S9", "name, version and date of the changelog are the declared ones, and not after the tag", SOURCE, Rebuilt(source::s9)),
    excusable("S10", "the people signed whom the declaration admitted before lets sign the next one", SOURCE, Rebuilt(authority::s10)),
    rule("E1", "environments come from snapshots of this site that upstream signed, of suites that the policy takes, not older than its floors", ENVIRONMENT, Rebuilt(environment::e1)),
    rule("E2", "every package of the environment is the one that the snapshot's index lists, by SHA-256", ENVIRONMENT, Rebuilt(environment::e2)),
    rule("E3", "every package of the environment is covered by upstream's signature or was admitted", ENVIRONMENT, Rebuilt(environment::e3)),
    excusable("E7", "the environment does not go back behind that of the version admitted before", ENVIRONMENT, Rebuilt(environment::e7)),
    rule("E4", "rebuilds had no network", REBUILD, Rebuilt(record::e4)),
    excusable("E5", "the rebuilds differed in time, parallelism, and the host name, user and path as the policy varies them", REBUILD, Rebuilt(record::e5)),
    excusable("E6", "rebuilds ran the tests and used no build profile", REBUILD, Rebuilt(record::e6)),
    rule("R1", "enough operators, in all and in each group, rebuilt the same bytes", REBUILD, Rebuilt(record::r1)),
    excusable("R2", "builders had committed to their results before any was shown", REBUILD, Rebuilt(record::r2)),
    rule("R3", "records are about this declaration and environment, answer a nonce of the gate, and are fresh", REBUILD, Rebuilt(record::r3)),
    rule("R4", "every nonce that was issued is answered or has timed out, and nothing that a builder is bound to is gone", REBUILD, Rebuilt(asked::r4)),
    rule("R5", "no record is by a builder whose key was not valid then, or was revoked", REBUILD, Rebuilt(record::r5)),
    rule("R6", "records tell of builds that succeeded, with the digest of the log", REBUILD, Rebuilt(record::r6)),
    rule("R7", "records are signed by the key of the builder that they name", REBUILD, Rebuilt(record::r7)),
    rule("R8", "every log and .buildinfo that a record names is kept with the bytes that it names", REBUILD, Rebuilt(record::r8)),
    excusable("R9", "no builder counts who gave other bytes for a source that was admitted", EXPLAIN, Rebuilt(record::r9)),
    rule("B1", "the files offered are, by name and SHA-256, all that the rebuilds gave", COMPARE, Rebuilt(build::b1)),
    rule("B2", "every package is one that the source declares for this architecture", REBUILD, Rebuilt(build::b2)),
    rule("B3", "debug packages belong to a package of the same build, by its build ids, and hold nothing but debug symbols", REBUILD, Rebuilt(build::b3)),
    rule("B4", "every package names the declared source and its version", REBUILD, Rebuilt(build::b4)),
    rule("B5", "no package is a binary-only rebuild", REBUILD, Rebuilt(build::b5)),
    rule("B6", "sets of outputs are each of one environment, agree on what they share, and are not mixed", REBUILD, Rebuilt(build::b6)),
    rule("B7", "file name, control fields and build agree on name, version and architecture", REBUILD, Rebuilt(build::b7)),
    D1,
    D2,
    D3,
    D4,
    V1,
    V2,
    V3,
    V4,
    rule("A2", "everything that was built is decided together, with its source", EXPLAIN, Rebuilt(archive::a2)),
    rule("A5", "no valid record contradicts another", COMPARE, Rebuilt(record::a5)),
    rule("A6", "no build ran out of time, memory, disk, processes or room for its log", REBUILD, Rebuilt(record::a6)),
    A8,
    A10,
    rule("A11", "suites and component are the declared ones", EXPLAIN, Rebuilt(archive::a11)),
    A12,
    rule("A7", "exceptions are to rules that allow them, and are in force", EXPLAIN, Rebuilt(archive::a7)),
];

/// Every rule about imports, in the order in which decisions list them.
#[rustfmt::skip]
pub static IMPORT_RULES: &[Rule] = &[
    rule("I1", "the policy lets this source package be imported from this suite of this archive, now", AGAIN, Imported(import::i1)),
    rule("I2", "as many of the keys that the policy names signed upstream's Release as it asks for, valid then and at the import", AGAIN, Imported(import::i2)),
    rule("I3", "the Release is of this suite, the one that the snapshot was made of, and was in date when it was mirrored", AGAIN, Imported(import::i3)),
    rule("I4", "the Release lists every index by SHA-256, and all are of one component", AGAIN, Imported(import::i4)),
    rule("I5", "the files are, by name and SHA-256, all that the stanzas of these indexes list for the source package", AGAIN, Imported(import::i5)),
    rule("I6", "the snapshot is signed by its archive, in date, and not older than the policy's floor", AGAIN, Imported(import::i6)),
    rule("I7", "the .dsc and every package are, by their own words, what the stanzas say", AGAIN, Imported(import::i7)),
    rule("I8", "every package is for the archive's architectures, and in one version", AGAIN, Imported(import::i8)),
    rule("I9", "the site does not declare the source package itself", AGAIN, Imported(import::i9)),
    rule("I10", "somebody asks for it, and says why", AGAIN, Imported(import::i10)),
    rule("I11", "the suites are named, and what comes from another suite was let in there", AGAIN, Imported(import::i11)),
    D1, D2, D3, D4, V1, V2, V3, V4, A8, A10, A12,
    rule("A7", "exceptions are to rules that allow them, and are in force", AGAIN, Imported(import::a7)),
];
