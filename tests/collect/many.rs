//! A tool, not a test: makes a site with very many snapshots, to measure by hand what grows with them.

use assay::site::Site;
use assay::snapshot::{Chain, Committed};
use assay::store::{LocalStore, Store};

use crate::support::archive::{Archive, noon};
use crate::support::mirrored::Mirrored;
use crate::support::repository::made;

const COUNT: &str = "ASSAY_TEST_MANY_SNAPSHOTS";

/// With `ASSAY_TEST_MANY_SNAPSHOTS=10000` it makes so many, published all, and leaves the site where it says.
#[test]
fn make_many_snapshots() {
    let Some(count) = std::env::var(COUNT).ok().and_then(|text| text.parse::<u64>().ok()) else {
        return;
    };
    let site = Mirrored::new("http://127.0.0.1:1", &format!("{{ count = {} }}", count / 2));
    site.follow(&Archive::new(noon()));
    let loaded = Site::load(&site.site()).unwrap();
    let archive = "foundry".parse().unwrap();
    let key = loaded
        .archive_key(loaded.archive(&archive).unwrap().signing_key())
        .unwrap();
    let store = LocalStore::open(&site.site().join("store")).unwrap();
    let store: &dyn Store = &store;
    for n in 1..count {
        let chain = Chain::load(store, &archive).unwrap();
        let at = noon().plus(i64::try_from(n).unwrap() * 3600);
        let suites = chain.latest().unwrap().suites.clone();
        let record = chain.next(store, suites, made(&n.to_string(), at)).unwrap();
        assert_eq!(assay::publish::commit(store, &record, &key).unwrap(), Committed::Yes);
        assay::publish::publish(store, &archive, &key, "http://127.0.0.1:1").unwrap();
    }
    println!("{}", site.leave().display());
}
