//! The bridge ports of all interfaces of a container, also of those without an address.

use super::{Interface, Leads, leads};
use crate::error::{Context, Error, Kind, Result};
use crate::model::BridgePort;
use crate::sys::net::netlink::message::Batch;
use crate::sys::net::netlink::uapi::{
    AF_UNSPEC, IFLA_EXT_MASK, NLM_F_DUMP, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::errno::Errno;
use std::fs::File;

/// Whether an interface with this index exists in the network namespace of this process. If that cannot be seen,
/// it may.
pub(crate) fn exists(index: u32) -> bool {
    match nix::net::if_::if_indextoname(index) {
        // nix 0.31 returns an empty name where the kernel knows no such index.
        Ok(name) => !name.is_empty(),
        Err(errno) => ![Errno::ENXIO, Errno::ENODEV].contains(&errno),
    }
}

/// The most interfaces of an isolated container.
const MAX_INTERFACES: usize = 256;
/// Kinds of interfaces whose packets leave by another interface of the container. The kernel makes some of
/// them in each namespace.
const CARRIED: [&str; 11] = [
    "ipip",
    "sit",
    "ip6tnl",
    "gre",
    "gretap",
    "erspan",
    "ip6gre",
    "ip6gretap",
    "ip6erspan",
    "vti",
    "vti6",
];

/// Returns the bridge ports of all interfaces in the namespace of the socket `link`, or the name of an
/// interface that leads elsewhere. `host` is the namespace with the bridges.
pub(crate) fn ports(
    link: &mut Netlink,
    host: &File,
) -> Result<std::result::Result<Vec<BridgePort>, String>> {
    let mut question = Batch::default();
    question.message(RTM_GETLINK, NLM_F_DUMP, AF_UNSPEC, |body| {
        let skipped = RTEXT_FILTER_SKIP_STATS.to_ne_bytes();
        body.header(&[0, 0, 0]).bytes(IFLA_EXT_MASK, &skipped);
    });
    let mut all = Vec::new();
    let asked = link.ask(&question, |message| {
        all.extend(message.interface_index().zip(Interface::parse(message)));
    })?;
    let refused = |refusal: NetlinkError| Err(refusal.errno());
    asked.or_else(refused).context(Kind::Namespace, || "interfaces")?;
    if all.len() > MAX_INTERFACES {
        let message = format!("more than {MAX_INTERFACES} interfaces");
        return Err(Error::new(Kind::Namespace, message));
    }
    let mut found = Vec::new();
    for (index, interface) in all {
        let is_carried = CARRIED.contains(&interface.kind.as_str());
        if interface.name == "lo" || is_carried && interface.peer_namespace.is_none() {
            continue;
        }
        match leads(link, host, index)? {
            Leads::Nowhere | Leads::Doubtful => {}
            Leads::Outside | Leads::Unknown => return Ok(Err(interface.name)),
            Leads::To(bridge, index) => found.push(BridgePort { index, bridge }),
        }
    }
    found.sort();
    found.dedup();
    Ok(Ok(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_exists_while_an_interface_has_it() {
        assert!(exists(1), "lo");
        assert!(!exists(1 << 30));
    }
}
