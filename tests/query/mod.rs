//! Tests of `query`: what is asked about a whole archive, over documents that were really signed.

pub(crate) mod maker;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use assay::admission::{Decision, ONE_PATH};
use assay::domain::Sha256;
use assay::format::intoto::Outcome;
use assay::snapshot::Chain;
use serde_json::Value;

use crate::cli::{assay, text};
use crate::support::repository::{Repository, now};
use maker::{Maker, Plan, RARE, SIGNER, Source, builds_with_ours};

const PLAN: Plan = Plan {
    sources: 12,
    environment: 8,
    debian: 30,
};

struct Made {
    folder: tempfile::TempDir,
    maker: Maker,
    all: Vec<Source>,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = assay(folder.path(), &["init", "site"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let maker = Maker::new(&folder.path().join("site"), now());
        let all = maker.archive(PLAN);
        Self { folder, maker, all }
    }

    fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    fn run(&self, args: &[&str]) -> Output {
        assay(&self.site(), args)
    }

    /// The records of an answer, and its exit code.
    fn ask(&self, args: &[&str]) -> (Vec<Value>, i32) {
        let output = self.run(&[args, &["--json"]].concat());
        let records = text(&output.stdout);
        let records = records.lines().map(|line| serde_json::from_str(line).unwrap());
        (records.collect(), output.status.code().unwrap())
    }

    /// The files of the cache.
    fn kept(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.site().join("cache/query"));
        let files = folder.into_iter().flatten().map(|entry| entry.unwrap().path());
        files.collect()
    }

    fn document(&self, sha256: &Sha256) -> PathBuf {
        self.site().join(format!("store/custom/provenance/sha256/{sha256}"))
    }
}

fn sources(answer: &[Value]) -> Vec<&str> {
    answer.iter().map(|record| record["source"].as_str().unwrap()).collect()
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn packages_commits_and_keys_lead_to_one_another() {
    let made = Made::new();
    let one = &made.all[4];
    let (path, sha256) = one
        .files
        .iter()
        .find(|(path, _)| path.as_str().ends_with(".deb"))
        .unwrap();
    for what in ["src00004", "libsrc00004-dev", &sha256.hex()] {
        let (answer, code) = made.ask(&["source-of", what]);
        assert_eq!((sources(&answer), code), (vec!["src00004"], 0), "{what}");
        assert_eq!(answer[0]["proof"], "proven");
        assert_eq!(answer[0]["git"]["commit"], one.declaration.git_commit.as_str());
        assert_eq!(answer[0]["git"]["signers"][SIGNER], "Dana");
        assert_eq!(answer[0]["levels"][0], "SLSA_BUILD_REPRODUCED");
    }
    let (answer, _) = made.ask(&["source-of", &sha256.hex()]);
    assert_eq!(
        answer[0]["files"].as_object().unwrap().keys().next().unwrap(),
        path.as_str()
    );

    let commit = one.declaration.git_commit.as_str();
    for what in [commit, &commit[..8], one.declaration.git_tag.as_ref().unwrap().as_str()] {
        let (answer, code) = made.ask(&["outputs-of", what]);
        assert_eq!((sources(&answer), code), (vec!["src00004"], 0), "{what}");
        assert_eq!(answer[0]["files"].as_object().unwrap().len(), 4);
    }
    let (answer, _) = made.ask(&["outputs-of", "refs/tags/debian/1.0-1"]);
    assert_eq!(answer.len(), PLAN.sources);
    let (answer, code) = made.ask(&["by-signer", SIGNER]);
    assert_eq!((answer.len(), code), (PLAN.sources, 0));
    let builder = made.maker.builder(0);
    let (answer, _) = made.ask(&["by-signer", builder.as_str()]);
    assert_eq!(answer.len(), PLAN.sources);
    assert!(
        answer[0]["why"].as_str().unwrap().contains("alice/desk rebuilt it"),
        "{}",
        answer[0]["why"]
    );

    for (args, wanted) in [
        (["source-of", "absent"], 6),
        (["outputs-of", "0000000000"], 6),
        (["outputs-of", "master"], 2),
        (["by-signer", "DEADBEEFDEADBEEF"], 6),
        (["by-signer", "4D"], 2),
        (["built-with", "not a name"], 2),
        (["built-with", "absent"], 6),
    ] {
        let output = made.run(&args);
        assert_eq!(output.status.code(), Some(wanted), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn what_was_built_with_a_package_is_found_through_our_own_packages_too() {
    let made = Made::new();
    let rare: Vec<usize> = (0..PLAN.sources).filter(|number| number % 3 == 0).collect();
    // Source 9 was built with a package of source 8, and 8 did not have the rare compiler, but 9 itself did.
    assert!(builds_with_ours(9) && rare.contains(&9));
    for what in [RARE, "rare-compiler=5.6.1-1", "rare-compiler=5.6.1"] {
        let (answer, code) = made.ask(&["built-with", what]);
        let wanted: Vec<String> = rare.iter().map(|number| format!("src{number:05}")).collect();
        assert_eq!(
            (sources(&answer), code),
            (wanted.iter().map(String::as_str).collect(), 0),
            "{what}"
        );
    }
    // What was asked for is named, and not another package of its source; unless it is the source that was asked for.
    let (answer, _) = made.ask(&["built-with", RARE]);
    let why = |answer: &[serde_json::Value]| answer[0]["why"].as_str().unwrap().to_owned();
    assert_eq!(
        why(&answer),
        "its environment held rare-compiler 5.6.1-1 amd64 of debian"
    );
    let (answer, _) = made.ask(&["built-with", "src00008"]);
    assert_eq!(
        why(&answer),
        "its environment held libsrc00008-dev 1.0-1 amd64 of custom, of the source src00008"
    );
    let (answer, code) = made.ask(&["built-with", "rare-compiler=5.6.2"]);
    assert_eq!((answer.len(), code), (0, 0));

    // dep00004 and above are drawn: who has one that source 8 has, and what was built with source 8.
    let lock = made.maker.lock(PLAN, 8, None);
    let own = lock.packages.iter().find(|package| {
        let held = |number| {
            made.maker
                .lock(PLAN, number, None)
                .packages
                .iter()
                .any(|p| p.sha256 == package.sha256)
        };
        !held(9)
    });
    let own = own.expect("a package of the one and not of the other");
    let (answer, _) = made.ask(&["built-with", &own.sha256.hex()]);
    assert!(sources(&answer).contains(&"src00008"), "{answer:?}");
    let through = answer
        .iter()
        .find(|record| record["source"] == "src00009")
        .expect("through source 8");
    assert_eq!(through["through"][0], "libsrc00008-dev 1.0-1 amd64 of custom");
    assert!(
        through["why"].as_str().unwrap().contains(own.package.as_str()),
        "{}",
        through["why"]
    );
    assert_eq!(
        answer.last().unwrap()["source"],
        "src00009",
        "those that held it themselves come first"
    );
}

#[test]
fn only_new_documents_are_read_and_the_cache_is_never_more_than_a_cache() {
    let made = Made::new();
    let (first, _) = made.ask(&["built-with", RARE]);
    let cache = made.kept();
    assert_eq!(cache.len(), 1, "{cache:?}");
    let cache = cache.into_iter().next().unwrap();
    let written = fs::read(&cache).unwrap();

    // What was verified once is not read again, but missed; `--fresh` reads it all, and does not believe it.
    let missing = made.document(&made.all[0].records[0]);
    let kept = fs::read(&missing).unwrap();
    fs::remove_file(&missing).unwrap();
    assert_eq!(made.ask(&["built-with", RARE]), (first.clone(), 6));
    let (fresh, code) = made.ask(&["built-with", RARE, "--fresh"]);
    assert_eq!(
        (fresh.len(), code),
        (first.len(), 6),
        "the one whose environment is not known is still named"
    );
    assert!(
        fresh
            .iter()
            .any(|record| record["proof"] == "unknown" && record["source"] == ""),
        "{fresh:?}"
    );
    // Nor is a cache believed that somebody else may write to.
    fs::set_permissions(&cache, PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(made.ask(&["built-with", RARE]).1, 6);
    fs::write(&missing, kept).unwrap();

    // A cache that is damaged, cut short or gone is made again, and no answer changes.
    let mut damaged = written.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for bytes in [&damaged[..], &written[..written.len() / 3], b"", b"assay facts 2\n"] {
        fs::remove_dir_all(cache.parent().unwrap()).unwrap();
        fs::create_dir(cache.parent().unwrap()).unwrap();
        fs::write(&cache, bytes).unwrap();
        assert_eq!(made.ask(&["built-with", RARE]), (first.clone(), 0));
        assert_eq!(fs::read(&cache).unwrap(), written, "it was made again");
    }

    // A decision that the store lost since is not believed any more where an answer is small.
    fs::remove_file(made.document(&made.all[3].decision)).unwrap();
    let (answer, code) = made.ask(&["source-of", "src00003"]);
    assert_eq!((answer.len(), code), (1, 6));
    assert_eq!(answer[0]["proof"], "unknown");
}

/// What the store has no more is said by whoever answers from the cache, also when nothing is the answer.
#[test]
fn a_warm_cache_says_that_the_store_lost_what_it_was_made_from() {
    let made = Made::new();
    let (first, code) = made.ask(&["built-with", RARE]);
    assert_eq!(code, 0);
    let records = made.all.iter().flat_map(|one| &one.records);
    for record in records {
        let _ = fs::remove_file(made.document(record));
    }
    for (question, answers) in [(RARE, first.len()), ("rare-compiler=5.6.2", 0)] {
        let output = made.run(&["built-with", question]);
        let said = text(&output.stderr);
        assert_eq!(
            (text(&output.stdout).lines().count(), output.status.code()),
            (answers, Some(6)),
            "{said}"
        );
        assert!(
            said.contains("V-MISSING custom/provenance/sha256/") && said.contains("12 of 12 decisions"),
            "{said}"
        );
    }
    // The snapshots themselves: there is nothing to answer, which is not the same as nothing to say.
    for n in 1..=Chain::load(&made.maker.store, &"custom".parse().unwrap())
        .unwrap()
        .len()
    {
        fs::remove_file(made.site().join(format!("store/state/custom/{n}.json"))).unwrap();
    }
    let output = made.run(&["unreproduced"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(
        said.contains("V-RECORD state/custom: the archive has no snapshot, and had some"),
        "{said}"
    );
}

#[test]
fn what_is_reproduced_at_one_path_only_is_told_apart() {
    let made = Made::new();
    let lock = made.maker.lock(PLAN, 53, None);
    let e5 = |decision: &mut Decision, evidence: &str| {
        let rule = decision.rules.iter_mut().find(|rule| rule.id == "E5").unwrap();
        rule.evidence = evidence.to_owned();
    };
    let mut all = made.all.clone();
    all.push(made.maker.source(53, &lock, |decision| {
        decision.levels.push("ASSAY_RELAXED_E5".to_owned());
        e5(
            decision,
            "all rebuilds for amd64 had the same build path; excepted by Olga",
        );
    }));
    all.push(made.maker.source(54, &lock, |decision| {
        e5(decision, &format!("the rebuilds differed; {ONE_PATH}, /build/x"));
    }));
    made.maker.publish(&all);
    let output = made.run(&["unreproduced"]);
    let listed = text(&output.stdout);
    assert!(output.status.success() && listed.lines().count() == 1, "{listed}");
    assert!(
        listed.contains("src00053")
            && listed.contains("by exception: E5: all rebuilds for amd64 had the same build path"),
        "{listed}"
    );
    let said = text(&output.stderr);
    assert!(
        said.contains("1 more are reproduced, but at one build path only"),
        "{said}"
    );
    let (answer, code) = made.ask(&["unreproduced", "--one-path"]);
    assert_eq!((sources(&answer), code), (vec!["src00053", "src00054"], 0));
    assert!(
        answer[1]["why"]
            .as_str()
            .unwrap()
            .starts_with("reproduced, but at one build path only"),
        "{answer:?}"
    );
}

/// Every question, each with some answer.
fn questions(made: &Made) -> Vec<Vec<String>> {
    let commit = made.all[4].declaration.git_commit.to_string();
    let builder = made.maker.builder(1).to_string();
    let all: [&[&str]; 9] = [
        &["source-of", "src00004"],
        &["outputs-of", &commit],
        &["by-signer", SIGNER],
        &["by-signer", &builder],
        &["built-with", RARE],
        &["built-with", "dep00001"],
        &["unreproduced"],
        &["dissent"],
        &["stale", "--within", "400"],
    ];
    all.iter()
        .map(|question| question.iter().map(ToString::to_string).collect())
        .collect()
}

#[test]
fn answers_are_the_same_without_a_cache_with_a_new_one_and_with_one_of_many_parts() {
    let made = Made::new();
    // One that failed, one that was refused for it, and one that is declared only: every question has an answer.
    let failed = &made.all[2].declaration;
    made.maker
        .answer(failed, &made.maker.lock(PLAN, 2, None), 1, Outcome::Ftbfs, "");
    made.maker.declare(&made.maker.declaration("src00052"));
    let policy = made.site().join("policies/default.toml");
    rewrite(
        &policy,
        "name = \"Dana\"\n",
        &format!(
            "name = \"Dana\"\nvalid-until = \"{}\"\n",
            now().plus_days(100).rfc3339()
        ),
    );
    let ask = |question: &[String], more: &[&str]| {
        let question: Vec<&str> = question.iter().map(String::as_str).collect();
        let output = made.run(&[&question, more].concat());
        (text(&output.stdout), output.status.code())
    };
    let wanted: Vec<_> = questions(&made)
        .into_iter()
        .flat_map(|question| [false, true].map(|json| (question.clone(), json)))
        .map(|(question, json)| {
            let more: &[&str] = if json {
                &["--fresh", "--json"]
            } else {
                &["--fresh", "-v"]
            };
            let (answer, code) = ask(&question, more);
            assert!(!answer.is_empty(), "{question:?}");
            (question, json, answer, code)
        })
        .collect();
    let compare = |when: &str| {
        for (question, json, answer, code) in &wanted {
            let more: &[&str] = if *json { &["--json"] } else { &["-v"] };
            let (found, ended) = ask(question, more);
            assert!((&found, &ended) == (answer, code), "{when}: {question:?}: {found}");
        }
    };
    assert!(made.kept().is_empty(), "without a cache none is written");
    // The cache grows with the archive, part by part, and parts become one again.
    let mut most = 0;
    for count in 1..=PLAN.sources {
        made.maker.publish(&made.all[..count]);
        made.ask(&["built-with", RARE]);
        most = most.max(made.kept().len());
    }
    assert!((3..=9).contains(&most), "{most} parts");
    compare("in parts");
    // Two runs at the same time that both have to read everything.
    fs::remove_dir_all(made.site().join("cache/query")).unwrap();
    let (question, json, answer, code) = &wanted[9];
    assert!(*json);
    let both = [(); 2].map(|()| {
        std::process::Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(["--json", "--site"])
            .arg(made.site())
            .args(question)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    for run in both {
        let output = run.wait_with_output().unwrap();
        assert_eq!((text(&output.stdout), output.status.code()), (answer.clone(), *code));
    }
    assert_eq!(made.kept().len(), 1, "both wrote the same");
    compare("at once");
    // What cannot be read is as unknown to who has a cache, before and after somebody asked for the decision alone.
    fs::remove_dir_all(made.site().join("cache/query")).unwrap();
    fs::remove_file(made.document(&made.all[5].records[0])).unwrap();
    for question in [&wanted[12].0, &wanted[16].0, &wanted[12].0, &wanted[4].0] {
        let fresh = ask(question, &["--json", "--fresh"]);
        assert!(ask(question, &["--json"]) == fresh, "{question:?}");
    }
}

#[test]
fn a_decision_for_another_suite_or_policy_is_doubted_as_verify_does() {
    let made = Made::new();
    let site = made.site();
    fs::copy(site.join("policies/default.toml"), site.join("policies/strict.toml")).unwrap();
    let custom = site.join("repos/custom.toml");
    rewrite(&custom, "policy = \"default\"", "policy = \"strict\"");
    let mut rules = fs::read_to_string(&custom).unwrap();
    rules.push_str("\n[[suite]]\nname = \"testing\"\npolicy = \"default\"\n");
    fs::write(&custom, rules).unwrap();
    let (answer, code) = made.ask(&["source-of", "src00001"]);
    assert_eq!((answer[0]["proof"].as_str(), code), (Some("refuted"), 3), "{answer:?}");
    let doubt = answer[0]["doubt"].as_str().unwrap();
    assert!(doubt.contains("`stable` is under `strict`"), "{doubt}");
    assert_eq!(made.ask(&["unreproduced"]).0.len(), PLAN.sources);
}

#[test]
fn what_cannot_be_verified_is_shown_as_such() {
    let made = Made::new();
    // Other bytes under the name of a lock: nobody can say what that environment held.
    let lock = made.maker.lock(PLAN, 1, None);
    let lock = made.document(&assay::admission::identity(&lock).unwrap());
    fs::write(&lock, "{}").unwrap();
    let (answer, code) = made.ask(&["built-with", RARE]);
    assert_eq!(code, 3);
    let doubtful: Vec<&Value> = answer.iter().filter(|record| record["proof"] == "refuted").collect();
    assert_eq!(doubtful.len(), 1);
    let doubt = doubtful[0]["doubt"].as_str().unwrap();
    assert!(doubt.contains("provenance/sha256"), "{doubt}");

    // A builder whose key is revoked: the quorum of everything is gone, in every answer.
    let made = Made::new();
    assert_eq!(made.ask(&["source-of", "src00001"]).1, 0);
    let policy = made.site().join("policies/default.toml");
    rewrite(
        &policy,
        "id = \"bob/server\"\n",
        "id = \"bob/server\"\nrevoked-at = \"2026-01-01T00:00:00Z\"\n",
    );
    let (answer, code) = made.ask(&["source-of", "src00001"]);
    assert_eq!((answer[0]["proof"].as_str(), code), (Some("refuted"), 3));
    assert!(
        answer[0]["doubt"]
            .as_str()
            .unwrap()
            .contains("only 1 of 2 operators left a record"),
        "{}",
        answer[0]["doubt"]
    );
    let (answer, code) = made.ask(&["unreproduced"]);
    assert_eq!((answer.len(), code), (PLAN.sources, 3));

    // Nor does a signer who is revoked speak for a source.
    let revoked = "revoked-at = \"2026-01-01T00:00:00Z\"\n";
    rewrite(&policy, revoked, "");
    assert_eq!(made.ask(&["source-of", "src00001"]).1, 0);
    rewrite(&policy, "name = \"Dana\"\n", &format!("name = \"Dana\"\n{revoked}"));
    let (answer, code) = made.ask(&["source-of", "src00001"]);
    assert_eq!((answer[0]["proof"].as_str(), code), (Some("refuted"), 3));
    let doubt = answer[0]["doubt"].as_str().unwrap();
    assert!(doubt.contains("was revoked at 2026-01-01T00:00:00Z"), "{doubt}");
    rewrite(&policy, revoked, "");

    // Another gate's key: nothing that was verified under the one before counts.
    let site = fs::read_to_string(made.site().join("assay.toml")).unwrap();
    let line = site
        .lines()
        .find(|line| line.starts_with("gate = "))
        .unwrap()
        .to_owned();
    let new = text(&made.run(&["key", "new", "gate"]).stdout);
    let new = new
        .split_whitespace()
        .find(|word| word.starts_with("ed25519:"))
        .unwrap();
    rewrite(&made.site().join("assay.toml"), &line, &format!("gate = \"{new}\""));
    let (answer, code) = made.ask(&["source-of", &made.all[1].files.values().next().unwrap().hex()]);
    assert_eq!((answer[0]["proof"].as_str(), code), (Some("refuted"), 3));

    // A record of the chain that the archive's key does not vouch for: no answer at all.
    for entry in fs::read_dir(made.site().join("store/state/custom/signatures")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_eq!(made.run(&["built-with", RARE]).status.code(), Some(3));
}

#[test]
fn exceptions_refusals_and_dissent_are_listed() {
    let made = Made::new();
    let policy = made.site().join("policies/default.toml");
    let mut rules = fs::read_to_string(&policy).unwrap();
    rules.push_str(
        "\n[[exception]]\nrule = \"S7\"\nsource = \"src00050\"\nreason = \"generated files\"\nowner = \"Olga\"\n\
         expires = \"2099-01-01T00:00:00Z\"\n",
    );
    fs::write(&policy, rules).unwrap();
    // One source came in by exception, one was refused since its builds differ, one is only declared.
    let lock = made.maker.lock(PLAN, 50, None);
    let excepted = made.maker.source(50, &lock, |decision| {
        decision.levels = vec!["ASSAY_RELAXED_S7".to_owned()];
        let rule = decision.rules.iter_mut().find(|rule| rule.id == "S7").unwrap();
        rule.evidence = "generated files; excepted by Olga".to_owned();
    });
    let refused = made.maker.declaration("src00051");
    made.maker.declare(&refused);
    let records: Vec<Sha256> = [(0, "a"), (1, "b")]
        .iter()
        .map(|(by, salt)| made.maker.answer(&refused, &lock, *by, Outcome::Built, salt))
        .collect();
    let mut decision = made.maker.decision(
        &refused,
        refused.identity().unwrap(),
        Sha256::of(b"lock"),
        &records,
        &[],
    );
    decision.admitted = false;
    decision.levels.clear();
    let broken = decision.rules.iter_mut().find(|rule| rule.id == "B1").unwrap();
    (broken.passed, broken.evidence) = (false, "the builds differ".to_owned());
    made.maker.sign(&decision);
    made.maker.declare(&made.maker.declaration("src00052"));
    // And after the admission of source 2, its other builder's build failed once.
    let failed = &made.all[2].declaration;
    made.maker
        .answer(failed, &made.maker.lock(PLAN, 2, None), 1, Outcome::Ftbfs, "");
    let mut all = made.all.clone();
    all.push(excepted);
    made.maker.publish(&all);

    let (answer, code) = made.ask(&["unreproduced"]);
    assert_eq!((sources(&answer), code), (vec!["src00050", "src00051", "src00052"], 0));
    assert_eq!(
        (answer[0]["state"].as_str(), answer[1]["state"].as_str()),
        (Some("admitted"), Some("refused"))
    );
    assert!(
        answer[0]["why"].as_str().unwrap().contains("S7: generated files"),
        "{}",
        answer[0]["why"]
    );
    assert_eq!(answer[0]["exceptions"][0]["owner"], "Olga");
    assert!(
        answer[1]["why"].as_str().unwrap().contains("B1: the builds differ"),
        "{}",
        answer[1]["why"]
    );
    assert_eq!(answer[2]["state"], "declared");
    let (answer, _) = made.ask(&["source-of", "src00050"]);
    assert_eq!(
        answer[0]["exceptions"][0]["rule"], "S7",
        "an exception stands in every answer"
    );

    let (answer, code) = made.ask(&["dissent"]);
    let mut named = sources(&answer);
    named.sort_unstable();
    assert_eq!((named, code), (vec!["src00002", "src00051", "src00051"], 0));
    let of = |source: &str| answer.iter().find(|record| record["source"] == source).unwrap();
    assert!(
        of("src00002")["why"]
            .as_str()
            .unwrap()
            .contains("bob/server's build failed"),
        "{answer:?}"
    );
    assert_eq!(of("src00051")["state"], "refused");
    assert!(
        of("src00051")["why"]
            .as_str()
            .unwrap()
            .contains("differs: `libsrc00051-dev"),
        "{answer:?}"
    );

    // Old decisions are asked for with `--all`.
    made.maker.publish(&all[1..]);
    assert_eq!(made.ask(&["source-of", "src00000"]).1, 6);
    let (answer, code) = made.ask(&["source-of", "src00000", "--all"]);
    assert_eq!((answer[0]["state"].as_str(), code), (Some("superseded"), 0));
}

#[test]
fn what_needs_attention_is_listed() {
    let made = Made::new();
    let (answer, code) = made.ask(&["stale"]);
    assert_eq!((answer.len(), code), (0, 0), "{answer:?}");

    // A newer snapshot of what environments were resolved from.
    let site = assay::site::Site::load(&made.site()).unwrap();
    let store = assay::store::LocalStore::open(&made.site().join("store")).unwrap();
    let mut debian = Repository::new("file:///nowhere");
    debian.archive = "debian".parse().unwrap();
    debian.suite = "bookworm".parse().unwrap();
    let mirror = site.mirror(&debian.archive).unwrap();
    debian.key = site.archive_key(&mirror.signing_key).unwrap();
    debian.commit(&store, "");
    let (answer, code) = made.ask(&["stale"]);
    assert_eq!((answer.len(), code), (PLAN.sources, 0));
    assert!(
        answer[0]["why"].as_str().unwrap().contains("days older than debian@"),
        "{}",
        answer[0]["why"]
    );
    let (answer, _) = made.ask(&["stale", "--older-than", "99999"]);
    assert_eq!(answer.len(), 0);

    // A declaration that moved on, one that is gone, an exception and a signer near their end, old records.
    let declared = |number: usize| made.site().join(format!("repos/custom/src{number:05}.toml"));
    rewrite(&declared(3), "version = \"1.0-1\"", "version = \"1.1-1\"");
    fs::remove_file(declared(4)).unwrap();
    let soon = now().plus_days(10).rfc3339();
    let policy = made.site().join("policies/default.toml");
    rewrite(
        &policy,
        "name = \"Dana\"\n",
        &format!("name = \"Dana\"\nvalid-until = \"{soon}\"\n"),
    );
    let exception = format!(
        "\n[[exception]]\nrule = \"S7\"\nsource = \"src00000\"\nreason = \"r\"\nowner = \"Olga\"\nexpires = \"{soon}\"\n"
    );
    let import = format!(
        "\n[[import]]\narchive = \"debian\"\nsigners = [\"{SIGNER}\"]\nsources = [\"bc\", \"hel*\"]\nreason = \"r\"\nowner = \"Olga\"\n"
    );
    let (ending, ended) = (
        format!("expires = \"{soon}\"\n"),
        "expires = \"2020-01-01T00:00:00Z\"\n",
    );
    let imports = format!("{import}{ending}{import}{ended}{import}");
    let rules = fs::read_to_string(&policy).unwrap() + &exception + &imports;
    fs::write(&policy, rules).unwrap();
    let (answer, _) = made.ask(&["stale", "--older-than", "99999"]);
    let whys: Vec<&str> = answer.iter().map(|record| record["why"].as_str().unwrap()).collect();
    for wanted in [
        "the site declares 1.1-1, which is not admitted",
        "the site does not declare it any more",
        "the exception of Olga to rule S7 ends at",
        "the signer Dana",
        "the import of bc, hel* from debian by Olga ends at",
        "the import of bc, hel* from debian by Olga ended at 2020",
    ] {
        assert_eq!(
            whys.iter().filter(|why| why.contains(wanted)).count(),
            1,
            "{wanted}: {whys:?}"
        );
    }
    assert_eq!(whys.len(), 6, "{whys:?}");
    rewrite(&policy, "max-record-age-days = 365", "max-record-age-days = 9");
    let (answer, _) = made.ask(&["stale", "--older-than", "99999"]);
    let ends = answer
        .iter()
        .filter(|record| record["why"].as_str().unwrap().contains("its quorum ends at"));
    assert_eq!(ends.count(), PLAN.sources);
}
