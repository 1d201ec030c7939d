//! Where the ends of flows that are tied to bridge ports are.

use crate::model::{Flow, Record, Seat};
use std::collections::HashSet;

/// The seats of both ends of those of `flows` that are tied to ports, each once. `recipient` has the flows;
/// `sources` are its linked containers. Containers of one pod share a seat, which each has with its own tag.
pub(crate) fn seats<'a>(
    recipient: &'a Record,
    flows: &[Flow],
    sources: impl Iterator<Item = &'a Record>,
) -> Vec<Seat> {
    let tied = flows.iter().filter_map(|flow| Some((flow, flow.bridge.filter(|on| on.by_port)?)));
    let (mut from, mut to) = (HashSet::new(), HashSet::new());
    for (flow, on) in tied {
        from.insert((flow.from, on.name));
        to.insert((flow.to, on.name));
    }
    if from.is_empty() {
        return Vec::new();
    }
    let mut known = HashSet::new();
    let ends = sources.map(|source| (source, &to)).chain([(recipient, &from)]);
    let seats = ends.flat_map(|(record, wanted)| {
        record.network.addresses().iter().filter_map(move |address| {
            let (ip, port) = (address.ip(), address.port()?);
            let is_end = wanted.contains(&(ip, address.bridge()?));
            is_end.then(|| Seat { owner: record.owner.clone(), port, ip })
        })
    });
    seats.filter(|seat| known.insert(seat.clone())).collect()
}

/// All seats that a container can have: one for each of its addresses behind a known port.
pub(crate) fn all_seats(record: &Record) -> Vec<Seat> {
    let addresses = record.network.addresses().iter();
    let seat = |ip, port| Seat { owner: record.owner.clone(), port, ip };
    addresses.filter_map(|address| Some(seat(address.ip(), address.port()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::OnMissing;
    use crate::link::flows::flows;
    use crate::model::sample::record;
    use crate::model::{Address, BackendName, Bind, BridgeName, Network, Routing, Ties};

    fn at(name: &str, addresses: &[(&str, &str, u32)]) -> Record {
        let on = |(text, bridge, port): &(&str, &str, u32)| {
            let port = Some(*port).filter(|port| *port != 0);
            Address::parse(text).unwrap().on(BridgeName::new(bridge).ok()).behind(port)
        };
        let network = Network::Own(addresses.iter().map(on).collect());
        Record { network, backend: BackendName::Nftables, ..record(name, "80", &[]) }
    }

    fn planned(web: &Record, sources: &[&Record], bind: Bind) -> Vec<(String, u32)> {
        let ties = Ties { bind, ..Ties::default() };
        let routing = Routing { ties, ..Routing::default() };
        let mut all: Vec<Option<&Record>> = sources.iter().copied().map(Some).collect();
        let flows = flows(web, &mut all, OnMissing::Leave, &routing).unwrap();
        let found = seats(web, &flows, sources.iter().copied());
        found.into_iter().map(|seat| (seat.ip.to_string(), seat.port)).collect()
    }

    #[test]
    fn both_ends_of_a_tied_flow_have_seats_and_nothing_else_has() {
        let web = at("web", &[("10.0.0.2/24", "a", 5), ("10.1.0.2/24", "b", 6)]);
        let db = at("db", &[("10.0.0.3/24", "a", 7), ("fd00::3/64", "a", 7)]);
        let far = at("far", &[("10.9.0.3/24", "c", 8)]);
        let both = [("10.0.0.3".to_owned(), 7), ("10.0.0.2".to_owned(), 5)];
        assert_eq!(planned(&web, &[&db, &far, &db], Bind::Auto), both);
        for bind in [Bind::Bridge, Bind::None] {
            assert!(planned(&web, &[&db, &far], bind).is_empty(), "{bind:?}");
        }
        assert!(planned(&web, &[&far], Bind::Auto).is_empty(), "it is routed");
        assert_eq!(all_seats(&db).len(), 2);
        assert!(all_seats(&at("old", &[("10.0.0.9/24", "a", 0)])).is_empty());
    }

    #[test]
    fn port_refuses_what_cannot_be_tied() {
        let web = at("web", &[("10.0.0.2/24", "a", 5)]);
        let (db, old) =
            (at("db", &[("10.0.0.3/24", "a", 7)]), at("old", &[("10.0.0.4/24", "a", 0)]));
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
        let far = at("far", &[("10.9.0.3/24", "c", 8)]);
        assert_eq!(refused(&far, Some("off"), Bind::Port, start), "", "a routed flow has no ports");
    }
}
