//! The first packet of a connection that a link permits. What is not known of it is left open.

use crate::model::{Address, BridgeName, Crossing, Family, Flow};
use nix::net::if_::if_nametoindex;
use std::net::IpAddr;

/// `IPPROTO_TCP`.
const TCP: u8 = 6;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Its family.
    pub(crate) family: Family,
    /// The bridge on which it arrives, if it is known.
    pub(super) input: Option<Device>,
    /// The bridge on which it leaves, if it is known.
    pub(super) output: Option<Device>,
    /// Source and destination, if they are known.
    pub(crate) addresses: Option<(IpAddr, IpAddr)>,
    /// The networks of source and destination, if they are known, such as `10.0.0.0/24`.
    pub(crate) networks: Option<(String, String)>,
    /// The number of its protocol.
    pub(crate) protocol: u8,
    /// The destination port, if it is known.
    pub(crate) port: Option<u16>,
}

/// A bridge as an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) name: BridgeName,
    /// Its index, if it exists.
    pub(super) index: Option<u32>,
}

impl Device {
    fn of(name: BridgeName) -> Self {
        Self { name, index: if_nametoindex(name.as_str()).ok() }
    }
}

impl Sample {
    /// The packet that opens a connection of this flow, to its first port. `ends` are the addresses of
    /// recipient and source, as far as they are known.
    pub(crate) fn of(flow: &Flow, ends: [Option<&Address>; 2]) -> Self {
        let [mut input, mut output] =
            ends.map(|end| flow.bridge.map(|on| on.name).or_else(|| end?.bridge()).map(Device::of));
        match flow.bridge.map(|on| on.crossing).unwrap_or_default() {
            Crossing::Within => {}
            // The interface towards the other host is not known.
            Crossing::Leaves => output = None,
            Crossing::Enters => input = None,
        }
        let [ours, theirs] = ends.map(|end| end.map(Address::subnet));
        Self {
            family: Family::of(flow.from),
            input,
            output,
            addresses: Some((flow.from, flow.to)),
            networks: ours.zip(theirs),
            protocol: flow.ports.protocol().number(),
            port: Some(flow.ports.first()),
        }
    }

    /// The packet of a flow between hosts that passes `interface` on the side of the other host.
    pub(crate) fn by(mut self, interface: BridgeName) -> Self {
        let device = Some(Device::of(interface));
        if self.input.is_none() {
            self.input = device;
        } else {
            self.output = device;
        }
        self
    }

    /// The packet of some link between two containers on `bridge`.
    pub(crate) fn on(bridge: BridgeName, family: Family) -> Self {
        let device = Some(Device::of(bridge));
        let (input, output) = (device.clone(), device);
        Self { family, input, output, addresses: None, networks: None, protocol: TCP, port: None }
    }

    /// The bridge that it does not leave. `None` if it is routed, or if an interface is unknown.
    pub(crate) fn bridge(&self) -> Option<BridgeName> {
        let (input, output) = (self.input.as_ref()?, self.output.as_ref()?);
        (input.name == output.name).then_some(input.name)
    }

    /// Whether it passes the chains of tables of this family.
    pub(super) fn passes(&self, family: &str) -> bool {
        match family {
            "inet" => true,
            "bridge" => self.bridge().is_some(),
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

fn part(header: &[Option<u8>], offset: usize, length: usize) -> Vec<Option<u8>> {
    let known = header.iter().skip(offset).copied();
    known.chain(std::iter::repeat(None)).take(length.min(64)).collect()
}
