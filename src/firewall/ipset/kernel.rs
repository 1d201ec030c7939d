//! Creating, finding and listing sets in the kernel.

use super::messages::{
    self, SetChange, ask_for_header, ask_for_set, change_run, create_set, destroy_set, element,
    rename_to_itself, runs, swap,
};
use super::rules;
use super::sets::{IpSet, Kind, SetEntry};
use crate::error::{Cause, Error, Result};
use crate::firewall::elements::Element;
use crate::firewall::failed;
use crate::model::Family;
use crate::sys::net::netlink::message::Batch;
use crate::sys::net::netlink::uapi::{IPSET_ERR_BUSY, IPSET_ERR_FIND_TYPE, IPSET_ERR_REFERENCED};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::{EEXIST, EINVAL, ENOENT, EOPNOTSUPP};
use std::thread::sleep;
use std::time::Duration;

/// Pause between attempts to destroy a set. `nf_tables` releases a set some time after the rule
/// that refers to it was deleted.
const LETTING_GO: Duration = Duration::from_millis(10);
const ATTEMPTS: usize = 200;
/// Messages per netlink batch. The errors for a whole batch fit the receive buffer of the socket.
const TOGETHER: usize = 64;

/// Elements that one message changes.
type Run<'e> = &'e [Element<SetEntry>];

/// Creates the sets of a family. An existing set of the right type stays as it is.
///
/// A set of another type is an error, because it could match more than its elements say. `there` is
/// the listing of the filter table.
pub(crate) fn make_sets(family: Family, there: &[String]) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    let [bridged, ported, seats, routed] = IpSet::all_of(family);
    make_set(&mut link, bridged)?;
    make_set(&mut link, ported)?;
    make_set(&mut link, seats)?;
    let is_new = make_set(&mut link, routed)?;
    // Earlier versions kept all flows in the set that now requires a bridge. If their rules are
    // still there, the flows are moved to the set for flows without a bridge.
    if is_new && rules::outdated(family).iter().any(|rule| there.contains(rule)) {
        let mut batch = Batch::default();
        swap(&mut batch, bridged, routed);
        if let Some(refusal) = link.exchange(&batch.with_receipt())?.first() {
            return Err(refused(bridged, "cannot be emptied", *refusal));
        }
    }
    Ok(())
}

/// Creates a set. Returns whether it was missing.
pub(crate) fn make_set(link: &mut Netlink, set: IpSet) -> Result<bool> {
    let mut batch = Batch::default();
    create_set(&mut batch, set);
    match link.exchange(&batch.with_receipt())?.first() {
        None => Ok(true),
        Some(refusal) if refusal.code == EEXIST && is_ours(link, set)? => Ok(false),
        Some(refusal) => {
            let error = refused(set, "cannot be created", *refusal);
            let is_missing = refusal.code == IPSET_ERR_FIND_TYPE
                || is_in_kernel().is_err_and(|error| error.cause == Cause::NotSupported);
            Err(if is_missing { error.because(Cause::NotSupported) } else { error })
        }
    }
}

/// Destroys the sets of both families, and returns whether there was one. A set of another type was
/// not created by us and stays.
pub(crate) fn destroy_sets(link: &mut Netlink) -> Result<bool> {
    let mut found = false;
    let every = |family| IpSet::all_of(family).into_iter().chain(IpSet::between_hosts(family));
    for set in Family::BOTH.into_iter().flat_map(every) {
        if is_ours(link, set)? {
            destroy(link, set)?;
            found = true;
        }
    }
    Ok(found)
}

fn destroy(link: &mut Netlink, set: IpSet) -> Result<()> {
    let mut attempts = 0..ATTEMPTS;
    loop {
        let mut batch = Batch::default();
        destroy_set(&mut batch, set);
        match link.exchange(&batch.with_receipt())?.first() {
            Some(refusal) if refusal.code == IPSET_ERR_BUSY && attempts.next().is_some() => {
                sleep(LETTING_GO);
            }
            Some(refusal) => return Err(refused(set, "cannot be removed", *refusal)),
            None => return Ok(()),
        }
    }
}

fn refused(set: IpSet, what: &str, refusal: NetlinkError) -> Error {
    let (set, why) = (set.name(), refusal.errno().desc());
    failed(format!("ipset {set}: {what}: {why} ({})", refusal.code))
}

/// Whether the existing set has the type that we create.
pub(crate) fn is_ours(link: &mut Netlink, set: IpSet) -> Result<bool> {
    let mut ours = false;
    let mut batch = Batch::default();
    ask_for_header(&mut batch, set);
    let answer = link.ask(&batch.with_receipt(), |message| {
        ours = messages::is_ours(set, &message.attributes());
    })?;
    Ok(answer.is_ok() && ours)
}

/// Fails if the kernel does not support ipset.
pub(crate) fn is_in_kernel() -> Result<()> {
    let mut batch = Batch::default();
    ask_for_header(&mut batch, IpSet { family: Family::V4, kind: Kind::Bridged });
    match Netlink::netfilter()?.ask(&batch.with_receipt(), |_| ())? {
        Err(refusal) if refusal.code != ENOENT => {
            let error = failed(format!("ipset: not in the kernel ({})", refusal.errno().desc()));
            let is_missing = [EINVAL, EOPNOTSUPP].contains(&refusal.code);
            Err(if is_missing { error.because(Cause::NotSupported) } else { error })
        }
        _ => Ok(()),
    }
}

/// Whether rules refer to the sets of a family.
///
/// All or none of the sets are referred to, so one is checked. The kernel reports the number of
/// references only after it has counted the elements. Renaming is faster: the kernel refuses at
/// once to rename a set that is referred to.
pub(crate) fn is_in_use(link: &mut Netlink, family: Family) -> Result<bool> {
    is_referred_to(link, IpSet { family, kind: Kind::Bridged })
}

/// Whether rules refer to a set.
pub(crate) fn is_referred_to(link: &mut Netlink, set: IpSet) -> Result<bool> {
    let mut batch = Batch::default();
    rename_to_itself(&mut batch, set);
    let refused = link.exchange(&batch.with_receipt())?;
    Ok(refused.iter().any(|refusal| refusal.code == IPSET_ERR_REFERENCED))
}

/// Lists the elements of all sets.
pub(crate) fn list_all(link: &mut Netlink) -> Result<Vec<Element<SetEntry>>> {
    let mut all = Vec::new();
    for set in Family::BOTH.into_iter().flat_map(IpSet::all_of) {
        all.extend(list(link, set)?);
    }
    Ok(all)
}

/// Lists the elements of a set. A missing set gives an empty list.
pub(crate) fn list(link: &mut Netlink, set: IpSet) -> Result<Vec<Element<SetEntry>>> {
    let mut all = Vec::new();
    let mut batch = Batch::default();
    ask_for_set(&mut batch, set);
    let answer = link.ask(&batch, |message| {
        let elements = messages::elements(&message.attributes());
        all.extend(elements.filter_map(|attributes| element(set, &attributes)));
    })?;
    match answer {
        Ok(()) => Ok(all),
        // A kernel without ipset answers EINVAL and has no sets.
        Err(refusal) if [ENOENT, EINVAL].contains(&refusal.code) => Ok(Vec::new()),
        Err(refusal) => Err(refused(set, "cannot be listed", refusal)),
    }
}

/// Sends one message for each run of at most `most` elements. Returns the runs that the kernel refused, with
/// the errors.
pub(crate) fn send<'e>(
    link: &mut Netlink,
    change: SetChange,
    elements: &'e [Element<SetEntry>],
    most: usize,
) -> Result<Vec<(Run<'e>, NetlinkError)>> {
    let mut refused = Vec::new();
    for some in runs(elements, most).collect::<Vec<_>>().chunks(TOGETHER) {
        let mut batch = Batch::default();
        for run in some {
            change_run(&mut batch, change, run);
        }
        for refusal in link.exchange(&batch.with_receipt())? {
            let at = usize::try_from(refusal.sequence).unwrap_or(0);
            if let Some(run) = at.checked_sub(1).and_then(|at| some.get(at)) {
                refused.push((*run, refusal));
            }
        }
    }
    Ok(refused)
}
