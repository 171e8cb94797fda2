//! Which packages of an archive a selection means: those that its lists name and, on request, all
//! that they need. Pure.
//!
//! What a package needs: `Pre-Depends` and `Depends`; `Recommends`, and of one that the selection names the build dependencies of
//! its source, when the selection says so. Of alternatives the first that there is; of a name that only
//! others provide, every provider, since which one a client takes is its own choice.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Display;

use super::IndexError;
use crate::domain::Version;
use crate::format::FormatError;
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::relation::{Operator, Relation, Relations};
use crate::site::{PackagePattern, Select};

/// The packages of an archive, being looked through.
#[derive(Debug)]
pub struct Closure<'s> {
    select: &'s Select,
    /// Whether what is chosen brings along what it needs.
    follow: bool,
    packages: Vec<Package>,
    provided: Vec<Provided>,
    /// Build dependencies, by name and version of the source.
    builds: HashMap<(String, String), String>,
    /// What the selection names and no package had so far.
    absent: BTreeSet<String>,
}

/// A name that a package provides.
#[derive(Debug)]
struct Provided {
    name: Box<str>,
    /// What `(= version)` says. Without it, it satisfies nothing that asks for a version (Debian Policy §7.5).
    version: Option<Version>,
    /// Which package.
    by: usize,
}

impl Provided {
    fn new(relation: Relation, by: usize) -> Self {
        let version = match relation.constraint {
            Some((Operator::Equal, version)) => Some(version),
            _ => None,
        };
        let name = relation.package.as_str().into();
        Self { name, version, by }
    }

    fn satisfies(&self, relation: &Relation) -> bool {
        match &self.version {
            Some(version) => relation.admits(version),
            None => relation.constraint.is_none(),
        }
    }
}

/// What is remembered of a binary package. Some hundred thousand are in memory at once and few are ever
/// read: so it is one text, a line each for name, version, architecture, source, its version, what it needs, and what it recommends.
#[derive(Debug)]
struct Package {
    text: Box<str>,
    named: bool,
}

impl Package {
    fn new(lines: [&str; 7], named: bool) -> Self {
        let text = lines.join("\n").into_boxed_str();
        Self { text, named }
    }

    fn line(&self, n: usize) -> &str {
        self.text.split('\n').nth(n).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.line(0)
    }

    fn version(&self) -> &str {
        self.line(1)
    }

    fn architecture(&self) -> &str {
        self.line(2)
    }

    fn source(&self) -> (String, String) {
        (self.line(3).to_owned(), self.line(4).to_owned())
    }

    fn needs(&self) -> &str {
        self.line(5)
    }

    fn recommends(&self) -> &str {
        self.line(6)
    }
}

/// Packages by a name that they have or provide, in the order in which they were looked through.
#[derive(Debug)]
struct ByName<'a>(Vec<(&'a str, usize)>);

impl<'a> ByName<'a> {
    fn new(named: impl Iterator<Item = (&'a str, usize)>) -> Self {
        let mut named: Vec<_> = named.collect();
        named.sort_unstable();
        Self(named)
    }

    fn of(&self, name: &str) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(known, _)| *known < name);
        let rest = self.0.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |(known, _)| *known == name)
            .map(|(_, at)| *at)
    }
}

/// All that was looked through, when nothing more comes.
#[derive(Debug)]
struct Catalog<'a> {
    packages: &'a [Package],
    by_name: ByName<'a>,
    /// By the place in `provided`.
    providers: ByName<'a>,
    provided: &'a [Provided],
    builds: &'a HashMap<(String, String), String>,
    /// Those that any package is of, but `all`: where what is for all of them is built.
    architectures: BTreeSet<&'a str>,
}

/// What was chosen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Chosen {
    binaries: HashSet<(String, String, String)>,
    sources: HashSet<(String, String)>,
    /// What the selection names and no package has: `package x`, with those that provide it, `pattern x*`, `section x`,
    /// `priority x`.
    pub absent: BTreeSet<String>,
    /// What chosen packages need and no package satisfies.
    pub unmet: BTreeSet<String>,
    /// What they recommend, when that is followed, and no package satisfies.
    pub unmet_recommends: BTreeSet<String>,
}

/// So many of those that provide a name are named.
const MOST_PROVIDERS: usize = 8;

const DEPENDS: [&str; 2] = ["Pre-Depends", "Depends"];
/// What every source is built with, and none need say (Debian Policy §4.2).
const ESSENTIAL: &str = "build-essential";
const BUILD_DEPENDS: [&str; 3] = ["Build-Depends", "Build-Depends-Indep", "Build-Depends-Arch"];

impl<'s> Closure<'s> {
    /// Nothing looked through yet. With `follow` what is chosen brings along what it needs.
    #[must_use]
    pub fn new(select: &'s Select, follow: bool) -> Self {
        Self {
            select,
            follow,
            packages: Vec::new(),
            provided: Vec::new(),
            builds: HashMap::new(),
            absent: named(select),
        }
    }

    /// Looks through a Packages file.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn add_packages(&mut self, text: &[u8]) -> Result<(), IndexError> {
        for stanza in Stanzas::new(text) {
            self.add(&stanza?)?;
        }
        Ok(())
    }

    /// Looks through a Sources file, for what packages are built with.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn add_sources(&mut self, text: &[u8]) -> Result<(), IndexError> {
        if !(self.follow && self.select.build_dependencies) {
            return Ok(());
        }
        for stanza in Stanzas::new(text) {
            let stanza = stanza?;
            let said = joined(&stanza, &BUILD_DEPENDS);
            let all = [said.as_str(), ESSENTIAL].into_iter().filter(|text| !text.is_empty());
            self.builds
                .insert(identity(&stanza), all.collect::<Vec<_>>().join(", "));
        }
        Ok(())
    }

    fn add(&mut self, stanza: &Stanza<'_>) -> Result<(), IndexError> {
        let (name, version) = identity(stanza);
        let at = self.packages.len();
        if let Some(provides) = stanza
            .field("Provides")
            .filter(|text| self.follow || self.names_any_of(text))
        {
            let relations = provided(provides).into_iter();
            self.provided
                .extend(relations.map(|relation| Provided::new(relation, at)));
        }
        let source = stanza.field("Source").unwrap_or(&name);
        let (source, source_version) = match source.split_once(" (") {
            Some((source, rest)) => (source, rest.trim_end_matches(')')),
            None => (source, version.as_str()),
        };
        let fields = |wanted: bool, fields| if wanted { joined(stanza, fields) } else { String::new() };
        let needs = fields(self.follow, &DEPENDS);
        let recommends = fields(self.follow && self.select.recommends, &["Recommends"]);
        let architecture = stanza.field("Architecture").unwrap_or_default();
        let lines = [
            name.as_str(),
            &version,
            architecture,
            source,
            source_version,
            &needs,
            &recommends,
        ];
        let named = self.is_named(&name, stanza);
        self.packages.push(Package::new(lines, named));
        Ok(())
    }

    /// Whether what a package provides may be what the selection names.
    fn names_any_of(&self, provides: &str) -> bool {
        let mut packages = self.select.packages.iter();
        packages.any(|package| provides.contains(package.as_str()))
    }

    fn is_named(&mut self, name: &str, stanza: &Stanza<'_>) -> bool {
        let patterns = self.select.packages.iter();
        let mut said: Vec<String> = patterns
            .filter(|pattern| pattern.matches(name))
            .map(said_pattern)
            .collect();
        let lists = [
            ("Section", &self.select.sections),
            ("Priority", &self.select.priorities),
        ];
        for (field, list) in lists {
            let value = stanza.field(field).filter(|value| list.contains(*value));
            said.extend(value.map(|value| said_value(field, value)));
        }
        for said in &said {
            self.absent.remove(said);
        }
        !said.is_empty()
    }

    /// What the selection means in all that was looked through.
    ///
    /// # Errors
    /// When a relation of a chosen package is malformed.
    pub fn resolve(self) -> Result<Chosen, IndexError> {
        let names = self.packages.iter().map(Package::name).zip(0..);
        let provided = self.provided.iter().map(|provided| provided.name.as_ref()).zip(0..);
        let catalog = Catalog {
            packages: &self.packages,
            by_name: ByName::new(names),
            providers: ByName::new(provided),
            provided: &self.provided,
            builds: &self.builds,
            architectures: self
                .packages
                .iter()
                .map(Package::architecture)
                .filter(|name| *name != "all")
                .collect(),
        };
        let mut chosen = Chosen {
            absent: self.absent,
            ..Chosen::default()
        };
        for package in &self.select.packages {
            let (said, providers) = (said_pattern(package), catalog.said_providers(package.as_str()));
            if let Some(providers) = providers.filter(|_| chosen.absent.remove(&said)) {
                chosen.absent.insert(format!("{said}, which only {providers}"));
            }
        }
        let mut todo: Vec<usize> = Vec::new();
        let mut seen = vec![false; self.packages.len()];
        for (at, package) in self.packages.iter().enumerate() {
            if package.named {
                visit(at, &mut seen, &mut todo);
            }
        }
        while let Some(package) = todo.pop().and_then(|at| self.packages.get(at)) {
            chosen.take(package);
            for (field, text) in catalog.needs(package) {
                let of = |error: IndexError| {
                    let at = format!("{field} of the package `{}`", package.name());
                    IndexError::from(FormatError::malformed("relation", at, error))
                };
                for group in relations(field, text).map_err(of)?.0 {
                    if !catalog.satisfy(package, &group, &mut seen, &mut todo) {
                        let need = format!("{}: {field}: {}", package.name(), Relations(vec![group]));
                        match field {
                            "Recommends" => chosen.unmet_recommends.insert(need),
                            _ => chosen.unmet.insert(need),
                        };
                    }
                }
            }
        }
        Ok(chosen)
    }
}

impl Catalog<'_> {
    fn needs<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = (&'static str, &'a str)> {
        // Of those that the selection names: what all of them are built with, and these again, is a third of Debian.
        let builds = package.named.then(|| self.builds.get(&package.source())).flatten();
        let builds = builds.map(|text| ("Build-Depends", text.as_str()));
        let needs = [("Depends", package.needs()), ("Recommends", package.recommends())];
        needs.into_iter().chain(builds).filter(|(_, text)| !text.is_empty())
    }

    /// Takes the first alternative that there is. Whether there is one.
    fn satisfy(&self, of: &Package, group: &[Relation], seen: &mut [bool], todo: &mut Vec<usize>) -> bool {
        let counts = |relation: &&Relation| match of.architecture() {
            "all" if !self.architectures.is_empty() => self.architectures.iter().any(|name| relation.counts_on(name)),
            one => relation.counts_on(one),
        };
        let mut relevant = group.iter().filter(counts).peekable();
        if relevant.peek().is_none() {
            return true;
        }
        for relation in relevant {
            let found = self.candidates(of, relation);
            if !found.is_empty() {
                found.into_iter().for_each(|at| visit(at, seen, todo));
                return true;
            }
        }
        false
    }

    /// Who provides a name, in words: `exim4-daemon-light`, `postfix` provide.
    fn said_providers(&self, name: &str) -> Option<String> {
        let provided = self.providers.of(name).filter_map(|at| self.provided.get(at));
        let packages = provided.filter_map(|provided| self.packages.get(provided.by));
        let names: BTreeSet<&str> = packages.map(Package::name).collect();
        let mut said: Vec<String> = names
            .iter()
            .take(MOST_PROVIDERS)
            .map(|name| format!("`{name}`"))
            .collect();
        if let Some(more) = names.len().checked_sub(MOST_PROVIDERS).filter(|more| *more > 0) {
            said.push(format!("{more} more"));
        }
        match said.len() {
            0 => None,
            1 => Some(format!("{} provides", said.concat())),
            _ => Some(format!("{} provide", said.join(", "))),
        }
    }

    /// The packages that satisfy a relation: those of the name, else all that provide it.
    fn candidates(&self, of: &Package, relation: &Relation) -> Vec<usize> {
        let fits = |at: &usize| {
            self.packages.get(*at).is_some_and(|package| {
                let architectures = [of.architecture(), package.architecture()];
                let [ours, theirs] = architectures;
                let same = architectures.contains(&"all") || ours == theirs;
                same.then(|| Version::new(package.version()))
                    .is_some_and(|version| version.is_ok_and(|v| relation.admits(&v)))
            })
        };
        let name = relation.package.as_str();
        let real: Vec<usize> = self.by_name.of(name).filter(fits).collect();
        if real.is_empty() {
            let provided = self.providers.of(name).filter_map(|at| self.provided.get(at));
            let fitting = provided.filter(|provided| provided.satisfies(relation));
            fitting.map(|provided| provided.by).collect()
        } else {
            real
        }
    }
}

impl Chosen {
    fn take(&mut self, package: &Package) {
        let owned = |text: &str| text.to_owned();
        let [name, version, architecture] = [package.name(), package.version(), package.architecture()].map(owned);
        self.binaries.insert((name, version, architecture));
        self.sources.insert(package.source());
    }

    /// Whether a stanza of Packages was chosen.
    #[must_use]
    pub fn has_binary(&self, stanza: &Stanza<'_>) -> bool {
        let (name, version) = identity(stanza);
        let architecture = stanza.field("Architecture").unwrap_or_default().to_owned();
        self.binaries.contains(&(name, version, architecture))
    }

    /// Whether a stanza of Sources is the source of a chosen package.
    #[must_use]
    pub fn has_source(&self, stanza: &Stanza<'_>) -> bool {
        self.sources.contains(&identity(stanza))
    }

    /// How many binary packages were chosen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.binaries.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.binaries.is_empty()
    }
}

/// All that a selection names, in words.
fn named(select: &Select) -> BTreeSet<String> {
    let said = |field: &'static str, list: &BTreeSet<String>| -> Vec<String> {
        list.iter().map(|value| said_value(field, value)).collect()
    };
    let values = [said("Section", &select.sections), said("Priority", &select.priorities)];
    let patterns = select.packages.iter().map(said_pattern);
    patterns.chain(values.into_iter().flatten()).collect()
}

fn said_pattern(pattern: &PackagePattern) -> String {
    let kind = if pattern.is_pattern() { "pattern" } else { "package" };
    said_value(kind, pattern)
}

fn said_value(kind: &str, value: impl Display) -> String {
    format!("{} `{value}`", kind.to_ascii_lowercase())
}

fn visit(at: usize, seen: &mut [bool], todo: &mut Vec<usize>) {
    if let Some(seen) = seen.get_mut(at).filter(|seen| !**seen) {
        *seen = true;
        todo.push(at);
    }
}

fn identity(stanza: &Stanza<'_>) -> (String, String) {
    let field = |name| stanza.field(name).unwrap_or_default().to_owned();
    (field("Package"), field("Version"))
}

fn joined(stanza: &Stanza<'_>, fields: &[&str]) -> String {
    let value = |field: &&str| {
        let first = stanza.field(field)?;
        let lines: Vec<&str> = std::iter::once(first).chain(stanza.lines(field)).collect();
        Some(lines.join(" "))
    };
    let values: Vec<String> = fields.iter().filter_map(value).collect();
    values.join(", ")
}

/// What a package provides. What cannot be read provides nothing: most of these packages nobody has chosen, and apt takes them.
fn provided(text: &str) -> Vec<Relation> {
    let all = |text: &str| relations("Provides", text).map(|relations| relations.0.into_iter().flatten());
    match all(text) {
        Ok(relations) => relations.collect(),
        Err(_) => text.split(',').filter_map(|one| all(one).ok()).flatten().collect(),
    }
}

fn relations(field: &'static str, text: &str) -> Result<Relations, IndexError> {
    Ok(Relations::parse(field, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::PackagePattern;

    const PACKAGES: &str = "\
Package: hello
Version: 2
Architecture: amd64
Section: devel
Depends: libc (>= 2), editor | nosuch,
 data (= 2)
Recommends: manual
Source: hello-src (1)

Package: libc
Version: 2
Architecture: amd64

Package: libc
Version: 1
Architecture: amd64

Package: data
Version: 2
Architecture: all
Depends: nothing-has-this | nor-this

Package: vim
Version: 9
Architecture: amd64
Provides: editor (= 1), vi

Package: nano
Version: 7
Architecture: amd64
Provides: ${misc:Provides}, editor, Pico_7

Package: manual
Version: 1
Architecture: all

Package: gcc
Version: 12
Architecture: amd64

Package: build-essential
Version: 12
Architecture: amd64

Package: i386-only
Version: 1
Architecture: amd64

Package: other
Version: 1
Architecture: amd64
Section: games
Priority: required
";
    const SOURCES: &str = "\
Package: hello-src
Version: 1
Build-Depends: gcc, i386-only [i386], vim <stage1>,
 libc

Package: other
Version: 1

Package: gcc
Version: 12
Build-Depends: other
";

    fn chosen(select: &Select, follow: bool) -> Result<(Vec<String>, Chosen), IndexError> {
        let mut closure = Closure::new(select, follow);
        closure.add_packages(PACKAGES.as_bytes())?;
        closure.add_sources(SOURCES.as_bytes())?;
        let chosen = closure.resolve()?;
        let mut names = Vec::new();
        for stanza in Stanzas::new(PACKAGES.as_bytes()) {
            let stanza = stanza?;
            if chosen.has_binary(&stanza) {
                names.push(format!(
                    "{} {}",
                    stanza.field("Package").unwrap_or("-"),
                    stanza.field("Version").unwrap_or("-")
                ));
            }
        }
        Ok((names, chosen))
    }

    fn select(packages: &[&str]) -> Result<Select, crate::domain::DomainError> {
        Ok(Select {
            packages: packages
                .iter()
                .map(|name| PackagePattern::new(*name))
                .collect::<Result<_, _>>()?,
            ..Select::default()
        })
    }

    type Tested = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_is_needed_comes_along() -> Tested {
        let (names, found) = chosen(&select(&["hello"])?, true)?;
        assert_eq!(names, ["hello 2", "libc 2", "data 2", "vim 9", "nano 7"]);
        assert_eq!(
            found.unmet,
            BTreeSet::from(["data: Depends: nothing-has-this | nor-this".to_owned()])
        );
        let sources: Vec<bool> = Stanzas::new(SOURCES.as_bytes())
            .map(|s| s.map(|s| found.has_source(&s)))
            .collect::<Result<_, _>>()?;
        assert_eq!(sources, [true, false, false]);

        let (names, _) = chosen(&select(&["hello"])?, false)?;
        assert_eq!(names, ["hello 2"], "a filter alone brings nothing along");
        Ok(())
    }

    #[test]
    fn recommended_and_built_with_on_request() -> Tested {
        let wanted = Select {
            recommends: true,
            build_dependencies: true,
            ..select(&["hel*", "absent"])?
        };
        let (names, found) = chosen(&wanted, true)?;
        assert_eq!(
            names,
            [
                "hello 2",
                "libc 2",
                "libc 1",
                "data 2",
                "vim 9",
                "nano 7",
                "manual 1",
                "gcc 12",
                "build-essential 12"
            ]
        );
        assert_eq!(found.absent, BTreeSet::from(["package `absent`".to_owned()]));
        Ok(())
    }

    #[test]
    fn all_that_is_named_in_vain_is_said() -> Tested {
        let wanted = Select {
            sections: BTreeSet::from(["games".to_owned(), "gaming".to_owned()]),
            priorities: BTreeSet::from(["required".to_owned(), "urgent".to_owned()]),
            ..select(&["hello", "hullo", "hel*", "hul*"])?
        };
        for follow in [false, true] {
            let said: Vec<String> = chosen(&wanted, follow)?.1.absent.into_iter().collect();
            let expected = [
                "package `hullo`",
                "pattern `hul*`",
                "priority `urgent`",
                "section `gaming`",
            ];
            assert_eq!(said, expected);
        }
        Ok(())
    }

    #[test]
    fn a_name_that_others_provide_is_said_with_these() -> Tested {
        for follow in [false, true] {
            let said = chosen(&select(&["hello", "editor", "vi"])?, follow)?.1.absent;
            let expected = [
                "package `editor`, which only `nano`, `vim` provide",
                "package `vi`, which only `vim` provides",
            ];
            assert_eq!(said.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        }
        Ok(())
    }

    /// As apt and dpkg do, who would not install what this brings along otherwise.
    #[test]
    fn only_a_provided_version_satisfies_one_that_is_asked_for() -> Tested {
        let cases = [
            ("editor", &["nano", "vim"][..]),
            ("editor (= 1)", &["vim"]),
            ("editor (>= 1)", &["vim"]),
            ("editor (>= 2)", &[]),
            ("vi (>= 1)", &[]),
            ("editor (>= 2) | vi", &["vim"]),
        ];
        for (needed, expected) in cases {
            let wanted = select(&["needy"])?;
            let mut closure = Closure::new(&wanted, true);
            let needy = format!("Package: needy\nVersion: 1\nArchitecture: amd64\nDepends: {needed}\n");
            closure.add_packages(PACKAGES.as_bytes())?;
            closure.add_packages(needy.as_bytes())?;
            let found = closure.resolve()?;
            let mut names: Vec<&str> = found.binaries.iter().map(|(name, _, _)| name.as_str()).collect();
            names.retain(|name| *name != "needy");
            names.sort_unstable();
            assert_eq!(names, expected, "{needed}");
            assert_eq!(found.unmet.is_empty(), !expected.is_empty(), "{needed}");
        }
        Ok(())
    }

    /// What is for all architectures is built on one that there is: what is needed on others does not count.
    #[test]
    fn what_is_for_all_is_built_where_the_archive_is() -> Tested {
        let cases = [
            ("vim [hurd-i386] | nano [any-i386]", &["build-essential", "docs"][..]),
            ("vim [amd64 i386]", &["build-essential", "docs", "vim"]),
            ("vim [!amd64], nano", &["build-essential", "docs", "nano"]),
        ];
        for (needed, expected) in cases {
            let wanted = Select {
                build_dependencies: true,
                ..select(&["docs"])?
            };
            let mut closure = Closure::new(&wanted, true);
            closure.add_packages(PACKAGES.as_bytes())?;
            closure.add_packages(b"Package: docs\nVersion: 1\nArchitecture: all\n")?;
            let source = format!("Package: docs\nVersion: 1\nBuild-Depends-Indep: {needed}\n");
            closure.add_sources(source.as_bytes())?;
            let found = closure.resolve()?;
            let mut names: Vec<&str> = found.binaries.iter().map(|(name, _, _)| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{needed}");
            assert_eq!(found.unmet, BTreeSet::new(), "{needed}");
        }
        Ok(())
    }

    #[test]
    fn whole_sections_and_priorities() -> Tested {
        let wanted = Select {
            sections: BTreeSet::from(["games".to_owned()]),
            priorities: BTreeSet::from(["required".to_owned()]),
            ..Select::default()
        };
        assert_eq!(chosen(&wanted, true)?.0, ["other 1"]);
        Ok(())
    }
}
