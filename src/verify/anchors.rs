//! What a verifier trusts: keys and policies from the site's Git tree, nothing from the store.

use std::collections::BTreeMap;

use super::VerifyError;
use crate::domain::{ArchiveName, Fingerprint, PolicyName, PublicUrl};
use crate::publish::{PublishError, read_vouched};
use crate::site::{ArchiveConfig, CustomArchive, MirrorArchive, Policy, Site, UnprovenArchive};
use crate::snapshot::Chain;
use crate::store::Store;
use crate::trust::{Ed25519Public, Keyring};

/// All that a verifier trusts.
#[derive(Debug)]
pub struct Anchors {
    /// One for each archive of the site.
    pub archives: Vec<Anchor>,
    /// The key that decisions must be signed by.
    pub gate: Ed25519Public,
    /// The keys of upstreams that policies let packages be imported from, as far as the site has them.
    pub imports: Option<Keyring>,
}

/// What a verifier trusts about one archive.
#[derive(Debug)]
pub struct Anchor {
    /// The archive.
    pub name: ArchiveName,
    /// The keys that its Release files and records are signed by, and those that signed before.
    pub keyring: Keyring,
    /// What else its kind brings.
    pub kind: AnchorKind,
    /// Where the site's archives are served, as `Snapshots` of the newest Release files must say; none where that is not known.
    pub public_url: Option<PublicUrl>,
}

/// What a verifier trusts about one kind of archive.
#[derive(Debug)]
pub enum AnchorKind {
    /// A mirror.
    Mirror {
        /// What the site says of it: whose archive it is, and how long its Release files are valid.
        config: Box<MirrorArchive>,
        /// The keys that upstream's Release files must be signed by.
        upstream: Keyring,
        /// How many of them.
        threshold: u32,
    },
    /// A custom archive.
    Custom {
        /// What the site says of it: which policy each suite is under.
        config: Box<CustomArchive>,
        /// The policies of its suites.
        policies: BTreeMap<PolicyName, Policy>,
    },
    /// An unproven archive: nothing but its own keys.
    Unproven {
        /// What the site says of it.
        config: Box<UnprovenArchive>,
    },
}

impl Anchor {
    /// Whether it is a custom archive.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self.kind, AnchorKind::Custom { .. })
    }

    /// Whether it is an unproven archive.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        matches!(self.kind, AnchorKind::Unproven { .. })
    }

    /// The keys that sign for it now.
    #[must_use]
    pub fn signing_keys(&self) -> Vec<Fingerprint> {
        let (first, signing) = match &self.kind {
            AnchorKind::Mirror { config, .. } => (&config.signing_key, &config.signing),
            AnchorKind::Custom { config, .. } => (&config.signing_key, &config.signing),
            AnchorKind::Unproven { config } => (&config.signing_key, &config.signing),
        };
        std::iter::once(first).chain(&signing.further_keys).cloned().collect()
    }

    /// Their certificates alone: what is newest must be signed by these.
    ///
    /// # Errors
    /// When the keyring lacks one.
    pub fn present(&self) -> Result<Keyring, PublishError> {
        Ok(self.keyring.restricted_to(&self.signing_keys())?)
    }

    /// The archive's chain, whose newest record one of these keys vouches for.
    ///
    /// # Errors
    /// As `read_vouched`.
    pub fn chain(&self, store: &dyn Store) -> Result<Chain, PublishError> {
        read_vouched(store, &self.name, &self.present()?)
    }

    /// The policy of that name, of a custom archive.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        let AnchorKind::Custom { policies, .. } = &self.kind else {
            return None;
        };
        let found = policies.iter().find(|(policy, _)| policy.as_str() == name);
        found.map(|(_, policy)| policy)
    }

    /// All its policies; a mirror has none.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.named_policies().map(|(_, policy)| policy)
    }

    /// The same, each with its name.
    pub fn named_policies(&self) -> impl Iterator<Item = (&PolicyName, &Policy)> {
        let policies = match &self.kind {
            AnchorKind::Custom { policies, .. } => Some(policies.iter()),
            AnchorKind::Mirror { .. } | AnchorKind::Unproven { .. } => None,
        };
        policies.into_iter().flatten()
    }
}

impl Anchors {
    /// Reads the keys and policies of a site.
    ///
    /// # Errors
    /// When one of them is missing or malformed.
    pub fn from_site(site: &Site) -> Result<Self, VerifyError> {
        let anchor = |(name, archive): (&ArchiveName, &ArchiveConfig)| {
            let kind = match archive {
                ArchiveConfig::Mirror(mirror) => {
                    let upstream = site.upstream_keyring(mirror)?;
                    AnchorKind::Mirror {
                        config: Box::new(mirror.clone()),
                        upstream,
                        threshold: mirror.threshold,
                    }
                }
                ArchiveConfig::Custom(custom) => {
                    let policies = custom.policies().map(|name| Ok((name.clone(), site.policy(name)?)));
                    AnchorKind::Custom {
                        config: Box::new(custom.clone()),
                        policies: policies.collect::<Result<_, VerifyError>>()?,
                    }
                }
                ArchiveConfig::Unproven(unproven) => AnchorKind::Unproven {
                    config: Box::new(unproven.clone()),
                },
            };
            Ok(Anchor {
                name: name.clone(),
                keyring: site.proving_keyring(name)?,
                kind,
                public_url: Some(site.config().public_url.clone()),
            })
        };
        let archives: Vec<Anchor> = site.archives().iter().map(anchor).collect::<Result<_, VerifyError>>()?;
        Ok(Self {
            imports: site.import_keyring(archives.iter().flat_map(Anchor::policies))?,
            archives,
            gate: site.gate_public()?,
        })
    }

    /// The anchor of one archive.
    #[must_use]
    pub fn archive(&self, name: &ArchiveName) -> Option<&Anchor> {
        self.archives.iter().find(|anchor| anchor.name == *name)
    }
}
