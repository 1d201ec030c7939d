//! A finding: one thing on the host that is wrong.

use crate::error::Kind;
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
    /// A file that a killed writer left in the state directory.
    Leftover(String),
    /// Shared chains, sets or rules of a backend are missing or in the wrong place.
    Base(BackendName),
    /// The isolated bridges differ from config.toml.
    Isolation,
    /// A change of the container's links was not finished.
    Unfinished(ContainerLabel),
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
            | Self::Unfinished(container)
            | Self::Links(container)
            | Self::Rules(container)
            | Self::Hosts(container) => Some(&container.id),
            Self::Orphaned { .. } | Self::Leftover(_) | Self::Base(_) | Self::Isolation => None,
        }
    }

    /// The error kind of the finding.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Orphaned { .. } | Self::Base(_) | Self::Isolation | Self::Rules(_) => {
                Kind::Firewall
            }
            Self::Hosts(_) => Kind::Hosts,
            Self::Dead(_)
            | Self::Linked(_)
            | Self::Leftover(_)
            | Self::Unfinished(_)
            | Self::Links(_) => Kind::State,
        }
    }

    /// The worst error kind of the findings: firewall, then hosts files, then the state directory.
    pub(crate) fn worst(findings: &[Self]) -> Option<Kind> {
        let order = [Kind::Firewall, Kind::Hosts, Kind::State];
        order.into_iter().find(|kind| findings.iter().any(|finding| finding.kind() == *kind))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead(container) => write!(f, "{container}: is over, and left its record"),
            Self::Linked(container) => write!(f, "{container}: ran, and its links have ended"),
            Self::Orphaned { backend, owner } => {
                write!(f, "rules of {owner} in {backend}: no record names them")
            }
            Self::Leftover(name) => write!(f, "state directory: {name}: leads nowhere"),
            Self::Base(backend) => write!(f, "firewall: {backend} is not set up as it should be"),
            Self::Isolation => f.write_str("firewall: isolates other bridges than config.toml"),
            Self::Unfinished(container) => {
                write!(f, "{container}: a change of its links was not finished")
            }
            Self::Links(container) => write!(f, "{container}: is not linked to those who run now"),
            Self::Rules(container) => {
                write!(f, "{container}: its rules are not those of its record")
            }
            Self::Hosts(container) => {
                write!(f, "{container}: its hosts file is not that of its record")
            }
        }
    }
}

impl fmt::Display for ContainerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} ({})", self.name, self.id.short())
    }
}
