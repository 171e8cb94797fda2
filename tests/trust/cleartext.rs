//! Signed texts that were tampered with (threats S1 to S4): ours takes nothing that gpgv would not.

use std::collections::BTreeSet;
use std::path::Path;

use assay::trust::{ArchiveKey, Keyring, TrustError, Verified, verify_inrelease};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgp::packet::SignatureType;

use super::forge::{Forge, Says};
use super::{MADE, TEXT, at, code, needs, run};

struct Archive {
    keyring: Keyring,
    certificate: Vec<u8>,
    file: String,
}

impl Archive {
    fn new() -> Self {
        let key = ArchiveKey::generate("Archive <archive@example.org>", at(MADE)).unwrap();
        let armored = key.certificate_armored().unwrap();
        Self {
            keyring: Keyring::parse(armored.as_bytes()).unwrap(),
            certificate: dearmor(&armored),
            file: String::from_utf8(key.clearsign(TEXT, at(MADE)).unwrap()).unwrap(),
        }
    }

    fn verify(&self, file: &[u8]) -> Result<Verified, TrustError> {
        verify_inrelease(file, &needs(&self.keyring, 1))
    }

    fn signature(&self) -> Vec<u8> {
        let from = self.file.find("-----BEGIN PGP SIGNATURE").unwrap();
        dearmor(&self.file[from..])
    }

    fn with_signature(&self, signature: &[u8]) -> String {
        let from = self.file.find("-----BEGIN PGP SIGNATURE").unwrap();
        format!("{}{}", &self.file[..from], armor(signature))
    }
}

pub(super) fn dearmor(text: &str) -> Vec<u8> {
    let body = text.split_once("\n\n").unwrap().1;
    let base64: String = body.lines().take_while(|line| !line.starts_with(['=', '-'])).collect();
    STANDARD.decode(base64).unwrap()
}

/// Without a checksum, so that damage gets past the armor.
fn armor(signature: &[u8]) -> String {
    let base64 = STANDARD.encode(signature);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PGP SIGNATURE-----\n\n{}\n-----END PGP SIGNATURE-----\n",
        lines.join("\n")
    )
}

fn gpgv(folder: &Path, file: &[u8]) -> bool {
    std::fs::write(folder.join("file"), file).unwrap();
    let args = ["--homedir", ".", "--keyring", "./certificate.gpg", "file"];
    run("gpgv", &args, folder, &[]).0
}

#[test]
fn what_stands_around_or_beside_the_text_is_refused() {
    let archive = Archive::new();
    let good = archive.file.clone();
    assert_eq!(archive.verify(good.as_bytes()).unwrap().text, TEXT);
    let evil = "Origin: Evil\nSuite: stable\n";
    let (head, rest) = good.split_once("\n\n").unwrap();
    let (text, _) = rest.split_once("-----BEGIN PGP SIGNATURE-----").unwrap();
    let signature = &good[good.find("-----BEGIN PGP SIGNATURE-----").unwrap()..];
    let cases = [
        ("text before", format!("{evil}\n{good}")),
        ("empty line before", format!("\n{good}")),
        ("byte order mark", format!("\u{feff}{good}")),
        ("text after", format!("{good}{evil}")),
        ("empty line after", format!("{good}\n")),
        ("two messages", format!("{good}{good}")),
        ("message in message", format!("{head}\n\n{good}{rest}")),
        ("unsigned", text.to_owned()),
        ("signature only", signature.to_owned()),
        ("no signature", format!("{head}\n\n{text}")),
        ("signature not ended", good.replace("-----END PGP SIGNATURE-----\n", "")),
        ("two signature blocks", format!("{good}{signature}")),
        ("text header in the frame", format!("{head}\nOrigin: Evil\n\n{rest}")),
        ("no hash header", good.replace("Hash: SHA512\n", "")),
        ("wrong hash header", good.replace("SHA512", "SHA256")),
        ("weak hash header", good.replace("Hash: SHA512", "Hash: SHA512,SHA1")),
        ("blank separator", good.replace("SHA512\n\n", "SHA512\n \n")),
        ("not dash escaped", good.replace("Hash:", "NotDashEscaped: x\nHash:")),
        ("dash line", good.replace("Suite:", "-Suite:")),
        ("needless escape", good.replace("Suite:", "- Suite:")),
        ("trailing blank", good.replace("stable\n", "stable \n")),
        ("trailing tab", good.replace("stable\n", "stable\t\n")),
        ("form feed", good.replace("stable\n", "stable\u{c}\n")),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("NUL", good.replace("stable\n", "stable\0\n")),
        ("line added", good.replace("Suite:", "Acquire-By-Hash: yes\nSuite:")),
        ("line removed", good.replace("Suite: stable\n", "")),
        ("newline added", good.replace("UTC\n", "UTC\n\n")),
        (
            "armor header with data",
            good.replace("SIGNATURE-----\n\n", "SIGNATURE-----\nOrigin: Evil\n\n"),
        ),
        ("detached beside", format!("{TEXT:?}{signature}")),
    ];
    for (name, file) in cases {
        assert_ne!(file, good, "{name}");
        let result = archive.verify(file.as_bytes());
        assert!(result.is_err(), "{name}: {result:?}");
    }
}

/// With the images of its installers our Release of all of Debian is ten times as large as Debian's.
#[test]
fn a_release_is_signed_and_read_up_to_what_apt_takes() {
    let key = ArchiveKey::generate("Archive <archive@example.org>", at(MADE)).unwrap();
    let armored = key.certificate_armored().unwrap();
    let keyring = Keyring::parse(armored.as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("certificate.gpg"), dearmor(&armored)).unwrap();
    let line = format!(" {} 1 main/installer-amd64/current/images/some.img\n", "ab".repeat(32));
    let text = [TEXT, b"SHA256:\n", line.repeat(40_000).as_bytes()].concat();
    let file = key.clearsign(&text, at(MADE)).unwrap();
    assert_eq!(verify_inrelease(&file, &needs(&keyring, 1)).unwrap().text, text);
    assert!(gpgv(folder.path(), &file));
    let larger = [TEXT, line.repeat(90_000).as_bytes()].concat();
    assert!(key.clearsign(&larger, at(MADE)).is_err());
}

#[test]
fn a_signature_over_bytes_is_no_signature_over_text() {
    let forge = Forge::new();
    let keyring = Keyring::parse(&forge.certificate(&Says::default())).unwrap();
    let signed = TEXT.strip_suffix(b"\n").unwrap();
    let frame = |kind| {
        let text = String::from_utf8(TEXT.to_vec()).unwrap();
        let signature = armor(&forge.sign(kind, signed, &Says::default()));
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}{signature}")
    };
    let good = frame(SignatureType::Text);
    assert!(verify_inrelease(good.as_bytes(), &needs(&keyring, 1)).is_ok());
    let binary = frame(SignatureType::Binary);
    assert_eq!(
        code(verify_inrelease(binary.as_bytes(), &needs(&keyring, 1))),
        "E-SIG-005"
    );
    let header = good.replace("SHA512", "SHA384");
    assert_eq!(
        code(verify_inrelease(header.as_bytes(), &needs(&keyring, 1))),
        "E-SIG-007"
    );
}

#[test]
fn a_large_file_is_refused_at_once() {
    let archive = Archive::new();
    let huge = archive.file.replace("Suite:", &"x\n".repeat(6 << 20));
    assert_eq!(code(archive.verify(huge.as_bytes())), "E-SIG-002");
    let signatures = archive.with_signature(&archive.signature().repeat(17));
    assert_eq!(code(archive.verify(signatures.as_bytes())), "E-SIG-002");
}

/// Flips, cuts, doubles, swaps and inserts, of the file and of the bare signature.
fn mutants(archive: &Archive) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    let file = archive.file.as_bytes();
    for (index, _) in file.iter().enumerate() {
        for bit in [0x01, 0x20, 0x80] {
            let mut mutant = file.to_vec();
            mutant[index] ^= bit;
            all.insert(mutant);
        }
    }
    let signature = archive.signature();
    for index in 0..signature.len() {
        for bit in 0..8 {
            let mut mutant = signature.clone();
            mutant[index] ^= 1 << bit;
            all.insert(archive.with_signature(&mutant).into_bytes());
        }
        all.insert(archive.with_signature(&signature[index..]).into_bytes());
        all.insert(archive.with_signature(&signature[..=index]).into_bytes());
        all.insert(
            archive
                .with_signature(&[&signature[..], &signature[..=index]].concat())
                .into_bytes(),
        );
    }
    let lines: Vec<&str> = archive.file.split_inclusive('\n').collect();
    for index in 0..lines.len() {
        let (before, after) = lines.split_at(index);
        let line = after[0].trim_end();
        let with = |middle: &str| [&before.concat(), middle, &after[1..].concat()].concat().into_bytes();
        all.insert(with(""));
        all.insert(with(&after[0].repeat(2)));
        for next in lines.iter().skip(index + 1) {
            all.insert(with(&format!("{next}{}", after[0])));
        }
        for end in [
            "", " ", "\t", "\r", "\r\n", " \n", "\n\n", "\0\n", "\u{c}\n", "=\n", "\\\n",
        ] {
            all.insert(with(&format!("{line}{end}")));
        }
        for start in [
            "- ",
            "-",
            " ",
            "\t",
            "- - ",
            "From ",
            "Hash: SHA512\n",
            "Hash: SHA256\n",
            "Version: 1\n",
        ] {
            all.insert(with(&format!("{start}{}", after[0])));
        }
        for more in [
            "Comment: x\n",
            "-----BEGIN PGP SIGNED MESSAGE-----\n",
            "-----END PGP SIGNATURE-----\n",
            "\n",
        ] {
            all.insert(with(&format!("{more}{}", after[0])));
        }
    }
    all
}

#[test]
fn what_ours_takes_gpgv_takes_and_it_is_what_was_signed() {
    let archive = Archive::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("certificate.gpg"), &archive.certificate).unwrap();
    assert!(gpgv(folder.path(), archive.file.as_bytes()));
    let mutants = mutants(&archive);
    assert!(mutants.len() > 2500, "only {} mutants", mutants.len());
    let mut taken = 0;
    for mutant in &mutants {
        let Ok(verified) = archive.verify(mutant) else {
            continue;
        };
        let shown = String::from_utf8_lossy(mutant);
        assert_eq!(verified.text, TEXT, "{shown}");
        assert!(gpgv(folder.path(), mutant), "{shown}");
        taken += 1;
    }
    // The oracle must have been asked: a header more, a checksum less are harmless.
    assert!(
        (5..200).contains(&taken),
        "{taken} mutants of {} were taken",
        mutants.len()
    );
}
