//! `rebuild --plan` after builds that did not succeed, and what is shown of their logs.

use std::fs;
use std::path::PathBuf;

use assay::admission::{IssuedNonce, identity};
use assay::domain::{Digest, Timestamp};
use assay::format::dsse::{Envelope, IN_TOTO};
use assay::format::intoto::Outcome;
use assay::publish::{add_record, issue_nonce};
use assay::rebuild::{Finished, Limits, Produced, RecordInput, Variation, write_answer};
use assay::site::{Backend, Varied};
use assay::store::LocalStore;
use assay::trust::{Ed25519Key, sign_envelope};

use super::made::Made;
use super::text;
use crate::admission::scenario::{Scenario, file, secret_key};
use crate::admission::site::Site;
use crate::support::repository::now;

/// A site where `hello` is declared and locked, and two builders may rebuild it.
struct Planned {
    made: Made,
    scenario: Scenario,
    lock: assay::environment::Lock,
}

impl Planned {
    fn new() -> Self {
        let made = Made::at(now());
        let scenario = Scenario::good();
        let (site, archive) = (made.load(), "custom".parse().unwrap());
        let declaration = &scenario.candidate.declaration;
        let path = site.declaration_path(&archive, &declaration.source);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, declaration.to_toml().unwrap()).unwrap();
        let lock = Site::new().lock;
        let bytes = assay::format::json::canonical("lock", &lock).unwrap();
        fs::write(site.lock_path(&archive, &declaration.source), bytes).unwrap();
        let builder = |id: &str, operator: &str| {
            let key = secret_key(id).public().hex();
            format!(
                "\n[[builder]]\nid = \"{id}\"\noperator = \"{operator}\"\nhosting = \"home\"\npublic-key = \"{key}\"\n"
            )
        };
        let builders = builder("b1", "alice") + &builder("b2", "bob");
        made.edit("policies/default.toml", |text| text.to_owned() + &builders);
        Self { made, scenario, lock }
    }

    /// What a builder answers whose build did not succeed.
    fn answer(&self, id: &str, outcome: Outcome, at: Timestamp) -> PathBuf {
        let asked = self.issue(id, at);
        self.answer_to(&asked.nonce, id, outcome, 0, at)
    }

    fn issue(&self, id: &str, at: Timestamp) -> IssuedNonce {
        let store = LocalStore::open(&self.made.path("store")).unwrap();
        let sha256 = identity(&self.scenario.candidate.declaration).unwrap();
        let lock = identity(&self.lock).unwrap();
        let archive = "custom".parse().unwrap();
        issue_nonce(
            &store,
            &archive,
            (sha256, lock),
            (&id.parse().unwrap(), (0, 1)),
            at,
            7200,
        )
        .unwrap()
    }

    /// What a builder answers to a nonce that built as this run.
    fn answer_to(&self, nonce: &str, id: &str, outcome: Outcome, run: usize, at: Timestamp) -> PathBuf {
        let declaration = &self.scenario.candidate.declaration;
        let (sha256, lock) = (identity(declaration).unwrap(), identity(&self.lock).unwrap());
        let builder = id.parse().unwrap();
        let folder = self.made.path(&format!("answer-{id}-{run}-{}", &nonce[..12]));
        let deb = self.made.path("hello_2.10_amd64.deb");
        fs::write(&deb, "the same").unwrap();
        let output = Produced {
            name: file("hello_2.10_amd64.deb"),
            digest: Digest::of(b"the same"),
            path: deb,
        };
        let log = self.made.path("log");
        fs::write(&log, "gcc: error: \x1b[31mno such thing\n").unwrap();
        let digest = Digest::of(&fs::read(&log).unwrap());
        let finished = Finished {
            outcome,
            reason: Some("it failed".to_owned()),
            outputs: (outcome == Outcome::Built).then_some(output).into_iter().collect(),
            byproducts: vec![Produced {
                name: file("hello-2.10.log"),
                path: log,
                digest,
            }],
            kernel: "6.1".into(),
            started: at,
            ended: at.plus(5),
        };
        let input = RecordInput {
            declaration,
            declaration_sha256: &sha256,
            lock: &self.lock,
            lock_sha256: &lock,
            variation: &Variation::of_run(run, &Varied::usual()),
            limits: &Limits::default(),
            backend: Backend::Overlay,
            nonce,
            builder: &builder,
            finished: &finished,
        };
        write_answer(&folder, &input, &secret_key(id)).unwrap();
        folder
    }
}

#[test]
fn a_build_that_failed_is_said_and_planned_again_on_request() {
    let planned = Planned::new();
    let made = &planned.made;
    let plan = |more: &[&str]| made.run(&[&["rebuild", "hello", "--plan"], more].concat());
    let jobs = |output: &std::process::Output| text(&output.stdout).lines().count();
    let first = plan(&[]);
    assert_eq!((first.status.code(), jobs(&first)), (Some(0), 2), "{first:?}");

    let take = |folder: PathBuf| {
        let taken = made.run(&["rebuild", "hello", "--take", folder.to_str().unwrap()]);
        assert!(taken.status.success(), "{taken:?}");
    };
    take(planned.answer("b1", Outcome::Ftbfs, now().plus(-60)));
    let one = plan(&[]);
    assert_eq!((one.status.code(), jobs(&one)), (Some(0), 1), "{one:?}");
    let said = text(&one.stderr);
    for word in [
        "the build of `b1` failed at",
        "custom/provenance/sha256/",
        "--plan --again",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }

    take(planned.answer("b2", Outcome::Memory, now().plus(-30)));
    let none = plan(&["--json"]);
    assert_eq!(
        (none.status.code(), jobs(&none)),
        (Some(1), 0),
        "never silently empty: {none:?}"
    );
    let failures: Vec<serde_json::Value> = text(&none.stderr)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(failures.len(), 2, "{none:?}");
    assert_eq!(
        (&failures[0]["builder"], &failures[0]["outcome"]),
        (&"b1".into(), &"ftbfs".into())
    );
    assert!(
        failures[1]["again"].as_str().unwrap().ends_with("--plan --again"),
        "{failures:?}"
    );

    let again = plan(&["--again", "--issue", "--json"]);
    assert_eq!((again.status.code(), jobs(&again)), (Some(0), 2), "{again:?}");
    let job: serde_json::Value = serde_json::from_str(text(&again.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(job["builder"], "b1");
    assert_eq!(
        job["run"], 2,
        "another run than the two that failed: it varies other things"
    );
    assert!(job["nonce"].as_str().unwrap().len() == 64, "{job}");
}

/// Whoever stands at the beginning is told what comes first.
#[test]
fn what_is_not_there_yet_is_named_with_what_makes_it() {
    let planned = Planned::new();
    for (args, code, wanted) in [
        (&["env", "lock", "hello"][..], "E-SNAPSHOT-005", "`assay mirror debian`"),
        (
            &["rebuild", "hello"],
            "E-CLI-008",
            "`assay rebuild NAME --plan --issue`",
        ),
        (&["suite", "sync"], "E-CLI-012", "`[branches]` with `git`"),
        (&["decisions", "nothing"], "E-CLI-004", "`assay decisions` lists all"),
        (&["built-with", "nothing"], "E-CLI-004", "`--all` also asks"),
        (&["outputs-of", "0123456"], "E-CLI-004", "`assay unreproduced`"),
        (&["why", "nothing"], "E-CLI-004", "`assay unreproduced`"),
        (&["source-of", "nothing"], "E-CLI-004", "`--all` also answers"),
    ] {
        let output = planned.made.run(args);
        let said = text(&output.stderr);
        assert!(said.contains(code) && said.contains(wanted), "{args:?}: {said}");
    }
}

/// What the gate refuses by rule E5 is planned once more, until it is another run; and another run than was asked for is not taken.
#[test]
fn builds_that_were_all_alike_are_planned_again() {
    let planned = Planned::new();
    let made = &planned.made;
    let store = LocalStore::open(&made.path("store")).unwrap();
    let declaration = identity(&planned.scenario.candidate.declaration).unwrap();
    // As an earlier version left it: it did not write the run into a nonce, and took whatever came.
    for (id, later) in [("b1", 0), ("b2", 1)] {
        let asked = planned.issue(id, now().plus(-60));
        let folder = planned.answer_to(&asked.nonce, id, Outcome::Built, 0, now().plus(later - 30));
        let path = made.path(&format!("store/state/custom/nonces/{declaration}/{}", asked.nonce));
        let written = fs::read_to_string(&path).unwrap();
        let before = written.replace(&format!(",\"run\":{}", asked.run.unwrap()), "");
        assert_ne!(written, before);
        fs::write(path, before).unwrap();
        let record = fs::read(folder.join("record.json")).unwrap();
        add_record(&store, &"custom".parse().unwrap(), &declaration, &record).unwrap();
    }
    let plan = || {
        let planned = made.run(&["rebuild", "hello", "--plan", "--issue", "--json"]);
        assert_eq!(planned.status.code(), Some(0), "{planned:?}");
        let jobs = text(&planned.stdout);
        let jobs: Vec<serde_json::Value> = jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (jobs, text(&planned.stderr))
    };
    let take = |job: &serde_json::Value, run: u64| {
        let (nonce, id) = (job["nonce"].as_str().unwrap(), job["builder"].as_str().unwrap());
        let folder = planned.answer_to(nonce, id, Outcome::Built, run as usize, now());
        made.run(&["rebuild", "hello", "--take", folder.to_str().unwrap()])
    };
    let (jobs, why) = plan();
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    assert!(why.contains("\"rule\":\"E5\"") && why.contains("parallelism"), "{why}");
    let runs = [&jobs[0], &jobs[1]].map(|job| job["run"].as_u64().unwrap());
    assert_ne!(runs[0] % 4, runs[1] % 4, "{runs:?}");

    let wrong = take(&jobs[0], runs[0] + 1);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let why = text(&wrong.stderr);
    assert!(
        why.contains("E-GATE-125") && why.contains(&format!("with `--run {}`", runs[0])),
        "{why}"
    );
    assert_eq!(plan().0, jobs, "nothing of it was kept, and the same is asked");

    assert!(take(&jobs[0], runs[0]).status.success());
    assert_eq!(plan().0, jobs[1..], "who is bound is not asked again");
    assert!(take(&jobs[1], runs[1]).status.success());
    let (jobs, why) = plan();
    assert!(jobs.is_empty() && why.is_empty(), "{jobs:?} {why}");

    // A policy that varies more from now on wants another round; parallelism is varied whatever it says.
    made.edit("policies/default.toml", |text| format!("vary = [\"path\"]\n{text}"));
    let (jobs, why) = plan();
    assert!(jobs.len() == 2 && why.contains("build path"), "{jobs:?} {why}");
}

/// Whoever may write to the store could have put it there.
#[test]
fn a_record_that_its_builder_did_not_sign_keeps_nobody_from_being_asked() {
    let planned = Planned::new();
    let folder = planned.answer("b1", Outcome::Ftbfs, now());
    let record = fs::read(folder.join("record.json")).unwrap();
    let store = LocalStore::open(&planned.made.path("store")).unwrap();
    let declaration = identity(&planned.scenario.candidate.declaration).unwrap();
    let payload = Envelope::parse(&record).unwrap().payload;
    let bytes = sign_envelope(IN_TOTO, &payload, &Ed25519Key::generate())
        .to_bytes()
        .unwrap();
    add_record(&store, &"custom".parse().unwrap(), &declaration, &bytes).unwrap();
    let plan = planned.made.run(&["rebuild", "hello", "--plan"]);
    assert_eq!(text(&plan.stdout).lines().count(), 2, "{plan:?}");
    assert!(!text(&plan.stderr).contains("failed"), "{plan:?}");
}
