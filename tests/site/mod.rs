//! Tests of `site`: what people write, and what is refused in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use assay::domain::{ArchiveName, Coded, Kind, PolicyName};
use assay::site::{ArchiveConfig, Site, SiteError};
use assay::verify::Anchors;

const MIRROR: &str = include_str!("../../repos/debian.toml");
const CUSTOM: &str = include_str!("../../repos/custom.toml");
const POLICY: &str = include_str!("../../policies/default.toml");

/// A copy of this project's own site with one file changed.
fn site_with(path: &str, change: impl Fn(&str) -> String) -> Result<Site, SiteError> {
    let copy = copy();
    let text = fs::read_to_string(copy.path().join(path)).unwrap();
    fs::write(copy.path().join(path), change(&text)).unwrap();
    Site::load(copy.path())
}

fn copy() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = tempfile::tempdir().unwrap();
    for folder in ["repos", "policies/keys"] {
        fs::create_dir_all(copy.path().join(folder)).unwrap();
    }
    for file in [
        "assay.toml",
        "repos/debian.toml",
        "repos/custom.toml",
        "policies/default.toml",
    ] {
        fs::copy(root.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// Whoever can write where a link leads has a say that no commit shows.
#[test]
fn a_link_among_what_git_keeps_is_refused_by_every_verb() {
    let (copy, outside) = (copy(), tempfile::tempdir().unwrap());
    let root = copy.path();
    fs::create_dir(root.join("repos/custom")).unwrap();
    fs::write(root.join("ring.gpg"), "").unwrap();
    let debian = MIRROR.replace("/usr/share/keyrings/debian-archive-keyring.gpg", "rings/ring.gpg");
    assert_ne!(debian, MIRROR);
    let refused = |name: &str| {
        let error = Site::load(root).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("E-SITE-009", Kind::Usage), "{error}");
        assert!(
            error.to_string().contains(&format!("`{name}` is a symbolic link")),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("commit it"), "{error}");
    };
    // Files that are there, moved away; one of the site's own, too, since a commit has no more of it than where it leads.
    for name in [
        "assay.toml",
        "repos/custom.toml",
        "policies/default.toml",
        "policies/keys",
        "repos",
    ] {
        for away in [outside.path().join("away"), root.join("away")] {
            fs::rename(root.join(name), &away).unwrap();
            symlink(&away, root.join(name)).unwrap();
            refused(name);
            fs::remove_file(root.join(name)).unwrap();
            fs::rename(&away, root.join(name)).unwrap();
        }
    }
    // Files that are new; where they lead is nothing's business.
    for name in [
        "repos/custom/evil.toml",
        "repos/custom/evil.lock",
        "policies/keys/x.pub",
        "assay.lock",
        "assay.checkpoint",
    ] {
        symlink("/nonexistent", root.join(name)).unwrap();
        refused(name);
        fs::remove_file(root.join(name)).unwrap();
    }
    fs::create_dir(root.join("rings")).unwrap();
    symlink("../ring.gpg", root.join("rings/ring.gpg")).unwrap();
    fs::write(root.join("repos/debian.toml"), debian).unwrap();
    refused("rings/ring.gpg");

    // What an editor leaves beside a file that is being edited is nobody's policy; the store and the cache may be elsewhere.
    fs::write(root.join("repos/debian.toml"), MIRROR).unwrap();
    symlink("dana@laptop.4711", root.join("policies/.#default.toml")).unwrap();
    symlink(outside.path(), root.join("store")).unwrap();
    symlink(outside.path(), root.join("cache")).unwrap();
    Site::load(root).unwrap();
    symlink(root, outside.path().join("site")).unwrap();
    Site::load(&outside.path().join("site")).unwrap();
}

#[test]
fn the_projects_own_site_loads_with_its_keys() {
    let site = Site::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let name = |text: &str| ArchiveName::new(text).unwrap();
    assert!(matches!(
        site.archive(&name("debian")).unwrap(),
        ArchiveConfig::Mirror(_)
    ));
    assert!(matches!(
        site.archive(&name("custom")).unwrap(),
        ArchiveConfig::Custom(_)
    ));
    assert_eq!(site.policy(&PolicyName::new("default").unwrap()).unwrap().quorum, 2);
    // Its public keys are what the configuration names, and Debian's keyring has the signers.
    Anchors::from_site(&site).unwrap();
}

#[test]
fn the_example_of_a_security_mirror_names_keys_that_debian_has() {
    let example = include_str!("../../docs/examples/debian-security.toml");
    let site = site_with("repos/debian.toml", |_| example.to_owned()).unwrap();
    let mirror = site.mirror(&ArchiveName::new("debian").unwrap()).unwrap();
    assert_eq!(mirror.label, "Debian-Security");
    let keyring = site.upstream_keyring(mirror).unwrap();
    assert_eq!(keyring.fingerprints(), mirror.signers);
    for status in keyring.status(assay::host::Clock::System.now()) {
        let said = status.user_ids.concat();
        let release = said.split(['(', ')']).nth(1).unwrap();
        assert!(said.contains("Debian Security Archive Automatic Signing Key"), "{said}");
        assert!(example.contains(&format!(
            "\"{}\", # Debian Security Archive Automatic Signing Key ({release})",
            status.fingerprint
        )));
    }
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let error = site_with("repos/debian.toml", |text| text.replace("valid-days", "valid-dayz")).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("E-SITE-002", Kind::Usage));
    let line = MIRROR.lines().position(|line| line.starts_with("valid-days")).unwrap() + 1;
    assert!(error.to_string().contains(&format!("line {line}")), "{error}");
    assert!(error.to_string().contains("valid-dayz"), "{error}");
}

#[test]
fn a_custom_archive_cannot_call_itself_debian() {
    let error = site_with("repos/custom.toml", |text| text.replace("\"Assay\"", "\"debian\"")).unwrap_err();
    assert_eq!(error.code(), "E-SITE-006");
}

#[test]
fn what_a_release_file_says_must_mean_something() {
    for (from, to, word) in [
        (
            "name = \"stable\"",
            "name = \"stable\"\nbut-automatic-upgrades = true",
            "not-automatic",
        ),
        (
            "contents = true",
            "contents = true\nchangelogs = \"https://example.org/\"",
            "@CHANGEPATH@",
        ),
    ] {
        let error = site_with("repos/custom.toml", |text| text.replace(from, to)).unwrap_err();
        assert!(
            error.code() == "E-SITE-006" && error.to_string().contains(word),
            "{error}"
        );
    }
}

#[test]
fn no_site_makes_a_package_indispensable() {
    let with = |priority: &str| {
        site_with("repos/custom.toml", |text| {
            format!("{text}\n[override.hello]\nsection = \"games\"\npriority = \"{priority}\"\n")
        })
    };
    with("standard").unwrap();
    let error = with("required").unwrap_err();
    assert!(error.to_string().contains("required"), "{error}");
}

#[test]
fn a_suite_within_another_is_refused_when_the_site_is_read() {
    let suites = |list: &str| {
        let list = format!("suites = {list}");
        site_with("repos/debian.toml", |text| {
            text.replace(r#"suites = ["bookworm"]"#, &list)
        })
    };
    let error = suites(r#"["buster/updates", "buster"]"#).unwrap_err();
    assert_eq!(error.code(), "E-SITE-006");
    assert!(error.to_string().contains("make two archives"), "{error}");
    suites(r#"["buster/updates", "buster-backports"]"#).unwrap();
    let error = suites(r#"["bookworm/2026112702"]"#).unwrap_err();
    assert_eq!(error.code(), "E-SITE-006");
    assert!(error.to_string().contains("like a serial"), "{error}");
}

#[test]
fn a_mirror_that_would_verify_nothing_is_refused() {
    let without_signers = |text: &str| {
        let (before, rest) = text.split_once("signers = [").unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        format!("{before}signers = []{after}")
    };
    assert_eq!(
        site_with("repos/debian.toml", without_signers).unwrap_err().code(),
        "E-SITE-006"
    );
    let threshold = |text: &str| text.replace("threshold = 1", "threshold = 0");
    assert_eq!(
        site_with("repos/debian.toml", threshold).unwrap_err().code(),
        "E-SITE-006"
    );
    let short = |text: &str| text.replace("B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", "350947F8");
    let error = site_with("repos/debian.toml", short).unwrap_err();
    assert!(error.to_string().contains("short key ids"), "{error}");
}

#[test]
fn what_a_mirror_may_be_led_to_and_how_old_it_may_get_is_checked() {
    let with = |line: &str| site_with("repos/debian.toml", |text| format!("{line}\n{text}"));
    assert!(with("allowed-hosts = [\"cdn.example.org\", \"10.0.0.1:8080\"]\nmax-age-days = 30").is_ok());
    for bad in [
        "allowed-hosts = [\"http://cdn.example.org/\"]",
        "allowed-hosts = [\"*\"]",
        "max-age-days = 0",
        "max-age-days = -1",
    ] {
        let error = with(bad).unwrap_err();
        assert_eq!(error.code(), "E-SITE-002", "{bad}: {error}");
        assert!(error.to_string().contains("line 1,"), "{bad}: {error}");
    }
}

#[test]
fn only_an_archive_of_the_site_is_at_the_root() {
    let root = |name: &str| site_with("assay.toml", |text| format!("root = \"{name}\"\n{text}"));
    assert!(root("custom").is_ok());
    let nothing = root("nothing").unwrap_err();
    assert_eq!(nothing.code(), "E-SITE-002");
    assert!(nothing.to_string().contains("assay.toml`: `root`: "), "{nothing}");
    assert_eq!(root("pool").unwrap_err().code(), "E-SITE-002");
}

/// What somebody does first who mirrors something else.
#[test]
fn an_archive_that_another_file_still_names_is_refused_with_that_file() {
    let site = copy();
    fs::rename(
        site.path().join("repos/debian.toml"),
        site.path().join("repos/other.toml"),
    )
    .unwrap();
    let error = Site::load(site.path()).unwrap_err().to_string();
    for part in ["`repos/custom.toml`", "[[environment]]", "no archive `debian`", "other"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_public_url_that_was_edited_is_checked() {
    let edited = |url: &str| {
        site_with("assay.toml", |text| {
            let line = text.lines().find(|line| line.starts_with("public-url")).unwrap();
            text.replace(line, &format!("public-url = {url:?}"))
        })
    };
    assert!(edited("https://deb.example.org/a").is_ok());
    for bad in [
        "deb.example.org",
        "http://x/\nSigned-By: y",
        "http://x/?q",
        "javascript:alert(1)",
        "",
    ] {
        let error = edited(bad).unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-SITE-002", Kind::Usage),
            "{bad}: {error}"
        );
        assert!(error.to_string().contains("public-url"), "{bad}: {error}");
    }
}

#[test]
fn a_policy_that_does_not_exist_is_named() {
    assert!(CUSTOM.contains("policy = \"default\""));
    let error = site_with("repos/custom.toml", |text| {
        text.replace("policy = \"default\"", "policy = \"lax\"")
    })
    .unwrap_err();
    assert!(error.to_string().contains("policies/lax.toml"), "{error}");
}

#[test]
fn a_quorum_cannot_be_left_out() {
    let error = site_with("policies/default.toml", |text| text.replace("quorum = 2", "")).unwrap_err();
    assert!(error.to_string().contains("quorum"), "{error}");
}

#[test]
fn a_quorum_or_threshold_of_nobody_is_refused_with_its_line() {
    let group = "\n[[group]]\nname = \"g\"\noperators = [\"alice\"]\nthreshold = 0\n";
    for (field, text) in [
        ("quorum", POLICY.replace("quorum = 2", "quorum = 0")),
        ("threshold", format!("{POLICY}{group}")),
    ] {
        let line = text.lines().position(|line| line.starts_with(field)).unwrap() + 1;
        let error = site_with("policies/default.toml", |_| text.clone()).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("E-SITE-002", Kind::Usage), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("policies/default.toml") && said.contains(&format!("line {line},")),
            "{said}"
        );
        assert!(said.contains("anything would be admitted"), "{said}");
    }
}

#[test]
fn a_key_file_with_another_key_is_refused() {
    let site = Site::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let other = assay::trust::Ed25519Key::generate().public().fingerprint();
    assert!(site.ed25519_key(&other).is_err());
    let anchors = Anchors::from_site(&site).unwrap();
    assert_eq!(anchors.gate.fingerprint(), site.config().gate);
}

#[test]
fn a_flat_repository_is_one_suite_with_one_component() {
    let flat = |folder: &str| format!("flat = \"{folder}\"\nuri = \"http://upstream.example/\"\n{MIRROR}");
    assert!(site_with("repos/debian.toml", |_| flat("./")).is_ok());
    assert!(site_with("repos/debian.toml", |_| flat("deb/x/")).is_ok());
    for bad in ["", "/", "deb", "../", "deb/../x/", ".//"] {
        let error = site_with("repos/debian.toml", |_| flat(bad)).unwrap_err();
        assert_eq!(error.code(), "E-SITE-002", "{bad}: {error}");
    }
    let two = flat("./").replace("components = [\"main\"]", "components = [\"main\", \"contrib\"]");
    let error = site_with("repos/debian.toml", |_| two.clone()).unwrap_err();
    assert_eq!(error.code(), "E-SITE-006");
}

#[test]
fn one_key_is_one_builder_and_one_signer() {
    let builder = |id: &str, operator: &str, key: &str| {
        format!("\n[[builder]]\nid = \"{id}\"\noperator = \"{operator}\"\nhosting = \"{id}\"\npublic-key = \"{key}\"\n")
    };
    let signer = |name: &str, source: &str| {
        let key = "0123456789ABCDEF0123456789ABCDEF01234567";
        format!(
            "\n[[signer]]\nname = \"{name}\"\nscheme = \"openpgp\"\nfingerprint = \"{key}\"\nsources = [\"{source}\"]\n"
        )
    };
    let key = |name: &str| crate::admission::scenario::secret_key(name).public().hex();
    let (one, other) = (key("b1"), key("b2"));
    let with = |more: String| site_with("policies/default.toml", move |text| format!("{text}{more}"));
    with(builder("a/1", "alice", &one) + &builder("b/1", "bob", &other)).unwrap();
    with(signer("Alice", "hello") + &signer("Alice", "other")).unwrap();
    let refused = [
        (
            builder("a/1", "alice", &one) + &builder("b/1", "bob", &one),
            "`a/1` and `b/1` have the same public-key",
        ),
        (
            builder("a/1", "alice", &one) + &builder("a/1", "bob", &other),
            "two builders have the id `a/1`",
        ),
        (
            signer("Alice", "hello") + &signer("Bob", "hello"),
            "`Alice` and `Bob` have the same fingerprint",
        ),
    ];
    for (more, why) in refused {
        let error = with(more).unwrap_err();
        assert_eq!(error.code(), "E-SITE-002", "{error}");
        assert!(
            error.to_string().contains(why) && error.to_string().contains("line "),
            "{error}"
        );
    }
}

/// A quorum counts operators, and whoever is spelled in two ways would be two.
#[test]
fn one_operator_is_spelled_in_one_way() {
    let key = |name: &str| crate::admission::scenario::secret_key(name).public().hex();
    let builder = |id: &str, operator: &str, hosting: &str| {
        let key = key(id);
        format!(
            "\n[[builder]]\nid = \"{id}\"\noperator = \"{operator}\"\nhosting = \"{hosting}\"\npublic-key = \"{key}\"\n"
        )
    };
    let signer = |name: &str, key: &str| {
        let key = key.repeat(40);
        format!("\n[[signer]]\nname = \"{name}\"\nscheme = \"openpgp\"\nfingerprint = \"{key}\"\n")
    };
    let with = |more: &str| {
        let more = more.to_owned();
        site_with("policies/default.toml", move |text| format!("{text}{more}"))
    };
    let first = builder("a/1", "alice", "home");
    let good = first.clone() + &builder("a/2", "alice", "home") + &builder("b/1", "bob", "dc 1-12");
    with(&(good + &builder("c/1", "carol", "dc 11-2") + &signer("Dana", "A") + &signer("Dan", "B"))).unwrap();
    let other = |operator: &str, hosting: &str| first.clone() + &builder("b/1", operator, hosting);
    // Each with the line of what was added that is wrong, counted from its beginning.
    for (more, line, why) in [
        (
            other("Alice", "there"),
            7,
            "the operator `Alice` of the builder `b/1` is that of `a/1`",
        ),
        (other("al-ice", "there"), 7, "in another spelling"),
        (other("\u{430}lice", "there"), 7, "in another spelling"),
        (other("bob", "Home"), 7, "the hosting `Home`"),
        (other("alice ", "there"), 9, "`alice ` is no name"),
        (other("alice\u{200b}", "there"), 9, "is no name"),
        (other("", "there"), 9, "is no name"),
        (other("bob", " home"), 10, "is no name"),
        (
            signer("Dana", "A") + &signer("dana", "B"),
            6,
            "the signer `dana` is `Dana` in another spelling",
        ),
        (signer("Dana", "A") + &signer("Dana ", "B"), 7, "`Dana ` is no name"),
    ] {
        let before = std::cell::Cell::new(0);
        let error = site_with("policies/default.toml", |text| {
            before.set(text.lines().count());
            format!("{text}{more}")
        });
        let error = error.unwrap_err();
        assert_eq!(error.code(), "E-SITE-002", "{error}");
        let line = format!("line {},", before.get() + line + 1);
        assert!(
            error.to_string().contains(why) && error.to_string().contains(&line),
            "{line}: {error}"
        );
    }
}
