//! The sets as the kernel has them: made, looked for, listed.

use super::messages::{
    self, BUSY, MISSING, REFERENCED, ask_for_header, ask_for_set, create_set, destroy_set, element,
    rename_to_itself, swap,
};
use super::sets::{self, IpSet, Kind, SetEntry};
use crate::error::{Error, Result};
use crate::firewall::elements::Element;
use crate::firewall::failed;
use crate::model::Family;
use crate::sys::net::netlink::message::Batch;
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::{EEXIST, EINVAL};
use std::thread::sleep;
use std::time::Duration;

/// `nf_tables` lets go of a set some time after the rule that asked for it is gone.
const LETTING_GO: Duration = Duration::from_millis(10);
const ATTEMPTS: usize = 200;

/// Makes the sets of a family. One that is there stays as it is, if it is of our kind: another
/// could let through more than its elements say.
pub(crate) fn make_sets(family: Family, there: &[String]) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    let [bridged, seats, routed] = IpSet::all_of(family);
    make_set(&mut link, bridged)?;
    make_set(&mut link, seats)?;
    let is_new = make_set(&mut link, routed)?;
    // Flows of an earlier version are bound to nothing, and in the set of those that are.
    if is_new && sets::outdated(family).iter().any(|rule| there.contains(rule)) {
        let mut batch = Batch::default();
        swap(&mut batch, bridged, routed);
        if let Some(refusal) = link.exchange(&batch.with_receipt())?.first() {
            return Err(refused(bridged, "cannot be emptied", *refusal));
        }
    }
    Ok(())
}

/// Makes one; says whether it was missing.
fn make_set(link: &mut Netlink, set: IpSet) -> Result<bool> {
    let mut batch = Batch::default();
    create_set(&mut batch, set);
    match link.exchange(&batch.with_receipt())?.first() {
        None => Ok(true),
        Some(refusal) if refusal.code == EEXIST && is_ours(link, set)? => Ok(false),
        Some(refusal) => Err(refused(set, "cannot be created", *refusal)),
    }
}

/// Unmakes the sets of both families. One that is not of our kind is not ours.
pub(crate) fn destroy_sets(link: &mut Netlink) -> Result<()> {
    for set in Family::BOTH.into_iter().flat_map(IpSet::all_of) {
        if is_ours(link, set)? {
            destroy(link, set)?;
        }
    }
    Ok(())
}

fn destroy(link: &mut Netlink, set: IpSet) -> Result<()> {
    let mut attempts = 0..ATTEMPTS;
    loop {
        let mut batch = Batch::default();
        destroy_set(&mut batch, set);
        match link.exchange(&batch.with_receipt())?.first() {
            Some(refusal) if refusal.code == BUSY && attempts.next().is_some() => sleep(LETTING_GO),
            Some(refusal) => return Err(refused(set, "cannot be removed", *refusal)),
            None => return Ok(()),
        }
    }
}

fn refused(set: IpSet, what: &str, refusal: NetlinkError) -> Error {
    let (set, why) = (set.name(), refusal.errno().desc());
    failed(format!("ipset {set}: {what}: {why} ({})", refusal.code))
}

/// Whether the set that is there compares what ours does.
pub(crate) fn is_ours(link: &mut Netlink, set: IpSet) -> Result<bool> {
    let mut ours = false;
    let mut batch = Batch::default();
    ask_for_header(&mut batch, set);
    let answer = link.ask(&batch.with_receipt(), |message| {
        ours = messages::is_ours(set, &message.attributes());
    })?;
    Ok(answer.is_ok() && ours)
}

/// Fails where the kernel has no sets.
pub(crate) fn is_in_kernel() -> Result<()> {
    let mut batch = Batch::default();
    ask_for_header(&mut batch, IpSet { family: Family::V4, kind: Kind::Bridged });
    match Netlink::netfilter()?.ask(&batch.with_receipt(), |_| ())? {
        Err(refusal) if refusal.code != MISSING => {
            Err(failed(format!("ipset: not in the kernel ({})", refusal.errno().desc())))
        }
        _ => Ok(()),
    }
}

/// Whether rules ask for a family's sets: all do or none, so one is asked about. The kernel lists a
/// set's references only after counting its elements; a set that is referred to cannot be renamed,
/// and says so at once.
pub(crate) fn is_in_use(link: &mut Netlink, family: Family) -> Result<bool> {
    let mut batch = Batch::default();
    rename_to_itself(&mut batch, IpSet { family, kind: Kind::Bridged });
    let refused = link.exchange(&batch.with_receipt())?;
    Ok(refused.iter().any(|refusal| refusal.code == REFERENCED))
}

/// The elements of all sets.
pub(crate) fn list_all(link: &mut Netlink) -> Result<Vec<Element<SetEntry>>> {
    let mut all = Vec::new();
    for set in Family::BOTH.into_iter().flat_map(IpSet::all_of) {
        all.extend(list(link, set)?);
    }
    Ok(all)
}

/// The elements of a set; none if there is no set.
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
        // A kernel without sets has none of ours.
        Err(refusal) if [MISSING, EINVAL].contains(&refusal.code) => Ok(Vec::new()),
        Err(refusal) => Err(refused(set, "cannot be listed", refusal)),
    }
}
