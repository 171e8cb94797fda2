//! Signed commits, several signers, folders of a repository, and what tools write into tags.

use assay::domain::{Coded as _, GitOid};
use assay::site::SignerScheme;
use assay::source::SourceError;

use super::maker::{Maker, TAGGED, reference, signer};

const MAIN: &str = "refs/heads/main";

fn rule(id: &str, words: &str, error: &SourceError) {
    assert_eq!(error.broken_rule(), Some(id), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_signed_commit_is_declared_like_a_tag() {
    for format in ["sha1", "sha256"] {
        let mut maker = Maker::with_format(format);
        maker.write_native();
        maker.commit_signed("signer", "first");
        let main = reference(MAIN);
        let (declaration, package) = maker.declare(&main).unwrap();
        assert_eq!(declaration.git_tag, None);
        assert_eq!(declaration.git_commit.as_str(), maker.git(&["rev-parse", "HEAD"]));
        let toml = declaration.to_toml().unwrap();
        assert!(
            !toml.contains("git-tag") && toml.contains("ref = \"refs/heads/main\""),
            "{toml}"
        );

        // The branch goes on; what was declared stays in its history.
        maker.at(TAGGED + 60);
        maker.write("later", "not signed\n");
        maker.commit("later");
        assert_eq!(maker.check(&declaration).unwrap(), package);
        rule("S1", "not signed", &maker.declare(&main).unwrap_err());

        // A branch that was set back has lost it, though the cache has not.
        maker.git(&["checkout", "-q", "--orphan", "other"]);
        maker.commit_signed("signer", "another history");
        maker.git(&["branch", "-q", "-f", "main"]);
        rule("S2", "not in its history", &maker.check(&declaration).unwrap_err());
    }
}

#[test]
fn s1_a_commit_is_signed_by_a_signer_over_these_bytes() {
    let maker = Maker::native();
    let main = reference(MAIN);
    rule("S1", "not signed", &maker.verify(&main).unwrap_err());
    let stranger = maker.ssh_key("stranger");
    maker.commit_signed("stranger", "by a stranger");
    rule("S1", &stranger, &maker.verify(&main).unwrap_err());
    maker.commit_signed("signer", "good");
    maker.verify(&main).unwrap();
    let good = maker.git(&["cat-file", "commit", "HEAD"]) + "\n";
    let header = {
        let start = good.find("gpgsig ").unwrap();
        let end = start + good[start..].find("END SSH SIGNATURE-----\n").unwrap() + "END SSH SIGNATURE-----\n".len();
        good[start..end].to_owned()
    };
    for (what, object) in [
        ("another message", good.replace("\ngood", "\nevil")),
        (
            "another date",
            good.replace(
                "committer A <a@example.org> 1700000000",
                "committer A <a@example.org> 1700000001",
            ),
        ),
        ("two signatures", good.replace(&header, &format!("{header}{header}"))),
        ("that of another format", good.replace("gpgsig ", "gpgsig-sha256 ")),
        ("another beside it", good.replace("gpgsig ", "gpgsig-sha256 x\ngpgsig ")),
        (
            "one in the message",
            good.replace(&header, "").replace("\ngood", &format!("\n{header}good")),
        ),
    ] {
        assert_ne!(object, good, "{what}");
        let id = maker.pipe(
            &maker.url(),
            "git",
            &["hash-object", "-t", "commit", "-w", "--stdin"],
            &object,
        );
        maker.git(&["update-ref", MAIN, &id]);
        let error = maker.verify(&main).unwrap_err();
        assert_eq!(error.broken_rule(), Some("S1"), "{what}: {error}");
    }
}

#[test]
fn s1_as_many_people_sign_as_the_policy_asks_for() {
    let mut maker = Maker::native();
    let second = maker.ssh_key("second");
    maker.threshold = 2;
    rule("S1", "1 of 2 people", &maker.declare(&maker.tag("v1.0")).unwrap_err());
    maker.commit_signed("second", "signed by another");
    let tag = maker.tag("v1.0");
    rule("S1", "1 of 2 people", &maker.declare(&tag).unwrap_err());
    // Two keys of one person are one person.
    maker.signers.push(signer(SignerScheme::Ssh, &second));
    rule("S1", "1 of 2 people", &maker.declare(&tag).unwrap_err());
    maker.signers[1].name = "B".to_owned();
    let (declaration, package) = maker.declare(&tag).unwrap();
    assert_eq!(declaration.signers.len(), 2);
    assert_eq!(maker.check(&declaration).unwrap(), package);
    maker.signers[1].sources = vec!["other".parse().unwrap()];
    rule("S1", "1 of 2 people", &maker.declare(&tag).unwrap_err());
    // Who signed beside those that are declared changes nothing.
    maker.threshold = 1;
    let (one, _) = maker.declare(&tag).unwrap();
    maker.signers[1].sources.clear();
    maker.check(&one).unwrap();
}

#[test]
fn a_folder_of_a_repository_is_a_source() {
    let mut maker = Maker::native();
    let (whole, package) = maker.declare(&maker.tag("v1.0")).unwrap();
    maker.run("mkdir", &["-p", "packaging/native"]);
    maker.run("sh", &["-c", "mv debian tool sub link packaging/native/"]);
    maker.write("elsewhere/debian/control", "not ours\n");
    // What lies beside is not looked at.
    maker.write("Elsewhere/x", "a twin\n");
    maker.commit("moved");
    let tag = maker.tag("v1.0");
    rule("S6", "only by case", &maker.declare(&tag).unwrap_err());
    maker.request.subfolder = Some("packaging/native".parse().unwrap());
    let (declaration, same) = maker.declare(&tag).unwrap();
    assert_eq!(same, package);
    assert_eq!(declaration.tree_sha256, whole.tree_sha256);
    assert_ne!(declaration.git_tree, whole.git_tree);
    assert!(
        declaration
            .to_toml()
            .unwrap()
            .contains("subfolder = \"packaging/native\"")
    );
    maker.check(&declaration).unwrap();
    maker.request.subfolder = Some("packaging/nothing".parse().unwrap());
    rule("S6", "no such folder", &maker.declare(&tag).unwrap_err());
    maker.request.subfolder = Some("packaging/native/tool".parse().unwrap());
    rule("S6", "no folder", &maker.declare(&tag).unwrap_err());
    assert!("../x".parse::<assay::domain::SourceFolder>().is_err());

    // A link may not leave the folder, though it stays in the repository.
    std::os::unix::fs::symlink("../../elsewhere/debian/control", maker.git.join("packaging/native/out")).unwrap();
    maker.request.subfolder = Some("packaging/native".parse().unwrap());
    maker.commit("out");
    rule("S6", "outside", &maker.declare(&maker.tag("v1.0")).unwrap_err());
}

#[test]
fn a_tag_of_git_debpush_says_what_is_in_it() {
    let maker = Maker::quilt();
    let upstream = maker.git(&["rev-parse", "upstream/2.0^{commit}"]);
    maker.git(&["tag", "-a", "-m", "theirs", "v2.0", &upstream]);
    let said = |upstream: &str, more: &str| {
        format!(
            "quilted release 2.0-1\n\n[dgit distro=debian split --quilt=gbp]\n\
             [dgit please-upload source=quilted version=2.0-1 upstream-tag=v2.0 upstream={upstream}{more}]\n"
        )
    };
    let tag = maker.tag_saying("debian/2.0-1", &said(&upstream, ""));
    let (declaration, package) = maker.declare(&tag).unwrap();
    assert_eq!(
        declaration.upstream.as_ref().unwrap().tag_ref.as_str(),
        "refs/tags/v2.0"
    );
    assert_eq!(maker.check(&declaration).unwrap(), package);
    for (text, words) in [
        (said(&upstream, " !later"), "must be understood"),
        (said(&GitOid::new("0".repeat(40)).unwrap().to_string(), ""), "upstream="),
        (
            said(&upstream, "").replace("version=2.0-1", "version=2.0-2"),
            "version=2.0-2",
        ),
        (
            said(&upstream, "").replace("source=quilted", "source=other"),
            "source=other",
        ),
    ] {
        let error = maker.declare(&maker.tag_saying("debian/2.0-1", &text)).unwrap_err();
        assert_eq!(error.code(), "E-SRC-013", "{error}");
        rule("S9", words, &error);
    }
}
