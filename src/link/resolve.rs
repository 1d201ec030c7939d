//! Resolves the sources that links name to containers.

use super::carry::Cut;
use super::flows::{MAX_ELEMENTS, MAX_FLOWS};
use crate::model::{Alias, ContainerName, Hostname, Link, Network, NoBridge, Record, Reference};
use std::fmt;

/// What was found under the name of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// A running container.
    Running(Box<Record>),
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

impl Candidate {
    /// Whether waiting can help: the source is missing or stopped.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Missing)
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
            Candidate::Itself | Candidate::Deferred => Ok(None),
            _ if absent == OnMissing::Leave => Ok(None),
            Candidate::Running(record) => Err(Refusal::of_network(record)),
            Candidate::Ambiguous => Err(Refusal::Ambiguous(link.source.clone())),
            Candidate::Several(all) => {
                Err(Refusal::Several { source: link.source.clone(), all: all.clone() })
            }
            Candidate::Stopped(_) | Candidate::Missing | Candidate::Unmanaged
                if absent == OnMissing::Defer =>
            {
                Ok(None)
            }
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
mod tests {
    use super::*;
    use crate::model::sample::record;

    #[test]
    fn what_becomes_of_a_link_depends_on_what_is_found() {
        let web = record("web", "none", &[]).linked(&["db"]);
        let links = [web.links[0].link.clone()];
        let db = record("db", "80", &["10.0.0.2/24"]);
        let on_host = Record { network: Network::Host, ..db.clone() };
        let on_pasta = Record { network: Network::NoBridge(NoBridge::Pasta), ..db.clone() };
        let outcome = |candidate: &Candidate, absent| {
            let candidates = std::slice::from_ref(candidate);
            match resolve(RecipientNames::of(&web), &links, candidates, absent).as_deref() {
                Ok([Some(_)]) => "linked",
                Ok([None]) => "unconnected",
                Ok(_) => "forgotten",
                Err(_) => "refused",
            }
        };
        let always = ["linked"; 3];
        let absent = ["refused", "unconnected", "unconnected"];
        let wrong = ["refused", "refused", "unconnected"];
        for (candidate, expected) in [
            (Candidate::Running(Box::new(db.clone())), always),
            (Candidate::Stopped(db.name), absent),
            (Candidate::Missing, absent),
            (Candidate::Unmanaged, absent),
            (Candidate::Deferred, ["unconnected"; 3]),
            (Candidate::Running(Box::new(on_host)), wrong),
            (Candidate::Running(Box::new(on_pasta)), wrong),
            (Candidate::Ambiguous, wrong),
            (Candidate::Several(vec!["a/x".to_owned(), "b/x".to_owned()]), wrong),
            (Candidate::Itself, wrong),
        ] {
            let all = [OnMissing::Refuse, OnMissing::Defer, OnMissing::Leave];
            assert_eq!(all.map(|absent| outcome(&candidate, absent)), expected, "{candidate:?}");
            let awaited = matches!(candidate, Candidate::Stopped(_) | Candidate::Missing);
            assert_eq!(candidate.is_absence(), awaited, "{candidate:?}");
        }
    }
}
