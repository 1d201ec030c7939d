//! A finding: one thing on the host that is wrong.

use crate::lifecycle::notes::Unrecorded;
use crate::model::{BackendName, ContainerId, ContainerName, OwnerTag, Record};
use std::fmt;

/// The kind of a finding, and what it concerns. Its text is one line, for reports and for repairs
/// alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The container has ended, and its record is still there.
    Dead(ContainerLabel),
    /// Rules with a tag that no record has. The state directory was wiped, or rules of an earlier
    /// boot were restored.
    Orphaned {
        /// The backend that has the rules.
        backend: BackendName,
        /// Their owner tag.
        owner: OwnerTag,
    },
    /// The container runs, and its links were removed by `gc --all`.
    Linked(ContainerLabel),
    /// Chains, sets and rules that all containers share. `gc --all` removes them.
    Shared(BackendName),
    /// The start or end of a container was noted without the lock, and is not recorded yet.
    Unrecorded(Unrecorded),
    /// A link waits for the container, which runs by Docker's files: without oci-link, or under another name
    /// than that of its record.
    Source(ContainerLabel),
    /// Bridge ports with a tag that no record has, or that its record does not have.
    Ports(OwnerTag),
    /// The table that knows bridge ports, which all containers share. `gc --all` removes it.
    SharedPorts,
    /// Rules of that table are missing.
    BridgeTable,
    /// A file that a killed writer left in the state directory.
    Leftover(String),
    /// Chains, sets and rules that all owners share, which `gc --all` keeps: another state directory has
    /// rules there.
    Kept(BackendName),
    /// Shared chains, sets or rules of a backend are missing or in the wrong place.
    Base(BackendName),
    /// The isolated bridges differ from config.toml.
    Isolation,
    /// The container asks for isolation and does not have all of it.
    Isolated(ContainerLabel),
    /// A change of the container's links was not finished.
    Unfinished(ContainerLabel),
    /// Other hosts' recipients of the container do not reach it as they should.
    Guests(ContainerId),
    /// The container has other addresses than in its record.
    Addresses(ContainerLabel),
    /// The container's links are not connected to the containers that their source names mean now.
    Links(ContainerLabel),
    /// The container's rules differ from its record.
    Rules(ContainerLabel),
    /// The container's hosts file differs from its record.
    Hosts(ContainerLabel),
}

/// The id and name of a container, to find its record and to print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerLabel {
    /// The container id.
    pub(crate) id: ContainerId,
    /// The container name.
    pub(crate) name: ContainerName,
}

impl From<&Record> for ContainerLabel {
    fn from(record: &Record) -> Self {
        Self { id: record.id.clone(), name: record.name.clone() }
    }
}

impl Finding {
    /// The container that the finding is about, or `None` if it is about no single container.
    pub(crate) fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::Dead(container)
            | Self::Linked(container)
            | Self::Isolated(container)
            | Self::Unfinished(container)
            | Self::Addresses(container)
            | Self::Links(container)
            | Self::Rules(container)
            | Self::Hosts(container) => Some(&container.id),
            Self::Orphaned { .. }
            | Self::Source(_)
            | Self::Unrecorded(_)
            | Self::Leftover(_)
            | Self::Kept(_)
            | Self::Base(_)
            | Self::Guests(_)
            | Self::Shared(_)
            | Self::Ports(_)
            | Self::SharedPorts
            | Self::BridgeTable
            | Self::Isolation => None,
        }
    }

    /// Whether links carry nothing, or bridges are not isolated, until the finding is repaired.
    pub(crate) fn is_grave(&self) -> bool {
        match self {
            Self::Isolation
            | Self::Isolated(_)
            | Self::BridgeTable
            | Self::Guests(_)
            | Self::Unfinished(_)
            | Self::Addresses(_)
            | Self::Links(_)
            | Self::Rules(_)
            | Self::Hosts(_) => true,
            // Perhaps only a rule of another program comes first.
            Self::Base(_)
            | Self::Dead(_)
            | Self::Linked(_)
            | Self::Orphaned { .. }
            | Self::Shared(_)
            | Self::Ports(_)
            | Self::SharedPorts
            | Self::Kept(_)
            | Self::Source(_)
            | Self::Unrecorded(_)
            | Self::Leftover(_) => false,
        }
    }

    /// What a repair did about the finding: `removed`, `repaired` or `kept`.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Dead(_)
            | Self::Linked(_)
            | Self::Orphaned { .. }
            | Self::Shared(_)
            | Self::Ports(_)
            | Self::SharedPorts
            | Self::Leftover(_) => "removed",
            Self::Kept(_) => "kept",
            Self::Source(_)
            | Self::Unrecorded(_)
            | Self::Base(_)
            | Self::BridgeTable
            | Self::Isolation
            | Self::Isolated(_)
            | Self::Guests(_)
            | Self::Unfinished(_)
            | Self::Addresses(_)
            | Self::Links(_)
            | Self::Rules(_)
            | Self::Hosts(_) => "repaired",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead(container) => {
                write!(f, "links of {container}: the container no longer runs")
            }
            Self::Linked(container) => write!(f, "links of {container}: the container still runs"),
            Self::Orphaned { backend, owner } => {
                write!(f, "orphaned rules in {backend}: no record has the owner tag {owner}")
            }
            Self::Unrecorded(Unrecorded { id, event }) => {
                write!(f, "container {id}: its {event} is not recorded yet")
            }
            Self::Source(container) => {
                write!(
                    f,
                    "{container}: links wait for it, and docker's files have it under this name"
                )
            }
            Self::Ports(owner) => {
                write!(f, "bridge ports: no container has those with the owner tag {owner}")
            }
            Self::SharedPorts => f.write_str("firewall: the table of oci-link for bridge ports"),
            Self::BridgeTable => {
                f.write_str("firewall: rules of the table of oci-link for bridge ports are missing")
            }
            Self::Leftover(name) => write!(f, "leftover in the state directory: {name}"),
            Self::Shared(BackendName::Nftables) => {
                f.write_str("firewall: the table of oci-link in nftables")
            }
            Self::Shared(BackendName::None | BackendName::Ipset | BackendName::Iptables) => {
                f.write_str("firewall: the chains and sets of oci-link in iptables")
            }
            Self::Kept(backend) => {
                write!(f, "firewall: common rules of {backend}: another state directory has links")
            }
            Self::Base(backend) => {
                write!(f, "firewall: common rules of {backend} are missing or misplaced")
            }
            Self::Isolation => f.write_str("firewall: isolated bridges differ from config.toml"),
            Self::Isolated(container) => {
                write!(f, "{container}: it asks for isolation and is not isolated")
            }
            Self::Guests(id) => {
                write!(
                    f,
                    "container {}: its rules for recipients of other hosts are not what they should be",
                    id.short()
                )
            }
            Self::Unfinished(container) => {
                write!(f, "{container}: a change of its links was interrupted")
            }
            Self::Addresses(container) => {
                write!(f, "{container}: its addresses have changed")
            }
            Self::Links(container) => {
                write!(f, "{container}: its links do not match the running containers")
            }
            Self::Rules(container) => {
                write!(f, "{container}: its rules differ from its record")
            }
            Self::Hosts(container) => {
                write!(f, "{container}: its hosts file differs from its record")
            }
        }
    }
}

impl fmt::Display for ContainerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} ({})", self.name, self.id.short())
    }
}
