//! What went wrong, in a form that the command line can turn into an exit code and a next step.

use std::fmt;

/// What kind of failure an error is. The command line maps it to an exit code (DESIGN §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A policy said no. Exit 1.
    Refused,
    /// The caller or a configuration file is wrong. Exit 2.
    Usage,
    /// A signature, hash or format did not hold. Exit 3.
    Verification,
    /// Somebody else was faster; trying again may help. Exit 4.
    Conflict,
    /// Disk, network, or a program that is missing. Exit 5.
    Environment,
    /// There is not enough evidence to say. Exit 6.
    Unknown,
    /// A bug of ours. Exit 70.
    Bug,
}

impl Kind {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Verification => 3,
            Self::Conflict => 4,
            Self::Environment => 5,
            Self::Unknown => 6,
            Self::Bug => 70,
        }
    }
}

/// An error with a stable code, such as `E-SIG-004`, that scripts and tests may rely on.
pub trait Coded: std::error::Error {
    /// The stable code. Never reused for another cause.
    fn code(&self) -> &'static str;
    /// The kind, which gives the exit code.
    fn kind(&self) -> Kind;
    /// What the user can do next, when there is something.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// A value from outside that is not what its type allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: {why}")]
pub struct DomainError {
    what: &'static str,
    value: String,
    why: &'static str,
}

impl DomainError {
    pub(crate) fn new(what: &'static str, value: &str, why: &'static str) -> Self {
        Self {
            what,
            value: escape(value),
            why,
        }
    }
}

impl Coded for DomainError {
    fn code(&self) -> &'static str {
        "E-NAME-001"
    }
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Text from outside, made safe for a terminal or a log: control and bidirectional-override
/// characters are escaped, and what is longer than 200 characters is cut.
#[must_use]
pub fn escape(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidi {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Usage => "usage",
            Self::Verification => "verification",
            Self::Conflict => "conflict",
            Self::Environment => "environment",
            Self::Unknown => "unknown",
            Self::Bug => "bug",
        })
    }
}
