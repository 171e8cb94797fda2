//! Tests of `cli`: what a user sees, run as the program.

mod changelogs;
mod checkout;
mod checkpoints;
mod cloud;
mod declared;
mod ephemeral;
mod keys;
mod killed;
mod lock;
mod lost;
mod examples;
mod full;
mod imports;
mod made;
mod manifests;
mod partial;
mod pipes;
mod plan;
mod prepare;
mod refused;
mod renewal;
mod retention;
mod small;
mod snapshots;
mod symbols;
mod mirrors;
mod terms;
mod together;
mod tour;
mod unproven;
mod upload;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) const ASSAY: &str = env!("CARGO_BIN_EXE_assay");

/// Runs the program in a folder.
pub(crate) fn assay(folder: &Path, args: &[&str]) -> Output {
    Command::new(ASSAY).args(args).current_dir(folder).output().unwrap()
}

/// The server of the site in a folder, on a port of its own, and its URL.
pub(crate) fn serve(folder: &Path) -> (std::process::Child, String) {
    let mut child = Command::new(ASSAY)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = url_of(&mut child);
    (child, url)
}

/// The URL that a server says first; its output must be a pipe.
pub(crate) fn url_of(server: &mut std::process::Child) -> String {
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    url.trim_end_matches('/').to_owned()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn init_makes_a_site_and_refuses_a_folder_that_is_not_empty() {
    let folder = tempfile::tempdir().unwrap();
    let made = assay(folder.path(), &["init", "site"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&made.stdout).contains("gate ed25519:"));
    let ignored = fs::read_to_string(folder.path().join("site/.gitignore")).unwrap();
    assert!(ignored.contains("/keys/"));

    let listed = assay(&folder.path().join("site"), &["key", "list"]);
    assert_eq!(
        text(&listed.stdout).matches("secret-here").count(),
        2,
        "{}",
        text(&listed.stdout)
    );
    let status = assay(&folder.path().join("site/policies"), &["status"]);
    assert!(
        text(&status.stdout).contains("debian mirror 0 snapshots"),
        "{}",
        text(&status.stdout)
    );

    let before = fs::read(folder.path().join("site/assay.toml")).unwrap();
    let again = assay(folder.path(), &["init", "site"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("E-CLI-002"), "{}", text(&again.stderr));
    assert_eq!(fs::read(folder.path().join("site/assay.toml")).unwrap(), before);
}

#[test]
fn a_public_url_that_is_none_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    for url in [
        "http://x/\nfoo",
        "http://x\" # ",
        "http://x/a b",
        "http://x/'",
        "javascript:alert(1)",
        "http://",
        "file:///",
        "http://x/?q",
        "",
    ] {
        let refused = assay(folder.path(), &["init", "site", "--public-url", url]);
        assert_eq!(refused.status.code(), Some(2), "{url:?}: {}", text(&refused.stderr));
        assert!(!site.exists(), "{url:?}");
    }
    for (at, url) in [
        "https://deb.example.org/a/",
        "file:///srv/assay/store",
        "http://[::1]:8080",
    ]
    .iter()
    .enumerate()
    {
        let made = assay(folder.path(), &["init", &format!("site{at}"), "--public-url", url]);
        assert!(made.status.success(), "{url}: {}", text(&made.stderr));
    }
    assert!(assay(folder.path(), &["init", "site"]).status.success());
}

#[test]
fn an_init_that_fails_leaves_the_folder_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    for name in ["new", "empty"] {
        // Keys are small enough to be written, the files that come after them are not.
        let failed = Command::new("bash")
            .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" init \"$1\"", ASSAY, name])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(failed.status.code(), Some(5), "{}", text(&failed.stderr));
    }
    assert!(!folder.path().join("new").exists());
    assert_eq!(fs::read_dir(folder.path().join("empty")).unwrap().count(), 0);
    assert!(assay(folder.path(), &["init", "empty"]).status.success());
}

#[test]
fn a_store_that_is_not_there_or_empty_is_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    assay(folder.path(), &["init", "site"]);
    let site = folder.path().join("site");
    let url = format!("file://{}", folder.path().join("gone").display());
    for args in [
        &["verify"][..],
        &["verify", "gone"],
        &["verify", "--against", "upstream", "../gone"],
        &["verify", &url],
        &["verify", "assay.toml"],
        &["fsck"],
    ] {
        let said = assay(&site, args);
        assert_eq!(said.status.code(), Some(5), "{args:?}: {said:?}");
        assert!(
            said.stdout.is_empty() && text(&said.stderr).contains("there is no store at"),
            "{said:?}"
        );
    }
    let status = assay(&site, &["status"]);
    assert!(
        status.status.success() && text(&status.stdout).contains(" 0 snapshots"),
        "{status:?}"
    );
    assert_eq!(assay(&site, &["why", "hello"]).status.code(), Some(6));
    // One that was named is meant.
    for verb in [&["status"][..], &["why", "hello"], &["sources", "--snapshot", "debian"]] {
        let said = assay(&site, &[&["--store", &url], verb].concat());
        assert_eq!(said.status.code(), Some(5), "{verb:?}: {said:?}");
        assert!(text(&said.stderr).contains("there is no store at"), "{said:?}");
    }
    assay(&site, &["sources", "--snapshot", "debian"]);
    for gone in [site.join("store"), site.join("gone"), folder.path().join("gone")] {
        assert!(!gone.exists(), "{}", gone.display());
    }
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for args in [
        &["verify", "../empty"][..],
        &["verify", "../empty", "--against", "upstream"],
    ] {
        let said = assay(&site, args);
        assert_eq!(said.status.code(), Some(6), "{args:?}: {said:?}");
        assert!(!text(&said.stdout).contains("verified"), "{said:?}");
        assert!(text(&said.stderr).contains("nothing to verify"), "{said:?}");
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "a look leaves nothing");
}

#[test]
fn arguments_that_are_wrong_are_said_as_json_too() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["mirror", "--frobnicate", "--json"][..],
        &["--json", "frobnicate"],
        &["--json"],
        &["init", "--json"],
        &["snapshot", "show", "not@a@ref", "--json"],
    ] {
        let said = assay(folder.path(), args);
        assert_eq!(said.status.code(), Some(2), "{args:?}: {said:?}");
        let error: serde_json::Value = serde_json::from_slice(&said.stderr).unwrap();
        assert_eq!(error["error"]["code"], "E-CLI-000", "{args:?}");
        assert_eq!(error["error"]["kind"], "usage", "{args:?}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.starts_with("error"), "{message}");
        assert!(said.stdout.is_empty(), "{args:?}");
    }
    let plain = assay(folder.path(), &["mirror", "--frobnicate", "--", "--json"]);
    assert!(
        text(&plain.stderr).starts_with("error: unexpected argument"),
        "{plain:?}"
    );
    for asked in ["--help", "--version"] {
        let said = assay(folder.path(), &["--json", asked]);
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        assert!(
            text(&said.stdout).contains("say") && !text(&said.stdout).starts_with('{'),
            "{said:?}"
        );
    }
}

#[test]
fn errors_say_code_cause_and_next_step_as_text_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let plain = assay(folder.path(), &["mirror"]);
    assert_eq!(plain.status.code(), Some(2));
    assert!(text(&plain.stderr).contains("error[E-SITE-001]"));
    assert!(text(&plain.stderr).contains("next: make a site with `assay init DIR`"));
    let json = assay(folder.path(), &["mirror", "--json"]);
    let error: serde_json::Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(error["error"]["code"], "E-SITE-001");
    assert!(json.stdout.is_empty());
}

#[test]
fn what_is_not_declared_or_locked_is_said_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    assay(folder.path(), &["init", "site"]);
    let site = folder.path().join("site");
    let refused = assay(&site, &["rebuild", "hello"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("assay declare"),
        "{}",
        text(&refused.stderr)
    );
    let unknown = assay(&site, &["why", "hello"]);
    assert_eq!(unknown.status.code(), Some(6), "{}", text(&unknown.stderr));
    let bad = assay(&site, &["why", "Not/A/Name"]);
    assert_eq!(bad.status.code(), Some(5), "{}", text(&bad.stderr));
}

#[test]
fn a_secret_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    assay(folder.path(), &["init", "site"]);
    let site = folder.path().join("site");
    for secret in fs::read_dir(site.join("keys")).unwrap() {
        fs::set_permissions(secret.unwrap().path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let status = assay(&site, &["status"]);
    assert!(
        text(&status.stdout).contains("others may read this secret"),
        "{}",
        text(&status.stdout)
    );
}

#[test]
fn every_verb_has_help_with_an_example() {
    fn check(command: &clap::Command, path: &str) {
        for verb in command.get_subcommands() {
            let path = format!("{path} {}", verb.get_name());
            let help = verb.clone().render_long_help().to_string();
            let (_, examples) = help
                .split_once("Example:")
                .unwrap_or_else(|| panic!("{path} has no example"));
            assert!(
                examples.contains(&path),
                "{path} has an example of something else:{examples}"
            );
            check(verb, &path);
        }
    }
    check(&assay::cli::command(), "assay");
}

/// One that needs a key, a file or a source that is not there says what to do.
#[test]
fn what_is_missing_is_said_with_a_next_step() {
    let folder = tempfile::tempdir().unwrap();
    assay(folder.path(), &["init", "site"]);
    let site = folder.path().join("site");
    let said = |args: &[&str], code: &str, next: &str| {
        let output = assay(&site, args);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(
            said.contains(code) && said.contains("next: ") && said.contains(next),
            "{args:?}: {said}"
        );
    };
    said(&["why", "--store", "file:///nowhere", "hello"], "E-", "");
    said(&["snapshot", "show", "debian@2026010101"], "E-", "");
    fs::rename(site.join("keys"), site.join("away")).unwrap();
    said(&["publish", "custom"], "E-HOST-001", "assay key list");
    said(&["manifest", "diff", "no", "nor"], "E-HOST-001", "is not there");
}

#[test]
fn man_pages_and_completions_come_from_the_same_definitions() {
    let folder = tempfile::tempdir().unwrap();
    let made = assay(folder.path(), &["generate", "man", "man"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    for page in ["assay.1", "assay-mirror.1", "assay-env-lock.1"] {
        let page = fs::read_to_string(folder.path().join("man").join(page)).unwrap();
        assert!(page.contains(".TH"));
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = assay(folder.path(), &["generate", "completions", shell]);
        assert!(text(&script.stdout).contains("rebuild"));
    }
}
