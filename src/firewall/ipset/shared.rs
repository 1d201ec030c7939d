//! The addresses whose elements have, or had in this boot, several owners.
//!
//! Containers of one pod share an address and its seat. Elements of all other addresses have one
//! owner, and are added and deleted without reading the sets.

use super::sets::SetEntry;
use crate::error::Result;
use crate::firewall::setup_cache::SetupCache;
use std::collections::BTreeSet;
use std::net::IpAddr;

const NOTE: &str = "ipset-shared";
/// The number of addresses that fit in a cache entry. Beyond it, all addresses count as shared.
const MAX_ADDRESSES: usize = 64;

/// The shared addresses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Only these addresses.
    Some(BTreeSet<IpAddr>),
    /// Possibly all addresses.
    All,
}

impl Shared {
    /// Reads the cache entry.
    pub(crate) fn recall(memory: &SetupCache) -> Result<Self> {
        let Some(note) = memory.recall(NOTE)? else { return Ok(Self::Some(BTreeSet::new())) };
        let addresses: std::result::Result<BTreeSet<IpAddr>, _> =
            note.lines().map(str::parse).collect();
        // An empty entry is written by earlier versions, which did not store the addresses, and by
        // `note` beyond the limit.
        let some = addresses.ok().filter(|all| !all.is_empty() && all.len() <= MAX_ADDRESSES);
        Ok(some.map_or(Self::All, Self::Some))
    }

    /// Stores that elements of `addresses` have several owners.
    pub(crate) fn note(
        self,
        memory: &SetupCache,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Result<()> {
        let Self::Some(mut known) = self else { return Ok(()) };
        let before = known.len();
        known.extend(addresses);
        if known.len() == before {
            return Ok(());
        }
        let lines: Vec<String> = known.iter().map(ToString::to_string).collect();
        let all = lines.len() > MAX_ADDRESSES;
        memory.note(NOTE, &if all { String::new() } else { lines.join("\n") })
    }

    /// Whether one of `entries` may have another owner too.
    pub(crate) fn has_any<'a>(&self, entries: impl IntoIterator<Item = &'a SetEntry>) -> bool {
        match self {
            Self::Some(known) if known.is_empty() => false,
            Self::Some(known) => {
                entries.into_iter().any(|entry| known.contains(&entry.recipient()))
            }
            Self::All => true,
        }
    }
}
