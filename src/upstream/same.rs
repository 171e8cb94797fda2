//! What new indexes list, judged as a whole before a snapshot names them: every stanza can be read, and a
//! name has one file's bytes, for ever (threat F7). A stanza of the newest snapshot that stays as it is was judged
//! when it came: of the others, and of what they say, see `listed`.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::UpstreamError;
use super::inspect::Checked;
use super::left::Left;
use super::listed::{Bytes, FOLDER, Fresh, Known, Name, Naming, Of, Reader, Reading, indexes, size_in, sized};
use super::pull::{each_in_parallel, is_there};
use crate::domain::{Digest, PoolPath, SuiteName};
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::hashes::OtherHashes;
use crate::format::packages::{Entry, PoolFile, listed_files};
use crate::snapshot::{IndexFile, SuiteState};
use crate::store::Key;

/// New indexes that are read at once.
const AT_ONCE: usize = 2;

/// The judge of an archive's indexes.
#[derive(Debug)]
pub(super) struct Same<'a> {
    reader: Reader<'a>,
    parts: Parts<'a>,
    /// What the newest snapshot lists; none when there is no snapshot.
    known: OnceLock<Result<Option<Known>, UpstreamError>>,
    /// What was read already.
    read: Mutex<Vec<(Of<'a>, Fresh)>>,
}

/// Indexes of the newest snapshot that stay and that go, and those that are new.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    stay: Vec<Of<'a>>,
    go: Vec<Of<'a>>,
    fresh: Vec<Of<'a>>,
}

impl<'a> Parts<'a> {
    /// Whether there is no snapshot before.
    fn is_first(&self) -> bool {
        self.stay.is_empty() && self.go.is_empty()
    }

    fn of(before: &'a [SuiteState], states: &'a [SuiteState]) -> Self {
        let (old, new) = (indexes(before), indexes(states));
        let same = |a: &Of<'_>, b: &Of<'_>| a.suite == b.suite && a.index == b.index;
        let stays = |index: &Of<'_>| new.iter().any(|other| same(index, other));
        let (stay, go): (Vec<_>, Vec<_>) = old.into_iter().partition(stays);
        let is_new = |index: &&Of<'_>| !stay.iter().any(|other| same(index, other));
        let fresh = new.iter().filter(is_new).copied().collect();
        Self { stay, go, fresh }
    }
}

impl<'a> Same<'a> {
    /// A judge of what is `planned` to follow on `before`, the newest snapshot's suites.
    pub(super) fn new(reader: Reader<'a>, before: &'a [SuiteState], planned: &'a [SuiteState]) -> Self {
        Self {
            reader,
            parts: Parts::of(before, planned),
            known: OnceLock::new(),
            read: Mutex::default(),
        }
    }

    /// Reads what the newest snapshot lists. Whoever waits for that goes on then, also after a failure.
    pub(super) fn read_known(&self) {
        // What failed is said when all have come.
        let _ = self.known.set(self.read_parts(&self.parts));
    }

    fn read_parts(&self, parts: &Parts<'_>) -> Result<Option<Known>, UpstreamError> {
        if parts.is_first() {
            return Ok(None);
        }
        Known::read(self.reader, &parts.stay, &parts.go).map(Some)
    }

    /// Waits until `begin` need not wait for `read_known`.
    pub(super) fn wait_for(&self, suite: &SuiteName, index: &IndexFile) {
        if self.judged(suite, index).is_some() {
            self.known.wait();
        }
    }

    fn judged(&self, suite: &SuiteName, index: &IndexFile) -> Option<&Of<'a>> {
        let mut fresh = self.parts.fresh.iter();
        fresh.find(|of| of.suite == suite && of.index == index)
    }

    /// Reads an index as it passes by, when it is one that is judged; not before `read_known` is through.
    pub(super) fn begin(&self, suite: &SuiteName, index: &IndexFile) -> Option<Reading<'_>> {
        let of = self.judged(suite, index)?;
        Some(Reading::new(*of, self.known.wait().as_ref().ok()?.as_ref()))
    }

    /// Takes what was read of an index that turned out to be what it should.
    pub(super) fn end(&self, reading: Reading<'_>) {
        // What is wrong with it is said when all have come.
        if let Ok((of, fresh)) = reading.finish()
            && let Some(of) = self.parts.fresh.iter().find(|known| **known == of)
        {
            self.read
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((*of, fresh));
        }
    }

    /// Judges the indexes of `states` that `before`, the newest snapshot's suites, do not have: the pool has room
    /// for one file of a name, and so have the caches of clients. What is in none of `states` any more is
    /// remembered, so that it cannot come back as something else. Gives the files that the snapshot does not list,
    /// when they are few.
    ///
    /// # Errors
    /// `Stanza`, `Ambiguous`, `Nested`, `OtherBytes`, `Old`; when an index is not in the store; `Left`, the store's failure.
    pub(super) fn check(
        self,
        before: &[SuiteState],
        states: &[SuiteState],
    ) -> Result<Option<Vec<PoolFile>>, UpstreamError> {
        let parts = Parts::of(before, states);
        let Self {
            reader,
            parts: planned,
            known,
            read,
        } = self;
        let mut ahead = read.into_inner().unwrap_or_else(PoisonError::into_inner);
        let known = match known.into_inner().transpose()? {
            Some(known) if planned.stay == parts.stay && planned.go == parts.go => known,
            _ => {
                ahead.clear();
                let this = Same::new(reader, before, states);
                this.read_parts(&parts)?
            }
        };
        let missing: Vec<Of<'_>> = parts
            .fresh
            .iter()
            .filter(|of| !ahead.iter().any(|(read, _)| read == *of))
            .copied()
            .collect();
        let late = each_in_parallel(AT_ONCE, &missing, |of| Fresh::read(reader, of, known.as_ref()))?;
        let ahead = ahead
            .into_iter()
            .filter(|(of, _)| parts.fresh.contains(of))
            .map(|(_, fresh)| fresh);
        let fresh = Fresh::of_all(ahead.chain(late));
        let judge = Judge {
            reader,
            parts: &parts,
            known: &known.unwrap_or_default(),
            fresh: &fresh,
        };
        judge.judge()?;
        Ok(fresh.added.filter(|_| !before.is_empty()))
    }
}

/// The judgement of what was read.
struct Judge<'a> {
    reader: Reader<'a>,
    parts: &'a Parts<'a>,
    known: &'a Known,
    fresh: &'a Fresh,
}

/// What was listed of a file beside its SHA-256, and whether that still stands so.
type Other = (Name, Bytes, bool);

impl Judge<'_> {
    fn judge(&self) -> Result<(), UpstreamError> {
        let Fresh {
            names, others, kept, ..
        } = self.fresh;
        let had = self.others_before()?;
        if let Some(name) = self.twice().or_else(|| self.hashed_twice(&had)) {
            let said = self.said(name)?;
            return Err(if self.is_folder(name) {
                UpstreamError::Nested(said)
            } else {
                UpstreamError::Ambiguous(said)
            });
        }
        let contradicts = |(name, bytes): &&(Name, Bytes)| {
            let mut all = self.known.had(*name, kept).peekable();
            all.peek().is_some() && all.all(|(known, _)| known != *bytes)
        };
        let left = Left {
            store: self.reader.store,
            archive: self.reader.archive,
        };
        let changed = match names.iter().find(contradicts) {
            Some((name, _)) => self.known.had(*name, kept).next().map(|(had, _)| (*name, had)),
            None => left.contradicted(
                names
                    .iter()
                    .filter(|(name, bytes)| !self.known.has(*name, *bytes))
                    .copied()
                    .collect(),
            )?,
        };
        if let Some((name, had)) = changed {
            let is_folder = had == FOLDER || self.is_folder(name);
            let name = self.said(name)?;
            if is_folder {
                return Err(UpstreamError::Nested(name));
            }
            let had = match size_in(had) {
                Some(size) => format!("the same SHA-256 had {size} bytes"),
                None => format!("its SHA-256 began with {}", hex::encode(had)),
            };
            return Err(UpstreamError::OtherBytes { name, had });
        }
        // What is new and named one by one is looked for in the pool without its index.
        let all = self.fresh.added.is_none() && !self.parts.is_first();
        let is_other = |(path, others): &&(Name, Bytes)| {
            let is_known = || self.known.had(*path, kept).next().is_some();
            of_path(&had, *path).all(|(had, _)| had != *others) && (all || is_known())
        };
        let changed: Vec<Name> = others.iter().filter(is_other).map(|(path, _)| *path).collect();
        self.pool_holds(&changed)?;
        for file in self.fresh.added.iter().flatten() {
            self.pool_has(file)?;
        }
        let there =
            |named: &(Name, Bytes)| names.binary_search(named).is_ok() || self.known.stay.binary_search(named).is_ok();
        left.remember(self.known.gone(kept, there).into_iter())
    }

    fn is_folder(&self, name: Name) -> bool {
        self.fresh.names.binary_search(&(name, FOLDER)).is_ok() || self.known.has(name, FOLDER)
    }

    /// A name that new indexes give two files' bytes.
    fn twice(&self) -> Option<Name> {
        let Fresh { names, kept, .. } = self.fresh;
        let among_new = names.windows(2).find_map(|pair| match pair {
            [(name, one), (other, two)] if name == other && one != two => Some(*name),
            _ => None,
        });
        let beside_old =
            |(name, bytes): &&(Name, Bytes)| self.known.had(*name, kept).any(|(had, kept)| kept && had != *bytes);
        among_new.or_else(|| names.iter().find(beside_old).map(|(name, _)| *name))
    }

    /// A path of which new indexes list one kind of hash in two ways.
    fn hashed_twice(&self, had: &[Other]) -> Option<Name> {
        let others = &self.fresh.others;
        let differ = |one: &Bytes, two: &Bytes| one != two && one.first() == two.first();
        let among_new = others.windows(2).find_map(|pair| match pair {
            [(path, one), (other, two)] if path == other && differ(one, two) => Some(*path),
            _ => None,
        });
        let beside_old =
            |(path, one): &&(Name, Bytes)| of_path(had, *path).any(|(two, kept)| kept && differ(one, &two));
        among_new.or_else(|| others.iter().find(beside_old).map(|(path, _)| *path))
    }

    /// What the newest snapshot lists beside the SHA-256 of the files of which the new stanzas list something; sorted.
    fn others_before(&self) -> Result<Vec<Other>, UpstreamError> {
        let Fresh { others, kept, .. } = self.fresh;
        let is_known = |path: &Name| self.known.had(*path, kept).next().is_some();
        let paths: BTreeSet<Name> = others.iter().map(|(path, _)| *path).filter(is_known).collect();
        let mut had = Vec::new();
        if paths.is_empty() {
            return Ok(had);
        }
        for of in self.parts.stay.iter().chain(&self.parts.go) {
            let naming = Naming::of(of);
            self.reader.each(of, &mut |block| {
                let is_kept = self.known.is_kept(of, block, kept);
                for file in listed_files(block).flatten() {
                    let name = naming.path(file.path.as_str());
                    if file.others != OtherHashes::NONE && paths.contains(&name) {
                        had.push((name, file.others.bytes(), is_kept));
                    }
                }
                Ok(())
            })?;
        }
        had.sort_unstable();
        Ok(had)
    }

    /// Files of which something else is listed now, or for the first time, beside their SHA-256.
    fn pool_holds(&self, changed: &[Name]) -> Result<(), UpstreamError> {
        if changed.is_empty() {
            return Ok(());
        }
        self.each(&mut |naming, stanza| {
            let listed = Entry::from_stanza(stanza).and_then(|entry| entry.listed_files(stanza));
            let is_changed = |file: &&PoolFile| changed.binary_search(&naming.path(file.path.as_str())).is_ok();
            let listed = listed.unwrap_or_default();
            listed
                .iter()
                .filter(is_changed)
                .try_for_each(|file| self.pool_has(file))
        })
    }

    /// What the pool has of a file must be all that is listed of it, because it is not fetched again. Of what the
    /// pool lacks, the one who fetches it says.
    fn pool_has(&self, file: &PoolFile) -> Result<(), UpstreamError> {
        let key = Key::pool(self.reader.archive, &file.path);
        let is_listed = file.others != OtherHashes::NONE;
        if is_listed && is_there(self.reader.store, &key, &file.digest)? && !self.is(&key, file.others)? {
            return Err(UpstreamError::PoolHash {
                name: file.path.to_string(),
                hashes: file.others.names(),
            });
        }
        Ok(())
    }

    /// Whether an object has these hashes. One that cannot be read is `fsck`'s to say.
    fn is(&self, key: &Key, others: OtherHashes) -> Result<bool, UpstreamError> {
        let mut bytes = Checked::new(self.reader.store.open(key)?, others);
        let read = std::io::copy(&mut bytes, &mut std::io::sink());
        Ok(read.is_ok() || !bytes.is_wrong())
    }

    /// A name in words, from the new indexes that have it.
    fn said(&self, wanted: Name) -> Result<String, UpstreamError> {
        let mut said = String::new();
        self.each(&mut |naming, stanza| {
            let Ok(entry) = Entry::from_stanza(stanza) else {
                return Ok(());
            };
            let package = naming.package(&entry).filter(|(name, _)| *name == wanted);
            let words = package.map(|_| match &entry {
                Entry::Binary(binary) => format!("{} {} {}", binary.package, binary.version, binary.architecture),
                Entry::Source(source) => format!("{} {} source", source.package, source.version),
            });
            let files = entry.pool_files().unwrap_or_default();
            let is_wanted = |(path, digest): &&(PoolPath, Digest)| {
                naming.path(path.as_str()) == wanted
                    || sized(digest).0 == wanted
                    || naming.is_below(path.as_str(), wanted)
            };
            if let Some((path, _)) = files.iter().find(is_wanted) {
                said = path.to_string();
            } else if let Some(words) = words {
                let path = files.first().map(|(path, _)| path.to_string()).unwrap_or_default();
                said = format!("{words}, {path}");
            }
            Ok(())
        })?;
        Ok(said)
    }

    /// Gives every stanza of the new indexes that can be read to `take`.
    fn each(
        &self,
        take: &mut dyn FnMut(&Naming, &Stanza<'_>) -> Result<(), UpstreamError>,
    ) -> Result<(), UpstreamError> {
        for of in &self.parts.fresh {
            let naming = Naming::of(of);
            self.reader.each(of, &mut |block| {
                Stanzas::new(block)
                    .flatten()
                    .try_for_each(|stanza| take(&naming, &stanza))
            })?;
        }
        Ok(())
    }
}

fn of_path(others: &[Other], path: Name) -> impl Iterator<Item = (Bytes, bool)> {
    let from = others.partition_point(|(known, _, _)| *known < path);
    let rest = others.get(from..).unwrap_or_default().iter();
    rest.take_while(move |(known, _, _)| *known == path)
        .map(|(_, bytes, kept)| (*bytes, *kept))
}
