//! `assay gc`, as people and apt see it.

use std::fs;

use crate::support::apt::{Apt, source};
use crate::support::archive::Archive;
use crate::support::mirrored::Mirrored;
use crate::support::repository::now;
use crate::support::web::Web;

fn archive(days_ago: u32) -> Archive {
    let mut archive = Archive::new(now().plus(-86_400 * i64::from(days_ago)));
    let path = format!("pool/main/a/alloy/alloy_{}_amd64.deb", 10 - days_ago);
    archive.pool = [(path, format!("alloy, {days_ago} days ago").into_bytes())].into();
    archive
}

#[test]
fn apt_goes_on_with_what_is_kept_and_people_are_told_what_went() {
    let site = Mirrored::since(now().plus(-8 * 86_400), "http://127.0.0.1:1", "{ count = 1 }");
    let store = site.site().join("store");
    let web = Web::serve(&store);
    let certificate = fs::read_dir(site.site().join("policies/keys"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "asc"))
        .unwrap();
    let [kept, tagged, dropped, newest] = [4, 3, 2, 1].map(|days_ago| site.follow(&archive(days_ago)));
    let at = now();
    site.run(at, &["tag", "5.15", "--snapshot", &format!("foundry@{tagged}")]);
    site.run(at, &["snapshot", "keep", &format!("foundry@{kept}")]);
    let base = format!("{}/foundry", web.url);
    let client = |suite: String| Apt::new(&source(&base, &suite, &certificate));
    let clients = [
        (client(format!("tin/{kept}")), "6"),
        (client("tin/5.15".to_owned()), "7"),
        (client("tin".to_owned()), "9"),
    ];
    let lost = client(format!("tin/{dropped}"));
    lost.update();

    let later = at.plus(7200);
    let would = site.run(later, &["gc", "--dry-run"]);
    let did = site.run(later, &["gc"]);
    assert_eq!(did.replace(" went;", " would go;"), would);
    assert!(
        did.contains(&format!("foundry edition {dropped} goes: not one of the newest 1; ")),
        "{did}"
    );
    // The tag has objects of its own: the snapshot that it is of may go.
    assert!(did.contains(&format!("foundry edition {tagged} goes: ")), "{did}");
    assert!(
        did.contains("pool/main/a/alloy/alloy_8_amd64.deb goes: nothing that is kept names it"),
        "{did}"
    );
    assert!(
        did.contains("foundry: 2 editions, ") && did.contains("; 3 editions stay"),
        "{did}"
    );
    let stays = site.run(at, &["gc", "-v"]);
    assert!(
        stays.contains("foundry edition 5.15 stays: tags are kept until they are dropped"),
        "{stays}"
    );
    assert!(
        stays.contains(&format!(
            "alloy_6_amd64.deb stays: named by {kept} tin main/binary-amd64/Packages"
        )),
        "{stays}"
    );

    for (client, version) in &clients {
        client.update();
        assert_eq!(client.versions("alloy"), [*version]);
        let said = client.get(&["download", "alloy"]);
        assert!(said.ok, "{}", said.text);
    }
    assert!(!lost.get(&["update"]).ok, "its snapshot is gone");
    assert!(
        !store.join(format!("foundry/dists/tin/{dropped}")).exists(),
        "no empty folders stay"
    );
    site.run(at, &["verify"]);
    site.run(at, &["verify", "--against", "upstream"]);

    let refused = site.output(at, &["snapshot", "show", &format!("foundry@{dropped}")]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("was let go and is gone") && said.contains("assay snapshot list foundry"),
        "{said}"
    );
    assert!(!site.run(at, &["snapshot", "list"]).contains(&dropped));
    assert!(site.run(at, &["snapshot", "list", "--all"]).contains(&dropped));
    site.run(at, &["publish"]);
    site.run(at, &["snapshot", "renew", "--all"]);

    site.run(at, &["snapshot", "drop", "foundry@5.15"]);
    let did = site.run(at, &["gc"]);
    assert!(did.contains("foundry edition 5.15 goes: it was dropped"), "{did}");
    assert!(did.contains("alloy_7_amd64.deb goes"), "{did}");
    // Its name does not come again with other content, nor with the same.
    let again = site.output(at, &["tag", "5.15", "--snapshot", &format!("foundry@{newest}")]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    let verified = site.run(at, &["verify"]);
    assert!(verified.contains("verified"), "{verified}");
    let nothing = site.json(at, &["gc"]);
    assert_eq!(nothing.len(), 1, "{nothing:?}");
    assert_eq!(
        (&nothing[0]["editions"], &nothing[0]["objects"], &nothing[0]["kept"]),
        (&0.into(), &0.into(), &2.into())
    );
}

/// A full pool is not looked at file by file when it was full once: collection must not make that a lie.
#[test]
fn content_that_comes_back_is_fetched_again() {
    let site = Mirrored::since(now().plus(-8 * 86_400), "http://127.0.0.1:1", "{ count = 1 }");
    let first = archive(4);
    site.follow(&first);
    site.follow(&archive(3));
    let file = site.site().join("store/foundry/pool/main/a/alloy/alloy_6_amd64.deb");
    assert!(file.exists());
    site.run(now(), &["gc", "--at-once"]);
    assert!(!file.exists());
    let mut again = archive(2);
    again.pool = first.pool;
    site.follow(&again);
    assert!(file.exists());
    site.run(now(), &["verify"]);
}

/// `apt update` may have read the InRelease of what was the newest a moment ago, and asks for the rest of it next.
#[test]
fn what_clients_are_in_the_middle_of_stays_for_an_hour() {
    let site = Mirrored::since(now().plus(-8 * 86_400), "http://127.0.0.1:1", "{ count = 1 }");
    let [first, second, newest] = [4, 3, 2].map(|days_ago| site.follow(&archive(days_ago)));
    let tree = site.site().join("store/foundry/dists/tin");
    let by_hash = tree.join("main/binary-amd64/by-hash/SHA256");
    let indexes = || fs::read_dir(&by_hash).unwrap().count();
    let all = indexes();
    // The head came just now, whatever its id says: a key elsewhere may have signed it.
    let soon = now();
    let would = site.run(soon, &["gc", "--dry-run"]);
    let did = site.run(soon, &["gc"]);
    assert_eq!(did.replace(" went;", " would go;"), would);
    let stays = format!("foundry edition {second} stays: kept until ");
    let line = did.lines().find(|line| line.starts_with(&stays)).unwrap_or(&did);
    assert!(line.ends_with(" for clients that are reading it"), "{did}");
    assert!(
        did.contains(&format!("foundry edition {first} goes: not one of")),
        "{did}"
    );
    assert!(!tree.join(&first).exists() && tree.join(&second).exists());
    let old = "pool/main/a/alloy/alloy_7_amd64.deb";
    assert!(site.site().join("store/foundry").join(old).exists() && indexes() < all);
    let listed = site.json(soon, &["snapshot", "list"]);
    assert_eq!(listed[0]["kept"], true);
    assert!(
        listed[0]["why"].as_str().unwrap().starts_with("kept until "),
        "{listed:?}"
    );
    // Who drops it is told, too.
    let dropped = site.run(soon, &["snapshot", "drop", &format!("foundry@{second}")]);
    assert!(dropped.contains(" stays: kept until "), "{dropped}");
    let json = site.json(soon, &["gc", "--dry-run"]);
    assert!(json[0]["until"].is_string() && json[0]["goes"] == false, "{json:?}");
    site.run(soon, &["verify"]);

    let would = site.run(soon, &["gc", "--dry-run", "--at-once"]);
    assert!(
        would.contains(&format!("foundry edition {second} goes: it was dropped")),
        "{would}"
    );
    let later = site.run(soon.plus(7200), &["gc"]);
    assert!(
        later.contains(&format!("foundry edition {second} goes: it was dropped")),
        "{later}"
    );
    assert!(
        later.contains(&format!("{old} goes: ")) && tree.join(&newest).exists(),
        "{later}"
    );
    site.run(soon, &["verify"]);
}
