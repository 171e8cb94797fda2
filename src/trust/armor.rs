//! ASCII armor (RFC 9580 §6), strictly: a block has nothing before, between or after its parts that
//! another reader could understand differently.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::TrustError;

const LONGEST_LINE: usize = 76;
const LONGEST_HEADER: usize = 200;
const MOST_BLOCKS: usize = 4096;

/// Which kind of block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// One or more signatures.
    Signature,
    /// One or more certificates.
    PublicKey,
    /// A secret key with its self-signatures.
    PrivateKey,
}

impl Label {
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Signature => "-----BEGIN PGP SIGNATURE-----",
            Self::PublicKey => "-----BEGIN PGP PUBLIC KEY BLOCK-----",
            Self::PrivateKey => "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Signature => "-----END PGP SIGNATURE-----",
            Self::PublicKey => "-----END PGP PUBLIC KEY BLOCK-----",
            Self::PrivateKey => "-----END PGP PRIVATE KEY BLOCK-----",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Signature => "OpenPGP signature",
            Self::PublicKey => "OpenPGP certificate",
            Self::PrivateKey => "OpenPGP secret key",
        }
    }
}

/// The bytes in exactly one block, which may end with one newline.
pub(super) fn decode(label: Label, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, TrustError> {
    let bad = |why| malformed(label, why);
    let text = std::str::from_utf8(text).map_err(|_| bad("it is not text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut lines = text.split('\n');
    let bytes = block(label, &mut lines)?;
    match lines.next() {
        None => Ok(bytes),
        Some(_) => Err(bad("something follows its last line")),
    }
}

/// The bytes of any number of blocks, one after the other, with only empty lines between them.
pub(super) fn decode_all(label: Label, text: &[u8]) -> Result<Vec<u8>, TrustError> {
    let bad = |why| malformed(label, why);
    let text = std::str::from_utf8(text).map_err(|_| bad("it is not text"))?;
    let mut lines = text.split('\n').peekable();
    let mut bytes = Vec::new();
    for _ in 0..MOST_BLOCKS {
        while lines.next_if(|line| line.is_empty()).is_some() {}
        if lines.peek().is_none() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&block(label, &mut lines)?);
    }
    Err(bad("it has too many blocks"))
}

/// One block, with the checksum that gpgv 2.2 still looks for.
pub(super) fn encode(label: Label, bytes: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = Zeroizing::new(String::with_capacity(base64.len().saturating_add(256)));
    text.push_str(label.begin());
    text.push_str("\n\n");
    let mut rest = base64.as_str();
    while let Some((line, next)) = rest.split_at_checked(64) {
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push('=');
    text.push_str(&STANDARD.encode(crc24(bytes)));
    text.push('\n');
    text.push_str(label.end());
    text.push('\n');
    text
}

fn malformed(label: Label, why: &'static str) -> TrustError {
    TrustError::Armor {
        what: label.what(),
        why,
    }
}

fn block<'a>(label: Label, lines: &mut impl Iterator<Item = &'a str>) -> Result<Zeroizing<Vec<u8>>, TrustError> {
    let bad = |why| malformed(label, why);
    if lines.next() != Some(label.begin()) {
        return Err(bad("its first line is not the one of this kind of block"));
    }
    loop {
        match lines.next() {
            Some("") => break,
            Some(line) if is_header(line) => {}
            _ => return Err(bad("its headers do not end with an empty line")),
        }
    }
    let mut base64 = Zeroizing::new(String::new());
    let mut checksum = None;
    loop {
        let line = lines.next().ok_or(bad("its last line is missing"))?;
        if line == label.end() {
            break;
        }
        if checksum.is_some() {
            return Err(bad("something stands between its checksum and its last line"));
        }
        if let Some(sum) = line.strip_prefix('=').filter(|sum| sum.len() == 4) {
            checksum = Some(sum);
            continue;
        }
        if line.is_empty() || line.len() > LONGEST_LINE {
            return Err(bad("a line is empty or longer than 76 characters"));
        }
        base64.push_str(line);
    }
    let bytes = Zeroizing::new(
        STANDARD
            .decode(base64.as_bytes())
            .map_err(|_| bad("it is not base64"))?,
    );
    if bytes.is_empty() {
        return Err(bad("it is empty"));
    }
    // The checksum is optional (RFC 9580 §6.1), but a wrong one tells of damage.
    if checksum.is_some_and(|sum| sum != STANDARD.encode(crc24(&bytes))) {
        return Err(bad("its checksum is wrong"));
    }
    Ok(bytes)
}

/// Armor headers say nothing that counts, so any that are plain may stand there (old InRelease
/// files have `Version:`) — but `Hash:` belongs to clearsigned text only.
fn is_header(line: &str) -> bool {
    let Some((name, value)) = line.split_once(": ") else {
        return false;
    };
    matches!(name, "Version" | "Comment" | "MessageID" | "Charset")
        && value.len() <= LONGEST_HEADER
        && !value.chars().any(char::is_control)
}

fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x00B7_04CE;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4CFB;
            }
        }
    }
    let [_, high, middle, low] = crc.to_be_bytes();
    [high, middle, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_round_trip() {
        for length in [1, 47, 48, 49, 500] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let text = encode(Label::Signature, &bytes);
            assert_eq!(*decode(Label::Signature, text.as_bytes()).unwrap(), bytes);
            let twice = format!("{}\n\n{}", text.as_str(), text.as_str());
            assert_eq!(
                decode_all(Label::Signature, twice.as_bytes()).unwrap().len(),
                2 * bytes.len()
            );
            assert!(decode(Label::Signature, twice.as_bytes()).is_err());
            assert!(decode(Label::PublicKey, text.as_bytes()).is_err());
        }
    }

    #[test]
    fn only_the_plain_form_is_read() {
        let text = encode(Label::Signature, &[7; 60]);
        let text = text.as_str();
        let first = text.lines().nth(2).unwrap();
        let bad = [
            text.replace("-----\n\n", "-----\n"),
            text.replace("-----\n\n", "-----\n \n"),
            text.replace("-----\n\n", "-----\nHash: SHA256\n\n"),
            text.replace("-----\n\n", "-----\nVersion 1\n\n"),
            text.replace(first, &format!("{first} ")),
            text.replace(first, &format!("{first}\r")),
            text.replace(first, &format!("{first}\n")),
            text.replace("\n=", "\n=A"),
            text.replace("-----END", "x\n-----END"),
            format!("\n{text}"),
            format!("{text}\n"),
            format!("{text}x"),
            text.replace("-----END PGP SIGNATURE-----\n", ""),
            String::new(),
        ];
        for text in bad {
            assert!(decode(Label::Signature, text.as_bytes()).is_err(), "{text:?}");
        }
        let without_sum: String = text
            .lines()
            .filter(|l| !l.starts_with('='))
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(decode(Label::Signature, without_sum.as_bytes()).is_ok());
        let wrong_sum = text.replace("\n=", "\n=AAAA\nx").replace("xsum", "");
        assert!(decode(Label::Signature, wrong_sum.as_bytes()).is_err());
        let version = text.replace("-----\n\n", "-----\nVersion: GnuPG v1\n\n");
        assert!(decode(Label::Signature, version.as_bytes()).is_ok());
    }
}
