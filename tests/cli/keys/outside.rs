//! Keys that another program has, that end, and that were revoked.

use std::fs;

use assay::domain::Fingerprint;

use super::{Gpg, Keyed, TODAY, gpg, list};
use crate::support::repository::now;

#[test]
fn gpg_signs_beside_a_key_of_our_own() {
    let keyed = Keyed::new();
    let outside = Gpg::new(keyed.start);
    let (first, primary) = (keyed.first(), &outside.primary);
    keyed.outside(&outside);
    let exact = format!("signed-by = [\"{}!\", \"{first}\"]", outside.subkey);
    keyed.sign_by(&first, &format!("further-keys = {}\n{exact}", list(&[primary])));
    keyed.follow(1);
    let follower = keyed.following(&[primary]);
    for client in [&keyed.trusting(&first), &keyed.trusting(primary), &follower] {
        client.update();
    }
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);
    // What is signed is not signed again: neither when it is published again nor when nothing changed.
    for verb in ["publish", "mirror"] {
        let before = fs::read(keyed.dists("InRelease")).unwrap();
        let said = keyed.site.run(keyed.at(2), &[verb, "foundry"]);
        assert!(
            said.contains(" 0 objects written") || said.ends_with(" unchanged\n"),
            "{said}"
        );
        assert_eq!(fs::read(keyed.dists("InRelease")).unwrap(), before);
    }
    keyed.follow(3);
    follower.update();
    // gpg's key alone; clients that follow go by its primary key.
    keyed.sign_by(primary, &format!("signed-by = {}", list(&[primary])));
    keyed.site.run(keyed.at(4), &["snapshot", "renew", "--all"]);
    keyed.follow(5);
    follower.update();
    assert_eq!(follower.versions("alloy"), ["2.5", "1"]);
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);
    let said = keyed.site.run(keyed.at(6), &["key", "list"]);
    assert!(
        said.contains(&format!("{primary} openpgp outside signs=foundry\n")),
        "{said}"
    );

    // A Signed-By that names none who signs would shut clients out: it does not get to them.
    keyed.sign_by(primary, &format!("signed-by = [\"{primary}!\"]"));
    keyed.offer(7);
    let before = fs::read(keyed.dists("InRelease")).unwrap();
    let said = keyed.refused(7, &["mirror", "foundry"], 3);
    assert!(said.contains("E-PUBLISH-010") && said.contains("Signed-By"), "{said}");
    assert_eq!(fs::read(keyed.dists("InRelease")).unwrap(), before);
}

#[test]
fn what_an_outside_signer_gives_back_is_checked_before_anything_moves() {
    let keyed = Keyed::new();
    let [outside, other] = [(); 2].map(|()| Gpg::new(keyed.start));
    keyed.outside(&outside);
    keyed.sign_by(&outside.primary, "");
    keyed.offer(1);
    let signs = |script: &str| {
        let path = keyed.path("signer.sh");
        let [right, wrong] = [&outside, &other].map(|gpg| gpg.command().replace(['[', ']', ','], " "));
        let times = [keyed.at(5), now().plus(86_400)].map(|at| at.unix().to_string());
        let script = script.replace("BEFORE", &times[0]).replace("TOMORROW", &times[1]);
        fs::write(&path, script.replace("RIGHT", &right).replace("WRONG", &wrong)).unwrap();
        keyed.signer(
            &outside,
            &format!("[\"sh\", \"{}\"]", path.display()),
            "timeout-seconds = 2",
        );
    };
    let mirror = ["mirror", "foundry"];
    for (script, exit, code, named) in [
        ("sleep 60 & wait", 5, "E-PUBLISH-012", "did not end within"),
        ("echo no PIN >&2; exit 1", 5, "E-PUBLISH-012", "no PIN"),
        ("echo hello", 3, "E-PUBLISH-013", ""),
        ("true", 3, "E-PUBLISH-013", ""),
        ("cat /dev/zero", 5, "E-PUBLISH-012", ""),
        ("echo other | RIGHT \"$1\"", 3, "E-PUBLISH-013", ""),
        ("WRONG \"$1\"", 3, "E-PUBLISH-013", other.subkey.as_str()),
        ("RIGHT --digest-algo SHA1 \"$1\"", 3, "E-PUBLISH-013", "SHA1"),
        (
            "RIGHT --faked-system-time=BEFORE! --default-sig-expire seconds=60 \"$1\"",
            3,
            "E-PUBLISH-013",
            "expired",
        ),
        (
            "RIGHT --faked-system-time=TOMORROW! \"$1\"",
            3,
            "E-PUBLISH-013",
            "is dated",
        ),
    ] {
        signs(script);
        let said = keyed.refused(2, &mirror, exit);
        assert!(said.contains(code) && said.contains(named), "{script}: {said}");
        assert!(said.contains("nothing was published"), "{said}");
        assert!(
            !keyed.exists("store/state/foundry/1.json") && !keyed.dists("InRelease").exists(),
            "{script}"
        );
    }
    fs::remove_file(keyed.path(&format!("keys/{}.toml", outside.primary))).unwrap();
    keyed.signer(&outside, "[\"no-such-program\"]", "");
    assert!(keyed.refused(2, &mirror, 5).contains("no-such-program"));

    // Right for the record, wrong for the Release: clients see nothing of it, and the next run finishes.
    signs("case $1 in --clearsign) echo other | RIGHT \"$1\" ;; *) RIGHT \"$1\" ;; esac");
    let said = keyed.refused(3, &mirror, 3);
    assert!(
        said.contains("E-PUBLISH-013") && said.contains("another text"),
        "{said}"
    );
    assert!(keyed.exists("store/state/foundry/1.json") && !keyed.dists("InRelease").exists());
    keyed.outside(&outside);
    keyed.site.run(keyed.at(4), &["publish", "foundry"]);
    keyed.trusting(&outside.primary).update();
    assert_eq!(keyed.verify(TODAY).0, Some(0), "{}", keyed.verify(TODAY).1);

    // Two ways to sign are one too many.
    fs::copy(
        keyed.path(&format!("keys/{}.secret", keyed.another())),
        keyed.path(&format!("keys/{}.secret", outside.primary)),
    )
    .unwrap();
    assert!(keyed.refused(5, &mirror, 2).contains("lies beside it"));
}

#[test]
fn a_key_that_ends_says_so_in_time_and_then_signs_nothing() {
    let keyed = Keyed::new();
    let (first, day) = (keyed.first(), 24 * 60);
    let said = keyed.site.run(keyed.start, &["key", "new", "archive", "--for", "40d"]);
    let ending: Fingerprint = said.trim().parse().unwrap();
    keyed.sign_by(&first, &format!("further-keys = {}", list(&[&ending])));
    keyed.follow(1);
    let noted = |minutes| {
        keyed.offer(minutes);
        let output = keyed.site.output(keyed.at(minutes), &["mirror", "foundry"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let end = keyed.start.plus_days(40);
    assert!(!noted(2).contains("ends at"));
    let soon = noted(15 * day);
    assert!(
        soon.contains(&format!(
            "the key {ending} of `foundry` ends at {end}: `assay key extend"
        )),
        "{soon}"
    );
    let late = noted(35 * day);
    assert!(late.contains("before what is signed now runs out"), "{late}");
    let status = keyed.site.run(keyed.at(15 * day), &["status"]);
    assert!(
        status.contains(&format!("problem: the key {ending} of `foundry` ends at {end}")),
        "{status}"
    );
    let listed = keyed.site.run(keyed.at(15 * day), &["key", "list"]);
    assert!(
        listed.contains(&format!("{ending} openpgp secret-here signs=foundry ends={end}\n")),
        "{listed}"
    );

    // From its end on nothing moves, whoever else may sign.
    keyed.offer(41 * day);
    let before = keyed.stored();
    for verb in [
        &["mirror", "foundry"][..],
        &["publish"],
        &["snapshot", "renew", "--all"],
        &["gc"],
    ] {
        let said = keyed.refused(41 * day, verb, 2);
        assert!(
            said.contains("E-PUBLISH-011") && said.contains(ending.as_str()) && said.contains("it expired at"),
            "{said}"
        );
    }
    assert_eq!(keyed.stored(), before);
    let status = keyed.site.run(keyed.at(41 * day), &["status"]);
    assert!(status.contains("cannot sign: "), "{status}");
    let said = keyed
        .site
        .run(keyed.at(41 * day), &["key", "extend", ending.as_str(), "--for", "100d"]);
    assert!(said.starts_with(&format!("{ending} ends ")), "{said}");
    keyed.site.run(keyed.at(41 * day), &["mirror", "foundry"]);
    keyed.site.run(keyed.at(41 * day), &["snapshot", "renew", "--all"]);
    assert_eq!(keyed.verify(41 * day).0, Some(0), "{}", keyed.verify(41 * day).1);
}

#[test]
fn a_key_of_our_own_that_was_revoked_signs_nothing() {
    let keyed = Keyed::new();
    let outside = Gpg::new(keyed.start);
    keyed.outside(&outside);
    keyed.sign_by(&keyed.first(), &format!("further-keys = {}", list(&[&outside.primary])));
    keyed.follow(1);
    let revocation = outside
        .home
        .path()
        .join(format!("openpgp-revocs.d/{}.rev", outside.primary));
    let text = fs::read_to_string(&revocation)
        .unwrap()
        .replace(":-----BEGIN", "-----BEGIN");
    fs::write(&revocation, text).unwrap();
    gpg(outside.home.path(), &["--import", revocation.to_str().unwrap()]);
    fs::write(keyed.certificate(&outside.primary), outside.certificate()).unwrap();
    keyed.offer(2);
    let before = keyed.stored();
    let said = keyed.refused(2, &["mirror", "foundry"], 2);
    assert!(
        said.contains("E-PUBLISH-011") && said.contains("it was revoked"),
        "{said}"
    );
    assert_eq!(keyed.stored(), before);
}
