//! Bare repositories of ours: how they are filled, and how their objects are read (rules S3 and S5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::git::{self, Address};
use super::object::{Kind, Object, ObjectFormat, parse_batch};
use super::{Declaration, SourceError, pristine_branch};
use crate::domain::{DomainError, GitOid, GitRef, Sha256, escape};
use crate::host::files::Held;
use crate::host::{HostError, TempFolder, files};

const LARGEST_SOURCE: u64 = 1 << 30;
const BATCH: u64 = 64 << 20;
/// More than the header line of one object needs: id, type and size.
const HEADER: u64 = 128;

/// A bare repository of ours below a cache folder. Holds objects and refs, nothing that runs.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
    format: ObjectFormat,
    /// Where more can be fetched from, and with which settings; none when it was only opened.
    remote: Option<(Address, PathBuf)>,
}

/// An address as a declaration names it: that of a folder holds wherever it is read from.
///
/// # Errors
/// When it is none that is fetched from (rule S5).
pub fn address(url: &str) -> Result<String, SourceError> {
    Ok(Address::parse(url)?.as_str().to_owned())
}

/// Fetches `refs` and all that they need from `url` into a bare repository below `cache`.
///
/// `url` is a folder's path, or a `file://`, `http://`, `https://`, `ssh://` or `git://` address. A local
/// repository may belong to another user. Git checks every object that it fetches.
///
/// # Errors
/// When the address is refused, a ref is missing, or Git fails or takes too much time or space.
pub fn fetch(url: &str, refs: &[GitRef], cache: &Path) -> Result<Repository, SourceError> {
    let address = Address::parse(url)?;
    let settings = cache.join("git-settings");
    keep(&settings, git::SETTINGS)?;
    let there = list_remote(&address, refs, &settings)?;
    let format = there.first().map_or(ObjectFormat::Sha1, |(_, id)| ObjectFormat::of(id));
    let repository = Repository {
        folder: folder(&address, format, cache),
        format,
        remote: Some((address, settings)),
    };
    repository.prepare()?;
    repository.follow(&there)?;
    Ok(repository)
}

/// Fetches what `declaration` needs from `url`, where its repository is now: its tag or branch, its upstream tag, the branch
/// `pristine-tar`.
///
/// # Errors
/// As `fetch`.
pub fn fetch_declared(declaration: &Declaration, url: &str, cache: &Path) -> Result<Repository, SourceError> {
    let upstream = declaration.upstream.iter().map(|upstream| &upstream.tag_ref);
    let mut refs: Vec<GitRef> = [&declaration.reference].into_iter().chain(upstream).cloned().collect();
    if declaration.orig.as_ref().is_some_and(|orig| orig.git_commit.is_some()) {
        refs.push(pristine_branch()?);
    }
    fetch(url, &refs, cache)
}

/// The repository that an earlier `fetch` of `url` left below `cache`. Touches no network.
///
/// # Errors
/// When there is none, or it borrows objects or history from elsewhere.
pub fn open(url: &str, cache: &Path) -> Result<Repository, SourceError> {
    let address = Address::parse(url)?;
    let found = [ObjectFormat::Sha1, ObjectFormat::Sha256]
        .map(|format| (folder(&address, format, cache), format))
        .into_iter()
        .find(|(folder, _)| files::is_folder(folder));
    let Some((folder, format)) = found else {
        return Err(SourceError::Url {
            url: escape(url),
            why: "it was not fetched yet",
        });
    };
    let repository = Repository {
        folder,
        format,
        remote: None,
    };
    repository.prepare()?;
    repository.refuse_borrowed_objects()?;
    Ok(repository)
}

/// The branch that a repository's own HEAD is on.
///
/// # Errors
/// When the address is refused, Git fails, or HEAD is on no branch.
pub fn main_branch(url: &str, cache: &Path) -> Result<GitRef, SourceError> {
    let address = Address::parse(url)?;
    let no_branch = || SourceError::NoSuchRef {
        url: escape(url),
        reference: "branch that HEAD is on".to_owned(),
    };
    let branch = refs_at(&address, cache)?.branch.ok_or_else(no_branch)?;
    GitRef::new(format!("refs/heads/{branch}")).map_err(|source| SourceError::Name {
        what: "HEAD".to_owned(),
        source,
    })
}

/// The newest commit of every branch of `url`, in a repository below `cache` that holds no history.
/// Of a clone, also the branches that it knows of others. While it is held nobody else changes the branches there.
///
/// # Errors
/// When the address is refused, or Git fails or takes too much time or space.
pub(super) fn fetch_tips(url: &str, cache: &Path) -> Result<(Repository, Held), SourceError> {
    let address = Address::parse(url)?;
    let settings = cache.join("git-settings");
    keep(&settings, git::SETTINGS)?;
    let text = ls_remote(&address, &settings, &["--refs"], BRANCHES)?;
    let first = text.split('\t').next().and_then(|id| GitOid::new(id).ok());
    let format = first.map_or(ObjectFormat::Sha1, |id| ObjectFormat::of(&id));
    let repository = Repository {
        folder: folder(&address, format, cache),
        format,
        remote: None,
    };
    repository.prepare()?;
    let held = repository.alone()?;
    git::remote(&address, Some(&repository.folder), &settings)
        .args(FETCH)
        .args(["--depth=1", "--prune", "--"])
        .arg(address.as_str())
        .args(BRANCHES.map(|branches| format!("+{branches}:{branches}")))
        .run()
        .map_err(fetching(&address))?;
    Ok((repository, held))
}

/// What a commit has at and below some paths.
pub(super) struct HeadFiles {
    /// The regular files, with the blob of each.
    pub(super) files: Vec<(String, GitOid)>,
    /// The symbolic links.
    pub(super) links: Vec<String>,
}

/// What HEAD's tree has at and below some paths. Only trees are fetched, into a repository that is removed again.
pub(super) fn head_files(folder: &Path, paths: &[String], cache: &Path) -> Result<HeadFiles, SourceError> {
    // As an address with a scheme, by which Git can call what it fetches a part of.
    let path = folder.to_str().unwrap_or_default().replace('%', "%25");
    let address = Address::parse(&format!("file://{path}"))?;
    let temp = TempFolder::below(cache)?;
    let settings = temp.path().join("settings");
    files::write(
        &settings,
        format!("{}[uploadpack]\n\tallowFilter = true\n", git::SETTINGS).as_bytes(),
    )?;
    let head = refs_at(&address, cache)?.head;
    let format = ObjectFormat::of(&head);
    let repository = Repository {
        folder: temp.path().join("head.git"),
        format,
        remote: None,
    };
    repository.prepare()?;
    git::remote(&address, Some(&repository.folder), &settings)
        .args(FETCH)
        .args(["--depth=1", "--filter=blob:none", "--"])
        .arg(address.as_str())
        .arg("+HEAD:refs/heads/head")
        .run()
        .map_err(fetching(&address))?;
    // Fetching wrote where blobs could be had.
    repository.prepare()?;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let links = repository.entries_below("refs/heads/head", &paths, &["120000"])?;
    Ok(HeadFiles {
        files: repository.files_below("refs/heads/head", &paths)?,
        links: links.into_iter().map(|(path, _)| path).collect(),
    })
}

/// A fetch takes the refs that are asked for, and nothing that a configuration, a tag or a submodule adds.
const FETCH: [&str; 7] = [
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--refmap=",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
];

const BRANCHES: [&str; 2] = ["refs/heads/*", "refs/remotes/*"];

impl Repository {
    /// All refs that are here, by name.
    pub(super) fn references(&self) -> Result<Vec<String>, SourceError> {
        let output = git::local(&self.folder)
            .args(["for-each-ref", "--format=%(refname)"])
            .run()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The regular files of a ref's tree below some folders, with the blob of each.
    pub(super) fn files_below(&self, reference: &str, folders: &[&str]) -> Result<Vec<(String, GitOid)>, SourceError> {
        self.entries_below(reference, folders, &["100644", "100755"])
    }

    /// The blobs of some modes in a ref's tree below some folders.
    fn entries_below(
        &self,
        reference: &str,
        folders: &[&str],
        modes: &[&str],
    ) -> Result<Vec<(String, GitOid)>, SourceError> {
        let output = git::local(&self.folder)
            .args(["ls-tree", "-r", "-z", "--full-tree", reference, "--"])
            .args(folders)
            .run()?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `100644 blob <id>\t<path>`
        let file = |entry: &str| {
            let (head, path) = entry.split_once('\t')?;
            let (mode, id) = head.split_once(" blob ")?;
            if !modes.contains(&mode) {
                return None;
            }
            Some((path.to_owned(), GitOid::new(id).ok()?))
        };
        Ok(text.split('\0').filter_map(file).collect())
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fetches a ref when it is not here and the repository was fetched, not opened.
    pub(super) fn need(&self, reference: &GitRef) -> Result<(), SourceError> {
        match &self.remote {
            Some((address, settings)) if self.resolve(reference).is_err() => {
                self.follow(&list_remote(address, std::slice::from_ref(reference), settings)?)
            }
            _ => Ok(()),
        }
    }

    /// Fetches those of `refs` that do not name the same object here.
    fn follow(&self, refs: &[(GitRef, GitOid)]) -> Result<(), SourceError> {
        // A ref only ever comes to stand here once all that it needs is here too.
        let here = |name: &GitRef, id: &GitOid| matches!(self.resolve(name), Ok(here) if here == *id);
        let other: Vec<&GitRef> = refs
            .iter()
            .filter(|(name, id)| !here(name, id))
            .map(|(name, _)| name)
            .collect();
        if let Some((address, settings)) = self.remote.as_ref().filter(|_| !other.is_empty()) {
            self.fetch_refs(address, &other, settings)?;
            // Git passes over a ref, without a word, whose history the other side has cut off.
            if let Some(name) = other.iter().find(|name| self.resolve(name).is_err()) {
                let why = "the repository has only a part of its history: it is a shallow clone";
                return Err(SourceError::rule("S3", name.as_str(), why));
            }
        }
        self.refuse_borrowed_objects()
    }

    /// The object that a ref names.
    pub(super) fn resolve(&self, reference: &GitRef) -> Result<GitOid, SourceError> {
        let output = git::local(&self.folder)
            .args(["show-ref", "--verify", "--hash", "--"])
            .arg(reference.as_str())
            .run()
            .map_err(|_| SourceError::NoSuchRef {
                url: self.folder.display().to_string(),
                reference: reference.to_string(),
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        GitOid::new(text.trim_end()).map_err(|source| SourceError::Name {
            what: reference.to_string(),
            source,
        })
    }

    /// Whether a commit is in the history of another.
    pub(super) fn is_ancestor(&self, commit: &GitOid, of: &GitOid) -> Result<bool, SourceError> {
        let (code, _) = git::local(&self.folder)
            .args(["merge-base", "--is-ancestor", commit.as_str(), of.as_str()])
            .run_any()?;
        Ok(code == Some(0))
    }

    /// One object.
    pub(super) fn any_object(&self, id: &GitOid) -> Result<Object, SourceError> {
        let mut found = None;
        self.objects(std::slice::from_ref(id), &mut |object| {
            found = Some(object);
            Ok(())
        })?;
        found.ok_or_else(|| SourceError::rule("S3", id.as_str(), "the object is missing"))
    }

    /// One object of the kind that it must be.
    pub(super) fn object(&self, id: &GitOid, kind: Kind) -> Result<Object, SourceError> {
        let object = self.any_object(id)?;
        if object.kind == kind {
            return Ok(object);
        }
        let why = format!("it is a {}, not a {kind}", object.kind);
        Err(SourceError::rule("S3", id.as_str(), why))
    }

    /// Gives each of the objects, in order, to `take`. Each is hashed again first.
    pub(super) fn objects(
        &self,
        ids: &[GitOid],
        take: &mut dyn FnMut(Object) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let sizes = self.sizes(ids)?;
        let mut total = 0u64;
        let mut rest: &[(GitOid, u64)] = &sizes;
        while !rest.is_empty() {
            let (batch, later, bytes) = first_batch(rest);
            total = total.saturating_add(bytes);
            if total > LARGEST_SOURCE {
                return Err(SourceError::Limit {
                    limit: LARGEST_SOURCE,
                    unit: "bytes",
                });
            }
            let output = git::local(&self.folder)
                .args(["cat-file", "--batch", "--buffer"])
                .input(lines(batch.iter().map(|(id, _)| id)))
                .limit(bytes.saturating_add(HEADER.saturating_mul(batch.len() as u64)))
                .run()?;
            let ids = batch.iter().map(|(id, _)| id);
            parse_batch(self.format, ids, &output.stdout, take)?;
            rest = later;
        }
        Ok(())
    }

    fn sizes(&self, ids: &[GitOid]) -> Result<Vec<(GitOid, u64)>, SourceError> {
        let output = git::local(&self.folder)
            .args(["cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer"])
            .input(lines(ids.iter()))
            .run()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut answers = text.lines();
        ids.iter()
            .map(|id| {
                let size = answers
                    .next()
                    .and_then(|line| line.strip_prefix(id.as_str()))
                    .and_then(|rest| rest.trim().parse().ok());
                let missing = || SourceError::rule("S3", id.as_str(), "the object is missing");
                Ok((id.clone(), size.ok_or_else(missing)?))
            })
            .collect()
    }

    /// Makes the repository when it is not there, and gives it our configuration again, so that
    /// nothing which may have come to stand in it counts.
    fn prepare(&self) -> Result<(), SourceError> {
        if !files::exists(&self.folder.join("HEAD")) {
            self.create()?;
        }
        let config: &str = match self.format {
            ObjectFormat::Sha1 => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
            ObjectFormat::Sha256 => {
                "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
            }
        };
        keep(&self.folder.join("config"), config)
    }

    /// Made beside its place and moved there, so that a crash leaves none or a whole one.
    fn create(&self) -> Result<(), SourceError> {
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        let temp = TempFolder::below(parent)?;
        let made = temp.path().join("new.git");
        git::outside()
            .args(["init", "--quiet", "--bare", "--template=", "--initial-branch=none"])
            .arg(format!("--object-format={}", self.format))
            .arg("--")
            .arg(&made)
            .run()?;
        match files::rename(&made, &self.folder) {
            // Another process was faster; its repository is as good.
            Err(_) if files::exists(&self.folder.join("HEAD")) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Waits until nobody else fetches into it, and takes away what a Git that was killed left there, for which every later
    /// one would fail.
    fn alone(&self) -> Result<Held, SourceError> {
        let held = Held::wait(&self.folder.with_extension("lock"))?;
        let mut folders = vec![self.folder.join("refs"), self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for path in files::list(&folder)? {
                if path.extension().is_some_and(|end| end == "lock") {
                    files::remove(&path)?;
                } else if folder != self.folder && files::is_folder(&path) {
                    folders.push(path);
                }
            }
        }
        Ok(held)
    }

    fn fetch_refs(&self, address: &Address, refs: &[&GitRef], settings: &Path) -> Result<(), SourceError> {
        let _held = self.alone()?;
        git::remote(address, Some(&self.folder), settings)
            .args(FETCH)
            .arg("--")
            .arg(address.as_str())
            // `+`: this is a cache, which follows. That a declared tag was moved is seen by its id.
            .args(refs.iter().map(|name| format!("+{name}:{name}")))
            .run()
            .map_err(fetching(address))?;
        Ok(())
    }

    /// Rule S3: nothing here may stand for objects or history that are elsewhere.
    fn refuse_borrowed_objects(&self) -> Result<(), SourceError> {
        let borrowed = [
            "shallow",
            "info/grafts",
            "objects/info/alternates",
            "objects/info/http-alternates",
            "refs/replace",
            "commondir",
        ];
        match borrowed.iter().find(|name| files::exists(&self.folder.join(name))) {
            Some(name) => Err(SourceError::rule(
                "S3",
                name,
                "our copy of the repository borrows objects or history; remove it from the cache",
            )),
            None => Ok(()),
        }
    }
}

/// What `git ls-remote` says of a repository: an id and a ref on each line.
fn ls_remote<'a>(
    address: &Address,
    settings: &Path,
    options: &[&str],
    patterns: impl IntoIterator<Item = &'a str>,
) -> Result<String, SourceError> {
    let output = git::remote(address, None, settings)
        .args(["ls-remote", "--quiet"])
        .args(options)
        .arg("--")
        .arg(address.as_str())
        .args(patterns)
        .timeout(120)
        .run()
        .map_err(fetching(address))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `url` has under these tags, by the whole ref; under `REF^{}` the commit that an annotated one means. What it lacks is
/// left out.
pub(super) fn list_tags(url: &str, refs: &[&GitRef], cache: &Path) -> Result<BTreeMap<String, GitOid>, SourceError> {
    let address = Address::parse(url)?;
    let settings = cache.join("git-settings");
    keep(&settings, git::SETTINGS)?;
    let peeled: Vec<String> = refs.iter().map(|reference| format!("{reference}^{{}}")).collect();
    let patterns = refs.iter().map(|reference| reference.as_str());
    let text = ls_remote(
        &address,
        &settings,
        &[],
        patterns.chain(peeled.iter().map(String::as_str)),
    )?;
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(lines
        .filter_map(|(id, name)| Some((name.to_owned(), GitOid::new(id).ok()?)))
        .collect())
}

/// What the remote has under each of `refs`.
fn list_remote(address: &Address, refs: &[GitRef], settings: &Path) -> Result<Vec<(GitRef, GitOid)>, SourceError> {
    let text = ls_remote(address, settings, &["--refs"], refs.iter().map(GitRef::as_str))?;
    let found = |name: &GitRef| {
        // Git matches by the end of a ref; only the whole one is meant.
        let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
        let id = lines.find(|(_, there)| *there == name.as_str()).map(|(id, _)| id);
        id.and_then(|id| GitOid::new(id).ok())
            .map(|id| (name.clone(), id))
            .ok_or_else(|| SourceError::NoSuchRef {
                url: escape(address.as_str()),
                reference: name.to_string(),
            })
    };
    refs.iter().map(found).collect()
}

/// What a repository says of its refs.
#[derive(Debug)]
pub(super) struct Refs {
    /// The branch that HEAD is on; none when HEAD is detached.
    pub(super) branch: Option<String>,
    /// The commit of HEAD.
    pub(super) head: GitOid,
    /// The commit that each tag means, by the tag's name.
    pub(super) tags: BTreeMap<String, GitOid>,
    /// Its branches, and those that it knows of others, without the others' names.
    pub(super) branches: BTreeSet<String>,
}

/// Which refs a repository has. Nothing is fetched.
pub(super) fn refs_of(folder: &Path, cache: &Path) -> Result<Refs, SourceError> {
    refs_at(&Address::parse(folder.to_str().unwrap_or_default())?, cache)
}

fn refs_at(address: &Address, cache: &Path) -> Result<Refs, SourceError> {
    let settings = cache.join("git-settings");
    keep(&settings, git::SETTINGS)?;
    let output = git::remote(address, None, &settings)
        .args(["ls-remote", "--quiet", "--symref", "--"])
        .arg(address.as_str())
        .args(["HEAD", "refs/tags/*"])
        .args(BRANCHES)
        .timeout(120)
        .run()
        .map_err(fetching(address))?;
    let (mut branch, mut head, mut tags) = (None, None, BTreeMap::new());
    let mut branches = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((what, name)) = line.split_once('\t') else {
            continue;
        };
        if let Some(target) = what.strip_prefix("ref: ") {
            if name == "HEAD" {
                branch = target.strip_prefix("refs/heads/").map(str::to_owned);
            }
            continue;
        }
        let Ok(id) = GitOid::new(what) else { continue };
        if name == "HEAD" {
            head = Some(id);
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            // A signed tag comes twice, the second time with the commit that it means.
            tags.insert(tag.strip_suffix("^{}").unwrap_or(tag).to_owned(), id);
        } else if let Some(name) = name.strip_prefix("refs/heads/") {
            branches.insert(name.to_owned());
        } else if let Some((_, name)) = name.strip_prefix("refs/remotes/").and_then(|name| name.split_once('/')) {
            branches.insert(name.to_owned());
        }
    }
    let head = head.ok_or_else(|| SourceError::NoSuchRef {
        url: escape(address.as_str()),
        reference: "HEAD".to_owned(),
    })?;
    branches.remove("HEAD");
    Ok(Refs {
        branch,
        head,
        tags,
        branches,
    })
}

/// The branches and tags of a repository.
#[derive(Debug, Clone, Default)]
pub struct ListedRefs {
    /// Each with the commit that it names.
    pub named: BTreeMap<GitRef, GitOid>,
    /// Those whose names we take for none, as the repository writes them.
    pub strange: BTreeMap<String, DomainError>,
}

/// Every branch and tag of `url`, with the commit that it names; and those with names that are no refs to us.
///
/// # Errors
/// When the address is refused, or Git fails or takes too much time.
pub fn branches_and_tags(url: &str, cache: &Path) -> Result<ListedRefs, SourceError> {
    let address = Address::parse(url)?;
    let settings = cache.join("git-settings");
    keep(&settings, git::SETTINGS)?;
    let text = ls_remote(&address, &settings, &[], ["refs/heads/*", "refs/tags/*"])?;
    let mut refs = ListedRefs::default();
    // A signed tag comes twice, the second time with the commit that it means.
    for (id, name) in text.lines().filter_map(|line| line.split_once('\t')) {
        let name = name.strip_suffix("^{}").unwrap_or(name);
        match (GitRef::new(name), GitOid::new(id)) {
            (Ok(reference), Ok(id)) => drop(refs.named.insert(reference, id)),
            (Err(error), _) => drop(refs.strange.insert(name.to_owned(), error)),
            _ => {}
        }
    }
    Ok(refs)
}

fn fetching(address: &Address) -> impl FnOnce(HostError) -> SourceError {
    let url = escape(address.as_str());
    move |source| SourceError::Fetch { url, source }
}

/// Writes a file unless it is so already.
fn keep(path: &Path, text: &str) -> Result<(), SourceError> {
    if files::read(path, 1 << 20).ok().as_deref() != Some(text.as_bytes()) {
        files::write(path, text.as_bytes())?;
    }
    Ok(())
}

fn folder(address: &Address, format: ObjectFormat, cache: &Path) -> PathBuf {
    let name = Sha256::of(address.as_str().as_bytes()).hex();
    let short: String = name.chars().take(32).collect();
    cache.join(format!("{short}-{format}.git"))
}

fn lines<'a>(ids: impl Iterator<Item = &'a GitOid>) -> Vec<u8> {
    let mut text = Vec::new();
    for id in ids {
        text.extend_from_slice(id.as_str().as_bytes());
        text.push(b'\n');
    }
    text
}

type Sized = (GitOid, u64);

/// As many objects as fit a batch, at least one; those after them; and how many bytes the batch has.
fn first_batch(objects: &[Sized]) -> (&[Sized], &[Sized], u64) {
    let mut bytes = 0u64;
    let mut count = 0;
    for (_, size) in objects {
        if count > 0 && bytes.saturating_add(*size) > BATCH {
            break;
        }
        bytes = bytes.saturating_add(*size);
        count += 1;
    }
    let (batch, later) = objects.split_at_checked(count).unwrap_or((objects, &[]));
    (batch, later, bytes)
}
