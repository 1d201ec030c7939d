//! Flows between hosts: sets of their own, whose elements end by themselves.
//!
//! ```text
//! oci-link4-leaves   R,tcp:N,S timeout T comment "<tag>"    R is on this host
//! oci-link4-enters   R,tcp:N,S timeout T comment "<tag>"    S is on this host
//! oci-link4-ends     R,br0                                  or S,br0: the end on this host
//! oci-link4-closed   0.0.0.0/0,br0                          bridges by which no packet of another host comes in
//! ```
//!
//! They are made with the first flow between hosts, and their rules too. A host without such flows has none of
//! them. All flows to one source share an end, so these sets are listed before each change, and once for several
//! changes under one lock.

use super::changes::{add, and_then, complaint, delete, update};
use super::kernel::{is_referred_to, list, make_set, send};
use super::messages::{MAX_PORTS, SetChange};
use super::sets::{IpSet, Kind, SetEntry, any};
use crate::error::Result;
use crate::firewall::across::{closed_bridges, crossing, needed};
use crate::firewall::elements::{Changes, Element, owned};
use crate::firewall::{failed, host_families};
use crate::model::{BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::netlink::Netlink;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// Creates the sets of a family. An existing set of the right type stays as it is.
pub(super) fn make_sets(family: Family) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    IpSet::between_hosts(family)
        .into_iter()
        .try_for_each(|set| make_set(&mut link, set).map(|_| ()))
}

/// Whether rules refer to the sets of all families of this host.
pub(super) fn are_in_use(link: &mut Netlink) -> Result<bool> {
    for family in host_families() {
        if !is_referred_to(link, IpSet { family, kind: Kind::Leaves })? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The elements of both families but the closed bridges.
pub(super) struct There {
    /// The flows, which have owners.
    flows: Vec<Element<SetEntry>>,
    /// The ends, each of which belongs to all flows with its address.
    ends: HashSet<SetEntry>,
}

impl There {
    /// Lists the sets. The result stays true while the host lock is held and all changes are made with it.
    pub(super) fn list(link: &mut Netlink) -> Result<Self> {
        let mut there = Self { flows: Vec::new(), ends: HashSet::new() };
        for set in Family::BOTH.into_iter().flat_map(IpSet::between_hosts) {
            match set.kind {
                Kind::Closed => {}
                Kind::Ends => {
                    there.ends.extend(list(link, set)?.into_iter().map(|element| element.key));
                }
                _ => there.flows.extend(list(link, set)?),
            }
        }
        Ok(there)
    }

    /// Notes what was changed.
    fn follow(&mut self, changes: Changes<SetEntry>) {
        let changed = changes.delete.iter().chain(&changes.change).chain(&changes.add);
        let keys: HashSet<SetEntry> = changed.map(|element| element.key).collect();
        self.flows.retain(|element| !keys.contains(&element.key));
        self.ends.retain(|key| !keys.contains(key));
        for element in changes.change.into_iter().chain(changes.add) {
            match element.key.as_end() {
                Some(_) => drop(self.ends.insert(element.key)),
                None => self.flows.push(element),
            }
        }
    }
}

/// All flows between hosts and the ends on this host, each with its owners. An end has none.
pub(super) fn list_all(link: &mut Netlink) -> Result<Vec<Element<SetEntry>>> {
    let mut there = There::list(link)?;
    there.flows.extend(there.ends.into_iter().map(end));
    Ok(there.flows)
}

/// An end as an element.
fn end(key: SetEntry) -> Element<SetEntry> {
    Element::new(key, String::new())
}

/// The entries for `flows`: the flows, and the ends that they need.
fn entries(flows: &[Flow]) -> (Vec<SetEntry>, Vec<SetEntry>) {
    SetEntry::all(flows).into_iter().partition(|entry| entry.as_end().is_none())
}

/// Changes the sets so that `owner` has exactly `flows`, all of them between hosts. On an error nothing has changed.
pub(super) fn settle(
    link: &mut Netlink,
    there: &mut There,
    owner: &OwnerTag,
    flows: &[Flow],
    lifetime: Option<Duration>,
) -> Result<()> {
    let (wanted, ends) = entries(flows);
    let changes = Changes::plan(&there.flows, owner, &wanted);
    let mut changes = changes.map_err(|why| failed(format!("ipset: {why}")))?;
    for element in &mut changes.add {
        element.left = Some(needed(lifetime)?);
    }
    changes.delete.sort_by_key(|element| element.key.order());
    let gone: HashSet<SetEntry> = changes.delete.iter().map(|element| element.key).collect();
    let stays = there.flows.iter().filter(|element| !gone.contains(&element.key));
    let used: HashSet<Option<IpAddr>> =
        stays.chain(&changes.add).map(|element| element.key.near()).collect();
    let is_idle = |entry: &&SetEntry| !used.contains(&entry.near());
    changes.delete.extend(there.ends.iter().filter(is_idle).copied().map(end));
    changes.add.extend(ends.into_iter().filter(|key| !there.ends.contains(key)).map(end));
    let changed = add(link, &changes.add).and_then(|_| update(link, &changes.change));
    changed.map_err(|error| and_then(error, delete(link, &changes.add)))?;
    delete(link, &changes.delete)?;
    there.follow(changes);
    Ok(())
}

/// Makes several changes with one listing of the sets. Returns the outcome of each. After a failed one the sets are
/// listed again.
pub(super) fn in_one_lot<T>(
    all: &[T],
    begin: impl Fn(&mut Netlink) -> Result<There>,
    change: impl Fn(&mut Netlink, &mut There, &T) -> Result<()>,
) -> Vec<Result<()>> {
    let begun = Netlink::netfilter().and_then(|mut link| Ok((begin(&mut link)?, link)));
    let (mut there, mut link) = match begun {
        Ok(begun) => begun,
        Err(error) => return all.iter().map(|_| Err(error.again())).collect(),
    };
    let mut one = |it: &T| {
        change(&mut link, &mut there, it).or_else(|error| {
            there = There::list(&mut link)?;
            Err(error)
        })
    };
    all.iter().map(&mut one).collect()
}

/// Lets the owner's elements for `flows` last for `lifetime` from now. Missing ones are added. The kernel changes an
/// element in place, so no packet is lost.
pub(super) fn renew(
    link: &mut Netlink,
    there: &mut There,
    owner: &OwnerTag,
    flows: &[Flow],
    lifetime: Duration,
) -> Result<()> {
    let (wanted, ends) = entries(&crossing(flows));
    let mut renewed: Vec<_> =
        ends.into_iter().filter(|key| !there.ends.contains(key)).map(end).collect();
    for key in wanted {
        let before = there.flows.iter().find(|it| it.key == key);
        let mut element = before.cloned().unwrap_or_else(|| owned(key, owner));
        if !element.belongs_to(owner) {
            element.comment = format!("{} {owner}", element.comment);
        }
        element.left = Some(lifetime);
        renewed.push(element);
    }
    update(link, &renewed)?;
    there.follow(Changes { add: renewed, change: Vec::new(), delete: Vec::new() });
    Ok(())
}

/// Makes the sets of closed bridges what `flows` need. Does nothing if none of them comes in from another host.
pub(super) fn close_bridges(link: &mut Netlink, flows: &[Flow]) -> Result<()> {
    let Some(wanted) = closed_bridges(flows)? else { return Ok(()) };
    for family in host_families() {
        let there = list(link, IpSet { family, kind: Kind::Closed })?;
        let there: HashSet<SetEntry> = there.into_iter().map(|element| element.key).collect();
        let closed = |bridge: &BridgeName| SetEntry::Closed { any: any(family), bridge: *bridge };
        let wanted: HashSet<SetEntry> = wanted.iter().map(closed).collect();
        let elements = |keys: HashSet<&SetEntry>| -> Vec<_> {
            keys.into_iter().map(|key| Element::new(*key, String::new())).collect()
        };
        let new = elements(wanted.difference(&there).collect());
        let refused = send(link, SetChange::Update, &new, MAX_PORTS)?;
        if let Some((run, refusal)) = refused.first() {
            return Err(complaint(run, *refusal));
        }
        delete(link, &elements(there.difference(&wanted).collect()))?;
    }
    Ok(())
}
