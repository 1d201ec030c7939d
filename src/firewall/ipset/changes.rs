//! Changes of elements, and what the kernel's refusals mean.

use super::kernel::{is_ours, send};
use super::messages::{MAX_PORTS, SetChange};
use super::sets::{IpSet, SetEntry};
use crate::error::{Error, Result};
use crate::firewall::elements::Element;
use crate::firewall::failed;
use crate::sys::net::netlink::uapi::{IPSET_ERR_EXIST, IPSET_ERR_HASH_FULL};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::{EINVAL, ENOENT};

/// Adds the elements. Returns those that existed before. On an error, some may have been added.
pub(super) fn add(link: &mut Netlink, elements: &[Element<SetEntry>]) -> Result<Vec<SetEntry>> {
    let mut there = Vec::new();
    for (run, refusal) in send(link, SetChange::Add, elements, MAX_PORTS)? {
        match run {
            _ if refusal.code != IPSET_ERR_EXIST => return Err(complaint(run, refusal)),
            [element] => there.push(element.key),
            // The kernel stopped at the first port that exists.
            _ => there.extend(add_one_by_one(link, run)?),
        }
    }
    Ok(there)
}

/// Adds the elements of a run of which one exists, and perhaps more. Returns those that existed before this.
fn add_one_by_one(link: &mut Netlink, run: &[Element<SetEntry>]) -> Result<Vec<SetEntry>> {
    let mut there = Vec::new();
    for (one, refusal) in send(link, SetChange::Add, run, 1)? {
        if refusal.code != IPSET_ERR_EXIST {
            return Err(complaint(one, refusal));
        }
        there.extend(one.iter().map(|element| element.key));
    }
    Ok(there)
}

/// Replaces the comments of existing elements.
pub(super) fn update(link: &mut Netlink, elements: &[Element<SetEntry>]) -> Result<()> {
    let refused = send(link, SetChange::Update, elements, MAX_PORTS)?;
    refused.first().map_or(Ok(()), |(run, refusal)| Err(complaint(run, *refusal)))
}

/// Deletes the elements. A missing element or set is not an error.
pub(super) fn delete(link: &mut Netlink, elements: &[Element<SetEntry>]) -> Result<()> {
    for (run, refusal) in send(link, SetChange::Delete, elements, MAX_PORTS)? {
        let is_gone = [ENOENT, EINVAL].contains(&refusal.code);
        let Some(first) = run.first().filter(|_| !is_gone) else { continue };
        // A set of another type was not created by us, so it contains no element of ours.
        if is_ours(link, IpSet::of(&first.key))? {
            return Err(complaint(run, refusal));
        }
    }
    Ok(())
}

/// Returns `error`, with a second one appended if what followed failed too.
pub(super) fn and_then(error: Error, next: Result<()>) -> Error {
    match next {
        Ok(()) => error,
        Err(another) => failed(format!("{error}; {another}")),
    }
}

pub(super) fn complaint(run: &[Element<SetEntry>], refusal: NetlinkError) -> Error {
    let why = match refusal.code {
        IPSET_ERR_HASH_FULL => "the set is full".to_owned(),
        code => format!("{} ({code})", refusal.errno().desc()),
    };
    let first = run.first().map(|element| element.key.show()).unwrap_or_default();
    failed(format!("ipset {first}: {why}"))
}
