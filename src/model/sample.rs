//! Records for tests.

use super::{
    Address, Admitted, Alias, BackendName, ContainerId, ContainerName, Hostname, Instance, Link,
    LinkState, NamespaceName, Network, OwnerTag, Phase, Pod, PodName, PortRange, PortSet, Record,
    Reference, Share, StateId, Variable,
};

/// A container called `name` that exposes `ports`, at `addresses`.
pub(crate) fn record(name: &str, ports: &str, addresses: &[&str]) -> Record {
    let id = ContainerId::new(name).unwrap();
    let instance = Instance { boot: 1, netns: 2, pid: 3, started: 4 };
    let addresses = addresses.iter().map(|text| Address::parse(text).unwrap()).collect();
    Record {
        revision: 0,
        phase: Phase::Pending,
        name: ContainerName::new(name).unwrap(),
        hostname: Hostname::new(name).ok(),
        owner: OwnerTag::new(StateId::default(), &id, &instance),
        instance,
        network: Network::Own(addresses),
        former: Vec::new(),
        fingerprint: None,
        ports: PortSet::parse(ports).unwrap(),
        environment: Vec::new(),
        links: Vec::new(),
        backend: BackendName::None,
        flows: Vec::new(),
        hosts: None,
        bundle: None,
        without_variables: Vec::new(),
        engine_name: None,
        former_names: Vec::new(),
        networks: Vec::new(),
        engine: None,
        place: None,
        engine_files: None,
        by_engine: false,
        pod: None,
        admitted: Admitted::None,
        share: Share::None,
        isolation: None,
        is_pod_infra: false,
        host: None,
        id,
    }
}

/// The container in a pod: `namespace/pod`. Its name there is its name.
pub(crate) fn in_pod(record: Record, pod: &str) -> Record {
    let (namespace, name) = pod.split_once('/').unwrap();
    let container = record.name.clone();
    let (namespace, name) = (NamespaceName::new(namespace).unwrap(), PodName::new(name).unwrap());
    Record { pod: Some(Pod { namespace, name, container }), ..record }
}

impl Record {
    /// Returns the record with these links, each `source:alias`.
    pub(crate) fn linked(mut self, links: &[&str]) -> Self {
        let parsed = links.iter().map(|link| Link::parse(link).unwrap());
        self.links = parsed.map(LinkState::waiting).collect();
        self
    }

    /// Returns the record with these variables for recipients.
    pub(crate) fn showing(mut self, entries: &[&str]) -> Self {
        self.environment = entries.iter().filter_map(|entry| Variable::parse(entry)).collect();
        self
    }
}

/// A single port or a range.
pub(crate) fn port(text: &str) -> PortRange {
    PortRange::parse(text).unwrap()
}

/// A checked reference.
pub(crate) fn reference(text: &str) -> Reference {
    Reference::of_link(text).unwrap()
}

/// A checked alias.
pub(crate) fn alias(text: &str) -> Alias {
    Alias::new(text).unwrap()
}
