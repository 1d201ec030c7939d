//! Who is linked to whom, as a picture: a small [`Graph`] made of the records, and one renderer per
//! file. Nothing here asks the host for anything.

mod dot;
mod layout;
mod mermaid;
mod svg;
mod text;

pub(crate) use dot::dot;
pub(crate) use mermaid::mermaid;
pub(crate) use svg::svg;
pub(crate) use text::text;

use crate::model::{LinkState, Network, Phase, PortSet, Record};
use std::collections::BTreeMap;

/// Containers and their links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    /// Those with a record, in the order of the records; then those that links wait for.
    pub(crate) nodes: Vec<Node>,
    /// One for each alias, in the order of the recipients and of their links.
    pub(crate) edges: Vec<Edge>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name, and its id where another has the same name.
    pub(crate) name: String,
    /// Where it can be reached.
    pub(crate) addresses: Vec<String>,
    /// How it is.
    pub(crate) state: NodeState,
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeState {
    /// It runs.
    Ready,
    /// It runs, and its links are being changed, or were left half changed.
    Pending,
    /// It is over, and nobody has said so.
    Dead,
    /// There is no record of it; a link waits for somebody of this name.
    Waiting,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Which node has it.
    pub(crate) recipient: usize,
    /// Which node it leads to.
    pub(crate) source: usize,
    /// What the recipient calls the source.
    pub(crate) alias: String,
    /// What it opens, in few words; empty if nothing.
    pub(crate) ports: String,
    /// Whether it stands; else it waits for its source.
    pub(crate) connected: bool,
}

impl NodeState {
    /// A word for it; none where there is nothing to say.
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
    /// What is written beside it.
    pub(crate) fn label(&self) -> String {
        let what = if self.connected { self.ports.as_str() } else { "waiting" };
        format!("{} {what}", self.alias).trim_end().to_owned()
    }
}

impl Graph {
    /// What the records say, and the kernel of those who should run.
    pub(crate) fn of(records: &[Record], runs: impl Fn(&Record) -> bool) -> Self {
        let node = |record: &Record| Node {
            name: called(record, records),
            addresses: addresses(record),
            state: match (runs(record), record.phase) {
                (false, _) => NodeState::Dead,
                (true, Phase::Pending) => NodeState::Pending,
                (true, Phase::Ready) => NodeState::Ready,
            },
        };
        let mut graph = Self { nodes: records.iter().map(node).collect(), edges: Vec::new() };
        let places: BTreeMap<&str, usize> =
            records.iter().enumerate().map(|(at, record)| (record.id.as_str(), at)).collect();
        let mut awaited: BTreeMap<&str, usize> = BTreeMap::new();
        for (recipient, record) in records.iter().enumerate() {
            for link_state in &record.links {
                let standing = link_state.source.as_ref().and_then(|id| places.get(id.as_str()));
                let source = standing.copied().or_else(|| meant(records, recipient, link_state));
                let source = source.unwrap_or_else(|| {
                    let name = link_state.link.source.as_str();
                    *awaited.entry(name).or_insert_with(|| graph.await_somebody(name))
                });
                graph.edges.push(Edge {
                    recipient,
                    source,
                    alias: link_state.link.alias.to_string(),
                    ports: standing.map_or_else(String::new, |at| open(record, &records[*at])),
                    connected: standing.is_some(),
                });
            }
        }
        graph
    }

    fn await_somebody(&mut self, name: &str) -> usize {
        self.nodes.push(Node {
            name: name.to_owned(),
            addresses: Vec::new(),
            state: NodeState::Waiting,
        });
        self.nodes.len() - 1
    }

    /// The links that a node has.
    fn links_of(&self, recipient: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.recipient == recipient)
    }
}

fn called(record: &Record, records: &[Record]) -> String {
    let namesakes = records.iter().filter(|other| other.name == record.name);
    if namesakes.count() > 1 {
        format!("{} ({})", record.name, record.id.short())
    } else {
        record.name.to_string()
    }
}

fn addresses(record: &Record) -> Vec<String> {
    match &record.network {
        Network::Own(addresses) => addresses.iter().map(|a| a.ip().to_string()).collect(),
        Network::Host => vec!["host network".to_owned()],
    }
}

/// Who answers to the name of a link that is not connected: by id, then by name, then by the
/// beginning of an id that no other begins with.
fn meant(records: &[Record], recipient: usize, link_state: &LinkState) -> Option<usize> {
    let name = link_state.link.source.as_str();
    let others = || records.iter().enumerate().filter(|(at, _)| *at != recipient);
    let by_id = others().find(|(_, record)| record.id.as_str() == name);
    let by_name = others().find(|(_, record)| record.name.as_str() == name);
    let mut prefixed = others().filter(|(_, record)| record.id.as_str().starts_with(name));
    let prefixed = prefixed.next().filter(|_| prefixed.next().is_none());
    by_id.or(by_name).or(prefixed).map(|(at, _)| at)
}

/// The source's ports that the recipient's flows lead to.
fn open(recipient: &Record, source: &Record) -> String {
    let its = |ip| source.network.addresses().iter().any(|address| address.ip() == ip);
    let flows = || recipient.flows.iter().filter(|flow| its(flow.to));
    let is_open = |port: &_| flows().any(|flow| flow.port == *port);
    source.ports.iter().filter(is_open).collect::<PortSet>().to_string()
}

/// Printable ASCII as it is, everything else as an escape sequence: nothing that a terminal, a
/// browser or another program could take for more than text.
fn plain(text: &str) -> String {
    let escape = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => c.escape_default().to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests;
