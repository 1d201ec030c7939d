//! What hosts tell each other about their containers.

use super::{
    Address, Admitted, BackendName, ContainerId, ContainerName, HostName, Hostname, Instance,
    Network, OwnerTag, Phase, PortSet, Record, Share,
};
use std::net::IpAddr;

/// One run of one container of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerRun {
    /// The host.
    pub(crate) host: HostName,
    /// The container's id there.
    pub(crate) id: ContainerId,
    /// The owner tag of the run. Another run of the container has another.
    pub(crate) run: OwnerTag,
}

impl PeerRun {
    /// Returns the key under which containers are listed whose links are connected to the container.
    pub(crate) fn key(&self) -> String {
        format!("{}@{}", self.id.key(), self.host)
    }
}

impl Record {
    /// Whether both are one container.
    pub(crate) fn is_same_container(&self, other: &Self) -> bool {
        self.id == other.id && self.host == other.host
    }

    /// Returns the run on another host that the record describes.
    pub(crate) fn run(&self) -> Option<PeerRun> {
        let host = self.host.clone()?;
        Some(PeerRun { host, id: self.id.clone(), run: self.owner.clone() })
    }

    /// Whether a link is connected to a source on another host.
    pub(crate) fn is_linked_elsewhere(&self) -> bool {
        self.links.iter().any(|link_state| link_state.there.is_some())
    }
}

/// A recipient for which a source is ready: its host, and its run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Guest {
    /// The recipient's host.
    pub(crate) host: HostName,
    /// The owner tag of the recipient's run.
    pub(crate) run: OwnerTag,
}

/// A source that its host shares with other hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The source.
    pub(crate) source: PeerRun,
    /// Its name.
    pub(crate) name: ContainerName,
    /// Further names.
    pub(crate) names: Vec<ContainerName>,
    /// Its own host name, if a hosts file can contain it.
    pub(crate) hostname: Option<Hostname>,
    /// Its addresses in networks of its host, in order.
    pub(crate) addresses: Vec<IpAddr>,
    /// The ports that it exposes.
    pub(crate) ports: PortSet,
    /// The hosts that may link to it.
    pub(crate) to: Share,
    /// The recipients for which it is ready.
    pub(crate) guests: Vec<Guest>,
}

impl Offer {
    /// Returns the source as a record, as far as the offer says what it is.
    pub(crate) fn as_record(&self) -> Record {
        // No host of this cluster has such a container.
        let instance = Instance { boot: 0, netns: 0, pid: 0, started: 0 };
        let prefix = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        let addresses = self.addresses.iter().filter_map(|ip| Address::new(*ip, prefix(ip)).ok());
        Record {
            revision: 0,
            phase: Phase::Ready,
            id: self.source.id.clone(),
            name: self.name.clone(),
            engine_name: None,
            former_names: Vec::new(),
            networks: Vec::new(),
            engine: None,
            hostname: self.hostname.clone(),
            instance,
            network: Network::Own(addresses.collect()),
            former: Vec::new(),
            fingerprint: None,
            ports: self.ports.clone(),
            environment: Vec::new(),
            links: Vec::new(),
            without_variables: Vec::new(),
            owner: self.source.run.clone(),
            backend: BackendName::None,
            flows: Vec::new(),
            hosts: None,
            bundle: None,
            place: None,
            engine_files: None,
            by_engine: false,
            pod: None,
            admitted: Admitted::None,
            share: self.to.clone(),
            isolation: None,
            is_pod_infra: false,
            host: Some(self.source.host.clone()),
        }
    }

    /// Whether the source has this name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.iter().chain([&self.name]).any(|own| own.as_str() == name)
    }
}

/// A recipient with links to sources of other hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    /// The recipient.
    pub(crate) recipient: PeerRun,
    /// Its name.
    pub(crate) name: ContainerName,
    /// Its addresses in networks of its host, in order.
    pub(crate) addresses: Vec<IpAddr>,
    /// The sources that its links mean.
    pub(crate) sources: Vec<PeerRun>,
}

/// How fresh the records of other hosts are, and whether those of this host are out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The boot in which the courier wrote it.
    pub(crate) boot: u128,
    /// When the courier had proof that the records were complete: milliseconds since the boot.
    pub(crate) fresh_ms: u64,
    /// Which courier wrote it, in its own words.
    pub(crate) by: String,
    /// Whether the records of this host are published.
    pub(crate) published: bool,
    /// Why they are not, or what else is wrong.
    pub(crate) problem: Option<String>,
}
