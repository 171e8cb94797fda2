//! Declarations that do not say what their place does: a file by another name, a tag that was moved.

use std::fs;
use std::process::Command;

use super::small::{Small, said};
use super::text;

/// `git` in the source's own repository, with the key that signs its tags.
fn git(small: &Small, args: &[&str]) {
    let ran = Command::new("git")
        .args(["-c", "gpg.format=ssh", "-c", "user.signingKey=../signer"])
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
        .args(args)
        .current_dir(small.path("../tiny"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{args:?}: {}", said(&ran));
}

#[test]
fn a_declaration_by_another_name_and_a_moved_tag_are_seen_by_every_verb() {
    let small = Small::new();
    let asked = small.made.run(&["stale", "--git"]);
    assert_eq!(asked.status.code(), Some(0), "{}", said(&asked));
    let moved_tags = "not asked: whether tags were moved; `--git` asks each repository";
    assert!(!said(&asked).contains(moved_tags), "{}", said(&asked));
    let offline = small.made.run(&["stale"]);
    assert!(text(&offline.stderr).contains(moved_tags), "{}", said(&offline));

    let (own, other) = (
        small.path("repos/custom/tiny.toml"),
        small.path("repos/custom/hello.toml"),
    );
    fs::copy(&own, &other).unwrap();
    fs::copy(
        small.path("repos/custom/tiny.lock"),
        small.path("repos/custom/hello.lock"),
    )
    .unwrap();
    for verb in [
        &["admit", "hello"][..],
        &["rebuild", "hello", "--plan"],
        &["source", "verify", "hello"],
        &["env", "lock", "hello"],
        &["unreproduced"],
        &["stale"],
        &["lock"],
        &["gc", "--dry-run"],
        &["prepare", "--checkout", ".", "--allow-dirty"],
    ] {
        let refused = small.made.run(verb);
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{verb:?}: {said}");
        for word in ["E-SRC-015", "hello.toml", "`tiny`", "next: remove the file"] {
            assert!(said.contains(word), "{verb:?}: {word} is not in {said}");
        }
    }
    let verified = small.made.run(&["verify"]);
    assert_eq!(verified.status.code(), Some(3), "{}", said(&verified));
    let found = text(&verified.stdout);
    assert!(
        found.contains("V-SOURCE repos/custom") && found.contains("hello.toml"),
        "{found}"
    );
    fs::remove_file(other).unwrap();
    fs::remove_file(small.path("repos/custom/hello.lock")).unwrap();

    // Who was asked is waited for, whatever day an image build exports.
    small.prints(&["rebuild", "tiny", "--plan", "--issue"]);
    let late = small
        .made
        .command(&["admit", "tiny"])
        .env("SOURCE_DATE_EPOCH", "4102444800")
        .output()
        .unwrap();
    assert!(
        late.status.code() == Some(1) && said(&late).contains("has not answered the nonce"),
        "{}",
        said(&late)
    );

    // The repository moved: the declaration stays what it was, to the byte, and with it all that was built and decided.
    let declared = fs::read(&own).unwrap();
    let (before, after) = (small.path("../tiny"), small.path("../moved"));
    fs::rename(&before, &after).unwrap();
    let check = ["source", "verify", "tiny"];
    let lost = small.made.run(&check);
    assert!(
        text(&lost.stderr).contains("say under `[moved-git]`"),
        "{}",
        said(&lost)
    );
    let again = small.made.run(&["declare", "../moved", "--ref", "refs/tags/v1.0"]);
    assert!(
        again.status.success() && text(&again.stderr).contains("[moved-git]"),
        "{}",
        said(&again)
    );
    assert_eq!(fs::read(&own).unwrap(), declared);
    let lines: Vec<String> = text(&again.stderr).lines().map(str::trim).map(str::to_owned).collect();
    let at = lines.iter().position(|line| line == "[moved-git]").unwrap();
    let config = fs::read_to_string(small.path("assay.toml")).unwrap();
    fs::write(
        small.path("assay.toml"),
        format!("{config}\n{}\n{}\n", lines[at], lines[at + 1]),
    )
    .unwrap();
    for verb in [&check[..], &["stale", "--git"]] {
        let found = small.made.run(verb);
        assert_eq!(found.status.code(), Some(0), "{verb:?}: {}", said(&found));
    }
    // Another repository in its place is found out as ever: what counts is in the objects.
    fs::write(small.path("assay.toml"), config).unwrap();
    fs::rename(after, before).unwrap();

    // Another tag of the same name, by the same signer, at the same commit: it is another object.
    let prepare = ["prepare", "--checkout", "."];
    git(&small, &["tag", "--sign", "--force", "--message", "moved", "v1.0"]);
    let stale = small.made.run(&["stale", "--git"]);
    assert_eq!(stale.status.code(), Some(3), "{}", said(&stale));
    let moved = "the tag `refs/tags/v1.0` was moved";
    assert!(text(&stale.stdout).contains(moved), "{}", said(&stale));
    let refused = small.made.run(&prepare);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(refused.stdout.is_empty(), "nothing to build from is printed");
    for word in ["E-PREP-010", moved, "assay source verify tiny"] {
        assert!(text(&refused.stderr).contains(word), "{}", said(&refused));
    }
    assert_eq!(small.builds().len(), 0, "nothing was built for it");

    git(&small, &["tag", "--delete", "v1.0"]);
    let stale = small.made.run(&["stale", "--git"]);
    assert_eq!(stale.status.code(), Some(6), "{}", said(&stale));
    assert!(
        text(&stale.stdout).contains("is gone from its repository"),
        "{}",
        said(&stale)
    );
    fs::remove_dir_all(small.path("../tiny")).unwrap();
    let stale = small.made.run(&["stale", "--git"]);
    assert_eq!(stale.status.code(), Some(6), "{}", said(&stale));
    assert!(
        text(&stale.stdout).contains("nobody can say whether its tag was moved"),
        "{}",
        said(&stale)
    );
}
