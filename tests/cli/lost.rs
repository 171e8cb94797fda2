//! What is lost or swapped below `dists/`: named, with what puts it back.

use std::fs;
use std::path::{Path, PathBuf};

use assay::domain::Sha256;

use super::mirrors::Metals;
use super::{assay, text};

/// The name by its hash of a file, in the folder that it lies in.
fn by_hash(path: &Path) -> PathBuf {
    let sha256 = Sha256::of(&fs::read(path).unwrap());
    path.parent().unwrap().join("by-hash/SHA256").join(sha256.to_string())
}

#[test]
fn what_is_lost_below_dists_is_named_and_comes_back_while_its_bytes_are_there() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    assert!(assay(&metals.site(), &["tag", "v1"]).status.success());
    metals.offer("2", -60);
    metals.mirror();
    metals.verify();
    let dists = metals.site().join("store/foundry/dists/tin");
    let serial = fs::read_dir(&dists)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut serials: Vec<String> = serial.filter(|name| name.len() == 10 && !name.contains('-')).collect();
    serials.sort();
    let first = dists.join(&serials[0]);
    let packages = dists.join("main/binary-amd64/Packages.xz");
    let lost = [
        by_hash(&dists.join("InRelease")),
        by_hash(&first.join("InRelease")),
        by_hash(&dists.join("v1/InRelease")),
        by_hash(&first.join("main/binary-amd64/Packages.xz")),
        by_hash(&packages),
    ];
    for path in &lost {
        fs::remove_file(path).unwrap();
    }
    for verb in ["verify", "fsck"] {
        let done = assay(&metals.site(), &[verb]);
        let said = text(&done.stdout);
        assert_eq!(done.status.code(), Some(3), "{said}");
        for path in &lost {
            let name = path.strip_prefix(metals.site().join("store")).unwrap().display();
            let line = said.lines().find(|line| line.contains(&format!("V-MISSING {name}:")));
            let line = line.unwrap_or_else(|| panic!("{verb} does not miss {name}: {said}"));
            assert!(line.contains("assay publish --all foundry"), "{line}");
        }
    }
    let again = assay(&metals.site(), &["publish", "--all", "foundry"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    metals.verify();
    assert!(lost.iter().all(|path| path.exists()));
    let nothing = text(&assay(&metals.site(), &["publish", "--all"]).stdout);
    assert!(nothing.ends_with(" 0 objects written\n"), "{nothing}");
}

/// Who asks for Release and Release.gpg must get the pair that InRelease is, also where nothing else is asked of our key.
#[test]
fn a_signature_of_another_release_is_none_of_this_one() {
    let metals = Metals::new("pool = \"lazy\"\n");
    metals.mirror();
    let signature = metals.site().join("store/foundry/dists/tin/Release.gpg");
    let earlier = fs::read(&signature).unwrap();
    metals.offer("2", -60);
    metals.mirror();
    let own = fs::read(&signature).unwrap();
    let check = || assay(&metals.site(), &["verify", "--against", "upstream"]);
    assert!(check().status.success());
    for other in [&earlier[..], b"no signature", b""] {
        fs::remove_file(&signature).unwrap();
        fs::write(&signature, other).unwrap();
        let refused = check();
        let said = text(&refused.stdout);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("V-SIGNATURE foundry/dists/tin/Release.gpg"), "{said}");
    }
    fs::remove_file(&signature).unwrap();
    fs::write(&signature, own).unwrap();
    assert!(check().status.success());
}
