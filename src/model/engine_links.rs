//! Links that an engine has recorded by itself, and which of them are taken over.

use super::{Alias, ContainerId, ContainerName, Hostname, Invalid, Link, MAX_LINKS, NetworkName};
use super::{LinkState, Reference};
use std::fmt;

/// Limit of the links that an engine has recorded for one container, with those that count once.
const MAX_RECORDED: usize = 4096;
/// Limit of the links left out that are named one by one.
const MAX_NAMED: usize = 8;

/// What declared a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DeclaredBy {
    /// `org.oci-link.links`.
    #[default]
    Annotation,
    /// `oci-link connect`.
    Connect,
    /// Docker, for its default bridge.
    Docker,
    /// Docker, for this network.
    DockerNetwork(NetworkName),
}

impl DeclaredBy {
    /// Parses the text that [`fmt::Display`] writes.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        match (value, value.strip_prefix("docker:")) {
            (_, Some(network)) => Ok(Self::DockerNetwork(NetworkName::new(network)?)),
            ("annotation", _) => Ok(Self::Annotation),
            ("connect", _) => Ok(Self::Connect),
            ("docker", _) => Ok(Self::Docker),
            _ => Err(Invalid::new("link declared by", value, "unknown")),
        }
    }

    /// Whether only the container's engine declares the link. Such a link never keeps the container from
    /// starting, and connects addresses of one network only.
    pub(crate) fn is_engine(&self) -> bool {
        matches!(self, Self::Docker | Self::DockerNetwork(_))
    }

    /// Whether the link has a line in the hosts file. On its other networks, Docker's name server knows
    /// the alias.
    pub(crate) fn has_hosts_line(&self) -> bool {
        !matches!(self, Self::DockerNetwork(_))
    }

    /// What Docker calls the network that the link is limited to.
    pub(crate) fn network(&self) -> Option<&str> {
        match self {
            Self::Annotation | Self::Connect => None,
            Self::Docker => Some("bridge"),
            Self::DockerNetwork(name) => Some(name.as_str()),
        }
    }
}

impl fmt::Display for DeclaredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotation => f.write_str("annotation"),
            Self::Connect => f.write_str("connect"),
            Self::Docker => f.write_str("docker"),
            Self::DockerNetwork(name) => write!(f, "docker:{name}"),
        }
    }
}

/// Which links of Docker's own are taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TakesOver {
    /// None.
    None,
    /// Those on the default bridge.
    #[default]
    DefaultBridge,
    /// Those on all networks.
    All,
}

/// Whether a container of Docker's with this `NetworkMode` has the links of hostconfig.json: those on the
/// default bridge. On other networks, the command line client repeats the links there.
pub(crate) fn has_bridge_links(mode: &str) -> bool {
    ["", "default", "bridge"].contains(&mode)
}

/// Whether a container of Docker's on the networks `all` has links on the network `name`, which is one of
/// them.
pub(crate) fn has_network_links<'a>(name: &str, mut all: impl Iterator<Item = &'a str>) -> bool {
    name != "bridge" && !all.any(|other| other == "host" || other == "none")
}

/// A link as an engine has recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedLink {
    /// `source`, `source:alias` or `/source:/recipient/alias`.
    pub(crate) text: String,
    /// The network; `None` for the default bridge.
    pub(crate) network: Option<String>,
}

/// A link of an engine that is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineLink {
    /// The link. A prefix of an id has become the whole id.
    pub(crate) link: Link,
    /// What declared it.
    pub(crate) declared_by: DeclaredBy,
}

impl EngineLink {
    /// Parses the text that [`fmt::Display`] writes.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let refuse = || Invalid::new("engine link", value, "not SOURCE:ALIAS=ENGINE");
        let (link, declared_by) = value.split_once('=').ok_or_else(refuse)?;
        let declared_by = DeclaredBy::parse(declared_by)?;
        if !declared_by.is_engine() {
            return Err(refuse());
        }
        Ok(Self { link: Link::parse(link)?, declared_by })
    }
}

impl fmt::Display for EngineLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.link.source, self.link.alias, self.declared_by)
    }
}

impl From<EngineLink> for LinkState {
    /// The state of a link that is not connected.
    fn from(taken: EngineLink) -> Self {
        Self { declared_by: taken.declared_by, ..Self::waiting(taken.link) }
    }
}

/// The container whose recorded links are judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// Its id.
    pub(crate) id: &'a ContainerId,
    /// Its name, and the name that its engine gave it if that is another one.
    pub(crate) names: [Option<&'a ContainerName>; 2],
    /// Its own host name.
    pub(crate) hostname: Option<&'a Hostname>,
}

impl Owner<'_> {
    /// Why a link cannot be one of this container.
    fn objection(&self, link: &Link) -> Option<(Fault, &'static str)> {
        let source = link.source.as_str();
        let is_own = |name: &&ContainerName| name.as_str() == source;
        if source == self.id.as_str() || self.names.into_iter().flatten().any(|own| is_own(&own)) {
            return Some((Fault::Itself, "a container cannot be linked to itself"));
        }
        let is_own_host = self.hostname.is_some_and(|own| link.alias.same_host(own.as_str()));
        is_own_host.then_some((Fault::OwnHostname, "the alias is the container's own host name"))
    }
}

/// A recorded link that is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// What is wrong with it.
    pub(crate) fault: Fault,
    /// Why it is left out, in one line.
    pub(crate) why: String,
}

/// What is wrong with a recorded link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not `source[:alias]`.
    Form,
    /// Its source is no name and no id.
    Source,
    /// No hosts file can contain its alias.
    Alias,
    /// Every container has its alias.
    ReservedAlias,
    /// Its alias is the host name of its own container.
    OwnHostname,
    /// Its source is its own container.
    Itself,
    /// The name of its network is not a valid one.
    Network,
}

/// Returns the links that are taken over, and one line for each that is left out.
///
/// Of two links with one alias, Docker uses the first on the default bridge and the last on another
/// network. Repeated links count once. `resolve` returns the id that a source is a prefix of, if it is
/// no name.
pub(crate) fn taken_over(
    recorded: &[RecordedLink],
    owner: Owner<'_>,
    resolve: impl Fn(&Reference) -> Option<Reference>,
) -> (Vec<EngineLink>, Vec<String>) {
    if recorded.len() > MAX_RECORDED {
        return (Vec::new(), vec![format!("its engine has more than {MAX_RECORDED} links")]);
    }
    let (mut taken, mut notes): (Vec<EngineLink>, Vec<String>) = (Vec::new(), Vec::new());
    let mut left_out = 0;
    for link in recorded {
        match usable(link, owner, &resolve) {
            Ok(new) => add(&mut taken, new),
            Err(LeftOut { why, .. }) => {
                left_out += 1;
                if left_out <= MAX_NAMED {
                    notes.push(why);
                }
            }
        }
    }
    if left_out > MAX_NAMED {
        notes.push(format!("{} more links are left out", left_out - MAX_NAMED));
    }
    if taken.len() > MAX_LINKS {
        return (Vec::new(), vec![format!("its engine has more than {MAX_LINKS} links")]);
    }
    (taken, notes)
}

fn add(taken: &mut Vec<EngineLink>, new: EngineLink) {
    let is_same_alias = |known: &EngineLink| {
        known.declared_by == new.declared_by && has_alias(known, &new.link.alias)
    };
    match taken.iter().position(is_same_alias) {
        Some(_) if new.declared_by == DeclaredBy::Docker => {}
        Some(at) => {
            taken.remove(at);
            taken.push(new);
        }
        None => taken.push(new),
    }
}

fn has_alias(taken: &EngineLink, alias: &Alias) -> bool {
    taken.link.alias.same_host(alias.as_str())
}

/// Returns the link that is taken over, or why there is none. `resolve` as in [`taken_over`].
pub(crate) fn usable(
    recorded: &RecordedLink,
    owner: Owner<'_>,
    resolve: impl Fn(&Reference) -> Option<Reference>,
) -> Result<EngineLink, LeftOut> {
    let invalid = |fault, error: &Invalid| LeftOut { fault, why: error.to_string() };
    let declared_by = match &recorded.network {
        None => Ok(DeclaredBy::Docker),
        Some(name) => NetworkName::new(name).map(DeclaredBy::DockerNetwork),
    };
    let declared_by = declared_by.map_err(|error| invalid(Fault::Network, &error))?;
    let parsed = Link::parse(&recorded.text);
    let mut link = parsed
        .and_then(|link| link.source.must_be_plain().map(|()| link))
        .map_err(|error| invalid(fault_of(&recorded.text, &error), &error))?;
    if let Some(id) = resolve(&link.source) {
        link.source = id;
    }
    match owner.objection(&link) {
        Some((fault, why)) => Err(invalid(fault, &Invalid::new("link", &recorded.text, why))),
        None => Ok(EngineLink { link, declared_by }),
    }
}

/// What is wrong with the link `text`, which was refused with `error`.
fn fault_of(text: &str, error: &Invalid) -> Fault {
    match error.what() {
        "alias" => {
            let alias = text.rsplit([':', '/']).next().unwrap_or(text);
            if Alias::new(alias).is_ok_and(|alias| alias.is_reserved()) {
                Fault::ReservedAlias
            } else {
                Fault::Alias
            }
        }
        "link source" => Fault::Source,
        _ => Fault::Form,
    }
}

#[cfg(test)]
mod tests;
