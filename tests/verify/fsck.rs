//! `fsck` of a custom archive: whatever is lost or flipped in its state and its documents is named.

use std::fs;

use assay::host::Progress;
use assay::store::LocalStore;
use assay::verify;

use super::{Published, admit, objects, replace};
use crate::support::repository::now;

impl Published {
    fn damage(&self) -> Vec<(String, &'static str)> {
        let store = LocalStore::open(&self.store()).unwrap();
        let mut anchors = self.anchors(self.site.gate_key.public(), &self.policy);
        anchors.archives.retain(|anchor| anchor.name == self.site.archive);
        let report = verify::fsck(&store, &anchors, now(), &Progress::hidden()).unwrap();
        let problems = report.problems.into_iter();
        problems.map(|problem| (problem.object, problem.code)).collect()
    }
}

#[test]
fn each_object_that_is_lost_or_flipped_is_named() {
    let published = Published::new();
    admit(&published.site, "1.1", "second");
    let store = published.store();
    assert_eq!(published.damage(), []);
    let mut wrong = Vec::new();
    for name in objects(&store) {
        // What was held has been admitted; a former InRelease has other names; who deletes from the list of decisions is found
        // out by a checkpoint only.
        let others = [
            "state/custom/held/",
            "state/custom/decisions/",
            "custom/dists/stable/by-hash/",
        ];
        let ours = name.starts_with("custom/") || name.starts_with("state/custom/");
        if !ours || others.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let path = store.join(&name);
        let bytes = fs::read(&path).unwrap();
        // Logs and .buildinfo files may be with who built: what a decision lacks of them is for `verify` to say.
        if bytes.starts_with(b"log") || bytes.starts_with(b"buildinfo of") {
            continue;
        }
        let mut flipped = bytes.clone();
        if let Some(byte) = flipped.get_mut(bytes.len() / 2) {
            *byte ^= 1;
        }
        for (is_lost, other) in [(true, None), (false, Some(&flipped))] {
            if !is_lost && bytes.is_empty() {
                continue;
            }
            match other {
                Some(other) => replace(&path, other),
                None => fs::remove_file(&path).unwrap(),
            }
            let found = published.damage();
            let how = if is_lost { "lost" } else { "flipped" };
            if found.len() != 1 || !name.starts_with(&found[0].0) {
                wrong.push(format!("{how} {name}: {found:?}"));
            }
            fs::write(&path, &bytes).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
