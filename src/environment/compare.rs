//! Whether two environments are alike enough to repeat a build in. Pure.
//!
//! *Identical*: one lock. *Similar*: the same packages by name, version, architecture and SHA-256, those
//! included that no build dependency brings along, the same variables, and the same build path; machine,
//! kernel and number of processors are free. *Different*: anything else. What one side does not say is
//! never taken for the same: then nobody can tell.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Lock;
use crate::domain::{Architecture, Sha256};
use crate::format::buildinfo::Buildinfo;
use crate::format::manifest::{Manifest, Wanted, WantedArchitecture};
use crate::format::{FormatError, json};

/// What is known of one environment.
#[derive(Debug, Clone)]
pub struct Side {
    /// The identity of a lock; none of anything else.
    lock: Option<Sha256>,
    /// The architecture that builds, of a lock: the same packages for all architectures are there on each.
    architecture: Option<Architecture>,
    packages: Vec<Wanted>,
    /// Whether all that was installed is named.
    complete: bool,
    /// Variables and build path are those that Assay's runner fixes for a source.
    fixed: bool,
    variables: Option<BTreeMap<String, String>>,
    build_path: Option<String>,
    /// Beside the packages: what a lock was made from and into.
    origin: Vec<(String, String)>,
}

/// How two environments compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// One lock.
    Identical,
    /// The same in all that a build can see.
    Similar,
    /// Not the same.
    Different,
    /// Nothing differs, and not everything was said.
    Unknown,
}

/// One thing in which they differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `removed`, `added`, `version`, `bytes`, `variable` or `build-path`, `architecture`; `origin` and `unsaid` are
    /// for people and no difference of the environments.
    pub kind: &'static str,
    /// Of what.
    pub what: String,
    /// In the first; none when it has it not.
    pub a: Option<String>,
    /// In the second.
    pub b: Option<String>,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The verdict.
    pub likeness: Likeness,
    /// Each difference, and what is not known.
    pub differences: Vec<Difference>,
}

impl Likeness {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Similar => "similar",
            Self::Different => "different",
            Self::Unknown => "unknown",
        }
    }
}

impl Side {
    /// A lock.
    ///
    /// # Errors
    /// Never for a lock that was read or made.
    pub fn of_lock(lock: &Lock) -> Result<Self, FormatError> {
        let mut origin: Vec<(String, String)> = lock
            .snapshots
            .iter()
            .map(|one| (format!("{}/{}", one.archive, one.suite), one.serial.to_string()))
            .collect();
        origin.push(("chroot".to_owned(), lock.chroot.tar_sha256.hex()));
        origin.push((lock.chroot.tool.clone(), lock.chroot.tool_version.clone()));
        Ok(Self {
            lock: Some(Sha256::of(&json::canonical("environment lock", lock)?)),
            architecture: Some(lock.architecture.clone()),
            packages: lock.manifest().binaries,
            complete: true,
            fixed: true,
            variables: None,
            build_path: None,
            origin,
        })
    }

    /// Any list of packages: a lock, a `.buildinfo`, dpkg's status file, what `dpkg-query -W` prints, a
    /// build manifest.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn read(text: &[u8]) -> Result<Self, FormatError> {
        let trimmed = text.trim_ascii_start();
        if trimmed.starts_with(b"{") {
            return Self::of_lock(&json::strict::<Lock>("environment lock", text)?);
        }
        if let Ok(buildinfo) = Buildinfo::parse(text) {
            let variables = buildinfo.environment.iter().cloned().map(without_parallel);
            return Ok(Self {
                packages: Manifest::of_buildinfo(&buildinfo).binaries,
                complete: false,
                architecture: Some(buildinfo.build_architecture.clone()),
                variables: Some(variables.collect()),
                build_path: buildinfo.build_path,
                ..Self::of_list(Vec::new())
            });
        }
        Ok(Self::of_list(Manifest::parse(text)?.binaries))
    }

    fn of_list(packages: Vec<Wanted>) -> Self {
        Self {
            lock: None,
            architecture: None,
            packages,
            complete: true,
            fixed: false,
            variables: None,
            build_path: None,
            origin: Vec::new(),
        }
    }
}

/// How many processors there were is free.
fn without_parallel((name, value): (String, String)) -> (String, String) {
    if name != "DEB_BUILD_OPTIONS" {
        return (name, value);
    }
    let words: Vec<&str> = value
        .split_whitespace()
        .filter(|word| !word.starts_with("parallel="))
        .collect();
    (name, words.join(" "))
}

/// Compares two environments.
#[must_use]
pub fn compare(a: &Side, b: &Side) -> Comparison {
    if a.lock.is_some() && a.lock == b.lock {
        return Comparison {
            likeness: Likeness::Identical,
            differences: Vec::new(),
        };
    }
    let mut found = Found::default();
    found.architecture(a, b);
    found.packages(a, b);
    found.variables(a, b);
    found.build_path(a, b);
    let likeness = match (found.differences.is_empty(), found.unsaid.is_empty()) {
        (false, _) => Likeness::Different,
        (true, false) => Likeness::Unknown,
        (true, true) => Likeness::Similar,
    };
    found.origins(a, b);
    found.differences.extend(found.unsaid);
    Comparison {
        likeness,
        differences: found.differences,
    }
}

#[derive(Default)]
struct Found {
    differences: Vec<Difference>,
    unsaid: Vec<Difference>,
}

fn difference(kind: &'static str, what: impl ToString, a: Option<&str>, b: Option<&str>) -> Difference {
    Difference {
        kind,
        what: what.to_string(),
        a: a.map(str::to_owned),
        b: b.map(str::to_owned),
    }
}

impl Found {
    fn unsaid(&mut self, what: String) {
        self.unsaid.push(difference("unsaid", what, None, None));
    }

    fn architecture(&mut self, a: &Side, b: &Side) {
        if let (Some(one), Some(other)) = (&a.architecture, &b.architecture)
            && one != other
        {
            let (one, other) = (Some(one.as_str()), Some(other.as_str()));
            self.differences.push(difference("architecture", "build", one, other));
        }
    }

    fn packages(&mut self, a: &Side, b: &Side) {
        let mut rest: Vec<&Wanted> = b.packages.iter().collect();
        let (mut only_a, mut hashless) = (Vec::new(), 0_usize);
        for one in &a.packages {
            let Some(at) = rest.iter().position(|other| is_same_package(one, other)) else {
                only_a.push(one);
                continue;
            };
            let other = rest.remove(at);
            if one.version != other.version {
                let versions = (one.version.as_str(), other.version.as_str());
                self.differences
                    .push(difference("version", spell(one), Some(versions.0), Some(versions.1)));
                continue;
            }
            match (one.details.sha256, other.details.sha256) {
                (Some(x), Some(y)) if x == y => {}
                (Some(x), Some(y)) => {
                    self.differences
                        .push(difference("bytes", spell(one), Some(&x.hex()), Some(&y.hex())));
                }
                _ => hashless = hashless.saturating_add(1),
            }
        }
        let removed = |one: &&Wanted| difference("removed", spell(one), Some(one.version.as_str()), None);
        let added = |one: &&Wanted| difference("added", spell(one), None, Some(one.version.as_str()));
        if b.complete {
            self.differences.extend(only_a.iter().map(removed));
        } else if !only_a.is_empty() {
            self.unsaid(format!(
                "whether the second has {} more packages of the first",
                only_a.len()
            ));
        }
        if a.complete {
            self.differences.extend(rest.iter().map(added));
        } else if !rest.is_empty() {
            self.unsaid(format!(
                "whether the first has {} more packages of the second",
                rest.len()
            ));
        }
        if !a.complete && !b.complete {
            self.unsaid("what neither records: apt, fakeroot and their kin".to_owned());
        }
        if hashless > 0 {
            self.unsaid(format!("the SHA-256 of {hashless} packages"));
        }
    }

    fn variables(&mut self, a: &Side, b: &Side) {
        let (Some(x), Some(y)) = (&a.variables, &b.variables) else {
            if !(a.fixed && b.fixed) {
                self.unsaid("the variables of the build".to_owned());
            }
            return;
        };
        let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
        for name in names {
            let (one, other) = (x.get(name), y.get(name));
            if one != other {
                let (one, other) = (one.map(String::as_str), other.map(String::as_str));
                self.differences.push(difference("variable", name, one, other));
            }
        }
    }

    fn build_path(&mut self, a: &Side, b: &Side) {
        match (&a.build_path, &b.build_path) {
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => self
                .differences
                .push(difference("build-path", "build", Some(x), Some(y))),
            _ if a.fixed && b.fixed => {}
            _ => self.unsaid("the build path".to_owned()),
        }
    }

    /// For people: the same packages may come from other snapshots, in a tar archive of other bytes.
    fn origins(&mut self, a: &Side, b: &Side) {
        for (what, x) in &a.origin {
            let y = b
                .origin
                .iter()
                .find(|(other, _)| other == what)
                .map(|(_, y)| y.as_str());
            if y.is_some_and(|y| y != x) {
                self.differences.push(difference("origin", what, Some(x), y));
            }
        }
    }
}

/// The same name, for architectures that can be the same.
fn is_same_package(a: &Wanted, b: &Wanted) -> bool {
    use WantedArchitecture::{Any, Exactly, Native};
    let same = match (&a.architecture, &b.architecture) {
        (Any, _) | (_, Any) => true,
        (Exactly(x), Exactly(y)) | (Native(x), Native(y)) => x == y,
        (Native(native), Exactly(exactly)) | (Exactly(exactly), Native(native)) => {
            exactly == native || exactly.is_all()
        }
    };
    a.package == b.package && same
}

fn spell(wanted: &Wanted) -> String {
    match &wanted.architecture {
        WantedArchitecture::Exactly(architecture) => format!("{}:{architecture}", wanted.package),
        _ => wanted.package.to_string(),
    }
}
