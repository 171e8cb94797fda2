//! What Assay writes below `state/`, by its name. No client asks for any of it; but a web server on the whole store
//! hands it out, and whatever else is there.

use super::places::SIGNED;
use crate::domain::{Architecture, FileName, PackageName, Sha256, SuiteName, TagName, Version};

/// What one part of a name is.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// This word.
    Is(&'static str),
    /// A SHA-256, or as many digits of chance.
    Hash,
    /// A number.
    Number,
    /// The same, of an entry.
    Entry,
    /// The name of a package.
    Package,
    /// The name of a tag.
    Tag,
    /// A declaration's SHA-256, or the list of imports.
    About,
    /// An entry that waits for a signature, by its own name in one part.
    Waiting,
    /// What a round was bound to: a lock, and which round of it.
    Round,
    /// 16 bytes of chance.
    Chance,
}

use Part::{About, Chance, Entry, Hash, Is, Number, Package, Round, Tag, Waiting};

/// The names below an archive's state, but for the ledger's.
const NAMES: [&[Part]; 24] = [
    &[Entry],
    &[Is("refused.json")],
    &[Is("beside"), Hash],
    &[Is("claims"), Number],
    &[Is("commitments"), Hash, Hash],
    &[Is("decisions"), About, Hash],
    &[Is("declared"), Hash, Hash],
    &[Is("evidence"), Hash, Hash],
    &[Is("filled"), Hash],
    &[Is("heard"), Package, Hash],
    &[Is("held"), Is("sha256"), Hash],
    &[Is("left"), Hash],
    &[Is("lineage"), Package, Entry],
    &[Is("links"), Hash, Hash],
    &[Is("marks"), Entry],
    &[Is("missed"), Hash],
    &[Is("nonces"), Hash, Hash],
    &[Is("renewals"), Number, Entry],
    &[Is("rounds"), Hash, Round],
    &[Is("said"), Entry],
    &[Is("signatures"), Hash],
    &[Is("tags"), Tag],
    &[Is("waiting"), Waiting],
    &[Is("working"), Chance],
];

impl Part {
    fn fits(self, part: &str) -> bool {
        let entry = part.strip_suffix(".json");
        match self {
            Self::Is(word) => part == word,
            Self::Hash => is_hash(part),
            Self::Number => is_number(part),
            Self::Entry => entry.is_some_and(is_number),
            Self::Package => PackageName::check(part).is_ok(),
            Self::Tag => entry.is_some_and(|tag| TagName::check(tag).is_ok()),
            Self::About => is_hash(part) || part == "imports",
            Self::Waiting => entry.is_some_and(waits),
            Self::Round => entry
                .and_then(|round| round.rsplit_once('-'))
                .is_some_and(|(lock, n)| is_hash(lock) && is_number(n)),
            Self::Chance => entry.is_some_and(|chance| chance.len() == 32 && chance.bytes().all(is_hexadecimal)),
        }
    }
}

/// Whether Assay writes objects of this name. One that clients know a suite by is not ours, whoever signed it.
pub(super) fn is_written(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("state/") else {
        return false;
    };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match parts.as_slice() {
        // Signed on another machine, until it is published.
        ["waiting", "signed", text, "InRelease" | "Release.gpg"] => is_hash(text),
        [.., last] if SIGNED.contains(last) => false,
        ["ledger", below @ ..] => is_claim(below),
        parts => NAMES
            .iter()
            .any(|name| name.len() == parts.len() && name.iter().zip(parts).all(|(is, part)| is.fits(part))),
    }
}

/// As `LedgerKey::path` gives it.
fn is_claim(parts: &[&str]) -> bool {
    let package = |name: &str| PackageName::check(name).is_ok();
    let version = |text: &str| Version::new(text).is_ok();
    let architecture = |name: &str| Architecture::check(name).is_ok();
    match parts {
        ["source" | "upstream", name, v] => package(name) && version(v),
        ["binary", name, v, a] => package(name) && version(v) && architecture(a),
        ["file", name] => FileName::check(name).is_ok(),
        ["suite", name, suite @ .., v, a] => {
            package(name) && SuiteName::check(&suite.join("/")).is_ok() && version(v) && architecture(a)
        }
        _ => false,
    }
}

/// `publish::waiting` names an entry by its key, with `-` for `/`.
fn waits(name: &str) -> bool {
    let numbers = |text: &str| text.split_once('-').is_some_and(|(n, k)| is_number(n) && is_number(k));
    is_number(name)
        || name.strip_prefix("marks-").is_some_and(is_number)
        || name.strip_prefix("renewals-").is_some_and(numbers)
        || name
            .strip_prefix("tags-")
            .is_some_and(|tag| TagName::check(tag).is_ok())
}

fn is_hash(text: &str) -> bool {
    text.parse::<Sha256>().is_ok_and(|sha256| sha256.hex() == text)
}

fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
}

fn is_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_assay_never_writes_is_not_its_own() {
        let hash = "ab".repeat(32);
        let ours = [
            "7.json".to_owned(),
            "refused.json".to_owned(),
            format!("signatures/{hash}"),
            format!("filled/{hash}"),
            format!("decisions/imports/{hash}"),
            format!("heard/g++-12/{hash}"),
            format!("held/sha256/{hash}"),
            "lineage/hello/0.json".to_owned(),
            "renewals/1/12.json".to_owned(),
            format!("rounds/{hash}/{hash}-1.json"),
            "tags/6.12.json".to_owned(),
            "waiting/renewals-3-1.json".to_owned(),
            "waiting/tags-a-b.json".to_owned(),
            format!("waiting/signed/{hash}/InRelease"),
            format!("working/{}.json", "0f".repeat(16)),
            "ledger/suite/hello/bookworm/updates/1.0-1/amd64".to_owned(),
            "ledger/binary/hello/1:1.0-1/all".to_owned(),
            "ledger/file/hello_1.0.orig.tar.gz".to_owned(),
        ];
        for name in ours {
            assert!(is_written(&format!("state/foundry/{name}")), "{name}");
        }
        let strange = [
            "index.html".to_owned(),
            "01.json".to_owned(),
            "signatures/index.html".to_owned(),
            format!("signatures/{hash}/index.html"),
            "filled/zz".to_owned(),
            "working/zz".to_owned(),
            "renewals/1/zz".to_owned(),
            "renewals/1/01.json".to_owned(),
            format!("signatures/{}", hash.to_uppercase()),
            "tags/latest.html".to_owned(),
            "waiting/evil-1.json".to_owned(),
            format!("waiting/signed/{hash}/Release"),
            format!("held/{hash}"),
            "ledger/file/InRelease".to_owned(),
            "ledger/web/index.html".to_owned(),
            format!("strange/{hash}"),
        ];
        for name in strange {
            assert!(!is_written(&format!("state/foundry/{name}")), "{name}");
        }
        assert!(!is_written("state/index.html"));
    }
}
