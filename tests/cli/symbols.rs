//! `dbgsym-component`: debug symbols in a component of their own, which only those who want them follow.

use std::fs;
use std::path::PathBuf;

use super::small::said;
use super::unproven::Apps;
use crate::support::apt::{Apt, source};
use crate::support::packages::{deb_in, deb_of};

#[test]
fn debug_symbols_go_to_a_component_of_their_own_that_apt_follows_when_told_to() {
    let apps = Apps::with("dbgsym-component = \"debug\"\n");
    let refused = apps.run(&["status"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("`dbgsym-component` is `debug`"),
        "{}",
        said(&refused)
    );
    apps.made.edit("repos/apps.toml", |text| {
        text.replace("\"contrib\"", "\"contrib\", \"debug\"")
    });
    let include = |debs: &[PathBuf]| {
        let debs = debs.iter().map(|path| path.to_str().unwrap());
        let args = ["include", "apps", "stable"].into_iter().chain(debs);
        apps.prints(&args.collect::<Vec<_>>())
    };
    let folder = tempfile::tempdir().unwrap();
    let symbols = "Section: debug\nSource: hello\nAuto-Built-Package: debug-symbols\n";
    let debs = [
        deb_in(folder.path(), "hello", "1.0", "amd64", "hello"),
        deb_of(folder.path(), ("hello-dbgsym", "1.0", "amd64"), symbols, "symbols"),
        // Only its name is like that.
        deb_in(folder.path(), "tool-dbgsym", "1.0", "amd64", "tool"),
    ];
    include(&debs);
    assert!(
        apps.made
            .path("store/apps/pool/debug/h/hello/hello-dbgsym_1.0_amd64.deb")
            .exists()
    );
    let uri = format!("file:{}", apps.made.path("store/apps").display());
    let main = source(&uri, "stable", &apps.made.certificate("apps"));
    let both = main.replace("Components: main", "Components: main debug");
    for (sources, found) in [(&main, vec![]), (&both, vec!["1.0".to_owned()])] {
        let apt = Apt::new(sources);
        apt.update();
        assert_eq!(apt.versions("hello-dbgsym"), found);
        assert_eq!(apt.versions("hello"), ["1.0"]);
        assert_eq!(apt.versions("tool-dbgsym"), ["1.0"]);
    }
    // The next version takes the place of both.
    let debs = [
        deb_in(folder.path(), "hello", "1.1", "amd64", "hello"),
        deb_of(folder.path(), ("hello-dbgsym", "1.1", "amd64"), symbols, "symbols"),
    ];
    include(&debs);
    let index = apps.made.path("store/apps/dists/stable/debug/binary-amd64/Packages");
    let text = fs::read_to_string(index).unwrap();
    assert!(
        text.matches("\nVersion: ").count() == 1 && text.contains("Version: 1.1"),
        "{text}"
    );
    let verified = apps.run(&["verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
}
