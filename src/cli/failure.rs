//! How a verb that failed says so.

use std::process::ExitCode;

use super::context::Context;
use super::output::{printable, say};
use crate::domain::{ArchiveName, Coded, Kind};
use crate::publish::PublishError;

/// Any module's error, on its way to the user.
#[derive(Debug)]
pub(super) struct Failure(Box<dyn Coded + Send + Sync>);

impl<E: Coded + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        self.0.kind().exit_code()
    }

    /// What went wrong.
    pub(super) fn error(&self) -> &dyn Coded {
        self.0.as_ref()
    }

    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        self.0.code()
    }

    /// The cause, without code and next step.
    pub(super) fn cause(&self) -> String {
        self.0.to_string()
    }

    /// Prints that it is of this archive, and gives the exit code.
    pub(super) fn print_of(self, context: &Context, archive: &ArchiveName) -> u8 {
        let failure = Self::from(OfArchive {
            archive: archive.clone(),
            failure: self,
        });
        context.progress.around(|| failure.print(context.output.json));
        failure.exit_code()
    }

    /// Cause, code and next step, on standard error; with `--json` as one line of JSON.
    pub(super) fn print(&self, json: bool) {
        if json {
            let record = serde_json::json!({ "error": {
                "code": self.0.code(),
                "kind": self.0.kind().to_string(),
                "message": self.0.to_string(),
                "hint": self.0.hint(),
            }});
            return say(&record.to_string());
        }
        say(&format!("error[{}]: {}", self.0.code(), printable(&self.0.to_string())));
        if let Some(hint) = self.0.hint() {
            say(&format!("  next: {}", printable(&hint)));
        }
    }
}

/// What waits for a key on another machine keeps nothing else from being done; it is said at the end.
#[derive(Debug, Default)]
pub(super) struct Later(Option<Failure>);

impl Later {
    pub(super) fn of<T>(&mut self, done: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.code() == PublishError::WAITS => {
                self.0 = Some(failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn end(self) -> Result<ExitCode, Failure> {
        self.0.map_or(Ok(ExitCode::SUCCESS), Err)
    }
}

/// How a verb went on with each of several archives: what is wrong with one is said, and is no reason to leave out another.
#[derive(Debug)]
pub(super) struct Each<'a> {
    context: &'a Context,
    several: bool,
    codes: Vec<u8>,
}

impl<'a> Each<'a> {
    pub(super) fn of(context: &'a Context, archives: usize) -> Self {
        Self {
            context,
            several: archives > 1,
            codes: Vec::new(),
        }
    }

    /// What was done for one of them. Of the only one the failure is that of the verb.
    pub(super) fn done<T>(&mut self, archive: &ArchiveName, done: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(failure) if self.several => {
                self.codes.push(failure.print_of(self.context, archive));
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The exit code, after what else the verb comes to.
    pub(super) fn end(mut self, last: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        if self.codes.is_empty() {
            return last;
        }
        if let Err(failure) = last {
            failure.print(self.context.output.json);
            self.codes.push(failure.exit_code());
        }
        Ok(ExitCode::from(worst(&self.codes)))
    }
}

/// The exit code that says most of several.
pub(super) fn worst(codes: &[u8]) -> u8 {
    let from_the_worst = [
        Kind::Bug,
        Kind::Verification,
        Kind::Refused,
        Kind::Usage,
        Kind::Environment,
        Kind::Conflict,
        Kind::Unknown,
    ];
    let found = from_the_worst
        .into_iter()
        .map(Kind::exit_code)
        .find(|code| codes.contains(code));
    found.unwrap_or_default()
}

/// What went wrong with one archive of several.
#[derive(Debug)]
struct OfArchive {
    archive: ArchiveName,
    failure: Failure,
}

impl std::fmt::Display for OfArchive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.archive, self.failure.0)
    }
}

impl std::error::Error for OfArchive {}

impl Coded for OfArchive {
    fn code(&self) -> &'static str {
        self.failure.0.code()
    }
    fn kind(&self) -> Kind {
        self.failure.0.kind()
    }
    fn hint(&self) -> Option<String> {
        self.failure.0.hint()
    }
}

/// What only the command line can get wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsageError {
    /// Arguments that clap does not take.
    #[error("{message}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// What clap says beside it: what it would take.
        hint: Option<String>,
    },
    /// An argument that does not fit the site.
    #[error("{0}")]
    Argument(String),
    /// A folder that must be empty is not.
    #[error("`{0}` is not empty")]
    NotEmpty(String),
    /// A source that is not declared.
    #[error("{0}")]
    Undeclared(String),
    /// A source whose environment is not locked.
    #[error("the environment of `{0}` is not locked")]
    Unlocked(String),
    /// Another writer made the next snapshot first.
    #[error("another writer made the next snapshot of `{0}` first")]
    Conflict(String),
    /// Nobody here can sign a rebuild record.
    #[error("{0}")]
    NoBuilder(String),
    /// A custom archive that a checkout needs has nothing yet.
    #[error("`{0}` has no snapshot, and a checkout takes its branch's suite from it")]
    NoCustom(ArchiveName),
    /// An environment has something of an archive that proves nothing.
    #[error("`{path}` names `{archive}`, which is unproven: nothing is built with its packages")]
    BuiltWithUnproven {
        /// The lock.
        path: String,
        /// The archive.
        archive: ArchiveName,
    },
    /// Standard output was closed.
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
    /// The evidence does not suffice.
    #[error("{0}")]
    NotFound(String),
    /// What was asked about is not known.
    #[error("{why}")]
    Unknown {
        /// What is not.
        why: String,
        /// Where to look for it.
        next: &'static str,
    },
    /// An archive that makes no suites of branches was asked to.
    #[error("`repos/{0}.toml` has no `[branches]`: no branch has a suite")]
    NoBranches(ArchiveName),
    /// A file with the serials of a build that is none.
    #[error("`{path}` has no serials of a build: {why}")]
    Serials {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A site's lock does not hold.
    #[error("{0}")]
    Lock(String),
}

impl UsageError {
    /// What clap says, which begins with the cause and goes on, after an empty line, with help.
    pub(super) fn syntax(error: &clap::Error) -> Self {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim();
        let (message, hint) = match text.split_once("\n\n") {
            Some((message, hint)) => (message, Some(hint.trim().to_owned())),
            None => (text, None),
        };
        Self::Syntax {
            message: message.to_owned(),
            hint,
        }
    }
}

impl Coded for UsageError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "E-CLI-000",
            Self::Argument(_) => "E-CLI-001",
            Self::NotEmpty(_) => "E-CLI-002",
            Self::Output(_) => "E-CLI-003",
            Self::NotFound(_) | Self::Unknown { .. } => "E-CLI-004",
            Self::Undeclared(_) => "E-CLI-005",
            Self::Unlocked(_) => "E-CLI-006",
            Self::Conflict(_) => "E-CLI-007",
            Self::NoBuilder(_) => "E-CLI-008",
            Self::NoCustom(_) => "E-CLI-009",
            Self::Serials { .. } => "E-CLI-010",
            Self::BuiltWithUnproven { .. } => "E-CLI-011",
            Self::NoBranches(_) => "E-CLI-012",
            Self::Lock(_) => "E-CLI-020",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Syntax { .. }
            | Self::Argument(_)
            | Self::NotEmpty(_)
            | Self::Undeclared(_)
            | Self::Unlocked(_)
            | Self::NoCustom(_)
            | Self::NoBranches(_)
            | Self::Serials { .. }
            | Self::NoBuilder(_) => Kind::Usage,
            Self::Output(_) => Kind::Environment,
            Self::BuiltWithUnproven { .. } => Kind::Refused,
            Self::Conflict(_) => Kind::Conflict,
            Self::NotFound(_) | Self::Unknown { .. } => Kind::Unknown,
            Self::Lock(_) => Kind::Verification,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { hint, .. } => hint.clone(),
            Self::NotEmpty(_) => Some("give a folder that does not exist yet, or an empty one".into()),
            Self::Undeclared(_) => Some("declare it: `assay declare GIT-URL --ref refs/tags/…`".into()),
            Self::NoBuilder(_) => Some(
                "`assay rebuild NAME --plan --issue` prints what builders elsewhere are to run, `--take` takes their answers; for one here make a \
                 key with `assay key new builder`, and add it to the policy"
                    .into(),
            ),
            Self::Unknown { next, .. } => Some((*next).to_owned()),
            Self::NoBranches(archive) => Some(format!(
                "say in `repos/{archive}.toml` which repository's branches and tags have suites: `[branches]` with `git` and \
                 `[[branches.class]]`, as the file that `assay init` writes shows"
            )),
            Self::NoCustom(archive) => Some(format!(
                "admit packages to it, or `assay publish {archive}`; a build that needs none of it says `--without-custom`"
            )),
            Self::BuiltWithUnproven { .. } => Some(
                "get them into a custom archive through the gate, and lock the environment again: `assay env lock`"
                    .into(),
            ),
            Self::Conflict(_) => Some("run the same command again".into()),
            Self::Serials { .. } => Some(
                "give the `serials.json` that `assay prepare --build-dir DIR` wrote: {\"debian\":\"2026112201\",…}"
                    .into(),
            ),
            Self::NotFound(_) => Some(
                "`assay status` lists the archives and their newest snapshots, `assay snapshot list` all snapshots, \
                 `assay suite list` the suites and what each has"
                    .into(),
            ),
            Self::Argument(_) => Some(
                "with `--help` the same command says what it takes, with an example; `assay status` lists the site's archives"
                    .into(),
            ),
            Self::Unlocked(name) => Some(format!("lock it: `assay env lock {name}`")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_verification_is_worse_than_a_broken_network() {
        assert_eq!(worst(&[0, 0]), 0);
        assert_eq!(worst(&[0, 5]), 5);
        assert_eq!(worst(&[5, 3, 4]), 3);
        assert_eq!(worst(&[3, 70]), 70);
    }
}
