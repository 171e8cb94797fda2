//! What is wrong with a source.

use crate::domain::{Coded, DomainError, Kind, PackageName, escape};
use crate::format::FormatError;
use crate::host::HostError;

/// Why a source is not taken. Where a rule of the gate applies, the message names it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A repository's address that we do not fetch from.
    #[error("`{url}`: {why}")]
    Url {
        /// The address, escaped.
        url: String,
        /// Why not.
        why: &'static str,
    },
    /// The repository could not be fetched.
    #[error("cannot fetch `{url}`: {source}")]
    Fetch {
        /// The address, escaped.
        url: String,
        /// What Git said.
        source: HostError,
    },
    /// The repository has no such ref.
    #[error("`{url}` has no `{reference}`")]
    NoSuchRef {
        /// The address, escaped.
        url: String,
        /// The ref.
        reference: String,
    },
    /// A rule of the gate does not hold.
    #[error("rule {rule}: `{what}`: {why}")]
    Rule {
        /// The rule's id: `S1` to `S9`.
        rule: &'static str,
        /// What breaks it: a path, a ref, an object; escaped.
        what: String,
        /// How.
        why: String,
    },
    /// A declaration file that has another name than its source package.
    #[error("`{}` declares the source package `{declares}`", escape(path))]
    Misnamed {
        /// The file.
        path: String,
        /// The source package.
        declares: PackageName,
    },
    /// What a tag's message tells tools disagrees with the source, or must be understood and is not.
    #[error("rule S9: `{reference}`: its text says `{item}`: {why}")]
    TagText {
        /// The tag.
        reference: String,
        /// The item, escaped.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// A file of the source package cannot be read.
    #[error("`{path}`: {source}")]
    File {
        /// Which one.
        path: String,
        /// Why.
        source: FormatError,
    },
    /// A file of the source package does not say what it must.
    #[error("`{path}`: {why}")]
    Content {
        /// Which one.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// What the repository gives is not what the declaration says.
    #[error(
        "the declaration of `{source_package}` does not hold: `{field}` is `{declared}`, the repository gives `{found}`"
    )]
    Differs {
        /// Which source package.
        source_package: String,
        /// The first field that differs.
        field: String,
        /// What the declaration says.
        declared: String,
        /// What the repository gives.
        found: String,
    },
    /// A declaration cannot be read.
    #[error("`{path}`: {why}")]
    Declaration {
        /// The file.
        path: String,
        /// Where and why.
        why: String,
    },
    /// A key in `policies/keys/` cannot be used.
    #[error("the key `{path}`: {why}")]
    Key {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// A file that a source takes from elsewhere than Git is not there, or cannot be read.
    #[error("`{file}`: {why}")]
    Kept {
        /// Which one.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A limit was exceeded.
    #[error("the source has more than {limit} {unit}")]
    Limit {
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// An image's checkout that may not be built as it is.
    #[error("rule `{rule}`: {why}")]
    Checkout {
        /// The rule that does not hold.
        rule: &'static str,
        /// How it does not hold.
        why: String,
        /// What mends it.
        fix: String,
    },
    /// The machine could not do something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A value that a name's grammar refuses.
    #[error("{what}: {source}")]
    Name {
        /// Where it stands.
        what: String,
        /// Why.
        source: DomainError,
    },
}

impl SourceError {
    pub(super) fn rule(rule: &'static str, what: impl AsRef<str>, why: impl Into<String>) -> Self {
        Self::Rule {
            rule,
            what: crate::domain::escape(what.as_ref()),
            why: why.into(),
        }
    }

    pub(super) fn content(path: &str, why: impl Into<String>) -> Self {
        Self::Content {
            path: crate::domain::escape(path),
            why: why.into(),
        }
    }

    /// A file from elsewhere than Git that cannot be had.
    #[must_use]
    pub fn kept(file: &str, why: &str) -> Self {
        Self::Kept {
            file: crate::domain::escape(file),
            why: why.to_owned(),
        }
    }

    pub(super) fn checkout(rule: &'static str, why: &str, fix: &str) -> Self {
        Self::Checkout {
            rule,
            why: why.to_owned(),
            fix: fix.to_owned(),
        }
    }

    /// The rule of the gate that does not hold, when it is that.
    #[must_use]
    pub fn broken_rule(&self) -> Option<&'static str> {
        match self {
            Self::Rule { rule, .. } => Some(rule),
            Self::TagText { .. } => Some("S9"),
            _ => None,
        }
    }
}

impl Coded for SourceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "E-SRC-001",
            Self::Fetch { .. } => "E-SRC-002",
            Self::NoSuchRef { .. } => "E-SRC-003",
            Self::Rule { .. } => "E-SRC-004",
            Self::File { .. } => "E-SRC-005",
            Self::Content { .. } => "E-SRC-006",
            Self::Differs { .. } => "E-SRC-007",
            Self::Declaration { .. } => "E-SRC-008",
            Self::Key { .. } => "E-SRC-009",
            Self::Limit { .. } => "E-SRC-010",
            Self::Host(error) => error.code(),
            Self::Name { .. } => "E-SRC-011",
            Self::Checkout { .. } => "E-SRC-012",
            Self::TagText { .. } => "E-SRC-013",
            Self::Kept { .. } => "E-SRC-014",
            Self::Misnamed { .. } => "E-SRC-015",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Url { .. }
            | Self::NoSuchRef { .. }
            | Self::Declaration { .. }
            | Self::Misnamed { .. }
            | Self::Key { .. } => Kind::Usage,
            Self::Fetch { source, .. } => source.kind(),
            Self::Checkout { .. } => Kind::Refused,
            Self::Host(error) => error.kind(),
            Self::Rule { .. }
            | Self::TagText { .. }
            | Self::Kept { .. }
            | Self::File { .. }
            | Self::Content { .. }
            | Self::Differs { .. }
            | Self::Limit { .. }
            | Self::Name { .. } => Kind::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Url { .. } => {
                "write a folder's path, or an `https://`, `http://`, `ssh://` or `git://` address without a password"
            }
            Self::Fetch { .. } => {
                "run `git ls-remote` on the address to see what Git says; redirects are not followed; if the repository moved, say under `[moved-git]` of assay.toml where it is now"
            }
            Self::NoSuchRef { .. } => "push the tag, or give the tag that is meant with `--ref refs/tags/…`",
            Self::Rule { rule: "S1", .. } => {
                "sign the tag or commit with a key that the policy lists (`git tag -s`), or list the key under `[[signer]]`"
            }
            Self::Rule { rule: "S2", .. } => {
                "make a new signed tag with `git tag -s`; never move one that was declared"
            }
            Self::Rule { rule: "S7", .. } => {
                "commit the upstream files unchanged and put every change into `debian/patches`"
            }
            Self::Kept { .. } => {
                "keep the tarball with `assay source add-file FILE`, or mirror the snapshot that has it"
            }
            Self::Rule { rule: "S9", .. } => {
                "make `debian/changelog`, the tag's name and its date say the same: close the entry (`dch -r`), commit, then \
                 tag that commit with the entry's version"
            }
            Self::Rule { rule: "S8", .. } => {
                "take out of `debian/source/` what changes how the source is unpacked, and refresh the patches: `dpkg-source -b .` \
                 in a clean checkout shows what does not apply"
            }
            Self::Rule { .. } => {
                "change what it names in Git, commit and make a new signed tag: this is read as it is, without attributes, \
                 hooks or links to elsewhere"
            }
            Self::Content { .. } => {
                "mend the file in Git, commit it and make a new signed tag; `dpkg-source -b .` and `dpkg-parsechangelog` read \
                 the same files and say more"
            }
            Self::TagText { .. } => "make a new tag whose `[dgit …]` lines say what is in it",
            Self::Checkout { fix, .. } => fix,
            Self::Misnamed { declares, .. } => {
                return Some(format!(
                    "remove the file, or call it `{declares}.toml`; `assay declare` writes the one of each source package"
                ));
            }
            Self::Differs { .. } => "if the change is wanted, review it and run `assay declare` again",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
