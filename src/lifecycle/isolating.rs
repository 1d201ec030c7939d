//! The isolation of one container (`org.oci-link.isolate`).
//!
//! The table of family `bridge` has the bridge ports of the container, with its owner tag. Chains behind all
//! links judge the packets that it marks. A container that asks for isolation does not start without all of
//! them. An index of a port is given once by the kernel, so what a killed container leaves does not concern
//! the next one with its address.

use crate::error::{Error, Kind, Result};
use crate::firewall::bridge::extent::Extent;
use crate::firewall::bridge::keys::Key;
use crate::firewall::bridge::{BridgeTable, KeyChange, switch};
use crate::firewall::host_families;
use crate::host::{Effects, Locked};
use crate::lifecycle::lookup::recipients_of;
use crate::lifecycle::planning::conflicts;
use crate::model::{
    Address, BackendName, BridgePort, ContainerId, Family, Flow, FlowIndex, Isolate, Isolation,
    OwnerTag, Record,
};
use crate::store::{Change, Commit, Store};
use crate::sys::net::bridge::ports::exists;
use crate::sys::net::conntrack::{Tracked, drop_unless};
use crate::sys::net::listed::is_local;
use crate::sys::net::netns::{Namespace, Process, ports_of};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Reads the bridge ports of a starting container that asks for isolation. Refuses one that has an interface
/// elsewhere, because its packets would pass by.
pub(crate) fn read(
    id: &ContainerId,
    directions: Isolate,
    process: &Process,
    namespace: &Namespace,
) -> Result<Isolation> {
    let refuse = |why: &str| Err(refused(id, directions, why));
    if namespace.is_ours {
        return refuse("is on the host's network: give it a network with a bridge");
    }
    if namespace.no_bridge.is_some() {
        return refuse("is on no bridge of the host: give it a network with a bridge");
    }
    match ports_of(process)? {
        Ok(ports) if ports.is_empty() => {
            refuse("has no interface yet: give it a network with a bridge")
        }
        Ok(ports) => Ok(Isolation { directions, ports }),
        Err(name) => refuse(&format!(
            "its interface {} leads to no bridge of the host: give it networks with bridges only",
            name.escape_debug()
        )),
    }
}

fn refused(id: &ContainerId, directions: Isolate, why: &str) -> Error {
    Error::new(Kind::Unsafe, format!("{id}: org.oci-link.isolate \"{directions}\": {why}"))
}

/// Why this host cannot isolate a container of `backend`, and what to do.
pub(crate) fn lack(backend: BackendName) -> Option<String> {
    if backend == BackendName::None {
        return Some("firewall.backend is \"none\": set it to \"auto\"".to_owned());
    }
    // Containers have link-local addresses of IPv6 even where they have no others.
    host_families().find_map(switch::lack)
}

/// Makes what isolated containers share: the chains that judge their packets, and the table that marks them.
/// Must be called before privileges are dropped, because programs may run.
pub(crate) fn prepare(host: &Locked<'_>, record: &Record) -> Result<()> {
    let Some(isolation) = &record.isolation else { return Ok(()) };
    if let Some(lack) = lack(record.backend) {
        let message =
            format!("{}: org.oci-link.isolate \"{}\": {lack}", record.id, isolation.directions);
        return Err(Error::new(Kind::Firewall, message));
    }
    // A rule of another program in our chains would let packets pass by.
    host.backend(record.backend, |firewall| {
        firewall.guard(&isolation.bridges())?;
        firewall.reclaim()
    })?;
    host.ports.make(Extent::Isolation)
}

/// Isolates a container whose record is written. If that begins now, ends the connections that it does not
/// permit.
pub(crate) fn begin(effects: Effects<'_>, record: &Record, is_new: bool) -> Result<()> {
    if record.isolation.is_none() {
        return Ok(());
    }
    change(effects.ports, &record.owner, Vec::new(), keys(record))?;
    if is_new { end_connections(effects.store, record) } else { Ok(()) }
}

/// Ends the isolation of a container that ends.
pub(crate) fn end(effects: Effects<'_>, record: &Record) -> Result<()> {
    match record.isolation {
        Some(_) => change(effects.ports, &record.owner, keys(record), Vec::new()),
        None => Ok(()),
    }
}

fn change(table: &BridgeTable, owner: &OwnerTag, before: Vec<Key>, after: Vec<Key>) -> Result<()> {
    table.change(&[KeyChange { owner, before, after }])
}

/// The keys of an isolated container in the bridge table.
pub(crate) fn keys(record: &Record) -> Vec<Key> {
    let Some(Isolation { directions, ports }) = &record.isolation else { return Vec::new() };
    let of = |port: &BridgePort| {
        let inward = directions.limits_in().then_some(Key::IsolatedIn(port.index));
        let outward = directions.limits_out().then_some(Key::IsolatedOut(port.index));
        [inward, outward]
    };
    ports.iter().flat_map(of).flatten().collect()
}

/// Whether a key isolates a port that exists.
pub(crate) fn isolates_a_port(key: Key) -> bool {
    match key {
        Key::IsolatedIn(port) | Key::IsolatedOut(port) => exists(port),
        Key::End(..) => false,
    }
}

fn is_of_isolation(key: &Key) -> bool {
    matches!(key, Key::IsolatedIn(_) | Key::IsolatedOut(_))
}

/// Whether a running container is isolated as its record says, on all the ports that it has now. `installed`
/// are the keys in the kernel by owner tag.
pub(crate) fn is_whole(
    host: &Locked<'_>,
    record: &Record,
    installed: &BTreeMap<OwnerTag, Vec<Key>>,
) -> Result<bool> {
    let Some(isolation) = &record.isolation else { return Ok(true) };
    let none = Vec::new();
    let there = installed.get(&record.owner).unwrap_or(&none);
    let wanted = keys(record);
    if lack(record.backend).is_some()
        || there.iter().filter(|key| is_of_isolation(key)).count() != wanted.len()
        || !wanted.iter().all(|key| there.contains(key))
        || now(record).is_some_and(|ports| ports != isolation.ports)
    {
        return Ok(false);
    }
    let judges = host.backend(record.backend, |firewall| {
        let guarded = firewall.walls()?.gates;
        let bridges = isolation.bridges();
        Ok(bridges.iter().all(|bridge| guarded.contains(bridge))
            && firewall.is_intact(&Family::BOTH)?)
    })?;
    Ok(judges && host.ports.is_intact(Extent::Isolation)?)
}

/// The bridge ports that a running container has now. `None` if they cannot be read.
fn now(record: &Record) -> Option<Vec<BridgePort>> {
    let process = Process::pin(record.instance.pid).ok()?;
    if process.started() != record.instance.started {
        return None;
    }
    match ports_of(&process) {
        Ok(Ok(ports)) => Some(ports),
        Ok(Err(name)) => {
            let name = name.escape_debug();
            log::error!(
                "{}: its interface {name} leads to no bridge: not isolated",
                record.id.brief()
            );
            None
        }
        Err(error) => {
            log::debug!("{}: its bridge ports cannot be read again: {error}", record.id.brief());
            None
        }
    }
}

/// Isolates a running container again, on the ports that it has now. Connections that began meanwhile and are
/// not permitted end. Requires the host lock.
pub(crate) fn restore(host: &Locked<'_>, record: &Record) -> Result<()> {
    let Some(isolation) = record.isolation.clone() else { return Ok(()) };
    let mut record = record.clone();
    let ports = now(&record).filter(|ports| !ports.is_empty() && *ports != isolation.ports);
    if let Some(ports) = ports {
        record.isolation = Some(Isolation { ports, ..isolation });
        let change = Change::Put(&record);
        if let Commit::Conflict = host.store.commit(host.lock(), &change, record.revision)? {
            return Err(conflicts(&record.id));
        }
    }
    prepare(host, &record)?;
    let mut before = host.ports.owners()?.remove(&record.owner).unwrap_or_default();
    before.retain(is_of_isolation);
    change(&host.ports, &record.owner, before, keys(&record))?;
    end_connections(host.store.as_ref(), &record)
}

/// Ends the connections of a container that its isolation does not permit.
fn end_connections(store: &dyn Store, record: &Record) -> Result<()> {
    let Some(Isolation { directions, .. }) = &record.isolation else { return Ok(()) };
    let own: Vec<IpAddr> = record.network.addresses().iter().map(Address::ip).collect();
    let recipients = recipients_of(store, record)?;
    let flows = recipients.iter().chain([record]).flat_map(|it| &it.flows);
    let permitted = FlowIndex::of(flows.map(|flow: &Flow| flow.anywhere()));
    drop_unless(&own, &|tracked| stays(tracked, (*directions, &own), &permitted, is_local))
}

/// Whether a connection of a container with the addresses `own` goes on when its isolation begins.
fn stays(
    tracked: &Tracked,
    (directions, own): (Isolate, &[IpAddr]),
    permitted: &FlowIndex,
    is_host: impl Fn(IpAddr) -> bool,
) -> bool {
    let Tracked { client, asked, server, port, is_published } = *tracked;
    if port.is_some_and(|(protocol, port)| permitted.permits(client, server, protocol, port)) {
        return true;
    }
    let comes = own.contains(&server) && directions.limits_in();
    let goes = own.contains(&client) && directions.limits_out();
    let may_come = !comes || is_published || is_host(client);
    // A published port of another container is no port of the host.
    let may_go = !goes || asked == server && is_host(server);
    may_come && may_go
}

#[cfg(test)]
mod tests;
