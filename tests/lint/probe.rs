//! What a real apt does, in one word, and whether lint's is the same.

use std::path::Path;
use std::process::Command;

use assay::lint::{Apt as Which, Finding, Judgement, Outcome, Question, Repository, lint};
use assay::trust::Keyring;

use super::broken::{Broken, Case, Written, now, stanza};
use crate::support::apt::Apt;
use crate::support::web::Web;

/// What is wrong with lint's word, if anything is.
pub(super) fn check(case: &Case) -> Result<(), String> {
    let had = case.before.map(|fault| {
        let mut broken = Broken::good();
        broken.modified = -1000;
        // What clients must see is new.
        broken.packages(|_| stanza("hello-doc", "all"));
        fault(&mut broken);
        broken.written()
    });
    let mut broken = Broken::good();
    if case.with_all {
        let path = "main/binary-all/Packages".to_owned();
        broken.indexes.insert(path, stanza("hello-doc", "all"));
    }
    (case.fault)(&mut broken);
    let written = broken.written();
    let judgement = judged(case, &written, had.as_ref());
    let mut problems = Vec::new();
    for (which, expected) in Which::ALL.into_iter().zip(case.outcomes) {
        let verdict = judgement.verdicts.iter().find(|verdict| verdict.apt == which).unwrap();
        let (outcome, said) = tried(case, which, &written, had.as_ref());
        if verdict.outcome != expected || outcome != expected {
            let lint = verdict.outcome;
            problems.push(format!(
                "{which}: expected {expected}, lint says {lint}, apt does {outcome}: {said}"
            ));
        }
        let found: Vec<&Finding> = judgement.findings.iter().filter(|f| f.apts.contains(&which)).collect();
        if expected > Outcome::Accept && !found.iter().any(|finding| finding.code == case.code) {
            problems.push(format!("{which}: no {}", case.code));
        }
        let worst = found.iter().filter(|finding| finding.outcome == expected);
        for message in worst.filter_map(|finding| finding.message.as_deref()) {
            if !said.contains(message) {
                problems.push(format!("{which} does not say {message:?}: {said}"));
            }
        }
    }
    if !case.code.is_empty() && !judgement.findings.iter().any(|finding| finding.code == case.code) {
        problems.push(format!("no {} in {:?}", case.code, judgement.findings));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\nfindings: {:#?}", problems.join("\n"), judgement.findings))
    }
}

fn judged(case: &Case, written: &Written, had: Option<&Written>) -> Judgement {
    let keyring = Keyring::parse(&std::fs::read(&written.certificate).unwrap()).unwrap();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let question = Question {
        suite: suite(written.flat),
        components: owned(case.ask.components),
        architectures: owned(case.ask.architectures),
        languages: vec!["en".to_owned()],
        sources: None,
        keyring: Some(&keyring),
        now: now(),
        files: case.ask.fetches,
    };
    let open = |written: &Written| Repository::Folder(written.folder.path().to_owned());
    lint(&open(written), had.map(open).as_ref(), &question).unwrap()
}

fn suite(flat: bool) -> &'static str {
    if flat { "./" } else { "trixie" }
}

/// What an apt does, and what it says.
fn tried(case: &Case, which: Which, written: &Written, had: Option<&Written>) -> (Outcome, String) {
    let served = tempfile::tempdir().unwrap();
    copy(had.unwrap_or(written).folder.path(), served.path());
    let web = Web::serve(served.path());
    let apt = match which {
        Which::Gpgv => Apt::new(""),
        Which::Sqv => Apt::next(""),
    };
    let trusted = certificates(&apt, &written.certificate);
    let source = |more: &str| {
        let components = match written.flat {
            true => String::new(),
            false => format!("Components: {}\n", case.ask.components.join(" ")),
        };
        format!(
            "Types: deb deb-src\nURIs: {}\nSuites: {}\n{components}Architectures: {}\n{more}Signed-By: {trusted}\n",
            web.url,
            suite(written.flat),
            case.ask.architectures.join(" ")
        )
    };
    apt.set_sources(&source(""));
    if had.is_some() {
        let said = apt.get(&["--quiet=0", "update"]);
        assert!(said.ok, "{}: {}", case.name, said.text);
        std::fs::remove_dir_all(served.path().join("dists")).unwrap();
        copy(written.folder.path(), served.path());
    }
    outcome(case, &apt, &source("Snapshot: 20260101T000000Z\n"))
}

/// Copies a folder with the times of its files.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success());
}

/// The certificates that a client trusts, a file for each.
fn certificates(apt: &Apt, path: &Path) -> String {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let text = std::fs::read_to_string(path).unwrap();
    let mut paths = Vec::new();
    for (number, block) in text.split(BEGIN).skip(1).enumerate() {
        let path = apt.folder().join(format!("trusted-{number}.asc"));
        std::fs::write(&path, format!("{BEGIN}{block}")).unwrap();
        paths.push(path.display().to_string());
    }
    paths.join(", ")
}

fn outcome(case: &Case, apt: &Apt, snapshot: &str) -> (Outcome, String) {
    let update = apt.get(&["--quiet=0", "update"]);
    let mut said = update.text.clone();
    if !update.ok {
        return (Outcome::Reject, said);
    }
    // Notices come with progress, which goes back to the start of its line.
    let words = ["W:", "N:", "Skipping download"];
    let warned = |said: &str| {
        said.split(['\n', '\r'])
            .any(|line| words.iter().any(|word| line.starts_with(word)))
    };
    let mut seen = true;
    for name in case.ask.sees {
        let found = apt.run("apt-cache", &["policy", name]);
        if !found.ok {
            return (Outcome::Reject, found.text);
        }
        // One without an architecture is called `hello:none`.
        seen &= found.text.starts_with(&format!("{name}:\n")) && found.text.contains("Candidate: 1.0");
        said.push_str(&found.text);
    }
    if !seen {
        let outcome = if warned(&said) { Outcome::Warn } else { Outcome::Ignore };
        return (outcome, said);
    }
    if case.ask.snapshot {
        apt.set_sources(snapshot);
        let update = apt.get(&["--quiet=0", "update"]);
        said.push_str(&update.text);
        if said.contains("Snapshots not supported") {
            return (Outcome::Ignore, said);
        }
    }
    let package: &[&str] = &["download", "hello"];
    let source: &[&str] = &["source", "--download-only", "hello"];
    for (args, wanted) in [
        (package, case.ask.fetches || case.ask.downloads),
        (source, case.ask.fetches),
    ] {
        if wanted {
            let fetched = apt.get(args);
            said.push_str(&fetched.text);
            if !fetched.ok {
                return (Outcome::Reject, said);
            }
        }
    }
    (if warned(&said) { Outcome::Warn } else { Outcome::Accept }, said)
}
