//! What the verbs about one declared source load before they start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::{Context, custom_archive};
use super::failure::{Failure, UsageError};
use crate::admission::Terms;
use crate::domain::{ArchiveName, Digest, PackageName, PolicyName, PoolPath, Sha256, SuiteName, Timestamp};
use crate::environment::Lock;
use crate::format::{json, manifest};
use crate::host::{Clock, files};
use crate::publish::{self, Gate, Journal, StoreFiles, Target, Unfetched, Writer};
use crate::rebuild;
use crate::site::{ArchiveConfig, CustomArchive, Policy, Rebuild, Site};
use crate::snapshot::{Chain, SuiteState};
use crate::source::{Declaration, Packed, Repository, Signers, SourceError, SourceKeys, SourcePackage};
use crate::store::Store;
use crate::trust::{Ed25519Key, unframed_text};
use crate::upstream::{Client, Limits, Sums, fetch_pool_file};

/// This program and its version, as it signs.
pub(super) const PROGRAM: &str = concat!("assay ", env!("CARGO_PKG_VERSION"));
/// The largest declaration or lock that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// A site, its store, and one custom archive of it.
pub(super) struct Work {
    pub(super) site: Site,
    pub(super) store: Arc<dyn Store>,
    pub(super) archive: ArchiveName,
    pub(super) custom: CustomArchive,
    /// Where this machine keeps what its gate signed.
    pub(super) decided: PathBuf,
    pub(super) now: Timestamp,
    pub(super) clock: Clock,
}

/// A declaration with what it is judged by.
pub(super) struct Declared {
    pub(super) declaration: Declaration,
    pub(super) sha256: Sha256,
    pub(super) policy_name: PolicyName,
    pub(super) policy: Policy,
    /// The suites that it is judged for.
    pub(super) suites: Vec<SuiteName>,
    /// What else counts there.
    pub(super) terms: Terms,
}

impl Work {
    pub(super) fn open(context: &Context, archive: Option<&ArchiveName>) -> Result<Self, Failure> {
        let site = context.site()?;
        let archive = custom_archive(&site, archive)?;
        let custom = site.custom(&archive)?.clone();
        let store = context.store(&site)?;
        let work = Self {
            decided: site.cache().join("decided"),
            site,
            store,
            archive,
            custom,
            now: context.now(),
            clock: context.clock,
        };
        work.sweep(context);
        Ok(work)
    }

    /// Removes what killed runs left in the cache and beside declarations. What cannot be removed is said, and is in
    /// nobody's way.
    fn sweep(&self, context: &Context) {
        let (cache, sealed) = (self.site.cache(), self.sealed());
        let mut folders = vec![
            cache.join("work"),
            cache.join("git"),
            cache.join("chroots"),
            sealed.join("incoming"),
        ];
        folders.push(self.site.root().join("repos").join(self.archive.as_str()));
        let bases = files::list(&cache.join("chroots")).unwrap_or_default();
        let is_base = |path: &std::path::PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("base-"))
        };
        folders.extend(bases.into_iter().filter(is_base));
        for folder in folders {
            if let Err(error) = rebuild::sweep(&folder, Clock::System.now()) {
                context
                    .output
                    .note(&format!("what a killed run left is still there: {error}"));
            }
        }
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
        let (policy_name, policy) = self.policy_of(&declaration.suites)?;
        let sha256 = declaration.identity()?;
        Ok(Declared {
            suites: declaration.suites.clone(),
            terms: self.terms_of(&declaration.suites)?,
            declaration,
            sha256,
            policy_name,
            policy,
        })
    }

    /// A declaration for suites that it does not name itself, or for some of those that it does; and when it is
    /// rebuilt for them.
    pub(super) fn declared_for(
        &self,
        source: &PackageName,
        suites: &[SuiteName],
    ) -> Result<(Declared, Rebuild), Failure> {
        let declaration = Declaration::load(&self.site.declaration_path(&self.archive, source))?;
        let (policy_name, policy) = self.policy_of(suites)?;
        let chain = Chain::load(self.store.as_ref(), &self.archive)?;
        let mut rebuild = Rebuild::Missing;
        for suite in suites {
            let states = chain.latest().into_iter().flat_map(|record| &record.suites);
            let made = states
                .filter(|state| state.suite == *suite)
                .find_map(SuiteState::made_for);
            let rules = self.custom.rules_of(suite, made.map(|made| &made.reference));
            match rules.map(|rules| rules.rebuild) {
                Some(Rebuild::Never) => rebuild = Rebuild::Never,
                Some(other) if rebuild != Rebuild::Never => rebuild = other,
                _ => {}
            }
        }
        let declared = Declared {
            sha256: declaration.identity()?,
            terms: self.terms_of(suites)?,
            suites: suites.to_vec(),
            declaration,
            policy_name,
            policy,
        };
        Ok((declared, rebuild))
    }

    /// The one policy of suites. Without any it is that of the first class of branches: of a declaration that
    /// is for the suites of branches.
    pub(super) fn policy_of(&self, suites: &[SuiteName]) -> Result<(PolicyName, Policy), Failure> {
        let mut names = BTreeSet::new();
        let classes = self.custom.branches.iter().flat_map(|branches| &branches.classes);
        if suites.is_empty() {
            names.extend(classes.map(|class| &class.policy).take(1));
        }
        let all_named = suites.iter().all(|suite| self.custom.rules_of(suite, None).is_some());
        let chain = (!all_named)
            .then(|| Chain::load(self.store.as_ref(), &self.archive))
            .transpose()?;
        for suite in suites {
            let states = chain.iter().filter_map(Chain::latest).flat_map(|record| &record.suites);
            let made = states
                .filter(|state| state.suite == *suite)
                .find_map(SuiteState::made_for);
            let rules = self.custom.rules_of(suite, made.map(|made| &made.reference));
            let rules = rules.ok_or_else(|| {
                UsageError::Argument(format!("the archive `{}` has no suite `{suite}`", self.archive))
            })?;
            names.insert(rules.policy);
        }
        let count = names.len();
        match names.into_iter().next() {
            Some(only) if count == 1 => Ok((only.clone(), self.site.policy(only)?)),
            None => Err(UsageError::Argument("no suite is named: name one with `--suite`".to_owned()).into()),
            _ => Err(UsageError::Argument(format!(
                "its suites are under {count} policies: one declaration is judged by one"
            ))
            .into()),
        }
    }

    /// What counts beside the policy in suites of branches and tags.
    fn terms_of(&self, suites: &[SuiteName]) -> Result<Terms, Failure> {
        let mut terms = Terms::default();
        if suites.iter().all(|suite| self.custom.rules_of(suite, None).is_some()) {
            return Ok(terms);
        }
        let chain = Chain::load(self.store.as_ref(), &self.archive)?;
        let states = chain
            .latest()
            .iter()
            .flat_map(|record| &record.suites)
            .cloned()
            .collect::<Vec<_>>();
        for state in states.iter().filter(|state| suites.contains(&state.suite)) {
            terms.fresh_since = terms.fresh_since.max(self.target(state)?.terms.fresh_since);
        }
        Ok(terms)
    }

    /// All keys that sign for the archive.
    pub(super) fn archive_signers(&self) -> Result<publish::Signers, Failure> {
        Ok(publish::Signers::of(&self.site, &self.archive, self.now)?)
    }

    /// Who makes the archive's next snapshot.
    pub(super) fn writer<'a>(&'a self, signer: &'a publish::Signers) -> Result<Writer<'a>, Failure> {
        Ok(Writer {
            store: self.store.as_ref(),
            archive: &self.archive,
            config: &self.custom,
            public_url: self.site.config().public_url.as_str(),
            signer,
            gate: self.site.gate_public()?,
            program: PROGRAM,
            clock: self.clock,
        })
    }

    /// Where and with which keys the gate works.
    pub(super) fn gate<'a>(&'a self, key: &'a Ed25519Key, signer: &'a publish::Signers) -> Gate<'a> {
        Gate {
            store: self.store.as_ref(),
            archive: &self.archive,
            config: &self.custom,
            public_url: self.site.config().public_url.as_str(),
            key,
            signer,
            program: PROGRAM,
            clock: self.clock,
            journal: Some(Journal(&self.decided)),
        }
    }

    /// A suite that something goes to, with what governs it.
    pub(super) fn target(&self, state: &SuiteState) -> Result<Target, Failure> {
        let made = state.made_for();
        let rules = self.custom.rules_of(&state.suite, made.map(|made| &made.reference));
        let rules = rules.ok_or_else(|| {
            let (suite, archive) = (&state.suite, &self.archive);
            UsageError::Argument(format!("`repos/{archive}.toml` has no policy for the suite `{suite}`"))
        })?;
        let own = made.filter(|_| rules.rebuild == Rebuild::Always);
        Ok(Target {
            suite: state.suite.clone(),
            policy: self.site.policy(rules.policy)?,
            policy_name: rules.policy.clone(),
            terms: Terms {
                fresh_since: own.map(|made| made.since),
                ..Terms::default()
            },
        })
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
        self.derive_with(declared, None)
    }

    /// As `derive`, for a rebuild: tarballs of the declared SHA-256 and the derived content that were packed before
    /// are not packed again. Whoever judges a source packs it anew.
    pub(super) fn derive_to_build(&self, declared: &Declared) -> Result<SourcePackage, Failure> {
        let folder = self.site.cache().join("packed");
        let packed = Packed {
            folder: &folder,
            declared: &declared.declaration.files,
        };
        self.derive_with(declared, Some(packed))
    }

    /// Fetches what a declaration needs, from where its repository is now.
    pub(super) fn fetch_declared(&self, declaration: &Declaration) -> Result<Repository, SourceError> {
        let url = self.site.config().moved_git.now(&declaration.git);
        crate::source::fetch_declared(declaration, &url, &self.git_cache())
    }

    fn derive_with(&self, declared: &Declared, packed: Option<Packed<'_>>) -> Result<SourcePackage, Failure> {
        let declaration = &declared.declaration;
        let repository = self.fetch_declared(declaration)?;
        let keys = self.source_keys(&declared.policy)?;
        let signers = self.signers(&declared.policy, &keys);
        self.with_files(|files| {
            let files = StoreFiles { packed, ..*files };
            Ok(crate::source::check(&repository, declaration, &signers, &files)?)
        })
    }

    /// Does `work` with the files that sources may take from elsewhere than Git: what the store lacks of a
    /// mirror's pool is fetched.
    pub(super) fn with_files<T>(&self, work: impl FnOnce(&StoreFiles<'_>) -> T) -> T {
        let store = self.store.as_ref();
        let keyrings = |name: &ArchiveName| match self.site.archive(name) {
            Ok(ArchiveConfig::Unproven(_)) => Err(format!("`{name}` is unproven: no source stands on it")),
            _ => self.site.archive_keyring(name).map_err(|error| error.to_string()),
        };
        let fetch = |name: &ArchiveName, path: &PoolPath, digest: &Digest| {
            let mirror = self.site.mirror(name).map_err(|error| Unfetched::of(&error))?;
            let uri = super::mirror::upstream_uri(&self.site, name).map_err(|error| Unfetched::of(error.error()))?;
            let client = Client::new(&uri, Limits::of(mirror)).map_err(|error| Unfetched::of(&error))?;
            fetch_pool_file(&client, store, name, path, &Sums::sha256(*digest)).map_err(|error| Unfetched::of(&error))
        };
        work(&StoreFiles {
            store,
            archive: &self.archive,
            keyrings: &keyrings,
            fetch: Some(&fetch),
            packed: None,
        })
    }

    /// Where bare repositories are kept.
    pub(super) fn git_cache(&self) -> std::path::PathBuf {
        self.site.cache().join("git")
    }

    /// Where answers wait until they may be shown.
    pub(super) fn sealed(&self) -> std::path::PathBuf {
        self.site.cache().join("sealed").join(self.archive.as_str())
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
        let named = lock.snapshots.iter().map(|snapshot| &snapshot.archive);
        let mut named = named.chain(lock.packages.iter().map(|package| &package.archive));
        if let Some(name) = named.find(|name| self.site.unproven(name).is_ok()) {
            return Err(UsageError::BuiltWithUnproven {
                path: path.display().to_string(),
                archive: name.clone(),
            }
            .into());
        }
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
        let text = unframed_text(&bytes)?;
        Ok(Self { sha256, text })
    }
}
