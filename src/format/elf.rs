//! Build ids of ELF files, read as the file streams by: from the note segments, which linkers put near the
//! start. Nothing else of the file is looked at, and nothing of it is believed: a build id is only compared.

/// The most program headers, and the most bytes of notes, that are looked at.
const MOST_HEADERS: usize = 256;
const LARGEST_NOTES: u64 = 1 << 20;
const PT_NOTE: u64 = 4;
const NT_GNU_BUILD_ID: u64 = 3;

/// What was found in an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elf {
    /// Its build id, in lower-case hexadecimal digits; none when it has none, or no note segment.
    pub build_id: Option<String>,
}

/// Reads one file, part by part.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The start of the file, up to the end of its program headers.
    head: Vec<u8>,
    /// How much of the start is needed; none when it was enough, or the file is no ELF file.
    wanted: Option<usize>,
    /// Note segments: where each starts, how long it is, how it is aligned, and what was read of it.
    notes: Vec<Note>,
    offset: u64,
    layout: Option<Layout>,
}

#[derive(Debug)]
struct Note {
    start: u64,
    size: u64,
    align: usize,
    bytes: Vec<u8>,
}

/// How numbers are written in this file.
#[derive(Debug, Clone, Copy)]
struct Layout {
    wide: bool,
    little: bool,
}

impl Layout {
    fn number(self, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let fold = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
        Some(if self.little {
            field.iter().rev().fold(0, fold)
        } else {
            field.iter().fold(0, fold)
        })
    }

    /// A field that is wider in 64-bit files, at its two places.
    fn either(self, bytes: &[u8], narrow: usize, wide: usize) -> Option<u64> {
        if self.wide {
            self.number(bytes, wide, 8)
        } else {
            self.number(bytes, narrow, 4)
        }
    }

    fn half(self, bytes: &[u8], narrow: usize, wide: usize) -> Option<usize> {
        let at = if self.wide { wide } else { narrow };
        usize::try_from(self.number(bytes, at, 2)?).ok()
    }
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            wanted: Some(64),
            ..Self::default()
        }
    }

    /// Takes the next part of the file.
    pub(super) fn push(&mut self, part: &[u8]) {
        let started = self.offset;
        self.offset = self.offset.saturating_add(part.len() as u64);
        if self.wanted.is_some() {
            self.head.extend_from_slice(part);
            self.look();
            return;
        }
        for note in &mut self.notes {
            note.take(started, part);
        }
    }

    /// Looks at the head as far as it is there.
    fn look(&mut self) {
        while let Some(wanted) = self.wanted {
            if self.layout.is_none() && !b"\x7fELF".starts_with(self.head.get(..4).unwrap_or(&self.head)) {
                self.wanted = None;
                self.head = Vec::new();
                return;
            }
            if self.head.len() < wanted {
                return;
            }
            if self.layout.is_none() {
                self.layout = layout(&self.head);
                // Without readable program headers there are no notes to wait for.
                self.wanted = self.layout.and_then(|layout| table_end(layout, &self.head));
                continue;
            }
            self.wanted = None;
            self.notes = self
                .layout
                .and_then(|layout| segments(layout, &self.head))
                .unwrap_or_default();
            let head = std::mem::take(&mut self.head);
            for note in &mut self.notes {
                note.take(0, &head);
            }
        }
    }

    /// What was found; none when the file is no ELF file.
    pub(super) fn finish(self) -> Option<Elf> {
        let layout = self.layout?;
        let build_id = self.notes.iter().find_map(|note| build_id(layout, note));
        Some(Elf { build_id })
    }
}

impl Note {
    /// Keeps what the part has of it; parts come in order.
    fn take(&mut self, started: u64, part: &[u8]) {
        let next = self.start.saturating_add(self.bytes.len() as u64);
        let left = self.size.saturating_sub(self.bytes.len() as u64);
        let Some(from) = next.checked_sub(started).and_then(|from| usize::try_from(from).ok()) else {
            return;
        };
        let there = part.get(from..).unwrap_or_default();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(there.len());
        self.bytes.extend_from_slice(there.get(..most).unwrap_or_default());
    }
}

fn layout(head: &[u8]) -> Option<Layout> {
    let wide = match head.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let little = match head.get(5)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    Some(Layout { wide, little })
}

/// Where the program headers begin, how long each is, how many there are.
fn table(layout: Layout, head: &[u8]) -> Option<(usize, usize, usize)> {
    let start = usize::try_from(layout.either(head, 28, 32)?).ok()?;
    let (size, count) = (layout.half(head, 42, 54)?, layout.half(head, 44, 56)?);
    let least = if layout.wide { 56 } else { 32 };
    (size >= least && (1..=MOST_HEADERS).contains(&count) && start <= 1 << 20).then_some((start, size, count))
}

fn table_end(layout: Layout, head: &[u8]) -> Option<usize> {
    let (start, size, count) = table(layout, head)?;
    size.checked_mul(count)?.checked_add(start)
}

fn segments(layout: Layout, head: &[u8]) -> Option<Vec<Note>> {
    let (start, size, count) = table(layout, head)?;
    let mut notes = Vec::new();
    for header in head.get(start..)?.chunks_exact(size).take(count) {
        if layout.number(header, 0, 4)? != PT_NOTE {
            continue;
        }
        let (offset, size) = (layout.either(header, 4, 8)?, layout.either(header, 16, 32)?);
        let align = if layout.either(header, 28, 48)? == 8 { 8 } else { 4 };
        if size <= LARGEST_NOTES {
            notes.push(Note {
                start: offset,
                size,
                align,
                bytes: Vec::new(),
            });
        }
    }
    Some(notes)
}

fn build_id(layout: Layout, note: &Note) -> Option<String> {
    let mut rest = note.bytes.as_slice();
    loop {
        let number = |at| usize::try_from(layout.number(rest, at, 4)?).ok();
        let (name_size, content_size, kind) = (number(0)?, number(4)?, layout.number(rest, 8, 4)?);
        let name = rest.get(12..12_usize.checked_add(name_size)?)?;
        let content_at = 12_usize.checked_add(name_size)?.checked_next_multiple_of(note.align)?;
        let content_end = content_at.checked_add(content_size)?;
        let content = rest.get(content_at..content_end)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" && !content.is_empty() {
            return Some(hex::encode(content));
        }
        rest = rest.get(content_end.checked_next_multiple_of(note.align)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{Elf, Scanner};

    /// A 64-bit little-endian file with one note segment at `at`, after another note.
    fn file(at: usize) -> Vec<u8> {
        let mut bytes = vec![0; at];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = 4;
        bytes[72..80].copy_from_slice(&(at as u64).to_le_bytes());
        bytes[96] = 52;
        bytes[112] = 4;
        let note = |kind: u8, content: &[u8]| {
            let mut note = vec![4, 0, 0, 0, content.len() as u8, 0, 0, 0, kind, 0, 0, 0];
            note.extend_from_slice(b"GNU\0");
            note.extend_from_slice(content);
            note
        };
        bytes.extend(note(1, &[9; 16]));
        bytes.extend(note(3, &[0xab, 0xcd, 0xef, 0x01]));
        bytes.extend([7; 100]);
        bytes
    }

    fn found(bytes: &[u8], part: usize) -> Option<Elf> {
        let mut scanner = Scanner::new();
        bytes.chunks(part).for_each(|part| scanner.push(part));
        scanner.finish()
    }

    #[test]
    fn build_ids_are_found_wherever_the_parts_end() {
        for at in [120, 4096, 100_000] {
            for part in [1, 7, 64, 65_536, 1 << 20] {
                let elf = found(&file(at), part).unwrap();
                assert_eq!(elf.build_id.as_deref(), Some("abcdef01"), "{at} {part}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_none_has_none() {
        let whole = file(200);
        for length in 0..whole.len() - 100 {
            let elf = found(&whole[..length], 13);
            assert!(elf.is_none_or(|elf| elf.build_id.is_none()), "{length}");
        }
        assert_eq!(found(b"#!/bin/sh\nexit 0\n", 5), None);
        let mut odd = whole.clone();
        odd[4] = 9;
        assert_eq!(found(&odd, 100), None);
    }
}
