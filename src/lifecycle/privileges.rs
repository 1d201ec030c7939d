//! What a hook still needs once it knows whom it acts for; the rest it gives away before it acts.
//!
//! By then everything that could have lied has been read: the runtime's word, config.json, the
//! engine's files, the container's namespace. What is opened later are records and hosts files, whose
//! places are known from records. `sys/restrict/landlock.rs` says how.

use crate::error::Result;
use crate::host::Locked;
use crate::model::{Family, HostsPlace, Record};
use crate::sys::hosts::HostsFile;
use crate::sys::restrict::landlock;

/// What this process does when a container has been seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterHook {
    /// It ends: a hook.
    Exit,
    /// It goes on, perhaps as a runtime, which needs all that it was given.
    Continue,
}

/// From now on, only the links of `records` can be changed. `places` are hosts files that are in no
/// record yet.
pub(crate) fn confine<'a>(
    host: &Locked<'_>,
    records: impl Iterator<Item = &'a Record> + Clone,
    place: Option<&HostsPlace>,
) {
    let recorded = records.clone().filter_map(|record| Some(&record.hosts.as_ref()?.place));
    let places: Vec<&HostsPlace> = recorded.chain(place).collect();
    // Not to know is to need them.
    let programs = runs_programs(host, records).unwrap_or(true);
    let held: Result<Vec<_>> =
        places.into_iter().filter_map(|place| HostsFile::hold(place).transpose()).collect();
    let outcome = match held {
        Ok(hosts) => landlock::enter(&landlock::Needs { state: host.state(), hosts, programs }),
        Err(error) => format!("failed: {error}"),
    };
    log::debug!("restricted, {}: {outcome}", if programs { "programs" } else { "no programs" });
}

/// Each backend is asked once for each family, however many containers it is about.
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
