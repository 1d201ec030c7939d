//! The networks of this host's own bridges.

use super::{Interface, ask_for};
use crate::error::Result;
use crate::model::Address;
use crate::sys::net::listed::Addresses;
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::Batch;
use crate::sys::net::netlink::uapi::RTM_NEWLINK;
use std::collections::BTreeSet;

/// Returns the addresses of all bridges in the network namespace of this process, each with the prefix length
/// of its network.
pub(crate) fn bridge_addresses() -> Result<Vec<Address>> {
    let mut link = Netlink::route()?;
    let found = Addresses::read(&mut link)?.found;
    let indexes: BTreeSet<u32> = found.iter().map(|(index, ..)| *index).collect();
    let mut bridges = BTreeSet::new();
    for index in indexes {
        let mut question = Batch::default();
        ask_for(&mut question, index, None);
        link.ask_each(&question, |answer| {
            let interface = Interface::parse(answer).filter(|_| answer.kind == RTM_NEWLINK);
            if interface.is_some_and(|interface| interface.kind == "bridge") {
                bridges.insert(index);
            }
        })?;
    }
    let own = found.into_iter().filter(|(index, ..)| bridges.contains(index));
    Ok(own.filter_map(|(_, ip, prefix)| Address::new(ip, prefix).ok()).collect())
}
