//! Reads what a plan needs (sources, the hosts file, blocks of pod peers in it), and makes the
//! plan.

use crate::error::{Cause, Error, Kind, Result};
use crate::host::Locked;
use crate::lifecycle::absent::Absences;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::ambiguous::Ambiguous;
use crate::lifecycle::debug_log;
use crate::lifecycle::disputes::must_agree;
use crate::lifecycle::limited::{guarded, limited};
use crate::lifecycle::lookup::{Requester, candidates};
use crate::lifecycle::routing;
use crate::link::flows::{cannot_cross, too_many_ports};
use crate::link::{Candidate, HostsInput, OnMissing, Plan, World};
use crate::model::{ContainerId, Link, Record};
use crate::store::shared_hosts_blocks;
use crate::sys::hosts::HostsFile;

/// Plans the links of `me` from the current records. `file` is its open hosts file, if it has one.
pub(crate) fn plan(
    host: &Locked<'_>,
    me: &Record,
    file: Option<&HostsFile>,
    ipv6: bool,
    absent: OnMissing,
) -> Result<Plan> {
    first_plan(host, me, file, (ipv6, absent, &Absences::default()))
}

/// Plans the links of a starting container. `absences` is what was found out about sources that do
/// not run.
pub(crate) fn first_plan(
    host: &Locked<'_>,
    me: &Record,
    file: Option<&HostsFile>,
    (ipv6, absent, absences): (bool, OnMissing, &Absences),
) -> Result<Plan> {
    // A dead container gets no rules: its address may be assigned to another one.
    let candidates = if absent == OnMissing::Leave && !is_running(me, host.boot)? {
        vec![Candidate::Missing; me.links.len()]
    } else {
        let found = candidates(host, Requester::of(me), &me.links)?;
        absences.refine(&me.links, found)
    };
    debug_log::candidates(me, &candidates);
    let (me, candidates) = &limited(me, guarded(host, candidates));
    if absent == OnMissing::Leave {
        warn_of_too_many_ports(me, candidates);
    } else {
        warn_of_no_ports(me, candidates);
    }
    let shared = shared_hosts_blocks(host.store.as_ref(), me)?;
    let hosts = file.map(|file| HostsInput {
        place: file.place().clone(),
        content: file.content().map(<[u8]>::to_vec),
        ipv6,
        shared,
    });
    let ambiguous = Ambiguous::find(host, me, candidates)?;
    let mut routing = routing::to_candidates(host, me, candidates);
    if candidates.iter().any(|candidate| matches!(candidate, Candidate::Running(_))) {
        routing.ties = host.ties(&me.families()).kept(&me.flows);
    }
    if candidates.iter().any(|candidate| matches!(candidate, Candidate::There(_))) {
        routing.declared = routing::declared(host);
    }
    let candidates = candidates.clone();
    let plan = ambiguous.plan(me, &World { candidates, hosts, routing }, absent)?;
    if let Some(file) = file {
        must_agree(host, &plan, file.place(), absent)?;
    }
    debug_log::planned(&plan);
    Ok(plan)
}

/// Warns of sources that expose no port: a link to one opens nothing.
fn warn_of_no_ports(me: &Record, candidates: &[Candidate]) {
    for (link_state, candidate) in me.links.iter().zip(candidates) {
        if let Some(source) = candidate.source() {
            if let Some(warning) = no_ports(me, &link_state.link, source) {
                log::warn!("{warning}");
            }
        }
    }
}

/// Returns a warning if `link` of `me` opens nothing, because `source` exposes no port.
pub(crate) fn no_ports(me: &Record, link: &Link, source: &Record) -> Option<String> {
    // A source without links starts with an annotation that is not valid, and then exposes nothing.
    source.ports.is_empty().then(|| {
        format!(
            "{}: its link to {} opens no port: the source exposes none, or its log says that its ports \
             are ignored: annotate it with org.oci-link.ports, of at most 4096 ports and ranges",
            me.name, link.source
        )
    })
}

/// Warns of links that are left waiting because their sources expose too many ports.
fn warn_of_too_many_ports(me: &Record, candidates: &[Candidate]) {
    for candidate in candidates {
        if let Some(source) = candidate.source() {
            let refusal = too_many_ports(me, source).or_else(|| cannot_cross(me, source));
            if let Some(refusal) = refusal {
                log::warn!("{}: {refusal}", me.name);
            }
        }
    }
}

/// The error for a record that another program keeps changing without the host lock.
pub(crate) fn conflicts(id: &ContainerId) -> Error {
    Error::new(Kind::State, format!("record of {id}: other processes keep changing it; try again"))
        .because(Cause::Conflict)
}
