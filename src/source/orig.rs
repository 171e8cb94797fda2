//! The upstream side of a `3.0 (quilt)` package (rule S7): a tarball made of the upstream tag's tree, or
//! one that is kept byte for byte and compared with that tree.

use super::contents::Contents;
use super::debian::{Debian, dep14};
use super::derive::Request;
use super::object::Kind;
use super::signed::{self, SignedSource};
use super::text::TagText;
use super::tree::{Blobs, Tree};
use super::{Base, Orig, OrigMethod, Packed, Repository, SourceError, Upstream, pristine};
use crate::domain::{Component, FileName, GitOid, GitRef, PackageName, Sha256, Timestamp};

/// What a declaration asks for of a tarball that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedOrig {
    /// How it comes about.
    pub method: OrigMethod,
    /// What its SHA-256 must be; absent only when one from `pristine-tar` is declared for the first time.
    pub sha256: Option<Sha256>,
}

/// Files that a source takes from elsewhere than Git, each by hash.
pub trait Files {
    /// A tarball that was kept, or that was admitted under this name.
    ///
    /// # Errors
    /// `Kept` when there is none with this SHA-256.
    fn kept(
        &self,
        component: &Component,
        source: &PackageName,
        name: &FileName,
        sha256: &Sha256,
    ) -> Result<Vec<u8>, SourceError>;

    /// The upstream tarballs of a source package that a snapshot of a mirror lists, covered by upstream's
    /// signature.
    ///
    /// # Errors
    /// `Kept` when there is no such source package, or a file of it is not there.
    fn base(&self, source: &PackageName, base: &Base) -> Result<Vec<(FileName, Vec<u8>)>, SourceError>;

    /// Where derived tarballs may lie that were packed before; none: they are packed anew.
    fn packed(&self) -> Option<Packed<'_>> {
        None
    }
}

/// Nowhere: for sources that take nothing from elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn kept(&self, _: &Component, _: &PackageName, name: &FileName, _: &Sha256) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::kept(name.as_str(), "there is no store to look in"))
    }

    fn base(&self, source: &PackageName, _: &Base) -> Result<Vec<(FileName, Vec<u8>)>, SourceError> {
        Err(SourceError::kept(source.as_str(), "there is no store to look in"))
    }
}

/// The upstream side, as it goes into the source package.
#[derive(Debug)]
pub(super) enum Side {
    /// The upstream tag's tree, and when it was tagged.
    Tree { tree: Tree, date: Timestamp },
    /// Tarballs that are kept.
    Kept(Vec<(FileName, Vec<u8>)>),
}

/// The upstream side with what the declaration says of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) side: Side,
    pub(super) upstream: Option<Upstream>,
    pub(super) orig: Option<Orig>,
}

/// A signed source whose upstream side is looked for.
#[derive(Clone, Copy)]
pub(super) struct Packaging<'a> {
    pub(super) repository: &'a Repository,
    pub(super) request: &'a Request,
    pub(super) signed: &'a SignedSource,
    pub(super) debian: &'a Debian,
    pub(super) tree: &'a Tree,
    pub(super) files: &'a dyn Files,
}

/// The upstream tag's tree, and when it was tagged.
struct Tagged {
    declared: Upstream,
    tree: Tree,
    date: Timestamp,
}

impl Packaging<'_> {
    /// Finds it, and compares it with the signed tree.
    ///
    /// # Errors
    /// Rule S7 when the signed tree has other upstream files than the tag or the base.
    pub(super) fn upstream(&self, text: &TagText, blobs: &mut Blobs) -> Result<Found, SourceError> {
        if let Some(base) = &self.request.base {
            text.check_upstream_commit(self.signed, |tag| Ok(self.tagged_commit(tag)?.0))?;
            return self.of_base(base, blobs);
        }
        let named = match &self.request.upstream {
            Some(tag) => Some(tag.clone()),
            None => text.upstream_tag(self.signed)?,
        };
        match &self.request.orig {
            Some(wanted) => self.kept(wanted, named, blobs),
            None => {
                let tagged = self.tagged(&named.map_or_else(|| self.default_tag(), Ok)?, blobs)?;
                Ok(Found {
                    side: Side::Tree {
                        tree: tagged.tree,
                        date: tagged.date,
                    },
                    upstream: Some(tagged.declared),
                    orig: None,
                })
            }
        }
    }

    fn default_tag(&self) -> Result<GitRef, SourceError> {
        let version = dep14(self.debian.head.version.upstream());
        GitRef::new(format!("refs/tags/upstream/{version}")).map_err(|source| SourceError::Name {
            what: "the upstream tag".to_owned(),
            source,
        })
    }

    /// The upstream tag's tree. It need not be signed: the signed tree must have the same files outside
    /// `debian/`, with patches unapplied. A lightweight tag has the commit's date.
    fn tagged(&self, tag_ref: &GitRef, blobs: &mut Blobs) -> Result<Tagged, SourceError> {
        let repository = self.repository;
        let (commit_id, tag_date) = self.tagged_commit(tag_ref)?;
        let commit = repository.object(&commit_id, Kind::Commit)?.commit()?;
        let date = tag_date.unwrap_or(commit.date);
        signed::check_date("S9", tag_ref.as_str(), date, self.signed.date)?;
        let tree = Tree::read(repository, &commit.tree)?;
        if let Some(path) = self.tree.without("debian").first_difference(&tree.without("debian")) {
            return Err(SourceError::rule("S7", path, format!("it is not as in `{tag_ref}`")));
        }
        blobs.read(repository, &tree)?;
        Ok(Tagged {
            declared: Upstream {
                tag_ref: tag_ref.clone(),
                git_commit: commit_id,
                git_tree: commit.tree,
            },
            tree,
            date,
        })
    }

    /// The commit that an upstream tag names, and the tag's date when it is an object.
    fn tagged_commit(&self, tag_ref: &GitRef) -> Result<(GitOid, Option<Timestamp>), SourceError> {
        let repository = self.repository;
        repository.need(tag_ref)?;
        let id = repository.resolve(tag_ref)?;
        let object = repository.any_object(&id)?;
        match object.kind {
            Kind::Tag => {
                let tag = object.tag()?;
                signed::check_header(&tag, tag_ref)?;
                Ok((tag.object, Some(tag.date)))
            }
            _ => Ok((id, None)),
        }
    }

    /// A tarball that is kept. Where it is not the upstream tag's tree, the declaration says so, and the
    /// gate asks for an exception.
    fn kept(&self, wanted: &WantedOrig, named: Option<GitRef>, blobs: &mut Blobs) -> Result<Found, SourceError> {
        let tagged = match (named, self.default_tag()?) {
            (Some(tag), _) => Some(self.tagged(&tag, blobs)?),
            (None, tag) => match self.tagged(&tag, blobs) {
                Err(SourceError::NoSuchRef { .. }) if wanted.method == OrigMethod::File => None,
                found => Some(found?),
            },
        };
        let (name, bytes, git_commit) = match (wanted.method, &tagged) {
            (OrigMethod::PristineTar, Some(tagged)) => {
                let stem = format!("{}_{}", self.debian.control.name, self.debian.head.version.upstream());
                let wanted_commit = self.request.pristine_commit.as_ref();
                let made = pristine::make(
                    self.repository,
                    &stem,
                    wanted_commit,
                    &tagged.declared,
                    &tagged.tree,
                    blobs,
                )?;
                (made.name, made.bytes, Some(made.commit))
            }
            _ => {
                let sha256 = wanted.sha256.as_ref();
                let sha256 =
                    sha256.ok_or_else(|| SourceError::kept("the upstream tarball", "its SHA-256 is not said"))?;
                let (name, bytes) = self.kept_file(sha256)?;
                (name, bytes, None)
            }
        };
        let sha256 = Sha256::of(&bytes);
        if let Some(wanted) = wanted.sha256.filter(|wanted| *wanted != sha256) {
            let why = format!("its SHA-256 is {sha256}, and {wanted} is declared");
            return Err(SourceError::rule("S7", name.as_str(), why));
        }
        let difference = match &tagged {
            None => Some("no upstream tag is declared".to_owned()),
            Some(tagged) => match Contents::of_tarball(&name, &bytes) {
                Err(why) => Some(format!("it cannot be compared: {why}")),
                Ok(contents) => contents.first_difference(&Contents::of_tree(&tagged.tree, blobs)?),
            },
        };
        let orig = Orig {
            method: wanted.method,
            name: name.clone(),
            sha256,
            git_commit,
            difference,
        };
        Ok(Found {
            side: Side::Kept(vec![(name, bytes)]),
            upstream: tagged.map(|tagged| tagged.declared),
            orig: Some(orig),
        })
    }

    /// Under whichever compression it was named: the bytes say which it is.
    fn kept_file(&self, sha256: &Sha256) -> Result<(FileName, Vec<u8>), SourceError> {
        let (source, upstream) = (&self.debian.control.name, self.debian.head.version.upstream());
        let mut missing = None;
        for extension in ["xz", "gz", "bz2", "zst"] {
            let name = file_name(format!("{source}_{upstream}.orig.tar.{extension}"))?;
            match self.files.kept(&self.request.component, source, &name, sha256) {
                Ok(bytes) if extension_of(&bytes) == Some(extension) => return Ok((name, bytes)),
                Ok(_) => {}
                Err(error) => missing = Some(error),
            }
        }
        Err(missing.unwrap_or_else(|| {
            SourceError::kept(
                &format!("{source}_{upstream}.orig.tar"),
                "it is compressed in no way that is known",
            )
        }))
    }

    /// The base's tarballs: the signed tree has their files outside `debian/`, with patches unapplied.
    fn of_base(&self, base: &Base, blobs: &Blobs) -> Result<Found, SourceError> {
        let tarballs = self.files.base(&self.debian.control.name, base)?;
        let (upstream, version) = (self.debian.head.version.upstream(), &base.version);
        if upstream != version.upstream() {
            let why = format!("its upstream version is `{upstream}`, that of the base {version} another");
            return Err(SourceError::rule("S7", "debian/changelog", why));
        }
        if tarballs.is_empty() {
            return Err(SourceError::rule(
                "S7",
                version.as_str(),
                "the base has no upstream tarball",
            ));
        }
        let ours = Contents::of_tree(&self.tree.without("debian"), blobs)?;
        let theirs = Contents::of_tarballs(&tarballs).map_err(|why| SourceError::kept("the base's tarballs", &why))?;
        if let Some(difference) = ours.first_difference(&theirs.without("debian")) {
            let why = format!("{difference}, beside the base {version}");
            return Err(SourceError::rule("S7", self.signed.reference.as_str(), why));
        }
        Ok(Found {
            side: Side::Kept(tarballs),
            upstream: None,
            orig: None,
        })
    }
}

fn extension_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, ..] => Some("gz"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [b'B', b'Z', b'h', ..] => Some("bz2"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zst"),
        _ => None,
    }
}

pub(super) fn file_name(text: String) -> Result<FileName, SourceError> {
    FileName::new(text).map_err(|source| SourceError::Name {
        what: "the source package".to_owned(),
        source,
    })
}
