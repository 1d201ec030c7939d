//! Addresses of a starting container that another container's record has.
//!
//! A dead one is removed. Of a running one the addresses are read again: it may have given the address
//! back. If it still has it, then two bridges have one network, or it gave itself the address of a
//! neighbour. Then no rule may let packets of the starting container through as if they were the
//! other's, see [`ambiguous`](crate::lifecycle::ambiguous).

use crate::error::{Cause, Context, Error, Kind, Result};
use crate::host::Locked;
use crate::lifecycle::addresses::{Look, MAX_READ, follow};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::ambiguous::find;
use crate::lifecycle::lookup::{is_linked, recipients_of};
use crate::lifecycle::remove;
use crate::lifecycle::replan::log_failure;
use crate::model::{ContainerId, Flow, Record};

/// The most containers whose links are planned again because a starting container without links has an
/// address of theirs or of their source. Each takes about 0.3 ms. The rest is left to a note.
pub(crate) const MOST: usize = 128;

/// What was done about containers with addresses of a starting one.
#[derive(Default)]
pub(super) struct Settled {
    /// Whether a dead container was removed.
    pub(super) cleared: bool,
    /// Whether links of running containers were planned again.
    pub(super) followed: bool,
    /// Running containers that have one of the addresses too, and their recipients. Their links must be
    /// planned again when the starting container has a record.
    pub(super) neighbours: Vec<Record>,
    /// Whether there are more of them than [`MOST`].
    pub(super) are_more: bool,
}

/// Decides which container has the addresses of `container`.
///
/// An address of a running container with links is an error only if `container` has links too. Other
/// failures are logged if it has none.
pub(super) fn settle(host: &Locked<'_>, container: &Record) -> Result<Settled> {
    let (mut done, mut look) = (Settled::default(), Look::quick(host, MAX_READ));
    let mut known: Vec<ContainerId> = Vec::new();
    for address in container.network.addresses() {
        let what = || format!("address \"{}\"", address.ip());
        let holders = match host.store.holders_of(address.ip()) {
            // The other container may run: only a newer oci-link knows.
            Err(error) if error.cause == Cause::NewerRecord && !container.needs_links() => {
                log::error!("{}: {}: {error}", container.id.brief(), what());
                continue;
            }
            holders => holders.context(Kind::State, what)?,
        };
        for holder in holders {
            let is_peer = holder.instance.shares_namespace(&container.instance);
            // What isolates a dead container would isolate its pod peer too: they have one port.
            let is_own = holder.id == container.id || is_peer && holder.isolation.is_none();
            if is_own || known.contains(&holder.id) {
                continue;
            }
            known.push(holder.id.clone());
            let settled = match is_running(&holder, host.boot) {
                Ok(false) => remove_dead(host, &holder).map(|()| done.cleared = true),
                _ if is_peer => Ok(()),
                Ok(true) => settle_with(host, container, &holder, (&mut look, &mut done)),
                // Unknown is not dead.
                Err(error) => {
                    log::warn!("{}: taken as running: {error}", holder.id.brief());
                    settle_with(host, container, &holder, (&mut look, &mut done))
                }
            };
            match settled {
                Err(error) if !container.needs_links() => log::error!(
                    "{}: rules of {} may name its address; run oci-link sync: {error}",
                    container.id.brief(),
                    holder.id.brief()
                ),
                settled => settled?,
            }
        }
    }
    // Several holders may have one recipient.
    done.neighbours.sort_by(|one, other| one.id.cmp(&other.id));
    done.neighbours.dedup_by(|one, other| one.id == other.id);
    limit(container, &mut done);
    Ok(done)
}

/// Leaves out neighbours beyond [`MOST`]. Those whose rules name an address of `container` come first.
fn limit(container: &Record, done: &mut Settled) {
    if done.neighbours.len() <= MOST {
        return;
    }
    let is_named =
        |flow: &Flow| [flow.from, flow.to].iter().any(|ip| find(container, *ip).is_some());
    let (mut named, others): (Vec<_>, Vec<_>) = std::mem::take(&mut done.neighbours)
        .into_iter()
        .partition(|neighbour| neighbour.flows.iter().any(is_named));
    done.are_more = named.len() > MOST;
    if done.are_more {
        let (id, left) = (&container.id, named.len() - MOST);
        log::warn!(
            "{}: rules of {left} containers name its address: they are removed later",
            id.brief()
        );
    }
    named.extend(others);
    named.truncate(MOST);
    done.neighbours = named;
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
    (look, done): (&mut Look<'_>, &mut Settled),
) -> Result<()> {
    let moved = follow(host, holder, look)?;
    done.followed |= moved;
    let now = if moved { host.store.get(&holder.id)? } else { None };
    let holder = now.as_ref().unwrap_or(holder);
    let theirs = holder.network.addresses().iter();
    let both: Vec<_> =
        theirs.filter_map(|theirs| Some((theirs, find(container, theirs.ip())?))).collect();
    let Some((first, _)) = both.first() else { return Ok(()) };
    if !is_linked(host.store.as_ref(), holder)? {
        return Ok(());
    }
    if container.needs_links() {
        let message = format!(
            "address \"{}\": belongs to container {}, which runs and has links",
            first.ip(),
            holder.id
        );
        return Err(Error::new(Kind::Unsafe, message));
    }
    for (theirs, _) in both.iter().filter(|(theirs, ours)| !ours.is_apart_from(theirs)) {
        log::warn!(
            "address {}: container {} has it too: the links of {} no longer use it",
            theirs.ip(),
            container.id.brief(),
            holder.id.brief()
        );
    }
    done.neighbours.extend(recipients_of(host.store.as_ref(), holder)?);
    done.neighbours.push(holder.clone());
    Ok(())
}
