//! `assay publish --prepare` and `--attach`: what a key on another machine signs goes there and comes back as files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::context::{Context, named_or_all};
use super::failure::{Failure, UsageError};
use crate::domain::{ArchiveName, Sha256};
use crate::format::json;
use crate::host::files;
use crate::publish::{self, Brought, Waiting};
use crate::site::Site;
use crate::store::{Key, Store};

const MANIFEST: &str = "manifest.json";
/// The largest file that is read of such a folder, in bytes.
const LARGEST: u64 = 4 << 20;

/// What a folder was made of. It says what to look for, and is not believed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    entries: Vec<Given>,
}

/// One entry that was given away.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    archive: ArchiveName,
    title: String,
    /// Where the entry will be.
    entry: String,
    sha256: Sha256,
    /// What is to be signed, below the archive's folder.
    files: Vec<String>,
}

/// Writes all that waits into a folder; the manifest comes last.
pub(super) fn prepare(
    context: &Context,
    site: &Site,
    store: &Arc<dyn Store>,
    named: &[ArchiveName],
    folder: &Path,
) -> Result<ExitCode, Failure> {
    if files::exists(folder) && (!files::is_folder(folder) || !files::list(folder)?.is_empty()) {
        return Err(UsageError::NotEmpty(folder.display().to_string()).into());
    }
    let url = site.config().public_url.as_str();
    let mut entries = Vec::new();
    for archive in named_or_all(site, named, |_| true)? {
        let _working = context.writing(store, &archive, "publish --prepare")?;
        let signers = context.signers(site, &archive)?;
        for waiting in publish::waiting(store.as_ref(), &archive, &signers, url)? {
            if !waiting.is_open() {
                let why = if waiting.is_late() {
                    "can follow nothing any more"
                } else {
                    "is published"
                };
                context
                    .output
                    .note(&format!("{} {why}: it waits no more", waiting.title));
                publish::forget(store.as_ref(), &archive, &waiting)?;
                continue;
            }
            entries.push(give(&folder.join(archive.as_str()), &archive, &waiting)?);
        }
    }
    for given in &entries {
        let value = serde_json::json!({ "archive": given.archive, "title": given.title, "files": given.files });
        context.output.record(
            &value,
            &format!("{} {} files to be signed", given.title, given.files.len()),
        )?;
    }
    if entries.is_empty() {
        context.output.note("nothing waits for a key on another machine");
        return Ok(ExitCode::SUCCESS);
    }
    let manifest = json::canonical("manifest", &Manifest { format: 1, entries })?;
    files::write(&folder.join(MANIFEST), &[manifest.as_slice(), b"\n"].concat())?;
    context.output.note(&format!(
        "beside each `Release` put InRelease (clearsigned) and Release.gpg (detached), beside each `statement` statement.gpg; then \
         `assay publish --attach {}`",
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn give(folder: &Path, archive: &ArchiveName, waiting: &Waiting) -> Result<Given, Failure> {
    let mut paths = Vec::new();
    for (path, bytes) in waiting.files() {
        files::write(&folder.join(&path), bytes)?;
        paths.push(path);
    }
    Ok(Given {
        archive: archive.clone(),
        title: waiting.title.clone(),
        entry: waiting.key.to_string(),
        sha256: waiting.sha256,
        files: paths,
    })
}

/// What came back for one archive.
#[derive(Default)]
struct Back {
    named: BTreeMap<Sha256, Key>,
    brought: BTreeMap<String, Brought>,
}

pub(super) fn attach(
    context: &Context,
    site: &Site,
    store: &Arc<dyn Store>,
    folders: &[PathBuf],
) -> Result<ExitCode, Failure> {
    let mut back: BTreeMap<ArchiveName, Back> = BTreeMap::new();
    for folder in folders {
        let bytes = files::read_beneath(folder, Path::new(MANIFEST), LARGEST)?;
        let manifest: Manifest = json::strict("manifest", bytes.trim_ascii_end())?;
        if manifest.format != 1 {
            let why = format!(
                "`{}` has a manifest of a format that this program does not know",
                folder.display()
            );
            return Err(UsageError::Argument(why).into());
        }
        for given in manifest.entries {
            let back = back.entry(given.archive.clone()).or_default();
            back.named.insert(given.sha256, Key::new(given.entry)?);
            for path in given.files {
                let found = signatures(folder, &given.archive, &path)?;
                let brought = back.brought.entry(path).or_default();
                found.into_iter().for_each(|bytes| brought.add(bytes));
            }
        }
    }
    let url = site.config().public_url.as_str();
    for (archive, back) in back {
        let _working = context.writing(store, &archive, "publish --attach")?;
        let signers = context.signers(site, &archive)?;
        let titles = publish::attach(store.as_ref(), &archive, &signers, &back.named, &back.brought, url)?;
        for title in titles {
            let value = serde_json::json!({ "archive": archive, "title": title, "state": "published" });
            context.output.record(&value, &format!("{title} published"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What lies beside a file that was to be signed. Somebody else filled the folder: no link in it is followed.
fn signatures(folder: &Path, archive: &ArchiveName, path: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let below = format!("{archive}/{path}");
    let mut names: Vec<String> = ["asc", "gpg", "sig"]
        .iter()
        .map(|end| format!("{below}.{end}"))
        .collect();
    names.extend(below.strip_suffix("Release").map(|before| format!("{before}InRelease")));
    let there = names.iter().filter(|name| files::exists(&folder.join(name)));
    let read = |name: &String| Ok(files::read_beneath(folder, Path::new(name), LARGEST)?);
    there.map(read).collect()
}
