//! Renders the graph for a terminal: each container, with its links below it.

use super::{Graph, Node, NodeState, plain};
use std::fmt::Write;

/// One line for each container and one for each link.
pub(crate) fn text(graph: &Graph) -> String {
    let mut out = String::new();
    let nodes = graph.nodes.iter().enumerate();
    // A missing source is shown only in the lines of the links that name it.
    for (at, node) in nodes.filter(|(_, node)| node.state != NodeState::Waiting) {
        let addresses = plain(&node.addresses.join(", "));
        let _ = writeln!(out, "{}", format!("{}  {addresses}", name(node)).trim_end());
        let count = graph.links_of(at).count();
        for (number, edge) in graph.links_of(at).enumerate() {
            let branch = if number + 1 == count { "`--" } else { "|--" };
            let source = graph.nodes.get(edge.source).map_or_else(String::new, name);
            let (alias, what) = (plain(&edge.alias), plain(&edge.what()));
            let _ = writeln!(out, "{branch} {source} as {alias}  {what}");
        }
    }
    out
}

fn name(node: &Node) -> String {
    let state = node.state.word().map_or_else(String::new, |word| format!(" ({word})"));
    plain(&node.name) + &state
}
