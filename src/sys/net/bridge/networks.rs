//! The networks of this host's own bridges.

use super::{Interface, ask_for};
use crate::error::{Context, Kind, Result};
use crate::model::{Address, BridgeName};
use crate::sys::net::listed::Addresses;
use crate::sys::net::netlink::message::Batch;
use crate::sys::net::netlink::uapi::{
    AF_UNSPEC, IFLA_EXT_MASK, NLM_F_DUMP, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_NEWLINK,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
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

/// Returns the addresses of those of `bridges` that exist, each with its bridge and with the prefix length of its network.
pub(crate) fn addresses_of(bridges: &[BridgeName]) -> Result<Vec<Address>> {
    let found = Addresses::read(&mut Netlink::route()?)?.found;
    let index = |bridge: &BridgeName| nix::net::if_::if_nametoindex(bridge.as_str()).ok();
    let known = bridges.iter().filter_map(|bridge| Some((index(bridge)?, *bridge)));
    let mut all = Vec::new();
    for (index, bridge) in known {
        let own = found.iter().filter(|(at, ..)| *at == index);
        let own = own.filter_map(|(_, ip, prefix)| Address::new(*ip, *prefix).ok());
        all.extend(own.map(|address| address.on(Some(bridge))));
    }
    Ok(all)
}

/// Kinds of bridge ports that lead to containers and virtual machines of this host, or nowhere.
const INSIDE: [&str; 3] = ["veth", "tun", "dummy"];

/// Returns the bridges in the network namespace of this process without a port that may lead to another host.
pub(crate) fn bridges_of_containers() -> Result<Vec<BridgeName>> {
    let mut question = Batch::default();
    question.message(RTM_GETLINK, NLM_F_DUMP, AF_UNSPEC, |body| {
        let skipped = RTEXT_FILTER_SKIP_STATS.to_ne_bytes();
        body.header(&[0, 0, 0]).bytes(IFLA_EXT_MASK, &skipped);
    });
    let mut all = Vec::new();
    let asked = Netlink::route()?.ask(&question, |message| {
        all.extend(message.interface_index().zip(Interface::parse(message)));
    })?;
    asked.map_err(NetlinkError::errno).context(Kind::Namespace, || "interfaces")?;
    let leads_out = |index: &u32| {
        let mut ports = all.iter().filter(|(_, port)| port.master == Some(*index));
        ports.any(|(_, port)| !INSIDE.contains(&port.kind.as_str()))
    };
    let bridges = all.iter().filter(|(index, it)| it.kind == "bridge" && !leads_out(index));
    Ok(bridges.filter_map(|(_, bridge)| BridgeName::new(&bridge.name).ok()).collect())
}
