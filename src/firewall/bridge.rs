//! The table of family `bridge`: which packets come from, and go to, the bridge ports of the containers
//! that they name.
//!
//! ```text
//! table bridge oci-link {
//!     set ends4 { type iface_index . ipv4_addr . ipv4_addr }
//!         PORT . A . B     of the packets between A and B, those of A come by this port
//!     set ends6 { type iface_index . ipv6_addr . ipv6_addr }
//!     set ports-in, set ports-out { PORT }       ports of isolated containers
//!     chain input { type filter hook input priority -10
//!         no bit; by the port of its source: BOUND; from an isolated port: ISOLATED_OUT, and ISOLATED_BOTH }
//!     chain forward { type filter hook forward priority -10
//!         of another type than IP and ARP, or tagged: goto behind-tags
//!         by the ports of both ends: BOUND alone, goto isolated
//!         no bit; goto isolated }
//!     chain behind-tags {
//!         no bit; by the ports of both ends: BOUND; jump isolated; jump tagged }
//!     chain isolated {      empty until a container is isolated
//!         from an isolated port: ISOLATED_OUT; to one: ISOLATED_IN; if it is isolated in both directions:
//!         ISOLATED_BOTH
//!         one of them and not BOUND: jump tagged }
//!     chain tagged {
//!         between the addresses of a link, and one end is not at its port: drop
//!         of another type than IP and ARP, or tagged, from or to an isolated port: drop }
//!     chain output { type filter hook output priority -10
//!         to an isolated port and ISOLATED_IN without ISOLATED_BOTH: drop
//!         to a port that is isolated in both directions and ISOLATED_IN: drop }
//!     chain postrouting { type filter hook postrouting priority -10
//!         no bit }
//! }
//! ```
//!
//! All backends use it, because a chain of iptables or of family `inet` knows the bridge of a packet, but not
//! its port. Such a chain sees a bridged packet after this table, with its mark. A packet that enters the
//! network namespace of the host has no mark, so no container can forge one. What a host restores from a connection
//! is cleared first.
//!
//! The table permits nothing. It drops frames that the chains of iptables may not see, of isolated ports or forged
//! behind a VLAN tag (`bridge-nf-filter-vlan-tagged`), packets of a link of an isolated port that come or leave by a
//! wrong port, and packets that were routed to an isolated port.

pub(crate) mod extent;
pub(crate) mod keys;
mod matches;
mod rules;
pub(crate) mod switch;
mod table;

use super::elements::{Element, TIMED};
use super::failed;
use super::nftables::messages::MAX_COMMENT;
use super::setup_cache::SetupCache;
use crate::error::{Error, Result};
use crate::model::{Bind, Family, OwnerTag, Ties};
use crate::sys::net::netlink::{Netlink, NetlinkError, kept};
use extent::Extent;
use keys::{Key, PortSetName};
use nix::libc::{EEXIST, EINVAL};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The bit of a packet's mark that says: it comes by the port of its source address, and a bridged one leaves
/// by the port of its destination address.
pub(crate) const BOUND: u32 = 0x1000_0000;
/// The match of iptables for [`BOUND`], as `iptables -S` prints it.
pub(crate) const MATCH_BOUND: &str = "-m mark --mark 0x10000000/0x10000000";
/// The bit of a packet's mark that says: it comes from the port of a container with isolation `out`.
pub(crate) const ISOLATED_OUT: u32 = 0x2000_0000;
/// The bit that says: it goes to the port of a container with isolation `in`. A routed packet has it if it may
/// not go to such a port.
pub(crate) const ISOLATED_IN: u32 = 0x4000_0000;
/// The bit that says: it comes from or goes to the port of a container with isolation `both`. A routed packet has it
/// with [`ISOLATED_IN`] if it may not go to such a port, but to one with isolation `in`.
///
/// A packet that was routed to an isolated port is dropped after its connection was noted. So what belongs to a
/// connection is not enough here: no connection of such a container passes behind the links but those to ports that the
/// host publishes.
pub(crate) const ISOLATED_BOTH: u32 = 0x0800_0000;
/// All bits of a mark that the table and our chains set.
const ALL_BITS: u32 = BOUND | ISOLATED_OUT | ISOLATED_IN | ISOLATED_BOTH;

/// Name of the cache entry that says that the table was made.
const NOTE: &str = "bridge-table";

/// The keys of one owner, before and after a change.
#[derive(Debug, Clone)]
pub(crate) struct KeyChange<'a> {
    /// The tag of the container.
    pub(crate) owner: &'a OwnerTag,
    /// All keys that it may have.
    pub(crate) before: Vec<Key>,
    /// The keys that it has afterwards.
    pub(crate) after: Vec<Key>,
}

/// The bridge table of this network namespace.
#[derive(Debug)]
pub(crate) struct BridgeTable {
    memory: SetupCache,
    /// Whether [`is_supported`](Self::is_supported) had to ask the kernel: the cache does not know the table.
    was_asked: Cell<bool>,
    /// What the cache said when it was asked last.
    remembered: Cell<Option<Extent>>,
}

impl BridgeTable {
    /// `memory` records whether the table was made in this boot and network namespace.
    pub(crate) fn new(memory: SetupCache) -> Self {
        Self { memory, was_asked: Cell::new(false), remembered: Cell::new(None) }
    }

    /// Whether the table was made, according to the cache. If not, it has no elements of ours.
    pub(crate) fn is_remembered(&self) -> Result<bool> {
        Ok(self.recall()?.is_some())
    }

    /// What was made, according to the cache.
    fn recall(&self) -> Result<Option<Extent>> {
        let extent = self.memory.recall(NOTE)?.as_deref().and_then(Extent::noted);
        self.remembered.set(extent);
        Ok(extent)
    }

    fn note(&self, extent: Extent) -> Result<()> {
        self.memory.note(NOTE, extent.note())
    }

    /// Creates what is missing: the rules of this extent, and those of isolated containers where there is one. Fails
    /// with a [`Cause`](crate::error::Cause) that is a lack where the kernel does not support it.
    pub(crate) fn make(&self, extent: Extent) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        let extent = self.needed(&mut link, extent)?;
        table::make(&mut link, extent)?;
        if self.recall()? == Some(extent) { Ok(()) } else { self.note(extent) }
    }

    /// This extent, or a greater one that was made or that a port needs.
    fn needed(&self, link: &mut Netlink, extent: Extent) -> Result<Extent> {
        let extent = extent.max(self.recall()?.unwrap_or(extent));
        Ok(if table::isolates(link)? { Extent::Isolation } else { extent })
    }

    /// Fails if the table cannot be made on this kernel. Changes nothing.
    pub(crate) fn is_supported(&self) -> Result<()> {
        if self.is_remembered()? {
            return Ok(());
        }
        self.was_asked.set(true);
        is_supported()
    }

    /// Whether the table has all its rules: those that [`make`](Self::make) makes.
    pub(crate) fn is_intact(&self, extent: Extent) -> Result<bool> {
        let mut link = Netlink::netfilter()?;
        let extent = self.needed(&mut link, extent)?;
        table::is_intact(&mut link, extent)
    }

    /// Changes the keys of several owners in one transaction. Idempotent. Requires the host lock.
    ///
    /// Keys that no change names are not read, so that the time does not grow with their number. If a key is
    /// added and the table is not intact, it is made.
    pub(crate) fn change(&self, changes: &[KeyChange<'_>]) -> Result<()> {
        let adds = changes.iter().any(|change| !change.after.is_empty());
        let named = changes.iter().flat_map(|change| change.before.iter().chain(&change.after));
        let named: Vec<Key> = named.copied().collect::<BTreeSet<_>>().into_iter().collect();
        if named.is_empty() {
            return Ok(());
        }
        let isolates = changes.iter().flat_map(|change| &change.after).any(|key| !key.is_end());
        let extent = if isolates { Extent::Isolation } else { Extent::Links };
        let extent = extent.max(self.remembered.get().unwrap_or(extent));
        let mut link = Netlink::netfilter()?;
        // The ports of a new container are new: to read their keys costs as much as to add them.
        let is_new = changes.iter().all(|change| change.before.is_empty());
        let asked = if is_new { &[][..] } else { &named };
        let (mut there, is_whole) = table::existing(&mut link, asked, extent)?;
        if adds && !is_whole {
            self.make(extent)?;
        } else if adds && self.was_asked.take() {
            // Another state directory has made it. The kernel needs milliseconds for the question.
            self.note(extent)?;
        }
        if is_new {
            match table::change(&mut link, &Difference::of(&[], changes))? {
                None => return Ok(()),
                // Others of a pod have them, or they are about to lapse.
                Some(refusal) if refusal.code == EEXIST => {}
                Some(refusal) => return Err(complaint(refusal)),
            }
            there = table::existing(&mut link, &named, extent)?.0;
        }
        Self::settle(&mut link, &there, changes)
    }

    /// Changes the elements `there` as `changes` say.
    fn settle(link: &mut Netlink, there: &[Element<Key>], changes: &[KeyChange<'_>]) -> Result<()> {
        let mut difference = Difference::of(there, changes);
        if difference.add.iter().any(|element| element.comment.len() > MAX_COMMENT) {
            return Err(failed(
                "bridge table: too many linked containers have the same address".to_owned(),
            ));
        }
        let mut refusal = table::change(link, &difference)?;
        if refusal.is_some_and(|refusal| refusal.code == EINVAL) && !difference.lapse.is_empty() {
            // Another program made the sets again, without timeouts.
            difference.delete.append(&mut difference.lapse);
            refusal = table::change(link, &difference)?;
        }
        if refusal.is_some_and(|refusal| refusal.code == EEXIST) {
            // An element that was about to lapse when it was read.
            kept::wait_for_a_tick();
            refusal = table::change(link, &difference)?;
        }
        if let Some(refusal) = refusal {
            return Err(complaint(refusal));
        }
        // Before Linux 6.12 the kernel accepts a new timeout and changes nothing.
        let Some(first) = difference.lapse.first() else { return Ok(()) };
        kept::ends_with_a_tick();
        if table::existing(link, &[first.key], Extent::Links)?.0.is_empty() {
            return Ok(());
        }
        let delete = difference.lapse;
        let refusal = table::change(link, &Difference { delete, ..Difference::default() })?;
        refusal.map_or(Ok(()), |refusal| Err(complaint(refusal)))
    }

    /// The keys of all owners, independent of any record, without those that have a timeout. Empty if the kernel
    /// cannot be asked and the table was never made.
    pub(crate) fn owners(&self) -> Result<BTreeMap<OwnerTag, Vec<Key>>> {
        let mut owners: BTreeMap<OwnerTag, Vec<Key>> = BTreeMap::new();
        let list = |mut link| table::list(&mut link, &PortSetName::ALL);
        let all = match Netlink::netfilter().and_then(list) {
            Err(_) if !self.is_remembered()? => Vec::new(),
            all => all?,
        };
        for element in all.into_iter().filter(|element| !element.is_timed()) {
            for tag in tags(&element.comment).filter_map(|tag| OwnerTag::parse(tag).ok()) {
                owners.entry(tag).or_default().push(element.key);
            }
        }
        Ok(owners)
    }

    /// Removes all keys with the owner's tag, found by a listing.
    #[allow(clippy::unused_self)] // A table belongs to the network namespace of this process.
    pub(crate) fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        let there = table::list(&mut link, &PortSetName::ALL)?;
        let own = there.iter().filter(|element| element.belongs_to(owner));
        let before = own.map(|element| element.key).collect();
        Self::settle(&mut link, &there, &[KeyChange { owner, before, after: Vec::new() }])
    }

    /// Removes the table, and returns whether there was one.
    pub(crate) fn remove_all(&self) -> Result<bool> {
        let found = table::delete(&mut Netlink::netfilter()?)?;
        if self.is_remembered()? {
            self.memory.note(NOTE, "")?;
        }
        Ok(found)
    }
}

/// Fails if the bridge table cannot be made on this kernel. Changes nothing.
pub(crate) fn is_supported() -> Result<()> {
    table::check(&mut Netlink::netfilter()?)
}

/// How flows on one bridge are tied on this host, if `bind` is asked for. `lack` returns why flows of a family
/// cannot be tied to ports.
pub(crate) fn ties(bind: Bind, lack: impl Fn(Family) -> Option<String>) -> Ties {
    if bind.wants_ports() {
        Ties { bind, lacks: Family::BOTH.map(lack) }
    } else {
        Ties { bind, ..Ties::default() }
    }
}

/// Why flows of a family cannot be tied to ports on this host. `no_table` returns why the kernel has no table for
/// that. It is not called if the packets are not seen.
pub(crate) fn lack(family: Family, no_table: impl FnOnce() -> Option<String>) -> Option<String> {
    switch::lack(family).or_else(no_table)
}

/// The elements to delete and to add. Those that lapse are deleted without a delay for this process.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    lapse: Vec<Element<Key>>,
    delete: Vec<Element<Key>>,
    add: Vec<Element<Key>>,
}

impl Difference {
    /// Between the elements `there` and what `changes` make of them. Containers of one pod share a port and
    /// its addresses: an element has the tags of all, and goes with the last. A comment cannot be changed, so
    /// an element with other owners is deleted and added.
    fn of<'a>(there: &'a [Element<Key>], changes: &'a [KeyChange<'_>]) -> Self {
        // An element with a timeout differs from what it should be.
        let owners = |element: &'a Element<Key>| tags(&element.comment).filter(|tag| *tag != TIMED);
        let mut now: BTreeMap<Key, Vec<&str>> =
            there.iter().map(|element| (element.key, owners(element).collect())).collect();
        for KeyChange { owner, before, after } in changes {
            let owner = owner.as_str();
            for key in before.iter().filter(|key| !after.contains(key)) {
                if let Some(tags) = now.get_mut(key) {
                    tags.retain(|tag| *tag != owner);
                }
            }
            for key in after {
                let tags = now.entry(*key).or_default();
                // An end of more containers of one pod than a comment can name goes with the last that it names.
                let is_full = key.is_end() && length(tags) + 1 + owner.len() > MAX_COMMENT;
                if !tags.contains(&owner) && (tags.is_empty() || !is_full) {
                    tags.push(owner);
                }
            }
        }
        let mut difference = Self::default();
        for element in there {
            let is = tags(&element.comment).collect::<Vec<_>>();
            match now.get(&element.key) {
                Some(tags) if *tags == is => _ = now.remove(&element.key),
                Some(tags) if !tags.is_empty() => difference.delete.push(element.clone()),
                _ => difference.lapse.push(element.clone()),
            }
        }
        let left = now.into_iter().filter(|(_, tags)| !tags.is_empty());
        difference.add.extend(left.map(|(key, tags)| Element::new(key, tags.join(" "))));
        difference
    }
}

/// The length of a comment with these tags.
fn length(tags: &[&str]) -> usize {
    tags.iter().map(|tag| tag.len() + 1).sum::<usize>().saturating_sub(1)
}

fn tags(comment: &str) -> impl Iterator<Item = &str> {
    comment.split(' ').filter(|tag| !tag.is_empty())
}

fn complaint(refusal: NetlinkError) -> Error {
    failed(format!("table bridge oci-link: {} ({})", refusal.errno().desc(), refusal.code))
}

#[cfg(test)]
mod tests;
