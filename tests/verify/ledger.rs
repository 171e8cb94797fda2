//! What the gate must never forget: whoever shortens its ledger is found out, and gains nothing by it.

use std::fs;
use std::path::Path;

use assay::admission::Decision;
use assay::domain::Coded as _;
use assay::publish::{self, Writer, put_back, recall_all, remove};
use assay::snapshot::{Chain, Record};

use super::{Published, admit, objects, replace};
use crate::support::repository::{made, now};

/// The objects that must never go.
fn remembered(store: &Path) -> Vec<String> {
    let ours = |name: &String| name.starts_with("state/custom/ledger/") || name.starts_with("state/custom/lineage/");
    objects(store).into_iter().filter(ours).collect()
}

fn latest(published: &Published) -> Record {
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    chain.latest().unwrap().clone()
}

/// The gate's answer to the first version again, of other bytes.
fn offered_again(published: &Published) -> Result<Decision, String> {
    let site = &published.site;
    let built = site.build("1.0", "other bytes");
    let admission = site
        .admit(&built)
        .map_err(|error| format!("{}: {error}", error.code()))?;
    Ok(admission.decision)
}

fn broken(decision: &Decision) -> Vec<&str> {
    decision.broken().map(|rule| rule.id.as_str()).collect()
}

/// The version that was first is listed no more; ledger, lineages and the list of decisions are gone.
fn forgetful() -> Published {
    let published = Published::new();
    admit(&published.site, "1.1", "second");
    for gone in ["ledger", "lineage", "decisions"] {
        fs::remove_dir_all(published.store().join("state/custom").join(gone)).unwrap();
    }
    published
}

#[test]
fn each_claim_and_each_entry_of_a_lineage_is_missed() {
    let published = Published::new();
    admit(&published.site, "1.1", "second");
    let store = published.store();
    let mut names = remembered(&store);
    assert_eq!(names.len(), 14, "{names:?}");
    // One version is as the other.
    names.retain(|name| !name.contains("1.0") || name.contains("/source/"));
    for name in names {
        let path = store.join(&name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let problems = published.problems(&store);
        let object = name.strip_suffix(".json").and_then(|name| name.rsplit_once('/'));
        let object = object.map_or(name.clone(), |(folder, _)| folder.to_owned());
        assert!(
            !problems.is_empty() && problems.iter().all(|problem| *problem == (object.clone(), "V-LEDGER")),
            "{name}: {problems:?}"
        );
        let (back, record) = (&published.site, latest(&published));
        assert_eq!(
            put_back(&back.store, &back.archive, Some(&record)).unwrap(),
            1,
            "{name}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}: to the byte");
    }
    assert_eq!(published.problems(&store), []);
}

#[test]
fn a_ledger_that_is_gone_is_said_with_the_next_step() {
    let published = forgetful();
    let report = published.report(&published.store(), published.site.gate_key.public(), &published.policy);
    let said: Vec<&str> = report.problems.iter().map(|problem| problem.why.as_str()).collect();
    assert!(
        said.len() <= 9
            && report
                .problems
                .iter()
                .filter(|problem| problem.code != "V-LEDGER")
                .count()
                == 1,
        "by decision and not by claim: {said:?}"
    );
    assert!(
        said.iter()
            .any(|why| why.contains("and 1 more: the gate signed that decision")),
        "{said:?}"
    );
    let next = |why: &&&str| why.contains("hello 1.0") && why.contains("next: `assay publish custom`");
    assert!(said.iter().any(|why| next(&why)), "{said:?}");
    let (site, gate) = (&published.site, published.site.gate_key.public());
    put_back(&site.store, &site.archive, Some(&latest(&published))).unwrap();
    assert_eq!(recall_all(&site.store, &site.archive, &gate, None).unwrap(), 2);
    assert_eq!(published.problems(&published.store()), []);
}

/// The newest record remembers: without that the gate would take the version again.
#[test]
fn a_version_does_not_come_back_when_the_ledger_is_gone() {
    let published = forgetful();
    let refused = offered_again(&published).unwrap();
    assert!(broken(&refused).contains(&"V1"), "{:?}", broken(&refused));

    // Also not when it was removed on purpose, and that was undone.
    let published = Published::new();
    let site = &published.site;
    let (suite, source) = ("stable".parse().unwrap(), "hello".parse().unwrap());
    let writer: Writer<'_> = site.gate().writer();
    remove(&writer, &suite, &source, "a test", now().plus(5)).unwrap();
    publish::restore(&writer, &suite, &source, "a test", now().plus(6)).unwrap();
    fs::remove_dir_all(published.store().join("state/custom/ledger")).unwrap();
    let refused = offered_again(&published).unwrap();
    assert!(broken(&refused).contains(&"V1"), "{:?}", broken(&refused));
}

/// Rule S10: who may sign the next version is what the last declaration says, also when its entry is gone.
#[test]
fn the_next_version_follows_the_last_when_lineages_are_gone() {
    let published = forgetful();
    let site = &published.site;
    let built = site.build("1.2", "third");
    let lineage = site.prepare(&built).1.lineage.unwrap();
    assert_eq!(lineage.admitted.len(), 2);
    assert_eq!(lineage.newest.unwrap().version.as_str(), "1.1");
    assert!(site.admit(&built).unwrap().decision.admitted);
    // It stands behind those that were put back for it.
    assert_eq!(
        objects(&published.store().join("state/custom/lineage/hello")),
        ["0.json", "1.json", "2.json"]
    );
}

/// Rule S10: also when packages that are in are declared anew, only to say who may sign next. The record changes
/// in nothing but what it remembers.
#[test]
fn who_signs_next_is_remembered_when_what_is_in_is_declared_anew() {
    let published = Published::new();
    let site = &published.site;
    let before = latest(&published);
    let nobody_else = assay::source::DeclaredSigner {
        scheme: assay::site::SignerScheme::Openpgp,
        fingerprint: "A".repeat(40).parse().unwrap(),
    };
    let anew = site.build_as("1.0", "first", |scenario| {
        scenario.declare(|declaration| declaration.authorised = vec![nobody_else.clone()]);
    });
    let admission = site.admit(&anew).unwrap();
    assert!(admission.decision.admitted && admission.decision_sha256.is_some());
    let after = latest(&published);
    assert_eq!((after.n, after.suites.len()), (before.n + 1, before.suites.len()));
    let lists = |record: &Record| {
        let indexes = |state: &assay::snapshot::SuiteState| state.indexes.clone();
        record.suites.iter().flat_map(indexes).collect::<Vec<_>>()
    };
    assert_eq!(lists(&after), lists(&before));
    assert_ne!(after.ledger, before.ledger);
    assert_eq!(published.problems(&published.store()), []);
    let objects_before = objects(&published.store());
    assert_eq!(site.admit(&anew).unwrap().decision_sha256, None, "it is done");
    assert_eq!(objects(&published.store()), objects_before);

    let declaration = assay::admission::identity(&anew.scenario.candidate.declaration).unwrap();
    let entry = published.store().join("state/custom/lineage/hello/1.json");
    fs::remove_file(&entry).unwrap();
    fs::remove_dir_all(published.store().join(format!("state/custom/decisions/{declaration}"))).unwrap();
    let folder = "state/custom/lineage/hello".to_owned();
    let problems = published.problems(&published.store());
    let lists = format!("state/custom/decisions/{declaration}/");
    let [(listed, "V-EVIDENCE"), (named, "V-LEDGER")] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(listed.starts_with(&lists) && *named == folder, "{problems:?}");
    // Whom the last declaration does not list gets nothing in.
    let refused = site.admit(&site.build("1.1", "second")).unwrap().decision;
    assert!(broken(&refused).contains(&"S10"), "{:?}", broken(&refused));
    assert_eq!(put_back(&site.store, &site.archive, Some(&after)).unwrap(), 1);
    let gate = site.gate_key.public();
    assert_eq!(recall_all(&site.store, &site.archive, &gate, None).unwrap(), 1);
    assert!(entry.exists());
    assert_eq!(published.problems(&published.store()), []);
}

#[test]
fn an_entry_that_says_otherwise_stops_the_gate_and_is_named() {
    let published = Published::new();
    let (store, site) = (published.store(), &published.site);
    let built = site.build("1.1", "second");
    let (candidate, evidence) = site.prepare(&built);
    let name = "state/custom/ledger/binary/hello/1.0/amd64";
    let text = fs::read_to_string(store.join(name)).unwrap();
    let at = text.find("sha256\":\"").unwrap() + 9;
    let other = format!("{}{}{}", &text[..at], "ab".repeat(32), &text[at + 64..]);
    replace(&store.join(name), other.as_bytes());
    assert_eq!(published.problems(&store), [(name.to_owned(), "V-LEDGER")]);
    let policy = &built.scenario.policy;
    let error = publish::admit(&site.gate(), policy, &candidate, &evidence, now()).unwrap_err();
    assert_eq!(error.code(), "E-GATE-114", "{error}");
    let error = put_back(&site.store, &site.archive, Some(&latest(&published))).unwrap_err();
    assert_eq!(error.code(), "E-GATE-114", "{error}");
    let next = error.hint().unwrap();
    assert!(
        error.to_string().contains("hello 1.0 amd64") && next.contains("`assay publish`"),
        "{error}: {next}"
    );
}

/// Who has the archive's key can make a record that remembers less: decisions and the records before say so.
#[test]
fn a_record_that_forgets_is_named() {
    let published = Published::new();
    admit(&published.site, "1.1", "second");
    let site = &published.site;
    let first = Chain::load(&site.store, &site.archive)
        .unwrap()
        .record(&site.store, 1)
        .unwrap();
    for (forged, ledger) in [("less", first.ledger), ("nothing", None)] {
        let chain = Chain::load(&site.store, &site.archive).unwrap();
        let mut record = chain
            .next(&site.store, latest(&published).suites, made(forged, now()))
            .unwrap();
        record.ledger = ledger;
        publish::commit(&site.store, &record, &site.archive_key).unwrap();
        publish::publish(&site.store, &site.archive, &site.archive_key, "file:///nowhere").unwrap();
        let report = published.report(&published.store(), site.gate_key.public(), &published.policy);
        let key = format!("state/custom/{}.json", record.n);
        assert!(
            report.problems.iter().any(|problem| problem.code == "V-LEDGER"
                && problem.object == key
                && problem.why.contains("it forgets")
                && problem.why.contains("hello 1.1")),
            "{forged}: {:?}",
            report.problems
        );
    }
}

/// An archive whose records are older than the book: the first that is made now has all that the ledger holds.
#[test]
fn an_older_archive_is_remembered_whole_from_its_next_record_on() {
    let published = Published::new();
    let site = &published.site;
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let path = published.store().join("state/custom/1.json");
    let old = Record {
        ledger: None,
        ..chain.latest().unwrap().clone()
    };
    fs::remove_file(&path).unwrap();
    publish::commit(&site.store, &old, &site.archive_key).unwrap();
    assert_eq!(published.problems(&published.store()), []);
    admit(site, "1.1", "second");
    fs::remove_dir_all(published.store().join("state/custom/ledger")).unwrap();
    let refused = offered_again(&published).unwrap();
    assert!(broken(&refused).contains(&"V1"), "{:?}", broken(&refused));
}
