//! Binary packages (deb(5)), read strictly and as a stream: `debian-binary`, control, data, and
//! nothing else. Nothing is ever extracted; every regular file is hashed as it streams by.

use std::io::Read;

use sha2::Digest as _;

use super::checksums::value;
use super::compress::{self, Compression};
use super::deb822::{self, Paragraph};
use super::packages::source_of;
use super::tar::{self, TarEntry, TarKind};
use super::{FormatError, ar};
use crate::domain::{Architecture, Digest, PackageName, Sha256, Version, escape};

const WHAT: &str = ".deb";

/// What a reader takes at most.
#[derive(Debug, Clone, Copy)]
pub struct DebLimits {
    /// Bytes of the control archive, uncompressed.
    pub control: u64,
    /// Bytes of the data archive, uncompressed.
    pub data: u64,
    /// Entries of each archive.
    pub entries: u64,
}

impl Default for DebLimits {
    fn default() -> Self {
        Self {
            control: 64 << 20,
            data: 16 << 30,
            entries: 500_000,
        }
    }
}

/// What a .deb says and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// SHA-256 and size of the whole file, from the same bytes that the rest was read from.
    pub digest: Digest,
    /// `Package` of the control file.
    pub package: PackageName,
    /// `Version` of the control file.
    pub version: Version,
    /// `Architecture` of the control file.
    pub architecture: Architecture,
    /// The control file.
    pub control: Paragraph,
    /// The control archive with its contents: control file, maintainer scripts, conffiles, ...
    pub control_files: Vec<TarEntry>,
    /// The data archive, without contents.
    pub data: Vec<TarEntry>,
    /// How the control archive is compressed.
    pub control_compression: Compression,
    /// How the data archive is compressed.
    pub data_compression: Compression,
}

/// What a .deb says of itself. What it holds nobody looked at, or is not told here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebHead {
    /// SHA-256 and size of the whole file, from the same bytes that the rest was read from.
    pub digest: Digest,
    /// `Package` of the control file.
    pub package: PackageName,
    /// `Version` of the control file.
    pub version: Version,
    /// `Architecture` of the control file.
    pub architecture: Architecture,
    /// The control file.
    pub control: Paragraph,
}

impl DebHead {
    /// The source package and its version, as [`Deb::source`] has it.
    ///
    /// # Errors
    /// When the field is none.
    pub fn source(&self) -> Result<(PackageName, Version), FormatError> {
        source(&self.control, &self.package, &self.version)
    }
}

impl From<Deb> for DebHead {
    fn from(deb: Deb) -> Self {
        Self {
            digest: deb.digest,
            package: deb.package,
            version: deb.version,
            architecture: deb.architecture,
            control: deb.control,
        }
    }
}

fn source(
    control: &Paragraph,
    package: &PackageName,
    version: &Version,
) -> Result<(PackageName, Version), FormatError> {
    match control.get("Source") {
        Some(text) => source_of(WHAT, text, version),
        None => Ok((package.clone(), version.clone())),
    }
}

impl Deb {
    /// The source package and its version: `Source`, or the package's own where that says nothing.
    ///
    /// # Errors
    /// When the field is none.
    pub fn source(&self) -> Result<(PackageName, Version), FormatError> {
        source(&self.control, &self.package, &self.version)
    }

    /// The programs that dpkg runs as root: maintainer scripts by name.
    pub fn scripts(&self) -> impl Iterator<Item = &TarEntry> {
        let is_script = |path: &str| matches!(path, "preinst" | "postinst" | "prerm" | "postrm" | "config");
        self.control_files.iter().filter(move |entry| is_script(&entry.path))
    }

    /// Files that run with their owner's or group's rights.
    pub fn privileged(&self) -> impl Iterator<Item = &TarEntry> {
        self.data.iter().filter(|entry| entry.is_privileged())
    }
}

/// Reads a .deb to its end.
///
/// # Errors
/// When it is anything but exactly `debian-binary` (`2.0`), `control.tar` and `data.tar` (plain,
/// gzip, xz or zstd), one of the archives is not plain (see [`tar`]), the control
/// file is not one strict paragraph with valid `Package`, `Version` and `Architecture`, or a limit
/// is exceeded.
pub fn read_deb(reader: impl Read + Send, limits: &DebLimits) -> Result<Deb, FormatError> {
    read(reader, limits, false, &|_| false)
}

/// The same with the contents of those files in memory whose paths are wanted.
///
/// # Errors
/// As [`read_deb`].
pub fn read_deb_keeping(
    reader: impl Read + Send,
    limits: &DebLimits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Deb, FormatError> {
    read(reader, limits, false, wanted)
}

/// The same with the contents of all files in memory: as much as `limits.data` allows.
///
/// # Errors
/// As [`read_deb`].
pub fn read_whole_deb(reader: impl Read + Send, limits: &DebLimits) -> Result<Deb, FormatError> {
    read(reader, limits, true, &|_| false)
}

/// Reads a .deb to its end, and of its data archive only what member it is: it is hashed as it stands.
///
/// # Errors
/// As [`read_deb`], but for what is in the data archive.
pub fn read_deb_head(reader: impl Read + Send, limits: &DebLimits) -> Result<DebHead, FormatError> {
    let (head, ..) = members(reader, limits, |archive, _| {
        compression(&next(archive, DATA)?, DATA)?;
        let copied = std::io::copy(archive, &mut std::io::sink());
        copied.map(drop).map_err(compress::read_error)
    })?;
    Ok(head)
}

fn read(
    reader: impl Read + Send,
    limits: &DebLimits,
    keep_data: bool,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Deb, FormatError> {
    let (head, (control_compression, control_files), (data_compression, data)) =
        members(reader, limits, |archive, control_limits| {
            let data_limits = tar::Limits {
                bytes: limits.data,
                keep_content: keep_data,
                ..*control_limits
            };
            member(archive, DATA, &data_limits, wanted)
        })?;
    Ok(Deb {
        digest: head.digest,
        package: head.package,
        version: head.version,
        architecture: head.architecture,
        control: head.control,
        control_files,
        data,
        control_compression,
        data_compression,
    })
}

/// How the name of the data archive begins.
const DATA: &str = "data.tar";

/// Reads all members; `data` reads the data archive.
fn members<R: Read + Send, T>(
    reader: R,
    limits: &DebLimits,
    data: impl FnOnce(&mut ar::Reader<&mut Hashed<R>>, &tar::Limits) -> Result<T, FormatError>,
) -> Result<(DebHead, Unpacked, T), FormatError> {
    let mut hashed = Hashed {
        reader,
        hash: sha2::Sha256::new(),
        size: 0,
    };
    let mut archive = ar::Reader::new(&mut hashed)?;
    let first = next(&mut archive, "debian-binary")?;
    if first.name != "debian-binary" || ar::content(&mut archive, 64)? != b"2.0\n" {
        return Err(bad(&first.name, "the first member is not `debian-binary` with `2.0`"));
    }
    let control_limits = tar::Limits {
        bytes: limits.control,
        entries: limits.entries,
        keep_content: true,
        pax: false,
        foreign: false,
    };
    let unpacked = member(&mut archive, "control.tar", &control_limits, &|_| false)?;
    let data = data(&mut archive, &control_limits)?;
    if let Some(member) = archive.next_member()? {
        return Err(bad(&member.name, "a member stands behind the data"));
    }
    let control = control(&unpacked.1)?;
    let head = DebHead {
        digest: Digest {
            sha256: Sha256::from_bytes(hashed.hash.finalize().into()),
            size: hashed.size,
        },
        package: value(WHAT, "Package", control.require(WHAT, "Package")?)?,
        version: value(WHAT, "Version", control.require(WHAT, "Version")?)?,
        architecture: value(WHAT, "Architecture", control.require(WHAT, "Architecture")?)?,
        control,
    };
    Ok((head, unpacked, data))
}

fn bad(at: &str, why: &str) -> FormatError {
    FormatError::malformed(WHAT, format!("`{}`", escape(at)), why)
}

fn next<R: Read>(archive: &mut ar::Reader<R>, expected: &str) -> Result<ar::Member, FormatError> {
    archive
        .next_member()?
        .ok_or_else(|| bad(expected, "the member is missing"))
}

/// Reads a member that is a compressed tar, and all of it: bytes behind the compressed stream are
/// found by the next look at the archive.
fn member<R: Read + Send>(
    archive: &mut ar::Reader<R>,
    name: &'static str,
    limits: &tar::Limits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Unpacked, FormatError> {
    let compression = compression(&next(archive, name)?, name)?;
    let content = compress::reader(compression, archive.by_ref(), limits.bytes)?;
    Ok((compression, tar::read_keeping(content, limits, wanted)?))
}

/// How a member is compressed, whose name is to begin so.
fn compression(member: &ar::Member, name: &str) -> Result<Compression, FormatError> {
    match member.name.strip_prefix(name) {
        Some("") => Ok(Compression::Plain),
        Some(".gz") => Ok(Compression::Gzip),
        Some(".xz") => Ok(Compression::Xz),
        Some(".zst") => Ok(Compression::Zstd),
        _ => Err(bad(&member.name, "a member has another name than deb(5) knows")),
    }
}

/// How an archive is compressed, and what it has.
type Unpacked = (Compression, Vec<TarEntry>);

/// The control file, out of a control archive that holds plain files only.
fn control(files: &[TarEntry]) -> Result<Paragraph, FormatError> {
    let plain = |path: &str| {
        path.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let mut control = None;
    for file in files {
        match (&file.kind, file.path.as_str()) {
            (TarKind::Directory, ".") => {}
            (TarKind::File(_), "control") => control = file.content.as_deref(),
            (TarKind::File(_), path) if plain(path) => {}
            (_, path) => return Err(bad(path, "the control archive has something else than plain files")),
        }
    }
    deb822::paragraph(
        "control",
        control.ok_or_else(|| bad("control", "the control file is missing"))?,
    )
}

/// Hashes what is read through it.
struct Hashed<R> {
    reader: R,
    hash: sha2::Sha256,
    size: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.size = self.size.saturating_add(count as u64);
        Ok(count)
    }
}
