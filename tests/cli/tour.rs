//! The tour in README.md: its marked commands, run as they stand, on real Debian data.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The commands of the blocks that are marked `<!-- tour: … -->`, in order.
fn commands(readme: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in readme.split("<!-- tour: ").skip(1) {
        let (_, block) = part.split_once("```sh\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        found.extend(block.lines().map(str::to_owned));
    }
    found
}

#[test]
fn the_commands_of_the_readme_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() >= 9, "the tour has lost commands: {commands:?}");
    let folder = tempfile::tempdir().unwrap();
    let bin = Path::new(super::ASSAY).parent().unwrap().display().to_string();
    let script = format!("set -eu\n{}\n", commands.join("\n"));
    let run = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{out}\n{err}");
    assert!(out.contains(" new\n"), "{out}");
    assert!(out.contains("verified: 1 snapshots"), "{out}");
    let source = fs::read_to_string(folder.path().join("site/assay.sources")).unwrap();
    assert!(
        source.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----")
            && source.contains("URIs: http://127.0.0.1:8080/debian/")
    );
}
