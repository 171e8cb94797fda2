//! Progress on long work, on standard error: bars when it is a terminal, else a line every some seconds.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two lines about one piece of work, in seconds.
const BETWEEN_LINES: u64 = 10;
/// The same where nothing is known but that it goes on.
const BETWEEN_PULSES: Duration = Duration::from_secs(30);
/// How often a bar moves that shows no number.
const SPIN: Duration = Duration::from_millis(120);

/// Where progress is shown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    lines: bool,
}

/// One piece of work. Cheap to clone; vanishes when done.
#[derive(Debug, Clone)]
pub struct Bar {
    bar: ProgressBar,
    unit: Unit,
    files: Arc<Files>,
    /// When the next line is due, in seconds after the start; none where bars are shown, or nothing is.
    next_line: Option<Arc<AtomicU64>>,
    /// Says that work of unknown length goes on.
    pulse: Option<Arc<Pulse>>,
    /// Nobody sees it: of many small steps none need be counted.
    unseen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Items,
}

/// Files of a transfer: none in all when it has no number of them.
#[derive(Debug, Default)]
struct Files {
    done: AtomicU64,
    all: u64,
}

impl Progress {
    /// Shows bars on standard error when that is a terminal, and lines when it is not.
    #[must_use]
    pub fn on_terminal() -> Self {
        Self {
            bars: MultiProgress::new(),
            lines: !std::io::stderr().is_terminal(),
        }
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            lines: false,
        }
    }

    /// Does what prints, with no bar in its way.
    pub fn around<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    /// Work of `total` bytes.
    #[must_use]
    pub fn bytes(&self, what: &str, total: u64) -> Bar {
        self.transfer(what, 0, total)
    }

    /// Work of so many files, and bytes in all.
    #[must_use]
    pub fn transfer(&self, what: &str, files: u64, bytes: u64) -> Bar {
        let style = "{msg:30!} {prefix:>14} {bytes:>10} / {total_bytes:10} {bytes_per_sec:>12}  {eta:>4} left";
        let mut bar = self.add(ProgressBar::new(bytes), style, what, Unit::Bytes);
        bar.files = Arc::new(Files {
            done: AtomicU64::new(0),
            all: files,
        });
        bar.show_files(0);
        bar
    }

    /// Work of `total` items.
    #[must_use]
    pub fn items(&self, what: &str, total: u64) -> Bar {
        let style = "{msg:30!} {pos:>7} / {len:7} {eta:>4} left";
        self.add(ProgressBar::new(total), style, what, Unit::Items)
    }

    /// Work of unknown length: on a terminal a bar that moves, else a line now, and one every some seconds.
    #[must_use]
    pub fn waiting(&self, what: &str) -> Bar {
        let style = "{spinner} {msg} {elapsed}";
        let mut bar = self.add(ProgressBar::new_spinner(), style, what, Unit::Items);
        if self.lines {
            bar.pulse = Some(Arc::new(Pulse::start(what, BETWEEN_PULSES)));
        } else {
            bar.bar.enable_steady_tick(SPIN);
        }
        bar
    }

    fn add(&self, bar: ProgressBar, style: &str, what: &str, unit: Unit) -> Bar {
        let bar = self.bars.add(bar);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Bar {
            unseen: bar.is_hidden() && !self.lines,
            bar,
            unit,
            files: Arc::default(),
            next_line: self.lines.then(|| Arc::new(AtomicU64::new(BETWEEN_LINES))),
            pulse: None,
        }
    }
}

/// A thread that says, from time to time, that something goes on.
#[derive(Debug)]
struct Pulse(Mutex<Option<(Sender<()>, JoinHandle<()>)>>);

impl Pulse {
    fn start(what: &str, between: Duration) -> Self {
        let (end, ended) = channel();
        let what = what.to_owned();
        say(&format!("{what} …"));
        let thread = std::thread::spawn(move || {
            let mut passed = Duration::ZERO;
            while ended.recv_timeout(between) == Err(RecvTimeoutError::Timeout) {
                passed = passed.saturating_add(between);
                say(&format!("{what}: for {} s now", passed.as_secs()));
            }
        });
        Self(Mutex::new(Some((end, thread))))
    }

    fn end(&self) {
        let running = self.0.lock().ok().and_then(|mut running| running.take());
        if let Some((end, thread)) = running {
            drop(end);
            let _ = thread.join();
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.end();
    }
}

/// That nobody reads it is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Bar {
    /// More is done.
    pub fn advance(&self, by: u64) {
        if self.unseen {
            return;
        }
        self.bar.inc(by);
        if self.line_is_due() {
            say(&self.line());
        }
    }

    /// There is more to do than was known.
    pub fn extend(&self, by: u64) {
        if !self.unseen {
            self.bar.inc_length(by);
        }
    }

    /// One more file is done.
    pub fn file_done(&self) {
        let done = self.files.done.fetch_add(1, Ordering::Relaxed);
        self.show_files(done.saturating_add(1));
    }

    /// The work is done.
    pub fn finish(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.end();
        }
        self.bar.finish_and_clear();
    }

    fn show_files(&self, done: u64) {
        if self.files.all > 0 {
            self.bar.set_prefix(format!("{done} / {} files", self.files.all));
        }
    }

    /// Whether somebody has to print a line now: one of all who work on this.
    fn line_is_due(&self) -> bool {
        let Some(next) = &self.next_line else { return false };
        let (due, now) = (next.load(Ordering::Relaxed), self.bar.elapsed().as_secs());
        let after = now.saturating_add(BETWEEN_LINES);
        now >= due
            && next
                .compare_exchange(due, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn line(&self) -> String {
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let seconds = self.bar.elapsed().as_secs().max(1);
        let rate = (done / seconds).max(1);
        let left = all.saturating_sub(done) / rate;
        let what = self.bar.message();
        if self.unit == Unit::Items {
            return format!("{what}: {done} of {all}, {left} s left");
        }
        let files = match self.files.all {
            0 => String::new(),
            all => format!("{} of {all} files, ", self.files.done.load(Ordering::Relaxed)),
        };
        format!(
            "{what}: {files}{} of {}, {}/s, {left} s left",
            HumanBytes(done),
            HumanBytes(all),
            HumanBytes(rate)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_files_bytes_rate_and_what_is_left() {
        let mut progress = Progress::hidden();
        progress.lines = true;
        let bar = progress.transfer("debian indexes", 4, 4096);
        bar.advance(1024);
        bar.file_done();
        assert_eq!(
            bar.line(),
            "debian indexes: 1 of 4 files, 1.00 KiB of 4.00 KiB, 1.00 KiB/s, 3 s left"
        );
        assert!(!bar.line_is_due(), "no line before its time");
        let items = progress.items("debian releases", 3);
        items.advance(1);
        assert_eq!(items.line(), "debian releases: 1 of 3, 2 s left");
    }
}
