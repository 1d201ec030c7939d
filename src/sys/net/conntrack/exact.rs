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
//! So only flows of IPv4 with one port of TCP or UDP are ended this way. A request that names only the
//! address of an ended container would end all its connections at once. It is not sent: a container that
//! oci-link did not start may have the address by then.

use super::{failed, message_type, write_address, write_filter, write_port};
use crate::error::Result;
use crate::model::{Family, Flow, Protocol};
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Batch, Body, family_number};
use crate::sys::net::netlink::uapi::{
    CTA_FILTER_F_IP_SRC, CTA_FILTER_F_PROTO_NUM, CTA_FILTER_F_PROTO_SRC_PORT, CTA_TUPLE_ORIG,
    CTA_TUPLE_REPLY, IPCTNL_MSG_CT_DELETE,
};
use nix::libc::{EINVAL, EOPNOTSUPP};
use std::net::IpAddr;

/// The most flows that are ended one by one. With more, reading the table takes less time.
///
/// On Linux 6.18 with 262,144 buckets, both requests of a flow took 0.35 ms and 0.8 µs for each entry of
/// the table. Reading it took 12 ms and 3.6 µs for each entry.
const FEW: usize = 16;
/// The most flows, times entries of the table. A single flow is always ended this way.
const MOST_WORK: usize = 40_000;
/// What identifies the client in the tuple of its direction.
const CLIENT: u32 = CTA_FILTER_F_IP_SRC;
/// What identifies the server in the tuple of its direction.
const SERVER: u32 = CTA_FILTER_F_IP_SRC | CTA_FILTER_F_PROTO_NUM | CTA_FILTER_F_PROTO_SRC_PORT;

/// Ends the connections of `flows`, as far as that is possible without a dump. Returns the flows whose
/// connections must be looked for in the table.
pub(super) fn end(link: &mut Netlink, flows: &[Flow], entries: u32) -> Result<Vec<Flow>> {
    let (exact, rest): (Vec<Flow>, Vec<Flow>) = flows.iter().partition(|flow| is_exact(flow));
    // Where the table must be read anyway, that ends all flows.
    if !rest.is_empty() || !are_few(exact.len(), entries) {
        return Ok(flows.to_vec());
    }
    match link.exchange(&requests(&exact).with_receipt())?.first() {
        None => Ok(Vec::new()),
        // The kernel has no filter.
        Some(refusal) if [EINVAL, EOPNOTSUPP].contains(&refusal.code) => Ok(flows.to_vec()),
        Some(refusal) => Err(failed(refusal.errno())),
    }
}

/// Whether so many flows are ended one by one in a table with so many entries.
fn are_few(flows: usize, entries: u32) -> bool {
    let work = flows.saturating_mul(usize::try_from(entries).unwrap_or(usize::MAX));
    flows == 1 || (1..=FEW).contains(&flows) && work <= MOST_WORK
}

fn is_exact(flow: &Flow) -> bool {
    flow.ports.is_single()
        && flow.from.is_ipv4()
        && flow.to.is_ipv4()
        && matches!(flow.ports.protocol(), Protocol::Tcp | Protocol::Udp)
}

/// Two requests for each flow: the recipient or the source sent the first packet that was tracked.
fn requests(flows: &[Flow]) -> Batch {
    let mut batch = Batch::default();
    for flow in flows {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (flow.from, flow.to) else { continue };
        let client = |body: &mut Body<'_>| write_address(body, from);
        let server = |body: &mut Body<'_>| {
            write_address(body, to);
            write_port(body, flow.ports.protocol(), flow.ports.first());
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
    let family = family_number(Family::of(flow.from));
    batch.message(message_type(IPCTNL_MSG_CT_DELETE), 0, family, |body| {
        body.nest(CTA_TUPLE_ORIG, write_original);
        body.nest(CTA_TUPLE_REPLY, write_reply);
        write_filter(body, original, reply);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortRange;
    use crate::sys::net::netlink::message::messages;
    use crate::sys::net::netlink::uapi::{
        CTA_IP_V4_SRC, CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_TUPLE_IP, CTA_TUPLE_PROTO,
    };

    fn flow(from: &str, to: &str, port: &str) -> Flow {
        let ports = PortRange::parse(port).unwrap();
        Flow { from: from.parse().unwrap(), to: to.parse().unwrap(), ports, bridge: None }
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
        assert!(!is_exact(&flow("10.0.0.2", "10.0.0.3", "80-81/tcp")));
        assert!(!is_exact(&flow("fd00::2", "fd00::3", "80/tcp")));
        assert!(!is_exact(&flow("10.0.0.2", "10.0.0.3", "80/sctp")));
    }

    #[test]
    fn many_flows_are_ended_by_one_reading_of_the_table() {
        for (flows, entries, few) in [
            (0, 1, false),
            (1, 1, true),
            (1, u32::MAX, true),
            (16, 1, true),
            (17, 1, false),
            (16, 2500, true),
            (16, 2501, false),
            (4, 10_000, true),
            (2, 100_000, false),
        ] {
            assert_eq!(are_few(flows, entries), few, "{flows} flows, {entries} entries");
        }
    }
}
