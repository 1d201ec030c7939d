//! Edits members of objects in JSON text. All other bytes stay as they are.

use crate::error::{Error, Kind, Result};
use crate::oci::json::{self, Members, span};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::ops::Range;

/// The object at `path` in `text` and its offset, or `None` if it does not exist.
fn object<'a>(what: &str, text: &'a str, path: &[&str]) -> Result<Option<(usize, Members<'a>)>> {
    let start = text.len() - text.trim_start().len();
    let mut at = start;
    let mut members = members(what, text)?;
    for key in path {
        let Some(raw) = members.get(key) else { return Ok(None) };
        at = span(text, raw).start;
        members = self::members(&format!("{what}, {key}"), raw.get())?;
    }
    Ok(Some((at, members)))
}

/// Parses an object. A duplicate key is an error: an edit of one of its values might have no effect.
fn members<'a>(what: &str, text: &'a str) -> Result<Members<'a>> {
    let members: Members<'a> = json::parse(what, text.as_bytes())?;
    let mut keys = HashSet::new();
    match members.0.iter().find(|(key, _)| !keys.insert(key)) {
        Some((key, _)) => Err(Error::new(Kind::Input, format!("{what}: duplicate key {key:?}"))),
        None => Ok(members),
    }
}

/// The value at `path`, as text.
pub(crate) fn get<'a>(what: &str, text: &'a str, path: &[&str]) -> Result<Option<&'a RawValue>> {
    let Some((key, above)) = path.split_last() else { return Ok(None) };
    Ok(object(what, text, above)?.and_then(|(_, members)| members.get(key)))
}

/// Returns `text` with the member at `path` set to `value`. An existing value is replaced in place.
/// A new member becomes the first of its object, with the indentation of the next one. If the
/// object does not exist, `text` is returned unchanged.
pub(crate) fn set(what: &str, text: &str, path: &[&str], value: &str) -> Result<String> {
    let Some((key, above)) = path.split_last() else { return Ok(text.to_owned()) };
    let Some((at, members)) = object(what, text, above)? else { return Ok(text.to_owned()) };
    let (range, new) = match members.get(key) {
        Some(raw) => (span(text, raw), value.to_owned()),
        None => {
            let inside = &text[at + 1..];
            let space = &inside[..inside.len() - inside.trim_start().len()];
            let (space, comma) = match members.0.is_empty() {
                true if space.contains('\n') => (format!("{space}    "), ""),
                true => (space.to_owned(), ""),
                false => (space.to_owned(), ","),
            };
            (at + 1..at + 1, format!("{space}\"{key}\": {}{comma}", indented(value, &space)))
        }
    };
    Ok(replaced(text, range, &new))
}

/// Returns `text` without the member at `path`.
pub(crate) fn unset(what: &str, text: &str, path: &[&str]) -> Result<String> {
    let Some((key, above)) = path.split_last() else { return Ok(text.to_owned()) };
    let Some((at, members)) = object(what, text, above)? else { return Ok(text.to_owned()) };
    let Some(place) = members.0.iter().position(|(name, _)| name == key) else {
        return Ok(text.to_owned());
    };
    let end = |member: usize| span(text, members.0[member].1).end;
    let comma = |from: usize| text[from..].find(',').map_or(from, |comma| from + comma);
    let range = match place {
        // The comma after the member goes too, or the comma before it if the member is not the
        // first.
        0 if members.0.len() > 1 => at + 1..comma(end(0)) + 1,
        0 => at + 1..end(0),
        _ => comma(end(place - 1))..end(place),
    };
    Ok(replaced(text, range, ""))
}

/// Indents a value of several lines like the line break and indentation in `space`.
fn indented(value: &str, space: &str) -> String {
    match space.rsplit_once('\n') {
        Some((_, indent)) => value.replace('\n', &format!("\n{indent}")),
        None => value.lines().map(str::trim_start).collect::<Vec<_>>().join(" "),
    }
}

fn replaced(text: &str, range: Range<usize>, new: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(range, new);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_can_be_unset() {
        for text in
            ["{}", "{ }", "{\n}\n", " {\"a\": [1, 2]}", "{\n  \"a\": 1,\n  \"b\": {\"c\": 2}\n}"]
        {
            let new = set("x", text, &["k"], "{\n    \"v\": 1\n}").unwrap();
            assert_eq!(get("x", &new, &["k", "v"]).unwrap().unwrap().get(), "1", "{new}");
            let deeper = set("x", &new, &["k", "w"], "2").unwrap();
            assert_eq!(unset("x", &deeper, &["k", "w"]).unwrap(), new);
            assert_eq!(unset("x", &new, &["k"]).unwrap(), text);
            let second = set("x", &new, &["l"], "3").unwrap();
            let rest = unset("x", &second, &["k"]).unwrap();
            assert_eq!(unset("x", &rest, &["l"]).unwrap(), text);
        }
    }

    #[test]
    fn an_old_value_is_replaced_in_its_place() {
        let text = r#"{"b": {"c": "x,y"} , "k" : null}"#;
        assert_eq!(set("x", text, &["k"], "1").unwrap(), r#"{"b": {"c": "x,y"} , "k" : 1}"#);
        assert_eq!(unset("x", text, &["k"]).unwrap(), r#"{"b": {"c": "x,y"} }"#);
        assert_eq!(unset("x", text, &["b", "c"]).unwrap(), r#"{"b": {} , "k" : null}"#);
    }
}
