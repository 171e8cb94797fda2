//! Whether apt takes the signature of a Release, and the text that it then has.

use super::Apt;
use super::finding::{Findings, Outcome};
use super::judge::{Judging, Object};
use crate::domain::Timestamp;
use crate::trust::{Claim, Frame, KeyFacts, claims, split_as_apt};

/// The most that apt reads of a Release file, in bytes (`Acquire::MaxReleaseFileSize`).
pub(super) const LARGEST_RELEASE: u64 = 10_000_000;
/// How far sqv's policy is looked ahead, in days.
const AHEAD: u32 = 365;
/// From when sqv does not take RSA keys of fewer than 3072 bits (apt's `default-sequoia.config`): 2030-02-01.
const RSA_2048_ENDS: i64 = 1_896_134_400;
const UNSIGNED: &str = "is not signed";

/// A Release text that apt believes.
pub(super) struct Believed {
    /// The file that it was in.
    pub(super) at: String,
    pub(super) text: String,
    /// What of a `Signed-By` apt finds fulfilled by its signatures: of each that counts the key, with and without `!`, and
    /// its primary key.
    pub(super) signers: Vec<String>,
}

/// What apt does with what is signed; none when it does not come as far as the text.
pub(super) fn signed(judging: &mut Judging<'_>, findings: &mut Findings) -> Option<Believed> {
    let at = judging.dists("InRelease");
    match judging.get(&at, LARGEST_RELEASE)? {
        Object::Absent | Object::Astray(_) => detached(judging, findings),
        Object::TooLarge => {
            reject(
                judging,
                findings,
                "L-TOO-LARGE",
                &at,
                "it is larger than 10,000,000 bytes",
            );
            None
        }
        Object::Bytes(bytes) => clearsigned(judging, findings, &at, bytes),
    }
}

fn clearsigned(judging: &Judging<'_>, findings: &mut Findings, at: &str, bytes: &[u8]) -> Option<Believed> {
    let split = match split_as_apt(bytes) {
        Ok(split) => split,
        Err(frame) => {
            let why = match frame {
                Frame::Unsigned => "it has no signed message",
                Frame::Before => "something stands before the signed message",
                Frame::Dash => "a line starts with a dash and is not escaped",
                Frame::Around => "something stands after the signature",
                Frame::CutOff => "it is cut off",
            };
            reject(judging, findings, "L-FRAME", at, why);
            findings.saying(if matches!(frame, Frame::Unsigned | Frame::Before) {
                "Clearsigned file isn't valid, got 'NOSPLIT'"
            } else {
                kept_or(judging, UNSIGNED)
            });
            return None;
        }
    };
    let claims = judging
        .question
        .keyring
        .map(|keyring| split.claims(keyring, judging.question.now));
    let signers = believe(judging, findings, at, claims)?;
    Some(Believed {
        at: at.to_owned(),
        text: String::from_utf8_lossy(&split.text).into_owned(),
        signers,
    })
}

/// Release and Release.gpg, where there is no InRelease.
fn detached(judging: &mut Judging<'_>, findings: &mut Findings) -> Option<Believed> {
    let (at, signature) = (judging.dists("Release"), judging.dists("Release.gpg"));
    let text = judging.get(&at, LARGEST_RELEASE);
    let signature = judging.get(&signature, LARGEST_RELEASE);
    let Object::Bytes(text) = text? else {
        reject(
            judging,
            findings,
            "L-NO-RELEASE",
            &at,
            "there is neither InRelease nor Release",
        );
        findings.saying("does not have a Release file");
        return None;
    };
    let Object::Bytes(signature) = signature? else {
        reject(
            judging,
            findings,
            "L-UNSIGNED",
            &at,
            "there is neither InRelease nor Release.gpg",
        );
        findings.saying(UNSIGNED);
        return None;
    };
    let claims = judging
        .question
        .keyring
        .map(|keyring| claims(signature, text, keyring, judging.question.now));
    let signers = believe(judging, findings, &at, claims)?;
    findings.add(
        Outcome::Accept,
        "L-NO-INRELEASE",
        &at,
        "there is no InRelease: a client may see Release and Release.gpg of two states",
    );
    Some(Believed {
        at,
        text: String::from_utf8_lossy(text).into_owned(),
        signers,
    })
}

/// A failure of the signature: an error at first, and later on a warning beside the data of before.
fn reject(judging: &Judging<'_>, findings: &mut Findings, code: &'static str, at: &str, why: &str) {
    let frame = code == "L-FRAME" || code == "L-TOO-LARGE" || code == "L-NO-RELEASE";
    if judging.before.is_some() && !frame {
        let why = format!("{why}; clients keep what they have");
        findings.add(Outcome::Warn, code, at, why);
    } else {
        findings.add(Outcome::Reject, code, at, why);
    }
}

fn kept_or<'a>(judging: &Judging<'_>, first: &'a str) -> &'a str {
    if judging.before.is_some() {
        "The repository is not updated and the previous index files will be used"
    } else {
        first
    }
}

/// Who signed, when apt takes it.
fn believe(
    judging: &Judging<'_>,
    findings: &mut Findings,
    at: &str,
    claims: Option<Vec<Claim>>,
) -> Option<Vec<String>> {
    let Some(claims) = claims else {
        findings.add(
            Outcome::Accept,
            "L-NO-KEYRING",
            at,
            "no keyring was given: that clients trust its signer is taken for granted",
        );
        return Some(Vec::new());
    };
    let now = judging.question.now;
    let worths: Vec<Worth> = claims.iter().map(|claim| worth(findings.apt, claim, now)).collect();
    let good: Vec<&Worth> = worths.iter().filter(|worth| worth.why.is_none()).collect();
    // gpgv has every signature of a known key match, sqv looks for one that does.
    let bad = worths.iter().find(|worth| worth.code == "L-BAD-SIGNATURE");
    let fatal = bad.filter(|_| findings.apt == Apt::Gpgv || good.is_empty());
    let first = fatal.or(if good.is_empty() { worths.first() } else { None });
    if let Some(worth) = first {
        reject(
            judging,
            findings,
            worth.code,
            at,
            worth.why.as_deref().unwrap_or_default(),
        );
        findings.saying(kept_or(judging, UNSIGNED));
        return None;
    }
    if good.is_empty() {
        reject(judging, findings, "L-UNSIGNED", at, "no signature on it can be read");
        findings.saying(kept_or(judging, UNSIGNED));
        return None;
    }
    if findings.apt == Apt::Sqv && good.iter().all(|worth| worth.soon) {
        findings.add(
            Outcome::Warn,
            "L-KEY-ENDS",
            at,
            "sqv's policy will not take its key within a year",
        );
        findings.saying("Policy will reject signature within a year");
    }
    Some(good.iter().flat_map(|worth| worth.signers.clone()).collect())
}

/// What a signature is worth to an apt.
struct Worth {
    code: &'static str,
    /// Why it does not count.
    why: Option<String>,
    /// Whether it will not count in a year.
    soon: bool,
    /// How a `Signed-By` may name it.
    signers: Vec<String>,
}

fn worth(apt: Apt, claim: &Claim, now: Timestamp) -> Worth {
    let (code, why) = match objection(apt, claim, now) {
        Some((code, why)) => (code, Some(why)),
        None => ("L-SIGNATURE", None),
    };
    Worth {
        code,
        why,
        soon: objection(apt, claim, now.plus_days(AHEAD)).is_some_and(|(code, _)| code == "L-WEAK-KEY"),
        signers: claim.key.iter().flat_map(names).collect(),
    }
}

/// The names in a `Signed-By` that a signature by this key answers to (`methods/gpgv.cc`).
fn names(key: &KeyFacts) -> [String; 3] {
    let exact = format!("{}!", key.fingerprint);
    [key.fingerprint.to_string(), exact, key.primary.to_string()]
}

fn objection(apt: Apt, claim: &Claim, now: Timestamp) -> Option<(&'static str, String)> {
    let Some(key) = &claim.key else {
        let why = format!("its signer `{}` is not in the keyring", claim.issuer);
        return Some(("L-UNKNOWN-KEY", why));
    };
    let of = |why: &str| format!("`{}` {why}", key.fingerprint);
    let strong = claim.strong_hash || (claim.sha224 && apt == Apt::Gpgv);
    if !strong {
        return Some((
            "L-WEAK-DIGEST",
            of("signed a digest that is too weak: SHA-256 or better is needed"),
        ));
    }
    if !key.matches {
        return Some(("L-BAD-SIGNATURE", of("did not sign these bytes: something was changed")));
    }
    if let Some(how) = &key.revoked {
        return Some(("L-REVOKED", of(&format!("was revoked: {how}"))));
    }
    if claim.ends_at.is_some_and(|end| now >= end) {
        return Some(("L-SIGNATURE-EXPIRED", of("made a signature that has expired")));
    }
    // sqv asks whether the key was valid when it signed, gpgv whether it is.
    let asked = if apt == Apt::Gpgv { Some(now) } else { claim.made_at };
    if let (Some(end), Some(asked)) = (key.key_ends_at, asked)
        && asked >= end
    {
        return Some(("L-KEY-EXPIRED", of(&format!("expired at {}", end.rfc3339()))));
    }
    if apt == Apt::Gpgv {
        return None;
    }
    if let Some(bits) = key.rsa_bits {
        let weak = bits < 2048 || (bits < 3072 && now.unix() >= RSA_2048_ENDS);
        return weak.then(|| ("L-WEAK-KEY", of(&format!("is an RSA key of {bits} bits"))));
    }
    if !key.usual_kind {
        return Some((
            "L-WEAK-KEY",
            of("is of a kind that sqv's policy does not take, or not for long"),
        ));
    }
    (!key.may_sign).then(|| ("L-KEY-FLAGS", of("is not bound for signing with a strong hash")))
}
