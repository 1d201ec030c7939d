//! What hosts tell each other about their containers.

use super::{ContainerId, ContainerName, HostName, Hostname, OwnerTag, PortSet, Share};
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
