//! What new indexes list, judged as a whole before a snapshot names them: every stanza can be read, and a
//! name has one file's bytes, for ever (threat F7). Each index is read once, as a stream, and of a name and of
//! what it has some bytes of a hash are kept.

use super::UpstreamError;
use super::inspect::Checked;
use super::left::Left;
use crate::domain::{ArchiveName, Sha256, SuiteName};
use crate::format::FormatError;
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::hashes::OtherHashes;
use crate::format::packages::Entry;
use crate::snapshot::{IndexFile, SuiteState, each_chunk, package_indexes};
use crate::store::{Key, Store};

/// A name, as the start of its SHA-256. Of two names with one such start, both would be refused.
pub(super) type Name = [u8; 8];
/// What it has, as the start of that SHA-256: of a length that nobody finds two files for.
pub(super) type Bytes = [u8; 16];
/// Names and what they have, sorted.
pub(super) type Names = Vec<(Name, Bytes)>;

/// What indexes list.
#[derive(Debug, Default)]
struct Listed {
    names: Names,
    /// The paths of files, and what is listed of each beside its SHA-256.
    others: Names,
}

/// The judge of an archive's indexes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Same<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) archive: &'a ArchiveName,
}

/// Takes each stanza of an index, or why it is none.
type Take<'a> = &'a mut dyn FnMut(Of<'_>, Result<Stanza<'_>, FormatError>) -> Result<(), UpstreamError>;

/// An index of a suite.
type Of<'a> = (&'a SuiteName, &'a IndexFile);

impl Same<'_> {
    /// Judges the indexes of `states` that `before`, the newest snapshot's suites, do not have: the pool has room
    /// for one file of a name, and so have the caches of clients. What is in none of `states` any more is
    /// remembered, so that it cannot come back as something else.
    ///
    /// # Errors
    /// `Stanza`, `Ambiguous`, `OtherBytes`; when an index is not in the store; `Left`, the store's failure.
    pub(super) fn check(&self, before: &[SuiteState], states: &[SuiteState]) -> Result<(), UpstreamError> {
        let (old, new) = (indexes(before), indexes(states));
        let (stay, go): (Vec<Of<'_>>, Vec<Of<'_>>) = old.into_iter().partition(|index| new.contains(index));
        let fresh: Vec<Of<'_>> = new.into_iter().filter(|index| !stay.contains(index)).collect();
        let Listed { names, others } = self.listed(&fresh)?;
        let twice = names.windows(2).find_map(|pair| match pair {
            [(name, one), (other, two)] if name == other && one != two => Some(*name),
            _ => None,
        });
        let hashed_twice = others.windows(2).find_map(|pair| match pair {
            [(path, one), (other, two)] if path == other && one != two && one.first() == two.first() => Some(*path),
            _ => None,
        });
        if let Some(name) = twice.or(hashed_twice) {
            return Err(UpstreamError::Ambiguous(self.said(&fresh, name)?));
        }
        let (
            Listed {
                names: stay,
                others: had,
            },
            go,
        ) = (self.known(&stay), self.known(&go));
        let (go, also_had) = (go.names, go.others);
        let known = |name| having(&stay, name).chain(having(&go, name));
        let contradicts = |(name, bytes): &&(Name, Bytes)| {
            let mut all = known(*name).peekable();
            all.peek().is_some() && all.all(|known| known != *bytes)
        };
        let left = Left {
            store: self.store,
            archive: self.archive,
        };
        let known_before = |(name, bytes): &(Name, Bytes)| known(*name).any(|known| known == *bytes);
        let changed = match names.iter().find(contradicts) {
            Some((name, _)) => known(*name).next().map(|had| (*name, had)),
            None => left.contradicted(names.iter().filter(|named| !known_before(named)).copied().collect())?,
        };
        if let Some((name, had)) = changed {
            let (name, had) = (self.said(&fresh, name)?, hex::encode(had));
            return Err(UpstreamError::OtherBytes { name, had });
        }
        let is_other = |(path, others): &&(Name, Bytes)| {
            let mut had = having(&had, *path).chain(having(&also_had, *path)).peekable();
            had.peek().is_some() && had.all(|had| had != *others)
        };
        let changed: Vec<Name> = others.iter().filter(is_other).map(|(path, _)| *path).collect();
        self.pool_holds(&fresh, &changed)?;
        let there = |named: &(Name, Bytes)| names.binary_search(named).is_ok() || stay.binary_search(named).is_ok();
        left.remember(go.into_iter().filter(|named| !there(named)))
    }

    /// What indexes list, every stanza of which must be as it should.
    fn listed(&self, indexes: &[Of<'_>]) -> Result<Listed, UpstreamError> {
        let mut listed = Listed::default();
        self.each(indexes, &mut |(suite, index), stanza| {
            let add = stanza.and_then(|stanza| {
                let entry = Entry::from_stanza(&stanza)?;
                let others = entry.other_hashes(&stanza)?;
                listed.add(&named(suite, index, entry)?, &others);
                Ok(())
            });
            add.map_err(|source| UpstreamError::Stanza {
                suite: suite.clone(),
                index: index.path.clone(),
                source: Box::new(source),
            })
        })?;
        Ok(listed.sorted())
    }

    /// What a snapshot's indexes list, as far as they can be read. What is damaged here is `fsck`'s to say, and
    /// no reason to fall behind.
    fn known(&self, indexes: &[Of<'_>]) -> Listed {
        let mut listed = Listed::default();
        for of in indexes {
            let read = self.each(&[*of], &mut |(suite, index), stanza| {
                if let Ok((stanza, entry)) =
                    stanza.and_then(|stanza| Ok((stanza.clone(), Entry::from_stanza(&stanza)?)))
                {
                    let others = entry.other_hashes(&stanza).unwrap_or_default();
                    listed.add(&named(suite, index, entry).unwrap_or_default(), &others);
                }
                Ok(())
            });
            if let Err(error) = read {
                tracing::warn!(archive = %self.archive, %error, "the newest snapshot cannot be compared with upstream");
            }
        }
        listed.sorted()
    }

    /// A file whose SHA-256 stays and of which something else is listed now: what the pool has of it must be
    /// that, because it is not fetched again. Of what the pool lacks, the one who fetches it says.
    fn pool_holds(&self, indexes: &[Of<'_>], changed: &[Name]) -> Result<(), UpstreamError> {
        if changed.is_empty() {
            return Ok(());
        }
        self.each(indexes, &mut |(suite, index), stanza| {
            let Ok(stanza) = stanza else { return Ok(()) };
            let Ok(entry) = Entry::from_stanza(&stanza) else {
                return Ok(());
            };
            let others = entry.other_hashes(&stanza).unwrap_or_default();
            let named = named(suite, index, entry.clone()).unwrap_or_default();
            let files = entry.pool_files().unwrap_or_default().into_iter().zip(others);
            for (((path, digest), others), (name, _)) in files.zip(&named) {
                let is_changed = changed.binary_search(&short(name)).is_ok();
                let key = Key::pool(self.archive, &path);
                if is_changed && super::pull::is_there(self.store, &key, &digest)? && !self.is(&key, others)? {
                    return Err(UpstreamError::PoolHash {
                        name: path.to_string(),
                        hashes: others.names(),
                    });
                }
            }
            Ok(())
        })
    }

    /// Whether an object has these hashes. One that cannot be read is `fsck`'s to say.
    fn is(&self, key: &Key, others: OtherHashes) -> Result<bool, UpstreamError> {
        let mut bytes = Checked::new(self.store.open(key)?, others);
        let read = std::io::copy(&mut bytes, &mut std::io::sink());
        Ok(read.is_ok() || !bytes.is_wrong())
    }

    /// A name in words, from the indexes that have it.
    fn said(&self, indexes: &[Of<'_>], wanted: Name) -> Result<String, UpstreamError> {
        let mut said = String::new();
        self.each(indexes, &mut |(suite, index), stanza| {
            let entry = stanza.and_then(|stanza| Entry::from_stanza(&stanza));
            let named = entry.and_then(|entry| named(suite, index, entry)).unwrap_or_default();
            let path = named.first().map(|(path, _)| path.words.clone()).unwrap_or_default();
            if let Some((name, _)) = named.into_iter().find(|(name, _)| short(name) == wanted) {
                said = match name.place.is_empty() {
                    true => name.words,
                    false => format!("{}, {path}", name.words),
                };
            }
            Ok(())
        })?;
        Ok(said)
    }

    fn each(&self, indexes: &[Of<'_>], take: Take<'_>) -> Result<(), UpstreamError> {
        for (suite, index) in indexes {
            let mut line = 1;
            each_chunk(self.store, self.archive, suite, index, &mut |stanzas| {
                for stanza in Stanzas::new(stanzas).from_line(line) {
                    take((suite, index), stanza)?;
                }
                line += memchr::memchr_iter(b'\n', stanzas).count();
                Ok::<(), UpstreamError>(())
            })?;
        }
        Ok(())
    }
}

impl Listed {
    /// Adds a stanza's names, of which the files come first.
    fn add(&mut self, named: &[(Named, Sha256)], others: &[OtherHashes]) {
        for (at, (name, bytes)) in named.iter().enumerate() {
            let name = short(name);
            self.names.push((name, first(bytes)));
            let others = others.get(at).filter(|others| **others != OtherHashes::NONE);
            self.others.extend(others.map(|others| (name, others.bytes())));
        }
    }

    fn sorted(self) -> Self {
        Self {
            names: sorted(self.names),
            others: sorted(self.others),
        }
    }
}

fn indexes(states: &[SuiteState]) -> Vec<Of<'_>> {
    let of = |state| {
        let SuiteState { suite, .. }: &SuiteState = state;
        package_indexes(state).into_values().map(move |index| (suite, index))
    };
    states.iter().flat_map(of).collect()
}

/// What one file is the bytes of.
struct Named {
    /// Where it counts: paths everywhere, versions within the same kind of indexes of one suite.
    place: String,
    words: String,
}

/// The names that a stanza gives bytes: the paths of its files, and its package's name, version and
/// architecture, wherever the file is.
fn named(suite: &SuiteName, index: &IndexFile, entry: Entry) -> Result<Vec<(Named, Sha256)>, FormatError> {
    let udebs = index.path.as_str().contains("debian-installer/");
    let package = match &entry {
        Entry::Binary(binary) => Some((
            Named {
                place: format!("{suite} {}", if udebs { "udeb" } else { "deb" }),
                words: format!("{} {} {}", binary.package, binary.version, binary.architecture),
            },
            binary.digest.sha256,
        )),
        // Its .dsc names the others.
        Entry::Source(source) => source
            .files
            .iter()
            .find(|(name, _)| name.as_str().ends_with(".dsc"))
            .map(|(_, digest)| {
                let words = format!("{} {} source", source.package, source.version);
                let place = format!("{suite} dsc");
                (Named { place, words }, digest.sha256)
            }),
    };
    let path = |(path, digest): (crate::domain::PoolPath, crate::domain::Digest)| {
        let (place, words) = (String::new(), path.to_string());
        (Named { place, words }, digest.sha256)
    };
    let files = entry.pool_files()?.into_iter().map(path);
    Ok(files.chain(package).collect())
}

fn short(name: &Named) -> Name {
    let hash = Sha256::of(format!("{}\n{}", name.place, name.words).as_bytes());
    let mut start = Name::default();
    start.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    start
}

fn first(hash: &Sha256) -> Bytes {
    let mut start = Bytes::default();
    start.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    start
}

fn sorted(mut names: Names) -> Names {
    names.sort_unstable();
    names.dedup();
    names
}

/// All that a name has.
pub(super) fn having(names: &[(Name, Bytes)], name: Name) -> impl Iterator<Item = Bytes> {
    let from = names.partition_point(|(known, _)| *known < name);
    let rest = names.get(from..).unwrap_or_default().iter();
    rest.take_while(move |(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}
