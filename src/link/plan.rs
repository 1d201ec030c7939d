//! The plan: everything that must be true of one container's links, as data.

use super::flows::{Family, flows, source_address};
use super::{Absent, Refusal, Sighting, hosts, resolve};
use crate::model::{Alias, HostsEdit, HostsPlace, Link, Network, Record, Stage, Wired};
use std::net::IpAddr;

/// The container's hosts file as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsFile {
    /// Where it is.
    pub place: HostsPlace,
    /// What is in it; none where there is no file.
    pub content: Option<Vec<u8>>,
    /// Whether the container's loopback speaks IPv6.
    pub ipv6: bool,
}

/// What planning looks at, read beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// What was found for each of the recipient's links, in their order.
    pub sightings: Vec<Sighting>,
    /// The recipient's hosts file; none where nothing is to be written.
    pub hosts: Option<HostsFile>,
}

/// What to do for one container. `apply` carries it out and looks at nothing else.
#[must_use = "a plan does nothing until it is applied"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The record as it will be when all is done.
    pub record: Record,
    /// The record as it was: its rules and lines may be there still.
    pub before: Record,
    /// The hosts file's new content, if it is to be written.
    pub hosts_content: Option<Vec<u8>>,
}

impl Plan {
    /// The record to write before anything is done: it names everything that may exist from now
    /// on, the old rules and lines as well as the new ones.
    pub fn pending(&self) -> Record {
        let mut record = Record { stage: Stage::Pending, ..self.record.clone() };
        let old = self.before.flows.iter().filter(|flow| !self.record.flows.contains(flow));
        record.flows.extend(old);
        if let (Some(edit), Some(before)) = (&mut record.hosts, &self.before.hosts) {
            let blocks = before.blocks().filter(|block| **block != edit.block);
            edit.previous = blocks.map(ToString::to_string).collect();
        }
        record
    }
}

/// Decides what `me` needs, from what it wants and what the world holds. `me` is its record so
/// far: new, or as it was when its world was another.
pub fn plan(me: &Record, world: &World, absent: Absent) -> Result<Plan, Refusal> {
    let links: Vec<Link> = me.links.iter().map(|wired| wired.link.clone()).collect();
    if !links.is_empty() && me.network == Network::Host {
        return Err(Refusal::HostNetwork);
    }
    if let Some(link) = links.iter().find(|link| link.alias.same_host(me.hostname.as_str())) {
        return Err(Refusal::OwnHostname(link.alias.clone()));
    }
    let sources = resolve(&me.name, &links, &world.sightings, absent)?;
    let connected: Vec<(&Alias, &Record)> =
        links.iter().zip(&sources).filter_map(|(link, s)| Some((&link.alias, (*s)?))).collect();
    let peers: Vec<&Record> = connected.iter().map(|(_, source)| *source).collect();

    let mut record = Record { stage: Stage::Ready, flows: flows(me, &peers), ..me.clone() };
    for (wired, source) in record.links.iter_mut().zip(&sources) {
        *wired = Wired { link: wired.link.clone(), source: source.map(|s| s.id.clone()) };
    }
    let mut plan = Plan { record, before: me.clone(), hosts_content: None };
    if let Some(file) = &world.hosts {
        plan_hosts(&mut plan, me, file, &connected);
    }
    Ok(plan)
}

/// The hosts file: link lines in the order of the links, then the container's own where nobody
/// wrote them.
fn plan_hosts(plan: &mut Plan, me: &Record, file: &HostsFile, connected: &[(&Alias, &Record)]) {
    let written: Vec<&str> = me.hosts.iter().flat_map(HostsEdit::blocks).collect();
    let base = match &file.content {
        Some(content) => hosts::without(content, &written),
        None => hosts::preamble(file.ipv6).into_bytes(),
    };
    let mut lines: Vec<String> =
        connected.iter().flat_map(|(alias, source)| link_lines(me, alias, source)).collect();
    let own = me.network.addresses().iter().map(crate::model::Address::ip);
    let own = first_of_each(own).filter(|ip| !hosts::mentions(&base, *ip));
    lines.extend(own.map(|ip| hosts::line(ip, &[me.hostname.as_str()])));

    let block = hosts::block(&base, &lines);
    let content = [&base, block.as_bytes()].concat();
    plan.hosts_content = (file.content.as_ref() != Some(&content)).then_some(content);
    plan.record.hosts = Some(HostsEdit { place: file.place.clone(), block, previous: vec![] });
}

/// Docker's link line: alias, the source's host name, and its name where that is not the alias;
/// IPv4 first, then IPv6.
fn link_lines(me: &Record, alias: &Alias, source: &Record) -> Vec<String> {
    let mut names = vec![alias.as_str(), source.hostname.as_str()];
    if source.name.as_str() != alias.as_str() {
        names.push(source.name.as_str());
    }
    Family::BOTH
        .into_iter()
        .filter_map(|family| source_address(me, source, family))
        .map(|ip| hosts::line(ip, &names))
        .collect()
}

/// The first IPv4 and the first IPv6 address.
fn first_of_each(mut ips: impl Iterator<Item = IpAddr> + Clone) -> impl Iterator<Item = IpAddr> {
    let v6 = ips.clone().find(IpAddr::is_ipv6);
    ips.find(IpAddr::is_ipv4).into_iter().chain(v6)
}
