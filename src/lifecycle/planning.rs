//! Reads what a plan needs and makes the plan: sources, other blocks of a shared hosts file, and the
//! hosts file itself.

use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::debug_log;
use crate::lifecycle::lookup::{Seeker, sightings};
use crate::link::{self, Absent, HostsFile as Hosts, Plan, Sighting, World};
use crate::model::{ContainerId, Record};
use crate::store::beside;
use crate::sys::hosts::HostsFile;

/// What `me` needs, as the world is now.
pub fn plan(
    host: &Host,
    me: &Record,
    file: Option<&HostsFile>,
    ipv6: bool,
    absent: Absent,
) -> Result<Plan> {
    // Who is dead gets nothing, whatever it is linked to: its address may be another's next.
    let sightings = if absent == Absent::Leave && !is_running(me, host.boot)? {
        vec![Sighting::Missing; me.links.len()]
    } else {
        sightings(host.store.as_ref(), host.boot, Seeker::of(me), &me.links)?
    };
    debug_log::found(me, &sightings);
    let beside = beside(host.store.as_ref(), me)?;
    let hosts = file.map(|file| Hosts {
        place: file.place().clone(),
        content: file.content().map(<[u8]>::to_vec),
        ipv6,
        beside,
    });
    let plan = link::plan(me, &World { sightings, hosts }, absent)?;
    debug_log::planned(&plan);
    Ok(plan)
}

/// Somebody who takes no lock of ours.
pub fn conflicts(id: &ContainerId) -> Error {
    Error::new(Kind::State, format!("record of {id}: others keep changing it"))
}
