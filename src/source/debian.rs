//! What `debian/` says: control, the changelog's head, the source format (rules S8 and S9).

use super::signed::{self, SignedSource};
use super::tree::{Blobs, Mode, Tree};
use super::{SourceError, series};
use crate::domain::{Version, escape};
use crate::format::FormatError;
use crate::format::changelog::{self, Head};
use crate::format::control::SourceControl;
use crate::format::deb822::{Paragraph, paragraphs_with_comments};

/// The source formats that are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceFormat {
    Native,
    Quilt,
}

impl SourceFormat {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Native => "3.0 (native)",
            Self::Quilt => "3.0 (quilt)",
        }
    }
}

/// The packaging of a source.
#[derive(Debug)]
pub(super) struct Debian {
    pub(super) control: SourceControl,
    pub(super) head: Head,
    pub(super) format: SourceFormat,
    /// The paragraphs of `debian/tests/control`, when there is one.
    pub(super) tests: Option<Vec<Paragraph>>,
}

impl Debian {
    /// Reads `debian/` out of a tree.
    pub(super) fn read(tree: &Tree, blobs: &Blobs) -> Result<Self, SourceError> {
        let control = in_file(
            "debian/control",
            SourceControl::parse(need(tree, blobs, "debian/control")?),
        )?;
        let head = in_file(
            "debian/changelog",
            changelog::parse_head(need(tree, blobs, "debian/changelog")?),
        )?;
        need(tree, blobs, "debian/rules")?;
        let format = source_format(need(tree, blobs, "debian/source/format")?)?;
        let tests = match find(tree, blobs, "debian/tests/control")? {
            Some(bytes) => Some(in_file(
                "debian/tests/control",
                paragraphs_with_comments("debian/tests/control", bytes),
            )?),
            None => None,
        };
        let debian = Self {
            control,
            head,
            format,
            tests,
        };
        debian.check()?;
        refuse_options(tree, blobs)?;
        if format == SourceFormat::Quilt {
            series::check(tree, blobs)?;
        }
        Ok(debian)
    }

    fn check(&self) -> Result<(), SourceError> {
        let head = &self.head;
        if head.source != self.control.name {
            let why = format!(
                "it is about `{}`, `debian/control` about `{}`",
                head.source, self.control.name
            );
            return Err(SourceError::rule("S9", "debian/changelog", why));
        }
        if head.options.iter().any(|(key, _)| key == "binary-only") {
            let why = "its head is of a binary-only upload, which has no source";
            return Err(SourceError::rule("S9", "debian/changelog", why));
        }
        match (self.format, head.version.revision()) {
            (SourceFormat::Native, Some(_)) => Err(SourceError::content(
                "debian/changelog",
                format!(
                    "the version `{}` of a native package has a Debian revision",
                    head.version
                ),
            )),
            (SourceFormat::Quilt, None) => Err(SourceError::content(
                "debian/changelog",
                format!(
                    "the version `{}` of a `3.0 (quilt)` package has no Debian revision",
                    head.version
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Rule S9: the tag names this version, and the entry was closed before the tag or commit was made.
    pub(super) fn check_against(&self, signed: &SignedSource) -> Result<(), SourceError> {
        let name = signed.reference.tag_name();
        if name.is_some_and(|name| !names_version(name, &self.head.version)) {
            let why = format!(
                "`debian/changelog` has version `{}`, which this tag does not name",
                self.head.version
            );
            return Err(SourceError::rule("S9", signed.reference.as_str(), why));
        }
        signed::check_date("S9", "debian/changelog", self.head.date, signed.date)
    }
}

/// Whether a tag's name is for this version: DEP-14's `<vendor>/<version>`, `v<version>`, or the
/// version alone, spelled as DEP-14 spells it.
fn names_version(tag: &str, version: &Version) -> bool {
    let spelled = dep14(version.as_str());
    match tag.rsplit_once('/') {
        Some((vendor, name)) => {
            let word = !vendor.is_empty() && vendor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            word && vendor != "upstream" && name == spelled
        }
        None => tag.strip_prefix('v').unwrap_or(tag) == spelled,
    }
}

/// A version as DEP-14 puts it into a ref: Git refuses `:`, `~`, `..` and a `.lock` at the end.
pub(super) fn dep14(version: &str) -> String {
    let text = version.replace(':', "%").replace('~', "_").replace("..", ".#.");
    match text.strip_suffix(".lock") {
        Some(front) => format!("{front}.#lock"),
        None => text,
    }
}

fn source_format(bytes: &[u8]) -> Result<SourceFormat, SourceError> {
    match bytes.strip_suffix(b"\n").unwrap_or(bytes) {
        b"3.0 (native)" => Ok(SourceFormat::Native),
        b"3.0 (quilt)" => Ok(SourceFormat::Quilt),
        other => {
            let shown = escape(&String::from_utf8_lossy(other));
            let why = format!("`{shown}` is neither `3.0 (native)` nor `3.0 (quilt)`");
            Err(SourceError::content("debian/source/format", why))
        }
    }
}

/// Rule S8: options that change what a source package holds. Those that only say how dpkg-source
/// compresses, or what it overlooks while it looks for changes, have no meaning here.
fn refuse_options(tree: &Tree, blobs: &Blobs) -> Result<(), SourceError> {
    for local in ["debian/source/local-options", "debian/source/local-patch-header"] {
        if tree.files.contains_key(local) {
            let why = "it is for a working tree and must not be in Git";
            return Err(SourceError::rule("S8", local, why));
        }
    }
    let path = "debian/source/options";
    let Some(bytes) = find(tree, blobs, path)? else {
        return Ok(());
    };
    let text = std::str::from_utf8(bytes).map_err(|_| SourceError::rule("S8", path, "it is not UTF-8"))?;
    let harmless = [
        "compression",
        "compression-level",
        "threads-max",
        "diff-ignore",
        "extend-diff-ignore",
        "single-debian-patch",
        "auto-commit",
        "no-auto-commit",
    ];
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let name = line.split(['=', ' ', '\t']).next().unwrap_or_default();
        if !harmless.contains(&name.trim_start_matches("--")) {
            let why = format!("the option `{}` would change the source package", escape(name));
            return Err(SourceError::rule("S8", path, why));
        }
    }
    Ok(())
}

/// A file that may be absent.
pub(super) fn find<'a>(tree: &Tree, blobs: &'a Blobs, path: &str) -> Result<Option<&'a [u8]>, SourceError> {
    match tree.files.get(path) {
        None => Ok(None),
        Some(file) if file.mode == Mode::Link => {
            Err(SourceError::rule("S6", path, "a control file is a symbolic link"))
        }
        Some(file) => blobs.bytes(&file.id).map(Some),
    }
}

fn need<'a>(tree: &Tree, blobs: &'a Blobs, path: &str) -> Result<&'a [u8], SourceError> {
    find(tree, blobs, path)?.ok_or_else(|| SourceError::content(path, "it is not in the tagged commit"))
}

fn in_file<T>(path: &str, result: Result<T, FormatError>) -> Result<T, SourceError> {
    result.map_err(|source| SourceError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_versions_as_dep14_has_it() {
        let version = |text: &str| Version::new(text).unwrap();
        for (tag, text) in [
            ("debian/2.10-3+assay1", "2.10-3+assay1"),
            ("debian/1%1.0_rc1-1", "1:1.0~rc1-1"),
            ("tails/1.0", "1.0"),
            ("v1.0", "1.0"),
            ("1.0", "1.0"),
            ("debian/1.#.2-1", "1..2-1"),
        ] {
            assert!(names_version(tag, &version(text)), "{tag} {text}");
        }
        for (tag, text) in [
            ("debian/1.0-1", "1:1.0-1"),
            ("debian/v1.0", "1.0"),
            ("upstream/1.0", "1.0"),
            ("a/b/1.0", "1.0"),
            ("/1.0", "1.0"),
            ("vv1.0", "1.0"),
            ("1.0-1", "1.0"),
        ] {
            assert!(!names_version(tag, &version(text)), "{tag} {text}");
        }
    }
}
