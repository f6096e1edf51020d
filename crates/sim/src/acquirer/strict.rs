//! JSON as strict acquirers read it: one object, no name twice, no name that they don't know.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads an object in which no name stands twice; else says what is wrong.
pub(crate) fn object(body: &[u8]) -> Result<Value, String> {
    let Once(value) = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("an object is expected".to_owned())
    }
}

/// The first member, at whatever depth, that is not among `names` (written `a.b`). A name with `.*` takes any members.
pub(crate) fn unknown(value: &Value, names: &[&str]) -> Option<String> {
    fn walk(value: &Value, at: &str, names: &[&str]) -> Option<String> {
        let members = value.as_object()?;
        members.iter().find_map(|(name, value)| {
            let path = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            let any = format!("{at}.*");
            if !names.contains(&path.as_str()) && !names.contains(&any.as_str()) {
                return Some(path);
            }
            walk(value, &path, names)
        })
    }
    walk(value, "", names)
}

/// A value without doubled names.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut all = Vec::new();
        while let Some(Once(member)) = members.next_element()? {
            all.push(member);
        }
        Ok(Once(all.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut all = Map::new();
        while let Some((name, Once(value))) = members.next_entry::<String, Once>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` stands twice")));
            }
            all.insert(name, value);
        }
        Ok(Once(all.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_once_and_are_known() {
        assert!(object(br#"{"a":{"b":1,"c":[null,true,-1,0.5]}}"#).is_ok());
        for wrong in [
            &b"[]"[..],
            b"7",
            b"{",
            br#"{"a":1,"a":1}"#,
            br#"{"a":{"b":1,"b":2}}"#,
            b"{\"a\":\"\xe9\"}",
        ] {
            assert!(object(wrong).is_err());
        }
        let value = object(br#"{"a":{"b":1},"m":{"x":1}}"#).unwrap();
        assert_eq!(unknown(&value, &["a", "a.b", "m", "m.*"]), None);
        assert_eq!(unknown(&value, &["a", "m", "m.*"]), Some("a.b".into()));
    }
}
