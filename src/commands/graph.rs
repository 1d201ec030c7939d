//! `graph`: prints the containers and their links as a graph.

use super::link_word::{LinkWord, Waiting};
use super::peers::{self, Shown};
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
    let others = Shown::of(host)?;
    let mut running = HashSet::new();
    for record in &records {
        if is_running(record, host.boot)? {
            running.insert(&record.id);
        }
    }
    let is_fresh = others.as_ref().is_some_and(Shown::is_fresh);
    let offers = peers::offers(others.as_ref());
    let known = peers::with_sources(&records, others.as_ref());
    let linked = |it: &Record| records.iter().any(|record| is_linked(record, it));
    let records: Vec<Record> =
        known.iter().filter(|it| it.host.is_none() || linked(it)).cloned().collect();
    let known = KnownRecords::of(&known).with_receipts(offers);
    let remark = |record: &_, link_state: &_| match LinkWord::of(host, record, link_state, &known) {
        LinkWord::Waiting(waiting) if waiting != Waiting::NotThere => waiting.reason(),
        LinkWord::Routed => "routed",
        LinkWord::NoReceipt => "waits for the other host",
        _ => "",
    };
    let runs = |record: &Record| match record.host {
        None => running.contains(&record.id),
        Some(_) => is_fresh,
    };
    let graph = graph::Graph::of(&records, |record| runs(record), remark);
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

/// Whether a link of `record` is connected to `source`, which is on another host.
fn is_linked(record: &Record, source: &Record) -> bool {
    record.links.iter().any(|link_state| link_state.there == source.run()) && source.host.is_some()
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
