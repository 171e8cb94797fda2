//! What keeps unproven archives apart from all others: nobody can take one for another, and no policy lets anything in by
//! one's signature.

use std::collections::BTreeSet;

use super::load::nested;
use super::{ArchiveConfig, Policy, Signing, Site, UnprovenArchive};
use crate::domain::{Fingerprint, SuiteName};

impl Site {
    /// Clients must never take it for another archive: its keys and its `Origin` are its own.
    pub(super) fn check_unproven(&self, unproven: &UnprovenArchive) -> Result<(), String> {
        unproven.check_shape()?;
        if unproven.suites.is_empty() {
            return Err("it needs a `[[suite]]`".to_owned());
        }
        let names: Vec<SuiteName> = unproven.suites.iter().map(|suite| suite.name.clone()).collect();
        if let Some((outer, inner)) = nested(&names) {
            return Err(format!(
                "the files of the suite `{inner}` would lie among those of `{outer}`: give it another name"
            ));
        }
        let own = all_keys(unproven.signing_key.as_str(), &unproven.signing);
        for (other, archive) in self.archives() {
            let theirs = match archive {
                ArchiveConfig::Unproven(_) => continue,
                ArchiveConfig::Mirror(mirror) => {
                    let mut keys = all_keys(mirror.signing_key.as_str(), &mirror.signing);
                    keys.extend(mirror.signers.iter().map(Fingerprint::as_str));
                    keys
                }
                ArchiveConfig::Custom(custom) => {
                    if custom.origin.eq_ignore_ascii_case(&unproven.origin) {
                        return Err(format!(
                            "its `origin` is also that of `{other}`, whose packages are proven"
                        ));
                    }
                    all_keys(custom.signing_key.as_str(), &custom.signing)
                }
            };
            if let Some(key) = own.intersection(&theirs).next() {
                return Err(format!(
                    "the key `{key}` is also one of `{other}`: an unproven archive has keys of its own"
                ));
            }
        }
        Ok(())
    }

    /// An unproven archive's signature says that its operator wanted it, which is no reason to import.
    pub(super) fn check_imports(&self, policy: &Policy) -> Result<(), String> {
        for (name, archive) in self.archives() {
            let ArchiveConfig::Unproven(unproven) = archive else {
                continue;
            };
            let own = all_keys(unproven.signing_key.as_str(), &unproven.signing);
            let by_it = |key: &Fingerprint| own.contains(key.as_str());
            let rules = &policy.imports;
            if rules
                .iter()
                .any(|rule| rule.archive == *name || rule.signers.iter().any(by_it))
            {
                return Err(format!("would import from `{name}`, which is unproven"));
            }
        }
        Ok(())
    }
}

/// Every key that an archive names: clients may take its Release by it, or did.
fn all_keys<'a>(signing_key: &'a str, signing: &'a Signing) -> BTreeSet<&'a str> {
    let others = signing.further_keys.iter().chain(&signing.former_keys);
    let named = signing.signed_by.iter().map(|key| key.as_str().trim_end_matches('!'));
    std::iter::once(signing_key)
        .chain(others.map(Fingerprint::as_str))
        .chain(named)
        .collect()
}
