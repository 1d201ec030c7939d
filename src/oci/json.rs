//! Parses JSON from outside, as leniently as runtimes do.
//!
//! Nothing here is recursive: `serde_json` skips members iteratively at any depth, and the types that
//! are read have few levels. Bounds of size are those of the readers.

use crate::error::{Context, Kind, Result};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Parses `text`, which must be one JSON value. Error messages call it `what`.
pub(crate) fn parse<'a, T: Deserialize<'a>>(what: &str, text: &'a [u8]) -> Result<T> {
    serde_json::from_slice(text).context(Kind::Input, || what)
}

/// Parses the value at the beginning of config.json. runc ignores what follows it.
pub(crate) fn config<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    first("config.json", text)
}

/// Parses the value at the beginning of `text`. Error messages call it `what`.
pub(crate) fn first<'a, T: Deserialize<'a>>(what: &str, text: &'a str) -> Result<T> {
    let mut document = serde_json::Deserializer::from_str(text);
    T::deserialize(&mut document).context(Kind::Input, || what)
}

/// Returns `bytes` as text of the same length: each byte that is not UTF-8 becomes `?`, and half of a
/// surrogate pair (`\ud800`) becomes `\ufffd`.
///
/// runc accepts both in strings. Offsets in the text are offsets in `bytes`.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let text = utf8(bytes);
    // Most files have no escape at all. One byte is found sooner than a text.
    let has_halves = text.contains('\\') && (text.contains("\\ud") || text.contains("\\uD"));
    if has_halves { whole_pairs(&text).into() } else { text }
}

/// Returns `text` with `\ufffd` in place of each half of a surrogate pair.
fn whole_pairs(text: &str) -> String {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6).filter(|escape| escape.starts_with("\\u"));
        escape.and_then(|escape| u16::from_str_radix(&escape[2..], 16).ok())
    };
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.find('\\') {
        let at = text.len() - rest.len() + next;
        whole.push_str(&rest[..next]);
        let (escape, length) = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&text[at..at + 12], 12),
            (Some(0xd800..=0xdfff), _) => ("\\ufffd", 6),
            (Some(_), _) => (&text[at..at + 6], 6),
            // Any other escape; the character behind the backslash begins no escape.
            (None, _) => {
                let length = text[at..].chars().take(2).map(char::len_utf8).sum();
                (&text[at..at + length], length)
            }
        };
        whole.push_str(escape);
        rest = &text[at + length..];
    }
    whole + rest
}

fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    let mut text = String::new();
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(all) if text.is_empty() => return Cow::Borrowed(all),
            Ok(all) => {
                text.push_str(all);
                return Cow::Owned(text);
            }
            Err(error) => {
                let (valid, behind) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                let invalid = error.error_len().unwrap_or(behind.len()).max(1);
                text.extend(std::iter::repeat_n('?', invalid));
                rest = behind.get(invalid..).unwrap_or_default();
            }
        }
    }
}

/// Parses an array or null in config.json. Error messages call it `what`.
pub(crate) fn list<'a>(what: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
    Ok(part::<Option<Vec<&'a RawValue>>>(what, raw)?.unwrap_or_default())
}

/// Parses another part of config.json. Error messages call it `what`.
pub(crate) fn part<'a, T: Deserialize<'a>>(what: &str, raw: &'a RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).context(Kind::Input, || format!("config.json, {what}"))
}

/// Parses a value that only describes the container. One of another type counts as missing: a
/// runtime that needs it refuses it itself.
pub(crate) fn lenient<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    let value: Option<Option<T>> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    value.flatten().unwrap_or_default()
}

/// The members of an object in order, with unparsed values.
///
/// A key may occur twice. runc takes the last value, and merges two objects; crun takes the first
/// value.
#[derive(Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Returns the last value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.all(key).last()
    }

    /// Returns all values of `key`, in order.
    pub(crate) fn all(&self, key: &str) -> impl DoubleEndedIterator<Item = &'a RawValue> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| *value)
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
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        input.deserialize_map(Collect)
    }
}

/// A string that is borrowed from the document unless it contains escapes.
pub(crate) struct Key<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> std::result::Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        // Not `deserialize_bytes`: it asks the processor for its features, which takes a tenth of a
        // start on a virtual machine.
        input.deserialize_str(Text)
    }
}

/// Whether `name` is `key` but for its capitals: runc reads it as `key`, crun and we do not.
pub(crate) fn has_other_capitals(name: &str, key: &str) -> bool {
    name != key && name.eq_ignore_ascii_case(key)
}

/// Returns the byte range of `value` in `document`, from which it was parsed.
pub(crate) fn span(document: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr() as usize - document.as_ptr() as usize;
    start..start + value.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IgnoredAny;

    /// A recursive reader would overflow its stack.
    #[test]
    fn a_million_levels_are_skipped() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]")] {
            let deep = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
            let text = format!("{{\"x\":{deep},\"a\":\"1\"}}");
            let members: Members<'_> = config(&text).unwrap();
            assert_eq!(members.get("x").map(|raw| raw.get().len()), Some(deep.len()));
            assert_eq!(members.get("a").map(RawValue::get), Some("\"1\""));
            assert!(parse::<IgnoredAny>("x", text.as_bytes()).is_ok());
            assert!(lenient::<String>(members.get("x")).is_empty(), "another type");
            assert!(config::<Members<'_>>(&text[..text.len() / 2]).is_err(), "cut off");
        }
    }

    #[test]
    fn members_know_their_place() {
        let text = r#" {"a" : [1, 2],"b\u0063":{"d":null}} "#;
        let members: Members<'_> = config(text).unwrap();
        let raw = members.get("bc").unwrap();
        assert_eq!(&text[span(text, raw)], r#"{"d":null}"#);
        let members: Members<'_> = config(r#"{"a":1,"\u0061":2} behind"#).unwrap();
        assert_eq!(members.all("a").map(RawValue::get).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(members.get("a").map(RawValue::get), Some("2"), "the last");
        let many: Vec<_> = (0..100_000).map(|n| format!("\"k{n}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(config::<Members<'_>>(&many).map(|members| members.0.len()).ok(), Some(100_000));
    }

    #[test]
    fn text_keeps_its_length() {
        for (bytes, expected) in [
            (&b"abc"[..], "abc"),
            (b"", ""),
            (b"a\xffb", "a?b"),
            (b"\xff\xfe", "??"),
            (b"\xe2\x82", "??"),
            (b"a\xf0\x9f\xa6\x80\xf0\x9f", "a\u{1f980}??"),
            ("\u{e9}".as_bytes(), "\u{e9}"),
            (br"a\ud800b", r"a\ufffdb"),
            (br"\uD83e\uDd80\uDd80", r"\uD83e\uDd80\ufffd"),
            (br"\\ud800\\\ud800", r"\\ud800\\\ufffd"),
            (br"\ud800\u0041\n\ud8", r"\ufffd\u0041\n\ud8"),
            (b"\\\xc3\xa9\\ud800\\", "\\\u{e9}\\ufffd\\"),
        ] {
            assert_eq!(text(bytes), expected);
            assert_eq!(text(bytes).len(), bytes.len());
        }
    }

    #[test]
    fn strings_that_runc_accepts() {
        let string = |literal: &str| {
            let literal = text(literal.as_bytes()).into_owned();
            serde_json::from_str::<Key<'_>>(&literal).map(|key| key.0.into_owned())
        };
        assert_eq!(string(r#""a\u00e9""#).unwrap(), "a\u{e9}");
        assert_eq!(string(r#""a\ud800b""#).unwrap(), "a\u{fffd}b");
        assert_eq!(string(r#""\ud83e\udd80""#).unwrap(), "\u{1f980}");
        for bad in ["1", "null", "[97]", "{}", r#""\x""#, "\"a"] {
            assert!(string(bad).is_err(), "{bad}");
        }
    }
}
