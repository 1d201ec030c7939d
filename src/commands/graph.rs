//! `graph`: prints the containers and their links as a graph.

use super::link_word::{LinkWord, Waiting};
use super::{say, say_json, warn_of_newer};
use crate::cli::{GraphArguments, GraphFormat};
use crate::error::Result;
use crate::graph;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::link::env::{link_variables, passed};
use crate::model::{KnownRecords, Record};
use std::collections::HashSet;

/// Prints the graph in the requested format.
pub(crate) fn run(host: &Host, arguments: &GraphArguments) -> Result<()> {
    let (mut records, newer) = host.store.everything()?;
    records.retain(|record| !record.is_pod_infra);
    warn_of_newer(&newer);
    records.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut running = HashSet::new();
    for record in &records {
        if is_running(record, host.boot)? {
            running.insert(&record.id);
        }
    }
    let known = KnownRecords::of(&records);
    let remark = |record: &_, link_state: &_| match LinkWord::of(host, record, link_state, &known) {
        LinkWord::Waiting(waiting) if waiting != Waiting::NotThere => waiting.reason(),
        LinkWord::Routed => "routed",
        _ => "",
    };
    let graph = graph::Graph::of(&records, |record| running.contains(&record.id), remark);
    let shown = records.iter().filter(|_| arguments.format == GraphFormat::Html);
    let details: Vec<_> = shown.map(|record| details(host, record, &known)).collect();
    print(&graph, &details, arguments)
}

/// What the HTML page shows of a container beside its node.
fn details(host: &Host, record: &Record, known: &KnownRecords<'_>) -> graph::Details {
    let links = record.links.iter();
    let links = links.filter_map(|it| Some((&it.link.alias, known.get(it.source.as_ref()?)?)));
    let gets = link_variables(&record.name, links, &[], host.config.dialect);
    let mut gets: Vec<String> = gets.variables.into_iter().map(|variable| variable.key).collect();
    gets.sort();
    gets.dedup();
    graph::Details {
        id: record.id.to_string(),
        host: host.config.cluster.as_ref().map(|cluster| cluster.hosts.name.to_string()),
        ports: record.ports.iter().map(|ports| ports.to_string()).collect(),
        gets,
        gives: passed(record).map(|variable| variable.key.clone()).collect(),
    }
}

/// Prints what [`run`] prints without records.
pub(crate) fn without_records(arguments: &GraphArguments) -> Result<()> {
    print(&graph::Graph::of(&[], |_| false, |_, _| ""), &[], arguments)
}

fn print(
    graph: &graph::Graph,
    details: &[graph::Details],
    arguments: &GraphArguments,
) -> Result<()> {
    if arguments.json {
        return say_json(&graph::json(graph));
    }
    say(&match arguments.format {
        GraphFormat::Text => graph::text(graph),
        GraphFormat::Dot => graph::dot(graph),
        GraphFormat::Mermaid => graph::mermaid(graph),
        GraphFormat::Svg => graph::svg(graph),
        GraphFormat::Html => graph::html(graph, details),
    })
}
