//! Renders the graph for Mermaid, which code forges draw in Markdown files.

use super::{Graph, NodeState, plain};
use std::fmt::Write;

/// A Mermaid flowchart with edges from recipients to sources.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let lines = [&node.name].into_iter().chain(&node.addresses).map(|line| quoted(line));
        let lines: Vec<_> = lines.chain(node.state.word().map(|w| format!("({w})"))).collect();
        let class = node.state.word().map_or_else(String::new, |word| format!(":::{word}"));
        let _ = writeln!(out, "    n{at}[\"{}\"]{class}", lines.join("<br/>"));
    }
    for (host, nodes) in graph.hosts() {
        let first = nodes.first().copied().unwrap_or_default();
        let _ = writeln!(out, "    subgraph h{first}[\"host {}\"]", quoted(host));
        for at in nodes {
            let _ = writeln!(out, "        n{at}");
        }
        out.push_str("    end\n");
    }
    for edge in &graph.edges {
        let arrow = if edge.connected { "-->" } else { "-.->" };
        let (from, to, label) = (edge.recipient, edge.source, quoted(&edge.label()));
        let _ = writeln!(out, "    n{from} {arrow}|\"{label}\"| n{to}");
    }
    for (state, style) in [
        (NodeState::Pending, "stroke:#d97706"),
        (NodeState::Dead, "stroke:#dc2626,color:#dc2626"),
        (NodeState::Waiting, "stroke-dasharray:4 3,color:#6b7280"),
    ] {
        if let (Some(word), true) = (state.word(), graph.nodes.iter().any(|n| n.state == state)) {
            let _ = writeln!(out, "    classDef {word} {style}");
        }
    }
    out
}

/// Escapes text for a label in double quotes. Mermaid reads labels as Markdown and HTML, so every
/// special character becomes a numeric entity.
fn quoted(text: &str) -> String {
    let entity = |c: char| match c {
        c if c.is_ascii_alphanumeric() || " .,:/-+()".contains(c) => c.to_string(),
        c => format!("#{};", u32::from(c)),
    };
    plain(text).chars().map(entity).collect()
}
