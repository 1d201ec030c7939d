//! Which addresses' elements have, or had, several owners since the host booted.
//!
//! Of all others an owner's elements are nobody else's, and come and go without a look at the rest.
//! Containers of one pod share an address, and its seat.

use super::sets::SetEntry;
use crate::error::Result;
use crate::firewall::setup_cache::SetupCache;
use std::collections::BTreeSet;
use std::net::IpAddr;

const NOTE: &str = "ipset-shared";
/// As many as fit in a note. Where more are shared, all are taken for shared.
const MAX_ADDRESSES: usize = 64;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// These.
    Some(BTreeSet<IpAddr>),
    /// Perhaps all.
    All,
}

impl Shared {
    /// What was noted.
    pub(crate) fn recall(memory: &SetupCache) -> Result<Self> {
        let Some(note) = memory.recall(NOTE)? else { return Ok(Self::Some(BTreeSet::new())) };
        let addresses: std::result::Result<BTreeSet<IpAddr>, _> =
            note.lines().map(str::parse).collect();
        // Empty, it is an earlier version's, which did not say whose.
        let some = addresses.ok().filter(|all| !all.is_empty() && all.len() <= MAX_ADDRESSES);
        Ok(some.map_or(Self::All, Self::Some))
    }

    /// Notes that elements of `addresses` have several owners.
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

    /// Whether one of `entries` may be somebody else's too.
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
