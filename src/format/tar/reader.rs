//! The reader: entries one after the other, content hashed as it streams by.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::Digest as _;

use super::header::Header;
use super::{BLOCK, TarEntry, TarKind, WHAT, path};
use crate::domain::{Digest, Sha256, escape};
use crate::format::FormatError;
use crate::format::elf;
use crate::format::input::{Input, read_failed};

/// What a reader takes at most, and what it does.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole archive, uncompressed.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Whether to keep the content of regular files in memory.
    pub keep_content: bool,
    /// Whether pax headers are taken, with `path`, `linkpath` and a `size` that repeats the
    /// header's. dpkg does not know them, so a .deb may not have them.
    pub pax: bool,
    /// Whether what others' programs write is taken too, as upstream tarballs have it: v7 headers, global
    /// pax headers with a comment, pax records of times and owners, long names of any header. Nothing
    /// that says what a file holds, or where it is, is passed over.
    pub foreign: bool,
}

/// Reads a whole archive, from its first header to the end of the stream.
///
/// # Errors
/// When anything in it is not plain (see the module), a limit is exceeded, or the stream cannot be
/// read. An archive must end with two blocks of zeros and nothing but zeros behind them.
pub fn read<R: Read>(reader: R, limits: &Limits) -> Result<Vec<TarEntry>, FormatError> {
    read_keeping(reader, limits, &|_| false)
}

/// The same, with the content of regular files in memory whose paths are wanted, whatever the limits say of others.
///
/// # Errors
/// As [`read`].
pub fn read_keeping<R: Read>(
    reader: R,
    limits: &Limits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<TarEntry>, FormatError> {
    let limited = reader.take(limits.bytes.saturating_add(1));
    let mut tar = Tar {
        input: Input::new(WHAT, limited),
        limits: *limits,
        wanted,
        seen: BTreeMap::new(),
    };
    let result = tar.entries();
    if tar.input.offset() > limits.bytes {
        return Err(limit(limits.bytes, "bytes"));
    }
    result
}

fn limit(limit: u64, unit: &'static str) -> FormatError {
    FormatError::Limit {
        what: WHAT,
        limit,
        unit,
    }
}

/// What a regular file is.
struct Content {
    digest: Digest,
    elf: Option<elf::Elf>,
    kept: Option<Vec<u8>>,
}

struct Tar<'w, R> {
    input: Input<R>,
    limits: Limits,
    /// Whose content is kept whatever the limits say.
    wanted: &'w dyn Fn(&str) -> bool,
    seen: BTreeMap<String, Seen>,
}

/// What stands at a path.
enum Seen {
    /// A folder that only the paths below it tell of.
    ImpliedFolder,
    Folder,
    Symlink,
    File {
        digest: Digest,
        mode: u32,
        uid: u32,
        gid: u32,
    },
}

/// Names for the next entry that did not fit into its header.
#[derive(Default)]
struct Long {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl<R: Read> Tar<'_, R> {
    fn entries(&mut self) -> Result<Vec<TarEntry>, FormatError> {
        let mut entries = Vec::new();
        let mut long = Long::default();
        let mut headers = 0_u64;
        while let Some(header) = self.header()? {
            headers = headers.saturating_add(1);
            // Long names are headers too, and each costs a block.
            if headers > self.limits.entries.saturating_mul(3) || entries.len() as u64 >= self.limits.entries {
                return Err(limit(self.limits.entries, "entries"));
            }
            match header.flag {
                b'L' => self.once(&mut long.path, "name", |tar| tar.gnu_long(&header))?,
                b'K' => self.once(&mut long.link, "link", |tar| tar.gnu_long(&header))?,
                b'x' if self.limits.pax => self.pax(&header, &mut long)?,
                b'g' if self.limits.foreign => self.pax(&header, &mut Long::default())?,
                _ => entries.push(self.entry(header, std::mem::take(&mut long))?),
            }
        }
        if long.path.is_some() || long.link.is_some() || long.size.is_some() {
            return Err(self.bad("a long name stands before no entry"));
        }
        Ok(entries)
    }

    /// The next header; none when the end was reached and checked.
    fn header(&mut self) -> Result<Option<Header>, FormatError> {
        let at = self.input.position();
        let mut block = [0; BLOCK];
        self.input.exact(&mut block)?;
        if block != [0; BLOCK] {
            return Header::parse(&block, &at, self.limits.foreign).map(Some);
        }
        self.input.exact(&mut block)?;
        if block != [0; BLOCK] {
            return Err(self.bad("one block of zeros stands before an entry"));
        }
        while self.input.exact_or_end(&mut block)? {
            if block != [0; BLOCK] {
                return Err(self.bad("something stands behind the end"));
            }
        }
        Ok(None)
    }

    fn entry(&mut self, header: Header, long: Long) -> Result<TarEntry, FormatError> {
        if long.size.is_some_and(|size| size != header.size) {
            return Err(self.bad("pax and header give two sizes"));
        }
        let raw = self.effective(header.name, long.path)?;
        let name = path::normal(&raw)?.to_owned();
        let link = self.effective(header.link, long.link)?;
        let bad = |why: &str| FormatError::malformed(WHAT, format!("`{}`", escape(&name)), why);
        if !matches!(header.flag, b'0' | b'1' | b'2' | b'5') {
            return Err(bad(odd_type(header.flag)));
        }
        let is_folder = header.flag == b'5';
        if raw.ends_with('/') && !is_folder {
            return Err(bad("it ends with a slash and is no directory"));
        }
        if name == "." && !is_folder {
            return Err(bad("the root is no directory"));
        }
        if header.flag != b'0' && header.size != 0 {
            return Err(bad("it has content and is no regular file"));
        }
        if !link.is_empty() && !matches!(header.flag, b'1' | b'2') {
            return Err(bad("it has a target and is no link"));
        }
        let (mut content, mut elf) = (None, None);
        let kind = match header.flag {
            b'0' => {
                let keep = self.limits.keep_content || (self.wanted)(&name);
                let read = self.content(header.size, keep)?;
                (content, elf) = (read.kept, read.elf);
                TarKind::File(read.digest)
            }
            b'1' => {
                let target = path::normal(&link)?.to_owned();
                let digest = match self.seen.get(&target) {
                    // dpkg sets owner and mode on hard links too: other ones here would change the file there.
                    Some(Seen::File { digest, mode, uid, gid })
                        if (*mode, *uid, *gid) == (header.mode, header.uid, header.gid) =>
                    {
                        *digest
                    }
                    Some(Seen::File { .. }) => return Err(bad("it is a hard link with another owner or mode")),
                    _ => return Err(bad("it is a hard link to something that is no file before it")),
                };
                TarKind::Hardlink { target, digest }
            }
            b'2' => TarKind::Symlink(path::target(&link)?.to_owned()),
            b'5' => TarKind::Directory,
            odd => return Err(bad(odd_type(odd))),
        };
        let entry = TarEntry {
            path: name,
            kind,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            user: header.user,
            group: header.group,
            mtime: header.mtime,
            elf,
            content,
        };
        self.place(&entry)?;
        Ok(entry)
    }

    /// Notes what stands at the entry's path; refuses a second one, and a path through anything that is no directory.
    fn place(&mut self, entry: &TarEntry) -> Result<(), FormatError> {
        let bad = |why: &str| FormatError::malformed(WHAT, format!("`{}`", escape(&entry.path)), why);
        for parent in path::parents(&entry.path) {
            match self.seen.get(parent) {
                Some(Seen::Folder | Seen::ImpliedFolder) => {}
                Some(_) => return Err(bad("it lies below something that is no directory")),
                None => {
                    self.seen.insert(parent.to_owned(), Seen::ImpliedFolder);
                }
            }
        }
        let is_folder = entry.kind == TarKind::Directory;
        match self.seen.get(&entry.path) {
            None => {}
            Some(Seen::ImpliedFolder) if is_folder => {}
            Some(_) => return Err(bad("the path stands twice")),
        }
        let seen = match (&entry.kind, entry.digest()) {
            (_, Some(digest)) => Seen::File {
                digest: *digest,
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
            },
            (TarKind::Directory, None) => Seen::Folder,
            _ => Seen::Symlink,
        };
        self.seen.insert(entry.path.clone(), seen);
        Ok(())
    }

    /// The long name when there is one. It must continue what the header has, as GNU tar cuts it:
    /// a reader that does not know long names then sees no other file.
    fn effective(&self, short: Vec<u8>, long: Option<String>) -> Result<String, FormatError> {
        let Some(long) = long else {
            return String::from_utf8(short).map_err(|_| self.bad("a name is not UTF-8"));
        };
        // Our writer cuts at a character, GNU tar at 100 bytes.
        if self.limits.foreign {
            return Ok(long);
        }
        if long.len() <= 100 || short.len() < 97 || !long.as_bytes().starts_with(&short) {
            return Err(self.bad("a long name does not continue the name in its header"));
        }
        Ok(long)
    }

    fn once(
        &mut self,
        slot: &mut Option<String>,
        what: &str,
        read: impl FnOnce(&mut Self) -> Result<String, FormatError>,
    ) -> Result<(), FormatError> {
        if slot.is_some() {
            return Err(self.bad(&format!("a long {what} stands twice before one entry")));
        }
        *slot = Some(read(self)?);
        Ok(())
    }

    /// GNU's `L` and `K` entries: the name and one NUL.
    fn gnu_long(&mut self, header: &Header) -> Result<String, FormatError> {
        if header.name != b"././@LongLink" || !header.link.is_empty() {
            return Err(self.bad("a long name is not as GNU tar writes it"));
        }
        let mut bytes = self.short_content(header.size)?;
        if bytes.pop() != Some(0) || bytes.contains(&0) {
            return Err(self.bad("a long name does not end with one NUL"));
        }
        String::from_utf8(bytes).map_err(|_| self.bad("a name is not UTF-8"))
    }

    /// A pax header: `LENGTH KEY=VALUE\n` records.
    fn pax(&mut self, header: &Header, long: &mut Long) -> Result<(), FormatError> {
        let bytes = self.short_content(header.size)?;
        let text = String::from_utf8(bytes).map_err(|_| self.bad("a pax header is not UTF-8"))?;
        if header.flag == b'g' && text.contains("path=") {
            return Err(self.bad("a pax header gives all files one name"));
        }
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (record, after) = record(rest).ok_or_else(|| self.bad("a pax header is malformed"))?;
            rest = after;
            match record {
                ("path", value) => self.once(&mut long.path, "name", |_| Ok(value.to_owned()))?,
                ("linkpath", value) => self.once(&mut long.link, "link", |_| Ok(value.to_owned()))?,
                ("size", value) if long.size.is_none() => {
                    let size = value.parse().map_err(|_| self.bad("a pax size is not a number"))?;
                    long.size = Some(size);
                }
                (key, _) if self.limits.foreign && says_nothing(key) => {}
                (key, _) => return Err(self.bad(&format!("the pax record `{}` is not allowed", escape(key)))),
            }
        }
        Ok(())
    }

    fn short_content(&mut self, size: u64) -> Result<Vec<u8>, FormatError> {
        let most = 2 * path::LONGEST as u64 + 100;
        if size > most {
            return Err(limit(most, "bytes of a long name"));
        }
        let mut bytes = Vec::new();
        self.input
            .by_ref()
            .take(size)
            .read_to_end(&mut bytes)
            .map_err(read_failed(WHAT))?;
        if bytes.len() as u64 != size {
            return Err(self.bad("it ends too early"));
        }
        self.padding(size)?;
        Ok(bytes)
    }

    fn content(&mut self, size: u64, keep: bool) -> Result<Content, FormatError> {
        let mut hash = sha2::Sha256::new();
        let mut elf = elf::Scanner::new();
        let mut kept = keep.then(Vec::new);
        let mut left = size;
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let part = buffer.get_mut(..most).unwrap_or_default();
            let count = self.input.read(part).map_err(read_failed(WHAT))?;
            let part = part.get(..count).unwrap_or_default();
            if part.is_empty() {
                return Err(self.bad("it ends too early"));
            }
            hash.update(part);
            elf.push(part);
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(part);
            }
            left = left.saturating_sub(count as u64);
        }
        self.padding(size)?;
        let sha256 = Sha256::from_bytes(hash.finalize().into());
        Ok(Content {
            digest: Digest { sha256, size },
            elf: elf.finish(),
            kept,
        })
    }

    /// Zeros up to the next block.
    fn padding(&mut self, size: u64) -> Result<(), FormatError> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        let mut block = [0; BLOCK];
        if over > 0 {
            self.input.exact(block.get_mut(over..).unwrap_or_default())?;
        }
        if block != [0; BLOCK] {
            return Err(self.bad("the padding behind a file is not zero"));
        }
        Ok(())
    }

    fn bad(&self, why: &str) -> FormatError {
        FormatError::malformed(WHAT, self.input.position(), why)
    }
}

/// Pax records that say nothing of what a source package takes over.
fn says_nothing(key: &str) -> bool {
    let plain = ["comment", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"];
    plain.contains(&key) || key.starts_with("LIBARCHIVE.") || key.starts_with("SCHILY.")
}

fn odd_type(flag: u8) -> &'static str {
    match flag {
        b'3' | b'4' => "it is a device",
        b'6' => "it is a named pipe",
        b'S' => "it is a sparse file",
        b'x' | b'g' | b'X' => "it is a pax header, which is not allowed here",
        _ => "it has an unknown type",
    }
}

/// The first record of a pax header, and what follows it.
fn record(text: &str) -> Option<((&str, &str), &str)> {
    let (length, _) = text.split_once(' ')?;
    let plain = length.len() <= 5 && !length.starts_with('0') && length.bytes().all(|b| b.is_ascii_digit());
    let (record, after) = text.split_at_checked(length.parse().ok().filter(|_| plain)?)?;
    let record = record.strip_suffix('\n')?.get(length.len().checked_add(1)?..)?;
    Some((record.split_once('=')?, after))
}
