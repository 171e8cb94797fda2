//! Facts → bytes, for a segment: tables that are searched where they lie. Pure. `view` reads them.
//!
//! A segment is a head (the length of each part, in eight bytes), then the parts: where each text ends, the texts, the
//! tables of decisions, records, locks, packages and declaration files, and the data that those point into. A row of
//! a table is a digest, where rows have one, and the place of its data; rows are sorted, numbers in rows have four
//! bytes, little-endian. In the data a text is named by its number, all numbers are LEB128, and a list begins with
//! how many items and how many bytes it has, so that a reader can pass over it.

use std::collections::{BTreeMap, HashMap};

use super::facts::{
    Batch, DeclarationFile, Declared, Facts, Imported, LockFacts, LockedFacts, RecordFacts, SiteDeclaration,
};
use crate::domain::{Sha256, Timestamp};
use crate::format::intoto::Outcome;

/// How many parts a segment has.
pub(super) const PARTS: usize = 8;

/// Outcomes by number.
pub(super) const OUTCOMES: [Outcome; 7] = [
    Outcome::Built,
    Outcome::Ftbfs,
    Outcome::Timeout,
    Outcome::Memory,
    Outcome::Disk,
    Outcome::Processes,
    Outcome::Log,
];

/// Writes all that was learned. The same facts give the same bytes.
pub(super) fn write(batch: &Batch) -> Vec<u8> {
    let mut out = Writer::default();
    let row = |place: Option<usize>| place.map_or(0, |at| at as u64 + 1);
    let records: HashMap<&Sha256, usize> = batch.records.keys().zip(0..).collect();
    let locks: HashMap<&Sha256, usize> = batch.locks.keys().zip(0..).collect();
    let mut tables: [Vec<u8>; 5] = Default::default();
    let [in_decisions, in_records, in_locks, in_packages, in_declarations] = &mut tables;
    for ((sha256, archive), facts) in &batch.decisions {
        in_decisions.extend_from_slice(sha256.as_bytes());
        in_decisions.extend_from_slice(&out.named(archive.as_str()).to_le_bytes());
        out.start_row(in_decisions);
        facts_out(
            &mut out,
            facts,
            |digest| row(records.get(digest).copied()),
            |digest| row(locks.get(digest).copied()),
        );
    }
    for (sha256, record) in &batch.records {
        in_records.extend_from_slice(sha256.as_bytes());
        out.start_row(in_records);
        record_out(&mut out, record);
    }
    // In the order of their names, whatever order they came in.
    let mut order: Vec<(&LockedFacts<String>, usize)> = batch.packages.iter().zip(0..).collect();
    order.sort_unstable();
    let mut numbers = vec![0_u32; order.len()];
    for ((package, before), now) in order.into_iter().zip(0..) {
        if let Some(number) = numbers.get_mut(before) {
            *number = now;
        }
        out.start_row(in_packages);
        package_out(&mut out, package);
    }
    for (sha256, lock) in &batch.locks {
        in_locks.extend_from_slice(sha256.as_bytes());
        out.start_row(in_locks);
        lock_out(&mut out, lock, &numbers);
    }
    let mut declarations: Vec<&(DeclarationFile, SiteDeclaration)> = batch.declarations.iter().collect();
    declarations
        .sort_by(|(a, _), (b, _)| (a.archive.as_str(), a.name.as_str()).cmp(&(b.archive.as_str(), b.name.as_str())));
    for (file, declaration) in declarations {
        out.start_row(in_declarations);
        declaration_out(&mut out, file, declaration);
    }
    out.finish(&tables)
}

fn facts_out(out: &mut Writer, facts: &Facts, record: impl Fn(&Sha256) -> u64, lock: impl Fn(&Sha256) -> u64) {
    out.number(u64::from(facts.admitted) + 2 * u64::from(facts.at_one_path));
    out.time(facts.decided_at);
    for text in [&facts.policy, facts.source.as_str(), facts.version.as_str()] {
        out.text(text);
    }
    out.list(&facts.declaration, Writer::digest);
    out.list(&facts.suites, |out, suite| out.text(suite.as_str()));
    out.list(&facts.levels, |out, level| out.text(level));
    out.list(&facts.files, |out, (path, sha256)| {
        out.text(path.as_str());
        out.digest(sha256);
    });
    out.list(&facts.records, |out, digest| {
        out.digest(digest);
        out.number(record(digest));
    });
    out.list(&facts.locks, |out, digest| {
        out.digest(digest);
        out.number(lock(digest));
    });
    out.list(&facts.declared, declared_out);
    out.list(&facts.imported, imported_out);
    out.list(&facts.remarks, |out, (rule, evidence)| {
        out.text(rule);
        out.text(evidence);
    });
}

fn imported_out(out: &mut Writer, imported: &Imported) {
    for text in [
        &imported.archive,
        &imported.snapshot,
        &imported.suite,
        &imported.release,
        &imported.reason,
        &imported.asked_by,
    ] {
        out.text(text);
    }
    out.list(&imported.signers, |out, signer| out.text(signer));
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

fn record_out(out: &mut Writer, record: &RecordFacts) {
    out.text(record.builder.as_str());
    out.digest(&record.declaration);
    out.digest(&record.lock);
    let outcome = OUTCOMES.iter().position(|outcome| *outcome == record.outcome);
    out.number(outcome.unwrap_or(OUTCOMES.len()) as u64);
    out.time(record.started_on);
    out.time(record.finished_on);
    out.list(&record.signed_by, |out, key| out.text(key.as_str()));
    out.list(&record.outputs, |out, (name, sha256)| {
        out.text(name.as_str());
        out.digest(sha256);
    });
}

fn package_out(out: &mut Writer, package: &LockedFacts<String>) {
    for text in [
        &package.package,
        &package.version,
        &package.architecture,
        &package.archive,
        &package.source,
        &package.source_version,
    ] {
        out.text(text);
    }
    out.digest(&package.sha256);
}

fn lock_out(out: &mut Writer, lock: &LockFacts, numbers: &[u32]) {
    let number = |at: &u32| numbers.get(*at as usize).copied().unwrap_or(u32::MAX);
    out.list(&lock.snapshots, |out, at| {
        for text in [at.archive.as_str(), at.suite.as_str(), at.id.as_str()] {
            out.text(text);
        }
    });
    let ours: BTreeMap<u32, Option<Sha256>> = lock.ours.iter().map(|(at, by)| (number(at), *by)).collect();
    out.list(&ours, |out, (at, decision)| {
        out.number(u64::from(*at));
        out.list(decision, Writer::digest);
    });
    let mut packages: Vec<u32> = lock.packages.iter().map(number).collect();
    packages.sort_unstable();
    packages.dedup();
    let mut before = 0;
    out.list(&packages, |out, at| {
        out.number(u64::from(at.wrapping_sub(before)));
        before = *at;
    });
}

fn declaration_out(out: &mut Writer, file: &DeclarationFile, declaration: &SiteDeclaration) {
    out.text(file.archive.as_str());
    out.text(file.name.as_str());
    for number in file.stamp.numbers() {
        out.number(number);
    }
    out.digest(&declaration.sha256);
    out.text(declaration.source.as_str());
    out.text(declaration.version.as_str());
}

#[derive(Default)]
struct Writer {
    names: HashMap<String, u32>,
    ends: Vec<u8>,
    texts: Vec<u8>,
    data: Vec<u8>,
}

impl Writer {
    /// Puts the place of what is written next into a table.
    fn start_row(&self, table: &mut Vec<u8>) {
        table.extend_from_slice(&number_of(self.data.len()).to_le_bytes());
    }

    fn number(&mut self, number: u64) {
        leb128(&mut self.data, number);
    }

    fn digest(&mut self, sha256: &Sha256) {
        self.data.extend_from_slice(sha256.as_bytes());
    }

    fn time(&mut self, at: Timestamp) {
        self.number(at.unix_u64());
    }

    fn text(&mut self, text: &str) {
        let number = self.named(text);
        self.number(u64::from(number));
    }

    /// The number of a text; a new one gets the next.
    fn named(&mut self, text: &str) -> u32 {
        if let Some(number) = self.names.get(text) {
            return *number;
        }
        let number = number_of(self.names.len());
        self.texts.extend_from_slice(text.as_bytes());
        self.ends.extend_from_slice(&number_of(self.texts.len()).to_le_bytes());
        self.names.insert(text.to_owned(), number);
        number
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        let start = self.data.len();
        let mut count = 0_u64;
        for one in items {
            item(self, one);
            count += 1;
        }
        let bytes = self.data.split_off(start);
        self.number(count);
        self.number(bytes.len() as u64);
        self.data.extend(bytes);
    }

    fn finish(self, [decisions, records, locks, packages, declarations]: &[Vec<u8>; 5]) -> Vec<u8> {
        let parts: [&[u8]; PARTS] = [
            &self.ends,
            &self.texts,
            decisions,
            records,
            locks,
            packages,
            declarations,
            &self.data,
        ];
        let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes());
        let mut bytes: Vec<u8> = lengths.collect();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// Places have four bytes: what would not fit is not found again, which is all that happens.
fn number_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
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
