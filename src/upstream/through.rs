//! Pull-through: a pool file that the store lacks is fetched when somebody asks for it, once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::index::PoolIndex;
use super::pull::{bug, replace_pool_file};
use super::{Client, Sums, UpstreamError, fetch_pool_file};
use crate::domain::{ArchiveName, Digest, PoolPath, TagName};
use crate::snapshot::{Chain, EditionName, Marks, TagRecord};
use crate::store::{Key, Store};

/// The pool of an archive, lazy when there is an upstream. Share it: it makes many who wait for one file wait for one download.
#[derive(Debug)]
pub struct PullThrough {
    archive: ArchiveName,
    store: Arc<dyn Store>,
    client: Option<Arc<Client>>,
    known: Mutex<Known>,
    flights: Mutex<HashMap<PoolPath, Arc<Flight>>>,
}

/// What is known of the archive's snapshots. Older ones are read only when newer ones lack a file.
#[derive(Debug, Default)]
struct Known {
    index: PoolIndex,
    /// The number of the newest record that was read.
    newest: u64,
    /// Records not looked into yet, from their newest down to their oldest; ranges with the newest last.
    older: Vec<(u64, u64)>,
    /// Tags that were looked into.
    tags: BTreeSet<TagName>,
}

/// How one file comes into the store.
type Fetch = fn(&Client, &dyn Store, &ArchiveName, &PoolPath, &Sums) -> Result<(), UpstreamError>;

/// One download that others may wait for.
#[derive(Debug, Default)]
struct Flight {
    landed: Mutex<Option<Result<(), UpstreamError>>>,
    signal: Condvar,
}

impl PullThrough {
    /// The pool of `archive`, whose files come from `client`'s upstream. Without one there are those that
    /// the store has.
    #[must_use]
    pub fn new(archive: ArchiveName, store: Arc<dyn Store>, client: Option<Arc<Client>>) -> Self {
        Self {
            archive,
            store,
            client,
            known: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    /// Has the file in the store: it was there, or was fetched and verified. Blocks.
    ///
    /// # Errors
    /// `NotInSnapshots` when no snapshot has it; `NotFound` when upstream no longer has it; what
    /// the network, the bytes or the store do wrong.
    pub fn ensure(&self, path: &PoolPath) -> Result<(), UpstreamError> {
        if self.store.head(&Key::pool(&self.archive, path))?.is_some() {
            return Ok(());
        }
        self.bring(path, fetch_pool_file)
    }

    /// Has the file anew in the place of one that is not what an index says, or that is missing. Blocks.
    ///
    /// # Errors
    /// As [`PullThrough::ensure`]; what was there stays then.
    pub fn mend(&self, path: &PoolPath) -> Result<(), UpstreamError> {
        self.bring(path, replace_pool_file)
    }

    fn bring(&self, path: &PoolPath, fetch: Fetch) -> Result<(), UpstreamError> {
        let client = self.client.as_deref();
        let client = client.ok_or_else(|| UpstreamError::NotInSnapshots(path.clone()))?;
        let sums = self
            .sums(path)?
            .ok_or_else(|| UpstreamError::NotInSnapshots(path.clone()))?;
        let (flight, first) = self.board(path);
        if !first {
            return flight.wait();
        }
        let _landing = Landing {
            all: self,
            path,
            flight: &flight,
        };
        let fetched = fetch(client, self.store.as_ref(), &self.archive, path, &sums);
        flight.land(fetched.as_ref().copied().map_err(UpstreamError::shared));
        fetched
    }

    /// The digest of a pool file of any snapshot. Blocks; the first call reads the newest indexes.
    ///
    /// # Errors
    /// When records or indexes cannot be read.
    pub fn find(&self, path: &PoolPath) -> Result<Option<Digest>, UpstreamError> {
        Ok(self.sums(path)?.map(|sums| sums.digest))
    }

    fn sums(&self, path: &PoolPath) -> Result<Option<Sums>, UpstreamError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sums) = known.index.get(path) {
            return Ok(Some(sums));
        }
        let chain = Chain::load(self.store.as_ref(), &self.archive)?;
        self.read_newer(&mut known, &chain)?;
        let marks = Marks::load(self.store.as_ref(), &self.archive)?;
        loop {
            if let Some(sums) = known.index.get(path) {
                return Ok(Some(sums));
            }
            let Some((newest, oldest)) = known.older.pop() else {
                return self.find_in_tags(&mut known, &marks, path);
            };
            let record = chain.record(self.store.as_ref(), newest)?;
            if newest > oldest {
                known.older.push((newest - 1, oldest));
            }
            // What was let go has no indexes any more, and nobody may ask for its files.
            if marks.gone(&EditionName::Serial(record.serial.clone())).is_none() {
                known
                    .index
                    .add_older(self.store.as_ref(), &self.archive, &record.suites)?;
            }
        }
    }

    /// A tag outlives the snapshot that it was made from.
    fn find_in_tags(&self, known: &mut Known, marks: &Marks, path: &PoolPath) -> Result<Option<Sums>, UpstreamError> {
        for tag in TagRecord::all(self.store.as_ref(), &self.archive)? {
            let gone = marks.gone(&EditionName::Tag(tag.tag.clone())).is_some();
            if !gone && known.tags.insert(tag.tag.clone()) {
                let (store, archive) = (self.store.as_ref(), &self.archive);
                known.index.add_older(store, archive, &tag.suites)?;
            }
        }
        Ok(known.index.get(path))
    }

    fn read_newer(&self, known: &mut Known, chain: &Chain) -> Result<(), UpstreamError> {
        let Some(newest) = chain.latest().filter(|latest| latest.n > known.newest) else {
            return Ok(());
        };
        known
            .index
            .add_newer(self.store.as_ref(), &self.archive, &newest.suites)?;
        let between = (newest.n.saturating_sub(1), known.newest.saturating_add(1));
        if between.0 >= between.1 {
            known.older.push(between);
        }
        known.newest = newest.n;
        Ok(())
    }

    fn board(&self, path: &PoolPath) -> (Arc<Flight>, bool) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(path) {
            return (Arc::clone(flight), false);
        }
        let flight = Arc::<Flight>::default();
        flights.insert(path.clone(), Arc::clone(&flight));
        (flight, true)
    }
}

impl Flight {
    fn land(&self, result: Result<(), UpstreamError>) {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        landed.get_or_insert(result);
        self.signal.notify_all();
    }

    fn wait(&self) -> Result<(), UpstreamError> {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match landed.as_ref() {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => return Err(error.shared()),
                None => landed = self.signal.wait(landed).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Ends a flight whatever happens, so that nobody waits for ever.
struct Landing<'a> {
    all: &'a PullThrough,
    path: &'a PoolPath,
    flight: &'a Flight,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.flight.land(Err(bug()));
        let mut flights = self.all.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.remove(self.path);
    }
}
