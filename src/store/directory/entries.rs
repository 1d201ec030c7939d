//! Under which keys the indexes have a record.

use crate::model::Record;
use std::collections::BTreeSet;

/// The index entries of one record.
#[derive(Default)]
pub(crate) struct Entries {
    /// Keys of the index of addresses.
    pub(crate) addresses: BTreeSet<String>,
    /// Keys of the index of wanted sources.
    pub(crate) wanted: BTreeSet<String>,
}

impl Entries {
    /// A link is wanted by what it names, and by the id it is connected to, in case that id
    /// returns.
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

/// Where those are found who may mean `text` or what begins like it. No name holds a tilde.
pub(crate) fn hope(text: &str) -> Option<String> {
    text.chars().next().map(|first| format!("{first}~"))
}
