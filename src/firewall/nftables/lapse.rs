//! Elements that lapse instead of being deleted.
//!
//! After a deletion the kernel delays the closing of netlink sockets by 7 to 20 ms, also of other processes. An
//! element that gets a timeout of one tick is gone without that: after 10 ms at most, and 4 ms on most
//! kernels. The kernel does so since Linux 6.12 (`man nft`: "update element timeout"); older ones
//! accept the request and change nothing, so the elements are read again and deleted there.

use super::messages::Transaction;
use super::owner;
use super::reading::existing;
use crate::error::Result;
use crate::firewall::elements::Element;
use crate::model::Flow;
use crate::sys::net::netlink::{Netlink, kept};
use nix::libc::{EEXIST, EINVAL};
use std::slice;

/// Lets `elements`, which exist, lapse. They are gone when the host lock has been released.
pub(super) fn lapse(link: &mut Netlink, elements: &[Element<Flow>]) -> Result<()> {
    let Some(first) = elements.first() else { return Ok(()) };
    let mut transaction = Transaction::default();
    transaction.lapse_elements(elements);
    let standing = match transaction.commit(link)? {
        None => {
            kept::ends_with_a_tick();
            // A kernel gives all of them the timeout, or none.
            let stands = !existing(link, slice::from_ref(first))?.is_empty();
            if stands { elements.to_vec() } else { Vec::new() }
        }
        // The sets are of an older version, which made them without timeouts.
        Some(refusal) if refusal.code == EINVAL => elements.to_vec(),
        Some(refusal) => return Err(owner::refused(link, refusal)),
    };
    let mut transaction = Transaction::default();
    transaction.delete_elements(&standing);
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(owner::refused(link, refusal)))
}

/// Commits a transaction that may add an element that has not lapsed yet: then once more, a tick later.
pub(super) fn commit_added(link: &mut Netlink, transaction: Transaction) -> Result<()> {
    let again = transaction.clone();
    match transaction.commit(link)? {
        None => return Ok(()),
        Some(refusal) if refusal.code == EEXIST => kept::wait_for_a_tick(),
        Some(refusal) => return Err(owner::refused(link, refusal)),
    }
    again.commit(link)?.map_or(Ok(()), |refusal| Err(owner::refused(link, refusal)))
}
