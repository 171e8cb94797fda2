//! Progress on long work: bars on standard error when it is a terminal, nothing otherwise.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress is shown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress(MultiProgress);

/// One piece of work. Cheap to clone; vanishes when done.
#[derive(Debug, Clone)]
pub struct Bar(ProgressBar);

impl Progress {
    /// Shows bars on standard error when that is a terminal.
    #[must_use]
    pub fn on_terminal() -> Self {
        Self(MultiProgress::new())
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()))
    }

    /// Work of `total` bytes.
    #[must_use]
    pub fn bytes(&self, what: &str, total: u64) -> Bar {
        let style = "{msg:30!} {bytes:>10} / {total_bytes:10} {bytes_per_sec:>12}  {eta:>4} left";
        self.add(ProgressBar::new(total), style, what)
    }

    /// Work of `total` items.
    #[must_use]
    pub fn items(&self, what: &str, total: u64) -> Bar {
        self.add(
            ProgressBar::new(total),
            "{msg:30!} {pos:>7} / {len:7} {eta:>4} left",
            what,
        )
    }

    /// Work of unknown length.
    #[must_use]
    pub fn waiting(&self, what: &str) -> Bar {
        self.add(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}", what)
    }

    fn add(&self, bar: ProgressBar, style: &str, what: &str) -> Bar {
        let bar = self.0.add(bar);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Bar(bar)
    }
}

impl Bar {
    /// More is done.
    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// The work is done.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
