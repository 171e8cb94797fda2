//! Suites with slashes, as Debian's security archive had them.

use assay::domain::Timestamp;
use assay::host::Clock;
use assay::snapshot::Record;

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
