//! Who is believed. Real gpg, gpgv, apt, ssh-keygen and git make fixtures and are the oracles; what
//! they would never make is forged with the OpenPGP library itself.

mod certificate;
mod cleartext;
mod debian;
mod forge;
mod interop;
mod openpgp;
mod ssh;

use std::path::Path;
use std::process::{Command, Stdio};

use assay::domain::{Coded, Timestamp};
use assay::trust::{Keyring, Requirement, TrustError};

/// The present of these tests, and of the keys that they forge: one day later than `MADE`.
const NOW: &str = "20261122T120000Z";
const MADE: &str = "20261121T120000Z";
const TEXT: &[u8] = b"Origin: Test\nSuite: stable\nDate: Sat, 21 Nov 2026 12:00:00 UTC\n";

fn at(text: &str) -> Timestamp {
    Timestamp::parse_compact(text).unwrap()
}

fn needs(keyring: &Keyring, threshold: u32) -> Requirement<'_> {
    Requirement {
        keyring,
        threshold,
        now: at(NOW),
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, TrustError>) -> &'static str {
    result.unwrap_err().code()
}

/// Runs a program with only this environment; whether it succeeded, and what it wrote.
fn run(program: &str, args: &[&str], folder: &Path, environment: &[(&str, &Path)]) -> (bool, Vec<u8>, String) {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", folder)
        .envs(environment.iter().map(|(name, path)| (name, path.as_os_str())))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (
        output.status.success(),
        output.stdout,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn demand(program: &str, args: &[&str], folder: &Path, environment: &[(&str, &Path)]) -> Vec<u8> {
    let (done, stdout, stderr) = run(program, args, folder, environment);
    assert!(done, "{program} {args:?}: {stderr}");
    stdout
}
