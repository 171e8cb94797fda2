//! Builds that take more than they may: each ends, says what it ran out of, and leaves nothing behind.

use std::process::Command;

use assay::admission::identity;
use assay::format::dsse::IN_TOTO;
use assay::format::intoto::Outcome;
use assay::format::json;
use assay::rebuild::{Finished, Limits, RecordInput, read_statement, statement};
use assay::site::Backend;
use assay::trust::{Ed25519Key, sign_envelope, verify_envelope};

use super::run::{Tiny, variation};
use crate::admission::scenario::Scenario;

fn small() -> Limits {
    Limits {
        seconds: 60,
        memory: 300 << 20,
        disk: 40 << 20,
        processes: 80,
        log: 1 << 20,
    }
}

/// Builds, and demands that a limit ended it and that nothing is left of it.
fn ends(name: &str, commands: &str, number: u32, limits: &Limits) -> Outcome {
    let marker = format!("assay-test-{name}-{}", std::process::id());
    let tiny = Tiny::bare(name, &commands.replace("MARKER", &marker));
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("w");
    let finished = tiny.build(&folder, &variation(number), limits);
    assert!(finished.outputs.is_empty(), "{:?}", finished.outputs);
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["log"], "{name} left something");
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{name}: {mounts}");
    let processes = Command::new("ps").args(["ax", "-o", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&processes.stdout).contains(&marker), "{name}");
    recorded(&finished, limits, number);
    finished.outcome
}

/// A builder signs it as any other result.
fn recorded(finished: &Finished, limits: &Limits, number: u32) {
    let scenario = Scenario::good();
    let (lock_sha256, lock) = scenario.evidence.locks.iter().next().unwrap();
    let declaration = &scenario.candidate.declaration;
    let key = Ed25519Key::generate();
    let made = statement(&RecordInput {
        declaration,
        declaration_sha256: &identity(declaration).unwrap(),
        lock,
        lock_sha256,
        variation: &variation(number),
        limits,
        backend: Backend::Overlay,
        nonce: "n",
        builder: &"alice/laptop".parse().unwrap(),
        finished,
    })
    .unwrap();
    let envelope = sign_envelope(IN_TOTO, &json::canonical("record", &made).unwrap(), &key);
    assert_eq!(verify_envelope(&envelope, IN_TOTO, &[key.public()]).unwrap().len(), 1);
    let read = read_statement(&envelope.payload).unwrap().predicate;
    assert_eq!(read.assay_outcome, finished.outcome);
    let recipe = read.build_definition.external_parameters.recipe;
    assert_eq!((recipe.memory, recipe.disk), (limits.memory, limits.disk));
    assert_eq!((recipe.processes, recipe.log), (limits.processes, limits.log));
    assert_eq!(read.run_details.byproducts.len(), 1, "the log, and nothing else");
}

#[test]
fn a_fork_bomb_ends() {
    // Each stays: what is gone again before anybody counts is within the limit.
    let bomb = "sh -c 'f() { f | f & sleep 50; }; f' MARKER";
    assert_eq!(ends("bomb", bomb, 1, &small()), Outcome::Processes);
}

/// Each wants to run, without end, and one is in a session of its own: whoever watches must get to look, and all must go.
#[test]
fn a_fork_bomb_that_takes_all_of_the_machine_ends() {
    let bomb =
        "ulimit -u; (setsid sh -c 'while :; do sleep 300; done' MARKER &); perl -e 'fork while 1' MARKER & sleep 25";
    let limits = Limits {
        processes: 64,
        ..small()
    };
    assert_eq!(ends("crowd", bomb, 1, &limits), Outcome::Processes);
}

/// The kernel lets it have little more than its limit: as root, others may have processes of the same number.
#[test]
fn a_build_gets_no_more_processes_than_somewhat_beyond_its_limit() {
    let spare = if rustix::process::geteuid().is_root() { 1024 } else { 64 };
    let commands = format!("test $$(bash -c 'ulimit -u') = {}", 80 + spare);
    let tiny = Tiny::bare("nproc", &commands);
    let work = tempfile::tempdir().unwrap();
    let finished = tiny.build(&work.path().join("w"), &variation(1), &small());
    assert_eq!(finished.outcome, Outcome::Built, "{finished:?}");
}

#[test]
fn what_fills_memory_ends() {
    let hog = "perl -e '$$x = \"x\" x 150000000; $$y = $$x . $$x; $$z = $$x . $$y; sleep 50' MARKER";
    assert_eq!(ends("hog", hog, 1, &small()), Outcome::Memory);
}

/// Pages that no process maps: of a file in memory, and of a segment that stays when its maker has ended.
#[test]
fn what_fills_shared_memory_ends() {
    let memfd = "perl -e 'my $$n = \"x\"; my $$fd = syscall(319, $$n, 0); open(my $$f, \"+<&=\", $$fd) or die; \
                 print $$f \"x\" x 1000000 for 1..400; sleep 50' MARKER";
    if cfg!(target_arch = "x86_64") {
        assert_eq!(ends("memfd", memfd, 1, &small()), Outcome::Memory);
    }
    let segments = "for i in 1 2 3 4; do perl -e 'my $$id = shmget($$$$, 100000000, 01600) // die; \
                    shmwrite($$id, \"y\" x 100000000, 0, 100000000) or die'; done; sleep 50 MARKER";
    assert_eq!(
        ends("segments", &segments.replace(" MARKER", ""), 1, &small()),
        Outcome::Memory
    );
}

/// Files without bytes take room as well.
#[test]
fn what_fills_the_table_of_files_ends_on_disk_and_in_memory() {
    let files = "i=0; while :; do i=$$((i + 1)); : > f$$i || exit 3; done";
    assert_eq!(ends("files", files, 1, &small()), Outcome::Disk);
    assert_eq!(ends("files", files, 2, &small()), Outcome::Disk);
}

#[test]
fn what_fills_the_disk_ends_on_disk_and_in_memory() {
    let filler = "i=0; while :; do i=$$((i + 1)); head -c 4000000 /dev/urandom > f$$i || exit 3; done";
    assert_eq!(ends("filler", filler, 1, &small()), Outcome::Disk);
    assert_eq!(ends("filler", filler, 2, &small()), Outcome::Disk);
    let elsewhere = filler.replace("> f", "> /tmp/f");
    assert_eq!(ends("filler", &elsewhere, 2, &small()), Outcome::Disk);
}

/// A hole takes no room, and whoever hashed what is around it would be at it for days; so would a record of too many files.
#[test]
fn what_leaves_more_than_anybody_reads_is_no_package() {
    let hole = "truncate -s 10T ../big_1.0_all.deb || truncate -s 1T ../big_1.0_all.deb";
    assert_eq!(ends("hole", hole, 1, &small()), Outcome::Disk);
    let many = "cd ..; i=0; while [ $$i -le 10000 ]; do i=$$((i + 1)); : > m$$i.deb; done";
    let limits = Limits {
        disk: 400 << 20,
        ..small()
    };
    assert_eq!(ends("many", many, 1, &limits), Outcome::Ftbfs);
}

#[test]
fn what_sleeps_ends() {
    let limits = Limits { seconds: 6, ..small() };
    let sleeper = "sh -c 'sleep 4712; :' MARKER";
    assert_eq!(ends("sleeper", sleeper, 1, &limits), Outcome::Timeout);
}

#[test]
fn an_endless_log_ends() {
    assert_eq!(ends("chatter", "yes MARKER", 1, &small()), Outcome::Log);
}
