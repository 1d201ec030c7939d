//! Strict JSON of bounded size and depth, without duplicate keys.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Size limit of a document, in bytes.
pub(super) const MAX_BYTES: usize = 64 << 10;
/// Limit of nested arrays and objects.
const MAX_DEPTH: usize = 8;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number from 0 on without a fraction.
    Whole(u64),
    /// Another number.
    Number,
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object. No two keys are equal.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses one document of at most [`MAX_BYTES`]. Returns why it is refused otherwise.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err("longer than 64 KiB".to_owned());
        }
        let mut input = serde_json::Deserializer::from_slice(bytes);
        let value = Seed(0).deserialize(&mut input);
        let value = value.and_then(|value| input.end().map(|()| value));
        // The message of the parser can quote a key.
        value.map_err(|error| error.to_string().escape_debug().take(200).collect())
    }

    /// Returns the value of `key`. A value that is no object has none.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// Reads a value at this depth.
struct Seed(usize);

impl Seed {
    fn below<E: Error>(&self) -> Result<Self, E> {
        if self.0 == MAX_DEPTH {
            return Err(E::custom("more than 8 levels"));
        }
        Ok(Self(self.0 + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Json, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = input.next_element_seed(self.below()?)? {
            all.push(value);
        }
        // An empty one is a level too.
        self.below::<A::Error>()?;
        Ok(Json::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Json, A::Error> {
        self.below::<A::Error>()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(Name(key)) = input.next_key()? {
            let value = input.next_value_seed(self.below()?)?;
            members.push((key, value));
        }
        let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(_) => Err(A::Error::custom("a key occurs twice")),
            None => Ok(Json::Object(members)),
        }
    }
}

#[derive(Deserialize)]
struct Name(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Json, String> {
        Json::parse(text.as_bytes())
    }

    #[test]
    fn every_kind_of_value() {
        let value = parse(r#"{"a":[null,true,1,-1,1.5,"x"],"b":{},"c\u0064":[]}"#).unwrap();
        let a = [Json::Null, Json::Bool(true), Json::Whole(1), Json::Number, Json::Number];
        let mut a = a.to_vec();
        a.push(Json::Text("x".into()));
        assert_eq!(value.get("a"), Some(&Json::List(a)));
        assert_eq!(value.get("b"), Some(&Json::Object(vec![])));
        assert_eq!(value.get("cd"), Some(&Json::List(vec![])));
        assert_eq!((value.get("x"), Json::Null.get("a")), (None, None));
    }

    #[test]
    fn a_key_occurs_once_on_every_level() {
        for twice in
            [r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"\u0061":2}]}"#, r#"{"a":1,"b":2,"a":{}}"#]
        {
            assert!(parse(twice).unwrap_err().contains("twice"), "{twice}");
        }
        assert!(parse(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn size_and_depth_have_bounds() {
        for (depth, fits) in [(8, true), (9, false), (10_000, false)] {
            let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(parse(&lists).is_ok(), fits, "{depth}");
            let objects = format!("{}{{}}{}", "{\"a\":".repeat(depth - 1), "}".repeat(depth - 1));
            assert_eq!(parse(&objects).is_ok(), fits, "{depth}");
        }
        let long = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(parse(&long(MAX_BYTES)).is_ok());
        assert!(parse(&long(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in
            ["", "{", "{} {}", "{}x", "nul", "{'a':1}", "{\"a\":1,}", "[1 2]", "\u{feff}{}", "01"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err(), "not UTF-8");
        assert!(Json::parse(b"{\"a\":1}\0").is_err());
        let quoted = parse("{\"\\u001b[2J\":1,\"\\u001b[2J\":1}").unwrap_err();
        assert!(!quoted.contains('\u{1b}'), "{quoted}");
    }
}
