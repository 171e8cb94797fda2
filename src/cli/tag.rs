//! `assay tag`: a name for a state of every archive named, kept until it is let go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::args::TagArgs;
use super::context::{Context, nonce};
use super::failure::{Each, Failure, Later, UsageError};
use super::mirror::{made, upstream_uri};
use super::sources::{latest_of, none_yet};
use super::work::Unframed;
use crate::collect::Working;
use crate::domain::{ArchiveName, Digest, Kind, PoolPath, SnapshotName, SnapshotRef, TagName};
use crate::environment::Lock;
use crate::format::json;
use crate::format::manifest::Manifest;
use crate::format::site_lock::SiteLock;
use crate::publish::{self, Part, PublishError, Tagging, is_new_tag, load_vouched, select_packages};
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::{Chain, Record, SuiteState};
use crate::store::{Key, Store};
use crate::upstream::{Client, Limits, fill_pool, lacking, was_filled};

#[derive(Serialize)]
struct Tagged<'a> {
    tag: &'a str,
    archive: &'a ArchiveName,
    serial: &'a str,
    partial: bool,
    state: &'static str,
}

#[derive(Serialize)]
struct NotFound<'a> {
    missing: &'a str,
    version: &'a str,
    architecture: String,
    source_of: Option<&'a str>,
}

pub(super) fn run(context: &Context, args: &TagArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    if site
        .archives()
        .keys()
        .any(|archive| archive.as_str() == args.tag.as_str())
    {
        let why = format!(
            "`{}` is an archive of this site: URLs could not tell the two apart",
            args.tag
        );
        return Err(UsageError::Argument(why).into());
    }
    let tags = Tags {
        context,
        site: &site,
        store: &store,
        args,
        each: Each::of(context, site.archives().len()),
        working: Vec::new(),
        failed: Vec::new(),
    };
    if args.manifests.is_empty() {
        tags.named()
    } else {
        tags.partial()
    }
}

/// That no archive has the name of a tag that was made before it: the tag's URLs would be the archive's.
pub(super) fn check_names(site: &Site, store: &dyn Store) -> Result<(), Failure> {
    for archive in site.archives().keys() {
        let Ok(tag) = archive.as_str().parse::<TagName>() else {
            continue;
        };
        for tagged in site.archives().keys() {
            if store.head(&Key::tag(tagged, &tag))?.is_some() {
                let why = format!(
                    "the archive `{archive}` has the name of a tag of `{tagged}`: URLs could not tell the two apart; \
                     name the file `repos/{archive}.toml` otherwise"
                );
                return Err(UsageError::Argument(why).into());
            }
        }
    }
    Ok(())
}

/// The tag of one archive, before it is made.
struct Ready {
    of: Record,
    suites: Vec<SuiteState>,
    /// The pool files that it names, when it is partial.
    files: Option<BTreeMap<PoolPath, Digest>>,
}

/// A tag that is being made, archive by archive: what is wrong with one is said, and keeps no other from having it.
struct Tags<'a> {
    context: &'a Context,
    site: &'a Site,
    store: &'a Arc<dyn Store>,
    args: &'a TagArgs,
    each: Each<'a>,
    working: Vec<Working>,
    /// Archives that do not have it.
    failed: Vec<ArchiveName>,
}

impl Tags<'_> {
    /// What was done for an archive; none when it failed, which is said.
    fn done<T>(&mut self, archive: &ArchiveName, done: Result<T, Failure>) -> Result<Option<T>, Failure> {
        let done = self.each.done(archive, done)?;
        if done.is_none() {
            self.failed.push(archive.clone());
        }
        Ok(done)
    }

    /// An archive's chain, with a note that it is written to until the verb ends.
    fn open(&mut self, archive: &ArchiveName) -> Result<Chain, Failure> {
        self.working.push(self.context.writing(self.store, archive, "tag")?);
        let keyring = self.site.archive_keyring(archive)?;
        Ok(load_vouched(self.store.as_ref(), archive, &keyring)?)
    }

    /// Tags what a lock names, or the command line, or the latest of every archive.
    fn named(mut self) -> Result<ExitCode, Failure> {
        let references = match &self.args.lock {
            Some(file) => super::lock::references(self.site, self.store.as_ref(), file)?,
            None => self.args.snapshots.clone(),
        };
        if !references.is_empty() {
            return self.whole(&references);
        }
        let mut ready = Vec::new();
        for archive in self.site.archives().keys() {
            let found = self.latest(archive);
            ready.extend(self.done(archive, found)?.flatten());
        }
        if ready.is_empty() && self.failed.is_empty() {
            return Err(none_yet());
        }
        self.make(ready)
    }

    fn latest(&mut self, archive: &ArchiveName) -> Result<Option<Ready>, Failure> {
        let chain = self.open(archive)?;
        let reference = latest_of(self.context, archive, &chain);
        reference.map(|of| self.ready(&chain, &of.name)).transpose()
    }

    fn ready(&self, chain: &Chain, name: &SnapshotName) -> Result<Ready, Failure> {
        let of = chain.resolve(self.store.as_ref(), name)?;
        Ok(Ready {
            suites: of.suites.clone(),
            of,
            files: None,
        })
    }

    /// Tags whole snapshots.
    fn whole(mut self, references: &[SnapshotRef]) -> Result<ExitCode, Failure> {
        self.each = Each::of(self.context, references.len());
        let mut ready = Vec::new();
        for SnapshotRef { archive, name } in references {
            let found = self.open(archive).and_then(|chain| self.ready(&chain, name));
            ready.extend(self.done(archive, found)?);
        }
        self.make(ready)
    }

    /// Tags what manifests name.
    fn partial(mut self) -> Result<ExitCode, Failure> {
        let store = self.store.as_ref();
        let manifest = read_manifests(self.site, store, &self.args.manifests)?;
        if manifest.binaries.is_empty() && manifest.sources.is_empty() {
            return self.only_snapshots(&manifest);
        }
        let snapshots = self.snapshots(&manifest)?;
        // A package may be in what cannot be read, and in no other archive: nobody could say what the tag has.
        if !self.failed.is_empty() {
            return self.end();
        }
        let selection = select_packages(store, snapshots, &manifest)?;
        let output = &self.context.output;
        for missing in &selection.unsourced {
            output.note(&format!("no archive that has it offers sources: {missing}"));
        }
        if !selection.missing.is_empty() {
            for missing in &selection.missing {
                let package = &missing.package;
                let shown = NotFound {
                    missing: package.package.as_str(),
                    version: package.version.as_str(),
                    architecture: package.architecture.to_string(),
                    source_of: missing.source_of.as_deref(),
                };
                output.record(&shown, &format!("not found: {missing}"))?;
            }
            let count = selection.missing.len();
            output.note(&format!(
                "{count} packages are in none of the snapshots: no tag was made. `--snapshot ARCHIVE@ID` looks in an older one"
            ));
            return Ok(ExitCode::from(Kind::Refused.exit_code()));
        }
        let mut ready = Vec::new();
        for part in selection.parts {
            let archive = part.of.archive.clone();
            ready.extend(self.done(&archive, staged(store, part))?);
        }
        self.make(ready)
    }

    /// Tags the snapshots that manifests name, when they name no package: as locks do that have no admitted source.
    fn only_snapshots(self, manifest: &Manifest) -> Result<ExitCode, Failure> {
        let reference = |(archive, name): (&ArchiveName, &Option<SnapshotName>)| {
            name.clone().map(|name| SnapshotRef {
                archive: archive.clone(),
                name,
            })
        };
        let references: Vec<SnapshotRef> = manifest.origins.iter().filter_map(reference).collect();
        if references.is_empty() {
            let why = "the manifests name neither a package nor a snapshot: there is nothing to tag";
            return Err(UsageError::Argument(why.to_owned()).into());
        }
        self.context.output.note(
            "the manifests name no package, only snapshots: these are tagged whole; next: to tag less, give the list of what \
             was used as well, such as `--manifest image.build-manifest`",
        );
        self.whole(&references)
    }

    /// The snapshot of each archive: what the manifests say, else what the command line says, else the latest.
    fn snapshots(&mut self, manifest: &Manifest) -> Result<Vec<Record>, Failure> {
        let (site, store) = (self.site, self.store.as_ref());
        let named = manifest
            .origins
            .keys()
            .chain(self.args.snapshots.iter().map(|reference| &reference.archive));
        for archive in named {
            site.archive(archive)?;
        }
        let mut records = Vec::new();
        let locked = self.args.lock.as_ref();
        let locked = locked
            .map(|file| super::lock::references(site, store, file))
            .transpose()?;
        let given = locked.unwrap_or_else(|| self.args.snapshots.clone());
        for archive in site.archives().keys() {
            let given = given.iter().find(|reference| reference.archive == *archive);
            let given = given.map(|reference| reference.name.clone());
            let name = manifest.origins.get(archive).cloned().flatten().or(given);
            let found = self.snapshot(archive, name);
            let found = found.and_then(|found| match found {
                None if manifest.origins.contains_key(archive) => {
                    let why = format!(
                        "a manifest names `{archive}`, which has no snapshot yet: run `assay mirror {archive}` first"
                    );
                    Err(UsageError::NotFound(why).into())
                }
                found => Ok(found),
            });
            records.extend(self.done(archive, found)?.flatten());
        }
        Ok(records)
    }

    fn snapshot(&mut self, archive: &ArchiveName, name: Option<SnapshotName>) -> Result<Option<Record>, Failure> {
        let chain = self.open(archive)?;
        let name = name.or_else(|| latest_of(self.context, archive, &chain).map(|of| of.name));
        Ok(name.map(|name| chain.resolve(self.store.as_ref(), &name)).transpose()?)
    }

    /// Makes the tag of every archive, or of none when one has it with other content: the name is that of a set.
    fn make(mut self, ready: Vec<Ready>) -> Result<ExitCode, Failure> {
        let mut free = true;
        let mut tagging = Vec::new();
        for one in ready {
            let new = is_new_tag(self.store.as_ref(), &self.tagging_of(&one));
            free &= !matches!(new, Err(PublishError::TagTaken(_) | PublishError::TagGone { .. }));
            let archive = one.of.archive.clone();
            tagging.extend(self.done(&archive, new.map(|_| one).map_err(Failure::from))?);
        }
        if !free {
            tagging.clear();
        }
        let mut later = Later::default();
        for one in tagging {
            let made = self.one(&one);
            self.done(&one.of.archive, later.of(made))?;
        }
        self.end_with(later)
    }

    fn end(self) -> Result<ExitCode, Failure> {
        self.end_with(Later::default())
    }

    fn end_with(self, later: Later) -> Result<ExitCode, Failure> {
        for archive in &self.failed {
            let tag = &self.args.tag;
            self.context.output.note(&format!(
                "`{tag}` was not made for {archive}; next: mend what is said, and tag the same snapshots once more"
            ));
        }
        self.each.end(later.end())
    }

    /// Makes the tag of one archive, once what it needs is here.
    fn one(&self, ready: &Ready) -> Result<(), Failure> {
        match &ready.files {
            Some(files) => self.fetch(ready, files)?,
            None => self.keep_files(&ready.of)?,
        }
        let nonce = nonce();
        let made = made(self.context, None, "tagged", &nonce);
        let key = self.context.signers(self.site, &ready.of.archive)?;
        let url = self.site.config().public_url.as_str();
        let (_, new) = publish::tag(self.store.as_ref(), self.tagging_of(ready), made, &key, url)?;
        let tagged = Tagged {
            tag: self.args.tag.as_str(),
            archive: &ready.of.archive,
            serial: ready.of.serial.as_str(),
            partial: ready.files.is_some(),
            state: if new { "new" } else { "unchanged" },
        };
        let text = format!(
            "{} {} {} {}",
            tagged.archive, self.args.tag, tagged.serial, tagged.state
        );
        self.context.output.record(&tagged, &text)
    }

    fn tagging_of<'a>(&'a self, ready: &'a Ready) -> Tagging<'a> {
        Tagging {
            tag: &self.args.tag,
            of: &ready.of,
            suites: ready.suites.clone(),
            partial: ready.files.is_some(),
        }
    }

    /// Fetches the pool files that a mirror's part of the tag needs: upstream may drop them any day.
    fn fetch(&self, ready: &Ready, files: &BTreeMap<PoolPath, Digest>) -> Result<(), Failure> {
        let (archive, store) = (&ready.of.archive, self.store.as_ref());
        let ArchiveConfig::Mirror(config) = self.site.archive(archive)? else {
            return Ok(());
        };
        for path in files.keys() {
            if store.head(&Key::pool(archive, path))?.is_none() {
                let client = Client::new(&upstream_uri(self.site, archive)?, Limits::of(config))?;
                return Ok(fill_pool(&client, store, archive, &ready.suites, &self.context.progress).map(drop)?);
            }
        }
        Ok(())
    }

    /// Fetches the pool files of a whole snapshot of a mirror, or says that a lazy pool lacks them.
    fn keep_files(&self, of: &Record) -> Result<(), Failure> {
        let (archive, suites, store) = (&of.archive, &of.suites, self.store.as_ref());
        let (tag, output) = (&self.args.tag, &self.context.output);
        let ArchiveConfig::Mirror(config) = self.site.archive(archive)? else {
            return Ok(());
        };
        if self.args.fetch {
            let client = Client::new(&upstream_uri(self.site, archive)?, Limits::of(config))?;
            let fetched = fill_pool(&client, store, archive, suites, &self.context.progress)?;
            output.note(&format!("{archive}: fetched {fetched} pool files of `{tag}`"));
            return Ok(());
        }
        if was_filled(store, archive, suites, self.context.now())? {
            return Ok(());
        }
        let (files, bytes) = lacking(store, archive, suites)?;
        if files > 0 {
            output.note(&format!(
                "{archive}: {files} pool files ({bytes} bytes) of `{tag}` are not here, and upstream may drop them any day; \
                 next: `assay tag {tag} --fetch`, with the same snapshots, fetches them now"
            ));
        }
        Ok(())
    }
}

/// A part of a partial tag, with its indexes in the store.
fn staged(store: &dyn Store, part: Part) -> Result<Ready, Failure> {
    Ok(Ready {
        suites: part.stage(store)?,
        files: Some(part.pool_files()?),
        of: part.of,
    })
}

fn read_manifests(site: &Site, store: &dyn Store, paths: &[PathBuf]) -> Result<Manifest, Failure> {
    let mut all = Manifest::default();
    for path in paths {
        all.merge(read_manifest(site, store, path)?);
    }
    Ok(all)
}

fn read_manifest(site: &Site, store: &dyn Store, path: &Path) -> Result<Manifest, Failure> {
    let bytes = Unframed::read(path)?.text;
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(json::strict::<Lock>("environment lock", &bytes)?.manifest());
    }
    if SiteLock::is_one(&bytes) {
        return super::lock::manifest(site, store, path);
    }
    Ok(Manifest::parse(&bytes)?)
}
