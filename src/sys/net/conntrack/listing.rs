//! Finds the connections of many flows in the table of connections.
//!
//! The kernel walks all buckets for a dump, whatever it returns: 12 ms for 262,144 buckets (Linux 6.18).
//! Each entry that it returns takes 3.6 µs more, and each that its filter leaves out 0.3 µs. So a large table
//! is read twice with a filter: for connections that the recipients opened, and for those that the source
//! opened. The flows of an event have the address of the container that started or ended in common.
//!
//! Dumps have `CTA_FILTER` since Linux 5.8. An earlier kernel ignores it and returns more, so every entry is
//! compared here. IPv6 addresses are compared the wrong way round, also in 6.18, so these entries are
//! filtered by the port.

use super::{Connection, failed, message_type, write_address, write_filter, write_port};
use crate::error::Result;
use crate::model::{Family, Flow, FlowIndex, Protocol};
use crate::sys::net::netlink::message::{Attributes, Batch, Body, family_number};
use crate::sys::net::netlink::uapi::{
    CTA_FILTER_F_IP_SRC, CTA_FILTER_F_PROTO_NUM, CTA_FILTER_F_PROTO_SRC_PORT, CTA_TUPLE_ORIG,
    CTA_TUPLE_REPLY, IPCTNL_MSG_CT_GET, NFPROTO_UNSPEC, NLM_F_DUMP,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::{EINVAL, EOPNOTSUPP};
use std::net::{IpAddr, Ipv4Addr};

/// The most entries of a table that is read once and whole.
const SMALL: u32 = 4096;

/// What all connections of some flows have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Common {
    /// An address of one of their ends.
    Address(Ipv4Addr),
    /// The server's protocol and port.
    Port(Protocol, u16),
}

/// Returns the connections that `flows` permitted, of a table with so many entries. The flows name no
/// bridge.
pub(super) fn find(link: &mut Netlink, flows: &[Flow], entries: u32) -> Result<Vec<Connection>> {
    let mut found = Vec::new();
    if flows.is_empty() {
        return Ok(found);
    }
    let index = FlowIndex::of(flows.iter().copied());
    let of = |family| flows.iter().copied().filter(move |flow| Family::of(flow.from) == family);
    let families = Family::BOTH.into_iter().filter(|family| of(*family).next().is_some());
    let families: Vec<Family> = families.collect();
    if entries <= SMALL && families.len() > 1 {
        read(link, NFPROTO_UNSPEC, None, &mut |entry| found.extend(entry), &index)?
            .map_err(|refusal| failed(refusal.errno()))?;
        return Ok(found);
    }
    for family in families {
        let number = family_number(family);
        let common = if entries > SMALL { common(of(family)) } else { None };
        let filters = common.map(|common| [(common, true), (common, false)]);
        let is_done = match filters {
            Some(filters) => read_filtered(link, number, filters, &mut found, &index)?,
            None => false,
        };
        if !is_done {
            read(link, number, None, &mut |entry| found.extend(entry), &index)?
                .map_err(|refusal| failed(refusal.errno()))?;
        }
    }
    Ok(found)
}

/// Reads the table once for each filter. Returns `false` if the kernel refuses filters.
fn read_filtered(
    link: &mut Netlink,
    family: u8,
    filters: [(Common, bool); 2],
    found: &mut Vec<Connection>,
    flows: &FlowIndex,
) -> Result<bool> {
    for filter in filters {
        match read(link, family, Some(filter), &mut |entry| found.extend(entry), flows)? {
            Ok(()) => {}
            Err(refusal) if [EINVAL, EOPNOTSUPP].contains(&refusal.code) => return Ok(false),
            Err(refusal) => return Err(failed(refusal.errno())),
        }
    }
    Ok(true)
}

/// Reads the table, or the entries that `filter` selects, and calls `visit` for each.
fn read(
    link: &mut Netlink,
    family: u8,
    filter: Option<(Common, bool)>,
    visit: &mut dyn FnMut(Option<Connection>),
    flows: &FlowIndex,
) -> Result<std::result::Result<(), NetlinkError>> {
    link.ask(&question(family, filter), |message| {
        visit(Connection::of(&message.attributes(), flows));
    })
}

/// Calls `visit` for the entries with the address `ip`, and perhaps for others. An entry may be visited twice.
pub(super) fn of_address(
    link: &mut Netlink,
    ip: IpAddr,
    visit: &mut dyn FnMut(&Attributes<'_>),
) -> Result<()> {
    let family = family_number(Family::of(ip));
    let mut ask =
        |filter| link.ask(&question(family, filter), |message| visit(&message.attributes()));
    if let IpAddr::V4(ip) = ip {
        let mut is_filtered = true;
        for replies in [true, false] {
            let filter = Some((Common::Address(ip), replies));
            match if is_filtered { ask(filter)? } else { Ok(()) } {
                Ok(()) => {}
                Err(refusal) if [EINVAL, EOPNOTSUPP].contains(&refusal.code) => is_filtered = false,
                Err(refusal) => return Err(failed(refusal.errno())),
            }
        }
        if is_filtered {
            return Ok(());
        }
    }
    ask(None)?.map_err(|refusal| failed(refusal.errno()))
}

/// Asks for all entries of a family. The filter selects those in which the container replies (`true`), or
/// those in which it sent the first packet.
fn question(family: u8, filter: Option<(Common, bool)>) -> Batch {
    let mut question = Batch::default();
    question.message(message_type(IPCTNL_MSG_CT_GET), NLM_F_DUMP, family, |body| {
        let Some((common, replies)) = filter else { return };
        let tuple = if replies { CTA_TUPLE_REPLY } else { CTA_TUPLE_ORIG };
        body.nest(tuple, |body: &mut Body<'_>| match common {
            Common::Address(ip) => write_address(body, ip),
            Common::Port(protocol, port) => write_port(body, protocol, port),
        });
        let flags = match common {
            Common::Address(_) => CTA_FILTER_F_IP_SRC,
            Common::Port(..) => CTA_FILTER_F_PROTO_NUM | CTA_FILTER_F_PROTO_SRC_PORT,
        };
        if replies { write_filter(body, 0, flags) } else { write_filter(body, flags, 0) }
    });
    question
}

/// Returns what all connections of `flows` have in common, as far as the kernel can compare it.
fn common(flows: impl Iterator<Item = Flow> + Clone) -> Option<Common> {
    let first = flows.clone().next()?;
    let is_end = |ip: &IpAddr| flows.clone().all(|flow| flow.from == *ip || flow.to == *ip);
    match [first.to, first.from].into_iter().find(is_end) {
        Some(IpAddr::V4(ip)) => return Some(Common::Address(ip)),
        Some(IpAddr::V6(_)) | None => {}
    }
    let (protocol, port) = (first.ports.protocol(), first.ports.first());
    let is_comparable = matches!(protocol, Protocol::Tcp | Protocol::Udp);
    let mut flows = flows;
    let is_one = flows.all(|flow| flow.ports.is_single() && flow.ports == first.ports);
    (is_comparable && is_one).then_some(Common::Port(protocol, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortRange;
    use crate::sys::net::netlink::message::messages;
    use crate::sys::net::netlink::uapi::{
        CTA_FILTER, CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS, CTA_IP_V4_SRC, CTA_TUPLE_IP,
        NFPROTO_IPV4,
    };

    fn flow(from: &str, to: &str, port: &str) -> Flow {
        let ports = PortRange::parse(port).unwrap();
        Flow { from: from.parse().unwrap(), to: to.parse().unwrap(), ports, bridge: None }
    }

    fn common_of(flows: &[Flow]) -> Option<Common> {
        common(flows.iter().copied())
    }

    #[test]
    fn flows_of_one_event_have_an_address_in_common() {
        let db = Ipv4Addr::new(10, 0, 0, 2);
        let in_both_directions = [
            flow("10.0.0.3", "10.0.0.2", "80/tcp"),
            flow("10.0.0.2", "10.0.0.4", "1-9/udp"),
            flow("10.0.0.5", "10.0.0.2", "81/tcp"),
        ];
        assert_eq!(common_of(&in_both_directions), Some(Common::Address(db)));
        let web = [flow("10.0.0.3", "10.0.0.2", "80/tcp"), flow("10.0.0.3", "10.0.0.4", "80/tcp")];
        assert_eq!(common_of(&web), Some(Common::Address(Ipv4Addr::new(10, 0, 0, 3))));
        let none = [flow("10.0.0.3", "10.0.0.2", "80/tcp"), flow("10.0.0.4", "10.0.0.5", "81/tcp")];
        assert_eq!(common_of(&none), None);
    }

    /// The kernel compares no IPv6 address, and ports of TCP and UDP only.
    #[test]
    fn other_flows_may_have_a_port_in_common() {
        let v6 = |port| flow("fd00::3", "fd00::2", port);
        assert_eq!(common_of(&[v6("80/tcp")]), Some(Common::Port(Protocol::Tcp, 80)));
        assert_eq!(common_of(&[v6("80/tcp"), v6("80/udp")]), None);
        assert_eq!(common_of(&[v6("80-81/tcp")]), None);
        assert_eq!(common_of(&[v6("80/sctp")]), None);
        assert_eq!(common_of(&[]), None);
    }

    #[test]
    fn a_filter_has_the_tuple_that_it_compares() {
        let common = Common::Address(Ipv4Addr::new(10, 0, 0, 2));
        for (replies, tuple, flags) in
            [(true, CTA_TUPLE_REPLY, [0, 1]), (false, CTA_TUPLE_ORIG, [1, 0])]
        {
            let batch = question(NFPROTO_IPV4, Some((common, replies)));
            let attributes = messages(batch.bytes()).next().unwrap().attributes();
            let address = attributes.inside(tuple).inside(CTA_TUPLE_IP);
            assert_eq!(address.get(CTA_IP_V4_SRC), Some(&[10, 0, 0, 2][..]));
            let filter = attributes.inside(CTA_FILTER);
            let kinds = [CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS];
            let expected = flags.map(u32::to_ne_bytes);
            assert_eq!(
                kinds.map(|kind| filter.get(kind)),
                expected.each_ref().map(|f| Some(&f[..]))
            );
        }
        let whole = question(NFPROTO_IPV4, None);
        assert!(messages(whole.bytes()).next().unwrap().attributes().get(CTA_FILTER).is_none());
    }
}
