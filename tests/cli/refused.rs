//! Mirror runs that come to nothing: the cause and the next step that the sysadmin reads, then and at `status`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use super::mirrors::Metals;
use super::{assay, serve, text};
use crate::support::apt::{Apt, source};
use crate::support::http::Trick;

const INRELEASE: &str = "dists/tin/InRelease";

/// A run of the mirror that must fail so: its exit code, and what it says.
fn refused(metals: &Metals, code: i32, says: &[&str]) -> String {
    let done = assay(&metals.site(), &["mirror"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{said}");
    for part in says {
        assert!(said.contains(part), "not said: {part}: {said}");
    }
    said
}

fn status(metals: &Metals) -> (String, serde_json::Value) {
    let line = text(&assay(&metals.site(), &["status", "--json"]).stdout);
    (
        text(&assay(&metals.site(), &["status"]).stdout),
        serde_json::from_str(line.lines().next().unwrap()).unwrap(),
    )
}

#[test]
fn what_is_wrong_with_a_signed_file_is_said_and_stays_at_status_until_a_run_succeeds() {
    let metals = Metals::new("pool = \"lazy\"\n");
    let good = metals.archive("1", -3600).files(&metals.signer);
    // Before the first snapshot, too.
    let mut files = good.clone();
    files
        .get_mut(INRELEASE)
        .unwrap()
        .extend_from_slice(b"Origin: somebody else\n");
    metals.upstream.set(files.clone());
    let said = refused(&metals, 3, &["E-UP-009", "no key is missing", "another `uri`"]);
    assert!(!said.contains("`signers`"), "{said}");
    let (shown, json) = status(&metals);
    assert!(
        shown.contains("foundry mirror 0 snapshots") && shown.contains("E-UP-009"),
        "{shown}"
    );
    assert_eq!(json["refused"]["code"], "E-UP-009");

    metals.upstream.set(good.clone());
    assert_eq!(metals.mirror(), "new");
    let (shown, json) = status(&metals);
    assert!(
        !shown.contains("came to nothing") && json["refused"].is_null(),
        "{shown} {json}"
    );

    // A login page, and a signature by another key: what is missing then is a key.
    metals.upstream.add(INRELEASE, b"<html>Please log in</html>\n");
    refused(&metals, 3, &["E-UP-009", "login page"]);
    let other = crate::support::archive::key("other");
    metals.upstream.set(metals.archive("1", -60).files(&other));
    refused(
        &metals,
        3,
        &["E-UP-009", "compare `keyring`, `signers` and `threshold`"],
    );
    let (shown, json) = status(&metals);
    for part in [
        "problem: the last `assay mirror foundry` came to nothing",
        "E-UP-009",
        "next: ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let told = &json["refused"];
    assert!(
        told["at"].as_str().unwrap().ends_with('Z') && told["cause"].as_str().unwrap().contains("`tin`"),
        "{json}"
    );
    assert!(
        told["next"].as_str().unwrap().contains("keyring") && json["snapshots"] == 1,
        "{json}"
    );
    // No part of what anybody proves, and gone with a run that changes nothing.
    metals.verify();
    metals.upstream.set(good);
    assert_eq!(metals.mirror(), "unchanged");
    assert!(status(&metals).1["refused"].is_null());
    metals.verify();
}

#[test]
fn what_the_site_asks_for_and_upstream_does_not_have_is_named_beside_what_it_has() {
    let metals = Metals::new("pool = \"lazy\"\n");
    let base = metals.site().join("repos/foundry.base");
    let right = fs::read_to_string(&base).unwrap();
    let with = |from: &str, to: &str| {
        let changed = right.replace(from, to);
        assert_ne!(changed, right);
        fs::write(&base, changed).unwrap();
        metals.set("pool = \"lazy\"\n");
    };
    with("components = [\"main\"]", "components = [\"main\", \"mian\"]");
    refused(
        &metals,
        2,
        &[
            "E-UP-037",
            "no component `mian`: it lists `main contrib`",
            "correct `components`",
        ],
    );
    with("architectures = [\"amd64\"]", "architectures = [\"adm64\"]");
    refused(
        &metals,
        2,
        &[
            "E-UP-037",
            "no architecture `adm64`: it lists `",
            "amd64",
            "correct `architectures`",
        ],
    );
    // Of languages few suites have all: it is said, and hinders nothing.
    fs::write(&base, &right).unwrap();
    metals.set("pool = \"lazy\"\nlanguages = [\"en\", \"xx\", \"de\"]\n");
    let done = assay(&metals.site(), &["mirror"]);
    let said = text(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(
        said.contains("no Translation for these `languages`: xx de; it has: en"),
        "{said}"
    );
    metals.set("pool = \"lazy\"\nlanguages = [\"en\"]\n");
    assert_eq!(text(&assay(&metals.site(), &["mirror"]).stderr), "");
}

#[test]
fn a_listed_file_that_upstream_dropped_is_named_and_followed_when_upstream_moved_on() {
    let metals = Metals::new("pool = \"full\"\n");
    let copper = "pool/main/c/copper/copper_1_amd64.deb";
    let mut files = metals.archive("1", -3600).files(&metals.signer);
    files.remove(copper);
    metals.upstream.set(files);
    let said = refused(&metals, 5, &["E-UP-038", copper, "404", "run it again in some minutes"]);
    assert!(!said.contains("`components`"), "{said}");
    assert_eq!(status(&metals).1["refused"]["code"], "E-UP-038");
    // The next state of upstream comes with the answer that the file is not there.
    let next: BTreeMap<String, Vec<u8>> = metals.archive("2", -60).files(&metals.signer);
    metals.upstream.trick(copper, Trick::Then(next));
    assert_eq!(metals.mirror(), "new");
    assert!(metals.pool().contains("alloy_2_amd64.deb"), "{:?}", metals.pool());
    // What the refused run had fetched by then is explained, and can go.
    let left = assay(&metals.site(), &["verify"]);
    assert_eq!(left.status.code(), Some(3));
    let line = "V-UNNAMED foundry/pool/main/a/alloy/alloy_1_amd64.deb: ";
    let said = text(&left.stdout);
    assert!(
        said.lines()
            .any(|l| l.starts_with(line) && l.contains("assay gc foundry")),
        "{said}"
    );
    assert!(assay(&metals.site(), &["gc"]).status.success());
    metals.verify();
}

/// Threat F7: a weak hash that is wrong beside a SHA-256 that is right. apt would refuse the file.
#[test]
fn an_index_that_contradicts_itself_is_named_with_the_package() {
    let metals = Metals::new("pool = \"lazy\"\n");
    let deb = |name: &str| format!("pool/main/{}/{name}/{name}_1_amd64.deb", &name[..1]);
    let mut archive = metals.archive("1", -60);
    let wrong = [
        ("copper", "MD5sum", 32, "MD5"),
        ("lead", "SHA1", 40, "SHA-1"),
        ("zinc", "SHA512", 128, "SHA-512"),
    ];
    for (name, field, digits, _) in wrong {
        archive = archive.extra(&deb(name), &format!("{field}: {}\n", "0".repeat(digits)));
    }
    metals.upstream.set(archive.files(&metals.signer));
    // Nothing was fetched yet that could tell.
    assert_eq!(metals.mirror(), "new");
    let (mut server, url) = serve(&metals.site());
    let apt = Apt::new(&source(&format!("{url}/foundry"), "tin", &metals.certificate()));
    apt.update();
    for (name, ..) in wrong {
        let got = apt.get(&["download", name]);
        assert!(!got.ok && got.text.contains("502"), "{}", got.text);
    }
    assert!(apt.get(&["download", "alloy"]).ok);
    server.kill().unwrap();
    server.wait().unwrap();
    let mut log = String::new();
    server.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    for (name, _, _, hash) in wrong {
        let line = log.lines().find(|line| line.contains(&deb(name)));
        let line = line.unwrap_or_else(|| panic!("{name}: {log}"));
        for part in [
            "E-UP-036",
            "contradicts itself",
            &format!("another {hash}"),
            "Ask upstream",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!(metals.pool(), ["alloy_1_amd64.deb".to_owned()].into());
    // A pool that is filled sees it at once, before anything of it is published.
    metals.set("pool = \"full\"\n");
    let said = refused(&metals, 3, &["E-UP-036", "contradicts itself", "_1_amd64.deb"]);
    assert!(!said.contains("set another `uri`"), "{said}");
    assert_eq!(status(&metals).1["refused"]["code"], "E-UP-036");
}

#[test]
fn what_there_is_none_of_is_said_with_the_next_step() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    for args in [&["tag", "v1"][..], &["snapshot", "drop", "foundry@v1"], &["gc"]] {
        assert!(assay(&metals.site(), args).status.success(), "{args:?}");
    }
    for (args, code, says) in [
        (
            &["snapshot", "show", "foundry@1"][..],
            2,
            &["there is none", "assay snapshot list"][..],
        ),
        (
            &["sources", "--snapshot", "nope@1"],
            2,
            &["there is none", "assay snapshot list"],
        ),
        (
            &["snapshot", "show", "nope"],
            2,
            &["E-SITE-004", "no archive `nope`", "next: "],
        ),
        (
            &["snapshot", "diff", "nope@2026112201", "foundry"],
            2,
            &["E-SITE-004", "next: "],
        ),
        (&["snapshot", "keep", "nope"], 2, &["E-SITE-004", "next: "]),
        (
            &["sources", "--snapshot", "nope@latest"],
            2,
            &["E-SITE-004", "it has: foundry", "next: "],
        ),
        (
            &["snapshot", "show", "foundry@v9"],
            2,
            &["`foundry` has no snapshot `v9`", "assay snapshot list foundry"],
        ),
        (&["snapshot", "renew"], 2, &["E-CLI-001", "--all", "next: "]),
        (
            &["tag", "v1"],
            2,
            &["E-PUBLISH-021", "the tag `v1` was let go", "choose another"],
        ),
    ] {
        let done = assay(&metals.site(), args);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {said}");
        for part in says {
            assert!(said.contains(part), "{args:?} does not say {part}: {said}");
        }
        assert!(
            !said.contains("tag name") && !said.contains("boolean"),
            "{args:?}: {said}"
        );
    }
}
