//! Canonical JSON out (RFC 8785 for what we write: sorted ASCII keys, integers, no blanks), strict
//! JSON in (RFC 8259, and a duplicate key is an error: two readers could disagree on it).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::FormatError;

/// The canonical bytes of a value: the same value gives the same bytes, with a newline at the end
/// of none.
///
/// # Errors
/// When the value cannot be JSON (a map with keys that are no strings): a bug of the caller.
pub fn canonical<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, FormatError> {
    let sorted = serde_json::to_value(value).map_err(|source| FormatError::Json { what, source })?;
    serde_json::to_vec(&sorted).map_err(|source| FormatError::Json { what, source })
}

/// Reads a document. In two passes, neither of which makes a tree of values: large documents are read by the hundred
/// thousand.
///
/// # Errors
/// When it is not JSON, has a duplicate key or a float, or is not a `T`.
pub fn strict<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, FormatError> {
    let failed = |source| FormatError::Json { what, source };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Strict.deserialize(&mut reader).map_err(failed)?;
    reader.end().map_err(failed)?;
    serde_json::from_slice(bytes).map_err(failed)
}

/// Keeps nothing: it refuses floats, and keys that stand twice in one object.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floats and duplicate keys")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Strict)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(Name)? {
            if keys.has(&key) {
                let key = crate::domain::escape(&key);
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            keys.add(key);
            entries.next_value_seed(Strict)?;
        }
        Ok(())
    }
}

/// The keys of one object. Most objects have a handful.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    fn has(&self, key: &str) -> bool {
        self.few.iter().any(|known| known == key) || (!self.many.is_empty() && self.many.contains(key))
    }

    fn add(&mut self, key: Cow<'de, str>) {
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
    }
}

/// A key, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn keys_are_sorted_and_doubles_refused() -> Result<(), FormatError> {
        let value: Value = strict("test", br#"{"b":1,"a":{"d":[1,2],"c":null}}"#)?;
        assert_eq!(canonical("test", &value)?, br#"{"a":{"c":null,"d":[1,2]},"b":1}"#);
        for bad in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":{"b":1,"b":1}}"#,
            br#"{"a":1,"\u0061":2}"#,
            br#"{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"h":1}"#,
            br#"[18446744073709551616]"#,
            br#"{"a":1} x"#,
            br#"{"a":1.5}"#,
            b"",
            b"{",
        ] {
            assert!(
                strict::<Value>("test", bad).is_err(),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
        Ok(())
    }
}
