//! Sources that are unreproducible in a known way each: built twice in the real runner, recorded, and
//! refused by the gate, which names the cause.

use assay::admission::{explain, identity};
use assay::domain::Timestamp;
use assay::format::dsse::IN_TOTO;
use assay::format::intoto::Outcome;
use assay::format::json;
use assay::host::Clock;
use assay::publish::{add_document, add_record, hold, load_records};
use assay::rebuild::{Limits, RecordInput, Variation, statement};
use assay::site::Backend;
use assay::site::Varied;
use assay::store::{Key, Store};
use assay::trust::sign_envelope;

use super::run::{Tiny, log};
use crate::admission::scenario::secret_key;
use crate::admission::site::Site;

/// Has `commands` built by two builders, and gives what the gate says about the outputs.
fn refusal(commands: &str, vary: &[Varied]) -> String {
    let site = Site::new().at(Timestamp::from_unix(Clock::System.now().unix() - 60));
    let built = site.build("1.0", commands);
    let (lock_sha256, lock) = built.locks.iter().next().unwrap();
    let declaration = &built.scenario.candidate.declaration;
    let declaration_sha256 = identity(declaration).unwrap();
    let tiny = Tiny::bare("hello", commands);
    let mut given = Vec::new();
    for (run, asked) in built.scenario.evidence.records.iter().enumerate() {
        let work = tempfile::tempdir().unwrap();
        let variation = Variation::of_run(run, vary);
        // A build takes less than a second, and `date` says no less.
        let second = Clock::System.now();
        while run > 0 && Clock::System.now() == second {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let limits = Limits::default();
        let finished = tiny.build(&work.path().join("w"), &variation, &limits);
        assert_eq!(finished.outcome, Outcome::Built, "{commands}: {}", log(&finished));
        for output in &finished.outputs {
            let mut bytes = std::fs::File::open(&output.path).unwrap();
            hold(&site.store, &site.archive, &output.digest, &mut bytes).unwrap();
            given.push(output.digest.sha256);
        }
        for file in &finished.byproducts {
            add_document(&site.store, &site.archive, &std::fs::read(&file.path).unwrap()).unwrap();
        }
        let made = statement(&RecordInput {
            declaration,
            declaration_sha256: &declaration_sha256,
            lock,
            lock_sha256,
            variation: &variation,
            limits: &limits,
            backend: Backend::Overlay,
            nonce: &asked.nonce,
            builder: &asked.builder,
            finished: &finished,
        })
        .unwrap();
        let payload = json::canonical("record", &made).unwrap();
        let envelope = sign_envelope(IN_TOTO, &payload, &secret_key(asked.builder.as_str()));
        let envelope = envelope.to_bytes().unwrap();
        add_record(&site.store, &site.archive, &declaration_sha256, &envelope).unwrap();
    }
    let records = load_records(&site.store, &site.archive, &declaration_sha256, &built.scenario.policy).unwrap();
    let site = site.at(Clock::System.now());
    let decision = site.admit_with(&built, &records).unwrap().decision;
    assert!(!decision.admitted, "{commands}");
    for sha256 in given {
        let key = Key::held(&site.archive, &sha256);
        assert!(site.store.head(&key).unwrap().is_some(), "both outputs are kept");
    }
    let dissent = decision.broken().find(|rule| rule.id == "A5");
    let dissent = dissent.unwrap_or_else(|| panic!("{commands}: {}", explain(&decision)));
    assert!(explain(&decision).contains(&dissent.evidence));
    dissent.evidence.clone()
}

fn names(cases: &[(&str, &str, &str)]) {
    for (cause, at, commands) in cases {
        let path = commands.contains("pwd");
        let vary = if path { Varied::ALL.to_vec() } else { Varied::usual() };
        let said = refusal(commands, &vary);
        assert!(said.contains(&format!("likely cause: {cause}: ")), "{cause}: {said}");
        assert!(said.contains(at), "{at}: {said}");
        assert_eq!(said.matches("likely cause").count(), 1, "{said}");
    }
}

#[test]
fn eight_causes_are_named() {
    let jobs = "seq 1 8 | xargs -P $(patsubst parallel=%,%,$(DEB_BUILD_OPTIONS)) -I@ \
                sh -c 'sleep 0.0$$((9-@)); echo part @ >> $(D)/parts'";
    let order = "mkdir parts; for i in `seq 30`; do touch parts/part$$i.txt; done; ls -U parts > $(D)/list";
    names(&[
        ("time", "./usr/share/hello/built-at: content", "date > $(D)/built-at"),
        ("build path", "./usr/share/hello/where: content", "pwd > $(D)/where"),
        (
            "locale",
            "./usr/share/hello/charmap: content",
            "locale charmap > $(D)/charmap",
        ),
        ("parallelism", "./usr/share/hello/parts: content", jobs),
        ("user", "./usr/share/hello/by: content", "id -un > $(D)/by"),
        ("host name", "./usr/share/hello/on: content", "hostname > $(D)/on"),
        (
            "randomness",
            "./usr/share/hello/id: content",
            "head -c 16 /dev/urandom | od -An -tx1 > $(D)/id",
        ),
        ("file order", "./usr/share/hello/list: content", order),
    ]);
}

#[test]
fn causes_are_found_where_they_hide() {
    let program = "printf 'const char *on = \"%s\"; int main(void) { return on[0]; }' `hostname` > m.c\n\
                   gcc -O0 -o $(D)/program m.c";
    names(&[
        (
            "time",
            "./usr/share/hello/text.gz: content",
            "echo text > text; gzip --best -c text > $(D)/text.gz",
        ),
        (
            "time",
            "field Built",
            "true\necho \"XB-Built: `date +%s`\" >> debian/control",
        ),
        ("host name", "./usr/share/hello/program: content", program),
        ("user", "./usr/share/hello/only-", "touch $(D)/only-`id -u`"),
        (
            "parallelism",
            "./usr/share/hello/options",
            "echo $(DEB_BUILD_OPTIONS) > $(D)/options",
        ),
        (
            "file order",
            "./usr/share/hello/all",
            "touch z.c y.c x.c w.c v.c u.c t.c s.c; find . -name '?.c' | xargs echo > $(D)/all",
        ),
    ]);
    let said = refusal("hostname > $(D)/on; date > $(D)/at", &Varied::usual());
    assert!(
        said.contains("host name: ") && said.contains("time: ") && !said.contains("randomness"),
        "{said}"
    );
}
