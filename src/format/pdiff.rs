//! `<index>.diff/Index`: the patches that lead from older states of an index to its present one.

use crate::domain::{Digest, FileName};

use super::FormatError;
use super::checksums::{lower_hex, number, value, words};
use super::deb822::{Paragraph, paragraph};

const WHAT: &str = "pdiff Index";

/// What an Index lists that a client can use: patches with a SHA-256 of what is downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PdiffIndex {
    /// The present state of the index, uncompressed.
    pub current: Digest,
    /// Oldest first.
    pub patches: Vec<Patch>,
    /// Each patch leads to the present state. Otherwise each leads to the state after its own, and a
    /// client needs all that follow.
    pub merged: bool,
}

/// One patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The state that it changes, uncompressed.
    pub from: Digest,
    /// The file beside the Index: compressed.
    pub file: FileName,
    /// What that file is.
    pub download: Digest,
    /// What it decompresses to.
    pub patch: Digest,
}

impl PdiffIndex {
    /// Reads an Index.
    ///
    /// A patch that one of the lists lacks is left out: apt uses none without a SHA-256 of each.
    ///
    /// # Errors
    /// When it is not one strict deb822 paragraph, has no `SHA256-Current`, or a line is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let paragraph = paragraph(WHAT, bytes)?;
        let [hex, size] = words(WHAT, CURRENT, paragraph.require(WHAT, CURRENT)?)?;
        let current = Digest {
            sha256: lower_hex(WHAT, CURRENT, hex)?,
            size: number(WHAT, CURRENT, size)?,
        };
        let history = list(&paragraph, "SHA256-History")?;
        let plain = list(&paragraph, "SHA256-Patches")?;
        let compressed = list(&paragraph, "SHA256-Download")?;
        let patch = |(name, from): (FileName, Digest)| {
            let find = |list: &[(FileName, Digest)], wanted: &str| {
                let found = list.iter().find(|(known, _)| known.as_str() == wanted)?;
                Some(found.clone())
            };
            let (_, patch) = find(&plain, name.as_str())?;
            let (file, download) = find(&compressed, &format!("{name}.gz"))?;
            Some(Patch {
                from,
                file,
                download,
                patch,
            })
        };
        Ok(Self {
            current,
            patches: history.into_iter().filter_map(patch).collect(),
            merged: paragraph.get("X-Patch-Precedence") == Some("merged"),
        })
    }

    /// The patches that help a client whose index is in one of `states`, and that are less to fetch
    /// than the whole index is: `whole` bytes.
    #[must_use]
    pub fn helpful(&self, whole: u64, states: impl Fn(&Digest) -> bool) -> Vec<&Patch> {
        if self.merged {
            let helps = |patch: &&Patch| patch.download.size < whole && states(&patch.from);
            return self.patches.iter().filter(helps).collect();
        }
        let mut sum = 0u64;
        let affordable = |patch: &&Patch| {
            sum = sum.saturating_add(patch.download.size);
            sum < whole
        };
        let mut chain: Vec<&Patch> = self.patches.iter().rev().take_while(affordable).collect();
        chain.reverse();
        chain.into_iter().skip_while(|patch| !states(&patch.from)).collect()
    }
}

const CURRENT: &str = "SHA256-Current";

fn list(paragraph: &Paragraph, field: &'static str) -> Result<Vec<(FileName, Digest)>, FormatError> {
    let lines = paragraph.get(field).unwrap_or_default().lines();
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let [hex, size, name] = words(WHAT, field, line)?;
            let sha256 = lower_hex(WHAT, field, hex)?;
            let size = number(WHAT, field, size)?;
            Ok((value(WHAT, field, name)?, Digest { sha256, size }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(merged: bool) -> String {
        let hex = |n: u8| format!("{n:02x}").repeat(32);
        let precedence = if merged { "X-Patch-Precedence: merged\n" } else { "" };
        format!(
            "SHA1-Current: x 1\nSHA256-Current: {c} 1000\n\
             SHA256-History:\n {a} 900 T-1\n {b} 950 T-2\n {d} 960 T-3\n\
             SHA256-Patches:\n {e} 60 T-1\n {e} 50 T-2\n {e} 40 T-3\n\
             SHA256-Download:\n {f} 30 T-1.gz\n {f} 20 T-2.gz\n {f} 10 T-3.gz\n{precedence}",
            a = hex(1),
            b = hex(2),
            c = hex(3),
            d = hex(4),
            e = hex(5),
            f = hex(6)
        )
    }

    fn names(merged: bool, whole: u64, states: &[u8]) -> Vec<String> {
        let index = PdiffIndex::parse(index(merged).as_bytes()).unwrap();
        let known = |digest: &Digest| {
            states
                .iter()
                .any(|n| digest.sha256.hex() == format!("{n:02x}").repeat(32))
        };
        let helpful = index.helpful(whole, known);
        helpful.into_iter().map(|patch| patch.file.to_string()).collect()
    }

    #[test]
    fn only_history_that_helps() {
        assert_eq!(names(true, 100, &[1, 4]), ["T-1.gz", "T-3.gz"]);
        assert_eq!(
            names(true, 20, &[1, 4]),
            ["T-3.gz"],
            "a patch larger than the index saves nothing"
        );
        assert_eq!(names(true, 100, &[]), [""; 0]);
        assert_eq!(
            names(false, 100, &[2]),
            ["T-2.gz", "T-3.gz"],
            "a chain needs what follows"
        );
        assert_eq!(
            names(false, 31, &[1, 2]),
            ["T-2.gz", "T-3.gz"],
            "more would be more than the index"
        );
    }

    #[test]
    fn what_apt_cannot_use_is_left_out_and_the_rest_is_strict() {
        let no_download = index(true).replace("SHA256-Download", "SHA1-Download");
        assert_eq!(PdiffIndex::parse(no_download.as_bytes()).unwrap().patches, []);
        for (from, to) in [
            ("SHA256-Current", "SHA512-Current"),
            (" T-1\n", " ../T-1\n"),
            (" 900 ", " -900 "),
            ("0101", "01G1"),
        ] {
            assert!(
                PdiffIndex::parse(index(true).replacen(from, to, 1).as_bytes()).is_err(),
                "{from} -> {to}"
            );
        }
    }
}
