//! What backends share for flows between hosts: their elements, which end by themselves, and the bridges by which
//! no packet of another host comes in.
//!
//! A flow between hosts is open on each host by itself, from the bridge of the recipient or to the bridge of the
//! source. A container elsewhere on the host of the source could take the address of the recipient. So what comes
//! in by another bridge with containers is no packet of another host. A bridge that has a port to a network, an
//! Ethernet card or a tunnel, may carry such packets: it does not count.

use super::failed;
use crate::error::Result;
use crate::model::{BridgeName, Crossing, Flow, PortRange};
use crate::sys::net::bridge::networks::bridges_of_containers;
use std::collections::HashSet;
use std::time::Duration;

/// Fails if one of `flows` is between hosts: this backend has no rules that end by themselves.
pub(super) fn stays_here(flows: &[Flow]) -> Result<()> {
    if flows.iter().any(Flow::crosses) {
        return Err(failed("links across hosts need ipset or nftables".to_owned()));
    }
    Ok(())
}

/// Whether one of `flows` is between hosts.
pub(super) fn has_crossing(flows: &[Flow]) -> bool {
    flows.iter().any(Flow::crosses)
}

/// Those of `flows` that are between hosts.
pub(super) fn crossing(flows: &[Flow]) -> Vec<Flow> {
    flows.iter().filter(|flow| flow.crosses()).copied().collect()
}

/// Those of `flows` that are on this host.
pub(super) fn within(flows: &[Flow]) -> Vec<Flow> {
    flows.iter().filter(|flow| !flow.crosses()).copied().collect()
}

/// The flows to each port of `flow`.
pub(super) fn each_port(flow: &Flow) -> impl Iterator<Item = Flow> + use<> {
    let (flow, protocol) = (*flow, flow.ports.protocol());
    let single = move |number| PortRange::single(number, protocol);
    flow.ports.numbers().filter_map(single).map(move |ports| Flow { ports, ..flow })
}

/// The time that elements of flows between hosts last. An error if the caller gives none.
pub(super) fn needed(lifetime: Option<Duration>) -> Result<Duration> {
    lifetime.ok_or_else(|| failed("a flow between hosts needs a lifetime".to_owned()))
}

/// The bridges by which no packet of the flows that come in from other hosts may come in: those with containers,
/// and those of the flows themselves. `None` if no flow comes in.
pub(super) fn closed_bridges(flows: &[Flow]) -> Result<Option<HashSet<BridgeName>>> {
    let enters = flows.iter().filter_map(|flow| flow.bridge);
    let mut all: HashSet<BridgeName> =
        enters.filter(|on| on.crossing == Crossing::Enters).map(|on| on.name).collect();
    if all.is_empty() {
        return Ok(None);
    }
    all.extend(bridges_of_containers()?);
    Ok(Some(all))
}
