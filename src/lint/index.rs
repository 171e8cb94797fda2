//! What apt does with the bytes of an index that it fetches.

use sha2::Digest as _;

use super::finding::{Findings, Outcome};
use super::judge::{Judging, Object};
use super::release::{Entry, HASHES, Release};
use super::targets::{COMPRESSIONS, Target};
use crate::format::compress::{Compression, decompress};
use crate::format::foreign::Foreign;
use crate::format::hashes::sha1;

/// The largest index that is read, in bytes, compressed or not.
const LARGEST: u64 = 1 << 30;

/// The text of an index, as clients get it; none when apt takes none, or when something is to be read first.
pub(super) fn text(
    judging: &mut Judging<'_>,
    findings: &mut Findings,
    release: &Release<'_>,
    target: &Target,
) -> Option<Vec<u8>> {
    let by_hash = release.is("Acquire-By-Hash");
    for compression in COMPRESSIONS {
        let path = format!("{}{compression}", target.key);
        let Some(entry) = release.entries.get(&path) else {
            continue;
        };
        let found = fetched(judging, findings, &path, entry, by_hash)?;
        let Some((at, object)) = found else {
            continue;
        };
        return unpacked(findings, release, &at, object, (target, compression, entry));
    }
    let at = judging.dists(&target.key);
    findings.add(
        Outcome::Reject,
        "L-INDEX-MISSING",
        &at,
        "the Release lists it, and it is not there",
    );
    findings.saying("Failed to fetch");
    None
}

/// The file of an index under the first name that has one: none when there is none, nothing when it is still
/// to be read.
pub(super) fn fetched<'a>(
    judging: &mut Judging<'a>,
    findings: &mut Findings,
    path: &str,
    entry: &Entry,
    by_hash: bool,
) -> Option<Option<(String, &'a Object)>> {
    let plain = judging.dists(path);
    let limit = entry.size.min(LARGEST);
    if let Some((hash, hex)) = entry.strongest().filter(|_| by_hash) {
        let folder = path
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let hashed = judging.dists(&format!("{folder}by-hash/{hash}/{hex}"));
        match judging.get(&hashed, limit)? {
            Object::Absent | Object::Astray(_) => {
                let why = format!("it is not under its {hash}, the strongest hash that is listed, and fetched by name");
                findings.add(Outcome::Accept, "L-BY-HASH", &plain, why);
            }
            object => return Some(Some((hashed, object))),
        }
    }
    Some(match judging.get(&plain, limit)? {
        Object::Absent | Object::Astray(_) => None,
        object => Some((plain, object)),
    })
}

/// Undoes the compression, and checks the hashes on both sides.
fn unpacked(
    findings: &mut Findings,
    release: &Release<'_>,
    at: &str,
    object: &Object,
    (target, compression, entry): (&Target, &str, &Entry),
) -> Option<Vec<u8>> {
    let mut wrong = |code, why: String, sized| {
        findings.add(Outcome::Reject, code, at, why);
        // apt looks at the size of a download first.
        findings.saying(if sized {
            "Hash Sum mismatch"
        } else {
            "File has unexpected size"
        });
    };
    let bytes = match object {
        Object::Bytes(bytes) => bytes,
        _ => {
            let why = format!("it is larger than {} bytes, which the Release says", entry.size);
            wrong("L-INDEX-BYTES", why, false);
            return None;
        }
    };
    if let Some(why) = differs(bytes, entry) {
        wrong("L-INDEX-BYTES", why, bytes.len() as u64 == entry.size);
        return None;
    }
    let name = format!("x{compression}");
    let kind = Compression::of_name(&name);
    let (kind, read) = match Foreign::of_name(&name) {
        Some(foreign) => (foreign.to_string(), foreign.decompress(bytes, LARGEST)),
        None => (kind.to_string(), decompress(kind, bytes, LARGEST)),
    };
    let plain = release.entries.get(&target.key)?;
    let (code, why) = match read {
        Ok(text) => match differs(&text, plain) {
            None => return Some(text),
            Some(why) => ("L-INDEX-BYTES", format!("uncompressed, {why}")),
        },
        Err(error) => ("L-STREAM", format!("it is not one whole {kind} stream: {error}")),
    };
    findings.add(Outcome::Reject, code, at, why);
    findings.saying("Hash Sum mismatch");
    None
}

/// In what bytes are not what is listed.
pub(super) fn differs(bytes: &[u8], entry: &Entry) -> Option<String> {
    if bytes.len() as u64 != entry.size {
        return Some(format!(
            "it has {} bytes, and the Release says {}",
            bytes.len(),
            entry.size
        ));
    }
    let wrong = HASHES.iter().find(|name| {
        let listed = entry.hashes.get(**name);
        listed.is_some_and(|listed| *listed != hash(name, bytes))
    });
    wrong.map(|name| format!("its {name} is not what the Release says"))
}

fn hash(name: &str, bytes: &[u8]) -> String {
    match name {
        "SHA512" => hex::encode(sha2::Sha512::digest(bytes)),
        "SHA256" => hex::encode(sha2::Sha256::digest(bytes)),
        "SHA1" => sha1(bytes),
        _ => hex::encode(md5::Md5::digest(bytes)),
    }
}
