//! Finds where a container's interface leads to: the bridge on the host that it is attached to, or
//! nowhere outside the container.
//!
//! The container's end of a veth pair names the index of the host's end and its namespace. The
//! host's end names its master, and the master its name. All requests use the netlink socket that
//! is already open in the container's namespace. Every other setup counts as no bridge: macvlan,
//! point-to-point links, other kinds of bridges, and kernels that do not report the peer.

pub(crate) mod networks;
pub(crate) mod ports;

use super::netlink::message::{Attributes, Batch, Message, text};
use super::netlink::uapi::{
    AF_UNSPEC, IFLA_EXT_MASK, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINK_NETNSID,
    IFLA_LINKINFO, IFLA_MASTER, IFLA_TARGET_NETNSID, NETNSA_FD, NETNSA_NSID, NLM_F_DUMP,
    RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_GETNSID, RTM_NEWLINK, RTM_NEWNSID,
};
use super::netlink::{Netlink, NetlinkError};
use crate::error::{Context, Kind, Result};
use crate::model::BridgeName;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Where an interface leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To a bridge of the host, by the port with this index.
    To(BridgeName, u32),
    /// Into the namespace with the bridges, but not to a bridge: a macvlan, for example.
    Outside,
    /// Out of the namespace, by a way that is not known: for example to a process, as pasta.
    Unknown,
    /// Perhaps nowhere: a dummy, or both ends of a pair are inside. It counts where nothing else does.
    Doubtful,
    /// Nowhere outside: a bridge of containers inside this one.
    Nowhere,
}

/// Where `interface` leads to.
///
/// `interface` is an index in the namespace of the socket `link`, and the bridge is in the
/// namespace `host`. Fails if the kernel could not be asked: rules that are not bound to a bridge
/// would let more packets through.
pub(crate) fn leads(link: &mut Netlink, host: &File, interface: u32) -> Result<Leads> {
    let mut questions = Batch::default();
    ask_for(&mut questions, interface, None);
    // Must be the second request: the first answer makes the kernel assign an id to the namespace
    // of the peer.
    questions.message(RTM_GETNSID, 0, AF_UNSPEC, |body| {
        body.bytes(NETNSA_FD, &host.as_raw_fd().to_ne_bytes());
    });
    let (mut own, mut number) = (None, None);
    link.ask_each(&questions, |answer| match answer.kind {
        RTM_NEWLINK => own = Interface::parse(answer),
        RTM_NEWNSID => number = answer.attributes().local(NETNSA_NSID),
        _ => {}
    })?;
    // A negative id means "not assigned". An index in a third namespace would name another
    // interface.
    let number = number.filter(|number| i32::try_from(*number).is_ok());
    if let Some(inside) = own.as_ref().and_then(Interface::stays_inside) {
        return Ok(inside);
    }
    let own = own.filter(|own| own.peer_namespace == number);
    let (Some(own), Some(number)) = (own, number) else { return Ok(Leads::Unknown) };
    let Some(port) = own.peer.filter(|_| own.kind == "veth") else { return Ok(Leads::Outside) };
    let peer = elsewhere(link, number, port)?.filter(|peer| peer.kind == "veth");
    let Some(master) = peer.and_then(|peer| peer.master) else { return Ok(Leads::Outside) };
    let master = elsewhere(link, number, master)?.filter(|master| master.kind == "bridge");
    let bridge = master.and_then(|bridge| BridgeName::new(&bridge.name).ok());
    Ok(bridge.map_or(Leads::Outside, |bridge| Leads::To(bridge, port)))
}

/// The interface `index` in the namespace with the id `namespace`.
///
/// A kernel that does not know `IFLA_TARGET_NETNSID` answers for the namespace of the socket. Such
/// an answer is ignored.
fn elsewhere(link: &mut Netlink, namespace: u32, index: u32) -> Result<Option<Interface>> {
    let mut question = Batch::default();
    ask_for(&mut question, index, Some(namespace));
    let mut found = None;
    link.ask_each(&question, |answer| {
        if answer.kind == RTM_NEWLINK {
            found = Interface::parse(answer);
        }
    })?;
    Ok(found.filter(|found| found.in_namespace == Some(namespace)))
}

/// The number of interfaces of one container that are listed by [`namespaces_led_to`].
const MAX_LISTED: usize = 256;

/// The ids of the namespaces that the interfaces in the namespace of the socket lead to. The socket must not
/// be used again.
pub(crate) fn namespaces_led_to(link: &mut Netlink) -> Result<BTreeSet<u32>> {
    let mut question = Batch::default();
    question.message(RTM_GETLINK, NLM_F_DUMP, AF_UNSPEC, |body| {
        let skipped = RTEXT_FILTER_SKIP_STATS.to_ne_bytes();
        body.header(&[0, 0, 0]).bytes(IFLA_EXT_MASK, &skipped);
    });
    let (mut found, mut listed) = (BTreeSet::new(), 0);
    let asked = link.ask_until(&question, |answer| {
        listed += 1;
        let peer = Interface::parse(answer).and_then(|interface| interface.peer_namespace);
        found.extend(peer.filter(|number| i32::try_from(*number).is_ok()));
        listed == MAX_LISTED
    })?;
    let refused = |refusal: NetlinkError| Err(refusal.errno());
    asked.or_else(refused).context(Kind::Namespace, || "interfaces")?;
    Ok(found)
}

/// The id of `namespace` in the namespace of the socket. `None` if no interface has led there yet.
pub(crate) fn number_of(link: &mut Netlink, namespace: &File) -> Result<Option<u32>> {
    let mut question = Batch::default();
    question.message(RTM_GETNSID, 0, AF_UNSPEC, |body| {
        body.bytes(NETNSA_FD, &namespace.as_raw_fd().to_ne_bytes());
    });
    let mut number = None;
    link.ask_each(&question, |answer| {
        if answer.kind == RTM_NEWNSID {
            number = answer.attributes().local(NETNSA_NSID);
        }
    })?;
    Ok(number.filter(|number| i32::try_from(*number).is_ok()))
}

fn ask_for(batch: &mut Batch, index: u32, namespace: Option<u32>) {
    batch.message(RTM_GETLINK, 0, AF_UNSPEC, |body| {
        // The rest of `struct ifinfomsg` after family and type: index, flags, change mask. Without
        // statistics the answer is half as long.
        body.header(&[index, 0, 0]).bytes(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        if let Some(number) = namespace {
            body.bytes(IFLA_TARGET_NETNSID, &number.to_ne_bytes());
        }
    });
}

/// The attributes of an interface that the search needs.
#[derive(Default)]
pub(crate) struct Interface {
    name: String,
    kind: String,
    peer: Option<u32>,
    peer_namespace: Option<u32>,
    master: Option<u32>,
    in_namespace: Option<u32>,
}

impl Interface {
    /// Where it leads to if not outside its own namespace. The kernel names the namespace of a peer
    /// only if it is another one.
    fn stays_inside(&self) -> Option<Leads> {
        match self.kind.as_str() {
            "bridge" => Some(Leads::Nowhere),
            "dummy" => Some(Leads::Doubtful),
            "veth" if self.peer.is_some() && self.peer_namespace.is_none() => Some(Leads::Doubtful),
            _ => None,
        }
    }

    pub(crate) fn parse(message: &Message<'_>) -> Option<Self> {
        let (mut found, mut is_named) = (Self::default(), false);
        // One pass: a message has some sixty attributes.
        for (kind, value) in message.interface()? {
            let number = || value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
            match kind {
                IFLA_IFNAME => {
                    text(value)?.clone_into(&mut found.name);
                    is_named = true;
                }
                IFLA_LINKINFO => {
                    let kind = Attributes::new(value).text(IFLA_INFO_KIND).unwrap_or_default();
                    kind.clone_into(&mut found.kind);
                }
                IFLA_LINK => found.peer = number(),
                IFLA_LINK_NETNSID => found.peer_namespace = number(),
                IFLA_MASTER => found.master = number(),
                IFLA_TARGET_NETNSID => found.in_namespace = number(),
                _ => {}
            }
        }
        is_named.then_some(found)
    }
}
