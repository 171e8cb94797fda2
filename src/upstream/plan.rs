//! Which of the files that a Release lists are taken. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Architecture, Component, Digest, RelPath};
use crate::format::release::Listed;
use crate::site::IndexKind;
use crate::snapshot::IndexFile;

/// What to take.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Components, as the site names them.
    pub components: &'a [Component],
    /// Architectures; with `all` when upstream lists it.
    pub architectures: &'a [Architecture],
    /// Languages of Translation indexes.
    pub languages: &'a [String],
    /// Whether sources are taken.
    pub sources: bool,
    /// Indexes beside Packages, Sources and Translation.
    pub indexes: &'a BTreeSet<IndexKind>,
}

/// One file of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Relative to `dists/<suite>/`.
    pub path: RelPath,
    /// What Release says of it.
    pub listed: Listed,
    /// Whether it is fetched. One that is not is the uncompressed form of one that is.
    pub fetched: bool,
    /// For a compressed file: what Release says of its uncompressed form.
    pub uncompressed: Option<Digest>,
    /// Whether some form of this index must be had. Others that a Release lists may not be there.
    pub needed: bool,
}

impl Planned {
    /// Whether this and another are forms of one index: the same but for the ending of a compression.
    pub(super) fn is_form_of(&self, other: &Self) -> bool {
        uncompressed_name(&self.path) == uncompressed_name(&other.path)
    }

    /// The name of its file without the ending of a compression.
    pub(super) fn plain_name(&self) -> &str {
        let name = uncompressed_name(&self.path);
        name.rsplit_once('/').map_or(name, |(_, file)| file)
    }

    /// Whether a snapshot without it lacks something that a client could read.
    pub(super) fn is_a_loss(&self) -> bool {
        self.fetched && self.path.file_name() != "Release"
    }

    /// The same in a record.
    pub(super) fn index(&self) -> IndexFile {
        IndexFile {
            path: self.path.clone(),
            digest: self.listed.digest,
            kept: self.fetched,
        }
    }
}

/// What is taken of one Release, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The files.
    pub files: Vec<Planned>,
    /// Indexes that must be there and are not listed in any form that we read: Packages of a
    /// component and architecture, Sources of a component.
    pub missing: Vec<RelPath>,
}

impl Plan {
    /// Bytes to fetch.
    #[must_use]
    pub fn size(&self) -> u64 {
        let fetched = self.files.iter().filter(|file| file.fetched);
        fetched.fold(0, |sum, file| sum.saturating_add(file.listed.digest.size))
    }
}

/// Compressed forms that upstreams ship. All are hashed as they are; bzip2 is not looked into.
const COMPRESSED: [&str; 4] = ["xz", "gz", "zst", "bz2"];

/// Plans what to take of the files that a Release lists.
///
/// What an `Index` of patches and a `SHA256SUMS` of images name comes later: see `chained`.
#[must_use]
pub fn plan(listed: &BTreeMap<RelPath, Listed>, wanted: Wanted<'_>) -> Plan {
    let mut taking = Taking {
        listed,
        wanted,
        files: BTreeMap::new(),
        missing: Vec::new(),
    };
    for component in wanted.components {
        taking.packages(component.as_str(), true);
        taking.translations(component);
        for kind in wanted.indexes {
            taking.kind(*kind, component);
        }
    }
    // Where Contents stood before components had their own, and still stands in derivatives.
    taking.contents("");
    Plan {
        files: taking.files.into_values().collect(),
        missing: taking.missing,
    }
}

struct Taking<'a> {
    listed: &'a BTreeMap<RelPath, Listed>,
    wanted: Wanted<'a>,
    files: BTreeMap<RelPath, Planned>,
    missing: Vec<RelPath>,
}

impl<'a> Taking<'a> {
    fn wants(&self, kind: IndexKind) -> bool {
        self.wanted.indexes.contains(&kind)
    }

    /// The architectures that are wanted, and `all`: an archive may have indexes of it, and not say so.
    fn architectures(&self) -> Vec<&'a str> {
        let named = self.wanted.architectures.iter().map(Architecture::as_str);
        let all: BTreeSet<&str> = named.chain(["all"]).collect();
        all.into_iter().collect()
    }

    /// Packages and Sources in a folder.
    fn packages(&mut self, folder: &str, with_sources: bool) {
        for architecture in self.architectures() {
            // A suite may list `all` as an architecture and have no index for it.
            let needed = with_sources && architecture != "all";
            self.take(&format!("{folder}/binary-{architecture}/Packages"), needed);
            self.take(&format!("{folder}/binary-{architecture}/Release"), false);
        }
        if with_sources && self.wanted.sources {
            self.take(&format!("{folder}/source/Sources"), true);
            self.take(&format!("{folder}/source/Release"), false);
        }
    }

    fn translations(&mut self, component: &Component) {
        for language in self.wanted.languages {
            self.take(&format!("{component}/i18n/Translation-{language}"), false);
        }
    }

    fn kind(&mut self, kind: IndexKind, component: &Component) {
        match kind {
            IndexKind::Contents => self.contents(&format!("{component}/")),
            IndexKind::Dep11 => {
                for architecture in self.architectures() {
                    self.take(&format!("{component}/dep11/Components-{architecture}.yml"), false);
                    self.take(&format!("{component}/dep11/CID-Index-{architecture}.json"), false);
                }
                self.below(&format!("{component}/dep11/icons-"));
            }
            IndexKind::CommandNotFound => {
                for architecture in self.architectures() {
                    self.take(&format!("{component}/cnf/Commands-{architecture}"), false);
                }
            }
            IndexKind::Udebs => self.packages(&format!("{component}/debian-installer"), false),
            IndexKind::Installer => {
                for architecture in self.architectures() {
                    self.below(&format!("{component}/installer-{architecture}/"));
                }
            }
            // With the index that they change.
            IndexKind::Pdiffs => {}
        }
    }

    fn contents(&mut self, folder: &str) {
        if !self.wants(IndexKind::Contents) {
            return;
        }
        for architecture in self.architectures() {
            self.take(&format!("{folder}Contents-{architecture}"), false);
            if self.wants(IndexKind::Udebs) {
                self.take(&format!("{folder}Contents-udeb-{architecture}"), false);
            }
        }
        if self.wanted.sources {
            self.take(&format!("{folder}Contents-source"), false);
        }
    }

    /// Every index whose path starts so.
    fn below(&mut self, prefix: &str) {
        let near = self.listed.keys().filter(|path| path.as_str().starts_with(prefix));
        let plain: BTreeSet<&str> = near.map(uncompressed_name).collect();
        for index in plain {
            self.take(index, false);
        }
    }

    /// One index in all its forms, and the list of its patches.
    fn take(&mut self, index: &str, needed: bool) {
        let Ok(plain) = RelPath::new(index) else { return };
        let uncompressed = self.listed.get(&plain);
        let compressed: Vec<(RelPath, &Listed)> = COMPRESSED
            .iter()
            .filter_map(|extension| RelPath::new(format!("{index}.{extension}")).ok())
            .filter_map(|path| self.listed.get(&path).map(|listed| (path, listed)))
            .collect();
        if compressed.is_empty() && uncompressed.is_none() {
            if needed {
                self.missing.push(plain);
            }
            return;
        }
        if let Some(listed) = uncompressed {
            self.file(plain, listed, (compressed.is_empty(), needed), None);
        }
        for (path, listed) in compressed {
            self.file(path, listed, (true, needed), uncompressed.map(|plain| plain.digest));
        }
        let patches = RelPath::new(format!("{index}.diff/Index")).ok();
        if let Some(path) = patches.filter(|_| self.wants(IndexKind::Pdiffs))
            && let Some(listed) = self.listed.get(&path)
        {
            self.file(path, listed, (true, false), None);
        }
    }

    fn file(&mut self, path: RelPath, listed: &Listed, (fetched, needed): (bool, bool), uncompressed: Option<Digest>) {
        let planned = Planned {
            path: path.clone(),
            listed: listed.clone(),
            fetched,
            uncompressed,
            needed,
        };
        self.files.insert(path, planned);
    }
}

/// The path without the ending of a compressed form.
pub(super) fn uncompressed_name(path: &RelPath) -> &str {
    let text = path.as_str();
    let of = |extension: &&str| text.strip_suffix(*extension)?.strip_suffix('.');
    COMPRESSED.iter().find_map(of).unwrap_or(text)
}

/// The architectures of `configured`, and `all` when upstream lists it, in upstream's order. In the
/// suite's Release `all` must stand when upstream has it: apt reads `binary-all` only then.
#[must_use]
pub(super) fn architectures(configured: &[Architecture], upstream: &[Architecture]) -> Vec<Architecture> {
    let wanted: BTreeSet<&Architecture> = configured.iter().collect();
    let kept = upstream.iter().filter(|a| a.is_all() || wanted.contains(a));
    kept.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(paths: &[&str]) -> BTreeMap<RelPath, Listed> {
        let entry = |path: &&str| {
            let digest = Digest::of(path.as_bytes());
            let listed = Listed {
                digest,
                md5: None,
                sha1: None,
                sha512: None,
            };
            (RelPath::new(*path).unwrap(), listed)
        };
        paths.iter().map(entry).collect()
    }

    fn planned(paths: &[&str]) -> (Vec<String>, Vec<String>) {
        use IndexKind::{CommandNotFound, Contents, Dep11, Installer, Pdiffs, Udebs};
        let all = BTreeSet::from([CommandNotFound, Contents, Dep11, Installer, Pdiffs, Udebs]);
        planned_with(paths, true, &all)
    }

    fn planned_with(paths: &[&str], sources: bool, indexes: &BTreeSet<IndexKind>) -> (Vec<String>, Vec<String>) {
        let wanted = Wanted {
            components: &["main".parse().unwrap()],
            architectures: &["amd64".parse().unwrap()],
            languages: &["en".to_owned()],
            sources,
            indexes,
        };
        let plan = plan(&listed(paths), wanted);
        let show = |file: &Planned| format!("{}{}", if file.fetched { "+" } else { "-" }, file.path);
        (
            plan.files.iter().map(show).collect(),
            plan.missing.iter().map(ToString::to_string).collect(),
        )
    }

    const LAYOUT: [&str; 40] = [
        "contrib/source/Sources.xz",
        "main/Contents-all.gz",
        "main/Contents-amd64",
        "main/Contents-amd64.diff/Index",
        "main/Contents-amd64.gz",
        "main/Contents-i386.gz",
        "main/Contents-source.gz",
        "main/Contents-udeb-amd64.gz",
        "main/binary-all/Packages",
        "main/binary-all/Packages.xz",
        "main/binary-amd64/Packages",
        "main/binary-amd64/Packages.diff/Index",
        "main/binary-amd64/Packages.gz",
        "main/binary-amd64/Packages.xz",
        "main/binary-amd64/Release",
        "main/binary-i386/Packages.xz",
        "main/cnf/Commands-amd64.xz",
        "main/cnf/Commands-i386.xz",
        "main/debian-installer/binary-amd64/Packages",
        "main/debian-installer/binary-amd64/Packages.xz",
        "main/debian-installer/binary-i386/Packages.xz",
        "main/dep11/Components-amd64.yml",
        "main/dep11/Components-amd64.yml.gz",
        "main/dep11/Components-i386.yml.gz",
        "main/dep11/icons-48x48.tar",
        "main/dep11/icons-48x48.tar.gz",
        "main/dep11/iconsets",
        "main/i18n/Translation-de.bz2",
        "main/i18n/Translation-en",
        "main/i18n/Translation-en.bz2",
        "main/installer-amd64-x/20230607/images/SHA256SUMS",
        "main/installer-amd64/20230607/images/MD5SUMS",
        "main/installer-amd64/20230607/images/SHA256SUMS",
        "main/installer-amd64/current/images/SHA256SUMS",
        "main/installer-i386/current/images/SHA256SUMS",
        "main/source/Sources",
        "main/source/Sources.diff/Index",
        "main/source/Sources.xz",
        "Contents-amd64.gz",
        "Contents-i386.gz",
    ];

    #[test]
    fn debians_layout() {
        let (files, missing) = planned(&LAYOUT);
        assert_eq!(
            files,
            [
                "+Contents-amd64.gz",
                "+main/Contents-all.gz",
                "-main/Contents-amd64",
                "+main/Contents-amd64.diff/Index",
                "+main/Contents-amd64.gz",
                "+main/Contents-source.gz",
                "+main/Contents-udeb-amd64.gz",
                "-main/binary-all/Packages",
                "+main/binary-all/Packages.xz",
                "-main/binary-amd64/Packages",
                "+main/binary-amd64/Packages.diff/Index",
                "+main/binary-amd64/Packages.gz",
                "+main/binary-amd64/Packages.xz",
                "+main/binary-amd64/Release",
                "+main/cnf/Commands-amd64.xz",
                "-main/debian-installer/binary-amd64/Packages",
                "+main/debian-installer/binary-amd64/Packages.xz",
                "-main/dep11/Components-amd64.yml",
                "+main/dep11/Components-amd64.yml.gz",
                "-main/dep11/icons-48x48.tar",
                "+main/dep11/icons-48x48.tar.gz",
                "-main/i18n/Translation-en",
                "+main/i18n/Translation-en.bz2",
                "+main/installer-amd64/20230607/images/MD5SUMS",
                "+main/installer-amd64/20230607/images/SHA256SUMS",
                "+main/installer-amd64/current/images/SHA256SUMS",
                "-main/source/Sources",
                "+main/source/Sources.diff/Index",
                "+main/source/Sources.xz",
            ]
        );
        assert!(missing.is_empty());
    }

    #[test]
    fn only_what_the_site_wants() {
        let (files, missing) = planned_with(&LAYOUT, false, &BTreeSet::new());
        assert_eq!(
            files,
            [
                "-main/binary-all/Packages",
                "+main/binary-all/Packages.xz",
                "-main/binary-amd64/Packages",
                "+main/binary-amd64/Packages.gz",
                "+main/binary-amd64/Packages.xz",
                "+main/binary-amd64/Release",
                "-main/i18n/Translation-en",
                "+main/i18n/Translation-en.bz2",
            ]
        );
        assert!(missing.is_empty());
    }

    #[test]
    fn what_must_be_there_is_named() {
        let (files, missing) = planned(&["main/source/Sources"]);
        assert_eq!(files, ["+main/source/Sources"]);
        assert_eq!(missing, ["main/binary-amd64/Packages"]);
    }

    #[test]
    fn architectures_keep_all() {
        let of = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect::<Vec<Architecture>>();
        assert_eq!(
            architectures(&of(&["amd64"]), &of(&["all", "amd64", "i386"])),
            of(&["all", "amd64"])
        );
    }
}
