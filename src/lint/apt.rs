//! Which apt.

use std::fmt;

use serde::{Serialize, Serializer};

/// A generation of apt, by what it verifies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Apt {
    /// apt 2.6 of bookworm, which asks gpgv.
    Gpgv,
    /// apt 3.0 of trixie, which asks sqv.
    Sqv,
}

impl Apt {
    /// All that are judged, in order.
    pub const ALL: [Self; 2] = [Self::Gpgv, Self::Sqv];

    /// As people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpgv => "apt-2.6",
            Self::Sqv => "apt-3.0",
        }
    }
}

impl fmt::Display for Apt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Apt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
