//! An image's checkout: each row of the table that says what it may be built from, and its serial files.

use std::os::unix::fs::symlink;
use std::path::Path;

use assay::domain::{Coded as _, Kind, suite_of_branch};
use assay::site::{BranchPolicy, Site};
use assay::source::SourceError;
use assay::source::checkout::{Checkout, Frozen, Origin, Resolved, SerialChange, change_serials, read_serials};

use super::maker::Maker;

const SERIALS: &str = "config/APT_snapshots.d";
const NUMERIC: &str = "2026112201";
const ARCHIVES: [&str; 3] = ["debian", "debian-security", "torproject"];

/// The rules that the program ships: this project's own site has no others.
fn policy() -> BranchPolicy {
    Site::load(Path::new(env!("CARGO_MANIFEST_DIR")))
        .unwrap()
        .branch_policy()
        .unwrap()
}

/// A checkout as Tails has it.
struct Tails(Maker);

impl Tails {
    /// On a branch that is based on `base`; the changelog's last versions are 0.11 and 0.10, of which
    /// 0.10 was released; frozen as that base wants it.
    fn on(branch: &str, base: &str) -> Self {
        let tails = Self(Maker::new());
        tails.0.write("config/APT_overlays.d/.placeholder", "");
        tails.0.write(&format!("{SERIALS}/.placeholder"), "");
        tails.0.write("config/base_branch", &format!("{base}\n"));
        tails.serials(if base == "devel" { "latest" } else { NUMERIC }, "latest");
        tails.changelog(&["0.11", "0.10"]);
        tails.0.commit("all");
        tails.0.git(&["tag", "0.10"]);
        tails.0.git(&["checkout", "-q", "-b", branch]);
        tails.0.write("more", "");
        tails.0.commit("more");
        tails
    }

    /// Released: 0.11 has a signed tag, and HEAD is on it.
    fn released(base: &str) -> Self {
        let tails = Self::on(base, base);
        tails.0.tag("0.11");
        tails.0.git(&["checkout", "-q", "0.11"]);
        tails
    }

    fn serials(&self, most: &str, security: &str) {
        for archive in ARCHIVES {
            let serial = if archive == "debian-security" { security } else { most };
            self.0
                .write(&format!("{SERIALS}/{archive}/serial"), &format!("{serial}\n"));
        }
    }

    fn changelog(&self, versions: &[&str]) {
        let entry = |version: &&str| {
            format!(
                "tails ({version}) unstable; urgency=medium\n\n  * Made.\n\n -- T <t@example.org>  Tue, 14 Nov 2023 20:13:20 +0000\n"
            )
        };
        let entries: Vec<String> = versions.iter().map(entry).collect();
        self.0.write("debian/changelog", &entries.join("\n"));
    }

    fn overlay(&self, name: &str) {
        self.0.write(&format!("config/APT_overlays.d/{name}"), "");
    }

    fn resolve(&self) -> Result<Resolved, SourceError> {
        self.resolve_with(&policy())
    }

    fn resolve_with(&self, policy: &BranchPolicy) -> Result<Resolved, SourceError> {
        Checkout::read(&self.0.git, Path::new(SERIALS), &self.0.path("cache"))?.resolve(policy)
    }

    /// The custom suites, and where each archive comes from.
    #[track_caller]
    fn gives(&self, suites: &[&str], origins: [&str; 3]) {
        let resolved = self.resolve().unwrap();
        let found: Vec<&str> = resolved.custom.iter().map(|suite| suite.as_str()).collect();
        assert_eq!(found, suites);
        let found: Vec<(String, String)> = resolved
            .archives
            .iter()
            .map(|(archive, origin)| {
                let origin = match origin {
                    Origin::TimeBased(Frozen::Latest) => "latest".to_owned(),
                    Origin::TimeBased(Frozen::At(serial)) => serial.to_string(),
                    Origin::Tagged(tag) => format!("tag {tag}"),
                };
                (archive.to_string(), origin)
            })
            .collect();
        let expected = ARCHIVES
            .iter()
            .zip(origins)
            .map(|(a, o)| ((*a).to_owned(), o.to_owned()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    /// It may not be built, by this rule; the error says what is wrong and what mends it.
    #[track_caller]
    fn refused(&self, rule: &str, why: &str, fix: &str) {
        let error = self.resolve().unwrap_err();
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        assert_eq!((error.code(), error.kind()), ("E-SRC-012", Kind::Refused), "{text}");
        assert!(text.contains(&format!("`{rule}`")) && text.contains(why), "{text}");
        assert!(hint.contains(fix), "{hint}");
    }
}

#[test]
fn row_1_a_frozen_base_that_is_not_released() {
    for base in ["stable", "testing"] {
        for branch in [base, "feature/icedove"] {
            let tails = Tails::on(branch, base);
            tails.gives(&[base], [NUMERIC, "latest", NUMERIC]);
            tails.overlay("feature-foo");
            tails.overlay("bugfix-bar-3.x");
            tails.gives(&[base, "bugfix-bar-3.x", "feature-foo"], [NUMERIC, "latest", NUMERIC]);
            tails.serials("latest", "latest");
            tails.refused("frozen", "`debian` is `latest`", "assay freeze");
            tails.serials(NUMERIC, NUMERIC);
            tails.refused("not-frozen", "`debian-security` is 2026112201", "assay thaw");
        }
    }
}

#[test]
fn row_2_a_release_that_is_checked_out() {
    for base in ["stable", "testing"] {
        let tails = Tails::released(base);
        tails.gives(&["0.11"], ["tag 0.11"; 3]);
        tails.serials("latest", "latest");
        tails.refused("frozen", "`debian` is `latest`", "assay freeze");
        tails.serials(NUMERIC, NUMERIC);
        tails.refused("not-frozen", "`debian-security` is 2026112201", "assay thaw");
        tails.serials(NUMERIC, "latest");
        tails.overlay("feature-foo");
        tails.refused("released-without-overlays", "has `feature-foo`", "merge the overlays");
    }
}

#[test]
fn row_2_a_release_candidate_has_a_dash_for_its_tilde() {
    let tails = Tails::on("testing", "testing");
    tails.changelog(&["0.12~rc1", "0.10"]);
    tails.0.commit("a candidate");
    tails.0.git(&["tag", "0.12-rc1"]);
    tails.0.git(&["checkout", "-q", "0.12-rc1"]);
    tails.gives(&["0.12-rc1"], ["tag 0.12-rc1"; 3]);
}

#[test]
fn row_3_a_release_that_is_not_checked_out() {
    for base in ["stable", "testing"] {
        let tails = Tails::released(base);
        tails.0.git(&["checkout", "-q", base]);
        tails.0.write("after", "");
        tails.0.commit("after the release");
        tails.gives(&["0.11"], [NUMERIC, "latest", NUMERIC]);
        tails.serials("latest", "latest");
        tails.refused("frozen", "`debian` is `latest`", "assay freeze");
        tails.serials(NUMERIC, NUMERIC);
        tails.refused("not-frozen", "`debian-security` is 2026112201", "assay thaw");
        tails.serials(NUMERIC, "latest");
        tails.overlay("feature-foo");
        tails.refused("released-without-overlays", "has `feature-foo`", "merge the overlays");
    }
}

#[test]
fn row_4_stable_after_two_versions_that_were_never_released() {
    let tails = Tails::on("stable", "stable");
    tails.changelog(&["0.13", "0.12"]);
    tails.refused("previous-released", "0.13 has no tag, nor has 0.12", "git fetch --tags");
    tails.changelog(&["0.13"]);
    tails.refused("previous-released", "0.13 has no tag", "git fetch --tags");
    let testing = Tails::on("testing", "testing");
    testing.changelog(&["0.13", "0.12"]);
    testing.gives(&["testing"], [NUMERIC, "latest", NUMERIC]);
}

#[test]
fn row_5_devel_is_never_frozen() {
    for branch in ["devel", "feature/icedove"] {
        let tails = Tails::on(branch, "devel");
        tails.gives(&["devel"], ["latest"; 3]);
        tails.overlay("feature-icedove");
        tails.gives(&["devel", "feature-icedove"], ["latest"; 3]);
        tails.serials("latest", NUMERIC);
        tails.refused("not-frozen", "`debian-security` is 2026112201", "assay thaw");
        tails.serials(NUMERIC, "latest");
        tails.refused("not-frozen", "`debian` is 2026112201", "--archive debian");
    }
}

#[test]
fn row_6_a_checkout_that_does_not_say_what_it_is() {
    let tails = Tails::on("stable", "stable");
    for (text, why) in [
        ("", "exactly one line"),
        ("stable\ntesting\n", "exactly one line"),
        ("main\n", "`main` is not a base branch"),
    ] {
        tails.0.write("config/base_branch", text);
        let branch = if text == "main\n" { "feature/x" } else { "stable" };
        tails.0.git(&["checkout", "-q", "-B", branch]);
        tails.refused("base-branch", why, "config/base_branch");
    }
    tails.0.git(&["checkout", "-q", "-B", "stable"]);
    tails.0.write("config/base_branch", "devel\n");
    tails.refused("base-branch", "HEAD is on the base branch `stable`", "write `stable`");
    tails.0.run("rm", &["config/base_branch"]);
    tails.refused("base-branch", "there is no config/base_branch", "one line");
    let tails = Tails::on("stable", "stable");
    tails.0.run("rm", &["-r", "config/APT_overlays.d"]);
    tails.refused("overlays", "there is no config/APT_overlays.d", ".placeholder");
}

#[test]
fn overlays_are_named_as_their_suites_so_that_no_two_branches_meet_in_one() {
    assert_eq!(suite_of_branch("feature/7756_Reintroduce"), "feature-7756-reintroduce");
    let tails = Tails::on("devel", "devel");
    tails.overlay("Feature-Foo");
    tails.refused("overlays", "that branch has the suite `feature-foo`", "rename the file");
}

#[test]
fn a_site_may_have_other_branches() {
    let text = "[[branch]]\nname = \"feature/jessie\"\nserials = \"any\"\nexcept = { torproject = \"latest\" }\nreleased = \"ignored\"\n";
    let policy: BranchPolicy = toml::from_str(text).unwrap();
    let tails = Tails::on("feature/jessie", "feature/jessie");
    assert!(tails.resolve_with(&policy).is_err());
    tails.0.write(&format!("{SERIALS}/torproject/serial"), "latest\n");
    let resolved = tails.resolve_with(&policy).unwrap();
    assert_eq!(resolved.custom[0].as_str(), "feature-jessie");
}

#[test]
fn serial_files_hold_one_serial_and_nothing_else() {
    let tails = Tails::on("stable", "stable");
    for bad in [
        "",
        "latest\nlatest\n",
        "2026112200\n",
        " latest\n",
        "LATEST\n",
        "2026113201\n",
        "latest ",
    ] {
        tails.0.write(&format!("{SERIALS}/debian/serial"), bad);
        tails.refused("serial", "config/APT_snapshots.d/debian/serial", "one line");
    }
    tails.0.run("rm", &[&format!("{SERIALS}/debian/serial")]);
    assert!(tails.resolve().is_err());
}

#[test]
fn nothing_outside_of_the_checkout_is_read_or_written_and_nothing_of_it_is_run() {
    let tails = Tails::on("stable", "stable");
    let outside = tails.0.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("serial"), "latest\n").unwrap();
    tails.0.run("rm", &["-r", &format!("{SERIALS}/debian")]);
    symlink(&outside, tails.0.git.join(SERIALS).join("debian")).unwrap();
    let error = tails.resolve().unwrap_err().to_string();
    assert!(error.contains("debian/serial") && !error.contains("latest"), "{error}");
    std::fs::remove_file(tails.0.git.join(SERIALS).join("debian")).unwrap();
    tails.serials(NUMERIC, "latest");

    // Settings of a repository can name programs. None is started.
    let ran = tails.0.path("ran");
    let program = format!("touch {}", ran.display());
    for setting in [
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "uploadpack.packObjectsHook",
        "core.editor",
        "alias.ls-remote",
    ] {
        tails.0.git(&["config", setting, &program]);
    }
    tails.gives(&["stable"], [NUMERIC, "latest", NUMERIC]);
    assert!(!ran.exists());
}

#[test]
fn serials_are_changed_only_from_what_was_seen() {
    let tails = Tails::on("stable", "stable");
    let tree = Path::new(SERIALS);
    let serials = read_serials(&tails.0.git, tree).unwrap();
    let change = |old: &Frozen, new: &Frozen| SerialChange {
        archive: "debian".parse().unwrap(),
        old: old.clone(),
        new: new.clone(),
    };
    let old = &serials[&"debian".parse().unwrap()];
    change_serials(&tails.0.git, tree, &[change(old, &Frozen::Latest)]).unwrap();
    let path = tails.0.git.join(SERIALS).join("debian/serial");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "latest\n");
    assert!(change_serials(&tails.0.git, tree, &[change(old, &Frozen::Latest)]).is_err());
}
