//! Resolves the sources that links name to containers.

use super::carry::Cut;
use super::flows::{MAX_ELEMENTS, MAX_FLOWS};
use crate::model::{
    Alias, BackendName, ContainerName, HostName, Hostname, Link, Network, NoBridge, Record,
    Reference,
};
use std::fmt;
use std::time::Duration;

/// What was found under the name of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// A running container.
    Running(Box<Record>),
    /// A container that another host shares with this one.
    There(Box<There>),
    /// Containers of several other hosts have this name. Each is named with its host.
    OnHosts(Vec<String>),
    /// Another host shares no such container with this one, or nothing was heard of other hosts for too long: as the
    /// refusal says.
    NotThere(Refusal),
    /// A container that does not run.
    Stopped(ContainerName),
    /// More than one container whose id has this prefix.
    Ambiguous,
    /// More than one container of pods with this name, each as `namespace/pod/container`.
    Several(Vec<String>),
    /// No container.
    Missing,
    /// A container that runs, but not under oci-link: it has no record.
    Unmanaged,
    /// A container that does not run yet. The recipient starts without it and is linked later.
    Deferred,
    /// The recipient itself.
    Itself,
}

/// A source on another host, as that host describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct There {
    /// What is known of it, with the addresses that this host accepts.
    pub(crate) record: Record,
    /// Until when that is believed without news: the time since the boot.
    pub(crate) until: Duration,
}

impl Candidate {
    /// The source, if it runs.
    pub(crate) fn source(&self) -> Option<&Record> {
        match self {
            Self::Running(record) => Some(record),
            Self::There(there) => Some(&there.record),
            _ => None,
        }
    }

    /// Until when a source on another host is believed to run.
    pub(crate) fn until(&self) -> Option<Duration> {
        match self {
            Self::There(there) => Some(there.until),
            _ => None,
        }
    }

    /// Whether waiting can help: the source is missing or stopped.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Missing | Self::NotThere(_))
    }
}

/// What happens to a link whose source is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnMissing {
    /// The container must not start, as in Docker.
    Refuse,
    /// The container starts if its source is missing or stopped. Other faults of the link are
    /// refused.
    Defer,
    /// The container already runs. A faulty link stays unconnected until the fault is over.
    Leave,
}

/// Why a container's links cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No container has this name or id.
    NoSuchContainer(Reference),
    /// The source runs, but was not started under oci-link.
    Unmanaged(Reference),
    /// The link names the recipient itself.
    Itself(Reference),
    /// Several container ids have this prefix.
    Ambiguous(Reference),
    /// Several containers of pods have this name.
    Several {
        /// The name.
        source: Reference,
        /// The containers.
        all: Vec<String>,
    },
    /// Nothing was heard of other hosts for longer than their records are believed.
    Silent {
        /// The source.
        source: Reference,
        /// For how long nothing was heard, in words.
        time: String,
        /// How long records are believed.
        patience: String,
    },
    /// Another host shares no such container with this one.
    NotShared {
        /// The source.
        source: Reference,
        /// The other host.
        host: HostName,
        /// This host.
        own: HostName,
    },
    /// Containers of several other hosts have this name.
    OnHosts {
        /// The name.
        source: Reference,
        /// The containers.
        all: Vec<String>,
    },
    /// The backend of the recipient makes no rules for links to other hosts.
    CannotCross {
        /// The source's name.
        source: ContainerName,
        /// The backend.
        backend: BackendName,
    },
    /// The source exists but does not run.
    NotRunning {
        /// The source's name.
        source: ContainerName,
        /// The recipient's name.
        recipient: ContainerName,
        /// The link's alias.
        alias: Alias,
    },
    /// Recipient or source uses the host's network, where links cannot be made.
    HostNetwork,
    /// Recipient or source is on no bridge of its rootless engine.
    NoBridge {
        /// The name of the container.
        name: ContainerName,
        /// What it is on.
        on: NoBridge,
    },
    /// The alias is the recipient's own host name.
    OwnHostname(Alias),
    /// No packet of the recipient gets to the source, which runs.
    CannotCarry(Cut),
    /// The sources together need more flows than [`MAX_FLOWS`].
    TooManyFlows,
    /// The source exposes more ports than the backend can hold.
    TooManyPorts {
        /// The source's name.
        source: ContainerName,
        /// The number of its ports.
        ports: usize,
    },
    /// The flows cannot be tied to bridge ports, and `firewall.bind` says that they must be.
    CannotBind {
        /// The source's name.
        source: ContainerName,
        /// What is in the way, and what to do.
        why: String,
    },
    /// Another container has the alias for another source, in the same hosts file.
    SharedHosts {
        /// The alias.
        alias: Alias,
        /// The name of the other container.
        peer: ContainerName,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchContainer(name) => {
                write!(f, "could not get container for {name}: No such container: {name}")
            }
            Self::Unmanaged(name) => write!(
                f,
                "could not get container for {name}: No such container: {name}: it runs, but not \
                 under oci-link: start it with --runtime oci-link"
            ),
            Self::Itself(name) => {
                write!(f, "link \"{name}\": a container cannot be linked to itself")
            }
            Self::Ambiguous(prefix) => {
                write!(f, "multiple IDs found with provided prefix: {prefix}")
            }
            Self::Several { source, all } => write!(
                f,
                "link source \"{source}\": several containers have this name: {}: name one as \
                 POD/CONTAINER",
                all.join(", ")
            ),
            Self::Silent { source, time, patience } => {
                write!(f, "{source}: nothing heard of other hosts {time} (patience {patience})")
            }
            Self::NotShared { source, host, own } => {
                write!(f, "{source}: host {host} shares no {} with {own}", source.bare())
            }
            Self::OnHosts { source, all } => write!(
                f,
                "{source}: several containers of other hosts have this name: {}: name one as NAME@HOST",
                all.join(", ")
            ),
            Self::CannotCross { source, backend } => write!(
                f,
                "link to {source}: links across hosts need ipset or nftables, and firewall.backend is \
                 \"{backend}\": set it to \"auto\""
            ),
            Self::NotRunning { source, recipient, alias } => write!(
                f,
                "Cannot link to a non running container: /{source} AS /{recipient}/{alias}"
            ),
            Self::HostNetwork => f.write_str(
                "conflicting options: host type networking can't be used with links. \
                 This would result in undefined behavior",
            ),
            Self::NoBridge { name, on } => write!(
                f,
                "{name} is on {}: start both with --network bridge, or --network and a network of \
                 your own",
                on.reason()
            ),
            Self::OwnHostname(alias) => {
                write!(f, "alias \"{alias}\": is the container's own host name")
            }
            Self::CannotCarry(cut) => cut.fmt(f),
            Self::CannotBind { source, why } => write!(
                f,
                "link to {source}: firewall.bind is \"port\": {why}; or set it to \"auto\""
            ),
            Self::TooManyFlows => {
                write!(f, "links: the sources expose more than {MAX_FLOWS} ports")
            }
            Self::TooManyPorts { source, ports } => write!(
                f,
                "link to {source}: it exposes {ports} ports, and the firewall backend ipset takes at \
                 most {MAX_ELEMENTS} of one source: set firewall.backend to \"iptables\" or \
                 \"nftables\", or name fewer in org.oci-link.ports"
            ),
            Self::SharedHosts { alias, peer } => write!(
                f,
                "alias \"{alias}\": container {peer} shares this hosts file and has the alias for \
                 another source: choose another alias"
            ),
        }
    }
}

impl Refusal {
    /// Refuses a link of, or to, a container in whose network links cannot be made.
    pub(crate) fn of_network(record: &Record) -> Self {
        match record.network {
            Network::NoBridge(on) => Self::NoBridge { name: record.name.clone(), on },
            Network::Host | Network::Own(_) => Self::HostNetwork,
        }
    }
}

/// The names of a recipient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecipientNames<'a> {
    /// The container's name.
    pub(crate) name: &'a ContainerName,
    /// The container's own host name, if it is known.
    pub(crate) hostname: Option<&'a Hostname>,
}

impl<'a> RecipientNames<'a> {
    /// Takes the names from the container's record.
    pub(crate) fn of(record: &'a Record) -> Self {
        Self { name: &record.name, hostname: record.hostname.as_ref() }
    }
}

/// Returns the source of each link, or `None` for a link that stays unconnected.
///
/// `candidates` are in the order of `links`. `absent` decides which faults are refused.
pub(crate) fn resolve<'a>(
    recipient: RecipientNames<'_>,
    links: &[Link],
    candidates: &'a [Candidate],
    absent: OnMissing,
) -> Result<Vec<Option<&'a Record>>, Refusal> {
    let is_own =
        |link: &Link| recipient.hostname.is_some_and(|own| link.alias.same_host(own.as_str()));
    links
        .iter()
        .zip(candidates)
        .map(|(link, candidate)| match candidate {
            Candidate::Itself if absent != OnMissing::Leave => {
                Err(Refusal::Itself(link.source.clone()))
            }
            _ if is_own(link) => Err(Refusal::OwnHostname(link.alias.clone())),
            Candidate::Running(record) if record.network.is_own() => Ok(Some(record.as_ref())),
            Candidate::There(there) => Ok(Some(&there.record)),
            Candidate::Itself | Candidate::Deferred => Ok(None),
            _ if absent == OnMissing::Leave => Ok(None),
            Candidate::Running(record) => Err(Refusal::of_network(record)),
            Candidate::Ambiguous => Err(Refusal::Ambiguous(link.source.clone())),
            Candidate::Several(all) => {
                Err(Refusal::Several { source: link.source.clone(), all: all.clone() })
            }
            Candidate::OnHosts(all) => {
                Err(Refusal::OnHosts { source: link.source.clone(), all: all.clone() })
            }
            Candidate::Stopped(_)
            | Candidate::Missing
            | Candidate::NotThere(_)
            | Candidate::Unmanaged
                if absent == OnMissing::Defer =>
            {
                Ok(None)
            }
            Candidate::NotThere(refusal) => Err(refusal.clone()),
            Candidate::Unmanaged => Err(Refusal::Unmanaged(link.source.clone())),
            Candidate::Stopped(source) => Err(Refusal::NotRunning {
                source: source.clone(),
                recipient: recipient.name.clone(),
                alias: link.alias.clone(),
            }),
            Candidate::Missing => Err(Refusal::NoSuchContainer(link.source.clone())),
        })
        .collect()
}

#[cfg(test)]
mod tests;
