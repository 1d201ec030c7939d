//! Renders the graph for Graphviz.

use super::{Graph, NodeState, plain};
use std::fmt::Write;

/// A DOT digraph with edges from recipients to sources.
pub(crate) fn dot(graph: &Graph) -> String {
    let mut out = String::from(
        "digraph \"oci-link\" {\n  rankdir=LR;\n  \
         node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  \
         edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for (at, node) in graph.nodes.iter().enumerate() {
        let lines = [&node.name].into_iter().chain(&node.addresses).map(|line| quoted(line));
        let lines: Vec<_> = lines.chain(node.state.word().map(|w| format!("({w})"))).collect();
        let style = match node.state {
            NodeState::Ready => "",
            NodeState::Pending => ", color=darkorange",
            NodeState::Dead => ", color=red, fontcolor=red",
            NodeState::Waiting => ", style=\"rounded,dashed\", color=gray, fontcolor=gray",
        };
        let _ = writeln!(out, "  n{at} [label=\"{}\"{style}];", lines.join("\\n"));
    }
    for (host, nodes) in graph.hosts() {
        let nodes: Vec<String> = nodes.iter().map(|at| format!("n{at}")).collect();
        let (host, nodes) = (quoted(host), nodes.join("; "));
        let _ =
            writeln!(out, "  subgraph \"cluster_{host}\" {{ label=\"host {host}\"; {nodes}; }}");
    }
    for edge in &graph.edges {
        let style = if edge.connected { "" } else { ", style=dashed, color=gray" };
        let (from, to, label) = (edge.recipient, edge.source, quoted(&edge.label()));
        let _ = writeln!(out, "  n{from} -> n{to} [label=\"{label}\"{style}];");
    }
    out + "}\n"
}

/// Escapes text for a DOT string in double quotes. A backslash would start an escape sequence of
/// Graphviz.
fn quoted(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('"', "\\\"")
}
