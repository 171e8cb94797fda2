//! What a suite may be called, and what its Release says of it.

use assay::domain::{Coded as _, Timestamp};
use assay::host::Clock;
use assay::snapshot::Record;

use super::indexes::problems;
use crate::support::apt::{Apt, source};
use crate::support::archive::{Archive, Mirror, key};
use crate::support::http::Upstream;

fn ago(hours: i64) -> Timestamp {
    Clock::System.now().plus(-3600 * hours)
}

#[test]
fn a_suite_with_a_slash_is_followed_and_real_apt_takes_it() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mut archive = Archive::new(ago(2)).field("Components", "updates/main updates/contrib");
    archive.suite = "tin/updates";
    upstream.set(archive.files(&signer));
    let mut mirror = Mirror::of(&signer);
    mirror.config.suites = vec!["tin/updates".parse().unwrap()];
    let record: Record = mirror.accept(&upstream.url(), ago(1));
    let components: Vec<_> = record.suites[0].components.iter().map(ToString::to_string).collect();
    assert_eq!(components, ["main"]);

    let served = Upstream::start();
    let all = mirror.store.list("foundry").unwrap().into_iter();
    let file = |meta: assay::store::Meta| {
        let name = meta.key.as_str().strip_prefix("foundry/").unwrap().to_owned();
        (name, mirror.store.get(&meta.key, 1 << 20).unwrap())
    };
    served.set(all.map(file).collect());
    let certificate = tempfile::NamedTempFile::with_suffix(".asc").unwrap();
    std::fs::write(certificate.path(), mirror.ours.certificate_armored().unwrap()).unwrap();
    let apt = Apt::new(&source(&served.url(), "tin/updates", certificate.path()));
    apt.update();
    assert_eq!(apt.versions("alloy"), ["1"]);
    let named = format!("tin/updates/{}", record.serial);
    let apt = Apt::new(&source(&served.url(), &named, certificate.path()));
    let said = apt.get(&["update"]);
    assert!(said.ok, "{}", said.text);
    assert_eq!(apt.versions("alloy"), ["1"]);
    // apt leaves out what follows the last slash only, and finds `tin/updates` in no field.
    assert!(said.text.contains("Conflicting distribution"), "{}", said.text);
}

/// A description may go over several lines, and no client compares it.
#[test]
fn a_description_becomes_one_line_and_a_name_of_several_is_refused() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mirror = Mirror::of(&signer);
    let long = "many words ".repeat(100).trim().to_owned();
    for (hours, description, ours) in [
        (5, "Two  spaces stay".to_owned(), "Two  spaces stay".to_owned()),
        (
            4,
            "Tests\n of a\n folded   line".to_owned(),
            "Tests of a folded line".to_owned(),
        ),
        (3, long.clone(), long.clone()),
    ] {
        let archive = Archive::new(ago(hours)).field("Description", &description);
        upstream.set(archive.files(&signer));
        let record = mirror.accept(&upstream.url(), ago(hours - 1));
        let fields = &record.suites[0].fields;
        let (_, value) = fields.iter().find(|(name, _)| name == "Description").unwrap();
        assert!(ours.starts_with(value) && value.len() <= 1000, "{value}");
        assert!(matches!(ours.as_bytes().get(value.len()), None | Some(b' ')), "{value}");
        assert!(value.len() == ours.len() || value.len() > 990, "{value}");
        assert_eq!(problems(&mirror, &signer), []);
    }
    let mut archive = Archive::new(ago(1));
    archive.fields.push(("Version", "1\n of several lines".to_owned()));
    upstream.set(archive.files(&signer));
    let error = mirror.follow(&upstream.url(), ago(0)).unwrap_err();
    assert_eq!(error.code(), "E-UP-042", "{error}");
    assert!(error.to_string().contains("`Version`"), "{error}");
}

/// Its Release would list nothing, and no client would take it.
#[test]
fn a_suite_without_any_index_that_the_site_asks_for_is_refused() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let archive = Archive::new(ago(2)).field("Architectures", "amd64");
    upstream.set(archive.files(&signer));
    let mut mirror = Mirror::of(&signer);
    mirror.config.architectures = vec!["all".parse().unwrap()];
    mirror.config.sources = false;
    mirror.config.languages.clear();
    let error = mirror.follow(&upstream.url(), ago(1)).unwrap_err();
    assert_eq!(error.code(), "E-UP-037", "{error}");
    assert!(
        error.to_string().contains("no index for `all`: it lists `amd64`"),
        "{error}"
    );
}
