//! Compressed forms of an index, made of blocks: what did not change is not compressed again.
//!
//! Blocks are cut where a stanza (or, of other indexes, a line) begins, and only by what stands
//! around the place: so a stanza that comes or goes moves no cut but those next to it, and the other
//! blocks are those of the index before. From there they are taken as they are, after a look at their
//! bytes. What comes out is a function of the text alone, whatever the index before was.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use rayon::prelude::*;

use super::IndexError;
use crate::format::compress::Compression;
use crate::format::parts::{Part, assemble, part, take_apart};

/// Two cuts are at least this far apart, and a cut is judged by the bytes within this distance; blocks
/// have twice as much, on the average. Part of the format: another distance makes other files.
const DISTANCE: usize = 64 << 10;

/// A unit is judged by so many of its first bytes: they tell stanzas apart, and all of them would be read for nothing.
const JUDGED: usize = 128;

/// An index as it was in a state before: its text, and one compressed form of it.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The text.
    pub text: &'a [u8],
    /// The text, compressed by [`packed`]. Anything else is of no use, and does no harm as long as it
    /// gives that text.
    pub packed: &'a [u8],
    /// What the text has in common with the one that is compressed now.
    pub common: Common,
}

/// How many bytes two texts have in common at their beginning, and how many at their end beyond that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Common {
    /// At the beginning.
    pub prefix: usize,
    /// At the end.
    pub suffix: usize,
}

impl Common {
    /// Of these.
    #[must_use]
    pub fn of(a: &[u8], b: &[u8]) -> Self {
        /// Bytes that are compared at once.
        const STEP: usize = 4096;
        let prefix = {
            let whole = a.chunks(STEP).zip(b.chunks(STEP)).take_while(|(a, b)| a == b);
            let passed: usize = whole.map(|(a, _)| a.len()).sum();
            let rest = a.iter().skip(passed).zip(b.iter().skip(passed));
            passed + rest.take_while(|(a, b)| a == b).count()
        };
        let (a, b) = (a.get(prefix..).unwrap_or_default(), b.get(prefix..).unwrap_or_default());
        let whole = a.rchunks(STEP).zip(b.rchunks(STEP)).take_while(|(a, b)| a == b);
        let passed: usize = whole.map(|(a, _)| a.len()).sum();
        let rest = a.iter().rev().skip(passed).zip(b.iter().rev().skip(passed));
        let suffix = passed + rest.take_while(|(a, b)| a == b).count();
        Self { prefix, suffix }
    }
}

/// A compressed index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The file.
    pub bytes: Vec<u8>,
    /// How many blocks it has.
    pub blocks: usize,
    /// How many of them were compressed; the others were there before.
    pub fresh: usize,
}

/// Where a block may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// After an empty line: Packages, Sources, Translations.
    Stanzas,
    /// After each line: Contents.
    Lines,
}

/// Compresses an index that was cut into [`blocks`], on all processors. The same text gives the same bytes.
///
/// # Errors
/// When a compressor has no memory.
pub fn packed(
    compression: Compression,
    (text, blocks): (&[u8], &[Range<usize>]),
    before: Option<Before<'_>>,
) -> Result<Packed, IndexError> {
    let known = before.and_then(|before| Known::new(compression, before));
    let parts: Vec<(Part<'_>, bool)> = blocks
        .par_iter()
        .map(|range| {
            let block = text.get(range.clone()).unwrap_or_default();
            let there = known.as_ref().and_then(|known| {
                let same = known.same(range, text.len());
                same.or_else(|| known.get(block))
            });
            match there {
                Some(there) => Ok((there.clone(), false)),
                None => part(compression, block).map(|made| (made, true)),
            }
        })
        .collect::<Result<_, _>>()?;
    let fresh = parts.iter().filter(|(_, fresh)| *fresh).count();
    let parts: Vec<Part<'_>> = parts.into_iter().map(|(part, _)| part).collect();
    Ok(Packed {
        bytes: assemble(compression, &parts)?,
        blocks: parts.len(),
        fresh,
    })
}

/// The blocks of the index before.
struct Known<'a> {
    before: Before<'a>,
    /// By where their text begins.
    at: HashMap<usize, (&'a [u8], Part<'a>)>,
    /// Where it begins, by its length and the hash of what it begins with.
    alike: HashMap<(usize, u64), usize>,
}

impl<'a> Known<'a> {
    /// None when its parts do not give its text. Those that another program made, or this one with other settings, are
    /// left out: a part is a function of its own text, wherever the text was cut.
    fn new(compression: Compression, before: Before<'a>) -> Option<Self> {
        let (mut at, mut alike) = (HashMap::new(), HashMap::new());
        let mut rest = before.text;
        for part in take_apart(compression, before.packed)? {
            let start = before.text.len() - rest.len();
            let (text, after) = rest.split_at_checked(usize::try_from(part.plain()).ok()?)?;
            rest = after;
            if part.is_made_so(compression) {
                at.insert(start, (text, part));
                alike.insert(Self::key(text), start);
            }
        }
        rest.is_empty().then_some(Self { before, at, alike })
    }

    fn key(text: &[u8]) -> (usize, u64) {
        (text.len(), judged(text))
    }

    /// A block of a text of this length, of which all is known to be in what the two have in common.
    fn same(&self, block: &Range<usize>, length: usize) -> Option<&Part<'a>> {
        let Common { prefix, suffix } = self.before.common;
        let start = if block.end <= prefix {
            block.start
        } else if block.start >= length.checked_sub(suffix)? {
            self.before.text.len().checked_sub(length.checked_sub(block.start)?)?
        } else {
            return None;
        };
        let (text, part) = self.at.get(&start)?;
        (text.len() == block.len()).then_some(part)
    }

    fn get(&self, block: &[u8]) -> Option<&Part<'a>> {
        let (text, part) = self.at.get(self.alike.get(&Self::key(block))?)?;
        (*text == block).then_some(part)
    }
}

/// The blocks of a text, in order. A block begins where a unit (stanza or line) does whose hash, of what it begins with, is
/// the largest of all units that begin within [`DISTANCE`]; of equal ones the first.
#[must_use]
pub fn blocks(text: &[u8], cut: Cut) -> Vec<Range<usize>> {
    let mut starts: Vec<usize> = cuts(text, cut);
    starts.retain(|at| *at > 0);
    let ends = starts.iter().copied().chain([text.len()]);
    let starts = [0].into_iter().chain(starts.iter().copied());
    starts
        .zip(ends)
        .map(|(from, to)| from..to)
        .filter(|range| !range.is_empty())
        .collect()
}

/// Places whose hash is the largest within the distance to both sides, found in one pass: `best` has
/// those that nothing later has beaten so far, the largest first.
fn cuts(text: &[u8], cut: Cut) -> Vec<usize> {
    let mut found = Vec::new();
    let mut best: VecDeque<Candidate> = VecDeque::new();
    let settle = |best: &mut VecDeque<Candidate>, now: usize, found: &mut Vec<usize>| {
        while let Some(first) = best.front().filter(|first| first.at.saturating_add(DISTANCE) < now) {
            if first.leads {
                found.push(first.at);
            }
            best.pop_front();
        }
    };
    for unit in units(text, cut) {
        settle(&mut best, unit.start, &mut found);
        let hash = judged(text.get(unit.clone()).unwrap_or_default());
        while best.back().is_some_and(|last| last.hash < hash) {
            best.pop_back();
        }
        // Whoever is left is as large or larger, and within the distance before this one.
        let leads = best.is_empty();
        best.push_back(Candidate {
            at: unit.start,
            hash,
            leads,
        });
    }
    settle(&mut best, usize::MAX, &mut found);
    found
}

struct Candidate {
    at: usize,
    hash: u64,
    /// Nothing within the distance before it is as large.
    leads: bool,
}

/// Each stanza with the empty line after it, or each line.
pub(super) fn units(text: &[u8], cut: Cut) -> impl Iterator<Item = Range<usize>> {
    let empty_line = memchr::memmem::Finder::new(b"\n\n");
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
        let length = match cut {
            Cut::Stanzas => empty_line.find(rest).map(|at| at + 2),
            Cut::Lines => memchr::memchr(b'\n', rest).map(|at| at + 1),
        };
        let unit = from..from + length.unwrap_or(rest.len());
        from = unit.end;
        Some(unit)
    })
}

/// What a unit is judged by.
fn judged(unit: &[u8]) -> u64 {
    hash(unit.get(..JUDGED).unwrap_or(unit))
}

/// A quick hash, the same on every machine. Part of the format, as the distance is. Nothing is
/// trusted to it: it only chooses places, and equal blocks are compared.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let mixed = (state ^ word).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let state = words
        .iter()
        .fold(bytes.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    mix(mix(state, u64::from_le_bytes(last)), FACTOR)
}
