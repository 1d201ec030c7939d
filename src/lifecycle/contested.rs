//! Addresses of a starting container that another container's record has.
//!
//! A dead one is removed. Of a running one the addresses are read again: it may have given the address
//! back. If it still has it, then two bridges have one network, or it gave itself the address of a
//! neighbour. Then no rule may let packets of the starting container through as if they were the
//! other's.

use crate::error::{Cause, Context, Error, Kind, Result};
use crate::host::Locked;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::lookup::{is_linked, recipients_of};
use crate::lifecycle::remove;
use crate::lifecycle::replan::{log_failure, replan, settle as settle_record};
use crate::model::{Address, ContainerId, Network, Record};
use crate::sys::net::netns::{Namespace, Process};
use std::net::IpAddr;

/// The number of network namespaces that are read again at one start.
const MAX_READ: usize = 64;

/// The addresses in a network namespace that was read again, by its cookie. `None` if it could not be
/// read.
type Live = Vec<(u64, Option<Vec<Address>>)>;

/// Decides which container has the addresses of `container`. Returns whether a dead container was removed.
///
/// An address of a running container with links is an error only if `container` has links too. Other
/// failures are logged if it has none.
pub(super) fn settle(host: &Locked<'_>, container: &Record) -> Result<bool> {
    let (mut cleared, mut live) = (false, Live::new());
    let mut known: Vec<ContainerId> = Vec::new();
    for address in container.network.addresses() {
        let what = || format!("address \"{}\"", address.ip());
        let holders = match host.store.holders_of(address.ip()) {
            // The other container may run: only a newer oci-link knows.
            Err(error) if error.cause == Cause::NewerRecord && container.links.is_empty() => {
                log::error!("{}: {}: {error}", container.id, what());
                continue;
            }
            holders => holders.context(Kind::State, what)?,
        };
        for holder in holders {
            let shared = holder.instance.boot == container.instance.boot
                && holder.instance.netns == container.instance.netns;
            if shared || holder.id == container.id || known.contains(&holder.id) {
                continue;
            }
            known.push(holder.id.clone());
            let settled = match is_running(&holder, host.boot) {
                Ok(false) => remove_dead(host, &holder).map(|()| cleared = true),
                Ok(true) => settle_with(host, container, &holder, &mut live),
                // Unknown is not dead.
                Err(error) => {
                    log::warn!("{}: taken as running: {error}", holder.id);
                    settle_with(host, container, &holder, &mut live)
                }
            };
            match settled {
                Err(error) if container.links.is_empty() => log::error!(
                    "{}: rules of {} may name its address; run oci-link sync: {error}",
                    container.id,
                    holder.id
                ),
                settled => settled?,
            }
        }
    }
    Ok(cleared)
}

fn remove_dead(host: &Locked<'_>, holder: &Record) -> Result<()> {
    match remove(host, holder) {
        // Its rules are gone. Its own hosts file concerns no other container.
        Err(error) if error.cause == Cause::HostsFile => {
            log_failure(holder, Err(error));
            Ok(())
        }
        removed => removed,
    }
}

/// Settles the addresses that `container` and the running `holder` both have.
fn settle_with(
    host: &Locked<'_>,
    container: &Record,
    holder: &Record,
    live: &mut Live,
) -> Result<()> {
    let mut holder = holder.clone();
    let now = read_again(&holder, live).filter(|now| now != holder.network.addresses());
    if let Some(now) = now {
        log::info!("{}: its addresses have changed: its links follow", holder.id);
        holder = replace_addresses(host, &holder, now)?;
    }
    let theirs = holder.network.addresses();
    let both = |theirs: &&Address| find(container, theirs.ip()).is_some();
    let contested: Vec<Address> = theirs.iter().filter(both).copied().collect();
    let Some(first) = contested.first() else { return Ok(()) };
    if !is_linked(host.store.as_ref(), &holder)? {
        return Ok(());
    }
    if !container.links.is_empty() {
        let message = format!(
            "address \"{}\": belongs to container {}, which runs and has links",
            first.ip(),
            holder.id
        );
        return Err(Error::new(Kind::Unsafe, message));
    }
    let mut left = theirs.to_vec();
    for theirs in contested {
        let ours = find(container, theirs.ip());
        if ours.is_some_and(|ours| are_apart(ours, &theirs))
            && is_bound(host, &holder, theirs.ip())?
        {
            continue;
        }
        log::warn!(
            "address {}: container {} has it too: the links of {} no longer use it",
            theirs.ip(),
            container.id,
            holder.id
        );
        left.retain(|address| address.ip() != theirs.ip());
    }
    if left.len() < theirs.len() {
        replace_addresses(host, &holder, left)?;
    }
    Ok(())
}

fn find(record: &Record, ip: IpAddr) -> Option<&Address> {
    record.network.addresses().iter().find(|address| address.ip() == ip)
}

/// Whether both addresses are on bridges that are known, and on different ones.
fn are_apart(one: &Address, other: &Address) -> bool {
    matches!((one.bridge(), other.bridge()), (Some(one), Some(other)) if one != other)
}

/// Whether each rule that names the address `ip` of `holder` is bound to a bridge.
fn is_bound(host: &Locked<'_>, holder: &Record, ip: IpAddr) -> Result<bool> {
    let recipients = recipients_of(host.store.as_ref(), holder)?;
    let mut flows = recipients.iter().chain([holder]).flat_map(|record| &record.flows);
    Ok(flows.all(|flow| (flow.from != ip && flow.to != ip) || flow.bridge.is_some()))
}

/// The addresses that a running container has now. `None` if they cannot be read.
fn read_again(holder: &Record, live: &mut Live) -> Option<Vec<Address>> {
    let cookie = holder.instance.netns;
    if let Some((_, addresses)) = live.iter().find(|(known, _)| *known == cookie) {
        return addresses.clone();
    }
    if live.len() >= MAX_READ {
        return None;
    }
    let read = || -> Result<Option<Vec<Address>>> {
        let process = Process::pin(holder.instance.pid)?;
        let namespace = Namespace::of(&process)?;
        let same = process.started() == holder.instance.started && namespace.cookie == cookie;
        Ok((same && !namespace.is_ours).then_some(namespace.addresses))
    };
    let addresses = read().unwrap_or_else(|error| {
        log::warn!("{}: its addresses cannot be read again: {error}", holder.id);
        None
    });
    live.push((cookie, addresses.clone()));
    addresses
}

/// Gives a running container other addresses: rules and hosts lines follow, its own and those of its
/// recipients. Returns its new record.
fn replace_addresses(
    host: &Locked<'_>,
    holder: &Record,
    addresses: Vec<Address>,
) -> Result<Record> {
    let network = Network::Own(addresses);
    settle_record(host, &Record { network, ..holder.clone() }, &[])?;
    let Some(now) = host.store.get(&holder.id)? else { return Ok(holder.clone()) };
    for recipient in recipients_of(host.store.as_ref(), &now)? {
        replan(host, &recipient)?;
    }
    Ok(now)
}
