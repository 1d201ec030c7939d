//! `graph`: who is linked to whom, as a picture.

use super::say;
use crate::cli::{Graph, Picture};
use crate::error::Result;
use crate::graph;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use std::collections::HashSet;

/// Prints it.
pub fn run(host: &Host, arguments: &Graph) -> Result<()> {
    let mut records = host.store.all()?;
    records.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut running = HashSet::new();
    for record in &records {
        if is_running(record, host.boot)? {
            running.insert(&record.id);
        }
    }
    let graph = graph::Graph::of(&records, |record| running.contains(&record.id));
    say(&match arguments.format {
        Picture::Text => graph::text(&graph),
        Picture::Dot => graph::dot(&graph),
        Picture::Mermaid => graph::mermaid(&graph),
        Picture::Svg => graph::svg(&graph),
    })
}
