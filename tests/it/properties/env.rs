//! The variables of a link against Docker's own rules, written down here as loops and sets, the way
//! moby has them (daemon/links/links.go), and compared as a whole.

use super::cases;
use oci_link::testing::{
    Address, Admitted, Alias, BackendName, ContainerId, ContainerName, Hostname, Instance, Network,
    OwnerTag, Phase, PortRange, Protocol, Record, Share, StateId, Variable,
};
use oci_link::testing::{Dialect, LinkVariables, link_variables};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const IP: &str = "10.88.0.7";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    number: u16,
    protocol: Protocol,
}

fn record(ports: &BTreeSet<Port>, environment: &[(String, String)]) -> Record {
    let id = ContainerId::new("source").expect("an id");
    let instance = Instance { boot: 1, netns: 2, pid: 3, started: 4 };
    let address = Address::parse(&format!("{IP}/16")).expect("an address");
    Record {
        engine_files: None,
        by_engine: false,
        former_names: Vec::new(),
        networks: Vec::new(),
        pod: None,
        admitted: Admitted::None,
        share: Share::None,
        host: None,
        isolation: None,
        is_pod_infra: false,
        revision: 0,
        phase: Phase::Ready,
        name: ContainerName::new("source").expect("a name"),
        hostname: Hostname::new("source").ok(),
        owner: OwnerTag::new(StateId::default(), &id, &instance),
        instance,
        network: Network::Own([address].into_iter().collect()),
        former: Vec::new(),
        fingerprint: None,
        ports: ports
            .iter()
            .filter_map(|port| PortRange::single(port.number, port.protocol))
            .collect(),
        environment: environment.iter().map(|(k, v)| Variable::new(k, v)).collect(),
        links: Vec::new(),
        backend: BackendName::None,
        flows: Vec::new(),
        hosts: None,
        bundle: None,
        without_variables: Vec::new(),
        engine_name: None,
        engine: None,
        place: None,
        id,
    }
}

/// Few numbers, so that they meet: alone, side by side, at both ends of what there is.
fn ports() -> impl Strategy<Value = BTreeSet<Port>> {
    let number = prop_oneof![1..12u16, 50..56u16, 65_530..=65_535u16];
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let port = (number, protocol).prop_map(|(number, protocol)| Port { number, protocol });
    prop::collection::btree_set(port, 0..20)
}

fn environment() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = "HOME|PATH|PATHS|[A-Za-z_][A-Za-z0-9_. -]{0,6}";
    // No key twice: the first value would count.
    prop::collection::btree_map(key, "[^\0]{0,8}", 0..6).prop_map(|map| map.into_iter().collect())
}

/// One port's four, or a range's: what Docker formats.
fn single(all: &mut Vec<String>, prefix: &str, port: Port) {
    let (number, protocol) = (port.number, port.protocol.as_str());
    let key = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
    all.push(format!("{key}={protocol}://{IP}:{number}"));
    all.push(format!("{key}_ADDR={IP}"));
    all.push(format!("{key}_PORT={number}"));
    all.push(format!("{key}_PROTO={protocol}"));
}

fn range(all: &mut Vec<String>, prefix: &str, first: Port, last: Port) {
    let key = |of: Port| {
        format!("{prefix}_PORT_{}_{}", first.number, of.protocol.as_str().to_uppercase())
    };
    let url = |port: Port| format!("{}://{IP}:{}", port.protocol.as_str(), port.number);
    all.push(format!("{}_START={}", key(first), url(first)));
    all.push(format!("{}_PORT_START={}", key(first), first.number));
    all.push(format!("{}_END={}", key(last), url(last)));
    all.push(format!("{}_PORT_END={}", key(last), last.number));
}

/// Docker 28: a range begins where the port below is not exposed and the one above is.
fn ranges_28(ports: &BTreeSet<Port>) -> Vec<(Port, Port)> {
    let has = |number: Option<u16>, protocol| {
        number.is_some_and(|number| ports.contains(&Port { number, protocol }))
    };
    let mut found = Vec::new();
    for first in ports {
        if has(first.number.checked_sub(1), first.protocol) {
            continue;
        }
        let mut last = *first;
        while has(last.number.checked_add(1), last.protocol) {
            last.number += 1;
        }
        if last != *first {
            found.push((*first, last));
        }
    }
    found
}

/// Docker 27: `nextContiguous`, as it stands there.
fn ranges_27(sorted: &[Port]) -> Vec<(Port, Port)> {
    let next_contiguous = |mut value: u32, index: usize| {
        if index + 1 == sorted.len() {
            return index;
        }
        for (i, port) in sorted.iter().enumerate().skip(index + 1) {
            if u32::from(port.number) > value + 1 {
                return i - 1;
            }
            value += 1;
        }
        sorted.len() - 1
    };
    let mut found = Vec::new();
    let mut i = 0;
    while i < sorted.len() {
        let j = next_contiguous(u32::from(sorted[i].number), i);
        if j > i + 1 {
            found.push((sorted[i], sorted[j]));
            i = j + 1;
        } else {
            i += 1;
        }
    }
    found
}

fn expected(
    alias: &str,
    ports: &BTreeSet<Port>,
    dialect: Dialect,
) -> (Option<String>, Vec<String>) {
    let prefix = alias.to_uppercase().replace('-', "_");
    let mut sorted: Vec<Port> = ports.iter().copied().collect();
    // tcp < udp < sctp, where Docker 27 leaves the last two as they come.
    sorted.sort_by_key(|port| (port.number, port.protocol));
    let default = match dialect {
        Dialect::V27 => sorted.first().copied(),
        Dialect::V28 => {
            let of = |name| sorted.iter().find(|port| port.protocol.as_str() == name).copied();
            of("tcp").or(of("sctp")).or(of("udp"))
        }
    };
    let default = default
        .map(|port| format!("{prefix}_PORT={}://{IP}:{}", port.protocol.as_str(), port.number));
    let mut all: Vec<String> = default.iter().cloned().collect();
    for port in &sorted {
        single(&mut all, &prefix, *port);
    }
    let ranges = match dialect {
        Dialect::V27 => ranges_27(&sorted),
        Dialect::V28 => ranges_28(ports),
    };
    for (first, last) in ranges {
        range(&mut all, &prefix, first, last);
    }
    (default, all)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_source_is_described_as_docker_does(
        alias in "[a-zA-Z0-9_][a-zA-Z0-9_.+-]{0,12}",
        ports in ports(),
        environment in environment(),
        dialect in prop::sample::select(vec![Dialect::V27, Dialect::V28]),
    ) {
        let source = record(&ports, &environment);
        let web = ContainerName::new("web").expect("a name");
        let name = Alias::new(&alias).expect("an alias");
        let LinkVariables { variables, left_out } =
            link_variables(&web, [(&name, &source)], &[], dialect);
        prop_assert!(left_out.is_empty(), "{left_out:?}");
        let shown: Vec<String> = variables.iter().map(ToString::to_string).collect();

        let (default, of_ports) = expected(&alias, &ports, dialect);
        // The default port comes first, then all ports, then the name, then what the source has.
        prop_assert_eq!(shown.first().filter(|_| default.is_some()), default.as_ref());
        let (first, rest) = shown.split_at(of_ports.len());
        let sorted = |all: &[String]| -> BTreeMap<String, usize> {
            let mut counted = BTreeMap::new();
            for entry in all {
                *counted.entry(entry.clone()).or_default() += 1;
            }
            counted
        };
        prop_assert_eq!(sorted(first), sorted(&of_ports));
        let prefix = alias.to_uppercase().replace('-', "_");
        let mut last = vec![format!("{prefix}_NAME=/web/{alias}")];
        let passed = environment.iter().filter(|(key, _)| key != "HOME" && key != "PATH");
        last.extend(passed.map(|(key, value)| format!("{prefix}_ENV_{key}={value}")));
        prop_assert_eq!(rest, last);
    }

    /// However many links there are: in their order, none of them changes what another says, and a
    /// variable of the recipient's own is never one of theirs.
    #[test]
    fn links_do_not_mix(
        sources in prop::collection::vec((ports(), environment()), 1..4),
        taken in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let web = ContainerName::new("web").expect("a name");
        let records: Vec<_> = sources.iter().map(|(ports, env)| record(ports, env)).collect();
        let aliases: Vec<_> =
            (0..records.len()).map(|n| Alias::new(&format!("s{n}")).expect("an alias")).collect();
        let pairs = || aliases.iter().zip(&records);
        let each = pairs().map(|pair| link_variables(&web, [pair], &[], Dialect::V28));
        let apart: Vec<Variable> = each.flat_map(|found| found.variables).collect();
        let together = link_variables(&web, pairs(), &[], Dialect::V28).variables;
        prop_assert_eq!(&together, &apart);

        let own: Vec<_> =
            taken.iter().map(|at| Variable::new(&at.get(&apart).key, "own")).collect();
        let left: Vec<_> = apart
            .into_iter()
            .filter(|variable| own.iter().all(|own| own.key != variable.key))
            .collect();
        prop_assert_eq!(link_variables(&web, pairs(), &own, Dialect::V28).variables, left);
    }
}
