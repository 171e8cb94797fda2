//! What is in the folder of a store and is no object: the store never makes it, but a web server on the folder may
//! hand it out.

use std::fmt;

/// Something in a store's folder that is no object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strange {
    /// Its path below the store's folder, escaped: it may be no key.
    pub name: String,
    /// What it is.
    pub what: Oddity,
}

/// What is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// A symbolic link, wherever it leads.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A folder; in a survey one with nothing in it.
    Folder,
    /// A file or folder whose name is no key.
    Unnamed,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a symbolic link",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Folder => "a folder",
            Self::Unnamed => "something whose name is no key",
        })
    }
}

/// That something else is where an object or a folder of objects would be.
#[derive(Debug, thiserror::Error)]
#[error("{0} is there or on the way there, which the store never makes")]
pub(super) struct NotOurs(pub(super) Oddity);
