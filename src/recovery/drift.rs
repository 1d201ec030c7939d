//! Differences between the records of running containers and the host: flushed rules, rewritten
//! hosts files, links that did not follow a change.

use super::finding::Finding;
use super::links::unsettled;
use crate::error::{Cause, Result};
use crate::firewall::bridge::extent::Extent;
use crate::firewall::bridge::keys::Key;
use crate::host::Locked;
use crate::lifecycle::addresses::{Look, follow, is_outdated};
use crate::lifecycle::apply::{lasting, remove_owner};
use crate::lifecycle::others::Others;
use crate::lifecycle::planning::plan;
use crate::lifecycle::replan;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::lifecycle::{guests, isolating};
use crate::link::{OnMissing, hosts};
use crate::model::{BackendName, ContainerId, Family, Flow, GuestRecord, Phase, Record};
use crate::sys::hosts::HostsFile;
use std::collections::BTreeSet;

/// Finds all such differences. The caller holds the host lock.
pub(crate) fn findings(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings = base(host, snapshot)?;
    let mut look = Look::at_most(host, usize::MAX);
    for record in &snapshot.living {
        if !isolating::is_whole(host, record, &snapshot.ports)? {
            findings.push(Finding::Isolated(record.into()));
        }
        if is_outdated(record, &mut look) {
            findings.push(Finding::Addresses(record.into()));
        }
        let now = match Now::of(host, record) {
            // Its source has a record of a newer version. The link stays as it is.
            Err(error) if error.cause == Cause::NewerRecord => {
                log::warn!("links of {}: not checked: {error}", record.name);
                continue;
            }
            now => now?,
        };
        if record.phase == Phase::Pending {
            findings.push(Finding::Unfinished(record.into()));
        } else if !now.linked {
            findings.push(Finding::Links(record.into()));
        }
        if !has_its_rules(host, snapshot, record)? || !has_its_ports(snapshot, record) {
            findings.push(Finding::Rules(record.into()));
        }
        if record.phase == Phase::Ready && !now.has_lines {
            findings.push(Finding::Hosts(record.into()));
        }
    }
    findings.extend(unruly(host, snapshot)?.into_iter().map(Finding::Guests));
    Ok(findings)
}

/// The containers whose guests are not those that they should have, or have other rules.
fn unruly(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<BTreeSet<ContainerId>> {
    let mut ids: BTreeSet<ContainerId> = unsettled(host)?.into_iter().collect();
    for guest in &snapshot.guests {
        if !has_rules_of(host, snapshot, guest)? {
            ids.insert(guest.source.clone());
        }
    }
    Ok(ids)
}

/// Whether the kernel has the rules of a guest.
fn has_rules_of(host: &Locked<'_>, snapshot: &HostSnapshot, guest: &GuestRecord) -> Result<bool> {
    let Some(installed) = snapshot.installed(guest.backend, &guest.owner) else {
        return Ok(guest.flows.is_empty());
    };
    let (owner, flows) = (&guest.owner, guest.flows.as_slice());
    let mut expected = host.backend(guest.backend, |it| Ok(it.expected(owner, flows)))?;
    expected.sort();
    let mut lines = installed.lines.clone();
    lines.sort();
    Ok(lines == expected && !flows.is_empty())
}

/// Makes the rules of the guests of a container again, whatever the kernel has.
fn restore_guests(host: &Locked<'_>, snapshot: &HostSnapshot, id: &ContainerId) -> Result<()> {
    let Some(until) = Others::of(host)?.and_then(|others| others.until()) else {
        return guests::settle(host, std::iter::once(id)).map(drop);
    };
    for guest in snapshot.guests.iter().filter(|guest| guest.source == *id) {
        if !has_rules_of(host, snapshot, guest)? && !guest.flows.is_empty() {
            host.effects(guest.backend, |effects| {
                effects.firewall.remove_owner(&guest.owner)?;
                effects.firewall.renew(&guest.owner, &guest.flows, lasting(until))
            })?;
        }
    }
    guests::settle(host, std::iter::once(id)).map(drop)
}

/// Finds problems with isolation and with the chains, sets and rules that all containers share. A
/// backend is checked only if it is in use.
fn base(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let is_tied = |flow: &Flow| flow.bridge.is_some_and(|on| on.by_port);
    let uses_ports = snapshot.living.iter().any(|record| record.flows.iter().any(is_tied));
    if uses_ports && !host.ports.is_intact(Extent::Links)? {
        findings.push(Finding::BridgeTable);
    }
    let chosen = host.firewall.chosen();
    let wanted = &host.config.isolate;
    if chosen != Some(BackendName::None)
        && !host.firewall.walls()?.isolate(wanted, &host.outside()?)
    {
        findings.push(Finding::Isolation);
    }
    for backend in BackendName::ALL {
        let isolates = chosen == Some(backend) && !wanted.is_empty();
        let own = snapshot.living.iter().filter(|record| record.backend == backend);
        let flows: Vec<Family> = own.flat_map(families).collect();
        // Isolation concerns both families. What no link needs is not missing.
        let needed = if isolates { &Family::BOTH[..] } else { &flows };
        if !needed.is_empty() && !host.backend(backend, |firewall| firewall.is_intact(needed))? {
            findings.push(Finding::Base(backend));
        }
    }
    Ok(findings)
}

/// The families of the flows of a record.
fn families(record: &Record) -> impl Iterator<Item = Family> + '_ {
    record.flows.iter().map(|flow| Family::of(flow.from))
}

/// A record compared with the plan that would be made now.
struct Now {
    /// Whether the links are connected to the containers that their source names mean now.
    linked: bool,
    /// Whether the hosts file contains the block of the record. If `linked`, the block is also the one that
    /// would be planned now. A file that was removed or replaced needs no block.
    has_lines: bool,
}

impl Now {
    /// Makes one plan for the links and the lines of `record`. The lines of a record that is not ready are
    /// not compared.
    fn of(host: &Locked<'_>, record: &Record) -> Result<Self> {
        let lines = match record.phase {
            Phase::Ready => Lines::of(host, record),
            Phase::Pending => Lines::Unneeded,
        };
        let file = match &lines {
            Lines::In(file) => file,
            Lines::Unneeded => {
                return Ok(Self { linked: is_linked(host, record)?, has_lines: true });
            }
            Lines::Lost => return Ok(Self { linked: is_linked(host, record)?, has_lines: false }),
        };
        let block = record.hosts.as_ref().map_or("", |edit| &edit.block);
        let holds = |content| block.is_empty() || hosts::contains(content, block);
        let holds = file.content().is_some_and(holds);
        let plan = match plan(host, record, Some(file), true, OnMissing::Leave) {
            Ok(plan) => plan,
            // The links may be wrong for another reason, and their repair says more.
            Err(_) if !is_linked(host, record)? => {
                return Ok(Self { linked: false, has_lines: holds });
            }
            Err(error) => return Err(error),
        };
        if has_links(record) && !plan.agrees_with(record) {
            return Ok(Self { linked: false, has_lines: holds });
        }
        let meant = plan.record.hosts.as_ref().map_or("", |edit| &edit.block);
        let same = block.trim_start_matches('\n') == meant.trim_start_matches('\n');
        Ok(Self { linked: true, has_lines: same && holds })
    }
}

/// Where the lines of a record must be.
enum Lines {
    /// Nowhere: there is no file, or no block.
    Unneeded,
    /// In a file that cannot be opened.
    Lost,
    /// In this file.
    In(HostsFile),
}

impl Lines {
    fn of(host: &Locked<'_>, record: &Record) -> Self {
        let Some(edit) = &record.hosts else { return Self::Unneeded };
        match HostsFile::again(&edit.place, &host.config.state_dir) {
            Ok(None) => Self::Unneeded,
            // No block is expected in a file that cannot be opened.
            Err(_) if edit.block.is_empty() => Self::Unneeded,
            Err(_) => Self::Lost,
            Ok(Some(file)) => Self::In(file),
        }
    }
}

/// Whether the links are connected to the containers that their source names mean now.
fn is_linked(host: &Locked<'_>, record: &Record) -> Result<bool> {
    if !has_links(record) {
        return Ok(true);
    }
    Ok(plan(host, record, None, true, OnMissing::Leave)?.agrees_with(record))
}

fn has_links(record: &Record) -> bool {
    !record.links.is_empty() || !record.flows.is_empty()
}

/// Whether the rules with the record's tag in the kernel are exactly those of the record.
fn has_its_rules(host: &Locked<'_>, snapshot: &HostSnapshot, record: &Record) -> Result<bool> {
    let mut expected = host
        .backend(record.backend, |firewall| Ok(firewall.expected(&record.owner, &record.flows)))?;
    expected.sort();
    let Some(installed) = snapshot.installed(record.backend, &record.owner) else {
        return Ok(expected.is_empty());
    };
    let mut lines = installed.lines.clone();
    lines.sort();
    // A chain without flows should not exist.
    Ok(lines == expected && !record.flows.is_empty())
}

/// Whether the bridge table has both ends of the flows of `record` that are tied to ports. Which container of a pod
/// has them does not matter.
fn has_its_ports(snapshot: &HostSnapshot, record: &Record) -> bool {
    Key::of_flows(&record.flows).iter().all(|key| snapshot.has_port(*key))
}

/// Repairs isolation or the shared parts of a backend. Requires the host lock.
pub(crate) fn repair(host: &Locked<'_>, snapshot: &HostSnapshot, finding: &Finding) -> Result<()> {
    match finding {
        Finding::Guests(id) => restore_guests(host, snapshot, id),
        Finding::Isolation => host.isolate(),
        Finding::BridgeTable => host.ports.make(Extent::Links),
        Finding::Base(backend) => host.effects(*backend, |effects| effects.firewall.reclaim()),
        _ => Ok(()),
    }
}

/// Repairs what was found about one running container. Requires the host lock.
pub(crate) fn repair_container(
    host: &Locked<'_>,
    snapshot: &HostSnapshot,
    record: &Record,
    findings: &[Finding],
) -> Result<()> {
    let is_about_addresses = |finding: &Finding| matches!(finding, Finding::Addresses(_));
    let moved = findings.iter().any(is_about_addresses);
    if moved {
        follow(host, record, &mut Look::at_most(host, 1))?;
    }
    if findings.iter().all(is_about_addresses) {
        return Ok(());
    }
    let is_about_isolation = |finding: &Finding| matches!(finding, Finding::Isolated(_));
    let mut now = if moved { host.store.get(&record.id)? } else { None };
    if findings.iter().any(is_about_isolation) {
        isolating::restore(host, now.as_ref().unwrap_or(record))?;
        if findings.iter().all(|it| is_about_addresses(it) || is_about_isolation(it)) {
            return Ok(());
        }
        now = host.store.get(&record.id)?;
    }
    let record = now.as_ref().unwrap_or(record);
    if findings.iter().any(|finding| matches!(finding, Finding::Rules(_))) {
        let (owner, flows) = (&record.owner, &record.flows);
        host.effects(record.backend, |effects| effects.firewall.rewrite(owner, flows))?;
    }
    restore(host, snapshot, record)
}

/// Plans the links of a running container again and applies the plan.
fn restore(host: &Locked<'_>, snapshot: &HostSnapshot, record: &Record) -> Result<()> {
    let installed = snapshot.installed(record.backend, &record.owner);
    let found = installed.map_or(&[][..], |installed| &installed.flows);
    if record.flows.is_empty() && installed.is_some() {
        host.effects(record.backend, |effects| remove_owner(effects, &record.owner, found))?;
    }
    replan::settle(host, record, found)
}
