//! dpkg's own Perl modules as oracles: one process for thousands of cases.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `body` for each case: it finds the case in `$_` and returns a list of byte strings, or dies.
/// Gives that list, or `None` where it died.
pub(crate) fn each(modules: &str, body: &str, cases: &[Vec<u8>]) -> Vec<Option<Vec<Vec<u8>>>> {
    let program = format!(
        r#"use strict; use warnings; {modules}
        open(my $quiet, '>', '/dev/null'); open(STDERR, '>&', $quiet);
        while (my $line = <STDIN>) {{
            chomp $line;
            my @out = eval {{ local $_ = pack('H*', $line); local $/ = "\n"; {body} }};
            print $@ ? "died" : join(' ', 'ok', map {{ 'x' . unpack('H*', $_) }} @out), "\n";
        }}"#
    );
    let mut perl = Command::new("perl")
        .args(["-e", &program])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("perl and dpkg-dev are installed");
    let mut stdin = perl.stdin.take().unwrap();
    let input: String = cases.iter().map(|case| hex::encode(case) + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = perl.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "perl failed: is dpkg-dev installed?");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = text.lines().map(answer).collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

fn answer(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut words = line.split(' ');
    if words.next() == Some("died") {
        return None;
    }
    Some(
        words
            .map(|word| hex::decode(word.strip_prefix('x').unwrap()).unwrap())
            .collect(),
    )
}
