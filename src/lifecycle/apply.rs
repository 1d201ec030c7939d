//! Applies plans, and undoes what was applied.
//!
//! The record is written first (`pending`), then its effects are made, then the record is written
//! again (`ready`). At each moment the record names everything that may exist, and teardown works
//! from the record alone.

use crate::error::{Cause, Error, Failures, Kind, Result};
use crate::firewall::bridge::KeyChange;
use crate::firewall::bridge::keys::Key;
use crate::firewall::{OwnerScope, Removal, RuleChange};
use crate::host::Effects;
use crate::lifecycle::isolating;
use crate::link::{Plan, hosts};
use crate::model::{
    Address, BackendName, ContainerId, Created, Flow, FlowIndex, HostsEdit, HostsPlace, OwnerTag,
    Phase, Record,
};
use crate::store::{Change, Commit, pod_peers, shared_hosts_blocks};
use crate::sys::clock::since_boot;
use crate::sys::hosts::HostsFile;
use std::collections::HashSet;
use std::time::Duration;

/// Applies `plan`: record, rules, connections, hosts file, record. On failure the record stays `pending`
/// and names everything that may have been done; [`rollback`] undoes it.
pub(crate) fn carry_out(
    effects: Effects<'_>,
    plan: &Plan,
    file: Option<HostsFile>,
) -> Result<Commit> {
    let Some(revision) = write_pending(effects, plan)? else { return Ok(Commit::Conflict) };
    change_rules(effects, &[plan], Removal::AtOnce).into_iter().collect::<Result<()>>()?;
    isolating::begin(effects, &plan.record, plan.before.phase == Phase::Pending)?;
    end_connections(effects, &[Ended::of_plan(plan)])?;
    if let (Some(mut file), Some(planned)) = (file, &plan.hosts_content) {
        write_hosts(&mut file, plan, Some(planned))?;
    }
    conclude(effects, &plan.record, revision)
}

/// The first part of a plan: writes the record as pending. Returns its revision, or `None` if another
/// process has changed it.
///
/// Next are its rules, the connections of the rules that are gone, and its hosts file.
pub(crate) fn write_pending(effects: Effects<'_>, plan: &Plan) -> Result<Option<u64>> {
    let pending = plan.pending();
    match effects.store.commit(effects.lock, &Change::Put(&pending), plan.before.revision)? {
        Commit::Conflict => Ok(None),
        Commit::Done(revision) => {
            log::debug!("{}: record written: pending", pending.id.brief());
            Ok(Some(revision))
        }
    }
}

/// The last part of a plan: writes its record.
pub(crate) fn conclude(effects: Effects<'_>, record: &Record, revision: u64) -> Result<Commit> {
    let done = effects.store.commit(effects.lock, &Change::Put(record), revision)?;
    log::debug!("{}: record written: ready", record.id.brief());
    Ok(done)
}

/// The second part of plans whose records are pending: changes the rules of all. All have the backend of
/// `effects`. Returns the outcome of each, in the same order.
pub(crate) fn change_rules(
    effects: Effects<'_>,
    plans: &[&Plan],
    removal: Removal,
) -> Vec<Result<()>> {
    let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
    // Ports alone permit nothing.
    let tied = tie(effects, plans);
    for (at, plan) in plans.iter().enumerate() {
        let (owner, mut before) = (&plan.record.owner, plan.before.flows.as_slice());
        let mut outcome = Ok(());
        if plan.before.phase == Phase::Pending && !before.is_empty() {
            // The earlier change was interrupted, so the record may name flows that are not there.
            outcome = effects.firewall.remove_owner(owner);
            before = &[];
        }
        let has_rules = !plan.before.flows.is_empty() || !plan.record.flows.is_empty();
        if let (true, Err(error)) = (is_tied(plan) && outcome.is_ok(), &tied) {
            outcome = Err(error.again());
        }
        if has_rules && outcome.is_ok() {
            let lifetime = plan.until.map(lasting);
            let rules = OwnerScope { lifetime, ..OwnerScope::new(owner, before) };
            changes.push((at, RuleChange { rules, flows: &plan.record.flows, removal }));
        }
        outcomes.push(outcome);
    }
    let all: Vec<RuleChange<'_>> = changes.iter().map(|(_, change)| *change).collect();
    for ((at, _), outcome) in changes.iter().zip(effects.firewall.ensure_each(&all)) {
        if let (Some(plan), true) = (plans.get(*at), outcome.is_ok()) {
            let (id, name, now) = (&plan.record.id, plan.record.backend, plan.record.flows.len());
            let before = plan.before.flows.len();
            log::debug!(
                "{}: rules of {name} made: {now} flows permitted, {before} before",
                id.brief()
            );
        }
        outcomes[*at] = outcome;
    }
    outcomes
}

/// How long rules last from now that must end at `until`, a time since the boot. A rule that lasts no time at all would
/// never end.
pub(crate) fn lasting(until: Duration) -> Duration {
    until.saturating_sub(since_boot()).max(Duration::from_millis(1))
}

/// Writes the planned block into the hosts file. `planned` is the content if the file has not changed
/// since `file` was read.
pub(crate) fn write_hosts(
    file: &mut HostsFile,
    plan: &Plan,
    planned: Option<&Vec<u8>>,
) -> Result<()> {
    let written: Vec<&str> = plan.before.hosts.iter().flat_map(HostsEdit::blocks).collect();
    let block = plan.record.hosts.as_ref().map_or("", |edit| edit.block.as_str());
    let seen = file.content().map(<[u8]>::to_vec);
    let edited = |now: Option<&[u8]>| match (now, planned) {
        (now, Some(planned)) if now == seen.as_deref() => planned.clone(),
        (Some(now), _) => {
            let now = hosts::without_engine_lines(now, &plan.replaced);
            hosts::edited(&now, &written, &plan.shared, block)
        }
        // The container has removed the file.
        (None, Some(planned)) => planned.clone(),
        (None, None) => [hosts::preamble(true), block.to_owned()].concat().into_bytes(),
    };
    file.edit(edited).map_err(Error::in_hosts_file)?;
    log::debug!("{}: hosts file written", plan.record.id.brief());
    Ok(())
}

/// The flows that a change of one container ends, after their rules are gone.
pub(crate) struct Ended<'a> {
    /// The container as it was or will be. Its id and addresses count.
    record: &'a Record,
    flows: Vec<Flow>,
    /// The flows that it keeps.
    kept: &'a [Flow],
}

impl<'a> Ended<'a> {
    /// The flows that `plan` ends.
    pub(crate) fn of_plan(plan: &'a Plan) -> Self {
        Self { record: &plan.record, flows: plan.ended(), kept: &plan.record.flows }
    }

    /// All flows of `record`.
    pub(crate) fn all_of(record: &'a Record) -> Self {
        Self { record, flows: record.flows.clone(), kept: &[] }
    }

    /// The backend of the rules that permitted the flows, if there were rules.
    pub(crate) fn backend(&self) -> Option<BackendName> {
        let has_rules = self.record.backend != BackendName::None && !self.flows.is_empty();
        has_rules.then_some(self.record.backend)
    }
}

/// Ends the tracked connections of all `changes` together, except those that a kept flow or a pod peer
/// permits. Pod peers share their address. A peer that is itself one of `changes` permits what it keeps.
///
/// Most hosts accept established packets, so a connection would outlive its rule. Called after the rules
/// are gone: a packet in between would create the connection again. It does not matter which backend
/// `effects` has, as long as it makes rules.
pub(crate) fn end_connections(effects: Effects<'_>, changes: &[Ended<'_>]) -> Result<()> {
    let ending = || changes.iter().filter(|change| change.backend().is_some());
    if ending().next().is_none() {
        return Ok(());
    }
    let changed: HashSet<&ContainerId> = changes.iter().map(|change| &change.record.id).collect();
    let mut permitted: Vec<Flow> = changes.iter().flat_map(|change| change.kept).copied().collect();
    let mut asked = HashSet::new();
    for change in ending() {
        // Peers have one first address, so one question is about all of them.
        if asked.insert(change.record.network.addresses().first().map(Address::ip)) {
            let peers = pod_peers(effects.store, change.record)?.into_iter();
            permitted.extend(peers.filter(|it| !changed.contains(&it.id)).flat_map(|it| it.flows));
        }
    }
    let permitted = FlowIndex::of(permitted);
    let flows = ending().flat_map(|change| &change.flows);
    let ended: Vec<Flow> = flows.flat_map(|flow| permitted.rest_of(flow)).collect();
    drop_connections(effects, &ended)
}

/// Ends the tracked connections of `flows`, whose rules are gone.
pub(crate) fn drop_connections(effects: Effects<'_>, flows: &[Flow]) -> Result<()> {
    if flows.is_empty() {
        return Ok(());
    }
    effects.firewall.drop_connections(flows)?;
    log::debug!("connections ended; flows: {}", flows.len());
    Ok(())
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
    let ruled = remove_rules(effects, record)
        .and_then(|()| end_connections(effects, &[Ended::all_of(record)]));
    rollback_rest(effects, record, ruled)
}

/// The second part of [`rollback`]: restores the hosts file and removes the record. `ruled` is the outcome
/// of the first part, which removed the rules and ended the connections.
pub(crate) fn rollback_rest(
    effects: Effects<'_>,
    record: &Record,
    ruled: Result<()>,
) -> Result<()> {
    let mut failures = Failures::default();
    failures.note(ruled);
    let rules_are_gone = failures.is_empty();
    if let Some(edit) = &record.hosts {
        let shared = shared_hosts_blocks(effects.store, record);
        let restored = shared.and_then(|shared| restore_hosts(effects, edit, &shared));
        match restored.map_err(Error::in_hosts_file) {
            Ok(()) => log::debug!("{}: hosts file restored", record.id.brief()),
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
            log::debug!("{}: record removed", record.id.brief());
            Ok(())
        }
        Commit::Conflict => {
            let message =
                format!("record of {}: changed while it was removed; try again", record.id);
            Err(Error::new(Kind::State, message).because(Cause::Conflict))
        }
    }
}

/// Removes the rules that `record` names, its bridge ports and its isolation. Their connections must be ended next.
///
/// Every part is tried. If one fails, the record must stay, so that the removal is repeated.
pub(crate) fn remove_rules(effects: Effects<'_>, record: &Record) -> Result<()> {
    let (owner, before) = (&record.owner, record.flows.as_slice());
    let removed = match record.phase {
        _ if before.is_empty() => Ok(()),
        Phase::Ready => effects.firewall.remove(OwnerScope::new(owner, before)),
        // A pod peer may own some of the rules that the record names.
        Phase::Pending => effects.firewall.remove_owner(owner),
    };
    if removed.is_ok() && !before.is_empty() {
        log::debug!("{}: rules of {} removed", record.id.brief(), effects.firewall.name());
    }
    let mut failures = Failures::default();
    for outcome in [removed, untie(effects, record), isolating::end(effects, record)] {
        failures.note(outcome);
    }
    failures.into_result()
}

/// Changes what the bridge table has of the containers of `plans`, in one transaction.
fn tie(effects: Effects<'_>, plans: &[&Plan]) -> Result<()> {
    let changes = plans.iter().map(|plan| KeyChange {
        owner: &plan.record.owner,
        before: Key::of_flows(&plan.before.flows),
        after: Key::of_flows(&plan.record.flows),
    });
    let changes: Vec<KeyChange<'_>> = changes.collect();
    effects.ports.change(&changes)
}

/// Whether flows of the plan are tied to bridge ports, before or after it.
fn is_tied(plan: &Plan) -> bool {
    let mut flows = plan.before.flows.iter().chain(&plan.record.flows);
    flows.any(|flow| flow.bridge.is_some_and(|on| on.by_port))
}

/// Removes what the bridge table has of a container that ends.
fn untie(effects: Effects<'_>, record: &Record) -> Result<()> {
    let (owner, before) = (&record.owner, Key::of_flows(&record.flows));
    effects.ports.change(&[KeyChange { owner, before, after: Vec::new() }])
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
