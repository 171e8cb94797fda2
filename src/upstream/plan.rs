//! Which of the files that a Release lists are taken. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Architecture, Component, Digest, RelPath};
use crate::format::release::Listed;

/// What to take.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Components, as the site names them.
    pub components: &'a [Component],
    /// Architectures; with `all` when upstream lists it.
    pub architectures: &'a [Architecture],
    /// Languages of Translation indexes.
    pub languages: &'a [String],
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
/// Contents, DEP-11, command-not-found, pdiffs and installer images are not taken yet.
#[must_use]
pub fn plan(listed: &BTreeMap<RelPath, Listed>, wanted: Wanted<'_>) -> Plan {
    let mut files = BTreeMap::new();
    let mut missing = Vec::new();
    for component in wanted.components {
        for architecture in wanted.architectures {
            let folder = format!("{component}/binary-{architecture}");
            // A suite may list `all` as an architecture and have no index for it.
            let needed = !architecture.is_all();
            take(listed, &format!("{folder}/Packages"), needed, &mut files, &mut missing);
            take(listed, &format!("{folder}/Release"), false, &mut files, &mut missing);
        }
        take(
            listed,
            &format!("{component}/source/Sources"),
            true,
            &mut files,
            &mut missing,
        );
        take(
            listed,
            &format!("{component}/source/Release"),
            false,
            &mut files,
            &mut missing,
        );
        for language in wanted.languages {
            let index = format!("{component}/i18n/Translation-{language}");
            take(listed, &index, false, &mut files, &mut missing);
        }
    }
    Plan {
        files: files.into_values().collect(),
        missing,
    }
}

fn take(
    listed: &BTreeMap<RelPath, Listed>,
    index: &str,
    needed: bool,
    files: &mut BTreeMap<RelPath, Planned>,
    missing: &mut Vec<RelPath>,
) {
    let Ok(plain) = RelPath::new(index) else { return };
    let uncompressed = listed.get(&plain);
    let compressed: Vec<(RelPath, &Listed)> = COMPRESSED
        .iter()
        .filter_map(|extension| RelPath::new(format!("{index}.{extension}")).ok())
        .filter_map(|path| listed.get(&path).map(|listed| (path, listed)))
        .collect();
    if compressed.is_empty() && uncompressed.is_none() {
        if needed {
            missing.push(plain);
        }
        return;
    }
    if let Some(listed) = uncompressed {
        let fetched = compressed.is_empty();
        files.insert(
            plain.clone(),
            Planned {
                path: plain,
                listed: listed.clone(),
                fetched,
                uncompressed: None,
            },
        );
    }
    for (path, listed) in compressed {
        files.insert(
            path.clone(),
            Planned {
                path,
                listed: listed.clone(),
                fetched: true,
                uncompressed: uncompressed.map(|plain| plain.digest),
            },
        );
    }
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
        let wanted = Wanted {
            components: &["main".parse().unwrap()],
            architectures: &["all".parse().unwrap(), "amd64".parse().unwrap()],
            languages: &["en".to_owned()],
        };
        let plan = plan(&listed(paths), wanted);
        let show = |file: &Planned| format!("{}{}", if file.fetched { "+" } else { "-" }, file.path);
        (
            plan.files.iter().map(show).collect(),
            plan.missing.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn debians_layout() {
        let (files, missing) = planned(&[
            "main/Contents-amd64.gz",
            "main/binary-all/Packages",
            "main/binary-all/Packages.xz",
            "main/binary-amd64/Packages",
            "main/binary-amd64/Packages.gz",
            "main/binary-amd64/Packages.xz",
            "main/binary-amd64/Packages.diff/Index",
            "main/binary-amd64/Release",
            "main/binary-i386/Packages.xz",
            "main/dep11/Components-amd64.yml.xz",
            "main/i18n/Translation-de.bz2",
            "main/i18n/Translation-en",
            "main/i18n/Translation-en.bz2",
            "main/source/Sources",
            "main/source/Sources.xz",
            "contrib/source/Sources.xz",
        ]);
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
                "-main/source/Sources",
                "+main/source/Sources.xz",
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
