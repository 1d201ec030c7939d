//! Recipients of other hosts that are linked to sources of this host: this host's half of their links.
//!
//! A guest follows from two things: the record of the source here, and what the recipient's host says it wants. Its own
//! record is written before its rules and removed after them, so that its end needs neither.

use crate::error::{Cause, Error, Failures, Result};
use crate::firewall::OwnerScope;
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::apply::lasting;
use crate::lifecycle::others::Others;
use crate::link::guest::{Policy, plan_guest};
use crate::model::{
    BackendName, ContainerId, Flow, FlowIndex, GuestRecord, OwnerTag, PeerRun, Phase, Record,
    Share, Want,
};
use crate::store::guests::Guests;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// What a guest should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wished {
    recipient: PeerRun,
    guest: GuestRecord,
}

/// Changes of several guests under one lock. Their connections are ended together. [`GuestChanges::finish`] must be
/// called.
#[must_use = "the changes have only begun"]
pub(crate) struct GuestChanges<'l, 'h> {
    host: &'l Locked<'h>,
    guests: Option<Guests>,
    begun: Vec<Begun>,
    failures: Failures,
}

/// A guest whose rules are changed.
struct Begun {
    /// What may exist.
    pending: GuestRecord,
    /// What is left; nothing for one that ends.
    after: Option<GuestRecord>,
}

/// Returns the guests that the source `record` should have now, by recipient. `None` if that cannot be seen.
///
/// A source that does not run has none, and nothing is believed for longer than patience.
pub(crate) fn wished(
    host: &Host,
    others: Option<&Others<'_>>,
    record: Option<&Record>,
) -> Result<Option<BTreeMap<PeerRun, Wished>>> {
    let mut all = BTreeMap::new();
    let (Some(record), Some(others)) = (record, others.filter(|others| !others.is_stale())) else {
        return Ok(Some(all));
    };
    if record.share == Share::None || record.phase != Phase::Ready {
        return Ok(Some(all));
    }
    match is_running(record, host.boot) {
        Ok(true) => {}
        Ok(false) => return Ok(Some(all)),
        // Unknown is not dead.
        Err(_) => return Ok(None),
    }
    for want in others.wanting(&record.id)? {
        if let Some(wished) = wish(host, others, record, &want)? {
            all.insert(wished.recipient.clone(), wished);
        }
    }
    Ok(Some(all))
}

fn wish(host: &Host, others: &Others<'_>, record: &Record, want: &Want) -> Result<Option<Wished>> {
    let recipient = want.recipient.clone();
    let addresses = others.believed(&recipient.host, &want.addresses)?;
    let backend = host.firewall.name();
    let policy = Policy { cluster: others.cluster, addresses: &addresses, backend };
    let Some(flows) = plan_guest(record, want, policy) else { return Ok(None) };
    let guest = GuestRecord {
        recipient: recipient.clone(),
        name: want.name.clone(),
        source: record.id.clone(),
        run: record.owner.clone(),
        phase: Phase::Ready,
        owner: OwnerTag::of_guest(host.identity, &record.owner, &recipient),
        backend,
        flows,
    };
    Ok(Some(Wished { recipient, guest }))
}

/// Whether the guests of the container `id` are those that it should have. Needs no lock and changes nothing.
pub(crate) fn is_settled(
    host: &Host,
    others: Option<&Others<'_>>,
    id: &ContainerId,
) -> Result<bool> {
    let there = there(host, id)?;
    let Some(wished) = wished(host, others, host.store.get(id)?.as_ref())? else { return Ok(true) };
    Ok(there.len() == wished.len() && there.iter().all(|guest| is_as_wished(guest, &wished)))
}

fn is_as_wished(guest: &GuestRecord, wished: &BTreeMap<PeerRun, Wished>) -> bool {
    wished.get(&guest.recipient).is_some_and(|it| {
        // A guest keeps its backend as long as it lives.
        *guest == GuestRecord { backend: guest.backend, ..it.guest.clone() }
    })
}

/// The guests of the container `id`.
pub(crate) fn there(host: &Host, id: &ContainerId) -> Result<Vec<GuestRecord>> {
    Guests::existing(host.directory())?.map_or(Ok(Vec::new()), |guests| guests.of(id))
}

/// All guests of this host.
pub(crate) fn all(host: &Host) -> Result<Vec<GuestRecord>> {
    Guests::existing(host.directory())?.map_or(Ok(Vec::new()), |guests| guests.all())
}

/// Brings the guests of `records` up to date. Returns how many were changed. Nothing is read if there are no records.
pub(crate) fn settle_all<'a>(
    host: &Locked<'_>,
    records: impl Iterator<Item = &'a Record>,
) -> Result<usize> {
    settle(host, records.map(|record| &record.id))
}

/// Brings the guests of the containers `ids` up to date. Returns how many were changed.
pub(crate) fn settle<'a>(
    host: &Locked<'_>,
    ids: impl Iterator<Item = &'a ContainerId>,
) -> Result<usize> {
    let mut ids = ids.peekable();
    if ids.peek().is_none() {
        return Ok(0);
    }
    let others = Others::of(host)?;
    let mut changes = GuestChanges::new(host)?;
    ids.for_each(|id| changes.settle(others.as_ref(), id));
    changes.finish()
}

/// Ends all guests of a container that ends. One that was never shared has none, and nothing is read.
pub(crate) fn end_all_of(host: &Locked<'_>, record: &Record) -> Result<()> {
    if record.share == Share::None {
        return Ok(());
    }
    let mut changes = GuestChanges::new(host)?;
    for guest in there(host, &record.id)? {
        changes.end(&guest);
    }
    changes.finish().map(drop)
}

impl<'l, 'h> GuestChanges<'l, 'h> {
    /// No changes yet.
    pub(crate) fn new(host: &'l Locked<'h>) -> Result<Self> {
        let guests = Guests::existing(host.directory())?;
        Ok(Self { host, guests, begun: Vec::new(), failures: Failures::default() })
    }

    /// Brings the guests of the container `id` up to date.
    fn settle(&mut self, others: Option<&Others<'_>>, id: &ContainerId) {
        if let Err(error) = self.try_settle(others, id) {
            // Only a newer oci-link knows whether that container runs.
            if error.cause != Cause::NewerRecord {
                self.failures.note(Err(error));
            }
        }
    }

    fn try_settle(&mut self, others: Option<&Others<'_>>, id: &ContainerId) -> Result<()> {
        let record = self.host.store.get(id)?;
        let Some(mut wished) = wished(self.host, others, record.as_ref())? else { return Ok(()) };
        for guest in there(self.host, id)? {
            if is_as_wished(&guest, &wished) {
                wished.remove(&guest.recipient);
                continue;
            }
            match wished.remove(&guest.recipient) {
                Some(next) if next.guest.run == guest.run => {
                    let next = GuestRecord { backend: guest.backend, ..next.guest };
                    self.change(Some(&guest), next, others);
                }
                _ => self.end(&guest),
            }
        }
        for next in wished.into_values() {
            self.change(None, next.guest, others);
        }
        Ok(())
    }

    /// Makes the rules of a guest those of `next`.
    fn change(
        &mut self,
        old: Option<&GuestRecord>,
        next: GuestRecord,
        others: Option<&Others<'_>>,
    ) {
        let Some(until) = others.and_then(Others::until) else { return };
        let mut pending = GuestRecord { phase: Phase::Pending, ..next.clone() };
        let before = old.map_or(&[][..], |old| &old.flows);
        let now: HashSet<&Flow> = next.flows.iter().collect();
        pending.flows.extend(before.iter().filter(|flow| !now.contains(flow)));
        let is_unknown = old.is_some_and(|old| old.phase == Phase::Pending);
        let made = self.put(&pending).and_then(|()| {
            self.host.effects(next.backend, |effects| {
                if is_unknown && !before.is_empty() {
                    effects.firewall.remove_owner(&next.owner)?;
                }
                if pending.flows.is_empty() {
                    return Ok(());
                }
                let before = if is_unknown { &[][..] } else { before };
                let lifetime = Some(lasting(until));
                let rules = OwnerScope { lifetime, ..OwnerScope::new(&next.owner, before) };
                effects.firewall.ensure(rules, &next.flows)
            })
        });
        match made {
            Ok(()) => self.begun.push(Begun { pending, after: Some(next) }),
            Err(error) => self.failures.note(Err(named(&next, &error))),
        }
    }

    fn put(&mut self, guest: &GuestRecord) -> Result<()> {
        if self.guests.is_none() {
            self.guests = Some(Guests::open(self.host.directory())?);
        }
        self.guests.as_ref().map_or(Ok(()), |guests| guests.put(self.host.lock(), guest))
    }

    /// Removes the rules of a guest. Its record stays until its connections are ended.
    pub(crate) fn end(&mut self, guest: &GuestRecord) {
        let (owner, flows) = (&guest.owner, guest.flows.as_slice());
        let removed = self.host.effects(guest.backend, |effects| match guest.phase {
            _ if flows.is_empty() => Ok(()),
            Phase::Ready => effects.firewall.remove(OwnerScope::new(owner, flows)),
            Phase::Pending => effects.firewall.remove_owner(owner),
        });
        match removed {
            Ok(()) => self.begun.push(Begun { pending: guest.clone(), after: None }),
            Err(error) => self.failures.note(Err(named(guest, &error))),
        }
    }

    /// Ends the connections of all rules that are gone, and writes or removes the records. Returns how many guests were
    /// changed.
    pub(crate) fn finish(mut self) -> Result<usize> {
        let (begun, mut changed) = (std::mem::take(&mut self.begun), 0);
        if let Err(error) = self.end_connections(&begun) {
            self.failures.note(Err(error));
            return self.failures.into_result().map(|()| 0);
        }
        for it in begun {
            let done = match (&it.after, &self.guests) {
                (Some(after), _) => self.put(after),
                (None, Some(guests)) => guests.remove(self.host.lock(), &it.pending),
                (None, None) => Ok(()),
            };
            match done {
                Ok(()) => changed += 1,
                Err(error) => self.failures.note(Err(named(&it.pending, &error))),
            }
        }
        self.failures.into_result().map(|()| changed)
    }

    fn end_connections(&self, begun: &[Begun]) -> Result<()> {
        let mut ended: Vec<Flow> = Vec::new();
        let mut backend = BackendName::None;
        for it in begun {
            let kept: HashSet<&Flow> = it.after.iter().flat_map(|after| &after.flows).collect();
            let gone = it.pending.flows.iter().filter(|flow| !kept.contains(flow));
            let before = ended.len();
            ended.extend(gone);
            if ended.len() > before {
                backend = it.pending.backend;
            }
        }
        if ended.is_empty() {
            return Ok(());
        }
        let permitted = FlowIndex::of(self.permitted(begun, &ended)?);
        let ended: Vec<Flow> = ended.iter().flat_map(|flow| permitted.rest_of(flow)).collect();
        self.host.effects(backend, |effects| effects.firewall.drop_connections(&ended))
    }

    /// What other guests permit on the addresses of `ended`: two recipients of a pod share an address.
    fn permitted(&self, begun: &[Begun], ended: &[Flow]) -> Result<Vec<Flow>> {
        let changed: HashSet<&OwnerTag> = begun.iter().map(|it| &it.pending.owner).collect();
        let mut permitted: Vec<Flow> = Vec::new();
        permitted.extend(begun.iter().flat_map(|it| &it.after).flat_map(|after| &after.flows));
        let Some(guests) = &self.guests else { return Ok(permitted) };
        let addresses: HashSet<IpAddr> = ended.iter().map(|flow| flow.to).collect();
        let mut sources: HashSet<ContainerId> =
            begun.iter().map(|it| it.pending.source.clone()).collect();
        for address in addresses {
            let holders = self.host.store.holders_of(address).unwrap_or_default();
            sources.extend(holders.into_iter().map(|record| record.id));
        }
        for source in sources {
            let others = guests.of(&source)?.into_iter();
            let others = others.filter(|guest| !changed.contains(&guest.owner));
            permitted.extend(others.flat_map(|guest| guest.flows));
        }
        Ok(permitted)
    }
}

fn named(guest: &GuestRecord, error: &Error) -> Error {
    let GuestRecord { name, recipient, source, .. } = guest;
    let message = format!("{name} of host {}, linked to {source}: {error}", recipient.host);
    Error::new(error.kind, message).because(error.cause)
}
