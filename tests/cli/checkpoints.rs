//! `verify --write-checkpoint` and what it is good for, as the program.

use std::fs;

use crate::support::archive::{Archive, noon};
use crate::support::mirrored::Mirrored;

#[test]
fn a_store_that_is_rolled_back_is_told_by_the_sites_own_checkpoint() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    site.follow(&Archive::new(noon()));
    let copy = |from: &str, to: &str| {
        let status = std::process::Command::new("cp")
            .args(["--archive", from, to])
            .current_dir(site.site())
            .status();
        assert!(status.unwrap().success());
    };
    copy("store", "old");
    let next = Archive::new(noon().plus(3600));
    let (now, witness) = (noon().plus(7200), site.run(noon(), &["key", "new", "builder"]));
    site.follow(&next);
    site.run(now, &["verify", "--write-checkpoint", "assay.checkpoint"]);
    let text = fs::read_to_string(site.site().join("assay.checkpoint")).unwrap();
    assert!(text.contains("\"records\":2"), "{text}");
    site.run(now, &["verify"]);

    // A signature that nobody looked at is said to be none.
    let signed = site.site().join("signed.checkpoint");
    site.run(
        now,
        &[
            "verify",
            "--write-checkpoint",
            "signed.checkpoint",
            "--sign",
            witness.trim(),
        ],
    );
    let envelope = fs::read_to_string(&signed).unwrap();
    let at = envelope.find("\"sig\":\"").unwrap() + 7;
    fs::write(
        &signed,
        format!("{}{}{}", &envelope[..at], "A".repeat(86), &envelope[at + 86..]),
    )
    .unwrap();
    let unchecked = site.output(now, &["verify", "--checkpoint", "signed.checkpoint"]);
    let said = String::from_utf8_lossy(&unchecked.stderr);
    assert!(
        unchecked.status.success()
            && said.contains("nobody's signature on signed.checkpoint was checked (1 are on it)"),
        "{said}"
    );
    assert!(said.contains("assay.toml has no [witnesses]"), "{said}");

    // A store with fewer snapshots, each of them good.
    let output = site.output(now, &["verify", "old"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("V-CHECKPOINT state/foundry/2.json: the archive was rolled back"),
        "{said}"
    );
    let refused = ["verify", "old", "--write-checkpoint", "assay.checkpoint"];
    assert_eq!(site.output(now, &refused).status.code(), Some(3));
    assert_eq!(fs::read_to_string(site.site().join("assay.checkpoint")).unwrap(), text);

    // Somebody else's counts when a witness of the site signed it.
    let key = witness.trim();
    let config = site.site().join("assay.toml");
    let told = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        format!("{told}\n[witnesses]\nthreshold = 1\nkeys = [\"{key}\"]\n"),
    )
    .unwrap();
    assert_eq!(site.output(now, &["verify"]).status.code(), Some(3));
    site.run(now, &["verify", "--checkpoint", "assay.checkpoint", "--sign", key]);
    site.run(now, &["verify"]);
}
