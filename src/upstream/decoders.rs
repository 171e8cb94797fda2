//! How many decompressors with large windows run at once, in all. An xz stream as Debian makes it takes 8 MiB to read, whatever
//! its size, and more of them at once than there are processors make nothing faster. Of windows that are larger than that (`xz -9`:
//! 64 MiB) there is one at a time.
//!
//! Who reads as bytes come from an upstream, and waits for these longer than it takes to compute, gives way to who waits for a place
//! (a [`Turn`] that ends): the file is fetched to its end, and read from the store when there is a place again. So nobody waits for
//! a slow upstream, and who holds a place waits for nothing but bytes.

use std::io::{self, Cursor, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::domain::Digest;
use crate::format::compress::{Compression, window};
use crate::snapshot::IndexFile;

/// In all. Two keep two processors busy; a third reads ahead while one waits for the network.
const PLACES: usize = 3;
/// What is smaller uncompressed takes no more memory than this, in bytes: the rest of its window is never touched.
const SMALL: u64 = 1 << 20;
/// The window of what Debian's archive makes (`xz -6`), in bytes. One that is larger is waited for.
const USUAL: u64 = 8 << 20;
/// So many bytes of a stream say how large its window is.
const HEAD: u64 = 64;

/// Places for decompressors.
#[derive(Debug)]
pub(super) struct Decoders {
    usual: Places,
    large: Places,
}

#[derive(Debug)]
struct Places {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Place<'a>(&'a Places);

/// The turn of somebody who reads as bytes come.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    decoders: &'a Decoders,
    /// None when it has ended.
    place: Mutex<Option<Place<'a>>>,
}

/// A compressed stream, of which the first byte is read only when there is room for its window.
pub(super) struct Weighed<'t, 'd, R> {
    decoders: &'d Decoders,
    /// Who has none waits; who has one gives way.
    turn: Option<&'t Turn<'d>>,
    compression: Compression,
    begun: bool,
    head: Cursor<Vec<u8>>,
    rest: R,
    /// Held until all is read.
    large: Option<Place<'d>>,
}

impl Decoders {
    /// All places free.
    pub(super) fn new() -> Self {
        Self {
            usual: Places::of(PLACES),
            large: Places::of(1),
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
        (large && has_window).then(|| self.usual.place())
    }

    /// The same stream, which waits before its first byte where its window is a large one.
    pub(super) fn weighed<R: Read>(&self, compression: Compression, stream: R) -> Weighed<'_, '_, R> {
        Weighed {
            decoders: self,
            turn: None,
            compression,
            begun: false,
            head: Cursor::default(),
            rest: stream,
            large: None,
        }
    }

    /// The turn of who has this place.
    pub(super) fn turn<'a>(&'a self, place: Place<'a>) -> Turn<'a> {
        Turn {
            decoders: self,
            place: Mutex::new(Some(place)),
        }
    }
}

impl<'d> Turn<'d> {
    /// Whether somebody waits for a place.
    pub(super) fn is_awaited(&self) -> bool {
        self.decoders.usual.is_awaited() || self.decoders.large.is_awaited()
    }

    /// Ends it, so that others have the place: the stream fails with this.
    pub(super) fn end(&self) -> io::Error {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        io::Error::other("others wait for the decompressor")
    }

    /// Whether it was ended.
    pub(super) fn has_ended(&self) -> bool {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The stream as it comes: its turn ends where its window is a large one and another such one is being read.
    pub(super) fn weighed<R: Read>(&self, compression: Compression, stream: R) -> Weighed<'_, 'd, R> {
        Weighed {
            turn: Some(self),
            ..self.decoders.weighed(compression, stream)
        }
    }
}

impl<R: Read> Weighed<'_, '_, R> {
    fn begin(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        self.rest.by_ref().take(HEAD).read_to_end(&mut head)?;
        if window(self.compression, &head).is_some_and(|window| window > USUAL) {
            let large = &self.decoders.large;
            self.large = Some(match self.turn {
                None => large.place(),
                Some(turn) => large.place_if_free().ok_or_else(|| turn.end())?,
            });
        }
        self.head = Cursor::new(head);
        self.begun = true;
        Ok(())
    }
}

impl<R: Read> Read for Weighed<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.begin()?;
        }
        match self.head.read(buffer)? {
            0 => self.rest.read(buffer),
            count => Ok(count),
        }
    }
}

impl Places {
    fn of(free: usize) -> Self {
        Self {
            state: Mutex::new(State { free, waiting: 0 }),
            freed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> Place<'_> {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_add(1);
        let state = self.freed.wait_while(state, |state| state.free == 0);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.waiting = state.waiting.saturating_sub(1);
        state.free = state.free.saturating_sub(1);
        Place(self)
    }

    fn place_if_free(&self) -> Option<Place<'_>> {
        let mut state = self.state();
        state.free = state.free.checked_sub(1)?;
        Some(Place(self))
    }

    fn is_awaited(&self) -> bool {
        self.state().waiting > 0
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.free = state.free.saturating_add(1);
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
        let all: Vec<_> = (0..PLACES).map(|_| decoders.usual.place()).collect();
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

    #[test]
    fn a_large_window_waits_for_the_one_before() {
        let decoders = Decoders::new();
        let read = |compression, bytes: &[u8]| {
            let mut weighed = decoders.weighed(compression, Cursor::new(bytes.to_vec()));
            let mut found = Vec::new();
            weighed.read_to_end(&mut found).unwrap();
            assert_eq!(found, bytes);
            weighed.large.is_some()
        };
        // What `xz` makes of one line: with `-6e`, with `-9`, with `--x86 --lzma2=preset=9`; and of nothing, which has no block.
        let xz = |block: &str| hex::decode(format!("fd377a585a000004e6d6b446{block}")).unwrap();
        let rest = "04746578740a000000001d2bd28aaf194ccd00011d05b82d80af1fb6f37d010000000004595a";
        let large = xz(&format!("020021011c00000010cf58cc0100{rest}"));
        assert!(!read(
            Compression::Xz,
            &xz(&format!("0200210116000000742fe5a30100{rest}"))
        ));
        assert!(read(Compression::Xz, &large));
        assert!(read(
            Compression::Xz,
            &xz(&format!("0201040021011c00876edae50100{rest}"))
        ));
        assert!(!read(Compression::Xz, &xz("000000001cdf44211fb6f37d010000000004595a")));
        assert!(!read(Compression::Gzip, &large) && !read(Compression::Xz, b"\xfd7zXZ"));
        // And `zstd -19`, with `--long=27`.
        let zstd = |frame: &str| hex::decode(format!("28b52ffd{frame}")).unwrap();
        assert!(!read(Compression::Zstd, &zstd("0468290000746578740a2c51a1bf")));
        assert!(read(Compression::Zstd, &zstd("0488290000746578740a2c51a1bf")));
        // Who reads as bytes come does not wait, and does not keep others waiting.
        {
            let mut first = decoders.weighed(Compression::Xz, large.as_slice());
            first.read_exact(&mut [0]).unwrap();
            let turn = decoders.turn(decoders.usual.place());
            let mut second = turn.weighed(Compression::Xz, large.as_slice());
            assert!(second.read(&mut [0]).is_err() && turn.has_ended() && !turn.is_awaited());
        }
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut weighed = decoders.weighed(Compression::Xz, large.as_slice());
                        weighed.read_exact(&mut [0]).unwrap();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
