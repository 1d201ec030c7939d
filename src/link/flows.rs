//! Which connections a link permits, and between which of the two containers' addresses.

use crate::model::{Address, Family, Flow, Record};
use std::net::IpAddr;

/// The addresses of `family` by which `recipient` reaches `source`: those on a network that both
/// are connected to, else the first of each.
fn endpoints(recipient: &Record, source: &Record, family: Family) -> Option<(IpAddr, IpAddr)> {
    let of = |record: &Record| -> Vec<Address> {
        let all = record.network.addresses().iter();
        all.filter(|address| Family::of(address.ip()) == family).copied().collect()
    };
    let (ours, theirs) = (of(recipient), of(source));
    let shared = ours.iter().find_map(|our| {
        theirs.iter().find(|their| our.shares_network(their)).map(|their| (our.ip(), their.ip()))
    });
    shared.or_else(|| Some((ours.first()?.ip(), theirs.first()?.ip())))
}

/// The address of `family` under which `recipient` knows `source`.
pub fn source_address(recipient: &Record, source: &Record, family: Family) -> Option<IpAddr> {
    let first = || {
        let mut all = source.network.addresses().iter().map(Address::ip);
        all.find(|ip| Family::of(*ip) == family)
    };
    endpoints(recipient, source, family).map(|(_, theirs)| theirs).or_else(first)
}

/// One flow for each exposed port and family that both have; each once, however many aliases the
/// source has.
pub fn flows(recipient: &Record, sources: &[&Record]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|earlier| earlier.id == source.id) {
            continue;
        }
        for (from, to) in Family::BOTH.iter().filter_map(|f| endpoints(recipient, source, *f)) {
            flows.extend(source.ports.iter().map(|port| Flow { from, to, port }));
        }
    }
    flows
}
