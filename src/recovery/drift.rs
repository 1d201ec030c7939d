//! Differences between the records of running containers and the host: flushed rules, rewritten
//! hosts files, links that did not follow a change.

use super::finding::Finding;
use crate::error::{Cause, Result};
use crate::host::Locked;
use crate::lifecycle::addresses::{Look, follow, is_outdated};
use crate::lifecycle::apply::remove_owner;
use crate::lifecycle::planning::plan;
use crate::lifecycle::replan::settle;
use crate::lifecycle::snapshot::HostSnapshot;
use crate::link::{OnMissing, hosts};
use crate::model::{BackendName, Family, Phase, Record};
use crate::sys::hosts::HostsFile;

/// Finds all such differences. The caller holds the host lock.
pub(crate) fn findings(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings = base(host, snapshot)?;
    let mut look = Look::at_most(host, usize::MAX);
    for record in &snapshot.living {
        if is_outdated(record, &mut look) {
            findings.push(Finding::Addresses(record.into()));
        }
        let linked = match is_linked(host, record) {
            // Its source has a record of a newer version. The link stays as it is.
            Err(error) if error.cause == Cause::NewerRecord => {
                log::warn!("links of {}: not checked: {error}", record.name);
                continue;
            }
            linked => linked?,
        };
        if record.phase == Phase::Pending {
            findings.push(Finding::Unfinished(record.into()));
        } else if !linked {
            findings.push(Finding::Links(record.into()));
        }
        if !has_its_rules(host, snapshot, record)? {
            findings.push(Finding::Rules(record.into()));
        }
        if record.phase == Phase::Ready && !has_its_lines(host, record, linked)? {
            findings.push(Finding::Hosts(record.into()));
        }
    }
    Ok(findings)
}

/// Finds problems with isolation and with the chains, sets and rules that all containers share. A
/// backend is checked only if it is in use.
fn base(host: &Locked<'_>, snapshot: &HostSnapshot) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let chosen = host.firewall.chosen();
    let wanted = &host.config.isolate;
    if chosen != Some(BackendName::None) && host.firewall.isolated()? != *wanted {
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

/// Whether the links are connected to the containers that their source names mean now.
fn is_linked(host: &Locked<'_>, record: &Record) -> Result<bool> {
    if record.links.is_empty() && record.flows.is_empty() {
        return Ok(true);
    }
    let plan = plan(host, record, None, true, OnMissing::Leave)?;
    Ok(plan.record.links == record.links && plan.record.flows == record.flows)
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

/// Whether the hosts file contains the block of the record. With `linked`, the block must also be
/// the one that would be planned now. A file that was removed or replaced needs no block.
fn has_its_lines(host: &Locked<'_>, record: &Record, linked: bool) -> Result<bool> {
    let Some(edit) = &record.hosts else { return Ok(true) };
    let file = match HostsFile::again(&edit.place, &host.config.state_dir) {
        Ok(None) => return Ok(true),
        // No block is expected in a file that cannot be opened.
        Err(_) if edit.block.is_empty() => return Ok(true),
        Err(_) => return Ok(false),
        Ok(Some(file)) => file,
    };
    let holds = |content| edit.block.is_empty() || hosts::contains(content, &edit.block);
    if !linked {
        return Ok(file.content().is_some_and(holds));
    }
    let planned = plan(host, record, Some(&file), true, OnMissing::Leave)?.record.hosts;
    let meant = planned.as_ref().map_or("", |edit| &edit.block);
    let same = edit.block.trim_start_matches('\n') == meant.trim_start_matches('\n');
    Ok(same && file.content().is_some_and(holds))
}

/// Repairs isolation or the shared parts of a backend. Requires the host lock.
pub(crate) fn repair(host: &Locked<'_>, finding: &Finding) -> Result<()> {
    match finding {
        Finding::Isolation => host.isolate(),
        Finding::Base(backend) => host.effects(*backend, |effects| effects.firewall.ensure_base()),
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
    let now = if moved { host.store.get(&record.id)? } else { None };
    restore(host, snapshot, now.as_ref().unwrap_or(record))
}

/// Plans the links of a running container again and applies the plan.
fn restore(host: &Locked<'_>, snapshot: &HostSnapshot, record: &Record) -> Result<()> {
    let installed = snapshot.installed(record.backend, &record.owner);
    let found = installed.map_or(&[][..], |installed| &installed.flows);
    if record.flows.is_empty() && installed.is_some() {
        host.effects(record.backend, |effects| remove_owner(effects, &record.owner, found))?;
    }
    settle(host, record, found)
}
