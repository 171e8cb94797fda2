//! What Assay writes below `state/`, by its name. No client asks for any of it; but a web server on the whole store
//! hands it out, and whatever else is there.

use super::places::SIGNED;
use crate::domain::Sha256;

/// The folders of an archive's state, and in how many parts the names in each go on, at least and at most.
const FOLDERS: [(&str, usize, usize); 23] = [
    ("beside", 1, 1),
    ("claims", 1, 1),
    ("commitments", 2, 2),
    ("decisions", 2, 2),
    ("declared", 2, 2),
    ("evidence", 2, 2),
    ("filled", 1, 1),
    ("heard", 2, 2),
    ("held", 2, 2),
    ("ledger", 2, 6),
    ("left", 1, 1),
    ("lineage", 2, 2),
    ("links", 2, 2),
    ("marks", 1, 1),
    ("missed", 1, 1),
    ("nonces", 2, 2),
    ("renewals", 2, 2),
    ("rounds", 2, 2),
    ("said", 1, 1),
    ("signatures", 1, 1),
    ("tags", 1, 1),
    ("waiting", 1, 1),
    ("working", 1, 1),
];

/// Whether Assay writes objects of this name. One that clients know a suite by is not ours, whoever signed it.
pub(super) fn is_written(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("state/") else {
        return false;
    };
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match parts.as_slice() {
        [] => false,
        [file] => *file == "refused.json" || number(file),
        // Signed on another machine, until it is published.
        ["waiting", "signed", text, "InRelease" | "Release.gpg"] => text.parse::<Sha256>().is_ok(),
        [.., last] if SIGNED.contains(last) => false,
        [folder, below @ ..] => FOLDERS
            .iter()
            .any(|(ours, least, most)| ours == folder && (*least..=*most).contains(&below.len())),
    }
}

/// `<n>.json`, of a record.
fn number(file: &str) -> bool {
    let number = file.strip_suffix(".json");
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}
