//! Reads what lies between the networks of two containers, where a link needs it.
//!
//! Containers of one network need none of it, so their starts read nothing more.

use crate::engine::networks;
use crate::error::Result;
use crate::host::{Host, Locked};
use crate::lifecycle::lookup::{Requester, candidates};
use crate::link::carry::{Cut, End, Gap, gap, needs_routing};
use crate::link::{Candidate, Refusal};
use crate::model::{
    Address, Engine, Family, LinkState, Network, Record, Routing, SeparatedBridges, Subnet,
};
use crate::sys::net::netns::Now;
use crate::sys::net::routes;

/// The default bridge of podman, which it never separates.
const DEFAULT_OF_PODMAN: &str = "podman0";

/// Returns what is known of the ways between `me` and `sources`, if they share no network. `separated`
/// reads the bridges that podman and nerdctl separate.
pub(crate) fn between<'a>(
    me: &'a Record,
    sources: impl Iterator<Item = &'a Record>,
    separated: impl FnOnce() -> SeparatedBridges,
) -> Routing {
    let far: Vec<&Record> = sources.filter(|source| needs_routing(me, source)).collect();
    if far.is_empty() {
        return Routing::default();
    }
    let mut routing = Routing::default();
    let is_told = |engine| matches!(engine, Some(Engine::Podman | Engine::Nerdctl));
    if far.iter().chain([&me]).any(|record| is_told(record.engine)) {
        routing.separated = separated();
    }
    for record in far.iter().chain([&me]) {
        let (pid, netns) = (record.instance.pid, record.instance.netns);
        if routing.routes.iter().all(|known| known.netns != netns) {
            let found = Family::BOTH.map(|family| routes::of_process(pid, netns, family));
            routing.routes.extend(found.into_iter().flatten());
        }
    }
    let is_dark = |family: &Family| routes::is_forwarded(*family) == Some(false);
    routing.unforwarded = Family::BOTH.into_iter().filter(is_dark).collect();
    routing
}

/// Reads how flows are tied, and the bridges that podman and nerdctl separate, while that is still possible:
/// privileges are dropped next. `records` are the recipients whose links are planned then. Nothing is read for
/// the default network of podman.
pub(crate) fn prepare<'a>(host: &Locked<'_>, records: impl Iterator<Item = &'a Record>) {
    let records: Vec<&Record> = records.collect();
    for record in &records {
        host.ties(&record.families());
    }
    let is_elsewhere = |record: &Record| {
        let mut bridges = record.network.addresses().iter().filter_map(Address::bridge);
        bridges.any(|bridge| bridge.as_str() != DEFAULT_OF_PODMAN)
    };
    let needs = |record: &Record| match record.engine {
        Some(Engine::Podman) => is_elsewhere(record),
        Some(Engine::Nerdctl) => record.network.addresses().iter().any(|it| it.bridge().is_some()),
        Some(Engine::Docker) | None => false,
    };
    if records.into_iter().any(needs) {
        host.separated(networks::separated);
    }
}

/// Returns the ways between `me` and its running candidates.
pub(crate) fn to_candidates(host: &Locked<'_>, me: &Record, candidates: &[Candidate]) -> Routing {
    let running = candidates.iter().enumerate().filter_map(|(at, candidate)| match candidate {
        // A link of an engine leads to no other network.
        _ if me.links.get(at).is_some_and(|it| it.declared_by.is_engine()) => None,
        Candidate::Running(source) => Some(source.as_ref()),
        _ => None,
    });
    between(me, running, || host.separated(networks::separated).clone())
}

/// Returns why a link from `me` to the running `source` cannot carry now.
pub(crate) fn gap_to(me: &Record, source: &Record) -> Option<Gap> {
    gap(me, source, &between(me, std::iter::once(source), networks::separated))
}

/// Returns cause and fix of a link from `me` to the running `source` that cannot carry now.
pub(crate) fn cut(me: &Record, source: &Record) -> Option<(String, String)> {
    let Cut { cause, fix } = Cut::new(gap_to(me, source)?, End::of(me), End::of(source));
    Some((cause, fix))
}

/// The networks of this host from which packets are routed to other hosts.
pub(crate) fn declared(host: &Host) -> Vec<Subnet> {
    let hosts = host.config.cluster.as_ref().map(|cluster| &cluster.hosts);
    hosts.and_then(|hosts| hosts.networks.get(&hosts.name)).cloned().unwrap_or_default()
}

/// Returns the refusal of a link of `me` to a running source that cannot carry.
pub(crate) fn refusal(
    host: &Locked<'_>,
    me: &Record,
    link_state: &LinkState,
) -> Result<Option<Refusal>> {
    let links = std::slice::from_ref(link_state);
    let found = candidates(host, Requester::of(me), links)?;
    let mut routing = to_candidates(host, me, &found);
    routing.declared = declared(host);
    let cut = |source: &Record| {
        let gap = gap(me, source, &routing)?;
        Some(Refusal::CannotCarry(Cut::new(gap, End::of(me), End::of(source))))
    };
    Ok(found.iter().filter_map(Candidate::source).find_map(cut))
}

/// Returns the record with the addresses that its namespace has now. A container may get an address while
/// a recipient waits for it.
pub(crate) fn with_addresses(host: &Host, source: &Record) -> Record {
    let mut source = source.clone();
    if let Ok(Now::Read(now, _)) = host.read_addresses(&source.instance, None) {
        source.network = Network::Own(now);
    }
    source
}
