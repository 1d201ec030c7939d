//! Finds positions in TOML text, so that an edit changes nothing else.

use crate::error::{Error, Kind, Result};
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Converts a TOML error to an error of one line that names the file.
pub(crate) fn why(path: &Path) -> impl Fn(toml::de::Error) -> Error {
    let path = super::shown(path);
    move |error| {
        let why = error.message().replace('\n', ", ");
        Error::new(Kind::Input, format!("{path}: {why}"))
    }
}

/// The text of a TOML file and its parsed content.
pub(crate) struct TomlText<'a> {
    pub(crate) text: &'a str,
    table: DeTable<'a>,
}

impl<'a> TomlText<'a> {
    pub(crate) fn parse(path: &Path, text: &'a str) -> Result<Self> {
        let table = DeTable::parse(text).map_err(why(path))?.into_inner();
        Ok(Self { text, table })
    }

    /// The value at `path` and its byte range.
    pub(crate) fn get(&self, path: &[&str]) -> Option<(&DeValue<'a>, Range<usize>)> {
        let (first, rest) = path.split_first()?;
        let mut found = self.table.get(*first)?;
        for key in rest {
            found = found.get_ref().as_table()?.get(*key)?;
        }
        Some((found.get_ref(), found.span()))
    }

    /// The keys of the table at `path`; empty if there is no such table.
    pub(crate) fn keys(&self, path: &[&str]) -> Vec<String> {
        let table = self.get(path).and_then(|(value, _)| value.as_table());
        table
            .map(|table| table.keys().map(|key| key.get_ref().to_string()).collect())
            .unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The offset after the line with the table header `[path]`, if there is one.
    pub(crate) fn end_of_header(&self, path: &[&str]) -> Option<usize> {
        let mut end = 0;
        for line in self.text.split_inclusive('\n') {
            end += line.len();
            let header = line.trim_start();
            let is_header = header.starts_with('[') && !header.starts_with("[[");
            if is_header && TomlText::parse(Path::new(""), header).is_ok_and(|d| d.is_only(path)) {
                return Some(end);
            }
        }
        None
    }

    /// Whether the document contains nothing but an empty table at `path`.
    fn is_only(&self, path: &[&str]) -> bool {
        let deepest = self.get(path).and_then(|(value, _)| value.as_table());
        let alone = (0..path.len()).all(|depth| match depth {
            0 => self.table.len() == 1,
            _ => self.keys(&path[..depth]).len() == 1,
        });
        alone && deepest.is_some_and(DeTable::is_empty)
    }
}

/// The byte range of the line that contains `at`, including its newline.
pub(crate) fn line_of(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    start..text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}
