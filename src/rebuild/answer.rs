//! An answer: what a builder hands back for one nonce, as a folder of plain files.
//!
//! `record.json` is the signed record, `commitment.json` the signed hash of it (of a build that
//! succeeded), and everything else is a file that the record names. The folder says nothing that the
//! record does not; whoever takes it checks each file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RebuildError, Recipe, RecordInput, read_statement, statement};
use crate::domain::{BuilderId, FileName, Sha256};
use crate::format::dsse::{self, Envelope, IN_TOTO};
use crate::format::intoto::Outcome;
use crate::format::json;
use crate::host::{HostError, files};
use crate::trust::{Ed25519Key, sign_envelope};

/// The DSSE payload type of commitments.
pub const COMMITMENT: &str = "application/vnd.assay.commitment+json";
const RECORD_FILE: &str = "record.json";
const COMMITMENT_FILE: &str = "commitment.json";

/// What a builder binds itself to before anybody shows a result (gate rule R2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Commitment {
    /// The nonce that is answered.
    pub nonce: String,
    /// Who answers.
    pub builder: BuilderId,
    /// SHA-256 of the declaration.
    pub declaration: Sha256,
    /// SHA-256 of the environment lock.
    pub lock: Sha256,
    /// SHA-256 of the signed record.
    pub record: Sha256,
}

/// A folder with an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Where it is.
    pub folder: PathBuf,
    /// The record's envelope.
    pub record: Vec<u8>,
    /// The commitment's envelope.
    pub commitment: Option<Vec<u8>>,
    /// Log, .buildinfo, .changes: as the record names them.
    pub byproducts: BTreeMap<FileName, Sha256>,
    /// How it says it was built.
    pub recipe: Recipe,
    /// The outputs, by name.
    outputs: Vec<FileName>,
}

/// Signs what a build gave, and writes the answer into a folder, which is made. Gives the SHA-256 of the
/// record, which is written last: a folder that has one is whole.
///
/// # Errors
/// When it cannot be written.
pub fn write_answer(folder: &Path, input: &RecordInput<'_>, key: &Ed25519Key) -> Result<Sha256, RebuildError> {
    let finished = input.finished;
    files::create_folder(folder)?;
    for file in finished.outputs.iter().chain(&finished.byproducts) {
        files::copy(&file.path, &folder.join(file.name.as_str()))?;
    }
    let payload = json::canonical("rebuild record", &statement(input)?);
    let record = sign(IN_TOTO, &payload.map_err(RebuildError::format("rebuild record"))?, key)?;
    let sha256 = Sha256::of(&record);
    if finished.outcome == Outcome::Built {
        let commitment = Commitment {
            nonce: input.nonce.to_owned(),
            builder: input.builder.clone(),
            declaration: *input.declaration_sha256,
            lock: *input.lock_sha256,
            record: sha256,
        };
        let payload = json::canonical("commitment", &commitment).map_err(RebuildError::format("commitment"))?;
        files::write(&folder.join(COMMITMENT_FILE), &sign(COMMITMENT, &payload, key)?)?;
    }
    files::write(&folder.join(RECORD_FILE), &record)?;
    Ok(sha256)
}

fn sign(kind: &str, payload: &[u8], key: &Ed25519Key) -> Result<Vec<u8>, RebuildError> {
    let envelope = sign_envelope(kind, payload, key).to_bytes();
    envelope.map_err(RebuildError::format("envelope"))
}

impl Answer {
    /// Reads a folder; nothing in it has been checked then.
    ///
    /// # Errors
    /// When there is no record, or it is none of ours.
    pub fn read(folder: &Path) -> Result<Self, RebuildError> {
        let record = files::read_beneath(folder, Path::new(RECORD_FILE), dsse::LARGEST)?;
        let envelope = Envelope::parse(&record).map_err(RebuildError::format("rebuild record"))?;
        let statement = read_statement(&envelope.payload)?;
        let mut byproducts = BTreeMap::new();
        for file in &statement.predicate.run_details.byproducts {
            let (name, sha256) = (file.name.as_deref().unwrap_or_default(), file.digest.get("sha256"));
            let sha256: Sha256 = sha256.map(String::as_str).unwrap_or_default().parse()?;
            byproducts.insert(FileName::new(name)?, sha256);
        }
        let outputs = statement.subject.iter().map(|file| FileName::new(&file.name));
        let path = folder.join(COMMITMENT_FILE);
        let commitment = files::exists(&path)
            .then(|| files::read_beneath(folder, Path::new(COMMITMENT_FILE), dsse::LARGEST))
            .transpose()?;
        Ok(Self {
            folder: folder.to_owned(),
            commitment,
            byproducts,
            outputs: outputs.collect::<Result<_, _>>()?,
            recipe: statement.predicate.build_definition.external_parameters.recipe,
            record,
        })
    }

    /// Opens one of its files, with its size. No link is followed: somebody else made the folder.
    ///
    /// # Errors
    /// When it is not there, or no regular file.
    pub fn open(&self, name: &FileName) -> Result<(impl Read + use<>, u64), HostError> {
        files::open_beneath(&self.folder, Path::new(name.as_str()))
    }

    /// Copies it to another folder, which is there only when it is whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn copy_to(&self, place: &Path) -> Result<(), RebuildError> {
        let parent = place.parent().unwrap_or(Path::new("."));
        let temporary = beside(parent)?;
        let whole = temporary.path().join("answer");
        files::create_folder(&whole)?;
        for name in self.outputs.iter().chain(self.byproducts.keys()) {
            let (file, size) = self.open(name)?;
            files::copy_stream(&mut file.take(size), &whole.join(name.as_str()))?;
        }
        if let Some(commitment) = &self.commitment {
            files::write(&whole.join(COMMITMENT_FILE), commitment)?;
        }
        files::write(&whole.join(RECORD_FILE), &self.record)?;
        files::rename(&whole, place)?;
        Ok(())
    }
}

/// Beside the folder of answers, so that listing them never finds it.
fn beside(parent: &Path) -> Result<crate::host::TempFolder, RebuildError> {
    let above = parent.parent().unwrap_or(parent);
    files::create_folder(parent)?;
    Ok(crate::host::TempFolder::below(&above.join("incoming"))?)
}
