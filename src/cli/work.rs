//! What the verbs about one declared source load before they start.

use std::path::Path;
use std::sync::Arc;

use super::context::{Context, custom_archive};
use super::failure::{Failure, UsageError};
use crate::domain::{ArchiveName, PackageName, PolicyName, Sha256, Timestamp};
use crate::environment::Lock;
use crate::format::{json, manifest};
use crate::host::files;
use crate::site::{CustomArchive, Policy, Site};
use crate::source::{Declaration, Signers, SourceKeys, SourcePackage};
use crate::store::Store;
use crate::trust::unverified_text;

/// The largest declaration or lock that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// A site, its store, and one custom archive of it.
pub(super) struct Work {
    pub(super) site: Site,
    pub(super) store: Arc<dyn Store>,
    pub(super) archive: ArchiveName,
    pub(super) custom: CustomArchive,
    pub(super) now: Timestamp,
}

/// A declaration with what it is judged by.
pub(super) struct Declared {
    pub(super) declaration: Declaration,
    pub(super) sha256: Sha256,
    pub(super) policy_name: PolicyName,
    pub(super) policy: Policy,
}

impl Work {
    pub(super) fn open(context: &Context, archive: Option<&ArchiveName>) -> Result<Self, Failure> {
        let site = context.site()?;
        let archive = custom_archive(&site, archive)?;
        let custom = site.custom(&archive)?.clone();
        let store = context.store(&site)?;
        Ok(Self {
            site,
            store,
            archive,
            custom,
            now: context.now(),
        })
    }

    /// A declaration and the policy of its suites.
    pub(super) fn declared(&self, source: &PackageName) -> Result<Declared, Failure> {
        let path = self.site.declaration_path(&self.archive, source);
        if !files::exists(&path) {
            let why = format!(
                "`{}` does not exist: `{source}` is not declared in `{}`",
                path.display(),
                self.archive
            );
            return Err(UsageError::Undeclared(why).into());
        }
        let declaration = Declaration::load(&path)?;
        let (policy_name, policy) = self.policy_of(&declaration)?;
        let sha256 = declaration.identity()?;
        Ok(Declared {
            declaration,
            sha256,
            policy_name,
            policy,
        })
    }

    /// The one policy of the suites that a declaration names.
    pub(super) fn policy_of(&self, declaration: &Declaration) -> Result<(PolicyName, Policy), Failure> {
        let mut names = Vec::new();
        for suite in &declaration.suites {
            let found = self.custom.suites.iter().find(|s| s.name == *suite);
            let found = found.ok_or_else(|| {
                UsageError::Argument(format!("the archive `{}` has no suite `{suite}`", self.archive))
            })?;
            names.push(found.policy.clone());
        }
        names.dedup();
        match names.as_slice() {
            [only] => Ok((only.clone(), self.site.policy(only)?)),
            _ => Err(UsageError::Argument(format!(
                "`{}` names suites of {} policies: one declaration is judged by one",
                declaration.source,
                names.len()
            ))
            .into()),
        }
    }

    /// The keys that may sign sources under a policy.
    pub(super) fn source_keys(&self, policy: &Policy) -> Result<SourceKeys, Failure> {
        Ok(SourceKeys::load(&self.site.public_keys(), &policy.signers)?)
    }

    /// Who may sign under a policy, now.
    pub(super) fn signers<'a>(&self, policy: &'a Policy, keys: &'a SourceKeys) -> Signers<'a> {
        Signers {
            allowed: &policy.signers,
            keys,
            threshold: policy.signer_threshold,
            now: self.now,
        }
    }

    /// Fetches the declared tag or branch and derives the source package again; every field must agree.
    pub(super) fn derive(&self, declared: &Declared) -> Result<SourcePackage, Failure> {
        let declaration = &declared.declaration;
        let repository = crate::source::fetch_declared(declaration, &self.git_cache())?;
        let keys = self.source_keys(&declared.policy)?;
        let signers = self.signers(&declared.policy, &keys);
        Ok(crate::source::check(&repository, declaration, &signers)?)
    }

    /// Where bare repositories are kept.
    pub(super) fn git_cache(&self) -> std::path::PathBuf {
        self.site.cache().join("git")
    }

    /// A source's environment lock, and its identity.
    pub(super) fn lock(&self, source: &PackageName) -> Result<(Lock, Sha256), Failure> {
        let path = self.site.lock_path(&self.archive, source);
        if !files::exists(&path) {
            return Err(UsageError::Unlocked(source.to_string()).into());
        }
        let bytes = files::read(&path, LARGEST)?;
        // The file ends with a newline for Git's sake; the identity is that of the canonical bytes.
        let lock: Lock = json::strict("environment lock", &bytes)?;
        let sha256 = Sha256::of(&json::canonical("environment lock", &lock)?);
        Ok((lock, sha256))
    }
}

/// A list of packages that somebody hands in, without the frame of a signature that nobody checks.
pub(super) struct Unframed {
    /// SHA-256 of the file as it is.
    pub(super) sha256: Sha256,
    /// What it says.
    pub(super) text: Vec<u8>,
}

impl Unframed {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, manifest::LARGEST as u64)?;
        let sha256 = Sha256::of(&bytes);
        let framed = bytes.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----");
        let text = if framed { unverified_text(&bytes)? } else { bytes };
        Ok(Self { sha256, text })
    }
}
