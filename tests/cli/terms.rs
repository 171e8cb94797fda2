//! What policies ask for, on real builds: the quorum of a suite, groups of builders, no network, and that tests run.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use assay::format::dsse::{Envelope, IN_TOTO};
use assay::rebuild::{COMMITMENT, Commitment};
use assay::trust::{Ed25519Key, Ed25519Public, sign_envelope};
use assay::{domain::Sha256, format::json};

use super::made::files;
use super::small::{Small, said};
use super::text;

const PREPARE: [&str; 3] = ["prepare", "--checkout", "."];

fn rule(small: &Small, change: impl FnOnce(&str) -> String) {
    small.made.edit("policies/default.toml", change);
}

/// The rules that refuse what is rebuilt now.
fn refused(small: &Small) -> String {
    let output = small.made.run(&["admit", "tiny"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    text(&output.stdout)
}

#[test]
fn prepare_asks_for_what_the_suite_and_its_groups_ask_for() {
    let small = Small::new();
    let answers = || files(&small.path("store/state/custom/evidence")).len();
    small.add_builder("carol");
    // More than the policy asks for elsewhere.
    rule(&small, |policy| format!("{policy}\n[suite.stable]\nquorum = 3\n"));
    small.release("1.1");
    assert!(small.prints(&PREPARE).contains("Suites: stable"));
    assert_eq!(answers(), 3);

    // A group whose operator comes last: two that are enough in number are not enough.
    let group = "[[group]]\nname = \"outside\"\noperators = [\"carol\"]\nthreshold = 1\n";
    rule(&small, |policy| policy.replace("[suite.stable]\nquorum = 3\n", group));
    small.release("1.2");
    for builder in ["alice/laptop", "bob/laptop"] {
        small.prints(&["rebuild", "tiny", "--builder", builder]);
    }
    let why = refused(&small);
    assert!(
        why.contains("sealed until"),
        "nothing is shown before the group has answered: {why}"
    );
    assert!(small.prints(&PREPARE).contains("Suites: stable"));
    assert_eq!(answers(), 6, "carol was asked, and nobody twice");
    let decided = small.prints(&["decisions", "tiny", "--json"]);
    let newest = decided.lines().last().unwrap();
    assert!(
        newest.contains("\"version\":\"1.2\"") && newest.contains("\"admitted\":true"),
        "{newest}"
    );
    let why = |code: i32| {
        let output = small.made.run(&["why", "tiny"]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        text(&output.stdout)
    };
    let proven = why_rebuilds(&small);
    assert!(proven.contains("carol/laptop"), "{proven}");

    // Whoever reads it later counts groups, too: as the policy has them then.
    rule(&small, |policy| {
        policy.replace("[\"carol\"]\nthreshold = 1", "[\"carol\", \"dora\"]\nthreshold = 2")
    });
    let doubted = why(3);
    assert!(
        doubted.contains("only 1 of 2 operators of the group `outside` left a record"),
        "{doubted}"
    );
}

/// What was admitted stays; but whoever asks about it, or builds an image with it, is told that a builder got something else.
#[test]
fn a_dissent_that_comes_after_the_admission_is_told() {
    let small = Small::built_by("case $$(uname -n) in assay-three) echo other;; *) echo same;; esac > $(D)/what");
    small.add_builder("carol");
    small.release("1.1");
    for builder in ["alice/laptop", "bob/laptop"] {
        small.prints(&["rebuild", "tiny", "--builder", builder]);
    }
    small.prints(&["admit", "tiny"]);
    let told = |args: &[&str]| {
        let output = small.made.run(args);
        (output.status.code(), said(&output))
    };
    // The mirror of this fixture is no upstream's, so that its environment is not proven.
    for verb in [&["why", "tiny"][..], &["status"], &["lock"], &PREPARE] {
        assert!(!told(verb).1.contains("carol"), "{verb:?}: {}", told(verb).1);
    }
    small.prints(&["rebuild", "tiny", "--builder", "carol/laptop"]);
    let (_, said) = told(&["why", "tiny"]);
    assert!(
        said.contains("unknown  dissent     carol/laptop got other bytes on"),
        "{said}"
    );
    let (_, said) = told(&["status"]);
    assert!(
        said.contains("problem: tiny 1.1 is contradicted: carol/laptop built it"),
        "{said}"
    );
    for verb in [&["lock"][..], &PREPARE] {
        let (code, said) = told(verb);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("dissent: tiny 1.1: carol/laptop got other bytes"),
            "{verb:?}: {said}"
        );
    }

    // A builder whose key is revoked contradicts nobody.
    rule(&small, |policy| {
        policy.replace(
            "id = \"carol/laptop\"",
            "id = \"carol/laptop\"\nrevoked-at = \"2020-01-01T00:00:00Z\"",
        )
    });
    for verb in [&["why", "tiny"][..], &["status"], &["lock"]] {
        assert!(!told(verb).1.contains("carol"), "{verb:?}: {}", told(verb).1);
    }
}

fn why_rebuilds(small: &Small) -> String {
    let output = small.made.run(&["why", "tiny"]);
    let lines = text(&output.stdout);
    lines
        .lines()
        .filter(|line| line.contains("rebuild"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A builder's answer to a nonce that the gate issued, in a folder.
fn answer(small: &Small, builder: &str, folder: &str) {
    let plan = small.prints(&["rebuild", "tiny", "--plan", "--issue", "--json"]);
    let jobs = plan
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let job = jobs.into_iter().find(|job| job["builder"] == builder).unwrap();
    let (nonce, run) = (job["nonce"].as_str().unwrap().to_owned(), job["run"].to_string());
    small.prints(&[
        "rebuild",
        "tiny",
        "--builder",
        builder,
        "--nonce",
        &nonce,
        "--run",
        &run,
        "--output",
        folder,
    ]);
}

/// What a builder with another program would hand in: its record says something else, and its key signs that.
fn rewrite(small: &Small, builder: &str, folder: &Path, from: &str, to: &str) {
    let site = small.made.load();
    let policy = site.policy(&"default".parse().unwrap()).unwrap();
    let known = policy
        .builders
        .iter()
        .find(|known| known.id.as_str() == builder)
        .unwrap();
    let public = Ed25519Public::parse(&known.public_key).unwrap();
    let key: Ed25519Key = site.ed25519_key(&public.fingerprint()).unwrap();
    let envelope = Envelope::parse(&fs::read(folder.join("record.json")).unwrap()).unwrap();
    let statement = String::from_utf8(envelope.payload).unwrap();
    assert!(statement.contains(from), "{statement}");
    let record = sign_envelope(IN_TOTO, statement.replace(from, to).as_bytes(), &key)
        .to_bytes()
        .unwrap();
    let envelope = Envelope::parse(&fs::read(folder.join("commitment.json")).unwrap()).unwrap();
    let mut bound: Commitment = json::strict("commitment", &envelope.payload).unwrap();
    bound.record = Sha256::of(&record);
    let payload = json::canonical("commitment", &bound).unwrap();
    let commitment = sign_envelope(COMMITMENT, &payload, &key).to_bytes().unwrap();
    fs::write(folder.join("record.json"), record).unwrap();
    fs::write(folder.join("commitment.json"), commitment).unwrap();
}

/// Rules E4 and E6: a real build has no network and runs its tests; one that had, or did not, does not count.
#[test]
fn a_build_with_network_or_without_tests_does_not_count() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let commands = format!(
        "test -z \"$$DEB_BUILD_PROFILES\"\n\
         case \"$$DEB_BUILD_OPTIONS\" in *nocheck*) exit 1;; esac\n\
         ! bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'\n\
         echo tested > $(D)/tested"
    );
    let small = Small::built_by(&commands);
    for builder in ["alice", "bob"] {
        answer(&small, &format!("{builder}/laptop"), &format!("../{builder}"));
    }
    drop(listener);
    let spoilt = [
        ("alice", "\"debBuildProfiles\":\"\"", "\"debBuildProfiles\":\"nocheck\""),
        ("bob", "\"network\":\"none\"", "\"network\":\"host\""),
    ];
    let honest = spoilt.map(|(builder, ..)| fs::read(small.path(&format!("../{builder}/record.json"))).unwrap());
    assert_ne!(honest[0], honest[1]);
    for (builder, from, to) in spoilt {
        let folder = small.path(&format!("../{builder}"));
        rewrite(&small, &format!("{builder}/laptop"), &folder, from, to);
        small.prints(&["rebuild", "tiny", "--take", &format!("../{builder}")]);
    }
    let why = refused(&small);
    for said in [
        "only 0 of 2 operators gave these bytes",
        "the build had the network `host`, not `none`",
        "it was built with `nocheck`",
    ] {
        assert!(why.contains(said), "{said}: {why}");
    }

    // An exception to E6 lets tests be skipped, for all to see; there is none to E4.
    rule(&small, |policy| {
        let exception = |rule: &str| {
            format!(
                "\n[[exception]]\nrule = \"{rule}\"\nsource = \"tiny\"\nreason = \"a test\"\nowner = \"Olga\"\n\
                 expires = \"2099-01-01T00:00:00Z\"\n"
            )
        };
        format!("{policy}{}", exception("E6"))
    });
    let why = refused(&small);
    assert!(why.contains("only 1 of 2 operators gave these bytes"), "{why}");
}
