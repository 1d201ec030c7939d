//! The plan: the state to reach for one container's links, as data.

use super::carry::{Cut, End, gap};
use super::flows::{flows, source_address};
use super::{Candidate, OnMissing, RecipientNames, Refusal, hosts, resolve};
use crate::model::{
    Address, Alias, DeclaredBy, Family, Flow, Hostname, HostsEdit, HostsPlace, Link, LinkState,
    Phase, Record, Routing, is_reserved,
};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

/// The container's present hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostsInput {
    /// Which file it is.
    pub(crate) place: HostsPlace,
    /// The file's content, or `None` if there is no file.
    pub(crate) content: Option<Vec<u8>>,
    /// Whether the container's loopback interface has IPv6.
    pub ipv6: bool,
    /// Hosts blocks of other containers that share the file.
    pub(crate) shared: Vec<String>,
}

/// The input of planning, read beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    /// What was found for each of the recipient's links, in the order of the links.
    pub(crate) candidates: Vec<Candidate>,
    /// The recipient's hosts file, or `None` if it must not be written.
    pub(crate) hosts: Option<HostsInput>,
    /// The ways between networks that the recipient and its sources do not share.
    pub(crate) routing: Routing,
}

/// The changes for one container. `apply` carries them out and makes no decisions.
#[must_use = "a plan does nothing until it is applied"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The record after all changes.
    pub(crate) record: Record,
    /// The record before the changes. Its rules and lines may still exist.
    pub(crate) before: Record,
    /// The new content of the hosts file, or `None` if it does not change.
    pub(crate) hosts_content: Option<Vec<u8>>,
    /// Hosts blocks of other containers that share the file.
    pub(crate) shared: Vec<String>,
    /// The aliases whose lines replace those of the engine.
    pub(crate) replaced: Vec<Alias>,
    /// Until when its flows to other hosts are permitted without news of those: the time since the boot.
    pub(crate) until: Option<Duration>,
}

impl Plan {
    /// Returns the record to write before the first change.
    ///
    /// It lists everything that may exist during the changes: the old rules and lines as well as
    /// the new ones.
    pub(crate) fn pending(&self) -> Record {
        let mut record = Record { phase: Phase::Pending, ..self.record.clone() };
        record.flows.extend(self.ended());
        record.flows.extend(self.moved());
        if let (Some(edit), Some(before)) = (&mut record.hosts, &self.before.hosts) {
            let blocks = before.blocks().filter(|block| **block != edit.block);
            edit.previous = blocks.map(ToString::to_string).collect();
        }
        record
    }

    /// The flows that stay, as they were before, if their ends were behind other bridge ports.
    fn moved(&self) -> Vec<Flow> {
        let ports = |flow: &Flow| flow.bridge.and_then(|on| on.ports);
        let now: HashMap<Flow, _> =
            self.record.flows.iter().map(|flow| (*flow, ports(flow))).collect();
        let before = self.before.flows.iter();
        let moved = before.filter(|flow| {
            let is_tied = ports(flow).is_some();
            is_tied && now.get(*flow).is_some_and(|now| *now != ports(flow))
        });
        moved.copied().collect()
    }

    /// Whether the links of `record` are those of the plan: the same sources, flows and bridge ports.
    pub(crate) fn agrees_with(&self, record: &Record) -> bool {
        let ports = |record: &Record| -> Vec<Option<[u32; 2]>> {
            record.flows.iter().map(|flow| flow.bridge.and_then(|on| on.ports)).collect()
        };
        let planned = &self.record;
        planned.links == record.links
            && planned.flows == record.flows
            && ports(planned) == ports(record)
    }

    /// Whether the plan changes nothing of `record` and of its hosts file.
    pub(crate) fn is_done(&self, record: &Record) -> bool {
        self.record == *record && self.agrees_with(record) && self.hosts_content.is_none()
    }

    /// Returns the flows that were permitted before and no longer are.
    pub(crate) fn ended(&self) -> Vec<Flow> {
        let now: HashSet<&Flow> = self.record.flows.iter().collect();
        self.before.flows.iter().filter(|flow| !now.contains(flow)).copied().collect()
    }
}

/// Plans the links of the container with the record `me`, which is new or describes an earlier
/// state.
///
/// Links that cannot be made are refused or left unconnected, depending on `absent`. So are links that
/// cannot carry packets. Any link on the host's network is refused.
pub(crate) fn plan(me: &Record, world: &World, absent: OnMissing) -> Result<Plan, Refusal> {
    let links: Vec<Link> = me.links.iter().map(|link_state| link_state.link.clone()).collect();
    if me.needs_links() && !me.network.is_own() {
        return Err(Refusal::of_network(me));
    }
    let mut sources = resolve(RecipientNames::of(me), &links, &world.candidates, absent)?;
    must_carry(me, &mut sources, absent, &world.routing)?;
    let flows = flows(me, &mut sources, absent, &world.routing)?;
    let mut record = Record { phase: Phase::Ready, flows, ..me.clone() };
    for (link_state, source) in record.links.iter_mut().zip(&sources) {
        *link_state = link_state.connected(*source);
    }
    if absent != OnMissing::Leave {
        // Where only hooks run, no link has variables. They are missing where a source comes later.
        record.without_variables.retain(|alias| is_waiting(&record.links, alias));
    }
    let shared = world.hosts.as_ref().map_or_else(Vec::new, |file| file.shared.clone());
    let (before, replaced) = (me.clone(), Vec::new());
    let until = world.candidates.iter().filter_map(Candidate::until).min();
    let mut plan = Plan { record, before, hosts_content: None, shared, replaced, until };
    if let Some(file) = &world.hosts {
        plan_hosts(&mut plan, me, file, (&sources, &world.routing));
    }
    Ok(plan)
}

/// Takes out the sources to which no packet of `me` gets, or refuses the first of them.
fn must_carry(
    me: &Record,
    sources: &mut [Option<&Record>],
    absent: OnMissing,
    routing: &Routing,
) -> Result<(), Refusal> {
    let within = routing.closed();
    for (link_state, connected) in me.links.iter().zip(sources) {
        let Some(source) = *connected else { continue };
        // A link of an engine leads to no other network.
        let is_engine = link_state.declared_by.is_engine();
        match gap(me, source, if is_engine { &within } else { routing }) {
            Some(gap) if absent == OnMissing::Refuse && !is_engine => {
                return Err(Refusal::CannotCarry(Cut::new(gap, End::of(me), End::of(source))));
            }
            Some(_) => *connected = None,
            None => {}
        }
    }
    Ok(())
}

fn is_waiting(links: &[LinkState], alias: &Alias) -> bool {
    links.iter().any(|link_state| !link_state.is_connected() && link_state.link.alias == *alias)
}

/// Plans the hosts file: link lines in the order of the links, then the container's own lines.
///
/// An own line is added only where the engine wrote none for that address.
fn plan_hosts(
    plan: &mut Plan,
    me: &Record,
    file: &HostsInput,
    (sources, routing): (&[Option<&Record>], &Routing),
) {
    let written: Vec<&str> = me.hosts.iter().flat_map(HostsEdit::blocks).collect();
    let there = match &file.content {
        Some(content) => hosts::without(content, &written, &file.shared),
        None => hosts::preamble(file.ipv6).into_bytes(),
    };
    let connected =
        me.links.iter().zip(sources).filter_map(|(link_state, s)| Some((link_state, (*s)?)));
    let connected = connected.filter(|(link_state, _)| link_state.declared_by.has_hosts_line());
    let of_docker = |link_state: &LinkState| link_state.declared_by == DeclaredBy::Docker;
    let replaced = connected.clone().filter(|(link_state, _)| of_docker(link_state));
    plan.replaced = replaced.map(|(link_state, _)| link_state.link.alias.clone()).collect();
    let base = hosts::without_engine_lines(&there, &plan.replaced);
    let within = routing.closed();
    let mut lines: Vec<String> = connected
        .flat_map(|(link_state, source)| {
            let routing = if of_docker(link_state) { &within } else { routing };
            link_lines(me, &link_state.link.alias, source, (sources, routing))
        })
        .collect();
    let own = me.network.addresses().iter().map(Address::ip);
    // Without links the hosts file becomes what it was before the container was linked.
    let linked = me.links.iter().any(|link_state| link_state.declared_by.has_hosts_line());
    let own = first_of_each(own).filter(|ip| linked && !hosts::mentions(&base, *ip));
    let hostname = me.hostname.as_ref().map(Hostname::as_str);
    lines.extend(own.filter_map(|ip| Some(hosts::line(ip, &[hostname?]))));

    let block = hosts::block(&base, &lines);
    // An unchanged block stays in place. Containers of one pod share the file and would otherwise
    // keep moving their blocks to its end.
    let says = |block: &str| block.trim_start_matches('\n').to_owned();
    if let ([known], Some(content)) = (written.as_slice(), &file.content) {
        let is_same = !known.is_empty() && says(known) == says(&block) && base == there;
        if is_same && hosts::contains_besides(content, known, &file.shared) {
            return;
        }
    }
    let content = [&base, block.as_bytes()].concat();
    plan.hosts_content = (file.content.as_ref() != Some(&content)).then_some(content);
    plan.record.hosts = Some(HostsEdit { place: file.place.clone(), block, previous: vec![] });
}

/// Returns the lines of one link, as in Docker: alias, the source's host name, and its name if it
/// is not the alias.
///
/// The IPv4 line comes before the IPv6 line. No name has the addresses of two sources: aliases come
/// before names, and names before host names, which sources choose themselves. Names that mean the
/// recipient itself, and names that no link can contain, are left out too.
fn link_lines(
    me: &Record,
    alias: &Alias,
    source: &Record,
    (sources, routing): (&[Option<&Record>], &Routing),
) -> Vec<String> {
    let name = source.name.as_str();
    let mut names = vec![alias.as_str()];
    let others = Others { me, alias, source, sources };
    let is_free = |name: &str| !others.have_alias(name) && !is_taken(me, name);
    let hostname = source.hostname.as_ref().map(Hostname::as_str);
    // A host name that is the source's own name belongs to it.
    let is_free_host = |host: &&str| is_free(host) && (*host == name || !others.are_called(host));
    names.extend(hostname.filter(is_free_host));
    if name != alias.as_str() && !source.name.is_derived() && is_free(name) {
        names.push(name);
    }
    Family::BOTH
        .into_iter()
        .filter_map(|family| source_address(me, source, family, routing))
        .map(|ip| hosts::line(ip, &names))
        .collect()
}

/// The links of `me` to other sources than `source`, which has the link `alias`.
struct Others<'a> {
    me: &'a Record,
    alias: &'a Alias,
    source: &'a Record,
    sources: &'a [Option<&'a Record>],
}

impl<'a> Others<'a> {
    /// The links, each with its source if it is connected.
    fn links(&self) -> impl Iterator<Item = (&'a LinkState, Option<&'a Record>)> {
        let (all, source) = (self.me.links.iter().zip(self.sources), self.source);
        all.map(|(link_state, other)| (link_state, *other))
            .filter(move |(_, other)| other.is_none_or(|other| !other.is_same_container(source)))
    }

    /// Whether `name` is the alias of another source.
    fn have_alias(&self, name: &str) -> bool {
        self.links().any(|(link_state, _)| link_state.link.alias.same_host(name))
    }

    /// Whether `name` is the name of another source, or the host name of one with an earlier link. A
    /// source that does not run has the name in the link.
    fn are_called(&self, name: &str) -> bool {
        let is_name = |(link_state, other): (&LinkState, Option<&Record>)| {
            let other = other.map_or(link_state.link.source.as_str(), |other| other.name.as_str());
            other.eq_ignore_ascii_case(name)
        };
        let is_host = |other: &Record| {
            other.hostname.as_ref().is_some_and(|host| host.as_str().eq_ignore_ascii_case(name))
        };
        let own = self.me.links.iter().position(|known| known.link.alias == *self.alias);
        let earlier = self.sources.iter().take(own.unwrap_or(0)).flatten();
        self.links().any(is_name)
            || earlier
                .filter(|other| !other.is_same_container(self.source))
                .any(|other| is_host(other))
    }
}

/// Whether `name` means the container itself in its own hosts file.
fn is_taken(me: &Record, name: &str) -> bool {
    let is_own = |own: &Hostname| own.as_str().eq_ignore_ascii_case(name);
    is_reserved(name) || me.hostname.as_ref().is_some_and(is_own)
}

/// Returns the first IPv4 and the first IPv6 address.
fn first_of_each(mut ips: impl Iterator<Item = IpAddr> + Clone) -> impl Iterator<Item = IpAddr> {
    let v6 = ips.clone().find(IpAddr::is_ipv6);
    ips.find(IpAddr::is_ipv4).into_iter().chain(v6)
}

#[cfg(test)]
mod tests;
