//! How many decompressors with large windows run at once, in all. An xz stream as Debian makes it takes 8 MiB to read, whatever
//! its size, and more of them at once than there are processors make nothing faster.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::domain::Digest;
use crate::format::compress::Compression;
use crate::snapshot::IndexFile;

/// In all. Two keep two processors busy; a third reads ahead while one waits for the network.
const PLACES: usize = 3;
/// What is smaller uncompressed takes no more memory than this, in bytes: the rest of its window is never touched.
const SMALL: u64 = 1 << 20;

/// Places for decompressors.
#[derive(Debug)]
pub(super) struct Decoders {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One of them, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Place<'a>(&'a Decoders);

impl Decoders {
    /// All places free.
    pub(super) fn new() -> Self {
        Self {
            free: Mutex::new(PLACES),
            freed: Condvar::new(),
        }
    }

    /// Waits for a place, when reading this index takes one. Nobody may wait for one who has one already, nor for another
    /// thread that may be waiting for one.
    pub(super) fn place_for(&self, index: &IndexFile, uncompressed: Option<Digest>) -> Option<Place<'_>> {
        let large = uncompressed.is_none_or(|plain| plain.size > SMALL);
        let has_window = matches!(
            Compression::of_name(index.path.file_name()),
            Compression::Xz | Compression::Zstd
        );
        (large && has_window).then(|| self.place())
    }

    fn place(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.freed.wait_while(free, |free| *free == 0);
        let mut free = free.unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_sub(1);
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_add(1);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_than_three_large_windows_are_there_at_once() {
        let decoders = Decoders::new();
        let index = |path: &str| IndexFile {
            path: path.parse().unwrap(),
            digest: Digest::of(b""),
            kept: true,
        };
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let place = decoders.place_for(&index("main/binary-amd64/Packages.xz"), None);
                        assert!(place.is_some());
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= PLACES);
        let all: Vec<_> = (0..PLACES).map(|_| decoders.place()).collect();
        let sized = |size| {
            Some(Digest {
                size,
                ..Digest::of(b"")
            })
        };
        // These wait for nobody.
        assert!(decoders.place_for(&index("main/Contents-amd64.gz"), None).is_none());
        assert!(
            decoders
                .place_for(&index("main/cnf/Commands-amd64.xz"), sized(SMALL))
                .is_none()
        );
        drop(all);
        assert!(
            decoders
                .place_for(&index("main/i18n/Translation-en.xz"), sized(SMALL + 1))
                .is_some()
        );
    }
}
