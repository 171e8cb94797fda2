//! Relation fields as apt parses them (`debListParser::ParseDepends`), for binary packages.

use super::Apt;

/// The fields that apt parses in this way.
pub(super) const FIELDS: [&str; 9] = [
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Recommends",
    "Suggests",
    "Replaces",
    "Enhances",
    "Obsoletes",
];

/// Whether apt can parse a field; one that it cannot makes the whole index unusable.
pub(super) fn are_parsed(apt: Apt, value: &str) -> bool {
    let mut rest = value.trim();
    while !rest.is_empty() {
        match one(apt, rest) {
            Some(after) => rest = after.trim_start(),
            None => return false,
        }
    }
    true
}

/// What follows the first relation and its comma or bar.
fn one(apt: Apt, text: &str) -> Option<&str> {
    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '(' | ')' | ',' | '|' | '[' | ']' | '<' | '>');
    let (name, rest) = text.split_at_checked(text.find(ends).unwrap_or(text.len()))?;
    if name.is_empty() || rest.starts_with(')') {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('(') {
        Some(version) => after_version(apt, version.trim_start())?.trim_start(),
        None => rest,
    };
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix([',', '|'])
}

fn after_version(apt: Apt, text: &str) -> Option<&str> {
    let shortest = if apt == Apt::Gpgv { 4 } else { 3 };
    if text.len() < shortest {
        return None;
    }
    let operators = ["<=", "<<", "<", ">=", ">>", ">", "=", "!="];
    let operand = operators
        .iter()
        .find_map(|operator| text.strip_prefix(operator))
        .unwrap_or(text);
    let (version, rest) = operand.trim_start().split_once(')')?;
    (!version.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_parsed_as_apt_does() {
        for good in ["", "a", "a, b | c (>= 1) , d:any (=2~)", "a,", "a (1.0)", "a (> 1)"] {
            assert!(Apt::ALL.iter().all(|apt| are_parsed(*apt, good)), "{good:?}");
        }
        for bad in [
            "a (>= ",
            "a (>= )",
            "a)",
            ", a",
            "a b",
            "a [amd64]",
            "a <!nocheck>",
            "a (1",
            "(>= 1)",
        ] {
            assert!(Apt::ALL.iter().all(|apt| !are_parsed(*apt, bad)), "{bad:?}");
        }
        assert!(are_parsed(Apt::Sqv, "a (=1)") && !are_parsed(Apt::Gpgv, "a (=1)"));
    }
}
