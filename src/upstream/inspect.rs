//! Checks of an index beyond its SHA-256, on its bytes as they pass by: every other hash that
//! Release lists for it (threats F7), and that it decompresses to what Release says.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use sha2::Digest as _;
use tokio::time::Instant;

use super::decoders::Turn;
use super::paths::PathCheck;
use super::{Mismatch, Planned, UpstreamError};
use crate::domain::{Digest, Sha256, SuiteName};
use crate::format::compress::{self, Compression};
use crate::format::hashes::{Hashes, OtherHashes};

/// The largest uncompressed index, in bytes, where Release says nothing of it.
const LARGEST: u64 = 4 << 30;
/// Uncompressed bytes that are looked at at once: a decompressor works best with more than its window.
const ROOM: usize = 256 << 10;
/// Chunks between the one who fetches and the one who checks.
const AHEAD: usize = 4;
/// How long somebody waits for bytes in all before he gives way to others, and how often he looks whether there are any.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(250);

/// What is inspected.
pub(super) struct Inspected<'a> {
    pub(super) suite: &'a SuiteName,
    pub(super) file: &'a Planned,
    /// Of a flat repository, whose files are in no `pool/`.
    pub(super) flat: bool,
}

/// Takes the text of an index, in pieces.
pub(super) type Text<'a> = &'a mut dyn FnMut(&[u8]);

/// Reads an index to its end, and checks it. Gives the text of one that lists packages to `text` meanwhile; whether
/// that was done.
pub(super) fn inspect(what: &Inspected<'_>, bytes: impl Read + Send, text: Text<'_>) -> Result<bool, UpstreamError> {
    let Inspected { suite, file, flat } = *what;
    let listed = &file.listed;
    let kinds = [listed.md5.is_some(), listed.sha1.is_some(), listed.sha512.is_some()];
    let mut hashing = Hashing::new(bytes, kinds);
    let mut paths = PathCheck::of(suite, &file.path, flat);
    let compression = Compression::of_name(file.path.file_name());
    // bzip2 is not looked into: what it holds is in another form, too.
    let read = !file.path.as_str().ends_with(".bz2");
    let compared = file.uncompressed.is_some() && compression != Compression::Plain;
    let given = read && paths.is_some();
    if given || read && compared {
        let limit = file.uncompressed.map_or(LARGEST, |expected| expected.size);
        let found = decompressed(compression, &mut hashing, limit, (paths.as_mut(), text));
        let found = found.map_err(|source| UpstreamError::Format {
            url: format!("{suite} {}", file.path),
            source,
        })?;
        if let Some(expected) = file.uncompressed.filter(|expected| *expected != found) {
            return Err(UpstreamError::Uncompressed {
                suite: suite.clone(),
                path: file.path.clone(),
                what: Box::new(Mismatch { expected, found }),
            });
        }
    }
    let rest = io::copy(&mut hashing, &mut io::sink());
    let broken = |source| UpstreamError::Format {
        url: format!("{suite} {}", file.path),
        source: crate::format::FormatError::Read { what: "index", source },
    };
    rest.map_err(broken)?;
    paths.map_or(Ok(()), PathCheck::verdict)?;
    match wrong(&hashing.found(), file) {
        None => Ok(given),
        Some(hash) => Err(UpstreamError::OtherHash {
            suite: suite.clone(),
            path: file.path.clone(),
            hash,
        }),
    }
}

/// A reader whose bytes another thread reads too, and where that one reads them, while it is his turn.
pub(super) fn split<'t, 'd, R: Read>(reader: R, turn: Option<&'t Turn<'d>>) -> (Tee<R>, Follower<'t, 'd>) {
    let (to, from) = sync_channel(AHEAD);
    (
        Tee { reader, to: Some(to) },
        Follower {
            from,
            chunk: io::Cursor::default(),
            turn,
            waited: Duration::ZERO,
        },
    )
}

/// Gives its bytes to a [`Follower`] as well.
pub(super) struct Tee<R> {
    reader: R,
    to: Option<SyncSender<Vec<u8>>>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let chunk = buffer.get(..count).unwrap_or_default();
        let gone = self
            .to
            .as_ref()
            .is_some_and(|to| !chunk.is_empty() && to.send(chunk.to_vec()).is_err());
        if gone {
            // It has seen enough to refuse the file, and says so itself.
            self.to = None;
        }
        Ok(count)
    }
}

/// The bytes that went through a [`Tee`]; ends when that is dropped.
pub(super) struct Follower<'t, 'd> {
    from: Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
    turn: Option<&'t Turn<'d>>,
    /// For bytes, in all.
    waited: Duration,
}

impl Follower<'_, '_> {
    /// The next chunk; none at the end.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let is_over = |turn: &&Turn<'_>| turn.has_ended() || (self.waited > PATIENCE && turn.is_awaited());
            if let Some(turn) = self.turn.filter(is_over) {
                return Err(turn.end());
            }
            let began = Instant::now();
            let next = self.from.recv_timeout(LOOK);
            self.waited = self.waited.saturating_add(began.elapsed());
            match next {
                Ok(chunk) => return Ok(Some(chunk)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

impl Read for Follower<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.next()? {
                Some(chunk) => self.chunk = io::Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

fn decompressed(
    compression: Compression,
    bytes: impl Read + Send,
    limit: u64,
    (paths, text): (Option<&mut PathCheck<'_>>, Text<'_>),
) -> Result<Digest, crate::format::FormatError> {
    let mut reader = compress::reader(compression, bytes, limit)?;
    let mut sink = Sink {
        hash: sha2::Sha256::new(),
        paths,
        text,
    };
    let (mut room, mut size) = (vec![0; ROOM], 0u64);
    loop {
        let count = match reader.read(&mut room) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(compress::read_error(error)),
        };
        sink.take(room.get(..count).unwrap_or_default());
        size = size.saturating_add(count as u64);
    }
    Ok(Digest {
        sha256: Sha256::from_bytes(sink.hash.finalize().into()),
        size,
    })
}

/// Where an uncompressed index goes.
struct Sink<'a, 'p> {
    hash: sha2::Sha256,
    paths: Option<&'a mut PathCheck<'p>>,
    text: Text<'a>,
}

impl Sink<'_, '_> {
    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        if let Some(paths) = &mut self.paths {
            paths.take(bytes);
            (self.text)(bytes);
        }
    }
}

/// The name of a hash of an index that is not the listed one.
fn wrong(found: &Hashes, file: &Planned) -> Option<&'static str> {
    let all = [
        (&found.md5, &file.listed.md5, "MD5"),
        (&found.sha1, &file.listed.sha1, "SHA-1"),
        (&found.sha512, &file.listed.sha512, "SHA-512"),
    ];
    let differs = all.iter().find(|(found, listed, _)| found != listed);
    differs.map(|(_, _, name)| *name)
}

/// The bytes of a pool file, which fail at their end when one of its other hashes is not the listed one.
pub(super) struct Checked<R> {
    /// None when no other hash is listed, or after the end.
    hashing: Option<Hashing<R>>,
    plain: Option<R>,
    others: OtherHashes,
    wrong: bool,
}

impl<R: Read> Checked<R> {
    pub(super) fn new(bytes: R, others: OtherHashes) -> Self {
        let kinds = [others.has_md5(), others.has_sha1(), others.has_sha512()];
        let (plain, hashing) = match others {
            OtherHashes::NONE => (Some(bytes), None),
            _ => (None, Some(Hashing::new(bytes, kinds))),
        };
        Self {
            hashing,
            plain,
            others,
            wrong: false,
        }
    }

    /// Whether it was read to its end, and is not what is listed.
    pub(super) fn is_wrong(&self) -> bool {
        self.wrong
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(plain) = &mut self.plain {
            return plain.read(buffer);
        }
        let count = match &mut self.hashing {
            Some(hashing) => hashing.read(buffer)?,
            None => 0,
        };
        if count == 0 && !buffer.is_empty() {
            let found = self.hashing.take().map(Hashing::found);
            self.wrong |= found.is_some_and(|found| OtherHashes::from(&found) != self.others);
        }
        match self.wrong {
            true => Err(io::Error::other("a listed hash does not match")),
            false => Ok(count),
        }
    }
}

/// Computes some of MD5, SHA-1 and SHA-512, and no more, of the bytes that pass by.
struct Hashing<R> {
    bytes: R,
    md5: Option<md5::Md5>,
    sha1: Option<sha1::Sha1>,
    sha512: Option<sha2::Sha512>,
}

impl<R: Read> Hashing<R> {
    fn new(bytes: R, [md5, sha1, sha512]: [bool; 3]) -> Self {
        Self {
            bytes,
            md5: md5.then(md5::Md5::new),
            sha1: sha1.then(sha1::Sha1::new),
            sha512: sha512.then(sha2::Sha512::new),
        }
    }

    fn found(self) -> Hashes {
        Hashes {
            md5: self.md5.map(|hash| hex::encode(hash.finalize())),
            sha1: self.sha1.map(|hash| hex::encode(hash.finalize())),
            sha512: self.sha512.map(|hash| hex::encode(hash.finalize())),
        }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        let chunk = buffer.get(..count).unwrap_or_default();
        if let Some(hash) = &mut self.md5 {
            hash.update(chunk);
        }
        if let Some(hash) = &mut self.sha1 {
            hash.update(chunk);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(chunk);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coded as _;
    use crate::format::release::Listed;

    fn planned(plain: &[u8], compressed: &[u8]) -> Planned {
        Planned {
            path: "main/binary-amd64/Packages.gz".parse().unwrap(),
            listed: Listed {
                digest: Digest::of(compressed),
                md5: Some(hex::encode(md5::Md5::digest(compressed))),
                sha1: None,
                sha512: Some(hex::encode(sha2::Sha512::digest(compressed))),
            },
            fetched: true,
            uncompressed: Some(Digest::of(plain)),
            needed: true,
        }
    }

    fn verdict(file: &Planned, bytes: &[u8]) -> Result<(), &'static str> {
        let what = Inspected {
            suite: &"trixie".parse().unwrap(),
            file,
            flat: false,
        };
        inspect(&what, bytes, &mut |_| {})
            .map(drop)
            .map_err(|error| error.code())
    }

    #[test]
    fn every_listed_hash_must_match() {
        let plain = b"Package: a\n".repeat(1000);
        let bytes = compress::compress(Compression::Gzip, &plain).unwrap();
        let good = planned(&plain, &bytes);
        assert_eq!(verdict(&good, &bytes), Ok(()));
        let mut other = good.clone();
        other.listed.md5 = Some("0".repeat(32));
        assert_eq!(verdict(&other, &bytes), Err("E-UP-022"));
        let mut other = good.clone();
        other.uncompressed = Some(Digest::of(b"something else"));
        assert!(verdict(&other, &bytes).is_err());
        let mut other = good.clone();
        other.uncompressed = Some(Digest {
            size: plain.len() as u64,
            ..Digest::of(b"something else")
        });
        assert_eq!(verdict(&other, &bytes), Err("E-UP-016"));
        assert_eq!(
            verdict(&good, bytes.get(..bytes.len() / 2).unwrap()),
            Err("E-FORMAT-006").or(Err("E-UP-019"))
        );
    }

    #[test]
    fn a_follower_sees_what_was_read() {
        let bytes = vec![7u8; 300_000];
        let (mut tee, mut follower) = split(&bytes[..], None);
        let seen = std::thread::scope(|scope| {
            let other = scope.spawn(move || {
                let mut seen = Vec::new();
                follower.read_to_end(&mut seen).map(|_| seen)
            });
            io::copy(&mut tee, &mut io::sink()).unwrap();
            drop(tee);
            other.join().unwrap().unwrap()
        });
        assert_eq!(seen, bytes);
    }
}
