//! What a URL path asks for. Pure: every part becomes a checked type here, or the answer is 404.

use crate::domain::{ArchiveName, PoolPath, RelPath, Sha256, SnapshotName};
use crate::store::Key;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The page that lists archives and snapshots.
    Home,
    /// The same page of one archive: what is below the URL that apt is given; with the snapshot that it is asked for under.
    Archive(ArchiveName, Option<SnapshotName>),
    /// The snapshots, as JSON.
    Snapshots,
    /// A file below an archive's `dists/`.
    Dists(ArchiveName, RelPath),
    /// A file below the `dists/` of one snapshot.
    SnapshotDists(ArchiveName, SnapshotName, RelPath),
    /// A pool file; with the snapshot that it is asked for under.
    Pool(ArchiveName, Option<SnapshotName>, PoolPath),
    /// A file that is in no `pool/`; with the snapshot that it is asked for under, but a tag that stands where a folder may.
    /// Only an index of a flat repository can have named it.
    Flat(ArchiveName, Option<SnapshotName>, PoolPath),
    /// A public document by hash.
    Provenance(ArchiveName, Sha256),
    /// `project/trace/<archive>`.
    Trace(ArchiveName),
    /// What an archive's state is: records, renewals, marks, tags, and the signatures on them. Nothing of
    /// what waits for a decision.
    State(ArchiveName, Key),
    /// A file in memory.
    Overlay(Sha256, String),
    /// A pool file, below an overlay.
    OverlayPool(Sha256, ArchiveName, PoolPath),
}

/// What a path below the site begins with that is no archive's and no tag's.
const OF_SITE: [&str; 3] = ["api", ENV, STATE];
const ENV: &str = "env";
const STATE: &str = "state";
/// What a path below an archive begins with that is no snapshot's.
const OF_ARCHIVE: [&str; 4] = ["dists", "pool", "provenance", "project"];

/// Reads the path of a request, still percent-encoded. `served` tells the archives that there are, and
/// `root` is the one that is at the root as well.
///
/// # Errors
/// Why nothing can be there, in one line.
pub(super) fn route(
    path: &str,
    served: &dyn Fn(&ArchiveName) -> bool,
    root: Option<&ArchiveName>,
) -> Result<Target, &'static str> {
    let decoded = decode(path)?;
    // apt writes the path of an index behind the base as it is, and flat repositories start theirs so.
    let decoded = decoded.replace("/./", "/");
    let rest = decoded
        .strip_prefix('/')
        .ok_or("the path does not start with a slash")?;
    match rest {
        "" => return Ok(Target::Home),
        "api/v1/snapshots" => return Ok(Target::Snapshots),
        _ => {}
    }
    if let Some(base) = base(rest.strip_suffix('/').unwrap_or(rest), served) {
        return Ok(base);
    }
    // One grammar for every path: no empty part, no dot at a part's start, no odd character.
    RelPath::new(rest).map_err(|_| "the path is not one that an archive can have")?;
    let at_root = root.and_then(|root| below(root, rest));
    let (first, rest) = split(at_root.as_deref().unwrap_or(rest))?;
    if first == ENV {
        return overlay(rest);
    }
    let archive = |name: &str| name.parse().ok().filter(served).ok_or(NO_ARCHIVE);
    if first == STATE {
        let (name, below) = split(rest)?;
        return state(archive(name)?, below);
    }
    if OF_SITE.contains(&first) {
        return Err("there is no such page");
    }
    let Ok(archive) = archive(first) else {
        let (second, below) = split(rest)?;
        // `/TAG/ARCHIVE/…`, as the tagged snapshots of Tails are laid out. A tag's name is no archive's.
        let tag = first.parse().map_err(|_| NO_ARCHIVE)?;
        return snapshot(archive(second)?, SnapshotName::Tag(tag), below);
    };
    let Some((second, below)) = rest.split_once('/') else {
        return Ok(Target::Flat(archive, None, pool(rest)?));
    };
    match second {
        "dists" => match of_snapshot(below) {
            Some((name, path)) => Ok(Target::SnapshotDists(archive, name, index(&path)?)),
            None => Ok(Target::Dists(archive, index(below)?)),
        },
        "pool" => Ok(Target::Pool(archive, None, pool(rest)?)),
        "provenance" => Ok(Target::Provenance(archive, digest(below.strip_prefix("sha256/"))?)),
        "project" if below == format!("trace/{archive}") => Ok(Target::Trace(archive)),
        "project" => Err("an archive has only its own trace file"),
        name => match (name.parse(), below.split_once('/')) {
            (name, Some(("dists" | "pool", _))) => snapshot(archive, name.map_err(|_| NO_SNAPSHOT)?, below),
            // A folder of a flat repository may have any name, a tag's too.
            (Ok(SnapshotName::Tag(_)) | Err(_), _) => Ok(Target::Flat(archive, None, pool(rest)?)),
            (Ok(name), _) => Ok(Target::Flat(archive, Some(name), pool(below)?)),
        },
    }
}

/// Why an archive is not found.
pub(super) const NO_ARCHIVE: &str = "there is no archive of this name; the page at / names those that there are";
/// Why a snapshot is not found.
pub(super) const NO_SNAPSHOT: &str = "this archive has no such snapshot: an id, a serial, a tag or a timestamp";

/// The URL of an archive, or of one of its snapshots, as sources.list has it: apt asks for files below it.
fn base(path: &str, served: &dyn Fn(&ArchiveName) -> bool) -> Option<Target> {
    let archive = |name: &str| name.parse().ok().filter(served);
    match path.split_once('/') {
        None => Some(Target::Archive(archive(path)?, None)),
        Some((first, second)) => match archive(first) {
            Some(archive) => Some(Target::Archive(archive, Some(exact(second)?))),
            None => match first.parse() {
                Ok(tag) => Some(Target::Archive(archive(second)?, Some(SnapshotName::Tag(tag)))),
                Err(_) => None,
            },
        },
    }
}

/// The name of a snapshot. A folder of a flat repository may be called as a tag is.
fn exact(name: &str) -> Option<SnapshotName> {
    let name = name.parse().ok()?;
    (!matches!(name, SnapshotName::Tag(_))).then_some(name)
}

/// The path below the archive at the root, when it is that one's: `dists/…`, or `<snapshot>/dists/…`. No
/// archive is called `dists` or `pool`.
fn below(root: &ArchiveName, path: &str) -> Option<String> {
    let (first, rest) = path.split_once('/')?;
    let second = rest.split('/').next().unwrap_or_default();
    let is_own = OF_ARCHIVE.contains(&first);
    let of_snapshot = matches!(second, "dists" | "pool") && first.parse::<SnapshotName>().is_ok();
    (is_own || (of_snapshot && first != root.as_str())).then(|| format!("{root}/{path}"))
}

fn snapshot(archive: ArchiveName, name: SnapshotName, rest: &str) -> Result<Target, &'static str> {
    match rest.split_once('/') {
        Some(("dists", below)) => Ok(Target::SnapshotDists(archive, name, index(below)?)),
        Some(("pool", _)) => Ok(Target::Pool(archive, Some(name), pool(rest)?)),
        _ => Ok(Target::Flat(archive, Some(name), pool(rest)?)),
    }
}

/// An entry of an archive's state, or the signature on one.
fn state(archive: ArchiveName, below: &str) -> Result<Target, &'static str> {
    let why = "this is no public part of the archive's state";
    let number = |name: &str| {
        name.strip_suffix(".json")
            .and_then(|n| n.parse::<u64>().ok())
            .ok_or(why)
    };
    let parts: Vec<&str> = below.split('/').collect();
    let key = match parts.as_slice() {
        [n] => Key::record(&archive, number(n)?),
        ["renewals", n, k] => Key::renewal(&archive, n.parse().map_err(|_| why)?, number(k)?),
        ["marks", k] => Key::mark(&archive, number(k)?),
        ["tags", tag] => {
            let tag = tag.strip_suffix(".json").and_then(|tag| tag.parse().ok());
            Key::tag(&archive, &tag.ok_or(why)?)
        }
        ["signatures", hex] => Key::signature(&archive, &digest(Some(hex))?),
        _ => return Err(why),
    };
    Ok(Target::State(archive, key))
}

/// `<suite>/snapshots/<name>/<file>`, as reprepro lays snapshots out.
fn of_snapshot(below: &str) -> Option<(SnapshotName, String)> {
    let (suite, rest) = below.split_once("/snapshots/")?;
    let (name, path) = rest.split_once('/')?;
    Some((name.parse().ok()?, format!("{suite}/{path}")))
}

fn overlay(rest: &str) -> Result<Target, &'static str> {
    let (hex, below) = split(rest)?;
    let digest = digest(Some(hex))?;
    if let Some((archive, path)) = below.split_once('/')
        && path.starts_with("pool/")
        && let Ok(archive) = archive.parse()
    {
        return Ok(Target::OverlayPool(digest, archive, pool(path)?));
    }
    Ok(Target::Overlay(digest, below.to_owned()))
}

fn split(text: &str) -> Result<(&str, &str), &'static str> {
    text.split_once('/').ok_or("there are no listings: ask for a file")
}

fn index(text: &str) -> Result<RelPath, &'static str> {
    RelPath::new(text).map_err(|_| "the path is not one that an index can have")
}

fn pool(text: &str) -> Result<PoolPath, &'static str> {
    PoolPath::new(text).map_err(|_| "the path is not one that a pool file can have")
}

fn digest(hex: Option<&str>) -> Result<Sha256, &'static str> {
    let why = "the name is not a SHA-256";
    let digest: Sha256 = hex.ok_or(why)?.parse().map_err(|_| why)?;
    // One name for one object: upper case would be a second.
    if hex == Some(digest.hex().as_str()) {
        Ok(digest)
    } else {
        Err(why)
    }
}

/// Decodes percent-encoding, once. A plus sign stays one: this is a path, not a form.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or("the percent-encoding is cut off")?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).map_err(|_| "the percent-encoding is malformed")?;
        bytes.extend(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "the path is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> Result<Target, &'static str> {
        super::route(path, &|name| name.as_str() == "debian", None)
    }

    #[test]
    fn no_archive_and_no_tag_has_a_name_that_means_something_else_here() {
        for word in OF_SITE.iter().chain(&OF_ARCHIVE).chain(&["20261122t072000z"]) {
            assert!(word.parse::<crate::domain::TagName>().is_err(), "{word}");
        }
        for word in OF_SITE.iter().chain(&OF_ARCHIVE) {
            assert!(word.parse::<ArchiveName>().is_err(), "{word}");
        }
    }

    #[test]
    fn an_archive_at_the_root_is_where_it_always_is_as_well() {
        let debian: ArchiveName = "debian".parse().unwrap();
        let at = |path: &str| super::route(path, &|name| *name == debian, Some(&debian));
        for (path, same) in [
            ("/dists/trixie/InRelease", "/debian/dists/trixie/InRelease"),
            (
                "/dists/trixie/snapshots/2026112201/Release",
                "/debian/dists/trixie/snapshots/2026112201/Release",
            ),
            (
                "/pool/main/h/hello/hello_1_amd64.deb",
                "/debian/pool/main/h/hello/hello_1_amd64.deb",
            ),
            ("/project/trace/debian", "/debian/project/trace/debian"),
            (
                "/2026112201/dists/trixie/InRelease",
                "/debian/2026112201/dists/trixie/InRelease",
            ),
            ("/5.15.1/pool/main/h/x.deb", "/debian/5.15.1/pool/main/h/x.deb"),
            ("/debian/dists/trixie/InRelease", "/debian/dists/trixie/InRelease"),
            (
                "/5.15.1/debian/dists/trixie/InRelease",
                "/5.15.1/debian/dists/trixie/InRelease",
            ),
            ("/", "/"),
        ] {
            let plain = route(same);
            assert!(plain.is_ok() && at(path) == plain, "{path}");
            assert_eq!(path == same, route(path) == plain, "{path}");
        }
        for bad in [
            "/state/debian/held/sha256/x",
            "/dists/../state",
            "/dists",
            "/pool/",
            "/project/trace/other",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_form_has_its_target() {
        let archive = || "debian".parse().unwrap();
        let id = || "20261122T072000Z".parse().unwrap();
        let hex = "ab".repeat(32);
        assert_eq!(route("/"), Ok(Target::Home));
        assert_eq!(
            route("/debian/dists/trixie/InRelease"),
            Ok(Target::Dists(archive(), "trixie/InRelease".parse().unwrap()))
        );
        assert_eq!(
            route("/debian/20261122T072000Z/dists/trixie/updates/InRelease"),
            Ok(Target::SnapshotDists(
                archive(),
                id(),
                "trixie/updates/InRelease".parse().unwrap()
            ))
        );
        let plus: PoolPath = "pool/main/g/g++/g++_1~2+b1_amd64.deb".parse().unwrap();
        assert_eq!(
            route("/debian/pool/main/g/g%2b%2B/g++_1%7e2+b1_amd64.deb"),
            Ok(Target::Pool(archive(), None, plus.clone()))
        );
        assert_eq!(
            route("/debian/20261122T072000Z/pool/main/g/g++/g++_1~2+b1_amd64.deb"),
            Ok(Target::Pool(archive(), Some(id()), plus.clone()))
        );
        let tag = || SnapshotName::Tag("5.15.1".parse().unwrap());
        assert_eq!(
            route("/5.15.1/debian/dists/trixie/InRelease"),
            Ok(Target::SnapshotDists(
                archive(),
                tag(),
                "trixie/InRelease".parse().unwrap()
            ))
        );
        assert_eq!(
            route(&format!("/5.15.1/debian/{plus}")),
            Ok(Target::Pool(archive(), Some(tag()), plus.clone()))
        );
        assert_eq!(
            route("/debian/dists/trixie/updates/snapshots/2026112201/main/source/Sources.xz"),
            Ok(Target::SnapshotDists(
                archive(),
                "2026112201".parse().unwrap(),
                "trixie/updates/main/source/Sources.xz".parse().unwrap()
            ))
        );
        assert_eq!(
            route(&format!("/debian/provenance/sha256/{hex}")),
            Ok(Target::Provenance(archive(), hex.parse().unwrap()))
        );
        assert_eq!(route("/debian/project/trace/debian"), Ok(Target::Trace(archive())));
        assert_eq!(
            route("/state/debian/7.json"),
            Ok(Target::State(archive(), Key::record(&archive(), 7)))
        );
        assert_eq!(
            route(&format!("/env/{hex}/dists/lock/InRelease")),
            Ok(Target::Overlay(hex.parse().unwrap(), "dists/lock/InRelease".to_owned()))
        );
        assert_eq!(
            route(&format!("/env/{hex}/debian/{plus}")),
            Ok(Target::OverlayPool(hex.parse().unwrap(), archive(), plus))
        );
    }

    #[test]
    fn the_urls_that_sources_lists_have_are_pages() {
        let archive = || "debian".parse().unwrap();
        let of = |name| Ok(Target::Archive(archive(), Some(name)));
        for path in ["/debian", "/debian/"] {
            assert_eq!(route(path), Ok(Target::Archive(archive(), None)), "{path}");
        }
        assert_eq!(
            route("/debian/20261122T072000Z/"),
            of("20261122T072000Z".parse().unwrap())
        );
        assert_eq!(
            route("/5.15.1/debian/"),
            of(SnapshotName::Tag("5.15.1".parse().unwrap()))
        );
        assert!(route("/5.15.1/other/").is_err() && route("/debian//").is_err());
    }

    #[test]
    fn nothing_else_is_reached() {
        let upper = format!("/debian/provenance/sha256/{}", "AB".repeat(32));
        for bad in [
            "",
            "debian/dists/x/InRelease",
            "//debian/dists/x",
            "/state/debian/01x.json",
            "/state/debian/held/sha256/x",
            "/state/debian/nonces/x/y",
            "/state/debian/signatures/x",
            "/state/debian/working/x.json",
            "/state/other/1.json",
            "/other/",
            "/debian/dists/",
            "/debian/dists/../../state/debian/1.json",
            "/debian/dists/%2e%2e/%2e%2e/state/debian/1.json",
            "/debian/dists/%252e%252e/x",
            "/debian/pool/..%2f..%2fstate",
            "/debian/pool/a%00b",
            "/debian/pool/a%",
            "/debian/pool/a%zz",
            "/debian/pool/a%ff",
            "/debian/pool/a\\b",
            "/debian/pool/.hidden",
            "/debian/project/trace/other",
            "/debian/provenance/sha256/abc",
            "/debian/yes/dists/x/InRelease",
            "/env/abc/x",
            "/api/v2/snapshots",
            "/other/dists/trixie/InRelease",
            "/5.15.1/other/dists/trixie/InRelease",
            "/2026112201/debian/dists/trixie/InRelease",
            upper.as_str(),
        ] {
            assert!(route(bad).is_err(), "{bad:?} {:?}", route(bad));
        }
    }

    #[test]
    fn other_paths_can_only_be_of_a_flat_repository() {
        let archive = || "debian".parse().unwrap();
        let id = || "20261122T072000Z".parse().unwrap();
        let tag = || SnapshotName::Tag("5.15.1".parse().unwrap());
        for (path, name, file) in [
            ("/debian/./x_1.deb", None, "x_1.deb"),
            ("/debian/amd64/x_1.deb", None, "amd64/x_1.deb"),
            ("/5.15.1/debian/./x_1.deb", Some(tag()), "x_1.deb"),
            ("/5.15.1/debian/amd64/x_1.deb", Some(tag()), "amd64/x_1.deb"),
            ("/debian/20261122T072000Z/x_1.deb", Some(id()), "x_1.deb"),
            ("/debian/20261122T072000Z/./amd64/x_1.deb", Some(id()), "amd64/x_1.deb"),
            ("/debian/state/1.json", None, "state/1.json"),
            (
                "/debian/20261122T072000Z/provenance/sha256/x",
                Some(id()),
                "provenance/sha256/x",
            ),
        ] {
            let target = Target::Flat(archive(), name, file.parse().unwrap());
            assert_eq!(route(path), Ok(target), "{path}");
        }
        assert!(route("/debian/./../x").is_err() && route("/debian/x/./.hidden").is_err());
    }
}
