//! Canonical JSON out (RFC 8785 for what we write: sorted ASCII keys, integers, no blanks), strict
//! JSON in (RFC 8259, and a duplicate key is an error: two readers could disagree on it).

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

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

/// Reads a document.
///
/// # Errors
/// When it is not JSON, has a duplicate key or a float, or is not a `T`.
pub fn strict<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, FormatError> {
    let failed = |source| FormatError::Json { what, source };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader).map_err(failed)?;
    reader.end().map_err(failed)?;
    serde_json::from_value(value).map_err(failed)
}

/// Builds a `Value`, refusing duplicate keys.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floats and duplicate keys")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key `{}` stands twice",
                    crate::domain::escape(&key)
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_doubles_refused() -> Result<(), FormatError> {
        let value: Value = strict("test", br#"{"b":1,"a":{"d":[1,2],"c":null}}"#)?;
        assert_eq!(canonical("test", &value)?, br#"{"a":{"c":null,"d":[1,2]},"b":1}"#);
        for bad in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":{"b":1,"b":1}}"#,
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
