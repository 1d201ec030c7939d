//! Drops privileges once a hook knows which containers it changes.
//!
//! By then all untrusted input has been read: OCI state, config.json, engine files and the network
//! namespace. Only records and hosts files are opened later, and their places are known. The rules
//! are in `sys/restrict/landlock.rs`.

use crate::error::Result;
use crate::host::Locked;
use crate::model::{Family, HostsPlace, Record};
use crate::sys::hosts::HostsFile;
use crate::sys::restrict::landlock;

/// What this process does after the container is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterHook {
    /// It exits: a hook.
    Exit,
    /// It continues, perhaps as the runtime, which needs all privileges.
    Continue,
}

/// Restricts this process to changing the links of `records`. `places` are hosts files that no
/// record names yet. `crosses` tells whether a link of a starting container leads to another host.
pub(crate) fn confine<'a>(
    host: &Locked<'_>,
    records: impl Iterator<Item = &'a Record> + Clone,
    place: Option<&HostsPlace>,
    crosses: bool,
) {
    let recorded = records.clone().filter_map(|record| Some(&record.hosts.as_ref()?.place));
    let places: Vec<&HostsPlace> = recorded.chain(place).collect();
    // An unknown backend may need its programs.
    let programs = runs_programs(host, records).unwrap_or(true);
    // The first such link of this boot may make rules that all share.
    let is_first = crosses && host.firewall.walls().map_or(true, |walls| !walls.crosses);
    let programs = programs || is_first && host.firewall.name().is_in_iptables();
    let held: Result<Vec<_>> =
        places.into_iter().filter_map(|place| HostsFile::hold(place).transpose()).collect();
    let outcome = match held {
        Ok(hosts) => landlock::enter(&landlock::Needs { state: host.state(), hosts, programs }),
        Err(error) => format!("failed: {error}"),
    };
    let lacks = ["failed: ", "no landlock: ", "all capabilities: "];
    let is_partial = lacks.iter().any(|part| outcome.contains(part));
    let level = if is_partial { log::Level::Warn } else { log::Level::Debug };
    log::log!(
        level,
        "restricted, {}: {outcome}",
        if programs { "programs" } else { "no programs" }
    );
}

/// Whether a backend of `records` runs programs. Asks each backend once for each family.
fn runs_programs<'a>(host: &Locked<'_>, records: impl Iterator<Item = &'a Record>) -> Result<bool> {
    let mut asked = Vec::new();
    for record in records {
        for address in record.network.addresses() {
            let (backend, family) = (record.backend, Family::of(address.ip()));
            if asked.contains(&(backend, family)) {
                continue;
            }
            if host.backend(backend, |firewall| firewall.runs_programs(family))? {
                return Ok(true);
            }
            asked.push((backend, family));
        }
    }
    Ok(false)
}
