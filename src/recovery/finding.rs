//! One thing that is not as it should be.

use crate::error::Kind;
use crate::model::{BackendName, ContainerId, ContainerName, OwnerTag, Record};
use std::fmt;

/// What is wrong. Its text is one line, the same whether it is mended or only told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The container is over, and nobody has said so.
    Dead(ContainerLabel),
    /// Rules with a tag that no record names: the state directory was wiped, or rules of an earlier
    /// boot were restored.
    Orphaned {
        /// Who keeps them.
        backend: BackendName,
        /// Their tag.
        owner: OwnerTag,
    },
    /// The container runs, and its links are to end all the same.
    Linked(ContainerLabel),
    /// What a writer left in the state directory who was killed.
    Leftover(String),
    /// Chains, sets or rules that are nobody's in particular are missing, or not where they belong.
    Base(BackendName),
    /// Other bridges are isolated than config.toml says.
    Isolation,
    /// A change of the container's links was begun and not finished.
    Unfinished(ContainerLabel),
    /// Its links are not connected to those who answer to their names now.
    Links(ContainerLabel),
    /// Its rules are not those of its record.
    Rules(ContainerLabel),
    /// Its hosts file does not hold what its record says.
    Hosts(ContainerLabel),
}

/// A container for people and for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerLabel {
    /// By this it is found again.
    pub(crate) id: ContainerId,
    /// By this it is known.
    pub(crate) name: ContainerName,
}

impl From<&Record> for ContainerLabel {
    fn from(record: &Record) -> Self {
        Self { id: record.id.clone(), name: record.name.clone() }
    }
}

impl Finding {
    /// Whose trouble it is; none if nobody's in particular.
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

    /// What kind of thing is wrong.
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

    /// What a repair did about it: `removed` or `repaired`.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Dead(_) | Self::Linked(_) | Self::Orphaned { .. } | Self::Leftover(_) => {
                "removed"
            }
            Self::Base(_)
            | Self::Isolation
            | Self::Unfinished(_)
            | Self::Links(_)
            | Self::Rules(_)
            | Self::Hosts(_) => "repaired",
        }
    }

    /// The worst of them: rules before hosts files, hosts files before records.
    pub(crate) fn worst(findings: &[Self]) -> Option<Kind> {
        let order = [Kind::Firewall, Kind::Hosts, Kind::State];
        order.into_iter().find(|kind| findings.iter().any(|finding| finding.kind() == *kind))
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
            Self::Leftover(name) => write!(f, "leftover in the state directory: {name}"),
            Self::Base(backend) => {
                write!(f, "firewall: common rules of {backend} are missing or misplaced")
            }
            Self::Isolation => f.write_str("firewall: isolated bridges differ from config.toml"),
            Self::Unfinished(container) => {
                write!(f, "{container}: a change of its links was interrupted")
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
