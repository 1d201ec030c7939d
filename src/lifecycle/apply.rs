//! Applies plans, and undoes what was applied.
//!
//! The record is written first (`pending`), then its effects are made, then the record is written
//! again (`ready`). At each moment the record names everything that may exist, and teardown works
//! from the record alone.

use crate::error::{Cause, Error, Failures, Kind, Result};
use crate::firewall::OwnerScope;
use crate::host::Effects;
use crate::link::{Plan, hosts};
use crate::model::{Created, Flow, FlowIndex, HostsEdit, HostsPlace, OwnerTag, Phase, Record};
use crate::store::{Change, Commit, pod_peers, shared_hosts_blocks};
use crate::sys::hosts::HostsFile;

/// Applies `plan`: record, rules, hosts file, record. On failure the record stays `pending` and
/// names everything that may have been done; [`rollback`] undoes it.
pub(crate) fn carry_out(
    effects: Effects<'_>,
    plan: &Plan,
    file: Option<HostsFile>,
) -> Result<Commit> {
    let pending = plan.pending();
    match effects.store.commit(effects.lock, &Change::Put(&pending), plan.before.revision)? {
        Commit::Conflict => Ok(Commit::Conflict),
        Commit::Done(revision) => {
            let id = &pending.id;
            log::debug!("{id}: record written: pending");
            apply_effects(effects, plan, &pending, file)?;
            let done = effects.store.commit(effects.lock, &Change::Put(&plan.record), revision)?;
            log::debug!("{id}: record written: ready");
            Ok(done)
        }
    }
}

fn apply_effects(
    effects: Effects<'_>,
    plan: &Plan,
    pending: &Record,
    file: Option<HostsFile>,
) -> Result<()> {
    let owner = &pending.owner;
    if !pending.flows.is_empty() {
        let mut before = plan.before.flows.as_slice();
        if plan.before.phase == Phase::Pending && !before.is_empty() {
            // The earlier change was interrupted, so the record may name flows that are not there.
            effects.firewall.remove_owner(owner)?;
            before = &[];
        }
        effects.firewall.ensure(OwnerScope { owner, before }, &plan.record.flows)?;
        let (id, name, now) = (&pending.id, effects.firewall.name(), plan.record.flows.len());
        let before = plan.before.flows.len();
        log::debug!("{id}: rules of {name} made: {now} flows permitted, {before} before");
        drop_own_connections(effects, pending, &plan.ended(), &plan.record.flows)?;
    }
    let (Some(mut file), Some(planned)) = (file, &plan.hosts_content) else { return Ok(()) };
    let written: Vec<&str> = plan.before.hosts.iter().flat_map(HostsEdit::blocks).collect();
    let block = plan.record.hosts.as_ref().map_or("", |edit| edit.block.as_str());
    let seen = file.content().map(<[u8]>::to_vec);
    file.edit(|now| match now {
        // The container wrote to the file after the plan was made.
        Some(now) if seen.as_deref() != Some(now) => {
            let now = hosts::without_engine_lines(now, &plan.replaced);
            hosts::edited(&now, &written, &plan.shared, block)
        }
        _ => planned.clone(),
    })
    .map_err(Error::in_hosts_file)?;
    log::debug!("{}: hosts file written", pending.id);
    Ok(())
}

/// Ends the tracked connections that `flows` permitted. Most hosts accept established packets, so a
/// connection would outlive its rule. Called after the rules are gone: a packet in between would
/// create the connection again.
fn drop_connections(effects: Effects<'_>, flows: &[Flow]) -> Result<()> {
    if flows.is_empty() {
        return Ok(());
    }
    effects.firewall.drop_connections(flows)?;
    log::debug!("connections ended; flows: {}", flows.len());
    Ok(())
}

/// Ends the tracked connections of `flows`, except those that `kept` or a pod peer permits too. Pod
/// peers share their address.
fn drop_own_connections(
    effects: Effects<'_>,
    record: &Record,
    flows: &[Flow],
    kept: &[Flow],
) -> Result<()> {
    if flows.is_empty() {
        return Ok(());
    }
    let pod_peers = pod_peers(effects.store, record)?;
    let theirs = pod_peers.iter().flat_map(|peer| &peer.flows);
    let permitted = FlowIndex::of(theirs.chain(kept).copied());
    let ended: Vec<Flow> = flows.iter().flat_map(|flow| permitted.rest_of(flow)).collect();
    drop_connections(effects, &ended)
}

/// Removes all rules with the tag `owner`, and ends the connections that only they permitted:
/// `flows`.
pub(crate) fn remove_owner(effects: Effects<'_>, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
    effects.firewall.remove_owner(owner)?;
    drop_connections(effects, flows)
}

/// Undoes everything that `record` names, and removes the record.
///
/// Every step is tried, and each is idempotent. If one fails, the record stays, so that the
/// rollback can be repeated. Returns all failures in one error.
pub(crate) fn rollback(effects: Effects<'_>, record: &Record) -> Result<()> {
    let mut failures = Failures::default();
    failures.note(rollback_rules(effects, record));
    let rules_are_gone = failures.is_empty();
    if let Some(edit) = &record.hosts {
        let shared = shared_hosts_blocks(effects.store, record);
        let restored = shared.and_then(|shared| restore_hosts(effects, edit, &shared));
        match restored.map_err(Error::in_hosts_file) {
            Ok(()) => log::debug!("{}: hosts file restored", record.id),
            // What the container made of it must not keep the container from being deleted.
            Err(error) if error.cause == Cause::RefusedFile => log::warn!("left as it is: {error}"),
            failed => failures.note(failed),
        }
    }
    if let Err(error) = failures.into_result() {
        if rules_are_gone && !record.flows.is_empty() {
            // The next container of this address may be permitted the same flows.
            let rest = Record { flows: Vec::new(), ..record.clone() };
            let _ = effects.store.commit(effects.lock, &Change::Put(&rest), record.revision)?;
        }
        return Err(error);
    }
    match effects.store.commit(effects.lock, &Change::Remove(record), record.revision)? {
        Commit::Done(_) => {
            log::debug!("{}: record removed", record.id);
            Ok(())
        }
        Commit::Conflict => {
            let message =
                format!("record of {}: changed while it was removed; try again", record.id);
            Err(Error::new(Kind::State, message).because(Cause::Conflict))
        }
    }
}

fn rollback_rules(effects: Effects<'_>, record: &Record) -> Result<()> {
    let (owner, before) = (&record.owner, record.flows.as_slice());
    if before.is_empty() {
        return Ok(());
    }
    match record.phase {
        Phase::Ready => effects.firewall.remove(OwnerScope { owner, before })?,
        // A pod peer may own some of the rules that the record names.
        Phase::Pending => effects.firewall.remove_owner(owner)?,
    }
    log::debug!("{}: rules of {} removed", record.id, effects.firewall.name());
    drop_own_connections(effects, record, before, &[])
}

/// Removes our block from the hosts file. A file that oci-link created is removed if nothing else
/// was added to it.
fn restore_hosts(effects: Effects<'_>, edit: &HostsEdit, shared: &[String]) -> Result<()> {
    let Some(mut file) = HostsFile::again(&edit.place, effects.state)? else { return Ok(()) };
    file.clear();
    let made =
        matches!(edit.place, HostsPlace::Rootfs { created, .. } if created != Created::Nothing);
    let Some(content) = file.content() else {
        // oci-link may have created its directory.
        return if made { file.remove() } else { Ok(()) };
    };
    let blocks: Vec<&str> = edit.blocks().collect();
    let restored = hosts::without(content, &blocks, shared);
    let ours = [true, false].map(|ipv6| hosts::preamble(ipv6).into_bytes());
    if made && ours.contains(&restored) {
        file.remove()
    } else if restored != content {
        file.edit(|now| hosts::without(now.unwrap_or_default(), &blocks, shared))
    } else {
        Ok(())
    }
}
