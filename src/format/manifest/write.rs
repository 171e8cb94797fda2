//! Writing build manifests, as the emitter that Tails uses (Perl's YAML::XS) does: keys sorted, lists
//! at their key's own indentation, and quotes only around what would read as a number or as nothing.

use super::tails::FORMAT;
use super::{Manifest, Wanted, WantedArchitecture};

pub(super) fn v1(manifest: &Manifest) -> Vec<u8> {
    let mut out = String::from("---\n");
    body(&mut out, manifest, |_| Vec::new());
    out.into_bytes()
}

pub(super) fn v2(manifest: &Manifest) -> Vec<u8> {
    let mut out = String::from("---\n");
    if let Some(environment) = &manifest.environment {
        line(&mut out, "environment: ", environment.hex());
    }
    line(&mut out, "format: ", FORMAT);
    if let Some(commit) = &manifest.git_commit {
        line(&mut out, "git_commit: ", commit);
    }
    body(&mut out, manifest, details);
    out.into_bytes()
}

type Pairs = Vec<(&'static str, String)>;

fn body(out: &mut String, manifest: &Manifest, more: fn(&Wanted) -> Pairs) {
    if !manifest.origins.is_empty() {
        out.push_str("origin_references:\n");
    }
    for (archive, name) in &manifest.origins {
        let name = name.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        out.push_str(&format!("  {}:\n", quoted(archive.as_str())));
        line(out, "    reference: ", name);
    }
    if !manifest.binaries.is_empty() || !manifest.sources.is_empty() {
        out.push_str("packages:\n");
    }
    for (kind, list) in [("binary", &manifest.binaries), ("source", &manifest.sources)] {
        if !list.is_empty() {
            out.push_str(&format!("  {kind}:\n"));
        }
        for wanted in list {
            entry(out, wanted, kind == "binary", more);
        }
    }
}

fn entry(out: &mut String, wanted: &Wanted, binary: bool, more: fn(&Wanted) -> Pairs) {
    let mut pairs = more(wanted);
    if let WantedArchitecture::Exactly(one) | WantedArchitecture::Native(one) = &wanted.architecture
        && binary
    {
        pairs.push(("arch", one.to_string()));
    }
    pairs.push(("package", wanted.package.to_string()));
    pairs.push(("version", wanted.version.to_string()));
    pairs.sort();
    for (number, (key, value)) in pairs.into_iter().enumerate() {
        let lead = if number == 0 { "  - " } else { "    " };
        line(out, &format!("{lead}{key}: "), value);
    }
}

fn details(wanted: &Wanted) -> Pairs {
    let details = &wanted.details;
    let pairs = [
        ("sha256", details.sha256.map(|v| v.hex())),
        ("size", details.size.map(|v| v.to_string())),
        ("archive", details.archive.as_ref().map(ToString::to_string)),
        ("suite", details.suite.as_ref().map(ToString::to_string)),
        ("component", details.component.as_ref().map(ToString::to_string)),
        ("source", details.source.as_ref().map(ToString::to_string)),
        (
            "source_version",
            details.source_version.as_ref().map(ToString::to_string),
        ),
        ("input_id", details.input_id.map(|v| v.hex())),
    ];
    pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn line(out: &mut String, lead: &str, value: impl ToString) {
    out.push_str(lead);
    out.push_str(&quoted(&value.to_string()));
    out.push('\n');
}

/// The values of a manifest have no character that needs quotes for its own sake.
fn quoted(text: &str) -> String {
    if matches!(text, "" | "~" | "true" | "false" | "null") || looks_like_number(text) {
        format!("'{text}'")
    } else {
        text.to_owned()
    }
}

/// Perl's `looks_like_number`: what it calls one, YAML::XS quotes.
fn looks_like_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["inf", "infinity", "nan"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
    {
        return true;
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn numbers_are_quoted_as_perl_sees_them() {
        for number in ["3.118", "20170604", "1e5", "1.", "1.5E+3", "007", "inf", "NaN"] {
            assert_eq!(quoted(number), format!("'{number}'"));
        }
        for text in [
            "1:2",
            "1:2.5",
            "2.2.52-3+b1",
            "1.0~rc1",
            "0x1f",
            "1e",
            "1_000",
            "e5",
            "3.1.4",
            "infinite",
            "yes",
        ] {
            assert_eq!(quoted(text), text);
        }
    }
}
