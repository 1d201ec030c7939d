//! The path of a record, and the keys under which the indexes list it.

use crate::model::{
    Address, ContainerId, LinkState, Meaning, NetworkName, PeerRun, Record, Reference,
};
use std::collections::BTreeSet;

/// Directory levels above a record, and the number of id characters in each directory name.
pub(super) const LEVELS: usize = 2;
pub(super) const WIDTH: usize = 2;

/// Length limit of a key in bytes.
const MAX_KEY: usize = 250;

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
    /// A link is listed under the source it names, under the id it is connected to (with its host if that is
    /// another one), and under the id that it waits for. A link that was never connected and may name a prefix is also listed under its
    /// prefix key. A namesake of another container is listed under the key of that container. A container
    /// is listed under each alias that it has on a network, and one that links of pods may find under its
    /// [`PodKey`](crate::model::PodKey)s.
    pub(crate) fn of(record: &Record) -> Self {
        let addresses = record.network.addresses().iter().map(Address::ip);
        let addresses = addresses.chain(record.former.iter().copied());
        let names = record.links.iter().map(|link_state| link_state.link.source.key().into_owned());
        let ids = record.links.iter().filter_map(|link_state| link_state.source.as_ref());
        let meant = record.links.iter().filter_map(|link_state| match &link_state.meaning {
            Some(Meaning::Id(id)) => Some(id),
            Some(Meaning::Name) | None => None,
        });
        let is_open = |link: &&LinkState| link.source.is_none() && link.meaning.is_none();
        let open = record.links.iter().filter(is_open).map(|link_state| &link_state.link.source);
        let hopes = open.filter(|source| source.is_prefix()).filter_map(|s| hope(s.as_str()));
        let ids = ids.chain(meant).map(|id| id.key().into_owned());
        let there = record.links.iter().filter_map(|link_state| link_state.there.as_ref());
        let ids = ids.chain(there.map(PeerRun::key));
        let aliases = record.aliases().filter_map(|(network, alias)| alias_key(network, alias));
        let again = record.id.tag().map(|_| namesakes(&record.id));
        let pods = record.pod_keys().into_iter().map(|key| key.text());
        Self {
            addresses: addresses.map(|ip| ip.to_string()).collect(),
            wanted: names.chain(ids).chain(hopes).chain(again).chain(aliases).chain(pods).collect(),
        }
    }
}

/// Returns the prefix key for `text`: its first character and a tilde, or `None` for empty text.
///
/// A container name cannot contain a tilde, so the key never collides with a name.
pub(crate) fn hope(text: &str) -> Option<String> {
    text.chars().next().map(|first| format!("{first}~"))
}

/// Returns the key under which containers with the alias `alias` on `network` are listed, or `None` if it
/// is too long for the name of a directory. No name and no key of an id begins like it.
pub(super) fn alias_key(network: &NetworkName, alias: &Reference) -> Option<String> {
    let key = format!("~@{alias}@{network}");
    (key.len() <= MAX_KEY).then_some(key)
}

/// Returns the key under which further containers with the id `id` are listed.
///
/// It begins like no name and no key of a short id, and it is longer than a prefix key.
pub(super) fn namesakes(id: &ContainerId) -> String {
    format!("~~{}", id.tagged(None).key())
}

/// Returns the path of the record with this key, such as `51/c3/51c3dd….json`. Short keys are padded
/// with underscores.
pub(in crate::store) fn record_path(key: &str) -> String {
    let mut path = String::new();
    let mut characters = key.chars().chain(std::iter::repeat('_'));
    for _ in 0..LEVELS {
        path.extend(characters.by_ref().take(WIDTH));
        path.push('/');
    }
    path + key + ".json"
}
