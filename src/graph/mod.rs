//! The graph of containers and links. A [`Graph`] is built from the records, and each renderer has
//! its own file. This module does not access the host.

mod dot;
mod html;
mod json;
mod layout;
mod mermaid;
mod svg;
mod text;

pub(crate) use dot::dot;
pub(crate) use html::{Details, html};
pub(crate) use json::json;
pub(crate) use mermaid::mermaid;
pub(crate) use svg::svg;
pub(crate) use text::text;

use crate::model::{ContainerName, KnownRecords, LinkState, Network, Phase, PortSet, Record};
use std::collections::{BTreeMap, HashMap};

/// Marks a link that opens no port.
const NO_PORTS: &str = "(no ports)";

/// Containers and their links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    /// Containers with a record, in the order of the records, then missing sources.
    pub(crate) nodes: Vec<Node>,
    /// One edge for each link, in the order of the recipients and of their links.
    pub(crate) edges: Vec<Edge>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name, with its id if another container has the same name, or with its host if that is another one.
    pub(crate) name: String,
    /// Its IP addresses, or `host network`, and whether it is isolated.
    pub(crate) addresses: Vec<String>,
    /// Its state.
    pub(crate) state: NodeState,
}

/// The state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeState {
    /// The container runs and its links are applied.
    Ready,
    /// The container runs. A change of its links is in progress or was interrupted.
    Pending,
    /// The process has ended, but no poststop hook removed the record.
    Dead,
    /// A missing source: a link names it, but no container with that name has a record.
    Waiting,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Index of the recipient's node.
    pub(crate) recipient: usize,
    /// Index of the source's node.
    pub(crate) source: usize,
    /// The source's name inside the recipient.
    pub(crate) alias: String,
    /// The ports that the link opens; empty if there are none.
    pub(crate) ports: String,
    /// Whether the link is connected; otherwise it waits.
    pub(crate) connected: bool,
    /// Why the link waits, if its source runs; or that its packets are routed. Empty otherwise.
    pub(crate) remark: &'static str,
}

impl Node {
    /// The other host that the container is on.
    pub(crate) fn host(&self) -> Option<&str> {
        self.name.rsplit_once('@').map(|(_, host)| host)
    }
}

impl NodeState {
    /// The word that is shown for the state; `None` for a state that needs none.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Ready => None,
            Self::Pending => Some("pending"),
            Self::Dead => Some("dead"),
            Self::Waiting => Some("waiting"),
        }
    }
}

impl Edge {
    /// What is shown beside the alias: the ports, or the state.
    pub(crate) fn what(&self) -> String {
        match (self.connected, self.ports.as_str(), self.remark) {
            (false, _, "") => "waiting".to_owned(),
            (false, _, reason) => format!("waiting: {reason}"),
            (true, "", _) => NO_PORTS.to_owned(),
            (true, ports, "") => ports.to_owned(),
            (true, ports, remark) => format!("{ports} ({remark})"),
        }
    }

    /// The label of the edge in a drawing.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.alias, self.what())
    }
}

impl Graph {
    /// Builds the graph of `records`. `runs` tells whether the container of a record runs, and `remark`
    /// what is said of a link beside its ports or its state.
    pub(crate) fn of(
        records: &[Record],
        runs: impl Fn(&Record) -> bool,
        remark: impl Fn(&Record, &LinkState) -> &'static str,
    ) -> Self {
        let mut named: HashMap<&ContainerName, usize> = HashMap::new();
        for record in records {
            *named.entry(&record.name).or_default() += usize::from(record.host.is_none());
        }
        let node = |record: &Record| Node {
            name: called(record, named.get(&record.name).is_some_and(|count| *count > 1)),
            addresses: addresses(record),
            state: match (runs(record), record.phase) {
                (false, _) => NodeState::Dead,
                (true, Phase::Pending) => NodeState::Pending,
                (true, Phase::Ready) => NodeState::Ready,
            },
        };
        let mut graph = Self { nodes: records.iter().map(node).collect(), edges: Vec::new() };
        let known = KnownRecords::of(records);
        let mut awaited: BTreeMap<&str, usize> = BTreeMap::new();
        for (recipient, record) in records.iter().enumerate() {
            for link_state in &record.links {
                let standing = known.source_place(link_state);
                let source = standing.or_else(|| known.meant_place(record, link_state));
                let source = source.unwrap_or_else(|| {
                    let name = link_state.link.source.as_str();
                    *awaited.entry(name).or_insert_with(|| graph.add_waiting(name))
                });
                graph.edges.push(Edge {
                    recipient,
                    source,
                    alias: link_state.link.alias.to_string(),
                    ports: standing
                        .map_or_else(String::new, |at| opened(record, &records[at]).to_string()),
                    connected: standing.is_some(),
                    remark: remark(record, link_state),
                });
            }
        }
        graph
    }

    fn add_waiting(&mut self, name: &str) -> usize {
        self.nodes.push(Node {
            name: name.to_owned(),
            addresses: Vec::new(),
            state: NodeState::Waiting,
        });
        self.nodes.len() - 1
    }

    /// The other hosts, each with the indexes of its nodes.
    fn hosts(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut hosts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if let Some(host) = node.host() {
                hosts.entry(host).or_default().push(at);
            }
        }
        hosts
    }

    /// The links of the recipient `recipient`.
    fn links_of(&self, recipient: usize) -> impl Iterator<Item = &Edge> {
        let begin = self.edges.partition_point(|edge| edge.recipient < recipient);
        let rest = self.edges.get(begin..).into_iter().flatten();
        rest.take_while(move |edge| edge.recipient == recipient)
    }
}

/// The name of a container, with its id if it `has_namesakes`: another record has the same name.
fn called(record: &Record, has_namesakes: bool) -> String {
    if let Some(host) = &record.host {
        format!("{}@{host}", record.name)
    } else if has_namesakes {
        let tag = record.id.tag().map_or_else(String::new, |tag| format!("~{:08x}", tag >> 32));
        format!("{} ({}{tag})", record.name, record.id.short())
    } else {
        record.name.to_string()
    }
}

/// What is shown below the name: addresses, and whether it is isolated.
fn addresses(record: &Record) -> Vec<String> {
    let mut lines = match &record.network {
        Network::Own(addresses) => addresses.iter().map(|a| a.ip().to_string()).collect(),
        Network::Host => vec!["host network".to_owned()],
        Network::NoBridge(on) => vec![format!("no bridge ({})", on.as_str())],
    };
    let isolation = record.isolation.iter();
    lines.extend(isolation.map(|isolation| format!("isolated: {}", isolation.directions)));
    lines
}

/// The ports of `source` to which `recipient` has flows.
pub(crate) fn opened(recipient: &Record, source: &Record) -> PortSet {
    let its = |ip| source.network.addresses().iter().any(|address| address.ip() == ip);
    let flows = recipient.flows.iter().filter(|flow| its(flow.to));
    let open: PortSet = flows.map(|flow| flow.ports).collect();
    source.ports.iter().filter(|range| open.covers(*range)).collect()
}

/// Replaces everything but printable ASCII by escape sequences. A terminal, a browser or another
/// program then cannot read the text as a command or markup.
fn plain(text: &str) -> String {
    let escape = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => c.escape_default().to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests;
