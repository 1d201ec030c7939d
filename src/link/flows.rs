//! Which connections a link permits, and between which of the two containers' addresses.

use crate::model::{Address, Family, Flow, Record};
use std::net::IpAddr;

/// The addresses of `family` by which `recipient` reaches `source`: those on a network that both
/// are connected to, else the first of each.
fn endpoints(recipient: &Record, source: &Record, family: Family) -> Option<(Address, Address)> {
    let of = |record: &Record| -> Vec<Address> {
        let all = record.network.addresses().iter();
        all.filter(|address| Family::of(address.ip()) == family).copied().collect()
    };
    let (ours, theirs) = (of(recipient), of(source));
    let shared = ours.iter().find_map(|our| {
        theirs.iter().find(|their| our.shares_network(their)).map(|their| (*our, *their))
    });
    shared.or_else(|| Some((*ours.first()?, *theirs.first()?)))
}

/// The address of `family` under which `recipient` knows `source`.
pub fn source_address(recipient: &Record, source: &Record, family: Family) -> Option<IpAddr> {
    let first = || {
        let mut all = source.network.addresses().iter().map(Address::ip);
        all.find(|ip| Family::of(*ip) == family)
    };
    endpoints(recipient, source, family).map(|(_, theirs)| theirs.ip()).or_else(first)
}

/// One flow for each exposed port and family that both have; each once, however many aliases the
/// source has.
pub fn flows(recipient: &Record, sources: &[&Record]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|earlier| earlier.id == source.id) {
            continue;
        }
        for (ours, theirs) in Family::BOTH.iter().filter_map(|f| endpoints(recipient, source, *f)) {
            let (from, to) = (ours.ip(), theirs.ip());
            let bridge = ours.bridge().filter(|ours| theirs.bridge() == Some(*ours));
            flows.extend(source.ports.iter().map(|port| Flow { from, to, port, bridge }));
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{BridgeName, Network};

    fn at(name: &str, addresses: &[(&str, &str)]) -> Record {
        let on = |(text, bridge): &(&str, &str)| {
            Address::parse(text).unwrap().on(BridgeName::new(bridge).ok())
        };
        let network = Network::Own(addresses.iter().map(on).collect());
        Record { network, ..record(name, "80", &[]) }
    }

    #[test]
    fn a_flow_is_bound_to_the_bridge_that_both_sit_on() {
        let web = at("web", &[("10.0.0.2/24", "a"), ("10.0.1.2/24", "b"), ("fd00::2/64", "a")]);
        let shown = |source: &Record| -> Vec<String> {
            flows(&web, &[source]).iter().map(ToString::to_string).collect()
        };
        let near = at("near", &[("10.0.1.3/24", "b"), ("fd00::3/64", "b")]);
        let expected = ["10.0.1.2 -> 10.0.1.3 80/tcp on b", "fd00::2 -> fd00::3 80/tcp"];
        assert_eq!(shown(&near), expected);
        let unknown = at("unknown", &[("10.0.0.3/24", ""), ("fd00::3/64", "a")]);
        let expected = ["10.0.0.2 -> 10.0.0.3 80/tcp", "fd00::2 -> fd00::3 80/tcp on a"];
        assert_eq!(shown(&unknown), expected);
        let both_unknown = at("web", &[("10.0.0.2/24", "")]);
        assert_eq!(flows(&both_unknown, &[&unknown])[0].bridge, None);
    }
}
