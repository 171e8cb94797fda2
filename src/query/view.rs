//! A segment as it lies in memory: what `codec` wrote, looked up without taking it apart. Pure.
//!
//! What is read is checked as far as memory goes and no further: `cache` knows whether the bytes are those that
//! were written. A place that leads nowhere is the end of a list, or a fact that is not known.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use super::codec::{OUTCOMES, PARTS};
use super::facts::{Imported, LockedFacts, SiteDeclaration, is_package};
use crate::domain::{Sha256, Timestamp};
use crate::format::intoto::Outcome;
use crate::host::files::Stamp;

/// Rows: a digest, then numbers of four bytes.
const DECISION: usize = 32 + 4 + 4;
const NAMED: usize = 32 + 4;
const PLACE: usize = 4;

/// What was learned together, as bytes.
pub(super) struct Segment {
    bytes: Vec<u8>,
    texts: String,
    parts: [Range<usize>; PARTS],
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} bytes)", self.bytes.len())
    }
}

impl Segment {
    /// The segment that begins at `start` of these bytes; none when they are anything else.
    pub(super) fn new(bytes: Vec<u8>, start: usize) -> Option<Self> {
        let mut rest = bytes.get(start..)?;
        let mut at = start.checked_add(PARTS * 8)?;
        let mut parts: [Range<usize>; PARTS] = Default::default();
        for part in &mut parts {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let end = at.checked_add(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            (*part, at, rest) = (at..end, end, after);
        }
        let [_, texts, ..] = &parts;
        let texts = std::str::from_utf8(bytes.get(texts.clone())?).ok()?.to_owned();
        (at == bytes.len()).then_some(Self { bytes, texts, parts })
    }

    /// All of its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn part(&self, number: usize) -> &[u8] {
        let range = self.parts.get(number).cloned().unwrap_or_default();
        self.bytes.get(range).unwrap_or_default()
    }

    fn text(&self, number: usize) -> Option<&str> {
        let ends = self.part(0);
        let end = word(ends, number.checked_mul(PLACE)?)?;
        let start = match number.checked_sub(1) {
            Some(before) => word(ends, before.checked_mul(PLACE)?)?,
            None => 0,
        };
        self.texts.get(start..end)
    }

    fn reader(&self, place: usize) -> Option<Reader<'_>> {
        let rest = self.part(PARTS - 1).get(place..)?;
        Some(Reader { segment: self, rest })
    }

    /// A row's data, by the row's number.
    fn row(&self, part: usize, size: usize, number: usize) -> Option<Reader<'_>> {
        let end = number.checked_add(1)?.checked_mul(size)?;
        self.reader(word(self.part(part), end.checked_sub(PLACE)?)?)
    }

    pub(super) fn decision(&self, archive: &str, sha256: &Sha256) -> Option<Decision<'_>> {
        let table = self.part(2);
        let first = lower_bound(table, DECISION, sha256);
        let ours = (first..).map_while(|number| {
            let row = table.get(number.checked_mul(DECISION)?..)?;
            (row.get(..32)? == sha256.as_bytes()).then_some((number, word(row, 32)?))
        });
        let mut ours = ours.filter(|(_, name)| self.text(*name) == Some(archive));
        Decision::read(&mut self.row(2, DECISION, ours.next()?.0)?)
    }

    /// Whether it has a decision of an archive.
    pub(super) fn knows(&self, archive: &str) -> bool {
        let rows = self.part(2).chunks_exact(DECISION);
        rows.filter_map(|row| word(row, 32))
            .any(|name| self.text(name) == Some(archive))
    }

    pub(super) fn record(&self, sha256: &Sha256) -> Option<Record<'_>> {
        self.record_at(find(self.part(3), NAMED, sha256)?)
    }

    fn record_at(&self, number: usize) -> Option<Record<'_>> {
        Record::read(&mut self.row(3, NAMED, number)?)
    }

    pub(super) fn lock(&self, sha256: &Sha256) -> Option<Lock<'_>> {
        self.lock_at(find(self.part(4), NAMED, sha256)?)
    }

    fn lock_at(&self, number: usize) -> Option<Lock<'_>> {
        Lock::read(&mut self.row(4, NAMED, number)?)
    }

    /// All locks.
    pub(super) fn locks(&self) -> impl Iterator<Item = Lock<'_>> {
        (0..self.part(4).len() / NAMED).filter_map(|number| self.lock_at(number))
    }

    /// How many packages there are; their numbers are below that.
    pub(super) fn packages(&self) -> usize {
        self.part(5).len() / PLACE
    }

    pub(super) fn package(&self, number: u32) -> Option<LockedFacts<&str>> {
        Item::read(&mut self.row(5, PLACE, number as usize)?)
    }

    /// What a declaration file declares, when it was not written to since.
    pub(super) fn declaration(&self, archive: &str, name: &str, stamp: &Stamp) -> Option<SiteDeclaration> {
        let count = self.part(6).len() / PLACE;
        let row = |number: usize| {
            let mut from = self.row(6, PLACE, number)?;
            Some(((from.text()?, from.text()?), from))
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            match row(middle)?.0 < (archive, name) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let (found, mut from) = row(low).filter(|_| low < count)?;
        for number in stamp.numbers() {
            if from.number()? != number {
                return None;
            }
        }
        (found == (archive, name)).then_some(SiteDeclaration {
            sha256: from.digest()?,
            source: from.text()?.parse().ok()?,
            version: from.text()?.parse().ok()?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let (word, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word) as usize)
}

/// The first row whose digest is not below this one.
fn lower_bound(table: &[u8], size: usize, sha256: &Sha256) -> usize {
    let (mut low, mut high) = (0, table.len() / size);
    while low < high {
        let middle = low.midpoint(high);
        let at = middle.saturating_mul(size);
        match table.get(at..at.saturating_add(32)).unwrap_or_default() < sha256.as_bytes().as_slice() {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

fn find(table: &[u8], size: usize, sha256: &Sha256) -> Option<usize> {
    let number = lower_bound(table, size, sha256);
    let at = number.checked_mul(size)?;
    (table.get(at..at.checked_add(32)?)? == sha256.as_bytes()).then_some(number)
}

/// A place in the data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    segment: &'a Segment,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn digest(&mut self) -> Option<Sha256> {
        let (digest, rest) = self.rest.split_first_chunk::<32>()?;
        self.rest = rest;
        Some(Sha256::from_bytes(*digest))
    }

    fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp::from_unix(i64::try_from(self.number()?).ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let number = usize::try_from(self.number()?).ok()?;
        self.segment.text(number)
    }
}

/// What can be read at a place.
pub(super) trait Item<'a>: Sized {
    fn read(from: &mut Reader<'a>) -> Option<Self>;
}

impl<'a> Item<'a> for &'a str {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        from.text()
    }
}

impl Item<'_> for Sha256 {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.digest()
    }
}

impl Item<'_> for u64 {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.number()
    }
}

impl<'a, A: Item<'a>, B: Item<'a>> Item<'a> for (A, B) {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
}

/// A list that is read when somebody looks at it.
pub(super) struct List<'a, T> {
    count: u64,
    from: Reader<'a>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({})", self.count)
    }
}

impl<'a, T: Item<'a>> Item<'a> for List<'a, T> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let count = from.number()?;
        let length = usize::try_from(from.number()?).ok()?;
        let (items, rest) = from.rest.split_at_checked(length)?;
        from.rest = rest;
        let segment = from.segment;
        let from = Reader { segment, rest: items };
        let of = PhantomData;
        Some(Self { count, from, of })
    }
}

impl<'a, T: Item<'a>> List<'a, T> {
    /// Its items.
    pub(super) fn iter(self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut from = self.from;
        (0..self.count).map_while(move |_| T::read(&mut from))
    }

    /// The first, of a list that has one or none.
    pub(super) fn one(self) -> Option<T> {
        self.iter().next()
    }

    /// How many there are.
    pub(super) fn len(self) -> u64 {
        self.count
    }
}

/// A document that a decision rests on: its hash, and where it is in the same segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference<'a> {
    pub(super) sha256: Sha256,
    segment: &'a Segment,
    row: Option<usize>,
}

impl<'a> Item<'a> for Reference<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            sha256: from.digest()?,
            segment: from.segment,
            row: usize::try_from(from.number()?).ok()?.checked_sub(1),
        })
    }
}

impl<'a> Reference<'a> {
    /// The rebuild record, when the decision was learned together with it.
    pub(super) fn record(self) -> Option<Record<'a>> {
        self.segment.record_at(self.row?)
    }

    /// The environment lock, when the decision was learned together with it.
    pub(super) fn lock(self) -> Option<Lock<'a>> {
        self.segment.lock_at(self.row?)
    }
}

/// What is known of a decision: see `Facts`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision<'a> {
    pub(super) admitted: bool,
    /// Whether all of its builds were made at one path.
    pub(super) at_one_path: bool,
    pub(super) decided_at: Timestamp,
    pub(super) policy: &'a str,
    pub(super) source: &'a str,
    pub(super) version: &'a str,
    pub(super) declaration: Option<Sha256>,
    pub(super) suites: List<'a, &'a str>,
    pub(super) levels: List<'a, &'a str>,
    pub(super) files: List<'a, (&'a str, Sha256)>,
    pub(super) records: List<'a, Reference<'a>>,
    pub(super) locks: List<'a, Reference<'a>>,
    declared: List<'a, Declared<'a>>,
    imported: List<'a, Imported>,
    pub(super) remarks: List<'a, (&'a str, &'a str)>,
}

impl<'a> Item<'a> for Decision<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let flags = from.number()?;
        Some(Self {
            admitted: flags & 1 == 1,
            at_one_path: flags & 2 == 2,
            decided_at: from.time()?,
            policy: from.text()?,
            source: from.text()?,
            version: from.text()?,
            declaration: List::<Sha256>::read(from)?.one(),
            suites: List::read(from)?,
            levels: List::read(from)?,
            files: List::read(from)?,
            records: List::read(from)?,
            locks: List::read(from)?,
            declared: List::read(from)?,
            imported: List::read(from)?,
            remarks: List::read(from)?,
        })
    }
}

impl<'a> Decision<'a> {
    /// What its declaration says of the source, when that is public.
    pub(super) fn declared(self) -> Option<Declared<'a>> {
        self.declared.one()
    }

    /// Where it was imported from, when it was.
    pub(super) fn imported(self) -> Option<Imported> {
        self.imported.one()
    }

    /// The packages that it is about, by file name.
    pub(super) fn outputs(self) -> Vec<(&'a str, Sha256)> {
        let packages = self.files.iter().filter(|(path, _)| is_package(path));
        let mut named: Vec<(&str, Sha256)> = packages
            .map(|(path, sha256)| (path.rsplit('/').next().unwrap_or_default(), sha256))
            .collect();
        named.sort_by_key(|(name, _)| *name);
        // One name is one package, wherever it is kept.
        named.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        named
    }
}

impl<'a> Item<'a> for Imported {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        let mut owned = || from.text().map(str::to_owned);
        Some(Self {
            archive: owned()?,
            snapshot: owned()?,
            suite: owned()?,
            release: owned()?,
            reason: owned()?,
            asked_by: owned()?,
            signers: List::<&str>::read(from)?.iter().map(str::to_owned).collect(),
        })
    }
}

/// What a declaration says of a source: see `facts::Declared`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'a> {
    pub(super) git: &'a str,
    pub(super) reference: &'a str,
    pub(super) git_commit: &'a str,
    pub(super) git_tree: &'a str,
    pub(super) git_tag: Option<&'a str>,
    pub(super) tree_sha256: Sha256,
    pub(super) signers: List<'a, &'a str>,
}

impl<'a> Item<'a> for Declared<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            git: from.text()?,
            reference: from.text()?,
            git_commit: from.text()?,
            git_tree: from.text()?,
            git_tag: List::<&str>::read(from)?.one(),
            tree_sha256: from.digest()?,
            signers: List::read(from)?,
        })
    }
}

/// What is known of a rebuild record: see `RecordFacts`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) builder: &'a str,
    pub(super) declaration: Sha256,
    pub(super) lock: Sha256,
    pub(super) outcome: Outcome,
    pub(super) started_on: Timestamp,
    pub(super) finished_on: Timestamp,
    pub(super) signed_by: List<'a, &'a str>,
    pub(super) outputs: List<'a, (&'a str, Sha256)>,
}

impl<'a> Item<'a> for Record<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            builder: from.text()?,
            declaration: from.digest()?,
            lock: from.digest()?,
            outcome: *OUTCOMES.get(usize::try_from(from.number()?).ok()?)?,
            started_on: from.time()?,
            finished_on: from.time()?,
            signed_by: List::read(from)?,
            outputs: List::read(from)?,
        })
    }
}

impl Record<'_> {
    /// Whether it gave exactly these, which are sorted by name.
    pub(super) fn gave(self, outputs: &[(&str, Sha256)]) -> bool {
        self.outputs.len() == outputs.len() as u64 && self.outputs.iter().eq(outputs.iter().copied())
    }
}

/// What is known of an environment lock: see `LockFacts`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock<'a> {
    segment: &'a Segment,
    /// Archive, suite and snapshot.
    pub(super) snapshots: List<'a, ((&'a str, &'a str), &'a str)>,
    ours: List<'a, (u64, List<'a, Sha256>)>,
    packages: List<'a, u64>,
}

impl<'a> Item<'a> for Lock<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            segment: from.segment,
            snapshots: List::read(from)?,
            ours: List::read(from)?,
            packages: List::read(from)?,
        })
    }
}

impl<'a> Lock<'a> {
    /// Where the numbers of its packages hold.
    pub(super) fn segment(self) -> &'a Segment {
        self.segment
    }

    /// The numbers of its packages, ascending.
    pub(super) fn packages(self) -> impl Iterator<Item = u32> + use<'a> {
        self.packages.iter().scan(0_u32, |at, step| {
            *at = at.wrapping_add(u32::try_from(step).ok()?);
            Some(*at)
        })
    }

    /// For each package of ours, by its number: the decision that let it in, when that is known.
    pub(super) fn ours(self) -> impl Iterator<Item = (u32, Option<Sha256>)> + use<'a> {
        let ours = self.ours.iter();
        ours.filter_map(|(number, decision)| Some((u32::try_from(number).ok()?, decision.one())))
    }
}

impl<'a> Item<'a> for LockedFacts<&'a str> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            package: from.text()?,
            version: from.text()?,
            architecture: from.text()?,
            archive: from.text()?,
            source: from.text()?,
            source_version: from.text()?,
            sha256: from.digest()?,
        })
    }
}
