//! What other programs put in the way of links: no repair of ours can remove it.

use crate::error::Result;
use crate::firewall::foreign::{self, Obstacle, Sample};
use crate::model::{Address, BackendName, ContainerId, Flow, Record};
use std::collections::{BTreeSet, HashMap};

/// Packets that are tried; a few differ in more than their addresses.
const MAX_PACKETS: usize = 256;

/// Finds chains of other programs that drop the packets of links of the containers `running`, or hide their
/// senders.
pub(crate) fn obstacles(running: &[Record]) -> Result<Vec<Obstacle>> {
    let packets = packets(running);
    if packets.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = foreign::obstacles(&packets)?;
    found.extend(foreign::translations(&packets)?);
    Ok(found)
}

/// The packets that links of these containers permit, each with its backend.
pub(crate) fn packets(records: &[Record]) -> Vec<(BackendName, Sample)> {
    let by_id: HashMap<_, _> = records.iter().map(|record| (&record.id, record)).collect();
    let linked = |record: &&Record| record.backend != BackendName::None && !record.flows.is_empty();
    let mut packets = Vec::new();
    for record in records.iter().filter(linked) {
        let sources = sources(record, &by_id);
        for flow in record.flows.iter().take(MAX_PACKETS - packets.len()) {
            packets.push((record.backend, Sample::of(flow, ends(flow, record, &sources))));
        }
        if packets.len() == MAX_PACKETS {
            break;
        }
    }
    packets
}

/// The containers to which `record` is linked, each once.
fn sources<'a>(record: &Record, by_id: &HashMap<&ContainerId, &'a Record>) -> Vec<&'a Record> {
    let ids: BTreeSet<&ContainerId> =
        record.links.iter().filter_map(|link| link.source.as_ref()).collect();
    ids.into_iter().filter_map(|id| by_id.get(id).copied()).collect()
}

/// The addresses of both ends of a flow. An end that is not certain is `None`.
fn ends<'a>(flow: &Flow, me: &'a Record, sources: &[&'a Record]) -> [Option<&'a Address>; 2] {
    let own = me.network.addresses().iter().find(|address| address.ip() == flow.from);
    let all = sources.iter().flat_map(|source| source.network.addresses());
    let mut theirs = all.filter(|address| address.ip() == flow.to);
    let first = theirs.next();
    [own, first.filter(|first| theirs.all(|other| other == *first))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{BridgeName, LinkState, Network, parse_links};

    fn at(name: &str, address: &str, bridge: &str) -> Record {
        let address = Address::parse(address).unwrap().on(BridgeName::new(bridge).ok());
        Record { network: Network::Own(vec![address]), ..record(name, "80", &[]) }
    }

    #[test]
    fn both_ends_of_a_routed_flow_are_known() {
        let (db, twin) = (at("db", "10.2.0.3/24", "b"), at("twin", "10.2.0.3/24", "c"));
        let mut web = at("web", "10.1.0.2/24", "a");
        let links = parse_links("db").unwrap();
        web.links = links.into_iter().map(LinkState::waiting).collect();
        web.links[0].source = Some(db.id.clone());
        let ports = db.ports.iter().next().unwrap();
        let [from, to] = [&web, &db].map(|it| it.network.addresses()[0].ip());
        web.flows = vec![Flow { from, to, ports, bridge: None }];
        web.backend = BackendName::Iptables;
        let networks = |records: &[Record]| packets(records).pop().and_then(|(_, it)| it.networks);
        let both = Some(("10.1.0.0/24".to_owned(), "10.2.0.0/24".to_owned()));
        assert_eq!(networks(&[twin.clone(), web.clone(), db.clone()]), both);
        assert_eq!(networks(&[web.clone(), twin.clone()]), None, "no source of it");
        web.links.extend(web.links.clone());
        web.links[1].source = Some(twin.id.clone());
        assert_eq!(networks(&[web, db, twin]), None, "one of two sources with the address");
    }
}
