//! `[override]` of a custom archive: what its indexes say of a package instead of its own control file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{PackageName, Section};

/// Overrides by binary package.
pub type Overrides = BTreeMap<PackageName, Override>;

/// What the indexes say of a binary package; what is absent its control file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Override {
    /// `Section`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<Section>,
    /// `Priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// Priorities (Debian Policy §2.5) that a site may give. Those of which every system has all packages are not among
/// them: whether a package may have one is for rule A8 to say, which reads its control file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// On systems that are not kept small.
    Standard,
    /// On systems that ask for it.
    Optional,
    /// The same, as it was called before.
    Extra,
}

impl Priority {
    /// As the field says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Optional => "optional",
            Self::Extra => "extra",
        }
    }
}
