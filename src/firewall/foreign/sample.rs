//! The first packet of a connection that a link permits. What is not known of it is left open.

use crate::model::{BridgeName, Family, Flow};
use nix::net::if_::if_nametoindex;
use std::net::IpAddr;

/// `IPPROTO_TCP`.
const TCP: u8 = 6;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Its family.
    pub(crate) family: Family,
    /// The bridge on which it arrives and leaves. Without one, both interfaces are unknown.
    pub(crate) bridge: Option<BridgeName>,
    /// The index of the bridge, if it exists.
    pub(crate) index: Option<u32>,
    /// Source and destination, if they are known.
    pub(crate) addresses: Option<(IpAddr, IpAddr)>,
    /// The number of its protocol.
    pub(crate) protocol: u8,
    /// The destination port, if it is known.
    pub(crate) port: Option<u16>,
}

impl Sample {
    /// The packet that opens a connection of this flow, to its first port.
    pub(crate) fn of(flow: &Flow) -> Self {
        Self {
            family: Family::of(flow.from),
            bridge: flow.bridge,
            index: flow.bridge.as_ref().and_then(index),
            addresses: Some((flow.from, flow.to)),
            protocol: flow.ports.protocol().number(),
            port: Some(flow.ports.first()),
        }
    }

    /// The packet of some link between two containers on `bridge`.
    pub(crate) fn on(bridge: BridgeName, family: Family) -> Self {
        let (index, bridge) = (index(&bridge), Some(bridge));
        Self { family, bridge, index, addresses: None, protocol: TCP, port: None }
    }

    /// Whether it passes the chains of tables of this family.
    pub(super) fn passes(&self, family: &str) -> bool {
        match family {
            "inet" => true,
            "bridge" => self.bridge.is_some(),
            "ip" => self.family == Family::V4,
            "ip6" => self.family == Family::V6,
            _ => false,
        }
    }

    /// `length` bytes of its network header from `offset` on, where they are known.
    pub(super) fn network_header(&self, offset: usize, length: usize) -> Vec<Option<u8>> {
        let mut header = vec![None; 40];
        let (protocol, from, to) = match self.family {
            Family::V4 => (9, 12, 16),
            Family::V6 => (6, 8, 24),
        };
        if let Some(byte) = header.get_mut(protocol) {
            *byte = Some(self.protocol);
        }
        let (source, destination) = self.addresses.unzip();
        for (at, address) in [(from, source), (to, destination)] {
            let octets = match address {
                Some(IpAddr::V4(ip)) => ip.octets().to_vec(),
                Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
                None => Vec::new(),
            };
            for (byte, octet) in header.iter_mut().skip(at).zip(octets) {
                *byte = Some(octet);
            }
        }
        part(&header, offset, length)
    }

    /// `length` bytes of its transport header from `offset` on, where they are known.
    pub(super) fn transport_header(&self, offset: usize, length: usize) -> Vec<Option<u8>> {
        let mut header = vec![None; 4];
        let port = self.port.map(u16::to_be_bytes);
        for (byte, octet) in header.iter_mut().skip(2).zip(port.into_iter().flatten()) {
            *byte = Some(octet);
        }
        part(&header, offset, length)
    }
}

fn index(bridge: &BridgeName) -> Option<u32> {
    if_nametoindex(bridge.as_str()).ok()
}

fn part(header: &[Option<u8>], offset: usize, length: usize) -> Vec<Option<u8>> {
    let known = header.iter().skip(offset).copied();
    known.chain(std::iter::repeat(None)).take(length.min(64)).collect()
}
