//! Facts ⇄ bytes, for the cache. Pure. Texts are written once and named by number; all numbers are LEB128.
//!
//! What is read back is checked only as far as memory goes: `cache` knows whether the bytes are those it wrote.

use std::collections::{BTreeMap, HashMap};

use super::facts::{Declared, Facts, Known, LockFacts, LockedAt, LockedFacts, RecordFacts, SiteDeclaration};
use crate::domain::{Sha256, Timestamp};
use crate::format::intoto::Outcome;

const OUTCOMES: [Outcome; 7] = [
    Outcome::Built,
    Outcome::Ftbfs,
    Outcome::Timeout,
    Outcome::Memory,
    Outcome::Disk,
    Outcome::Processes,
    Outcome::Log,
];

/// Writes all of it.
pub(super) fn write(known: &Known) -> Vec<u8> {
    let mut out = Writer::default();
    out.list(&known.decisions, |out, ((archive, sha256), facts)| {
        out.text(archive.as_str());
        out.digest(sha256);
        facts_out(out, facts);
    });
    out.list(&known.records, |out, (sha256, record)| {
        out.digest(sha256);
        record_out(out, record);
    });
    out.list(&known.packages, package_out);
    out.list(&known.locks, |out, (sha256, lock)| {
        out.digest(sha256);
        lock_out(out, lock);
    });
    out.list(&known.declarations, |out, (file, declaration)| {
        out.digest(file);
        out.digest(&declaration.sha256);
        out.text(declaration.source.as_str());
        out.text(declaration.version.as_str());
    });
    out.finish()
}

/// Reads what `write` wrote; none when it is anything else.
pub(super) fn read(bytes: &[u8]) -> Option<Known> {
    let mut from = Reader::new(bytes)?;
    let decisions = from.list(|from| Some(((from.parsed()?, from.digest()?), facts_in(from)?)))?;
    let records = from.list(|from| Some((from.digest()?, record_in(from)?)))?;
    let packages: Vec<LockedFacts> = from.list(package_in)?;
    let locks: BTreeMap<Sha256, LockFacts> = from.list(|from| Some((from.digest()?, lock_in(from)?)))?;
    let declarations = from.list(|from| {
        let file = from.digest()?;
        let declaration = SiteDeclaration {
            sha256: from.digest()?,
            source: from.parsed()?,
            version: from.parsed()?,
        };
        Some((file, declaration))
    })?;
    let numbers = |lock: &LockFacts| lock.packages.iter().all(|at| (*at as usize) < packages.len());
    (from.rest.is_empty() && locks.values().all(numbers)).then_some(Known {
        decisions,
        records,
        locks,
        packages,
        declarations,
    })
}

fn facts_out(out: &mut Writer, facts: &Facts) {
    out.number(u64::from(facts.admitted));
    out.time(facts.decided_at);
    for text in [&facts.policy, facts.source.as_str(), facts.version.as_str()] {
        out.text(text);
    }
    out.list(&facts.suites, |out, suite| out.text(suite.as_str()));
    out.list(&facts.levels, |out, level| out.text(level));
    out.list(&facts.remarks, |out, (rule, evidence)| {
        out.text(rule);
        out.text(evidence);
    });
    out.list(&facts.files, |out, (path, sha256)| {
        out.text(path.as_str());
        out.digest(sha256);
    });
    out.list(&facts.declaration, Writer::digest);
    out.list(&facts.declared, declared_out);
    out.list(&facts.locks, Writer::digest);
    out.list(&facts.records, Writer::digest);
}

fn facts_in(from: &mut Reader<'_>) -> Option<Facts> {
    Some(Facts {
        admitted: from.number()? == 1,
        decided_at: from.time()?,
        policy: from.owned()?,
        source: from.parsed()?,
        version: from.parsed()?,
        suites: from.list(Reader::parsed)?,
        levels: from.list(Reader::owned)?,
        remarks: from.list(|from| Some((from.owned()?, from.owned()?)))?,
        files: from.list(|from| Some((from.parsed()?, from.digest()?)))?,
        declaration: from.list::<_, Vec<_>>(Reader::digest)?.pop(),
        declared: from.list::<_, Vec<_>>(declared_in)?.pop(),
        locks: from.list(Reader::digest)?,
        records: from.list(Reader::digest)?,
    })
}

fn declared_out(out: &mut Writer, declared: &Declared) {
    for text in [
        &declared.git,
        &declared.reference,
        &declared.git_commit,
        &declared.git_tree,
    ] {
        out.text(text);
    }
    out.list(&declared.git_tag, |out, tag| out.text(tag));
    out.digest(&declared.tree_sha256);
    out.list(&declared.signers, |out, signer| out.text(signer.as_str()));
}

fn declared_in(from: &mut Reader<'_>) -> Option<Declared> {
    Some(Declared {
        git: from.owned()?,
        reference: from.owned()?,
        git_commit: from.owned()?,
        git_tree: from.owned()?,
        git_tag: from.list::<_, Vec<_>>(Reader::owned)?.pop(),
        tree_sha256: from.digest()?,
        signers: from.list(Reader::parsed)?,
    })
}

fn record_out(out: &mut Writer, record: &RecordFacts) {
    out.list(&record.signed_by, |out, key| out.text(key.as_str()));
    out.text(record.builder.as_str());
    out.digest(&record.declaration);
    out.digest(&record.lock);
    let outcome = OUTCOMES.iter().position(|outcome| *outcome == record.outcome);
    out.number(outcome.unwrap_or(OUTCOMES.len()) as u64);
    out.time(record.finished_on);
    out.list(&record.outputs, |out, (name, sha256)| {
        out.text(name.as_str());
        out.digest(sha256);
    });
}

fn record_in(from: &mut Reader<'_>) -> Option<RecordFacts> {
    Some(RecordFacts {
        signed_by: from.list(Reader::parsed)?,
        builder: from.parsed()?,
        declaration: from.digest()?,
        lock: from.digest()?,
        outcome: *OUTCOMES.get(usize::try_from(from.number()?).ok()?)?,
        finished_on: from.time()?,
        outputs: from.list(|from| Some((from.parsed()?, from.digest()?)))?,
    })
}

fn package_out(out: &mut Writer, package: &LockedFacts) {
    out.digest(&package.sha256);
    for text in [
        &package.archive,
        &package.package,
        &package.version,
        &package.architecture,
        &package.source,
        &package.source_version,
    ] {
        out.text(text);
    }
}

fn package_in(from: &mut Reader<'_>) -> Option<LockedFacts> {
    Some(LockedFacts {
        sha256: from.digest()?,
        archive: from.owned()?,
        package: from.owned()?,
        version: from.owned()?,
        architecture: from.owned()?,
        source: from.owned()?,
        source_version: from.owned()?,
    })
}

fn lock_out(out: &mut Writer, lock: &LockFacts) {
    out.list(&lock.snapshots, |out, at| {
        for text in [at.archive.as_str(), at.suite.as_str(), at.id.as_str()] {
            out.text(text);
        }
    });
    let mut before = 0;
    out.list(&lock.packages, |out, at| {
        out.number(u64::from(at.wrapping_sub(before)));
        before = *at;
    });
    out.list(&lock.ours, |out, (at, decision)| {
        out.number(u64::from(*at));
        out.list(decision, Writer::digest);
    });
}

fn lock_in(from: &mut Reader<'_>) -> Option<LockFacts> {
    let snapshots = from.list(|from| {
        Some(LockedAt {
            archive: from.parsed()?,
            suite: from.parsed()?,
            id: from.parsed()?,
        })
    })?;
    let mut at: u32 = 0;
    let packages = from.list(|from| {
        at = at.checked_add(u32::try_from(from.number()?).ok()?)?;
        Some(at)
    })?;
    let ours = from.list(|from| {
        let at = u32::try_from(from.number()?).ok()?;
        Some((at, from.list::<_, Vec<_>>(Reader::digest)?.pop()))
    })?;
    Some(LockFacts {
        snapshots,
        packages,
        ours,
    })
}

#[derive(Default)]
struct Writer {
    names: HashMap<String, u64>,
    table: Vec<u8>,
    body: Vec<u8>,
}

impl Writer {
    fn number(&mut self, number: u64) {
        leb128(&mut self.body, number);
    }

    fn digest(&mut self, sha256: &Sha256) {
        self.body.extend_from_slice(sha256.as_bytes());
    }

    fn time(&mut self, at: Timestamp) {
        self.number(at.unix_u64());
    }

    fn text(&mut self, text: &str) {
        let next = self.names.len() as u64;
        let at = match self.names.get(text) {
            Some(at) => *at,
            None => {
                leb128(&mut self.table, text.len() as u64);
                self.table.extend_from_slice(text.as_bytes());
                self.names.insert(text.to_owned(), next);
                next
            }
        };
        self.number(at);
    }

    fn list<T, I>(&mut self, items: I, mut item: impl FnMut(&mut Self, T))
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Clone,
    {
        let items = items.into_iter();
        self.number(items.clone().count() as u64);
        items.for_each(|one| item(self, one));
    }

    fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.table.len() + self.body.len() + 16);
        leb128(&mut bytes, self.names.len() as u64);
        bytes.extend(self.table);
        bytes.extend(self.body);
        bytes
    }
}

fn leb128(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

struct Reader<'a> {
    names: Vec<&'a str>,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Self {
            names: Vec::new(),
            rest: bytes,
        };
        for _ in 0..reader.number()? {
            let length = usize::try_from(reader.number()?).ok()?;
            let (text, rest) = reader.rest.split_at_checked(length)?;
            reader.names.push(std::str::from_utf8(text).ok()?);
            reader.rest = rest;
        }
        Some(reader)
    }

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
        let at = usize::try_from(self.number()?).ok()?;
        self.names.get(at).copied()
    }

    fn owned(&mut self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    fn parsed<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    fn list<T, C: FromIterator<T>>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<C> {
        let count = self.number()?;
        (0..count).map(|_| item(self)).collect()
    }
}
