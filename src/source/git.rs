//! The `git` program, started so that nothing but its arguments decides what it does.

use std::path::Path;

use super::SourceError;
use crate::domain::escape;
use crate::host::{Program, files};

const LARGEST_PACK: u64 = 4 << 30;
const FETCH_SECONDS: u64 = 1800;

/// How a repository is reached. Each lets Git use one transport and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    text: String,
    protocol: &'static str,
}

impl Address {
    /// Takes an address of a kind that we fetch from (rule S5): `ext::` and its like run programs,
    /// one that starts with `-` would be an option, and a password would end in logs and declarations.
    pub(super) fn parse(url: &str) -> Result<Self, SourceError> {
        let refused = |why| SourceError::Url { url: escape(url), why };
        if url.is_empty() || url.starts_with('-') || url.len() > 1000 {
            return Err(refused("rule S5: it is empty, an option, or too long"));
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refused("rule S5: it has a blank or a control character"));
        }
        if let Some((scheme, rest)) = url.split_once("://") {
            let protocol = match scheme {
                "file" => "file",
                // Nothing is believed of a transport: objects are hashed again, and signatures checked.
                "http" => "http",
                "https" => "https",
                "ssh" => "ssh",
                "git" => "git",
                _ => {
                    return Err(refused(
                        "rule S5: only `file`, `http`, `https`, `ssh` and `git` addresses are fetched from",
                    ));
                }
            };
            let authority = rest.split('/').next().unwrap_or_default();
            if authority.starts_with('-') || authority.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
                return Err(refused("rule S5: its host is an option, or it has a password"));
            }
            return Ok(Self {
                text: url.to_owned(),
                protocol,
            });
        }
        if url.contains("::") || url.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err(refused(
                "rule S5: only `file`, `http`, `https`, `ssh` and `git` addresses are fetched from",
            ));
        }
        let path = files::absolute(Path::new(url)).map_err(|source| SourceError::Fetch {
            url: escape(url),
            source,
        })?;
        let text = path.to_str().ok_or_else(|| refused("its path is not UTF-8"))?;
        Ok(Self {
            text: text.to_owned(),
            protocol: "file",
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Git with no configuration at all, on a repository of ours.
pub(super) fn local(folder: &Path) -> Program {
    bare("git").env("GIT_DIR", folder).env("GIT_ALLOW_PROTOCOL", "none")
}

/// Git outside every repository, for `init`.
pub(super) fn outside() -> Program {
    bare("git")
        .env("GIT_DIR", "/nonexistent")
        .env("GIT_ALLOW_PROTOCOL", "none")
}

/// Git that may reach `address`. `settings` is the one configuration file it reads: it has to be a
/// file, since Git gives no other form of setting on to the `git upload-pack` of a local repository.
/// File sizes are limited by the kernel, because `git fetch` has no limit of its own.
pub(super) fn remote(address: &Address, folder: Option<&Path>, settings: &Path) -> Program {
    let limited = bare("prlimit")
        .arg(format!("--fsize={LARGEST_PACK}"))
        .arg("git")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "http.followRedirects=false"])
        .args(["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"])
        .args([
            "-c",
            "fetch.fsckObjects=true",
            "-c",
            "fetch.unpackLimit=1",
            "-c",
            "gc.auto=0",
        ])
        .env("GIT_CONFIG_GLOBAL", settings)
        .env("GIT_ALLOW_PROTOCOL", address.protocol)
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        .timeout(FETCH_SECONDS);
    match folder {
        Some(folder) => limited.env("GIT_DIR", folder),
        None => limited.env("GIT_DIR", "/nonexistent"),
    }
}

/// What `remote` reads. A local repository may belong to somebody else: we only read its objects.
pub(super) const SETTINGS: &str = "[safe]\n\tdirectory = *\n";

fn bare(program: &str) -> Program {
    Program::new(program)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("HOME", "/nonexistent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_taken() {
        for good in [
            "https://example.org/x.git",
            "ssh://git@example.org/x",
            "git://example.org/x",
            "http://example.org/x",
            "file:///tmp",
            "/tmp",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "--upload-pack=touch /tmp/x",
            "-u",
            "ext::sh -c x",
            "ext::sh",
            "fd::17",
            "ftp://example.org/x",
            "https://user:secret@example.org/x",
            "ssh://-oProxyCommand=x/y",
            "host:path",
            "git@host:path",
            "/tmp\n",
            "https://example.org/a b",
            "transport::https://example.org",
            "/does/not/exist",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }
}
