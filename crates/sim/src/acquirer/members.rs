//! Members of a JSON object, as acquirers read them that refuse what they don't know.

use serde_json::Value;

use super::strict;

/// Reads an object in which no name stands twice; else says what is wrong.
pub(crate) fn object(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())?;
    let value = strict::json(text)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("an object is expected".to_owned())
    }
}

/// The first member, at whatever depth, that is not among `names` (`a.b`; `a.*`: any of `a`).
pub(crate) fn unknown(value: &Value, names: &[&str]) -> Option<String> {
    fn walk(value: &Value, at: &str, names: &[&str]) -> Option<String> {
        let any = format!("{at}.*");
        value.as_object()?.iter().find_map(|(name, value)| {
            let path = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            if !names.contains(&path.as_str()) && !names.contains(&any.as_str()) {
                return Some(path);
            }
            walk(value, &path, names)
        })
    }
    walk(value, "", names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_at_every_depth() {
        for wrong in [&b"[]"[..], b"{", br#"{"a":1,"a":1}"#, b"{\"a\":\"\xe9\"}"] {
            assert!(object(wrong).is_err());
        }
        let value = object(br#"{"a":{"b":1},"m":{"x":1}}"#).unwrap();
        assert_eq!(unknown(&value, &["a", "a.b", "m", "m.*"]), None);
        assert_eq!(unknown(&value, &["a", "m", "m.*"]), Some("a.b".into()));
    }
}
