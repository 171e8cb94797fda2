//! What tools wrote into a tag's message: tag2upload(5), as `git debpush` makes it. Pure.
//!
//! A line `[dgit KEYWORD[=VALUE]…]` speaks to whoever makes a source package of the tag. What we
//! understand must agree with what we derive; what is not known is passed over, unless its author says
//! with `!` that it must not be.

use super::debian::SourceFormat;
use super::signed::SignedSource;
use super::{SourceError, Upstream};
use crate::domain::{GitOid, GitRef, PackageName, Version, escape};

/// How the tree of a source lies whose patches are kept apart from upstream's files: the maintainer's view is not the built one.
const SPLIT_MODES: [&str; 6] = [
    "gbp",
    "dpm",
    "unapplied",
    "baredebian",
    "baredebian+git",
    "baredebian+tarball",
];

/// What a tag says that bears on its source package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TagText {
    please_upload: bool,
    split: Option<bool>,
    distro: Option<String>,
    source: Option<String>,
    version: Option<String>,
    quilt: Option<String>,
    upstream: Option<String>,
    upstream_tag: Option<String>,
}

impl TagText {
    /// Reads the message of a signed tag.
    pub(super) fn read(signed: &SignedSource) -> Result<Self, SourceError> {
        let bad = |item: &str, why: &str| wrong(&signed.reference, item, why);
        let mut text = Self::default();
        for line in signed.message.split(|&b| b == b'\n') {
            let Some(inner) = line.strip_prefix(b"[dgit ").and_then(|line| line.strip_suffix(b"]")) else {
                continue;
            };
            let inner = std::str::from_utf8(inner).map_err(|_| bad("[dgit …]", "it is not UTF-8"))?;
            // Reserved for later versions of the format, which say that the line is passed over.
            if inner.trim_start().starts_with('"') {
                continue;
            }
            for item in inner.split_ascii_whitespace() {
                text.take(item).map_err(|why| bad(item, why))?;
            }
        }
        Ok(text)
    }

    fn take(&mut self, item: &str) -> Result<(), &'static str> {
        let (critical, plain) = match item.strip_prefix('!') {
            Some(plain) => (true, plain),
            None => (false, item),
        };
        let (keyword, value) = match plain.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (plain, None),
        };
        let slot = match (keyword, value) {
            ("please-upload", None) => {
                self.please_upload = true;
                return Ok(());
            }
            ("split" | "no-split", None) => {
                let split = keyword == "split";
                return match self.split.replace(split) {
                    Some(other) if other != split => Err("it stands there beside its opposite"),
                    _ => Ok(()),
                };
            }
            ("distro", Some(_)) => &mut self.distro,
            ("source", Some(_)) => &mut self.source,
            ("version", Some(_)) => &mut self.version,
            ("--quilt", Some(_)) => &mut self.quilt,
            ("upstream", Some(_)) => &mut self.upstream,
            ("upstream-tag", Some(_)) => &mut self.upstream_tag,
            _ if critical => return Err("the tag says that it must be understood, and it is not known"),
            _ => return Ok(()),
        };
        match slot.replace(value.unwrap_or_default().to_owned()) {
            Some(other) if Some(other.as_str()) != value => Err("it stands there with two values"),
            _ => Ok(()),
        }
    }

    /// The upstream tag that it names.
    pub(super) fn upstream_tag(&self, signed: &SignedSource) -> Result<Option<GitRef>, SourceError> {
        let reference = |tag: &String| {
            let item = format!("upstream-tag={tag}");
            GitRef::new(format!("refs/tags/{tag}")).map_err(|error| wrong(&signed.reference, &item, &error.to_string()))
        };
        self.upstream_tag.as_ref().map(reference).transpose()
    }

    /// What it says of the source package must be so.
    pub(super) fn check(
        &self,
        signed: &SignedSource,
        source: &PackageName,
        version: &Version,
        format: SourceFormat,
    ) -> Result<(), SourceError> {
        let bad = |item: String, why: &str| Err(wrong(&signed.reference, &item, why));
        if self.please_upload && (self.source.is_none() || self.version.is_none()) {
            return bad("please-upload".to_owned(), "`source=` and `version=` must be there too");
        }
        if let Some(other) = self.source.as_ref().filter(|said| *said != source.as_str()) {
            return bad(format!("source={other}"), &format!("the source package is `{source}`"));
        }
        if let Some(other) = self.version.as_ref().filter(|said| *said != version.as_str()) {
            return bad(
                format!("version={other}"),
                &format!("`debian/changelog` has `{version}`"),
            );
        }
        self.check_distro(signed)?;
        self.check_layout(signed, format)?;
        match self.quilt.as_deref() {
            Some(mode) if mode.starts_with("baredebian") => bad(
                format!("--quilt={mode}"),
                "a source is derived from a tree that has upstream's files",
            ),
            _ => Ok(()),
        }
    }

    /// `git debpush` and dgit write a distribution into its own tags only: `debian/1.0-1`, `archive/debian/1.0-1`.
    fn check_distro(&self, signed: &SignedSource) -> Result<(), SourceError> {
        let Some(distro) = &self.distro else { return Ok(()) };
        let name = signed.reference.tag_name().unwrap_or_default();
        let vendor = name.rsplit_once('/').map(|(vendor, _)| vendor);
        let own = vendor.map(|vendor| vendor.strip_prefix("archive/").unwrap_or(vendor));
        if own == Some(distro) {
            return Ok(());
        }
        let why = match vendor {
            Some(vendor) => format!("the tag is one of `{}`", escape(vendor)),
            None => "a tag for it is called by its name, a slash, and the version".to_owned(),
        };
        Err(wrong(&signed.reference, &format!("distro={distro}"), &why))
    }

    /// How it says that the tree lies must be how it is built.
    fn check_layout(&self, signed: &SignedSource, format: SourceFormat) -> Result<(), SourceError> {
        let bad = |item: &str, why: &str| Err(wrong(&signed.reference, item, why));
        let mode = self.quilt.as_deref();
        let is_split = mode.is_some_and(|mode| SPLIT_MODES.contains(&mode));
        let quilt = format!("--quilt={}", mode.unwrap_or_default());
        match (format, self.split) {
            (SourceFormat::Native, _) if is_split => bad(&quilt, NO_PATCHES),
            (SourceFormat::Native, Some(true)) => bad("split", NO_PATCHES),
            (_, Some(false)) if is_split => bad("no-split", &format!("it says `{}`, too", escape(&quilt))),
            (_, Some(true)) if mode.is_some() && !is_split => {
                bad("split", &format!("it says `{}`, too", escape(&quilt)))
            }
            _ => Ok(()),
        }
    }

    /// What it says of upstream must be so: of the upstream tag that is used, when one is; of a native source it can say nothing.
    pub(super) fn check_upstream(
        &self,
        signed: &SignedSource,
        format: SourceFormat,
        used: Option<&Upstream>,
    ) -> Result<(), SourceError> {
        let bad =
            |keyword: &str, said: &str, why: &str| Err(wrong(&signed.reference, &format!("{keyword}={said}"), why));
        let (commit, tag) = (self.upstream.as_deref(), self.upstream_tag.as_deref());
        if format == SourceFormat::Native
            && let Some((keyword, said)) = commit
                .map(|said| ("upstream", said))
                .or(tag.map(|said| ("upstream-tag", said)))
        {
            return bad(keyword, said, "the source is native: nothing in it is an upstream's");
        }
        // Of a base, `check_upstream_commit` was asked.
        let Some(used) = used else { return Ok(()) };
        if let Some(said) = commit.filter(|said| *said != used.git_commit.as_str()) {
            return bad(
                "upstream",
                said,
                &format!("the upstream tag names the commit `{}`", used.git_commit),
            );
        }
        if let Some(said) = tag.filter(|said| Some(*said) != used.tag_ref.tag_name()) {
            return bad(
                "upstream-tag",
                said,
                &format!("the upstream tag that is used is `{}`", used.tag_ref),
            );
        }
        Ok(())
    }
}

impl TagText {
    /// What it says of upstream where no upstream tag is used: the tag that it names is there, and names the commit that it says.
    ///
    /// # Errors
    /// When it is not so; when it names a commit and no tag, so that nobody can look; as `commit_of`.
    pub(super) fn check_upstream_commit(
        &self,
        signed: &SignedSource,
        commit_of: impl FnOnce(&GitRef) -> Result<GitOid, SourceError>,
    ) -> Result<(), SourceError> {
        let bad = |said: &str, why: &str| Err(wrong(&signed.reference, &format!("upstream={said}"), why));
        match (self.upstream_tag(signed)?, self.upstream.as_deref()) {
            (None, Some(said)) => bad(said, "`upstream-tag=` must be there too"),
            (Some(tag), said) => {
                let found = commit_of(&tag)?;
                match said.filter(|said| *said != found.as_str()) {
                    Some(said) => bad(said, &format!("the upstream tag names the commit `{found}`")),
                    None => Ok(()),
                }
            }
            (None, None) => Ok(()),
        }
    }
}

/// Why a native source has no patches.
const NO_PATCHES: &str = "the source is native: it has no patches that could be kept apart";

fn wrong(reference: &GitRef, item: &str, why: &str) -> SourceError {
    SourceError::TagText {
        reference: reference.to_string(),
        item: escape(item),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(name: &str, message: &str, format: SourceFormat) -> Result<TagText, SourceError> {
        let id = GitOid::new("1".repeat(40)).unwrap();
        let signed = SignedSource {
            reference: GitRef::new(format!("refs/tags/{name}")).unwrap(),
            tag: Some(id.clone()),
            commit: id.clone(),
            tree: id.clone(),
            date: crate::domain::Timestamp::from_unix(1_700_000_000),
            signatures: Vec::new(),
            message: message.as_bytes().to_vec(),
        };
        let text = TagText::read(&signed)?;
        let (source, version) = (PackageName::new("hello").unwrap(), Version::new("1.0-1").unwrap());
        text.check(&signed, &source, &version, format)?;
        let upstream = Upstream {
            tag_ref: GitRef::new("refs/tags/v1.0").unwrap(),
            git_commit: GitOid::new("2".repeat(40)).unwrap(),
            git_tree: id,
        };
        let used = Some(&upstream).filter(|_| format == SourceFormat::Quilt);
        text.check_upstream(&signed, format, used)?;
        Ok(text)
    }

    fn read(message: &str) -> Result<TagText, SourceError> {
        read_as("debian/1.0-1", message, SourceFormat::Quilt)
    }

    #[test]
    fn what_git_debpush_writes_is_understood() {
        let two = "2".repeat(40);
        let text = read(&format!(
            "hello release 1.0-1 for unstable\n\n[dgit distro=debian split --quilt=gbp]\n\
             [dgit please-upload source=hello version=1.0-1 upstream-tag=v1.0 upstream={two}]\n"
        ))
        .unwrap();
        assert_eq!(text.upstream_tag.as_deref(), Some("v1.0"));
        assert!(text.please_upload);
        assert_eq!(
            read("no such line\n [dgit !x]\n[dgit !x] y\n").unwrap(),
            TagText::default()
        );
        assert!(read("[dgit later=1 --overwrite]\n[dgit \"!x]\n").is_ok());
    }

    #[test]
    fn what_disagrees_or_must_be_known_and_is_not_is_fatal() {
        for bad in [
            "[dgit !later]",
            "[dgit distro=debian !later=1]",
            "[dgit please-upload source=other version=1.0-1]",
            "[dgit please-upload source=hello version=1.0-2]",
            "[dgit please-upload]",
            "[dgit source=hello source=other]",
            "[dgit distro=ubuntu]",
            "[dgit upstream=3333333333333333333333333333333333333333]",
            "[dgit --quilt=baredebian]",
            "[dgit split no-split]",
            "[dgit split --quilt=linear]",
            "[dgit no-split --quilt=gbp]",
            "[dgit upstream-tag=v0.9]",
        ] {
            let error = read(&format!("x\n\n{bad}\n")).unwrap_err();
            assert!(matches!(error, SourceError::TagText { .. }), "{bad}");
            assert!(
                error.to_string().contains("rule S9") && error.broken_rule() == Some("S9"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_a_tag_says_of_a_native_source_is_held_against_it() {
        let zeros = format!("[dgit upstream={}]", "0".repeat(40));
        for (name, bad) in [
            ("v1.0", "[dgit source=other]"),
            ("v1.0", "[dgit source=]"),
            ("v1.0", "[dgit version=2.0]"),
            ("v1.0", "[dgit distro=debian]"),
            ("ubuntu/1.0-1", "[dgit distro=debian]"),
            ("v1.0", "[dgit split]"),
            ("v1.0", "[dgit --quilt=gbp]"),
            ("v1.0", "[dgit upstream-tag=v1.0]"),
            ("v1.0", zeros.as_str()),
        ] {
            let error = read_as(name, &format!("x\n\n{bad}\n"), SourceFormat::Native).unwrap_err();
            assert!(
                error.to_string().contains("rule S9") && error.broken_rule() == Some("S9"),
                "{bad}: {error}"
            );
        }
        for (name, good) in [
            (
                "debian/1.0-1",
                "[dgit distro=debian no-split]\n[dgit please-upload source=hello version=1.0-1]",
            ),
            ("archive/debian/1.0-1", "[dgit distro=debian --quilt=linear]"),
        ] {
            read_as(name, &format!("x\n\n{good}\n"), SourceFormat::Native).unwrap();
        }
    }
}
