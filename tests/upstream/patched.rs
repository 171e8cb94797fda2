//! Following by patches: the same indexes, byte for byte, for less to fetch; and nothing worse than that
//! when patches are not what they should be.

use super::indexes::{ago, ed, many, problems, with_patches_from};
use crate::support::archive::{Archive, Mirror, key};
use crate::support::http::{Trick, Upstream};

use assay::snapshot::Record;
use assay::trust::ArchiveKey;
use assay::upstream::Followed;

const FOLDER: &str = "dists/tin/main/binary-amd64/";

struct Following {
    signer: ArchiveKey,
    upstream: Upstream,
    mirror: Mirror,
}

fn programs(mut archive: Archive) -> Archive {
    archive.by_programs = true;
    archive
}

/// The patch from one version to another, and the state that it is for.
fn step(from: &Archive, to: &Archive) -> (Vec<u8>, Vec<u8>) {
    let old = from.packages();
    (ed(&old, &to.packages()), old)
}

impl Following {
    /// A mirror that has the first version.
    fn new() -> Self {
        let signer = key("upstream");
        let upstream = Upstream::start();
        let mut mirror = Mirror::of(&signer);
        mirror.config.follow_patches = true;
        mirror.config.indexes.clear();
        upstream.set(programs(many(1)).files(&signer));
        mirror.accept(&upstream.url(), ago(10));
        upstream.requests();
        Self {
            signer,
            upstream,
            mirror,
        }
    }

    /// Follows this version, and has it byte for byte. Gives which files of Packages were fetched.
    fn follow(&self, archive: &Archive, hours: i64) -> Vec<String> {
        self.upstream.set(archive.files(&self.signer));
        let record = self.mirror.accept(&self.upstream.url(), ago(hours));
        self.is_upstreams(&record, archive)
    }

    fn is_upstreams(&self, record: &Record, archive: &Archive) -> Vec<String> {
        let files = archive.files(&self.signer);
        let visible = self.mirror.visible();
        for form in ["gz", "xz"] {
            let path = format!("{FOLDER}Packages.{form}");
            let ours = format!("foundry/{path}");
            assert!(visible[&ours] == files[&path], "{form} of {}", record.serial);
        }
        assert_eq!(problems(&self.mirror, &self.signer), []);
        self.fetched(archive)
    }

    /// Which files of Packages were fetched.
    fn fetched(&self, archive: &Archive) -> Vec<String> {
        let files = archive.files(&self.signer);
        let by_hash = |path: &str| {
            let named = files.iter().filter(|(name, _)| !name.contains("/by-hash/"));
            let mut same = named
                .filter(|(_, bytes)| Some(*bytes) == files.get(path))
                .map(|(name, _)| name);
            same.next_back().cloned().unwrap_or(path.to_owned())
        };
        let asked = self.upstream.requests().into_iter().map(|path| by_hash(&path));
        asked
            .filter_map(|path| path.strip_prefix(FOLDER).map(str::to_owned))
            .collect()
    }
}

#[test]
fn an_index_is_made_of_the_one_before_and_patches() {
    let following = Following::new();
    let second = with_patches_from(programs(many(2)), &[step(&many(1), &many(2))], true);
    assert_eq!(
        following.follow(&second, 9),
        ["Packages.diff/Index", "Packages.diff/T-0.gz"]
    );
    // Merged: one patch, whichever state it is from.
    let steps = [step(&many(1), &many(3)), step(&many(2), &many(3))];
    let third = with_patches_from(programs(many(3)), &steps, true);
    assert_eq!(
        following.follow(&third, 8),
        ["Packages.diff/Index", "Packages.diff/T-1.gz"]
    );
    // Not merged: each that came since.
    let steps: Vec<_> = (1..5).map(|n| step(&many(n), &many(n + 1))).collect();
    let fifth = with_patches_from(programs(many(5)), &steps, false);
    assert_eq!(
        following.follow(&fifth, 7),
        ["Packages.diff/Index", "Packages.diff/T-2.gz", "Packages.diff/T-3.gz"]
    );
    // No patch from here: nothing but the list was fetched for it.
    let sixth = with_patches_from(programs(many(6)), &[step(&many(4), &many(6))], true);
    assert_eq!(following.follow(&sixth, 6).len(), 3);
}

/// What the snapshot lists is our own; what it was selected from is upstream's, and patched.
#[test]
fn a_filtered_mirror_follows_patches_of_upstreams_own_indexes() {
    let following = Following::new();
    let select = assay::site::Select {
        packages: ["alloy"]
            .map(|name| assay::site::PackagePattern::new(name).unwrap())
            .into(),
        ..Default::default()
    };
    for (n, hours) in [(2, 9), (3, 8)] {
        let next = with_patches_from(programs(many(n)), &[step(&many(n - 1), &many(n))], true);
        following.upstream.set(next.files(&following.signer));
        let (mirror, url) = (&following.mirror, following.upstream.url());
        let Followed::Changed(suites, _) = mirror.follow(&url, ago(hours)).unwrap() else {
            panic!("unchanged");
        };
        assert_eq!(
            following.fetched(&next),
            ["Packages.diff/Index", "Packages.diff/T-0.gz"]
        );
        let filtered = assay::publish::filter(mirror.store.as_ref(), &mirror.name, &select, false, suites).unwrap();
        assert_eq!(filtered.chosen.len(), 1);
        mirror.publish(filtered.suites, ago(hours));
        assert_eq!(problems(mirror, &following.signer), []);
        assert_eq!(mirror.follow(&url, ago(hours)).unwrap(), Followed::Unchanged);
        following.upstream.requests();
    }
}

#[test]
fn an_upstream_that_compresses_in_its_own_way_is_fetched_from() {
    let following = Following::new();
    let mut second = many(2);
    second.by_programs = false;
    let second = with_patches_from(second, &[step(&many(1), &many(2))], true);
    let mut fetched = following.follow(&second, 9);
    fetched.sort();
    let whole = [
        "Packages.diff/Index",
        "Packages.diff/T-0.gz",
        "Packages.gz",
        "Packages.xz",
    ];
    assert_eq!(fetched, whole);
}

#[test]
fn patches_are_not_used_unless_the_site_asks() {
    let mut following = Following::new();
    following.mirror.config.follow_patches = false;
    let second = with_patches_from(programs(many(2)), &[step(&many(1), &many(2))], true);
    let mut fetched = following.follow(&second, 9);
    fetched.sort();
    assert_eq!(fetched, ["Packages.gz", "Packages.xz"]);
}

#[test]
fn hostile_patches_change_nothing() {
    let old = many(1);
    let huge = [b"0a\n".as_slice(), &vec![b'x'; 20 << 20], b"\n.\n"].concat();
    for patch in [
        b"1d\n".to_vec(),
        b"99999999d\n".to_vec(),
        b"1a\nno end\n".to_vec(),
        b"!reboot\n".to_vec(),
        b"1d\n2d\n".to_vec(),
        huge,
    ] {
        // What the list says of it is true: upstream's own list leads astray.
        let new = with_patches_from(programs(many(2)), &[(patch, old.packages())], true);
        let fetched = Following::new().follow(&new, 9);
        assert!(fetched.contains(&"Packages.xz".to_owned()), "{fetched:?}");
    }
    // And the network does what it can.
    let good = || with_patches_from(programs(many(2)), &[step(&old, &many(2))], true);
    for trick in [
        Trick::Flipped,
        Trick::Endless,
        Trick::Truncated(5),
        Trick::Status(500),
        Trick::Status(404),
    ] {
        let fresh = Following::new();
        fresh.upstream.trick("T-0.gz", trick);
        let fetched = fresh.follow(&good(), 9);
        assert!(fetched.contains(&"Packages.xz".to_owned()), "{fetched:?}");
    }
}
