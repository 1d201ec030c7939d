//! Parses JSON from outside.
//!
//! Depth and number of members are limited, because the input may be malicious.

use crate::error::{Context, Error, Kind, Result};
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Limit of nesting depth. Real documents are flatter, and recursive parsers stay within their
/// stack.
const MAX_DEPTH: u32 = 64;

/// Limit of members of an object.
const MAX_MEMBERS: usize = 4096;

/// Parses `text` after a check of its depth. Error messages call it `what`.
pub(crate) fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a [u8]) -> Result<T> {
    check_depth(what, text)?;
    serde_json::from_slice(text).context(Kind::Input, || what)
}

/// Parses an array or null in config.json. Error messages call it `what`.
pub(crate) fn list<'a>(what: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
    Ok(part::<Option<Vec<&'a RawValue>>>(what, raw)?.unwrap_or_default())
}

/// Parses another part of config.json. Error messages call it `what`.
pub(crate) fn part<'a, T: Deserialize<'a>>(what: &str, raw: &'a RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).context(Kind::Input, || format!("config.json, {what}"))
}

/// Checks that brackets outside of strings nest no deeper than `MAX_DEPTH`.
///
/// serde_json has no depth limit of its own for members that it skips.
fn check_depth(what: &str, text: &[u8]) -> Result<()> {
    let mut depth = 0u32;
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => skip_string(&mut rest),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let message = format!("{what}: nests deeper than {MAX_DEPTH} levels");
            return Err(Error::new(Kind::Input, message));
        }
    }
    Ok(())
}

/// Advances past the closing quote of a string. Most bytes of a document are in strings.
fn skip_string(rest: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = rest.next(),
            _ => {}
        }
    }
}

/// The members of an object in order, with unparsed values.
///
/// A duplicate key is refused, because runtimes disagree on which of the two values counts.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Returns the value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> std::result::Result<Self::Value, M::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                let mut keys = HashSet::new();
                while let Some(Key(key)) = map.next_key()? {
                    if members.len() == MAX_MEMBERS {
                        return Err(M::Error::custom("more than 4096 members of an object"));
                    }
                    if !keys.insert(key.clone()) {
                        return Err(M::Error::custom(format_args!("duplicate key {key:?}")));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        input.deserialize_map(Collect)
    }
}

/// A string that is borrowed from the document unless it contains escapes.
#[derive(Deserialize)]
pub(crate) struct Key<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Returns the byte range of `value` in `document`, from which it was parsed.
pub(crate) fn span(document: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr() as usize - document.as_ptr() as usize;
    start..start + value.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_outside_strings() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check_depth("x", nested(64).as_bytes()).is_ok());
        assert!(check_depth("x", nested(65).as_bytes()).is_err());
        let beside = format!("[{}1]", "[{}],".repeat(1000));
        assert!(check_depth("x", beside.as_bytes()).is_ok(), "beside is not inside");
        // Brackets between strings count, however short the strings are.
        for length in 0..20 {
            let open = format!("[\"{}\",", "a".repeat(length));
            let nested = |levels: usize| open.repeat(levels) + "1" + &"]".repeat(levels);
            assert!(check_depth("x", nested(64).as_bytes()).is_ok(), "{length}");
            assert!(check_depth("x", nested(65).as_bytes()).is_err(), "{length}");
        }
        // Brackets inside a string do not count, wherever its escaped quotes are.
        for length in [0, 1, 14, 15, 16, 17, 1000] {
            let inside = format!("{}\\\"[\\\\", "[".repeat(length));
            let outside = nested(64);
            let text = |deepest: &str| format!("[\"{inside}\",\"\",{deepest}]");
            assert!(check_depth("x", text("1").as_bytes()).is_ok(), "{length}");
            assert!(check_depth("x", text(&outside).as_bytes()).is_err(), "{length}");
        }
        assert!(check_depth("x", b"\"[[[\\").is_ok());
    }

    #[test]
    fn members_know_their_place() {
        let text = r#" {"a" : [1, 2],"b\u0063":{"d":null}} "#;
        let members: Members<'_> = parse("x", text.as_bytes()).unwrap();
        let raw = members.get("bc").unwrap();
        assert_eq!(&text[span(text, raw)], r#"{"d":null}"#);
        assert!(parse::<Members<'_>>("x", br#"{"a":1,"\u0061":2}"#).is_err());
        let many = |count| {
            let members: Vec<_> = (0..count).map(|n| format!("\"k{n}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(parse::<Members<'_>>("x", many(MAX_MEMBERS).as_bytes()).is_ok());
        assert!(parse::<Members<'_>>("x", many(MAX_MEMBERS + 1).as_bytes()).is_err());
    }
}
