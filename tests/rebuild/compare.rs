//! Packages that are built differently on purpose, and what is said about them.

use assay::format::intoto::Outcome;
use assay::rebuild::{Comparison, Limits, compare};

use super::run::{Tiny, log, variation};

fn differences(tiny: &Tiny) -> Comparison {
    let work = tempfile::tempdir().unwrap();
    let sets: Vec<Vec<(String, Vec<u8>)>> = (1..=2)
        .map(|number| {
            let finished = tiny.build(
                &work.path().join(number.to_string()),
                &variation(number),
                &Limits::default(),
            );
            assert_eq!(finished.outcome, Outcome::Built, "{}", log(&finished));
            let read = |o: &assay::rebuild::Produced| (o.name.to_string(), std::fs::read(&o.path).unwrap());
            finished.outputs.iter().map(read).collect()
        })
        .collect();
    compare(&sets[0], &sets[1])
}

#[test]
fn the_file_that_differs_is_named_first() {
    let tiny = Tiny::bare(
        "differs",
        "date +%s%N > debian/differs/usr/share/differs/built-at\n\
         hostname > debian/differs/usr/share/differs/host\n\
         ln -s `id -un` debian/differs/usr/share/differs/user\n\
         touch debian/differs/usr/share/differs/same\n\
         touch debian/differs/usr/share/differs/only-`id -u`",
    );
    let found = differences(&tiny);
    let words: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    let at = "differs_1.0_amd64.deb: data.tar: ./usr/share/differs";
    assert_eq!(
        words.get(..5).unwrap_or(&words),
        [
            format!("{at}/built-at: content differs (20 and 20 bytes)"),
            format!("{at}/host: content differs (6 and 6 bytes)"),
            format!("{at}/only-1001: only in the first build"),
            format!("{at}/user: link target: `builder1` and `builder2`"),
            format!("{at}/only-1002: only in the second build"),
        ],
        "{words:#?}"
    );
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), found);
}
