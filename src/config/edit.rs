//! Changes of config.toml. Comments, order and everything else in the file stay.

mod lists;

use super::keys::{Form, Key};
use super::{Config, MAX_CONFIG, read, users};
use crate::error::{Error, Kind, Result};
use crate::sys::file::shown;
use crate::sys::site::{Whose, whose};
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The key.
    pub(crate) key: Key,
    /// The new value; `None` removes the key, so that its default applies.
    pub(crate) value: Option<Value>,
}

impl Change {
    /// Parses a value of the command line. Fails with what is wrong about it.
    pub(crate) fn set(key: Key, text: &str) -> std::result::Result<Self, String> {
        let value = match key.form {
            Form::Text => text.into(),
            Form::List => Value::Array(list(text)?),
            Form::Flag => text.parse::<bool>().map_err(|_| "want true or false")?.into(),
            Form::Networks => Value::InlineTable(networks(text)?),
        };
        Ok(Self { key, value: Some(value) })
    }
}

/// Parses `a,b`, `a b` or `["a", "b"]`.
fn list(text: &str) -> std::result::Result<Array, String> {
    let wrong = || "want a list such as a,b or [\"a\", \"b\"]".to_owned();
    if text.trim_start().starts_with('[') {
        let Ok(Value::Array(array)) = text.trim().parse() else { return Err(wrong()) };
        return if array.iter().all(Value::is_str) { Ok(array) } else { Err(wrong()) };
    }
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    Ok(words.filter(|word| !word.is_empty()).collect())
}

/// Parses `{ a = ["10.0.0.0/24"] }`.
fn networks(text: &str) -> std::result::Result<InlineTable, String> {
    match text.trim().parse() {
        Ok(Value::InlineTable(table)) => Ok(table),
        _ => Err("want { HOST = [\"NETWORK\"] }; or set cluster.networks.HOST".to_owned()),
    }
}

/// Returns the text of config.toml, and that text with all `changes`. The new text is checked as the start of a
/// container checks it. Fails if it is not valid, and if the file is no TOML.
pub(crate) fn edited(path: &Path, changes: &[Change]) -> Result<(String, String)> {
    let before = match whose() {
        Whose::Root => read(path)?.unwrap_or_default(),
        _ => users::read_own(path)?,
    };
    let mut text = before.clone();
    for change in changes {
        text = apply(&text, change)
            .map_err(|why| Error::new(Kind::Input, format!("{}: {why}", shown(path))))?;
    }
    if text.len() as u64 > MAX_CONFIG {
        let message = format!("{}: more than {MAX_CONFIG} bytes", shown(path));
        return Err(Error::new(Kind::Input, message));
    }
    Config::parse(&shown(path), &text)?;
    Ok((before, text))
}

/// Returns `text` with one change.
fn apply(text: &str, change: &Change) -> std::result::Result<String, String> {
    let why = |error: toml_edit::TomlError| error.message().replace('\n', ", ");
    let mut document: DocumentMut = text.parse().map_err(why)?;
    match &change.value {
        None => {
            if let Some(shorter) = without_line(text, &change.key) {
                return Ok(shorter);
            }
            remove(&mut document, &change.key);
        }
        Some(value) => put(&mut document, &change.key, value.clone())?,
    }
    let edited = document.to_string();
    // The lines of the document are written with \n.
    let has_cr = text.contains("\r\n") && !text.replace("\r\n", "").contains('\n');
    Ok(if has_cr { edited.replace("\r\n", "\n").replace('\n', "\r\n") } else { edited })
}

/// Sets a value. Missing tables are made.
fn put(document: &mut DocumentMut, key: &Key, mut value: Value) -> std::result::Result<(), String> {
    let Some((last, tables)) = key.path.split_last() else { return Ok(()) };
    // Comments of a file without a key are the end of the document.
    let mut comments = String::new();
    if document.is_empty() {
        comments.push_str(document.trailing().as_str().unwrap_or_default());
        document.set_trailing("");
    }
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut is_inline = false;
    for (depth, name) in tables.iter().enumerate() {
        if table.get(name).is_none_or(Item::is_none) {
            let made = match depth {
                0 => Item::Table(Table::new()),
                _ => Item::Value(InlineTable::new().into()),
            };
            table.insert(name, made);
        }
        let there = table.get_mut(name);
        is_inline = there.as_ref().is_some_and(|there| there.is_inline_table());
        let there = there.and_then(Item::as_table_like_mut);
        table = there.ok_or_else(|| format!("{name} is not a table"))?;
    }
    match table.get_mut(last).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            replace(old, value);
        }
        None => {
            table.insert(last, Item::Value(value));
            if is_inline {
                // Blanks around commas and brackets.
                table.fmt();
            }
        }
    }
    if !comments.is_empty() {
        lead(document, &comments);
    }
    Ok(())
}

/// Replaces a value. Elements of a list that stay keep their comments.
fn replace(old: &mut Value, value: Value) {
    let merged = old.as_array().zip(value.as_array()).and_then(|(there, wanted)| {
        let wanted: Option<Vec<&str>> = wanted.iter().map(Value::as_str).collect();
        lists::merged(there, &wanted?)
    });
    match (old.as_array_mut(), merged) {
        (Some(there), Some(merged)) => {
            let decor = there.decor().clone();
            *there = merged;
            *there.decor_mut() = decor;
        }
        _ => *old = value,
    }
}

/// Puts comments before the first table or key of a document that was empty.
fn lead(document: &mut DocumentMut, comments: &str) {
    let comments =
        if comments.ends_with('\n') { comments.to_owned() } else { format!("{comments}\n") };
    let Some((mut key, item)) = document.as_table_mut().iter_mut().next() else { return };
    match item.as_table_mut() {
        Some(table) => table.decor_mut().set_prefix(comments),
        None => key.leaf_decor_mut().set_prefix(comments),
    }
}

/// Removes a key without its line.
fn remove(document: &mut DocumentMut, key: &Key) {
    let Some((last, tables)) = key.path.split_last() else { return };
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        let Some(there) = table.get_mut(name).and_then(Item::as_table_like_mut) else { return };
        table = there;
    }
    table.remove(last);
}

/// The text without the lines of a key, if nothing else is in them. Comments above them stay.
fn without_line(text: &str, key: &Key) -> Option<String> {
    let document = DeTable::parse(text).ok()?.into_inner();
    let (last, tables) = key.path.split_last()?;
    let mut table = &document;
    for name in tables {
        table = table.get(name.as_str())?.get_ref().as_table()?;
    }
    let (name, value) = table.get_key_value(last.as_str())?;
    if matches!(value.get_ref(), DeValue::Table(_)) {
        return None;
    }
    let start = text[..name.span().start].rfind('\n').map_or(0, |newline| newline + 1);
    let end =
        text[value.span().end..].find('\n').map_or(text.len(), |at| value.span().end + at + 1);
    let before = &text[start..name.span().start];
    let after = text[value.span().end..end].trim_start();
    let is_alone =
        !before.contains(['{', '=', ',']) && (after.is_empty() || after.starts_with('#'));
    is_alone.then(|| format!("{}{}", &text[..start], &text[end..]))
}

/// Whether the file at `path` sets the key `name`.
pub(crate) fn is_set(path: &Path, name: &str) -> bool {
    let table: toml::Table = toml::from_str(&super::any_text(path)).unwrap_or_default();
    super::keys::get(&table, name).is_some()
}

#[cfg(test)]
mod tests;
