//! Readers that go away: nothing that they do makes the program panic.

use std::io::{PipeWriter, pipe};
use std::process::{ExitStatus, Stdio};

use super::made::Made;
use crate::support::repository::now;

/// The end of a pipe that nobody reads.
fn closed() -> PipeWriter {
    pipe().unwrap().1
}

fn code(status: ExitStatus) -> i32 {
    status.code().expect("it was killed by a signal")
}

/// A site with one published snapshot.
fn published() -> Made {
    let made = Made::at(now().plus(-60));
    made.commit_custom(now());
    assert!(made.run(&["publish", "custom"]).status.success());
    made
}

#[test]
fn a_reader_that_has_had_enough_changes_nothing() {
    let made = published();
    for args in [
        &["snapshot", "list"][..],
        &["snapshot", "show", "custom"],
        &["snapshot", "list", "--json"],
        &["why", "hello"],
        &["verify"],
        &["status"],
        &["sources"],
        &["key", "list"],
        &["generate", "completions", "bash"],
        &["--help"],
    ] {
        let whole = made.run(args);
        assert!(!whole.stdout.is_empty(), "{args:?} prints nothing: {whole:?}");
        let cut = made.command(args).stdout(closed()).output().unwrap();
        assert_eq!(code(cut.status), code(whole.status), "{args:?}: {cut:?}");
        assert_eq!(cut.stderr, whole.stderr, "{args:?}");
    }
}

#[test]
fn nobody_needs_to_read_notes_and_errors() {
    let made = published();
    for args in [
        &["snapshot", "show", "custom@1999010101"][..],
        &["snapshot", "show", "custom@1999010101", "--json"],
        &["mirror", "nothing"],
        &["sources"],
        &["frobnicate"],
    ] {
        let whole = made.run(args);
        assert!(!whole.stderr.is_empty(), "{args:?} says nothing: {whole:?}");
        let cut = made.command(args).stderr(closed()).output().unwrap();
        assert_eq!(code(cut.status), code(whole.status), "{args:?}: {cut:?}");
        assert_eq!(cut.stdout, whole.stdout, "{args:?}");
        let mut both = made.command(args);
        let both = both.stdout(closed()).stderr(closed()).stdin(Stdio::null()).status();
        assert_eq!(code(both.unwrap()), code(whole.status), "{args:?}");
    }
}
