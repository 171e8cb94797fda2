//! What rebuilds of one source gave, where they differ: read from what is held. For people.

use std::path::Path;

use serde::Serialize;

use crate::admission::RecordEvidence;
use crate::domain::{ArchiveName, BuilderId, FileName, Sha256};
use crate::format::intoto::Outcome;
use crate::host::{TempFolder, files};
use crate::rebuild::{self, Guess};
use crate::store::{Key, Store};

use super::{GateError, Records};

/// The largest file that is compared, in bytes.
const LARGEST: u64 = 512 << 20;

/// One file that two builders gave differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contrast {
    /// Its name.
    pub file: FileName,
    /// Who gave the one, and its SHA-256.
    pub one: (BuilderId, Sha256),
    /// Who gave the other, and its SHA-256.
    pub other: (BuilderId, Sha256),
    /// Where they differ, in order.
    pub differences: Vec<String>,
    /// What probably made them so.
    pub causes: Vec<Guess>,
    /// What diffoscope says, when it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diffoscope: Option<String>,
}

/// Every file that a successful rebuild gave differently than the first one in the same environment.
/// `diffoscope` is that program's name or path; `work` is a folder for temporary files.
///
/// # Errors
/// When a file is not held any more; the store's failure.
pub fn contrasts(
    store: &dyn Store,
    archive: &ArchiveName,
    records: &Records,
    diffoscope: &str,
    work: &Path,
) -> Result<Vec<Contrast>, GateError> {
    let mut built: Vec<&RecordEvidence> = records
        .records
        .iter()
        .filter(|r| r.outcome == Outcome::Built && !r.signed_by.is_empty())
        .collect();
    built.sort_by_key(|r| (r.lock, r.started_on, r.sha256));
    let mut found = Vec::new();
    for record in &built {
        let Some(first) = built.iter().find(|r| r.lock == record.lock) else {
            continue;
        };
        for (file, sha256) in &record.outputs {
            let Some(other) = first.outputs.get(file).filter(|other| *other != sha256) else {
                continue;
            };
            let read = |sha256: &Sha256| store.get(&Key::held(archive, sha256), LARGEST);
            let (one_bytes, other_bytes) = (read(other)?, read(sha256)?);
            let around = records
                .around
                .get(&first.sha256)
                .zip(records.around.get(&record.sha256));
            let causes = around.map(|(a, b)| rebuild::causes((&one_bytes, a), (&other_bytes, b)));
            let temp = TempFolder::below(work)?;
            let (one_path, other_path) = (temp.path().join("one.deb"), temp.path().join("other.deb"));
            files::write(&one_path, &one_bytes)?;
            files::write(&other_path, &other_bytes)?;
            let said = rebuild::diffoscope(diffoscope, &one_path, &other_path)?;
            let name = file.as_str().to_owned();
            let comparison = rebuild::compare(&[(name.clone(), one_bytes)], &[(name, other_bytes)]);
            found.push(Contrast {
                file: file.clone(),
                one: (first.builder.clone(), *other),
                other: (record.builder.clone(), *sha256),
                differences: comparison.differences.iter().map(ToString::to_string).collect(),
                causes: causes.unwrap_or_default(),
                diffoscope: said,
            });
        }
    }
    Ok(found)
}
