//! What lint says of broken repositories is what the real apts do: this Debian's, and the next stable's.

mod broken;
mod cases;
mod probe;

use broken::{Broken, Case};

/// Each case of a group, judged and tried. All that differ are shown.
fn judged_as_tried(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(why) = probe::check(case) {
            wrong.push(format!("== {}\n{why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn signatures() {
    judged_as_tried(&cases::signatures());
}

#[test]
fn times_and_names() {
    judged_as_tried(&cases::times());
    judged_as_tried(&cases::names());
}

#[test]
fn indexes() {
    judged_as_tried(&cases::indexes());
}

#[test]
fn stanzas() {
    judged_as_tried(&cases::stanzas());
}

/// apt goes where a Release file is found in the end for all indexes, and gives up where it was already.
#[test]
fn redirects_are_followed_as_far_as_apt_does() {
    use crate::support::apt::{Apt, source};
    use crate::support::web::Web;
    use assay::lint::{Outcome, Question, Repository, lint};

    let good = Broken::good().written();
    let there = Web::serve(good.folder.path());
    let here = tempfile::tempdir().unwrap();
    let suite = here.path().join("dists/trixie");
    std::fs::create_dir_all(&suite).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([good.folder.path().join("dists/trixie"), here.path().join("dists/stays")])
        .status();
    assert!(copied.unwrap().success());
    let web = Web::serve(here.path());
    let leads = |to: &str| std::fs::write(suite.join("InRelease.redirect"), to).unwrap();
    let elsewhere = format!("{}/dists/trixie/InRelease", there.url);
    for (to, outcome) in [
        (elsewhere.as_str(), Outcome::Accept),
        ("/dists/trixie/InRelease", Outcome::Reject),
        ("/nowhere/InRelease", Outcome::Reject),
    ] {
        leads(to);
        let repository = Repository::open(&web.url, here.path()).unwrap();
        let question = Question {
            suite: "trixie",
            components: vec!["main".to_owned()],
            architectures: vec!["amd64".to_owned()],
            languages: Vec::new(),
            sources: None,
            keyring: None,
            now: broken::now(),
            files: false,
        };
        let judged = lint(&repository, None, &question).unwrap();
        for (next, verdict) in [false, true].into_iter().zip(&judged.verdicts) {
            let apt = if next { Apt::next("") } else { Apt::new("") };
            let certificate = apt.folder().join("trusted.asc");
            std::fs::copy(&good.certificate, &certificate).unwrap();
            apt.set_sources(&source(&web.url, "trixie", &certificate));
            let update = apt.get(&["update"]);
            assert_eq!(update.ok, outcome == Outcome::Accept, "{to}: {}", update.text);
            assert_eq!(apt.versions("hello").is_empty(), !update.ok, "{to}");
            assert_eq!(verdict.outcome, outcome, "{to}: {:?}", judged.findings);
        }
        // Another suite is where it is, whatever was found of the one before.
        let stays = Question {
            suite: "stays",
            ..question
        };
        let findings = lint(&repository, None, &stays).unwrap().findings;
        assert!(
            findings.iter().all(|finding| finding.code != "L-NO-RELEASE"),
            "{findings:?}"
        );
        let named = judged.findings.iter().any(|finding| finding.code == "L-REDIRECT");
        assert_eq!(named, to == "/dists/trixie/InRelease", "{to}");
    }
}

#[test]
fn the_program_says_it_over_http_and_exits_by_it() {
    let good = Broken::good().written();
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_assay"))
            .arg("lint")
            .args(args)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let certificate = good.certificate.to_str().unwrap();
    let folder = good.folder.path().to_str().unwrap();
    let web = crate::support::web::Web::serve(good.folder.path());
    for repository in [folder, &web.url] {
        let (code, said) = run(&[
            repository,
            "--suite",
            "trixie",
            "--keyring",
            certificate,
            "--files",
            "--strict",
        ]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("accept apt-2.6 trixie\naccept apt-3.0 trixie"), "{said}");
    }
    let mut broken = Broken::good();
    broken.set("Date", "yesterday");
    let broken = broken.written();
    let certificate = broken.certificate.to_str().unwrap();
    let folder = broken.folder.path().to_str().unwrap();
    let (code, said) = run(&[folder, "--keyring", certificate, "--json"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""outcome":"warn","code":"L-DATE""#), "{said}");
    assert_eq!(run(&[folder, "--strict"]).0, Some(3));
    std::fs::remove_dir_all(broken.folder.path().join("dists/trixie/main")).unwrap();
    let (code, said) = run(&[folder]);
    assert_eq!(code, Some(3));
    assert!(said.contains("reject apt-2.6,apt-3.0 L-INDEX-MISSING"), "{said}");
    assert_eq!(run(&["/nowhere/at/all"]).0, Some(2));
}
