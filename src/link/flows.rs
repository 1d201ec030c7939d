//! Which flows a link permits, and between which addresses of the two containers.

use super::carry::{Pair, pair};
use super::{OnMissing, Refusal};
use crate::model::{Address, BackendName, Bind, Crossing, Family, Flow, OnBridge, Record, Routing};
use std::collections::HashSet;
use std::net::IpAddr;

/// Limit of flows per recipient, above the needs of real applications.
///
/// A record has room for twice as many, because a pending one lists the old and the new flows.
pub(crate) const MAX_FLOWS: usize = 1 << 16;

/// Limit of the ports of one source with ipset, which has one element for each port of a range. It is
/// half of all ports, twice what servers of calls and media use. An element takes about 12 µs and 100
/// bytes of kernel memory.
pub(crate) const MAX_ELEMENTS: usize = 1 << 15;

/// Returns why `recipient` cannot be linked to `source` with the backend of its rules, if its ports are
/// too many for it.
pub(crate) fn too_many_ports(recipient: &Record, source: &Record) -> Option<Refusal> {
    let ports = source.ports.count();
    let is_too_much = recipient.backend == BackendName::Ipset && ports > MAX_ELEMENTS;
    is_too_much.then(|| Refusal::TooManyPorts { source: source.name.clone(), ports })
}

/// Returns why `recipient` cannot be linked to `source` on another host with the backend of its rules, if that has
/// no rules that end by themselves.
pub(crate) fn cannot_cross(recipient: &Record, source: &Record) -> Option<Refusal> {
    let backend = recipient.backend;
    let can = matches!(backend, BackendName::Ipset | BackendName::Nftables);
    let refusal = || Refusal::CannotCross { source: source.name.clone(), backend };
    (source.host.is_some() && !can).then(refusal)
}

/// What a flow counts for: with ipset it is one element for each port.
fn weight(backend: BackendName, flow: &Flow) -> usize {
    match backend {
        BackendName::Ipset => flow.ports.count(),
        BackendName::Iptables | BackendName::Nftables | BackendName::None => 1,
    }
}

/// Returns the address of `family` that the recipient's hosts file has for `source`.
///
/// It is the address that the flows use. If the recipient has no address of this family, it is the
/// source's first one, as in Docker. An address to which no packet gets is left out.
pub(crate) fn source_address(
    recipient: &Record,
    source: &Record,
    family: Family,
    routing: &Routing,
) -> Option<IpAddr> {
    let first = |record: &Record| {
        let mut all = record.network.addresses().iter().map(Address::ip);
        all.find(|ip| Family::of(*ip) == family)
    };
    match pair(recipient, source, family, routing) {
        Some(Pair { theirs, .. }) => Some(theirs.ip()),
        None if first(recipient).is_none() => first(source),
        None => None,
    }
}

/// Returns the flows to all `sources`, without duplicates.
///
/// A source may have several aliases, and containers of one pod share their addresses. If a source
/// would exceed [`MAX_FLOWS`] or has [`too_many_ports`], the recipient is refused. With
/// [`OnMissing::Leave`] this source becomes `None` instead.
pub(crate) fn flows(
    recipient: &Record,
    sources: &mut [Option<&Record>],
    absent: OnMissing,
    routing: &Routing,
) -> Result<Vec<Flow>, Refusal> {
    let (mut flows, mut known, mut total) = (Vec::new(), HashSet::<Flow>::new(), 0);
    let within = routing.closed();
    for (at, connected) in sources.iter_mut().enumerate() {
        let Some(source) = connected else { continue };
        // A link of an engine leads to no other network.
        let is_engine = recipient.links.get(at).is_some_and(|it| it.declared_by.is_engine());
        let mut new = between(recipient, source, if is_engine { &within } else { routing });
        new.retain(|flow| !known.contains(flow));
        let more: usize = new.iter().map(|flow| weight(recipient.backend, flow)).sum();
        if absent != OnMissing::Leave && !is_engine {
            if let Some(why) = unbound(recipient, source, routing) {
                return Err(Refusal::CannotBind { source: source.name.clone(), why });
            }
        }
        let too_many =
            too_many_ports(recipient, source).or_else(|| cannot_cross(recipient, source));
        if too_many.is_none() && total + more <= MAX_FLOWS {
            total += more;
            known.extend(&new);
            flows.extend(new);
        } else if absent == OnMissing::Leave || is_engine {
            *connected = None;
        } else {
            return Err(too_many.unwrap_or(Refusal::TooManyFlows));
        }
    }
    Ok(flows)
}

/// Returns one flow for each exposed port and each address family in which packets get through.
fn between(recipient: &Record, source: &Record, routing: &Routing) -> Vec<Flow> {
    let mut flows = Vec::new();
    let pairs = Family::BOTH.into_iter().filter_map(|f| pair(recipient, source, f, routing));
    for Pair { ours, theirs, .. } in pairs {
        let (from, to) = (ours.ip(), theirs.ip());
        if from == to {
            continue; // Both are in one pod.
        }
        let bridge = match &source.host {
            None => routing.ties.between(&ours, &theirs, recipient.backend),
            // Its port is not looked at: packets of a routed network lose the marks of bridges.
            Some(_) => {
                ours.bridge().map(|name| OnBridge { crossing: Crossing::Leaves, ..name.into() })
            }
        };
        flows.extend(source.ports.iter().map(|ports| Flow { from, to, ports, bridge }));
    }
    flows
}

/// Why flows between both containers cannot be tied to ports, where they must be.
fn unbound(recipient: &Record, source: &Record, routing: &Routing) -> Option<String> {
    if routing.ties.bind != Bind::Port || source.ports.is_empty() || source.host.is_some() {
        return None;
    }
    let mut pairs = Family::BOTH.into_iter().filter_map(|f| pair(recipient, source, f, routing));
    pairs.find_map(|Pair { ours, theirs, .. }| {
        let on = routing.ties.between(&ours, &theirs, recipient.backend)?;
        let is_apart = on.by_port && ours.ip() != theirs.ip();
        is_apart.then(|| routing.ties.obstacle(&ours, &theirs))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{BridgeName, Network, Ties};

    fn routing() -> Routing {
        Routing::default()
    }

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
            between(&web, source, &routing()).iter().map(ToString::to_string).collect()
        };
        let near = at("near", &[("10.0.1.3/24", "b"), ("fd00::3/64", "b")]);
        let expected = ["10.0.1.2 -> 10.0.1.3 80/tcp on b", "fd00::2 -> fd00::3 80/tcp"];
        assert_eq!(shown(&near), expected);
        let unknown = at("unknown", &[("10.0.0.3/24", ""), ("fd00::3/64", "a")]);
        let expected = ["10.0.0.2 -> 10.0.0.3 80/tcp", "fd00::2 -> fd00::3 80/tcp on a"];
        assert_eq!(shown(&unknown), expected);
        let both_unknown = at("web", &[("10.0.0.2/24", "")]);
        assert_eq!(between(&both_unknown, &unknown, &routing())[0].bridge, None);
    }

    #[test]
    fn containers_of_one_pod_are_reached_by_the_same_flows_once() {
        let web = record("web", "none", &["10.0.0.2/24"]);
        let [a, b] = ["a", "b"].map(|name| record(name, "80, 81/udp", &["10.0.0.3/24"]));
        let mut sources = [Some(&a), None, Some(&b), Some(&a)];
        let found = flows(&web, &mut sources, OnMissing::Refuse, &routing()).unwrap();
        assert_eq!(found, between(&web, &a, &routing()));
    }

    /// 4096 single ports, of which no two are neighbours.
    fn many(n: usize) -> Record {
        let ports: Vec<String> = (1..=4096).map(|number| (2 * number).to_string()).collect();
        record("many", &ports.join(","), &[&format!("10.0.1.{n}/16")])
    }

    #[test]
    fn one_flow_too_many() {
        let web = record("web", "none", &["10.0.0.2/24"]);
        let all: Vec<Record> = (1..=17).map(many).collect();
        let mut sources: Vec<Option<&Record>> = all.iter().map(Some).collect();
        let mut count = |absent| flows(&web, &mut sources, absent, &routing()).map(|all| all.len());
        assert_eq!(count(OnMissing::Defer), Err(Refusal::TooManyFlows));
        assert_eq!(count(OnMissing::Leave), Ok(MAX_FLOWS));
        assert_eq!(count(OnMissing::Refuse), Ok(MAX_FLOWS));
        assert_eq!(sources.iter().position(Option::is_none), Some(16));
    }

    #[test]
    fn a_range_is_one_flow() {
        let web = record("web", "none", &["10.0.0.2/24"]);
        let pbx = record("pbx", "1-65535, 16384-32768/udp", &["10.0.0.3/24"]);
        for backend in [BackendName::Iptables, BackendName::Nftables, BackendName::None] {
            let web = Record { backend, ..web.clone() };
            let found = flows(&web, &mut [Some(&pbx)], OnMissing::Refuse, &routing()).unwrap();
            let shown: Vec<String> = found.iter().map(|flow| flow.ports.to_string()).collect();
            assert_eq!(shown, ["1-65535/tcp", "16384-32768/udp"]);
        }
    }

    #[test]
    fn ipset_has_an_element_for_each_port_up_to_a_bound() {
        let web = record("web", "none", &["10.0.0.2/24", "fd00::2/64"]);
        let web = Record { backend: BackendName::Ipset, ..web };
        let exposing = |ports| record("pbx", ports, &["10.0.0.3/24", "fd00::3/64"]);
        let (most, more) = (exposing("1-32768/udp"), exposing("1-32769/udp"));
        let refused = flows(&web, &mut [Some(&more)], OnMissing::Defer, &routing()).unwrap_err();
        let expected = "link to pbx: it exposes 32769 ports, and the firewall backend ipset takes at \
                        most 32768 of one source: set firewall.backend to \"iptables\" or \
                        \"nftables\", or name fewer in org.oci-link.ports";
        assert_eq!(refused.to_string(), expected);
        assert_eq!(
            flows(&web, &mut [Some(&most)], OnMissing::Refuse, &routing()).map(|all| all.len()),
            Ok(2)
        );
        // Both families of one source fill the sets' share of a recipient.
        let small = record("small", "80", &["10.0.0.4/24"]);
        let mut sources = [Some(&most), Some(&small)];
        let refused = flows(&web, &mut sources, OnMissing::Refuse, &routing());
        assert_eq!(refused, Err(Refusal::TooManyFlows));
        let mut sources = [Some(&more), Some(&small)];
        assert_eq!(
            flows(&web, &mut sources, OnMissing::Leave, &routing()).map(|all| all.len()),
            Ok(1)
        );
        assert!(sources[0].is_none() && sources[1].is_some());
    }

    fn behind(name: &str, addresses: &[(&str, &str, u32)]) -> Record {
        let on = |(text, bridge, port): &(&str, &str, u32)| {
            let port = Some(*port).filter(|port| *port != 0);
            Address::parse(text).unwrap().on(BridgeName::new(bridge).ok()).behind(port)
        };
        let network = Network::Own(addresses.iter().map(on).collect());
        Record { network, backend: BackendName::Nftables, ..record(name, "80", &[]) }
    }

    #[test]
    fn port_refuses_what_cannot_be_tied() {
        let web = behind("web", &[("10.0.0.2/24", "a", 5)]);
        let (db, old) =
            (behind("db", &[("10.0.0.3/24", "a", 7)]), behind("old", &[("10.0.0.4/24", "a", 0)]));
        let refused = |source: &Record, lack: Option<&str>, bind, absent| {
            let ties = Ties { bind, lacks: [lack.map(ToOwned::to_owned), None] };
            let routing = Routing { ties, ..Routing::default() };
            let found = flows(&web, &mut [Some(source)], absent, &routing);
            found.map_err(|refusal| refusal.to_string()).err().unwrap_or_default()
        };
        let start = OnMissing::Refuse;
        assert_eq!(refused(&db, None, Bind::Port, start), "");
        assert_eq!(refused(&db, Some("off"), Bind::Auto, start), "");
        assert_eq!(refused(&db, Some("off"), Bind::Port, OnMissing::Leave), "");
        let said = refused(&db, Some("off"), Bind::Port, start);
        assert_eq!(said, "link to db: firewall.bind is \"port\": off; or set it to \"auto\"");
        assert!(refused(&old, None, Bind::Port, start).contains("10.0.0.4 is not known"));
        let far = behind("far", &[("10.9.0.3/24", "c", 8)]);
        assert_eq!(refused(&far, Some("off"), Bind::Port, start), "", "a routed flow has no ports");
    }

    #[test]
    fn a_tied_flow_names_both_ports() {
        let web = behind("web", &[("10.0.0.2/24", "a", 5), ("10.1.0.2/24", "b", 6)]);
        let db = behind("db", &[("10.0.0.3/24", "a", 7), ("fd00::3/64", "a", 7)]);
        let far = behind("far", &[("10.9.0.3/24", "c", 8)]);
        let ports = |bind| {
            let ties = Ties { bind, ..Ties::default() };
            let routing = Routing { ties, ..Routing::default() };
            let all = &mut [Some(&db), Some(&far)];
            let found = flows(&web, all, OnMissing::Leave, &routing).unwrap();
            found.into_iter().map(|flow| flow.bridge.and_then(|on| on.ports)).collect::<Vec<_>>()
        };
        assert_eq!(ports(Bind::Auto), [Some([5, 7]), None], "the other one is routed");
        for bind in [Bind::Bridge, Bind::None] {
            assert_eq!(ports(bind), [None, None], "{bind:?}");
        }
    }
}
