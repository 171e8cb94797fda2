//! `assay init`: a new site, from the same files as this project's own example.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::args::{InitArgs, Purpose};
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::key::NewKey;
use crate::host::{apt_sources, files};
use crate::site::Site;

const SITE: &str = include_str!("../../assay.toml");
const MIRROR: &str = include_str!("../../repos/debian.toml");
const CUSTOM: &str = include_str!("../../repos/custom.toml");
const POLICY: &str = include_str!("../../policies/default.toml");
/// What it writes.
const PARTS: [&str; 5] = [".gitignore", "assay.toml", "keys", "policies", "repos"];
const IGNORE: &str = "/keys/\n/store/\n/cache/\n";

#[derive(Serialize)]
struct Made {
    site: String,
    archive_key: String,
    gate: String,
    codename: String,
}

pub(super) fn run(context: &Context, args: &InitArgs) -> Result<ExitCode, Failure> {
    let folder = &args.folder;
    let was_there = files::exists(folder);
    if was_there && (!files::is_folder(folder) || !files::list(folder)?.is_empty()) {
        return Err(UsageError::NotEmpty(folder.display().to_string()).into());
    }
    let made = make(context, args);
    if made.is_err() {
        undo(folder, was_there);
    }
    let made = made?;
    let text = format!(
        "site {}\narchive-key {}\ngate {}",
        made.site, made.archive_key, made.gate
    );
    context.output.record(&made, &text)?;
    context.output.note(&format!(
        "next: keep it in Git (`git init {0}`); `cd {0} && assay mirror`; `assay publish` makes the suites of \
         the custom archive, empty and signed; then `assay serve`",
        made.site
    ));
    Ok(ExitCode::SUCCESS)
}

fn make(context: &Context, args: &InitArgs) -> Result<Made, Failure> {
    let folder = &args.folder;
    let codename = match &args.codename {
        Some(codename) => codename.to_string(),
        None => machine_codename(),
    };
    let archive = NewKey::make(Purpose::Archive, "Assay archive", context.now(), None)?;
    let gate = NewKey::make(Purpose::Gate, "", context.now(), None)?;
    for key in [&archive, &gate] {
        key.save(&folder.join("policies/keys"), &folder.join("keys"))?;
    }
    let fill = |text: &str| {
        let with_keys = replace_value(text, "signing-key", archive.fingerprint.as_str());
        let with_gate = replace_value(&with_keys, "gate", gate.fingerprint.as_str());
        let with_url = replace_value(&with_gate, "public-url", args.public_url.as_str().trim_end_matches('/'));
        with_url.replace("\"bookworm\"", &format!("\"{codename}\""))
    };
    files::write(&folder.join(".gitignore"), IGNORE.as_bytes())?;
    files::write(&folder.join("policies/default.toml"), POLICY.as_bytes())?;
    files::write(&folder.join("repos/debian.toml"), fill(MIRROR).as_bytes())?;
    files::write(&folder.join("repos/custom.toml"), fill(CUSTOM).as_bytes())?;
    // Last: a folder becomes a site with this file, and is whole from then on.
    files::write(&folder.join("assay.toml"), fill(SITE).as_bytes())?;
    let site = Site::load(folder)?;

    Ok(Made {
        site: site.root().display().to_string(),
        archive_key: archive.fingerprint.to_string(),
        gate: gate.fingerprint.to_string(),
        codename,
    })
}

/// After a failure: the folder is as it was, empty or not there. What cannot be removed is no news
/// beside the failure itself.
fn undo(folder: &Path, was_there: bool) {
    for name in PARTS {
        let path = folder.join(name);
        let _ = match files::is_folder(&path) {
            true => files::remove_folder(&path),
            false => files::remove(&path),
        };
    }
    if !was_there && files::list(folder).is_ok_and(|left| left.is_empty()) {
        let _ = files::remove_folder(folder);
    }
}

/// The codename of the Debian that this machine's apt follows; the example's when it follows none.
fn machine_codename() -> String {
    let sources = apt_sources().unwrap_or_default();
    let main = sources
        .iter()
        .find(|s| s.origin == "Debian" && s.label == "Debian" && !s.codename.contains('-'));
    main.map_or_else(|| "bookworm".to_owned(), |s| s.codename.clone())
}

/// Sets `name = "…"` at the start of a line of TOML; comments after it stay.
fn replace_value(text: &str, name: &str, value: &str) -> String {
    let start = format!("{name} = \"");
    let set = |line: &str| match line.strip_prefix(&start).and_then(|rest| rest.split_once('"')) {
        Some((_, rest)) => format!("{start}{value}\"{rest}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::replace_value;

    #[test]
    fn one_value_is_replaced() {
        let text = "a = \"1\"\n# a = \"2\"\nb = \"3\" # c\n";
        assert_eq!(replace_value(text, "b", "x"), "a = \"1\"\n# a = \"2\"\nb = \"x\" # c\n");
    }
}
