//! What custom archives have and unproven ones lack: a gate. One struct says all else of both
//! ([`super::OwnArchive`]), and this which fields each kind may have.

use std::fmt::{self, Debug};

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OwnArchive, Rebuild};
use crate::domain::{ArchiveName, PublicUrl};

/// A value that a file of the site can have.
pub trait Part: Debug + Clone + Eq + Serialize + DeserializeOwned {}

impl<T: Debug + Clone + Eq + Serialize + DeserializeOwned> Part for T {}

/// A kind of archive whose indexes we make.
pub trait OwnKind: Debug + Clone + Copy + Eq {
    /// What belongs to the gate: there where it is, and [`Absent`] where it is not.
    type Gate<T: Part>: Part;

    /// Whether packages get in by the gate's decisions alone.
    const GATED: bool;

    /// What counts where `rebuild` is not given.
    fn rebuild() -> Self::Gate<Rebuild>;
}

/// Of an archive with a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gated;

/// Of an archive without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ungated;

impl OwnKind for Gated {
    type Gate<T: Part> = T;
    const GATED: bool = true;
    fn rebuild() -> Rebuild {
        Rebuild::default()
    }
}

impl OwnKind for Ungated {
    type Gate<T: Part> = Absent;
    const GATED: bool = false;
    fn rebuild() -> Absent {
        Absent
    }
}

/// A field of the gate in an archive that has none: whoever writes it believes that something is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent;

impl Serialize for Absent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct None;
        impl<'de> Visitor<'de> for None {
            type Value = Absent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing")
            }
            fn visit_none<E: serde::de::Error>(self) -> Result<Absent, E> {
                Ok(Absent)
            }
            fn visit_some<D: Deserializer<'de>>(self, _: D) -> Result<Absent, D::Error> {
                Err(D::Error::custom("an unproven archive has no gate, and so not this"))
            }
        }
        deserializer.deserialize_option(None)
    }
}

impl<K: OwnKind> OwnArchive<K> {
    /// Where clients find the changelogs that are in the pool, unless the archive's file says otherwise.
    pub(super) fn say_where_changelogs_are(&mut self, name: &ArchiveName, public_url: &PublicUrl) {
        if self.extract_changelogs && self.changelogs.is_none() {
            let url = public_url.as_str().trim_end_matches('/');
            self.changelogs = Some(format!("{url}/{name}/pool/@CHANGEPATH@_changelog"));
        }
    }

    /// What is wrong with what every archive of ours says, in one line.
    pub(super) fn check_shape(&self) -> Result<(), String> {
        if self.components.is_empty() || self.architectures.is_empty() {
            return Err("`components` and `architectures` must not be empty".to_owned());
        }
        if let Some(debug) = self
            .dbgsym_component
            .as_ref()
            .filter(|debug| !self.components.contains(debug))
        {
            return Err(format!(
                "`dbgsym-component` is `{debug}`, which is not among `components`"
            ));
        }
        // apt takes it for both.
        if let Some(suite) = self
            .suites
            .iter()
            .find(|suite| suite.but_automatic_upgrades && !suite.not_automatic)
        {
            return Err(format!(
                "the suite `{}` has `but-automatic-upgrades`, which goes only with `not-automatic`",
                suite.name
            ));
        }
        if self
            .changelogs
            .as_deref()
            .is_some_and(|url| url != "no" && !url.contains("@CHANGEPATH@"))
        {
            return Err("`changelogs` is neither `no` nor a URL with `@CHANGEPATH@`".to_owned());
        }
        Ok(())
    }
}
