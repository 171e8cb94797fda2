//! Names that people tell apart, and that a quorum counts: one who is spelled in two ways would count twice.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A name as it is written in a policy: something visible, without blanks at its ends, or several within.
pub(super) fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let plain = text.split(' ').all(|word| !word.is_empty());
    let visible = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace() || is_invisible(c));
    if !plain || !text.chars().all(visible) {
        let shown = crate::domain::escape(&text);
        let why = "blanks at the ends, double ones and invisible characters would make two names of one";
        return Err(D::Error::custom(format!("`{shown}` is no name: {why}")));
    }
    Ok(text)
}

/// Whether two names are another spelling of one: they differ, and not in what people see or say.
pub(super) fn is_alike(one: &str, other: &str) -> bool {
    one != other && bones(one) == bones(other)
}

/// What is left of a name without case, marks between words, and letters that look like others. A mark between digits stays: `1-12`
/// is not `11-2`.
fn bones(name: &str) -> String {
    let (mut bones, mut gap, mut after_digit) = (String::new(), false, false);
    for c in name.chars().flat_map(char::to_lowercase) {
        if !c.is_alphanumeric() {
            gap = true;
            continue;
        }
        if gap && after_digit && c.is_numeric() {
            bones.push('-');
        }
        (gap, after_digit) = (false, c.is_numeric());
        bones.push(plain(c));
    }
    bones
}

/// Characters of no width of their own: joiners, marks of direction, soft hyphens, variation selectors, combining marks, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The Latin letter or digit that one looks like: Cyrillic, Greek and full-width ones, and the digits that are written for letters.
fn plain(c: char) -> char {
    match c {
        'а' | 'α' | 'ɑ' => 'a',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ё' => 'e',
        'һ' => 'h',
        'i' | 'і' | 'ι' | 'ı' | 'ӏ' | '1' => 'l',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'п' => 'n',
        'о' | 'ο' | 'σ' | '0' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ν' => 'v',
        'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        '\u{ff10}'..='\u{ff5a}' => {
            let narrow = u32::from(c).saturating_sub(0xfee0);
            char::from_u32(narrow).map_or(c, |narrow| narrow.to_ascii_lowercase())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_is_another_name_only_where_people_see_one() {
        for (one, other) in [
            ("alice", "Alice"),
            ("alice", "аlice"),
            ("alice", "aIice"),
            ("alice", "al1ce"),
            ("alice b", "alice-b"),
            ("bob", "b0b"),
            ("bob", "ｂob"),
        ] {
            assert!(is_alike(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("alice", "alice"),
            ("alice", "alicia"),
            ("bob", "rob"),
            ("Jürgen", "Jurgen"),
        ] {
            assert!(!is_alike(one, other), "{one} {other}");
        }
    }
}
