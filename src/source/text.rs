//! What tools wrote into a tag's message: tag2upload(5), as `git debpush` makes it. Pure.
//!
//! A line `[dgit KEYWORD[=VALUE]…]` speaks to whoever makes a source package of the tag. What we
//! understand must agree with what we derive; what is not known is passed over, unless its author says
//! with `!` that it must not be.

use super::SourceError;
use super::signed::SignedSource;
use crate::domain::{GitOid, GitRef, PackageName, Version, escape};

/// What a tag says that bears on its source package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TagText {
    please_upload: bool,
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
            ("split" | "no-split", None) => return Ok(()),
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
        let vendor = signed.reference.tag_name().and_then(|name| name.rsplit_once('/'));
        if let (Some(distro), Some((vendor, _))) = (&self.distro, vendor)
            && distro != vendor
        {
            return bad(format!("distro={distro}"), &format!("the tag is one of `{vendor}`"));
        }
        match self.quilt.as_deref() {
            Some(mode) if mode.starts_with("baredebian") => bad(
                format!("--quilt={mode}"),
                "a source is derived from a tree that has upstream's files",
            ),
            _ => Ok(()),
        }
    }

    /// What it says of upstream's commit must be so; `none` when no upstream commit is used.
    pub(super) fn check_upstream(&self, signed: &SignedSource, commit: Option<&GitOid>) -> Result<(), SourceError> {
        match (&self.upstream, commit) {
            (Some(said), Some(commit)) if said != commit.as_str() => Err(wrong(
                &signed.reference,
                &format!("upstream={said}"),
                &format!("the upstream tag names the commit `{commit}`"),
            )),
            _ => Ok(()),
        }
    }
}

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

    fn read(message: &str) -> Result<TagText, SourceError> {
        let id = GitOid::new("1".repeat(40)).unwrap();
        let signed = SignedSource {
            reference: GitRef::new("refs/tags/debian/1.0-1").unwrap(),
            tag: Some(id.clone()),
            commit: id.clone(),
            tree: id,
            date: crate::domain::Timestamp::from_unix(1_700_000_000),
            signatures: Vec::new(),
            message: message.as_bytes().to_vec(),
        };
        let text = TagText::read(&signed)?;
        text.check(
            &signed,
            &PackageName::new("hello").unwrap(),
            &Version::new("1.0-1").unwrap(),
        )?;
        text.check_upstream(&signed, Some(&GitOid::new("2".repeat(40)).unwrap()))?;
        Ok(text)
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
        ] {
            let error = read(&format!("x\n\n{bad}\n")).unwrap_err();
            assert!(matches!(error, SourceError::TagText { .. }), "{bad}");
        }
    }
}
