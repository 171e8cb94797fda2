//! Compressed files that are made of parts: gzip members, blocks of one xz stream, zstd frames.
//!
//! Each part is compressed alone, so a part of one file may stand in another: a file of which little
//! has changed is put together without compressing the rest again. gzip members and zstd frames
//! follow each other. xz blocks are put into **one** stream with one index, since apt takes a second
//! stream for damage (The .xz File Format 1.1, §2–4).
//!
//! A reader must be able to tell where a part ends: xz has an index, a zstd frame says so block by
//! block. A gzip member does not, so each of ours gives its length in the extra field (RFC 1952
//! §2.3.1.1), which every reader skips.

use std::borrow::Cow;
use std::io::Write as _;

use super::FormatError;
use super::compress::{Compression, GZIP_LEVEL, XZ_PRESET, compress};

const WHAT: &str = "compressed index";

/// The least and the most that a block can look back for, in bytes: as much as it has, since a reader and the compressor
/// need that much memory.
const XZ_DICTIONARY: (u64, u64) = (4 << 10, 2 << 20);
/// The length of a match that is good enough, in bytes. No file says what it was made with: another value needs another
/// way to cut, or another of those settings that a block's header has ([`Part::is_made_so`]).
const XZ_NICE: u32 = 32;
/// How the header of each xz block begins: its size, one filter and no sizes, LZMA2, one byte for its dictionary.
const XZ_BLOCK: [u8; 4] = [2, 0, 0x21, 1];
/// Magic, flags (CRC64), and CRC32 of the flags.
const XZ_HEADER: [u8; 12] = [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4, 0xe6, 0xd6, 0xb4, 0x46];
/// The flags again, and the magic of the end.
const XZ_END: [u8; 4] = [0, 4, b'Y', b'Z'];
const XZ_FOOTER: usize = 12;
/// The subfield of the extra field that gives a member's length: four bytes, little endian.
const GZIP_LENGTH: [u8; 4] = [b'A', b'S', 4, 0];
/// Where it stands: after the fixed header and the length of the extra field.
const GZIP_LENGTH_AT: usize = 12;

/// One part of a compressed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    bytes: Cow<'a, [u8]>,
    plain: u64,
    /// What the index of an xz stream says of a block: its length without the padding. Others: all.
    unpadded: u64,
}

impl Part<'_> {
    /// How many bytes it gives, uncompressed.
    #[must_use]
    pub fn plain(&self) -> u64 {
        self.plain
    }

    /// Whether [`part`] makes such a part of its text, as far as one can see: no other program, and no other settings.
    #[must_use]
    pub fn is_made_so(&self, compression: Compression) -> bool {
        let header = self.bytes.strip_prefix(&XZ_BLOCK);
        compression != Compression::Xz
            || header.is_some_and(|rest| rest.first() == Some(&xz_dictionary_code(self.plain)))
    }

    /// As it stands in the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Compresses one part: the same bytes always give the same part.
///
/// # Errors
/// When the compressor has no memory, or a part is larger than its form allows (4 GiB for gzip).
pub fn part(compression: Compression, plain: &[u8]) -> Result<Part<'static>, FormatError> {
    let made = |bytes: Vec<u8>| Part {
        unpadded: bytes.len() as u64,
        plain: plain.len() as u64,
        bytes: Cow::Owned(bytes),
    };
    match compression {
        Compression::Plain => Ok(made(plain.to_vec())),
        Compression::Zstd => compress(Compression::Zstd, plain).map(made),
        Compression::Gzip => gzip_member(plain).map(made),
        Compression::Xz => {
            let stream = xz_stream(plain).map_err(|source| FormatError::Read { what: WHAT, source })?;
            let blocks = take_apart(Compression::Xz, &stream).unwrap_or_default();
            let block = blocks
                .into_iter()
                .next()
                .filter(|block| block.plain == plain.len() as u64);
            let block = block.ok_or_else(|| bad("the compressor gave no single block"))?;
            Ok(Part {
                bytes: Cow::Owned(block.bytes.into_owned()),
                ..block
            })
        }
    }
}

/// The file that these parts make. Without any it is a file that gives nothing.
///
/// # Errors
/// As [`part`].
pub fn assemble(compression: Compression, parts: &[Part<'_>]) -> Result<Vec<u8>, FormatError> {
    if compression == Compression::Xz {
        return Ok(xz_of(parts));
    }
    let mut file = Vec::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
    for part in parts {
        file.extend_from_slice(&part.bytes);
    }
    if file.is_empty() && compression != Compression::Plain {
        return Ok(part(compression, b"")?.bytes.into_owned());
    }
    Ok(file)
}

/// The parts of a file that [`assemble`] made; none of one that does not say where they end, as other
/// compressors write them. Checks no checksum: the file is known by its hash.
#[must_use]
pub fn take_apart(compression: Compression, file: &[u8]) -> Option<Vec<Part<'_>>> {
    match compression {
        Compression::Plain => Some(vec![Part {
            bytes: Cow::Borrowed(file),
            plain: file.len() as u64,
            unpadded: file.len() as u64,
        }]),
        Compression::Xz => xz_blocks(file),
        Compression::Gzip => each(file, gzip_length),
        Compression::Zstd => each(file, zstd_length),
    }
}

/// Parts that follow each other. `length` gives, at the start of one, its length and what it gives.
fn each(file: &[u8], length: impl Fn(&[u8]) -> Option<(usize, u64)>) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let (length, plain) = length(rest)?;
        let (bytes, after) = rest.split_at_checked(length).filter(|_| length > 0)?;
        parts.push(Part {
            bytes: Cow::Borrowed(bytes),
            plain,
            unpadded: length as u64,
        });
        rest = after;
    }
    Some(parts)
}

fn gzip_member(plain: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut extra = GZIP_LENGTH.to_vec();
    extra.extend_from_slice(&[0; 4]);
    let mut writer = flate2::GzBuilder::new()
        .mtime(0)
        .extra(extra)
        .write(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    let written = writer.write_all(plain).and_then(|()| writer.finish());
    let mut member = written.map_err(|source| FormatError::Read { what: WHAT, source })?;
    // The length of what it gives stands in four bytes, too.
    u32::try_from(plain.len()).map_err(|_| bad("a member of 4 GiB"))?;
    let length = u32::try_from(member.len()).map_err(|_| bad("a member of 4 GiB"))?;
    let at = GZIP_LENGTH_AT + GZIP_LENGTH.len();
    let place = member
        .get_mut(at..at + 4)
        .ok_or_else(|| bad("no place for its length"))?;
    place.copy_from_slice(&length.to_le_bytes());
    Ok(member)
}

fn gzip_length(file: &[u8]) -> Option<(usize, u64)> {
    // FEXTRA alone: no name, no comment, no checksum of the header.
    let ours = file.starts_with(&[0x1f, 0x8b, 8, 4]) && file.get(10..GZIP_LENGTH_AT)? == [8, 0];
    let at = GZIP_LENGTH_AT + GZIP_LENGTH.len();
    let named = file.get(GZIP_LENGTH_AT..at)? == GZIP_LENGTH;
    let length = u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize;
    let trailer = file.get(..length)?.last_chunk::<4>()?;
    (ours && named).then_some((length, u64::from(u32::from_le_bytes(*trailer))))
}

fn zstd_length(file: &[u8]) -> Option<(usize, u64)> {
    let length = zstd::zstd_safe::find_frame_compressed_size(file).ok()?;
    let plain = zstd::zstd_safe::get_frame_content_size(file).ok()??;
    Some((length, plain))
}

/// The dictionary for so many bytes: a power of two.
fn xz_dictionary(plain: u64) -> u32 {
    let (least, most) = XZ_DICTIONARY;
    plain.clamp(least, most).next_power_of_two() as u32
}

/// As a block's header has it (The .xz File Format 1.1, §5.3.1): a power of two has an even code, of 4 KiB it is 0.
fn xz_dictionary_code(plain: u64) -> u8 {
    (xz_dictionary(plain).trailing_zeros() as u8).saturating_sub(12) * 2
}

fn xz_stream(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut options = xz2::stream::LzmaOptions::new_preset(XZ_PRESET)?;
    options.dict_size(xz_dictionary(plain.len() as u64));
    // For short blocks of text: no byte depends on its place in a word, each on more of the one before. Longer matches
    // than these would make a file of Debian's 1.3 % smaller, and cost half as much again.
    options.position_bits(0).literal_context_bits(4).nice_len(XZ_NICE);
    let mut filters = xz2::stream::Filters::new();
    filters.lzma2(&options);
    let stream = xz2::stream::Stream::new_stream_encoder(&filters, xz2::stream::Check::Crc64)?;
    let mut writer = xz2::write::XzEncoder::new_stream(Vec::new(), stream);
    writer.write_all(plain)?;
    writer.finish()
}

/// Header, blocks, index, footer.
fn xz_of(parts: &[Part<'_>]) -> Vec<u8> {
    let mut index = vec![0];
    push_number(&mut index, parts.len() as u64);
    let mut file = XZ_HEADER.to_vec();
    for part in parts {
        file.extend_from_slice(&part.bytes);
        push_number(&mut index, part.unpadded);
        push_number(&mut index, part.plain);
    }
    index.resize(index.len().next_multiple_of(4), 0);
    push_crc(&mut index);
    // In units of four bytes, less one.
    let backward = (index.len() / 4).saturating_sub(1) as u32;
    let mut end = backward.to_le_bytes().to_vec();
    end.extend_from_slice(&XZ_END[..2]);
    let mut crc = flate2::Crc::new();
    crc.update(&end);
    file.extend_from_slice(&index);
    file.extend_from_slice(&crc.sum().to_le_bytes());
    file.extend_from_slice(&end);
    file.extend_from_slice(&XZ_END[2..]);
    file
}

fn push_crc(bytes: &mut Vec<u8>) {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    bytes.extend_from_slice(&crc.sum().to_le_bytes());
}

/// Seven bits a byte, the least first.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn xz_blocks(file: &[u8]) -> Option<Vec<Part<'_>>> {
    let body = file.strip_prefix(&XZ_HEADER)?.strip_suffix(&XZ_END)?;
    // CRC32 and the size of the index are left of the footer.
    let (body, footer) = body.split_at_checked(body.len().checked_sub(XZ_FOOTER - XZ_END.len())?)?;
    let backward = u32::from_le_bytes(*footer.last_chunk()?) as usize;
    let size = backward.checked_add(1)?.checked_mul(4)?;
    let (mut blocks, index) = body.split_at_checked(body.len().checked_sub(size)?)?;
    let mut index = index.strip_prefix(&[0])?;
    let count = number(&mut index)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let (unpadded, plain) = (number(&mut index)?, number(&mut index)?);
        let length = usize::try_from(unpadded).ok()?.checked_next_multiple_of(4)?;
        let (bytes, rest) = blocks.split_at_checked(length)?;
        parts.push(Part {
            bytes: Cow::Borrowed(bytes),
            plain,
            unpadded,
        });
        blocks = rest;
    }
    blocks.is_empty().then_some(parts)
}

fn bad(why: &str) -> FormatError {
    FormatError::malformed(WHAT, "a part", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::compress::decompress;

    const PACKED: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

    fn text(seed: u32) -> Vec<u8> {
        (0..9000_u32)
            .flat_map(|n| format!("line {}\n", n.wrapping_mul(n ^ seed) % 977).into_bytes())
            .collect()
    }

    #[test]
    fn parts_make_one_file_and_come_out_of_it_again() -> Result<(), FormatError> {
        for compression in PACKED {
            for count in 0..5 {
                let plains: Vec<Vec<u8>> = (0..count).map(text).collect();
                let parts: Vec<Part<'_>> = plains
                    .iter()
                    .map(|plain| part(compression, plain))
                    .collect::<Result<_, _>>()?;
                let file = assemble(compression, &parts)?;
                assert_eq!(
                    decompress(compression, &file, 1 << 30)?,
                    plains.concat(),
                    "{compression} {count}"
                );
                if count > 0 {
                    assert_eq!(take_apart(compression, &file), Some(parts), "{compression} {count}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_part_shows_its_settings() -> Result<(), FormatError> {
        for length in [1, 4096, 4097, 65_536, 100_000] {
            let plain: Vec<u8> = text(3).into_iter().cycle().take(length).collect();
            for compression in PACKED {
                assert!(
                    part(compression, &plain)?.is_made_so(compression),
                    "{compression} {length}"
                );
            }
            let foreign = compress(Compression::Xz, &plain)?;
            let foreign = take_apart(Compression::Xz, &foreign).unwrap();
            assert!(!foreign[0].is_made_so(Compression::Xz), "{length}");
        }
        Ok(())
    }

    #[test]
    fn what_others_wrote_is_taken_whole_or_not_at_all() -> Result<(), FormatError> {
        let plain = text(1);
        assert_eq!(
            take_apart(Compression::Gzip, &compress(Compression::Gzip, &plain)?),
            None
        );
        for compression in [Compression::Xz, Compression::Zstd] {
            let file = compress(compression, &plain)?;
            let parts = take_apart(compression, &file).unwrap();
            assert_eq!(parts.iter().map(Part::plain).collect::<Vec<_>>(), [plain.len() as u64]);
        }
        Ok(())
    }

    #[test]
    fn what_is_cut_or_changed_is_no_file_of_ours() -> Result<(), FormatError> {
        for compression in PACKED {
            let parts = [part(compression, &text(1))?, part(compression, &text(2))?];
            let file = assemble(compression, &parts)?;
            for cut in [1, 3, 11, 13, 40, file.len() / 2, file.len() - 1] {
                let found = take_apart(compression, &file[..cut]);
                assert!(
                    found.is_none_or(|parts| parts.len() < 2),
                    "{compression}: first {cut} bytes"
                );
            }
            for at in [0, 2, file.len() - 1, file.len() - 6] {
                let mut damaged = file.clone();
                damaged[at] ^= 0x40;
                let _ = take_apart(compression, &damaged);
            }
        }
        Ok(())
    }

    #[test]
    fn numbers_are_those_of_the_format() {
        for value in [0, 1, 127, 128, 16384, u64::from(u32::MAX), (1 << 63) - 1] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, value);
            assert_eq!(number(&mut bytes.as_slice()), Some(value));
        }
        assert_eq!(number(&mut [0x80; 12].as_slice()), None);
        assert_eq!(number(&mut [].as_slice()), None);
    }
}
