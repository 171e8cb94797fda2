//! The machine: its clock, files, programs, environment and apt configuration.
//!
//! Owns every way out of the process that is not the store, an upstream or a client. Decides
//! nothing. A file that is written here is written to a temporary name, synced, renamed, and its
//! folder synced: after a crash there is the old file or the new one.

mod apt;
mod clock;
pub mod files;
mod process;
mod program;
mod progress;

pub use apt::{AptSource, apt_sources};
pub use clock::Clock;
pub use files::TempFolder;
pub use process::{Life, Process};
pub use program::{Environment, Output, Program};
pub use progress::{Bar, Progress};

use std::path::PathBuf;

use crate::domain::{Coded, Kind};

/// Has this process keep little of the memory that it has used and needs no more: for work that many threads do on large
/// pieces, one after the other.
pub fn keep_little_memory() {
    heap::keep_little();
}

/// What the machine could not do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file operation failed.
    #[error("cannot {act} `{}`: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`, ...
        act: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file is larger than its reader takes.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// A program could not be started.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// The program's name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{program}` failed ({status}): {stderr}")]
    Failed {
        /// The program and its first arguments.
        program: String,
        /// Exit status or signal, in words.
        status: String,
        /// The end of what it said on standard error, with control characters escaped.
        stderr: String,
    },
    /// A program did not end in time, and was killed.
    #[error("`{program}` did not end within {seconds} s")]
    TimedOut {
        /// The program and its first arguments.
        program: String,
        /// The limit.
        seconds: u64,
    },
    /// A program wrote more than its caller takes.
    #[error("`{program}` wrote more than {limit} bytes")]
    TooMuchOutput {
        /// The program and its first arguments.
        program: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The clock of a test is none.
    #[error("ASSAY_TEST_CLOCK is `{0}`, and not seconds since 1970")]
    TestClock(String),
}

impl Coded for HostError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "E-HOST-001",
            Self::TooLarge { .. } => "E-HOST-002",
            Self::Start { .. } => "E-HOST-003",
            Self::Failed { .. } => "E-HOST-004",
            Self::TimedOut { .. } => "E-HOST-005",
            Self::TooMuchOutput { .. } => "E-HOST-006",
            Self::TestClock(_) => "E-HOST-007",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::TestClock(_) => Kind::Usage,
            _ => Kind::Environment,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Start { program, source } if source.kind() == std::io::ErrorKind::NotFound => Some(format!(
                "install the package that has `{program}`; `make setup` installs all that Assay uses"
            )),
            Self::File { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some(if path.extension().is_some_and(|end| end == "secret") {
                    "this machine has not the key: run it where the key is (`assay key list` says which are here), or bring \
                     the file, with `chmod 600`"
                        .to_owned()
                } else {
                    format!(
                        "`{}` is not there: look for a slip in its name, or make it first",
                        path.display()
                    )
                })
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("run it as the user whom the file belongs to, or change its rights".to_owned())
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("make room on that disk: `assay gc` lets go what is not kept, `cache/` may be deleted".to_owned())
            }
            Self::File { .. } => Some("look at the path and its disk, and run this again".to_owned()),
            Self::TooLarge { .. } => {
                Some("no such file is as large: look whether it is the one that is meant".to_owned())
            }
            Self::Start { .. } => {
                Some("look at who may run it, and at this machine's limits of processes and memory".to_owned())
            }
            Self::Failed { .. } => Some("look at what it says; when that is not enough, run it by hand".to_owned()),
            Self::TimedOut { .. } => {
                Some("run it again when the machine has less to do; when it stays, run the program by hand".to_owned())
            }
            Self::TooMuchOutput { .. } => {
                Some("look at what it was given: that is more than any honest input makes of it".to_owned())
            }
            Self::TestClock(_) => Some("unset it: it is for tests alone".to_owned()),
        }
    }
}
