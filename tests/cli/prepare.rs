//! `assay prepare` on the command line: a site without keys, and a store that is somebody else's.

use std::fs;
use std::process::Output;

use super::checkout::Built;
use super::text;

/// Prepares the fixture's checkout, in its own site.
fn prepare(built: &Built, more: &[&str]) -> Output {
    built.run(&built.named(&[&["prepare", "--checkout", "CHECKOUT", "--site", "SITE"], more].concat()))
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_site_without_keys_prepares_over_http_and_goes_on_with_its_own_serials() {
    let built = Built::new();
    let (keys, away) = (built.site().join("keys"), built.site().join("away"));
    fs::rename(&keys, &away).unwrap();
    let running = built.serve();
    let url = running.url();
    let own = built.prints(&["sources", "--tails-checkout", "CHECKOUT", "--url", &url]);
    let folder = built.checkout().join("../build").display().to_string();
    let ask = ["--store", &url, "--url", &url, "--build-dir", &folder];
    let first = printed(&prepare(&built, &ask));
    assert_eq!(first, own, "what `sources` says of this checkout");
    let serials = fs::read_to_string(built.checkout().join("../build/serials.json")).unwrap();
    assert!(
        serials.contains(r#""custom":"#) && serials.contains(r#""debian-security":"#),
        "{serials}"
    );

    // The archives move on: this build does not, another one does.
    fs::rename(&away, &keys).unwrap();
    built.snapshot("debian-security", &["trixie"], "5.0");
    built.snapshot("custom", &["feature-foo", "stable"], "9.1");
    fs::rename(&keys, &away).unwrap();
    assert_eq!(printed(&prepare(&built, &ask)), first);
    assert_ne!(printed(&prepare(&built, &["--store", &url, "--url", &url])), first);
    let replayed = [
        "--store",
        &url,
        "--url",
        &url,
        "--from-json",
        &format!("{folder}/serials.json"),
    ];
    assert_eq!(printed(&prepare(&built, &replayed)), first, "another build's serials");
    // Nothing can be changed there.
    let refused = built.run(&["--store", &url, "publish"]);
    assert!(
        !refused.status.success() && text(&refused.stderr).contains("read"),
        "{}",
        text(&refused.stderr)
    );
}
