//! Whether a link can carry packets, and between which addresses of the two containers.

use crate::model::{
    Address, BridgeName, ContainerName, Engine, Family, Network, Record, Routing, SeparatedBridges,
    Separation,
};
use std::fmt;

/// The networks of one container that a message names.
const NAMED: usize = 3;

/// The addresses by which a recipient reaches a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The recipient's address.
    pub(crate) ours: Address,
    /// The source's address.
    pub(crate) theirs: Address,
    /// Whether they are in two networks, between which the packets are routed.
    pub(crate) routed: bool,
}

/// Why a link to a running source cannot carry packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The source has no address.
    SourceAddress,
    /// The recipient has no address.
    RecipientAddress,
    /// No pair of addresses is in one network, or in networks between which packets are routed.
    Network,
    /// The source is on another host, and the recipient has no address of its families on a bridge in
    /// `cluster.networks` of this host.
    Undeclared,
}

impl Gap {
    /// The reason in the words of `ls`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::SourceAddress => "the source has no address",
            Self::RecipientAddress => "the recipient has no address",
            Self::Network => "the source shares no network",
            Self::Undeclared => "the recipient has no address in cluster.networks",
        }
    }
}

/// Returns the addresses of `family` by which `recipient` reaches `source`.
///
/// It is the first pair in a network that both share. Without one, it is the first pair between which
/// the host routes and no engine separates the networks.
pub(crate) fn pair(
    recipient: &Record,
    source: &Record,
    family: Family,
    routing: &Routing,
) -> Option<Pair> {
    let (ours, theirs) = (addresses(recipient, family), addresses(source, family));
    if source.host.is_some() {
        // Two hosts with one subnet look alike, so the declared networks decide.
        let ours = ours.into_iter().find(|our| our.bridge().is_some() && routing.crosses(our.ip()));
        return Some(Pair { ours: ours?, theirs: *theirs.first()?, routed: true });
    }
    let shared = ours.iter().find_map(|our| {
        let their = theirs.iter().find(|their| is_shared(our, their))?;
        Some(Pair { ours: *our, theirs: *their, routed: false })
    });
    shared.or_else(|| {
        let leads = |from: &Record, to: &Address| routing.reaches(from.instance.netns, to.ip());
        let theirs: Vec<&Address> = theirs.iter().filter(|their| leads(recipient, their)).collect();
        ours.iter().filter(|our| leads(source, our)).find_map(|our| {
            let is_open =
                |their: &&&Address| is_routed((recipient, our), (source, their), family, routing);
            let their = theirs.iter().find(is_open)?;
            Some(Pair { ours: *our, theirs: **their, routed: true })
        })
    })
}

/// Returns why a link from `recipient` to the running `source` cannot carry. `None` means that it can.
///
/// Containers of one network namespace reach each other whatever addresses they have.
pub(crate) fn gap(recipient: &Record, source: &Record, routing: &Routing) -> Option<Gap> {
    let has_pair = |family| pair(recipient, source, family, routing).is_some();
    let is_peer = source.host.is_none() && recipient.instance.shares_namespace(&source.instance);
    if is_peer || Family::BOTH.into_iter().any(has_pair) {
        None
    } else if has_no_address(source) {
        Some(Gap::SourceAddress)
    } else if has_no_address(recipient) {
        Some(Gap::RecipientAddress)
    } else if source.host.is_some() {
        Some(Gap::Undeclared)
    } else {
        Some(Gap::Network)
    }
}

/// Whether the container has a network of its own and no address there.
pub(crate) fn has_no_address(record: &Record) -> bool {
    matches!(&record.network, Network::Own(addresses) if addresses.is_empty())
}

/// Whether `routing` are needed to judge a link: both have addresses of a family and share no network.
pub(crate) fn needs_routing(recipient: &Record, source: &Record) -> bool {
    let needs = |family| {
        let (ours, theirs) = (addresses(recipient, family), addresses(source, family));
        let is_shared = || ours.iter().any(|our| theirs.iter().any(|their| is_shared(our, their)));
        !ours.is_empty() && !theirs.is_empty() && !is_shared()
    };
    !recipient.instance.shares_namespace(&source.instance) && Family::BOTH.into_iter().any(needs)
}

/// Whether a flow of `recipient` to `source` leads from one network to another.
pub(crate) fn has_routed_flows(recipient: &Record, source: &Record) -> bool {
    let find = |record: &'_ Record, ip| {
        record.network.addresses().iter().find(|address| address.ip() == ip).copied()
    };
    recipient.flows.iter().any(|flow| match (find(recipient, flow.from), find(source, flow.to)) {
        (Some(ours), Some(theirs)) => !is_shared(&ours, &theirs),
        _ => false,
    })
}

fn addresses(record: &Record, family: Family) -> Vec<Address> {
    let all = record.network.addresses().iter();
    all.filter(|address| Family::of(address.ip()) == family).copied().collect()
}

/// Whether both addresses are in one network. Two bridges may have one subnet by chance.
pub(crate) fn is_shared(one: &Address, other: &Address) -> bool {
    one.shares_network(other) && !one.is_apart_from(other)
}

/// Whether packets can be routed between two networks: no engine separates them, and the host
/// forwards what its bridges exchange.
fn is_routed(
    ours: (&Record, &Address),
    theirs: (&Record, &Address),
    family: Family,
    routing: &Routing,
) -> bool {
    let (our, their) = (ours.1, theirs.1);
    if our.bridge().is_some() && our.bridge() == their.bridge() {
        return true;
    }
    let stays = our.is_apart_from(their) && !our.shares_network(their);
    if stays && routing.unforwarded.contains(&family) {
        return false;
    }
    let separated = [ours, theirs]
        .map(|(record, address)| separation(record.engine, address, &routing.separated));
    separated != [Some(Separation::FromSeparated); 2]
        && !separated.contains(&Some(Separation::FromAll))
}

/// Returns how the engine separates the network of `address` from others.
///
/// Docker separates all its bridges. A bridge of nerdctl is separated as its network says, and from all
/// others if that is not known.
fn separation(
    engine: Option<Engine>,
    address: &Address,
    separated: &SeparatedBridges,
) -> Option<Separation> {
    let bridge = address.bridge()?;
    match engine {
        Some(Engine::Docker) => Some(Separation::FromAll),
        Some(Engine::Nerdctl) => separated.of(bridge).or(Some(Separation::FromAll)),
        _ if network_of_docker(bridge).is_some() => Some(Separation::FromAll),
        Some(Engine::Podman) | None => separated.of(bridge),
    }
}

/// Returns what `docker network` calls the network of a bridge whose name Docker chose.
fn network_of_docker(bridge: BridgeName) -> Option<String> {
    let name = bridge.as_str();
    if name == "docker0" {
        return Some("bridge".to_owned());
    }
    let id = name.strip_prefix("br-")?;
    let is_id = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// One end of a link that cannot carry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End<'a> {
    /// The name of the container.
    pub(crate) name: &'a ContainerName,
    /// The engine that created it, if its networks are known.
    pub(crate) engine: Option<Engine>,
    /// Its addresses; empty if there are none, or if they are not known yet.
    pub(crate) addresses: &'a [Address],
}

impl<'a> End<'a> {
    /// The container of `record`.
    pub(crate) fn of(record: &'a Record) -> Self {
        let addresses = record.network.addresses();
        Self { name: &record.name, engine: record.engine, addresses }
    }

    /// The networks, without those of loopback. `with_bridges` also names the bridges.
    fn networks(&self, with_bridges: bool) -> String {
        let mut all: Vec<String> = Vec::new();
        for address in self.addresses {
            let subnet = match address.bridge().filter(|_| with_bridges) {
                Some(bridge) => format!("{} ({bridge})", address.subnet()),
                None => address.subnet(),
            };
            if !all.contains(&subnet) {
                all.push(subnet);
            }
        }
        if all.len() > NAMED {
            all.truncate(NAMED);
            all.push("others".to_owned());
        }
        all.join(" and ")
    }

    /// What the engine calls a network of this container.
    fn network(&self) -> String {
        let mut bridges = self.addresses.iter().filter_map(Address::bridge);
        let name = match self.engine {
            Some(Engine::Docker) => bridges.find_map(network_of_docker),
            Some(Engine::Podman) => {
                bridges.find(|bridge| bridge.as_str() == "podman0").map(|_| "podman".to_owned())
            }
            Some(Engine::Nerdctl) | None => None,
        };
        name.unwrap_or_else(|| "NETWORK".to_owned())
    }
}

/// A link that cannot carry: the cause, and what to do. Each is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The cause, with the names and networks of both containers.
    pub(crate) cause: String,
    /// What makes the link possible: a command where the engine is known.
    pub(crate) fix: String,
}

impl Cut {
    /// Describes `gap` between `recipient` and `source`.
    pub(crate) fn new(gap: Gap, recipient: End<'_>, source: End<'_>) -> Self {
        let (moved, other) = match gap {
            Gap::SourceAddress | Gap::Network => (source, recipient),
            Gap::RecipientAddress | Gap::Undeclared => (recipient, source),
        };

        let what = || match gap {
            Gap::SourceAddress | Gap::RecipientAddress => format!("{} has no address", moved.name),
            Gap::Network => {
                let [ours, theirs] = networks([recipient, source]);
                format!("{} is on {ours}, {} on {theirs}", recipient.name, source.name)
            }
            Gap::Undeclared => format!(
                "{} is on another host, and {} has no address of its family on a bridge in \
                 cluster.networks of this host",
                source.name, recipient.name
            ),
        };
        let (name, network) = (moved.name, other.network());
        let engine = moved.engine.filter(|engine| other.engine == Some(*engine));
        let want = match (engine, gap) {
            (_, Gap::Undeclared) => format!("connect {name} to a network that is declared there"),
            (Some(Engine::Docker), Gap::Network) => {
                format!("docker network connect {network} {name}")
            }
            // Docker connects no container that was started with `--network none`.
            (Some(Engine::Docker), _) => format!(
                "docker network connect {network} {name}; if it has --network none, first docker \
                 network disconnect none {name}"
            ),
            (Some(Engine::Podman), _) => format!("podman network connect {network} {name}"),
            (Some(Engine::Nerdctl), _) => {
                format!("create {name} again with: nerdctl run --network {network}")
            }
            (None, Gap::Network) => "connect both to one network".to_owned(),
            (None, _) => format!("connect {name} to a network"),
        };
        Self { cause: what(), fix: want }
    }
}

/// The networks of both ends. Bridges are named where the subnets are the same.
fn networks(ends: [End<'_>; 2]) -> [String; 2] {
    let plain = ends.map(|end| end.networks(false));
    if plain[0] == plain[1] { ends.map(|end| end.networks(true)) } else { plain }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.fix)
    }
}

#[cfg(test)]
mod tests;
