//! Names that people tell apart, and that a quorum counts: one who is spelled in two ways would count twice.
//!
//! This is asked of the files of a site, and not of [`Policy`](super::Policy) itself: what was decided under a policy that was
//! written before stays readable, and decides the same again.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::BuilderId;

/// The names of a policy file: read as it is, none is another's in another spelling.
#[derive(Debug, Deserialize)]
pub(super) struct Spelled {
    #[serde(rename = "signer", default, deserialize_with = "signers")]
    _signers: Vec<Signer>,
    #[serde(rename = "builder", default, deserialize_with = "builders")]
    _builders: Vec<Builder>,
}

#[derive(Debug, Deserialize)]
struct Signer {
    #[serde(deserialize_with = "named")]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Builder {
    id: BuilderId,
    #[serde(deserialize_with = "named")]
    operator: String,
    #[serde(deserialize_with = "named")]
    hosting: String,
}

fn builders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Builder>, D::Error> {
    each(deserializer, |before: &[Builder], one: &Builder| {
        for other in before {
            let (one_id, other_id) = (&one.id, &other.id);
            for (what, one, other) in [
                ("operator", &one.operator, &other.operator),
                ("hosting", &one.hosting, &other.hosting),
            ] {
                if is_alike(one, other) {
                    return Err(format!(
                        "the {what} `{one}` of the builder `{one_id}` is that of `{other_id}`, `{other}`, in another spelling: a quorum \
                         would count it twice; write both alike, or call them something else"
                    ));
                }
            }
        }
        Ok(())
    })
}

fn signers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Signer>, D::Error> {
    each(deserializer, |before: &[Signer], one: &Signer| {
        let Some(other) = before.iter().find(|other| is_alike(&one.name, &other.name)) else {
            return Ok(());
        };
        let (name, owner) = (&one.name, &other.name);
        Err(format!(
            "the signer `{name}` is `{owner}` in another spelling: a threshold would count one as two; write both alike, or call them \
             something else"
        ))
    })
}

/// A list whose items are each checked against those before it.
pub(super) fn each<'de, D, T>(deserializer: D, check: fn(&[T], &T) -> Result<(), String>) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Checked(check))
}

struct Checked<T>(fn(&[T], &T) -> Result<(), String>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Checked<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Item {
            before: &all,
            check: self.0,
        })? {
            all.push(item);
        }
        Ok(all)
    }
}

/// One item, read as the table that it is: what is said against it then has its place.
struct Item<'a, T> {
    before: &'a [T],
    check: fn(&[T], &T) -> Result<(), String>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Item<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Item<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        let item = T::deserialize(MapAccessDeserializer::new(fields))?;
        (self.check)(self.before, &item).map_err(A::Error::custom)?;
        Ok(item)
    }
}

/// A name as it is written in a policy: something visible, without blanks at its ends, or several within.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
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
fn is_alike(one: &str, other: &str) -> bool {
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
