//! Builds that fail, hang, or try to leave what they should not.

use assay::domain::Coded;
use assay::format::intoto::Outcome;
use assay::rebuild::Limits;

use super::run::{Tiny, log, variation};

#[test]
fn a_build_that_fails_is_an_outcome_whatever_it_left() {
    let tiny = Tiny::bare("fails", "touch ../fails_1.0_amd64.deb; exit 3");
    let work = tempfile::tempdir().unwrap();
    let finished = tiny.build(&work.path().join("w"), &variation(1), &Limits::default());
    assert_eq!(finished.outcome, Outcome::Ftbfs);
    assert!(finished.outputs.is_empty(), "{:?}", finished.outputs);
    assert!(
        finished.reason.as_deref().unwrap().contains("exit status"),
        "{:?}",
        finished.reason
    );
    assert!(log(&finished).contains("Error 3"), "{}", log(&finished));
}

#[test]
fn a_build_that_hangs_is_killed_with_all_it_started() {
    // Of this run: elsewhere on the machine the same test may run.
    let sleep = format!("sleep 4711.{}", std::process::id());
    let commands = format!("(setsid sh -c 'exec -a assay-test-hangs {sleep}' &) ; {sleep}");
    let tiny = Tiny::bare("hangs", &commands);
    let work = tempfile::tempdir().unwrap();
    let limits = Limits {
        seconds: 12,
        ..Limits::default()
    };
    let folder = work.path().join("w");
    let finished = tiny.build(&folder, &variation(1), &limits);
    assert_eq!(finished.outcome, Outcome::Timeout, "{}", log(&finished));
    assert_eq!(finished.reason.as_deref(), Some("it did not end within 12 s"));
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["log"], "nothing but the log is left");
    let processes = std::process::Command::new("ps")
        .args(["ax", "-o", "args"])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&processes.stdout).contains(&sleep));
}

#[test]
fn links_are_not_followed_and_nothing_outlives_the_build() {
    // The last line waits for the build's end in the background, to swap a file while it is collected.
    let commands = "ln -s /etc/shadow ../secret_1.0_all.deb\n\
                    ln -s /proc/1/environ ../environ.changes\n\
                    mkdir ../folder_1.0_all.deb\n\
                    (setsid sh -c 'while sleep 0.01; do ln -sf /etc/shadow ../links_1.0_amd64.deb; done' >/dev/null 2>&1 &)";
    let tiny = Tiny::bare("links", commands);
    let work = tempfile::tempdir().unwrap();
    let finished = tiny.build(&work.path().join("w"), &variation(1), &Limits::default());
    let secret = std::fs::read("/etc/shadow").unwrap_or_default();
    for file in finished.outputs.iter().chain(&finished.byproducts) {
        assert!(!["secret_1.0_all.deb", "environ.changes", "folder_1.0_all.deb"].contains(&file.name.as_str()));
        assert!(
            std::fs::symlink_metadata(&file.path).unwrap().is_file(),
            "{}",
            file.name
        );
        assert!(
            secret.is_empty() || std::fs::read(&file.path).unwrap() != secret,
            "{}",
            file.name
        );
    }
}

#[test]
fn a_variation_that_could_be_read_as_something_else_is_refused() {
    let tiny = Tiny::bare("varied", "true");
    for (hostname, user, uid) in [
        ("a b", "builder", 1000),
        ("host", "root:x", 1000),
        ("host", "builder", 0),
        ("host", "-x", 1000),
    ] {
        let mut variation = variation(1);
        (variation.hostname, variation.user, variation.uid) = (hostname.to_owned(), user.to_owned(), uid);
        let work = tempfile::tempdir().unwrap();
        let error = tiny.try_build(work.path(), &variation, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "E-BUILD-005", "{error}");
    }
}
