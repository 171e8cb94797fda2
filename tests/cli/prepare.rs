//! `assay prepare` on the command line: a site without keys, and a store that is somebody else's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use super::checkout::Built;
use super::text;

/// Prepares the fixture's checkout, in its own site.
fn prepare(built: &Built, more: &[&str]) -> Output {
    built.run(&built.named(&[&["prepare", "--checkout", "CHECKOUT", "--site", "SITE"], more].concat()))
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_site_without_keys_prepares_over_http_and_goes_on_with_its_own_serials() {
    let built = Built::new();
    let (keys, away) = (built.site().join("keys"), built.site().join("away"));
    fs::rename(&keys, &away).unwrap();
    let running = built.serve();
    let url = running.url();
    let own = built.prints(&["sources", "--tails-checkout", "CHECKOUT", "--url", &url]);
    let folder = built.checkout().join("../build").display().to_string();
    let ask = ["--store", &url, "--url", &url, "--build-dir", &folder];
    let first = printed(&prepare(&built, &ask));
    assert_eq!(first, own, "what `sources` says of this checkout");
    let serials = fs::read_to_string(built.checkout().join("../build/serials.json")).unwrap();
    assert!(
        serials.contains(r#""custom":"#) && serials.contains(r#""debian-security":"#),
        "{serials}"
    );

    // The archives move on: this build does not, another one does.
    fs::rename(&away, &keys).unwrap();
    built.snapshot("debian-security", &["trixie"], "5.0");
    built.snapshot("custom", &["feature-foo", "stable"], "9.1");
    fs::rename(&keys, &away).unwrap();
    assert_eq!(printed(&prepare(&built, &ask)), first);
    assert_ne!(printed(&prepare(&built, &["--store", &url, "--url", &url])), first);
    let replayed = [
        "--store",
        &url,
        "--url",
        &url,
        "--from-json",
        &format!("{folder}/serials.json"),
    ];
    assert_eq!(printed(&prepare(&built, &replayed)), first, "another build's serials");
    // Nothing can be changed there.
    let refused = built.run(&["--store", &url, "publish"]);
    assert!(
        !refused.status.success() && text(&refused.stderr).contains("read"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn what_no_commit_has_defines_no_image() {
    let built = Built::new();
    let refused = |args: &[&str], code: i32, words: &[&str]| {
        let output = prepare(&built, args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    let clean = prepare(&built, &[]);
    printed(&clean);
    assert!(text(&clean.stderr).contains("is in no Git repository"), "{clean:?}");

    refused(
        &["--branch", "nosuch"],
        1,
        &["there is no branch `nosuch`", "name one that is there: stable"],
    );
    // The site in Git of its own: what it declares and allows counts as well.
    built.git_site();
    assert_eq!(printed(&prepare(&built, &[])), text(&clean.stdout));
    let policy = built.site().join("policies/default.toml");
    let before = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, before.replace("quorum = 2", "quorum = 1")).unwrap();
    refused(
        &[],
        1,
        &["E-PREP-008", "`policies/default.toml` is changed", "--allow-dirty"],
    );
    let dirty = prepare(&built, &["--allow-dirty"]);
    printed(&dirty);
    assert!(text(&dirty.stderr).contains("WARNING: "), "{dirty:?}");
    fs::write(&policy, before).unwrap();
    let draft = built.site().join("policies/default.toml~");
    fs::write(&draft, "").unwrap();
    printed(&prepare(&built, &[]));

    let serial = built.checkout().join("config/APT_snapshots.d/debian/serial");
    let kept = fs::read_to_string(&serial).unwrap();
    fs::write(&serial, "latest\n").unwrap();
    refused(&[], 1, &["`config/APT_snapshots.d/debian/serial` is changed"]);
    fs::write(&serial, kept).unwrap();
    let overlay = built.checkout().join("config/APT_overlays.d/feature-bar");
    fs::write(&overlay, "").unwrap();
    refused(&[], 1, &["`config/APT_overlays.d/feature-bar` is not committed"]);
    fs::remove_file(&overlay).unwrap();
    fs::remove_file(built.checkout().join("config/APT_overlays.d/feature-foo")).unwrap();
    refused(&[], 1, &["`config/APT_overlays.d/feature-foo` is missing"]);
}

/// A commit has where a link leads, and not what is there.
#[test]
fn a_link_defines_no_image() {
    let built = Built::new();
    let refused_with = |name: &str, exit: i32, words: [&str; 2]| {
        let output = prepare(&built, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let word = format!("`{name}` is a symbolic link");
        for word in words.into_iter().chain([word.as_str()]) {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    // In the site as it lies there, and in its commit alone.
    let refused = |name: &str| refused_with(name, 2, ["E-SITE-009", "in place of the link"]);
    let committed = |name: &str| refused_with(name, 1, ["E-PREP-008", "in place of each link"]);
    let site = built.site();
    let outside = tempfile::tempdir().unwrap();
    let moved = |name: &str| {
        let (place, away) = (site.join(name), outside.path().join(name.replace('/', "-")));
        fs::copy(&place, &away).unwrap();
        fs::remove_file(&place).unwrap();
        symlink(&away, &place).unwrap();
        away
    };
    let back = |name: &str, away: &Path| {
        fs::remove_file(site.join(name)).unwrap();
        fs::copy(away, site.join(name)).unwrap();
        fs::remove_file(away).unwrap();
    };
    built.git_site();
    printed(&prepare(&built, &[]));

    // Not committed: a declaration and a folder.
    let evil = site.join("repos/custom/evil.toml");
    fs::create_dir_all(site.join("repos/custom")).unwrap();
    symlink(outside.path().join("evil.toml"), &evil).unwrap();
    refused("repos/custom/evil.toml");
    fs::remove_file(&evil).unwrap();
    symlink(outside.path(), site.join("policies/more")).unwrap();
    refused("policies/more");
    fs::remove_file(site.join("policies/more")).unwrap();
    // Committed.
    symlink(outside.path().join("evil.toml"), &evil).unwrap();
    built.git_site();
    refused("repos/custom/evil.toml");
    fs::remove_file(&evil).unwrap();
    committed("repos/custom/evil.toml");
    built.git_site();
    for name in ["policies/default.toml", "assay.toml", "repos/debian.toml"] {
        let away = moved(name);
        refused(name);
        built.git_site();
        refused(name);
        if name.starts_with("policies") {
            let policy = fs::read_to_string(&away).unwrap();
            fs::write(&away, policy.replace("quorum = 2", "quorum = 1")).unwrap();
            refused(name);
            fs::write(&away, policy).unwrap();
        }
        back(name, &away);
        // The commit still has a link.
        committed(name);
        built.git_site();
        printed(&prepare(&built, &[]));
    }
}

#[test]
fn a_keyring_beside_the_site_is_committed_too() {
    let built = Built::new();
    let config = built.site().join("repos/debian.toml");
    let before = fs::read_to_string(&config).unwrap();
    let site = assay::site::Site::load(&built.site()).unwrap();
    let keyring = site.keyring(site.mirror(&"debian".parse().unwrap()).unwrap());
    fs::copy(keyring, built.site().join("up.gpg")).unwrap();
    let line = before.lines().find(|line| line.starts_with("keyring")).unwrap();
    fs::write(&config, before.replace(line, "keyring = \"up.gpg\"")).unwrap();
    built.git_site();
    printed(&prepare(&built, &[]));
    let mut bytes = fs::read(built.site().join("up.gpg")).unwrap();
    bytes.push(0);
    fs::write(built.site().join("up.gpg"), bytes).unwrap();
    let output = prepare(&built, &[]);
    let said = text(&output.stderr);
    assert!(
        said.contains("E-PREP-008") && said.contains("`up.gpg` is changed"),
        "{said}"
    );
}

#[test]
fn serials_that_are_none_are_said_with_what_they_look_like() {
    let built = Built::new();
    for content in [None, Some("no json"), Some(r#"{"debian":3}"#)] {
        let path = built.checkout().join("../bad.json");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let output = prepare(&built, &["--from-json", path.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("E-CLI-010") && said.contains("next: give the `serials.json`"),
            "{said}"
        );
    }
}

#[test]
fn serials_of_an_archive_that_the_site_does_not_have_are_refused() {
    let built = Built::new();
    let folder = built.checkout().join("../build").display().to_string();
    printed(&prepare(&built, &["--build-dir", &folder]));
    let path = built.checkout().join("../build/serials.json");
    let serials = fs::read_to_string(&path).unwrap();
    fs::write(&path, serials.replacen('{', r#"{"aaa-nosuch":"2026112701","#, 1)).unwrap();
    let from = ["--from-json", path.to_str().unwrap()];
    for more in [&from[..], &["--build-dir", &folder]] {
        let output = prepare(&built, more);
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
        assert!(
            said.contains("a serial of `aaa-nosuch`") && said.contains("it has `custom`, `debian`"),
            "{said}"
        );
    }
}

/// The chain's own signature covers the newest record; an older one that a serial names has its own.
#[test]
fn a_snapshot_that_its_archive_does_not_vouch_for_is_not_built_from() {
    let built = Built::new();
    let site = assay::site::Site::load(&built.site()).unwrap();
    let store = assay::store::open_store(&site.config().store, site.root(), assay::host::Environment).unwrap();
    let archive = "debian".parse().unwrap();
    let chain = assay::snapshot::Chain::load(store.as_ref(), &archive).unwrap();
    // The serial file names the second of three.
    use assay::snapshot::Entry as _;
    let sha256 = chain.record(store.as_ref(), 2).unwrap().identity().unwrap();
    printed(&prepare(&built, &[]));
    fs::remove_file(built.site().join(format!("store/state/debian/signatures/{sha256}"))).unwrap();
    let output = prepare(&built, &[]);
    assert!(output.stdout.is_empty() && !output.status.success(), "{output:?}");
    assert!(text(&output.stderr).contains("debian"), "{output:?}");
}
