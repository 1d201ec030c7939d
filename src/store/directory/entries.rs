//! The path of a record, and the keys under which the indexes list it.

use crate::model::Record;
use std::collections::BTreeSet;

/// Directory levels above a record, and the number of id characters in each directory name.
pub(super) const LEVELS: usize = 2;
pub(super) const WIDTH: usize = 2;

/// The index keys of one record.
#[derive(Default)]
pub(crate) struct Entries {
    /// Keys in the address index.
    pub(crate) addresses: BTreeSet<String>,
    /// Keys in the index of wanted sources.
    pub(crate) wanted: BTreeSet<String>,
}

impl Entries {
    /// Computes the index keys of `record`.
    ///
    /// A link is listed under the source it names and under the id it is connected to, in case that
    /// id starts again. An unconnected link is also listed under its prefix key.
    pub(crate) fn of(record: &Record) -> Self {
        let addresses = record.network.addresses().iter();
        let names = record.links.iter().map(|link_state| link_state.link.source.to_string());
        let ids = record.links.iter().filter_map(|link_state| link_state.source.as_ref());
        let absent = record.links.iter().filter(|link_state| link_state.source.is_none());
        let hopes = absent.filter_map(|link_state| hope(link_state.link.source.as_str()));
        Self {
            addresses: addresses.map(|address| address.ip().to_string()).collect(),
            wanted: names.chain(ids.map(ToString::to_string)).chain(hopes).collect(),
        }
    }
}

/// Returns the prefix key for `text`: its first character and a tilde, or `None` for empty text.
///
/// A container name cannot contain a tilde, so the key never collides with a name.
pub(crate) fn hope(text: &str) -> Option<String> {
    text.chars().next().map(|first| format!("{first}~"))
}

/// Returns the path of a record, such as `51/c3/51c3dd….json`. Short ids are padded with
/// underscores.
pub(super) fn record_path(id: &str) -> String {
    let mut path = String::new();
    let mut characters = id.chars().chain(std::iter::repeat('_'));
    for _ in 0..LEVELS {
        path.extend(characters.by_ref().take(WIDTH));
        path.push('/');
    }
    path + id + ".json"
}
