//! Renders the graph as JSON.

use super::Graph;
use serde_json::{Value, json};

/// An object with the containers, missing sources included, and the links between them, by name.
pub(crate) fn json(graph: &Graph) -> Value {
    let containers = graph.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "addresses": node.addresses,
            "state": node.state.word().unwrap_or("ready"),
        })
    });
    let name = |at: usize| graph.nodes.get(at).map(|node| node.name.as_str());
    let links = graph.edges.iter().map(|edge| {
        json!({
            "recipient": name(edge.recipient),
            "source": name(edge.source),
            "alias": edge.alias,
            "ports": edge.ports,
            "state": if edge.connected { "ready" } else { "waiting" },
            "remark": (!edge.remark.is_empty()).then_some(edge.remark),
        })
    });
    json!({ "containers": containers.collect::<Value>(), "links": links.collect::<Value>() })
}
