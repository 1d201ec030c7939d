//! Ends the connections of a few flows without reading the table of connections.
//!
//! `IPCTNL_MSG_CT_DELETE` with `CTA_FILTER` deletes what matches its tuples. The kernel walks the table
//! by itself, which takes a fiftieth of the time of a dump. What kernels do with such a request, from
//! their source (`ctnetlink_del_conntrack`):
//!
//! - 5.10 to 6.6 do not read `CTA_FILTER` here. The request then names one connection, for which its
//!   tuple is incomplete: `EINVAL`, and nothing is deleted. 6.12 and 6.18 read it.
//! - Without a tuple, 5.10 to 6.6 delete all connections. So every request here has both tuples.
//! - IPv6 addresses are compared the wrong way round, also in 6.18: what differs would be deleted.
//! - Ports are compared for TCP and UDP only.
//!
//! So only flows of IPv4 with TCP or UDP are ended this way.

use super::{failed, message_type};
use crate::error::Result;
use crate::model::{Flow, Protocol};
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Batch, Body, family_number};
use crate::sys::net::netlink::uapi::{
    CTA_FILTER, CTA_FILTER_F_IP_SRC, CTA_FILTER_F_PROTO_NUM, CTA_FILTER_F_PROTO_SRC_PORT,
    CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS, CTA_IP_V4_SRC, CTA_PROTO_NUM,
    CTA_PROTO_SRC_PORT, CTA_TUPLE_IP, CTA_TUPLE_ORIG, CTA_TUPLE_PROTO, CTA_TUPLE_REPLY,
    IPCTNL_MSG_CT_DELETE,
};
use nix::libc::{EINVAL, EOPNOTSUPP};
use std::net::{IpAddr, Ipv4Addr};

/// The most flows that are ended one by one. With more, one dump takes less time.
const FEW: usize = 16;
/// What identifies the client in the tuple of its direction.
const CLIENT: u32 = CTA_FILTER_F_IP_SRC;
/// What identifies the server in the tuple of its direction.
const SERVER: u32 = CTA_FILTER_F_IP_SRC | CTA_FILTER_F_PROTO_NUM | CTA_FILTER_F_PROTO_SRC_PORT;

/// Ends the connections of `flows`, as far as that is possible without a dump. Returns the flows whose
/// connections must be looked for in the table.
pub(super) fn end(link: &mut Netlink, flows: &[Flow]) -> Result<Vec<Flow>> {
    let (exact, rest): (Vec<Flow>, Vec<Flow>) = flows.iter().partition(|flow| is_exact(flow));
    if exact.is_empty() || exact.len() > FEW {
        return Ok(flows.to_vec());
    }
    match link.exchange(&requests(&exact).with_receipt())?.first() {
        None => Ok(rest),
        // The kernel has no filter.
        Some(refusal) if [EINVAL, EOPNOTSUPP].contains(&refusal.code) => Ok(flows.to_vec()),
        Some(refusal) => Err(failed(refusal.errno())),
    }
}

fn is_exact(flow: &Flow) -> bool {
    flow.from.is_ipv4()
        && flow.to.is_ipv4()
        && matches!(flow.port.protocol, Protocol::Tcp | Protocol::Udp)
}

/// Two requests for each flow: the recipient or the source sent the first packet that was tracked.
fn requests(flows: &[Flow]) -> Batch {
    let mut batch = Batch::default();
    for flow in flows {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (flow.from, flow.to) else { continue };
        let client = |body: &mut Body<'_>| address(body, from);
        let server = |body: &mut Body<'_>| {
            address(body, to);
            body.nest(CTA_TUPLE_PROTO, |body| {
                body.byte(CTA_PROTO_NUM, flow.port.protocol.number());
                body.bytes(CTA_PROTO_SRC_PORT, &flow.port.number.to_be_bytes());
            });
        };
        delete(&mut batch, flow, (CLIENT, client), (SERVER, server));
        delete(&mut batch, flow, (SERVER, server), (CLIENT, client));
    }
    batch
}

/// Adds a request to delete what matches both tuples.
fn delete(
    batch: &mut Batch,
    flow: &Flow,
    (original, write_original): (u32, impl Fn(&mut Body<'_>)),
    (reply, write_reply): (u32, impl Fn(&mut Body<'_>)),
) {
    let family = family_number(crate::model::Family::of(flow.from));
    batch.message(message_type(IPCTNL_MSG_CT_DELETE), 0, family, |body| {
        body.nest(CTA_TUPLE_ORIG, write_original);
        body.nest(CTA_TUPLE_REPLY, write_reply);
        body.nest(CTA_FILTER, |body| {
            // In host byte order.
            body.bytes(CTA_FILTER_ORIG_FLAGS, &original.to_ne_bytes());
            body.bytes(CTA_FILTER_REPLY_FLAGS, &reply.to_ne_bytes());
        });
    });
}

fn address(body: &mut Body<'_>, ip: Ipv4Addr) {
    body.nest(CTA_TUPLE_IP, |body| {
        body.bytes(CTA_IP_V4_SRC, &ip.octets());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortSet;
    use crate::sys::net::netlink::message::messages;

    fn flow(from: &str, to: &str, port: &str) -> Flow {
        let port = PortSet::parse(port).unwrap().iter().next().unwrap();
        Flow { from: from.parse().unwrap(), to: to.parse().unwrap(), port, bridge: None }
    }

    #[test]
    fn a_request_has_both_tuples_and_each_flag_its_attribute() {
        let batch = requests(&[flow("10.0.0.2", "10.0.0.3", "53/udp")]);
        let all: Vec<_> = messages(batch.bytes()).collect();
        assert_eq!(all.len(), 2);
        let tuple = |at: usize, tuple| all[at].attributes().inside(tuple);
        for (at, client, server) in
            [(0, CTA_TUPLE_ORIG, CTA_TUPLE_REPLY), (1, CTA_TUPLE_REPLY, CTA_TUPLE_ORIG)]
        {
            let client = tuple(at, client);
            assert_eq!(client.inside(CTA_TUPLE_IP).get(CTA_IP_V4_SRC), Some(&[10, 0, 0, 2][..]));
            assert!(client.get(CTA_TUPLE_PROTO).is_none(), "an older kernel finds it incomplete");
            let server = tuple(at, server);
            assert_eq!(server.inside(CTA_TUPLE_IP).get(CTA_IP_V4_SRC), Some(&[10, 0, 0, 3][..]));
            let protocol = server.inside(CTA_TUPLE_PROTO);
            assert_eq!(protocol.get(CTA_PROTO_NUM), Some(&[17][..]));
            assert_eq!(protocol.get(CTA_PROTO_SRC_PORT), Some(&[0, 53][..]));
        }
    }

    #[test]
    fn what_a_kernel_would_match_wrongly_is_not_exact() {
        assert!(is_exact(&flow("10.0.0.2", "10.0.0.3", "80/tcp")));
        assert!(!is_exact(&flow("fd00::2", "fd00::3", "80/tcp")));
        assert!(!is_exact(&flow("10.0.0.2", "10.0.0.3", "80/sctp")));
    }
}
