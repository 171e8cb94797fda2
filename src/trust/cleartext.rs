//! The cleartext signature framework (RFC 9580 §7), read and written strictly.
//!
//! One pass over one buffer in memory. What is refused here is what readers of the past understood
//! differently from each other (CVE-2013-1051, CVE-2016-1252, CVE-2015-0840, CVE-2025-68972): data
//! around the block, a second block, blanks at line ends, control characters, needless escapes.

use pgp::crypto::hash::HashAlgorithm;

use super::TrustError;
use super::armor::Label;

/// The largest signed text that is read or written, in bytes, with its signatures: what apt takes
/// (`Acquire::MaxReleaseFileSize`). Debian's largest InRelease has about 250 kB; ours lists patches and the images of installers, too,
/// with which all of Debian's architectures come to 2 MB.
pub(super) const LARGEST: usize = 10_000_000;
/// The longest line. GnuPG cuts lines off after 19,995 bytes, so a longer one could be read in two ways.
const LONGEST_LINE: usize = 16 << 10;
const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const MOST_HEADERS: usize = 8;

/// A clearsigned text whose signatures nobody has checked yet.
#[derive(Debug)]
pub(super) struct Cleartext<'a> {
    /// The text, escapes undone, each line with its newline.
    pub(super) text: Vec<u8>,
    /// What the `Hash:` headers name.
    pub(super) hashes: Vec<HashAlgorithm>,
    /// The armored signatures: all the rest of the file.
    pub(super) signatures: &'a [u8],
}

impl Cleartext<'_> {
    /// What the signatures cover: the text without its last newline (RFC 9580 §7.2).
    pub(super) fn signed(&self) -> &[u8] {
        signed_part(&self.text)
    }
}

/// What a signature over this text covers.
pub(super) fn signed_part(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

/// The text of a clearsigned file, whose signatures nobody checks: for lists of what somebody wants,
/// which give no right to anything.
///
/// # Errors
/// When the file is not one clearsigned text and nothing else.
pub fn unverified_text(bytes: &[u8]) -> Result<Vec<u8>, TrustError> {
    Ok(split(bytes)?.text)
}

/// The text of a file that may be clearsigned, as `.dsc` files are, or not. Nobody checks the signatures.
///
/// # Errors
/// When the file begins as a clearsigned text, and is not one and nothing else.
pub fn unframed_text(bytes: &[u8]) -> Result<Vec<u8>, TrustError> {
    match bytes.starts_with(BEGIN.as_bytes()) {
        true => unverified_text(bytes),
        false => Ok(bytes.to_vec()),
    }
}

/// Splits a file that is one clearsigned text and nothing else.
pub(super) fn split(bytes: &[u8]) -> Result<Cleartext<'_>, TrustError> {
    if bytes.len() > LARGEST {
        return Err(TrustError::TooLarge {
            what: "clearsigned text",
            limit: LARGEST,
            unit: "bytes",
        });
    }
    let whole = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        bad(
            before.iter().filter(|b| **b == b'\n').count().saturating_add(1),
            "it is not UTF-8",
        )
    })?;
    let mut lines = Lines { rest: whole, number: 0 };
    if lines.next() != Some(BEGIN) {
        return Err(bad(
            1,
            "the file does not start with `-----BEGIN PGP SIGNED MESSAGE-----`",
        ));
    }
    let hashes = headers(&mut lines)?;
    let mut text = Vec::with_capacity(bytes.len());
    loop {
        let before = lines.rest;
        let line = lines
            .next()
            .ok_or_else(|| bad(lines.number, "the signature is missing"))?;
        if line == Label::Signature.begin() {
            if text.is_empty() {
                return Err(bad(lines.number, "the text is empty"));
            }
            return Ok(Cleartext {
                text,
                hashes,
                signatures: before.as_bytes(),
            });
        }
        let line = unescape(line).map_err(|why| bad(lines.number, why))?;
        check_line(line).map_err(|why| bad(lines.number, why))?;
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
}

/// Frames a text and its armored signature.
pub(super) fn join(text: &[u8], hash: &str, signature: &str) -> Result<Vec<u8>, TrustError> {
    let mut file = format!("{BEGIN}\nHash: {hash}\n\n").into_bytes();
    for line in signable(text)?.split('\n') {
        if is_escaped(line) {
            file.extend_from_slice(b"- ");
        }
        file.extend_from_slice(line.as_bytes());
        file.push(b'\n');
    }
    file.extend_from_slice(signature.as_bytes());
    if file.len() > LARGEST {
        return Err(TrustError::Unsignable {
            line: 0,
            why: "it is larger than what a reader takes (10 MB)",
        });
    }
    Ok(file)
}

/// The text without its last newline, when `split` would give it back unchanged.
fn signable(text: &[u8]) -> Result<&str, TrustError> {
    let unsignable = |line, why| TrustError::Unsignable { line, why };
    let text = std::str::from_utf8(text).map_err(|_| unsignable(0, "it is not UTF-8"))?;
    let text = text
        .strip_suffix('\n')
        .ok_or_else(|| unsignable(0, "it does not end with a newline"))?;
    for (number, line) in text.split('\n').enumerate() {
        check_line(line).map_err(|why| unsignable(number.saturating_add(1), why))?;
    }
    Ok(text)
}

/// The lines of a text, each without its newline; a last line without newline is one too.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.number = self.number.saturating_add(1);
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line)
    }
}

fn bad(line: usize, why: &'static str) -> TrustError {
    TrustError::Cleartext { line, why }
}

fn headers(lines: &mut Lines<'_>) -> Result<Vec<HashAlgorithm>, TrustError> {
    let mut hashes = Vec::new();
    for _ in 0..=MOST_HEADERS {
        let line = lines
            .next()
            .ok_or_else(|| bad(lines.number, "the headers do not end with an empty line"))?;
        if line.is_empty() {
            return if hashes.is_empty() {
                Err(bad(lines.number, "there is no `Hash:` header"))
            } else {
                Ok(hashes)
            };
        }
        let names = line.strip_prefix("Hash: ").ok_or_else(|| {
            bad(
                lines.number,
                "only `Hash:` headers and then an empty line may stand here",
            )
        })?;
        for name in names.split(',') {
            hashes.push(match name.strip_prefix(' ').unwrap_or(name) {
                "SHA256" => HashAlgorithm::Sha256,
                "SHA384" => HashAlgorithm::Sha384,
                "SHA512" => HashAlgorithm::Sha512,
                _ => {
                    return Err(bad(
                        lines.number,
                        "a hash is named other than SHA256, SHA384 and SHA512",
                    ));
                }
            });
        }
    }
    Err(bad(lines.number, "there are too many headers"))
}

/// Only what must or may be escaped is: anything else that starts with a dash is a trick, or the
/// start of another block.
fn unescape(line: &str) -> Result<&str, &'static str> {
    match line.strip_prefix("- ") {
        Some(inner) if is_escaped(inner) => Ok(inner),
        Some(_) => Err("a dash escape stands before a line that needs none"),
        None if line.starts_with('-') => Err("a line starts with a dash and is not escaped"),
        None => Ok(line),
    }
}

/// Lines that GnuPG escapes.
fn is_escaped(line: &str) -> bool {
    line.starts_with('-') || line.starts_with("From ")
}

fn check_line(line: &str) -> Result<(), &'static str> {
    if line.len() > LONGEST_LINE {
        return Err("a line is longer than 16 KiB");
    }
    // Signatures over text do not cover blanks at line ends, so anybody could add them.
    if line.ends_with(' ') {
        return Err("a line ends with a blank");
    }
    if line.chars().any(char::is_control) {
        return Err("a line has a control character");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";

    fn file(text: &str) -> String {
        format!("{BEGIN}\nHash: SHA512\n\n{text}{SIGNATURE}")
    }

    fn refused(file: &str) -> bool {
        split(file.as_bytes()).is_err()
    }

    #[test]
    fn a_plain_text_is_split() {
        let file = file("Origin: x\n- -dash\n- From here\n\nlast: ü\n");
        let split = split(file.as_bytes()).unwrap();
        assert_eq!(split.text, "Origin: x\n-dash\nFrom here\n\nlast: ü\n".as_bytes());
        assert_eq!(split.signed().last(), Some(&0xBC));
        assert_eq!(split.signatures, SIGNATURE.as_bytes());
        assert_eq!(join(&split.text, "SHA512", SIGNATURE).unwrap(), file.as_bytes());
    }

    #[test]
    fn what_stands_around_the_text_is_refused() {
        let good = file("a: b\n");
        assert!(!refused(&good));
        for (from, to) in [
            (BEGIN, "\u{feff}-----BEGIN PGP SIGNED MESSAGE-----"),
            (BEGIN, "\n-----BEGIN PGP SIGNED MESSAGE-----"),
            (BEGIN, "Origin: evil\n\n-----BEGIN PGP SIGNED MESSAGE-----"),
            (BEGIN, "-----BEGIN PGP SIGNED MESSAGE----- "),
            (BEGIN, "-----BEGIN PGP SIGNED MESSAGE-----\r"),
            (BEGIN, " -----BEGIN PGP SIGNED MESSAGE-----"),
            ("Hash: SHA512\n", ""),
            ("Hash: SHA512", "Hash: SHA1"),
            ("Hash: SHA512", "Hash: SHA512, MD5"),
            ("Hash: SHA512", "Hash: SHA512 "),
            ("Hash: SHA512", "Hash:SHA512"),
            ("Hash: SHA512", "NotDashEscaped: You need GnuPG\nHash: SHA512"),
            ("Hash: SHA512", "Hash: SHA512\nComment: x"),
            ("Hash: SHA512\n\n", "Hash: SHA512\n \n"),
            ("Hash: SHA512\n\n", "Hash: SHA512\n\t\n"),
            ("Hash: SHA512\n\n", "Hash: SHA512\n"),
            ("a: b\n", ""),
            ("a: b\n", "a: b \n"),
            ("a: b\n", "a: b\t\n"),
            ("a: b\n", "a: b\r\n"),
            ("a: b\n", "a: b\u{c}\n"),
            ("a: b\n", "a: b\u{b}c\n"),
            ("a: b\n", "a: b\0\n"),
            ("a: b\n", "a: b\u{85}\n"),
            ("a: b\n", "-a: b\n"),
            ("a: b\n", "- a: b\n"),
            ("a: b\n", "-\n"),
            ("a: b\n", "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\na: b\n"),
            ("a: b\n", "-----BEGIN PGP SIGNATURE----- \na: b\n"),
        ] {
            assert!(good.contains(from));
            assert!(refused(&good.replacen(from, to, 1)), "{from:?} {to:?}");
        }
        assert!(refused(&good.replace(SIGNATURE, "")));
        assert!(refused(""));
        assert!(refused("-----BEGIN PGP SIGNED MESSAGE-----"));
        assert!(refused(&file(&format!("a: {}\n", "x".repeat(LONGEST_LINE)))));
        let mut latin = good.into_bytes();
        latin[BEGIN.len() + 16] = 0xFF;
        assert!(split(&latin).is_err());
        let large = file(&"a: b\n".repeat(LARGEST / 5));
        assert!(matches!(split(large.as_bytes()), Err(TrustError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn what_is_joined_is_split_again(text in "([-F \n]{0,3}[ -~ü]{0,20}\n){1,8}") {
            if let Ok(file) = join(text.as_bytes(), "SHA512", SIGNATURE) {
                let split = split(&file).unwrap();
                prop_assert_eq!(split.text, text.as_bytes());
            }
        }

        #[test]
        fn what_is_split_was_joined(text in "[- aF\n\r\t]{0,30}") {
            let file = file(&text);
            if let Ok(split) = split(file.as_bytes()) {
                prop_assert_eq!(join(&split.text, "SHA512", SIGNATURE).unwrap(), file.as_bytes());
            }
        }
    }
}
