//! What apt does with the stanzas of an index.

use std::collections::BTreeMap;

use super::Apt;
use super::finding::{Findings, Outcome};
use super::judge::{Judging, Measured};
use super::relations::{FIELDS, are_parsed};
use super::release::number;
use super::section::{Section, sections};
use crate::domain::Sha256;

/// How many stanzas are named for one reason; the rest are counted.
const SHOWN: usize = 5;

/// What is known of the packages of a suite while its indexes are read: what each version's bytes are.
#[derive(Debug, Default)]
pub(super) struct Known {
    hashes: BTreeMap<String, String>,
}

impl Known {
    /// The packages of one index, by name, version and architecture.
    pub(super) fn names(text: &str) -> Vec<String> {
        sections(text)
            .map_while(Result::ok)
            .filter_map(|stanza| identity(&stanza))
            .collect()
    }
}

/// Judges each stanza, as far as apt reads.
fn each(findings: &mut Findings, at: &str, text: &[u8], mut judge: impl FnMut(&mut Said, &Section<'_>)) {
    let text = String::from_utf8_lossy(text);
    let mut said = Said::default();
    for stanza in sections(&text) {
        match stanza {
            Ok(stanza) => judge(&mut said, &stanza),
            Err(line) => {
                let at = format!("line {line}");
                said.of("L-PARSE", Outcome::Reject, "a line has no colon", &at, None);
                break;
            }
        }
    }
    said.tell(findings, at);
}

/// What apt does with a Packages file.
pub(super) fn packages(judging: &mut Judging<'_>, findings: &mut Findings, known: &mut Known, at: &str, text: &[u8]) {
    let apt = findings.apt;
    each(findings, at, text, |said, stanza| {
        package(judging, apt, known, said, stanza)
    });
}

fn package(judging: &mut Judging<'_>, apt: Apt, known: &mut Known, said: &mut Said, stanza: &Section<'_>) {
    let line = format!("line {}", stanza.line);
    let Some(name) = stanza.filled("Package") else {
        let message = "Encountered a section with no Package: header";
        return said.of(
            "L-PACKAGE",
            Outcome::Reject,
            "a stanza has no Package",
            &line,
            Some(message),
        );
    };
    let version = stanza.filled("Version");
    let shown = format!("{name} {}", version.unwrap_or_default());
    let Some(version) = version else {
        return said.of(
            "L-VERSION",
            Outcome::Ignore,
            "a package has no Version, and is not seen",
            name,
            None,
        );
    };
    if stanza.filled("Architecture").is_none() {
        let why = "a package has no Architecture, and cannot be installed";
        return said.of("L-NO-ARCHITECTURE", Outcome::Ignore, why, &shown, None);
    }
    if let Some(field) = FIELDS
        .iter()
        .find(|field| !are_parsed(apt, stanza.get(field).unwrap_or_default()))
    {
        let why = "a relation cannot be parsed, and with it nothing of the index";
        let shown = format!("{field} of {shown}");
        return said.of(
            "L-RELATION",
            Outcome::Reject,
            why,
            &shown,
            Some("Problem parsing dependency"),
        );
    }
    let Some(path) = stanza.filled("Filename") else {
        let message = format!("Can't find a source to download version '{version}' of '{name}");
        let why = "a package has no Filename";
        return said.of("L-FILENAME", Outcome::Reject, why, &shown, Some(&message));
    };
    if path.split('/').any(|part| part == "..") {
        let why = "a Filename leads out of the repository with `..`, and apt follows it";
        said.of("L-DOTDOT", Outcome::Accept, why, &shown, None);
    }
    let size = number(stanza.get("Size").unwrap_or_default());
    if size == 0 {
        let message = "has no Size information";
        return said.of(
            "L-SIZE",
            Outcome::Reject,
            "a package has no Size",
            &shown,
            Some(message),
        );
    }
    let hash = ["SHA512", "SHA256"].iter().find_map(|field| stanza.filled(field));
    let Some(hash) = hash else {
        let message = "Insufficient information available to perform this download securely";
        return said.of(
            "L-HASH",
            Outcome::Reject,
            "a package has no SHA256",
            &shown,
            Some(message),
        );
    };
    if let Some(identity) = identity(stanza) {
        let first = known.hashes.entry(identity).or_insert_with(|| hash.to_owned());
        if first != hash {
            two_hashes(apt, said, name, version);
        }
    }
    file(judging, said, path, size, stanza.filled("SHA256"), &shown);
}

fn two_hashes(apt: Apt, said: &mut Said, name: &str, version: &str) {
    let shown = format!("{name} {version}");
    let why = "one version of a package has two hashes";
    match apt {
        Apt::Gpgv => {
            let message = format!("Sources disagree on hashes for supposedly identical version '{version}' of '{name}");
            said.of("L-TWO-HASHES", Outcome::Warn, why, &shown, Some(&message));
        }
        Apt::Sqv => said.of("L-TWO-HASHES", Outcome::Accept, why, &shown, None),
    }
}

/// What name, version and architecture a stanza is of.
fn identity(stanza: &Section<'_>) -> Option<String> {
    let fields = ["Package", "Version", "Architecture"].map(|field| stanza.filled(field));
    let [Some(name), Some(version), Some(architecture)] = fields else {
        return None;
    };
    Some(format!("{name} {version} {architecture}"))
}

/// Whether the file is there with the bytes that are said, when that was asked for.
fn file(judging: &mut Judging<'_>, said: &mut Said, path: &str, size: u64, sha256: Option<&str>, shown: &str) {
    if !judging.question.files {
        return;
    }
    let Some(measured) = judging.measure(path) else {
        return;
    };
    let (why, message) = match measured {
        Measured::Absent => ("a file is not there", "Failed to fetch"),
        Measured::Is(digest) if digest.size != size => {
            ("a file has another size than its stanza says", "unexpected size")
        }
        Measured::Is(digest) => match sha256.map(str::parse::<Sha256>) {
            Some(Ok(sha256)) if sha256 != digest.sha256 => {
                ("a file has other bytes than its stanza says", "Hash Sum mismatch")
            }
            _ => return,
        },
    };
    said.of(
        "L-FILE",
        Outcome::Reject,
        why,
        &format!("{shown}: {path}"),
        Some(message),
    );
}

/// What apt does with a Sources file.
pub(super) fn sources(judging: &mut Judging<'_>, findings: &mut Findings, at: &str, text: &[u8]) {
    each(findings, at, text, |said, stanza| source(judging, said, stanza));
}

fn source(judging: &mut Judging<'_>, said: &mut Said, stanza: &Section<'_>) {
    let name = stanza
        .filled("Package")
        .or(stanza.filled("Source"))
        .unwrap_or("a source");
    let shown = format!("{name} {}", stanza.get("Version").unwrap_or_default());
    let hashed = ["Checksums-Sha512", "Checksums-Sha256"]
        .iter()
        .find_map(|field| stanza.filled(field));
    let Some(hashed) = hashed else {
        let message = "as requested hashsum is not available for authentication";
        let why = "a source has no Checksums-Sha256, and its files are left out";
        return said.of("L-SOURCE", Outcome::Warn, why, &shown, Some(message));
    };
    let folder = stanza.get("Directory").unwrap_or_default();
    let with_sha256 = stanza.filled("Checksums-Sha256") == Some(hashed);
    let words: Vec<&str> = hashed.split_ascii_whitespace().collect();
    for entry in words.chunks_exact(3) {
        let [hash, size, path] = entry else { continue };
        let path = if folder.is_empty() {
            (*path).to_owned()
        } else {
            format!("{folder}/{path}")
        };
        let sha256 = Some(*hash).filter(|_| with_sha256);
        file(judging, said, &path, number(size), sha256, &shown);
    }
}

/// One thing that is said of many stanzas: how bad it is, why, what apt says.
type Reason = (&'static str, Outcome, &'static str);

/// What is said of the stanzas of a file, one finding for each reason.
#[derive(Debug, Default)]
struct Said(BTreeMap<Reason, (Vec<String>, usize, Option<String>)>);

impl Said {
    fn of(&mut self, code: &'static str, outcome: Outcome, why: &'static str, what: &str, message: Option<&str>) {
        let (shown, count, said) = self.0.entry((code, outcome, why)).or_default();
        *count += 1;
        if shown.len() < SHOWN {
            shown.push(what.to_owned());
        }
        if said.is_none() {
            *said = message.map(str::to_owned);
        }
    }

    fn tell(self, findings: &mut Findings, at: &str) {
        for ((code, outcome, why), (shown, count, message)) in self.0 {
            let more = count.saturating_sub(shown.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            findings.add(outcome, code, at, format!("{why}: {}{more}", shown.join(", ")));
            if let Some(message) = message {
                findings.saying(message);
            }
        }
    }
}
