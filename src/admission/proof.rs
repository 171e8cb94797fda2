//! What an upstream's signature proves of a source package: its Release file covers indexes, these hold
//! stanzas, and those name files by SHA-256. A function of upstream's own files: whoever has them can prove it
//! again, without the archive that they came from.

use std::collections::BTreeSet;

use crate::domain::{Digest, Fingerprint, PackageName, RelPath, Sha256, Timestamp, Version};
use crate::format::FormatError;
use crate::format::compress::{Compression, decompress};
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::packages::{Binary, Source, source_of};
use crate::format::release::Release;
use crate::snapshot::UNPROVEN;
use crate::trust::{Keyring, Requirement, TrustError, verify_detached, verify_inrelease};

/// The largest uncompressed index that is read, in bytes.
const LARGEST_INDEX: u64 = 1 << 30;

/// Upstream's own files, byte for byte.
#[derive(Debug, Clone, Default)]
pub struct UpstreamFiles {
    /// InRelease; Release when there is a `signature`.
    pub release: Vec<u8>,
    /// Release.gpg, of an upstream that has no InRelease.
    pub signature: Option<Vec<u8>>,
    /// OpenPGP certificates, the signers' among them.
    pub keyring: Vec<u8>,
    /// Indexes as Release lists them, compressed or not, by their path there.
    pub indexes: Vec<(RelPath, Vec<u8>)>,
}

/// Which source package, by whose word, as of when.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The source package.
    pub source: &'a PackageName,
    /// Its version.
    pub version: &'a Version,
    /// The primary keys whose signatures count.
    pub signers: &'a BTreeSet<Fingerprint>,
    /// The keys must be valid then, and when they signed.
    pub at: Timestamp,
    /// The certificates, when they are known better than from the files.
    pub keyring: Option<&'a Keyring>,
}

/// What follows from upstream's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// As of when the signatures were judged.
    pub at: Timestamp,
    /// SHA-256 of the release file.
    pub release: Sha256,
    /// SHA-256 of its detached signature.
    pub signature: Option<Sha256>,
    /// SHA-256 of the keyring.
    pub keyring: Sha256,
    /// Whose signatures on it hold, of those that were asked for: primary keys.
    pub signers: BTreeSet<Fingerprint>,
    /// Why no signature holds, or the file cannot be read.
    pub refused: Option<String>,
    /// What it calls its suite: `Suite` and `Codename`.
    pub names: Vec<String>,
    /// `Date`.
    pub date: Option<Timestamp>,
    /// `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// The indexes, by path.
    pub indexes: Vec<ProvenIndex>,
}

/// What one index says of the source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenIndex {
    /// Its path in Release.
    pub path: RelPath,
    /// What it is.
    pub digest: Digest,
    /// What Release says that it is.
    pub listed: Option<Digest>,
    /// The stanzas of the source package, in this version.
    pub sources: Vec<Source>,
    /// The stanzas of packages that were built of it.
    pub binaries: Vec<Binary>,
    /// Why it cannot be read.
    pub unreadable: Option<String>,
}

impl Proof {
    /// The stanzas of the source package.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.indexes.iter().flat_map(|index| &index.sources)
    }

    /// The stanzas of its packages. One for all architectures stands in the index of each.
    pub fn binaries(&self) -> impl Iterator<Item = &Binary> {
        self.indexes.iter().flat_map(|index| &index.binaries)
    }

    /// Every document that it follows from: what it is, and its SHA-256.
    pub fn documents(&self) -> impl Iterator<Item = (&'static str, Sha256)> {
        let signature = self.signature.map(|sha256| (SIGNATURE, sha256));
        let head = [Some((RELEASE, self.release)), signature, Some((KEYRING, self.keyring))];
        let indexes = self.indexes.iter().map(|index| (INDEX, index.digest.sha256));
        head.into_iter().flatten().chain(indexes)
    }
}

/// How the inputs of a decision are called that upstream's files are.
pub const RELEASE: &str = "upstream-release";
/// The detached signature of the release file.
pub const SIGNATURE: &str = "upstream-signature";
/// The certificates.
pub const KEYRING: &str = "upstream-keyring";
/// An index.
pub const INDEX: &str = "upstream-index";

/// Reads upstream's files. Total: what does not hold is in the result, and proves nothing.
#[must_use]
pub fn prove(files: &UpstreamFiles, asked: &Asked<'_>) -> Proof {
    let (mut proof, release) = head(files, asked);
    for (path, bytes) in &files.indexes {
        let mut index = ProvenIndex {
            path: path.clone(),
            digest: Digest::of(bytes),
            listed: listed(release.as_ref(), path),
            sources: Vec::new(),
            binaries: Vec::new(),
            unreadable: None,
        };
        // What nobody signed is not read at all.
        if index.listed == Some(index.digest)
            && let Err(error) = read(&mut index, bytes, asked)
        {
            index.unreadable = Some(error.to_string());
        }
        proof.indexes.push(index);
    }
    proof.indexes.sort_by(|a, b| a.path.cmp(&b.path));
    proof
}

/// What the same files prove of the same source package by other certificates: large indexes are not read a second time.
/// `files` need have no indexes. None when it takes them: of another Release, or when these certificates cover an index
/// that the former did not.
#[must_use]
pub fn prove_again(before: &Proof, files: &UpstreamFiles, asked: &Asked<'_>) -> Option<Proof> {
    let (mut proof, release) = head(files, asked);
    if proof.release != before.release {
        return None;
    }
    for index in &before.indexes {
        let listed = listed(release.as_ref(), &index.path);
        proof.indexes.push(match listed {
            _ if listed == index.listed => index.clone(),
            None => ProvenIndex {
                listed,
                sources: Vec::new(),
                binaries: Vec::new(),
                unreadable: None,
                ..index.clone()
            },
            Some(_) => return None,
        });
    }
    Some(proof)
}

fn listed(release: Option<&Release>, path: &RelPath) -> Option<Digest> {
    release?.entries().get(path).map(|listed| listed.digest)
}

/// What the release file proves, without any index; and what it says, when its signature holds.
fn head(files: &UpstreamFiles, asked: &Asked<'_>) -> (Proof, Option<Release>) {
    let mut proof = Proof {
        at: asked.at,
        release: Sha256::of(&files.release),
        signature: files.signature.as_deref().map(Sha256::of),
        keyring: Sha256::of(&files.keyring),
        signers: BTreeSet::new(),
        refused: None,
        names: Vec::new(),
        date: None,
        valid_until: None,
        indexes: Vec::new(),
    };
    let release = match signed(files, asked, &mut proof.signers) {
        Ok(text) => Release::parse(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match &release {
        Ok(release) => {
            let names = ["Suite", "Codename"].into_iter().filter_map(|name| release.field(name));
            proof.names = names.map(str::to_owned).collect();
            proof.date = release.date().ok();
            match release.valid_until() {
                Ok(until) => proof.valid_until = until,
                Err(error) => proof.refused = Some(error.to_string()),
            }
            // Its signature says that its operator wanted it, and nothing else.
            if release.field(UNPROVEN.0) == Some(UNPROVEN.1) {
                proof.refused = Some("it says of itself that it is unproven".to_owned());
            }
        }
        Err(why) => proof.refused = Some(why.clone()),
    }
    (proof, release.ok())
}

/// The text that at least one of the asked keys signed.
fn signed(
    files: &UpstreamFiles,
    asked: &Asked<'_>,
    signers: &mut BTreeSet<Fingerprint>,
) -> Result<Vec<u8>, TrustError> {
    let keyring = match asked.keyring {
        Some(keyring) => keyring.clone(),
        None => Keyring::parse(&files.keyring)?,
    };
    let known = keyring.fingerprints();
    let ours: Vec<Fingerprint> = known.into_iter().filter(|key| asked.signers.contains(key)).collect();
    let requirement = Requirement {
        keyring: &keyring.restricted_to(&ours)?,
        threshold: 1,
        now: asked.at,
    };
    let (text, found) = match &files.signature {
        None => {
            let verified = verify_inrelease(&files.release, &requirement)?;
            (verified.text, verified.signers)
        }
        Some(signature) => {
            let found = verify_detached(&files.release, signature, &requirement)?;
            (files.release.clone(), found)
        }
    };
    signers.extend(found.into_iter().map(|signer| signer.primary));
    Ok(text)
}

fn read(index: &mut ProvenIndex, bytes: &[u8], asked: &Asked<'_>) -> Result<(), FormatError> {
    let text = decompress(Compression::of_name(index.path.file_name()), bytes, LARGEST_INDEX)?;
    let is_sources = index.path.file_name().starts_with("Sources");
    for stanza in Stanzas::new(&text) {
        let stanza = stanza?;
        if is_sources {
            if stanza.field("Package") == Some(asked.source.as_str()) {
                let source = Source::from_stanza(&stanza)?;
                index
                    .sources
                    .extend(Some(source).filter(|source| source.version == *asked.version));
            }
        } else if is_built_of(&stanza, asked.source, asked.version)? {
            index.binaries.push(Binary::from_stanza(&stanza)?);
        }
    }
    Ok(())
}

/// Whether the package of a stanza was built of a source package in this version.
///
/// # Errors
/// When its `Source` or `Version` is malformed.
pub fn is_built_of(stanza: &Stanza<'_>, source: &PackageName, version: &Version) -> Result<bool, FormatError> {
    let named = stanza.field("Source").or_else(|| stanza.field("Package"));
    let named = named.unwrap_or_default();
    if named.split(' ').next() != Some(source.as_str()) {
        return Ok(false);
    }
    let own: Version = match stanza.field("Version").unwrap_or_default().parse() {
        Ok(own) => own,
        Err(source) => {
            let what = "Packages: Version".to_owned();
            return Err(FormatError::Value { what, source });
        }
    };
    let (_, of) = source_of("Packages", named, &own)?;
    Ok(of == *version)
}
