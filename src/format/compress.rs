//! gzip, xz and zstd: written with pinned settings, read with limits.
//!
//! The same bytes always compress to the same bytes: no name, no time, one level, one thread. What
//! is read must be whole, stay below the caller's limit, and not grow more than a thousandfold.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::FormatError;

const WHAT: &str = "compressed data";
pub(super) const GZIP_LEVEL: u32 = 9;
pub(super) const XZ_PRESET: u32 = 6;
const ZSTD_LEVEL: i32 = 12;
/// The most memory that a decompressor may take, in bytes.
pub(super) const MEMORY: u64 = 128 << 20;
/// The zstd window that [`MEMORY`] allows, as a power of two.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Compressed bytes that are taken at once: with each piece gzip's window is copied.
const INPUT: usize = 64 << 10;
/// The most bytes out per byte in …
const RATIO: u64 = 1000;
/// … beyond this many bytes, which every stream may give.
const RATIO_FREE: u64 = 16 << 20;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// By the extension of a file's name. `Plain` for any other: bzip2, lzma and lz4 are [`super::foreign`].
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.') {
            Some((_, "gz")) => Self::Gzip,
            Some((_, "xz")) => Self::Xz,
            Some((_, "zst")) => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The extension with its dot; empty for `Plain`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

/// Compresses. gzip: level 9, no name, no time. xz: one stream, preset 6, CRC64. zstd: level 12,
/// with size and checksum.
///
/// # Errors
/// When the compressor has no memory.
pub fn compress(compression: Compression, bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    compressed(compression, bytes).map_err(|source| FormatError::Read { what: WHAT, source })
}

fn compressed(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match compression {
        Compression::Plain => Ok(bytes.to_vec()),
        Compression::Gzip => {
            let mut writer = flate2::GzBuilder::new()
                .mtime(0)
                .write(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
            writer.write_all(bytes)?;
            writer.finish()
        }
        Compression::Xz => {
            let stream = xz2::stream::Stream::new_easy_encoder(XZ_PRESET, xz2::stream::Check::Crc64)?;
            let mut writer = xz2::write::XzEncoder::new_stream(Vec::new(), stream);
            writer.write_all(bytes)?;
            writer.finish()
        }
        Compression::Zstd => {
            let mut writer = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
            writer.include_checksum(true)?;
            writer.set_pledged_src_size(Some(bytes.len() as u64))?;
            writer.write_all(bytes)?;
            writer.finish()
        }
    }
}

/// How many bytes of what came before a decompressor keeps, as the first bytes of a stream say: of xz the dictionary of its first
/// block, of zstd the window of its first frame. None where they do not say.
#[must_use]
pub fn window(compression: Compression, head: &[u8]) -> Option<u64> {
    match compression {
        Compression::Plain | Compression::Gzip => None,
        Compression::Xz => xz_window(head.strip_prefix(b"\xfd7zXZ\0")?.get(6..)?),
        Compression::Zstd => zstd_window(head.strip_prefix(b"\x28\xb5\x2f\xfd")?),
    }
}

/// The .xz file format, §3.1 and §5.3.1: behind the stream's header.
fn xz_window(block: &[u8]) -> Option<u64> {
    let (flags, mut rest) = block.get(1..)?.split_first()?;
    for size in [0x40, 0x80] {
        if flags & size != 0 {
            (_, rest) = xz_number(rest)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (filter, after) = xz_number(rest)?;
        let (count, after) = xz_number(after)?;
        let (properties, after) = after.split_at_checked(usize::try_from(count).ok()?)?;
        if filter == 0x21 {
            let bits = u32::from(properties.first()? & 0x3f);
            return match bits {
                0..40 => Some(u64::from(2 | (bits & 1)) << (bits / 2 + 11)),
                _ => Some(u64::from(u32::MAX)),
            };
        }
        rest = after;
    }
    None
}

/// Seven bits a byte, the lowest first.
fn xz_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

/// RFC 8878, §3.1.1.1: behind the magic number. Of a frame in one segment, whose window is its content: the largest that it may be.
fn zstd_window(header: &[u8]) -> Option<u64> {
    let (descriptor, rest) = header.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + (base >> 3) * u64::from(window & 7));
    }
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let count = [1, 2, 4, 8].get(usize::from(descriptor >> 6))?;
    let mut size = [0; 8];
    let content = rest.get(*dictionary..)?.get(..*count)?;
    size.iter_mut().zip(content).for_each(|(to, from)| *to = *from);
    Some(u64::from_le_bytes(size).saturating_add(if *count == 2 { 256 } else { 0 }))
}

/// Decompresses all of `bytes`. `limit` is in bytes of output.
///
/// # Errors
/// When the data is damaged, truncated or followed by something else, or gives more than the limit.
pub fn decompress(compression: Compression, bytes: &[u8], limit: u64) -> Result<Vec<u8>, FormatError> {
    let mut out = Vec::new();
    reader(compression, bytes, limit)?
        .read_to_end(&mut out)
        .map_err(read_error)?;
    Ok(out)
}

/// Decompresses as it is read. Only a reader that came to the end knows that all was well: errors
/// (a [`FormatError`] inside, for limits) may come with any read.
///
/// # Errors
/// When the decompressor has no memory.
pub fn reader<'a, R: Read + Send + 'a>(
    compression: Compression,
    input: R,
    limit: u64,
) -> Result<Box<dyn Read + Send + 'a>, FormatError> {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        input,
        taken: Arc::clone(&taken),
    };
    let counted = BufReader::with_capacity(INPUT, counted);
    let decoder = decoder(compression, counted).map_err(|source| FormatError::Read { what: WHAT, source })?;
    Ok(Box::new(Limited {
        decoder,
        compression,
        taken,
        given: 0,
        limit,
    }))
}

/// The error of a [`reader`] as what it is.
#[must_use]
pub fn read_error(error: io::Error) -> FormatError {
    match error.downcast::<FormatError>() {
        Ok(ours) => ours,
        Err(source) => FormatError::Read { what: WHAT, source },
    }
}

fn decoder<'a, R: BufRead + Send + 'a>(compression: Compression, input: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::Plain => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Xz => {
            let stream = xz2::stream::Stream::new_stream_decoder(MEMORY, 0)?;
            Box::new(OneStream(xz2::bufread::XzDecoder::new_stream(input, stream)))
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Counts what is taken from the input.
struct Counted<R> {
    input: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// An xz file of exactly one stream: apt refuses more, and padding is nothing that anybody signs.
struct OneStream<R: BufRead>(xz2::bufread::XzDecoder<R>);

impl<R: BufRead> Read for OneStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "there is data after the end of the xz stream",
            ));
        }
        Ok(count)
    }
}

/// Holds the output to the limit and to a ratio of the input, and refuses an empty input.
struct Limited<D> {
    decoder: D,
    compression: Compression,
    taken: Arc<AtomicU64>,
    given: u64,
    limit: u64,
}

impl<D: Read> Read for Limited<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.decoder.read(buffer)?;
        self.given = self.given.saturating_add(count as u64);
        let taken = self.taken.load(Ordering::Relaxed);
        if self.given > self.limit {
            return Err(over(self.limit, "bytes"));
        }
        if self.compression != Compression::Plain && self.given > taken.saturating_mul(RATIO).max(RATIO_FREE) {
            return Err(over(RATIO, "bytes for each compressed byte"));
        }
        if count == 0 && taken == 0 && self.compression != Compression::Plain {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
        }
        Ok(count)
    }
}

fn over(limit: u64, unit: &'static str) -> io::Error {
    io::Error::other(FormatError::Limit {
        what: WHAT,
        limit,
        unit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 4] = [
        Compression::Plain,
        Compression::Gzip,
        Compression::Xz,
        Compression::Zstd,
    ];

    fn text() -> Vec<u8> {
        (0..20_000_u32)
            .flat_map(|n| format!("line {}\n", n * n % 977).into_bytes())
            .collect()
    }

    #[test]
    fn what_is_written_is_read_and_is_always_the_same() -> Result<(), FormatError> {
        for compression in ALL {
            for data in [text(), Vec::new(), b"x".to_vec()] {
                let packed = compress(compression, &data)?;
                assert_eq!(packed, compress(compression, &data)?);
                assert_eq!(
                    decompress(compression, &packed, data.len() as u64)?,
                    data,
                    "{compression}"
                );
            }
            assert_eq!(
                Compression::of_name(&format!("Packages{}", compression.extension())),
                compression
            );
        }
        let gzip = compress(Compression::Gzip, b"x")?;
        assert_eq!(gzip.get(3..8), Some([0; 5].as_slice()), "no name, no time");
        Ok(())
    }

    #[test]
    fn more_than_the_limit_is_refused() -> Result<(), FormatError> {
        for compression in ALL {
            let packed = compress(compression, &text())?;
            let limit = text().len() as u64 - 1;
            let refused = decompress(compression, &packed, limit);
            assert!(
                matches!(refused, Err(FormatError::Limit { .. })),
                "{compression}: {refused:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio() -> Result<(), FormatError> {
        let zeros = vec![0; 20 << 20];
        for compression in [Compression::Xz, Compression::Zstd] {
            let packed = compress(compression, &zeros)?;
            let refused = decompress(compression, &packed, u64::MAX);
            assert!(
                matches!(refused, Err(FormatError::Limit { limit: RATIO, .. })),
                "{compression}: {refused:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn damage_truncation_and_what_follows_are_refused() -> Result<(), FormatError> {
        for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let packed = compress(compression, &text())?;
            let refused = |bytes: &[u8]| decompress(compression, bytes, 1 << 30).is_err();
            for cut in [0, 1, 5, 20, packed.len() / 2, packed.len() - 1] {
                assert!(refused(&packed[..cut]), "{compression}: first {cut} bytes");
            }
            let mut damaged = packed.clone();
            damaged[packed.len() / 2] ^= 0x10;
            assert!(refused(&damaged), "{compression}: damaged");
            for tail in [&b"x"[..], &[0; 4], b"trailing data"] {
                assert!(refused(&[&packed, tail].concat()), "{compression}: {tail:?}");
            }
            assert!(refused(&text()), "{compression}: plain");
        }
        Ok(())
    }

    #[test]
    fn several_members_are_gzip_and_zstd_but_never_xz() -> Result<(), FormatError> {
        for (compression, whole) in [
            (Compression::Gzip, true),
            (Compression::Zstd, true),
            (Compression::Xz, false),
        ] {
            let twice = [compress(compression, b"one ")?, compress(compression, b"two")?].concat();
            let read = decompress(compression, &twice, 100);
            assert_eq!(read.ok(), whole.then(|| b"one two".to_vec()), "{compression}");
        }
        Ok(())
    }
}
