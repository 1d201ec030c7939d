//! The links of a container that runs, planned again: because a neighbour came or went, because
//! somebody connects it to another, or because what was done for it was undone.
//!
//! All of it runs under the store's lock, which the caller holds.

use crate::error::Result;
use crate::host::Locked;
use crate::lifecycle::apply::carry_out;
use crate::lifecycle::planning::{conflicts, plan};
use crate::link::{OnMissing, Plan};
use crate::model::{Flow, Record};
use crate::store::Commit;
use crate::sys::hosts::HostsFile;
use std::collections::HashSet;

/// How often a plan is made again because somebody was faster.
pub(crate) const ATTEMPTS: usize = 5;

/// Plans a recipient's links again and carries out what changed.
pub(crate) fn replan(host: &Locked<'_>, recipient: &Record) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(me) = host.store.get(&recipient.id)? else { return Ok(()) };
        let (plan, file, hosts) = plan_again(host, &me)?;
        if plan.record == me && plan.hosts_content.is_none() {
            return hosts;
        }
        if let Commit::Done(_) =
            host.effects(me.backend, |effects| carry_out(effects, &plan, file))?
        {
            return hosts;
        }
    }
    Err(conflicts(&recipient.id))
}

/// Makes true what `me` says, its record with other links perhaps, whether or not it seems to be
/// true already. `found` are flows that rules of its tag permit, which its record may not name.
pub(crate) fn settle(host: &Locked<'_>, me: &Record, found: &[Flow]) -> Result<()> {
    let mut me = me.clone();
    let named: HashSet<Flow> = me.flows.iter().copied().collect();
    me.flows.extend(found.iter().filter(|flow| !named.contains(flow)));
    let (plan, file, hosts) = plan_again(host, &me)?;
    match host.effects(me.backend, |effects| carry_out(effects, &plan, file))? {
        Commit::Done(_) => hosts,
        Commit::Conflict => Err(conflicts(&me.id)),
    }
}

/// The plan, the hosts file it is for, and whether that file could be opened. A container may have
/// made it one that is not to be opened, and that must not keep a rule alive.
fn plan_again(host: &Locked<'_>, me: &Record) -> Result<(Plan, Option<HostsFile>, Result<()>)> {
    let state = &host.config.state_dir;
    let opened = me.hosts.as_ref().map(|edit| HostsFile::again(&edit.place, state));
    let (file, hosts) = match opened.transpose() {
        Ok(file) => (file.flatten(), Ok(())),
        Err(refused) => (None, Err(refused.in_hosts_file())),
    };
    Ok((plan(host, me, file.as_ref(), true, OnMissing::Leave)?, file, hosts))
}

/// A neighbour's trouble is not the container's that starts or ends.
pub(crate) fn log_failure(recipient: &Record, result: Result<()>) {
    if let Err(error) = result {
        log::error!("links of {}: {error}", recipient.id);
    }
}
