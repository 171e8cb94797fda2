//! Git objects: hashed again, then read (rule S3). Pure.

use std::fmt;

use sha2::Digest as _;

use super::SourceError;
use crate::domain::{GitOid, Timestamp};

/// Which hash names the objects of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectFormat {
    Sha1,
    Sha256,
}

impl ObjectFormat {
    /// The format that an id is of.
    pub(super) fn of(id: &GitOid) -> Self {
        if id.as_str().len() == 64 {
            Self::Sha256
        } else {
            Self::Sha1
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl fmt::Display for ObjectFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        })
    }
}

/// The four kinds of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Tree,
    Commit,
    Tag,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "blob" => Some(Self::Blob),
            "tree" => Some(Self::Tree),
            "commit" => Some(Self::Commit),
            "tag" => Some(Self::Tag),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blob => "blob",
            Self::Tree => "tree",
            Self::Commit => "commit",
            Self::Tag => "tag",
        })
    }
}

/// An object whose id was computed again from its bytes.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) id: GitOid,
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// An entry of a tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeEntry {
    pub(super) mode: String,
    pub(super) name: Vec<u8>,
    pub(super) id: GitOid,
}

/// What matters of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) tree: GitOid,
    pub(super) date: Timestamp,
}

/// A tag object's header, and where its signature starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) object: GitOid,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) date: Timestamp,
    pub(super) message: Vec<u8>,
}

/// A commit without its signature, which is what was signed, and the signature.
#[derive(Debug)]
pub(super) struct SignedCommit {
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// Reads what `git cat-file --batch` wrote for `ids`, and gives each object on.
pub(super) fn parse_batch<'a>(
    format: ObjectFormat,
    ids: impl Iterator<Item = &'a GitOid>,
    output: &[u8],
    take: &mut dyn FnMut(Object) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let mut rest = output;
    for id in ids {
        let bad = || SourceError::rule("S3", id.as_str(), "the object is missing or unreadable");
        let (header, after) = split_line(rest).ok_or_else(bad)?;
        let header = std::str::from_utf8(header).map_err(|_| bad())?;
        let mut words = header.split(' ');
        if words.next() != Some(id.as_str()) {
            return Err(bad());
        }
        let kind = words.next().and_then(Kind::parse).ok_or_else(bad)?;
        let size = words.next().and_then(|size| size.parse().ok()).ok_or_else(bad)?;
        let (bytes, after) = after.split_at_checked(size).ok_or_else(bad)?;
        rest = after.strip_prefix(b"\n").ok_or_else(bad)?;
        verify_id(format, id, kind, bytes)?;
        take(Object {
            id: id.clone(),
            kind,
            bytes: bytes.to_vec(),
        })?;
    }
    Ok(())
}

/// The id that a file's bytes have as a blob, in the format of another id.
pub(super) fn blob_id(like: &GitOid, bytes: &[u8]) -> Result<GitOid, SourceError> {
    let computed = compute_id(ObjectFormat::of(like), like, Kind::Blob, bytes)?;
    GitOid::new(computed).map_err(|source| SourceError::Name {
        what: "blob".to_owned(),
        source,
    })
}

/// Computes the id again.
fn verify_id(format: ObjectFormat, id: &GitOid, kind: Kind, bytes: &[u8]) -> Result<(), SourceError> {
    let computed = compute_id(format, id, kind, bytes)?;
    if computed == id.as_str() {
        Ok(())
    } else {
        Err(SourceError::rule(
            "S3",
            id.as_str(),
            format!("its bytes are those of `{computed}`"),
        ))
    }
}

/// With SHA-1 in the form that sees collision attacks.
fn compute_id(format: ObjectFormat, id: &GitOid, kind: Kind, bytes: &[u8]) -> Result<String, SourceError> {
    let header = format!("{kind} {}\0", bytes.len());
    Ok(match format {
        ObjectFormat::Sha1 => {
            let mut hasher = sha1_checked::Sha1::new();
            hasher.update(header.as_bytes());
            hasher.update(bytes);
            let result = hasher.try_finalize();
            if result.has_collision() {
                return Err(SourceError::rule(
                    "S3",
                    id.as_str(),
                    "its bytes are a SHA-1 collision attack",
                ));
            }
            hex::encode(result.hash())
        }
        ObjectFormat::Sha256 => {
            let mut hasher = sha2::Sha256::new();
            hasher.update(header.as_bytes());
            hasher.update(bytes);
            hex::encode(hasher.finalize())
        }
    })
}

impl Object {
    /// Reads a tree object.
    pub(super) fn tree(&self) -> Result<Vec<TreeEntry>, SourceError> {
        let bad = || SourceError::rule("S3", self.id.as_str(), "the tree object is malformed");
        let length = ObjectFormat::of(&self.id).length();
        let mut entries = Vec::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let space = memchr::memchr(b' ', rest).ok_or_else(bad)?;
            let (mode, after) = rest.split_at_checked(space).ok_or_else(bad)?;
            let after = after.get(1..).ok_or_else(bad)?;
            let nul = memchr::memchr(0, after).ok_or_else(bad)?;
            let (name, after) = after.split_at_checked(nul).ok_or_else(bad)?;
            let (id, after) = after
                .get(1..)
                .and_then(|a| a.split_at_checked(length))
                .ok_or_else(bad)?;
            entries.push(TreeEntry {
                mode: String::from_utf8(mode.to_vec()).map_err(|_| bad())?,
                name: name.to_vec(),
                id: GitOid::new(hex::encode(id)).map_err(|_| bad())?,
            });
            rest = after;
        }
        Ok(entries)
    }

    /// Reads a commit object.
    pub(super) fn commit(&self) -> Result<Commit, SourceError> {
        let bad = || SourceError::rule("S3", self.id.as_str(), "the commit object is malformed");
        let mut tree = None;
        let mut date = None;
        let mut rest = self.bytes.as_slice();
        while let Some((line, after)) = split_line(rest) {
            rest = after;
            if line.is_empty() {
                break;
            }
            if let Some(id) = line.strip_prefix(b"tree ").filter(|_| tree.is_none()) {
                tree = std::str::from_utf8(id).ok().and_then(|id| GitOid::new(id).ok());
            } else if let Some(who) = line.strip_prefix(b"committer ").filter(|_| date.is_none()) {
                date = identity_date(who);
            }
        }
        Ok(Commit {
            tree: tree.ok_or_else(bad)?,
            date: date.ok_or_else(bad)?,
        })
    }

    /// What a commit's signature is over, and the signature; none when it has none. Git signs the object
    /// without this header. Another header of that kind could be a second answer to who signed.
    pub(super) fn signed_commit(&self) -> Result<Option<SignedCommit>, SourceError> {
        let own: &[u8] = match ObjectFormat::of(&self.id) {
            ObjectFormat::Sha1 => b"gpgsig ",
            ObjectFormat::Sha256 => b"gpgsig-sha256 ",
        };
        let (mut payload, mut signature) = (Vec::new(), None::<Vec<u8>>);
        let (mut rest, mut inside) = (self.bytes.as_slice(), false);
        while let Some((line, after)) = split_line(rest) {
            if line.is_empty() {
                break;
            }
            rest = after;
            match (line.strip_prefix(b" "), &mut signature) {
                (Some(more), Some(signature)) if inside => {
                    signature.extend_from_slice(more);
                    signature.push(b'\n');
                    continue;
                }
                _ => inside = false,
            }
            if line.starts_with(b"gpgsig") {
                let start = line.strip_prefix(own).filter(|_| signature.is_none());
                let why = "the commit has a signature of another kind, or more than one";
                let start = start.ok_or_else(|| SourceError::rule("S1", self.id.as_str(), why))?;
                signature = Some([start, b"\n"].concat());
                inside = true;
                continue;
            }
            payload.extend_from_slice(line);
            payload.push(b'\n');
        }
        payload.extend_from_slice(rest);
        let trimmed = |mut text: Vec<u8>| {
            // Some tools leave an empty line behind the armor.
            text.truncate(text.trim_ascii_end().len());
            text.push(b'\n');
            text
        };
        Ok(signature.map(|signature| SignedCommit {
            payload,
            signature: trimmed(signature),
        }))
    }

    /// Reads a tag object: exactly the four header lines that Git writes, in its order. Another line
    /// could be a second answer to what is signed.
    pub(super) fn tag(&self) -> Result<Tag, SourceError> {
        let bad = |why: &str| SourceError::rule("S2", self.id.as_str(), format!("the tag object {why}"));
        let mut rest = self.bytes.as_slice();
        let mut header = |name: &str| {
            let (line, after) = split_line(rest).ok_or_else(|| bad("is cut off"))?;
            rest = after;
            let text = std::str::from_utf8(line).map_err(|_| bad("has a header that is not UTF-8"))?;
            text.strip_prefix(name)
                .and_then(|text| text.strip_prefix(' '))
                .map(str::to_owned)
                .ok_or_else(|| bad(&format!("has no `{name}` where Git writes it")))
        };
        let object = header("object")?;
        let kind = header("type")?;
        let name = header("tag")?;
        let tagger = header("tagger")?;
        let message = rest
            .strip_prefix(b"\n")
            .ok_or_else(|| bad("has a header that is not known"))?;
        Ok(Tag {
            object: GitOid::new(object).map_err(|_| bad("has a malformed `object`"))?,
            kind,
            name,
            date: identity_date(tagger.as_bytes()).ok_or_else(|| bad("has no valid date"))?,
            message: message.to_vec(),
        })
    }
}

/// The instant in `Name <mail> 1700000000 +0000`.
fn identity_date(line: &[u8]) -> Option<Timestamp> {
    let mail_end = memchr::memrchr(b'>', line)?;
    let text = std::str::from_utf8(line.get(mail_end..)?).ok()?;
    let (seconds, zone) = text.strip_prefix("> ")?.split_once(' ')?;
    let zone_ok = zone.len() == 5 && zone.starts_with(['+', '-']) && zone.chars().skip(1).all(|c| c.is_ascii_digit());
    let digits = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit());
    let seconds: i64 = seconds.parse().ok().filter(|_| zone_ok && digits)?;
    let date = Timestamp::from_unix(seconds);
    (date.unix() == seconds).then_some(date)
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: Kind, bytes: &[u8]) -> Object {
        Object {
            id: GitOid::new("0".repeat(40)).unwrap(),
            kind,
            bytes: bytes.to_vec(),
        }
    }

    fn read(id: &str, output: &[u8]) -> Result<Vec<Object>, SourceError> {
        let mut objects = Vec::new();
        let id = GitOid::new(id).unwrap();
        parse_batch(ObjectFormat::of(&id), std::iter::once(&id), output, &mut |o| {
            objects.push(o);
            Ok(())
        })?;
        Ok(objects)
    }

    #[test]
    fn bytes_must_be_those_that_the_id_names() {
        let id = "ce013625030ba8dba906f756967f9e9ca394464a";
        let good = format!("{id} blob 6\nhello\n\n");
        assert_eq!(read(id, good.as_bytes()).unwrap()[0].bytes, b"hello\n");
        for bad in [
            format!("{id} blob 6\nHello\n\n"),
            format!("{id} tree 6\nhello\n\n"),
            format!("{id} blob 5\nhello\n\n"),
            format!("{id} blob 99\nhello\n\n"),
            format!("{id} missing\n"),
            String::new(),
        ] {
            let error = read(id, bad.as_bytes()).unwrap_err();
            assert_eq!(error.broken_rule(), Some("S3"), "{bad:?}");
        }
        let id = "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4";
        assert!(read(id, format!("{id} blob 6\nhello\n\n").as_bytes()).is_ok());
    }

    #[test]
    fn tags_have_gits_four_lines_and_no_other() {
        let id = "1".repeat(40);
        let good = format!("object {id}\ntype commit\ntag v1\ntagger A <a@b> 1700000000 +0100\n\nmessage\n");
        let tag = object(Kind::Tag, good.as_bytes()).tag().unwrap();
        assert_eq!((tag.name.as_str(), tag.date.unix()), ("v1", 1_700_000_000));
        for bad in [
            good.replace("\n\nmessage", "\ngpgsig x\n\nmessage"),
            good.replace("tag v1\n", "tag v1\ntag v2\n"),
            good.replace("1700000000 +0100", "1700000000"),
            good.replace("1700000000", "-1"),
            good.replace("1700000000", "99999999999999999"),
            good.replace("object 1", "object X"),
            good.replace("type commit\n", ""),
            "object".to_owned(),
        ] {
            assert!(object(Kind::Tag, bad.as_bytes()).tag().is_err(), "{bad:?}");
        }
    }
}
