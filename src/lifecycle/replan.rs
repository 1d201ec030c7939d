//! Plans the links of a running container again: its source started or ended, `connect` or
//! `disconnect` was called, or rules or hosts lines were removed by another program.

use crate::error::Result;
use crate::host::Locked;
use crate::lifecycle::apply::carry_out;
use crate::lifecycle::planning::{conflicts, plan};
use crate::link::{OnMissing, Plan};
use crate::model::{Flow, Record};
use crate::store::Commit;
use crate::sys::hosts::HostsFile;
use std::collections::HashSet;

/// How often a plan is repeated after a conflict.
pub(crate) const ATTEMPTS: usize = 5;

/// Plans a recipient's links again and applies what changed.
pub(crate) fn replan(host: &Locked<'_>, recipient: &Record) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(me) = host.store.get(&recipient.id)? else { return Ok(()) };
        let (plan, file, hosts) = plan_again(host, &me)?;
        if plan.is_done(&me) {
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

/// Applies the links of `me` even if they seem to be applied already. `found` are flows of rules
/// with its tag that its record may not name.
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

/// Returns the plan, the hosts file that was read for it, and the error if that file was refused. A
/// file that the container made unusable must not keep a rule in place.
pub(super) fn plan_again(
    host: &Locked<'_>,
    me: &Record,
) -> Result<(Plan, Option<HostsFile>, Result<()>)> {
    let state = &host.config.state_dir;
    let opened = me.hosts.as_ref().map(|edit| HostsFile::again(&edit.place, state));
    let (file, hosts) = match opened.transpose() {
        Ok(file) => (file.flatten(), Ok(())),
        Err(refused) => (None, Err(refused.in_hosts_file())),
    };
    Ok((plan(host, me, file.as_ref(), true, OnMissing::Leave)?, file, hosts))
}

/// Logs a failure to update another container; the current operation continues.
pub(crate) fn log_failure(recipient: &Record, result: Result<()>) {
    if let Err(error) = result {
        log::error!("links of {}: {error}", recipient.id.brief());
    }
}
