//! Recipients of other hosts that are linked to sources of this host: this host's half of their links.
//!
//! A guest follows from two things: the record of the source here, and what the recipient's host says it wants. Its own
//! record is written before its rules and removed after them, so that its end needs neither.

use crate::cluster::format::MAX_GUESTS;
use crate::error::{Cause, Error, Failures, Result};
use crate::firewall::{OwnerScope, Removal, RuleChange};
use crate::host::{Effects, Host, Locked};
use crate::lifecycle::admitted::{Wished, wished, wished_of};
use crate::lifecycle::apply::lasting;
use crate::lifecycle::others::Others;
use crate::model::{
    BackendName, ContainerId, Flow, FlowIndex, GuestRecord, OwnerTag, PeerRun, Phase, Record, Share,
};
use crate::store::guests::Guests;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// Changes of several guests under one lock. Their rules are changed together, and their connections are ended together. [`GuestChanges::finish`] must be
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
    /// The rules that exist.
    before: Vec<Flow>,
    /// What is left; nothing for one that ends.
    after: Option<GuestRecord>,
    /// How long its rules last.
    lifetime: Option<Duration>,
}

/// The recipients whose guests of the container `id` are not as they should be, those first that end. Needs no lock and
/// changes nothing.
pub(crate) fn due(
    host: &Host,
    others: Option<&Others<'_>>,
    id: &ContainerId,
) -> Result<Vec<PeerRun>> {
    let there = there(host, id)?;
    let record = host.store.get(id)?;
    let Some(mut wished) = wished(host, others, record.as_ref(), &there)? else {
        return Ok(Vec::new());
    };
    let mut due = Vec::new();
    for guest in there {
        let is_settled = is_as_wished(&guest, &wished);
        wished.remove(&guest.recipient);
        due.extend((!is_settled).then_some(guest.recipient));
    }
    due.extend(wished.into_keys());
    Ok(due)
}

fn is_as_wished(guest: &GuestRecord, wished: &Wished) -> bool {
    wished.get(&guest.recipient).is_some_and(|it| {
        // A guest keeps its backend as long as it lives.
        *guest == GuestRecord { backend: guest.backend, ..it.clone() }
    })
}

/// The guests of the container `id`.
pub(crate) fn there(host: &Host, id: &ContainerId) -> Result<Vec<GuestRecord>> {
    Guests::existing(host.directory())?.map_or(Ok(Vec::new()), |guests| guests.of(id))
}

/// Whether the guest is as its record says now.
pub(crate) fn is_there(host: &Host, guest: &GuestRecord) -> Result<bool> {
    let Some(guests) = Guests::existing(host.directory())? else { return Ok(false) };
    Ok(guests.get(&guest.source, &guest.recipient)?.as_ref() == Some(guest))
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

/// Brings these guests of the container `id` up to date: one lot of [`due`]. Returns how many were changed.
///
/// Reads the record of each, and the names of the others, whatever others want.
pub(crate) fn settle_lot(
    host: &Locked<'_>,
    id: &ContainerId,
    recipients: &[PeerRun],
) -> Result<usize> {
    let (others, record) = (Others::of(host)?, host.store.get(id)?);
    let wished = wished_of(host, others.as_ref(), record.as_ref(), recipients)?;
    let Some(mut wished) = wished else { return Ok(0) };
    let mut changes = GuestChanges::new(host)?;
    let guests = Guests::existing(host.directory())?;
    let mut count = guests.as_ref().map_or(Ok(0), |guests| guests.count(id))?;
    for recipient in recipients {
        let guest = guests.as_ref().map_or(Ok(None), |guests| guests.get(id, recipient))?;
        match (guest, wished.contains_key(recipient)) {
            (Some(guest), is_wished) => {
                count -= usize::from(!is_wished);
                changes.bring(&guest, &mut wished, others.as_ref());
            }
            (None, true) if count < MAX_GUESTS => {
                count += 1;
                if let Some(next) = wished.remove(recipient) {
                    changes.change(None, next, others.as_ref());
                }
            }
            (None, _) => {}
        }
    }
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
        let there = there(self.host, id)?;
        let wished = wished(self.host, others, record.as_ref(), &there)?;
        let Some(mut wished) = wished else { return Ok(()) };
        for guest in there {
            self.bring(&guest, &mut wished, others);
        }
        for next in wished.into_values() {
            self.change(None, next, others);
        }
        Ok(())
    }

    /// Makes a guest what is wished of it, and takes it out of `wished`.
    fn bring(&mut self, guest: &GuestRecord, wished: &mut Wished, others: Option<&Others<'_>>) {
        let is_settled = is_as_wished(guest, wished);
        match wished.remove(&guest.recipient) {
            _ if is_settled => {}
            Some(next) if next.run == guest.run => {
                let next = GuestRecord { backend: guest.backend, ..next };
                self.change(Some(guest), next, others);
            }
            _ => self.end(guest),
        }
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
            if !is_unknown || before.is_empty() {
                return Ok(before.to_vec());
            }
            let removed = |effects: Effects<'_>| effects.firewall.remove_owner(&next.owner);
            self.host.effects(next.backend, removed).map(|()| Vec::new())
        });
        match made {
            Ok(before) => {
                let (after, lifetime) = (Some(next), Some(lasting(until)));
                self.begun.push(Begun { pending, before, after, lifetime });
            }
            Err(error) => self.failures.note(Err(named(&next, &error))),
        }
    }

    fn put(&mut self, guest: &GuestRecord) -> Result<()> {
        if self.guests.is_none() {
            self.guests = Some(Guests::open(self.host.directory())?);
        }
        self.guests.as_ref().map_or(Ok(()), |guests| guests.put(self.host.lock(), guest))
    }

    /// Ends a guest. Its record stays until its rules are gone and its connections are ended.
    pub(crate) fn end(&mut self, guest: &GuestRecord) {
        let mut before = guest.flows.clone();
        if guest.phase == Phase::Pending && !before.is_empty() {
            let removed = |effects: Effects<'_>| effects.firewall.remove_owner(&guest.owner);
            if let Err(error) = self.host.effects(guest.backend, removed) {
                return self.failures.note(Err(named(guest, &error)));
            }
            before.clear();
        }
        self.begun.push(Begun { pending: guest.clone(), before, after: None, lifetime: None });
    }

    /// Ends the connections of all rules that are gone, and writes or removes the records. Returns how many guests were
    /// changed.
    pub(crate) fn finish(mut self) -> Result<usize> {
        let (begun, mut changed) = (self.change_rules(), 0);
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

    /// Changes the rules, those of each backend together. Returns the guests for which that was possible.
    fn change_rules(&mut self) -> Vec<Begun> {
        let mut done = Vec::new();
        let mut begun = std::mem::take(&mut self.begun);
        while let Some(backend) = begun.first().map(|first| first.pending.backend) {
            let (lot, rest): (Vec<Begun>, Vec<Begun>) =
                begun.into_iter().partition(|it| it.pending.backend == backend);
            begun = rest;
            let changes: Vec<RuleChange<'_>> = lot.iter().filter_map(Begun::change).collect();
            let made = self.host.effects(backend, |effects| {
                let changes = changes.as_slice();
                Ok(if changes.is_empty() { vec![] } else { effects.firewall.ensure_each(changes) })
            });
            let mut made = made
                .unwrap_or_else(|error| changes.iter().map(|_| Err(error.again())).collect())
                .into_iter();
            for it in lot {
                match it.change().and_then(|_| made.next()) {
                    Some(Err(error)) => self.failures.note(Err(named(&it.pending, &error))),
                    Some(Ok(())) | None => done.push(it),
                }
            }
        }
        done
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

impl Begun {
    /// The change of its rules. `None` if it has none, before and after.
    fn change(&self) -> Option<RuleChange<'_>> {
        let flows = self.after.as_ref().map_or(&[][..], |after| &after.flows);
        let removal = if self.after.is_some() { Removal::AtOnce } else { Removal::Soon };
        let rules = OwnerScope {
            lifetime: self.lifetime,
            ..OwnerScope::new(&self.pending.owner, &self.before)
        };
        let is_none = self.before.is_empty() && flows.is_empty();
        (!is_none).then_some(RuleChange { rules, flows, removal })
    }
}

fn named(guest: &GuestRecord, error: &Error) -> Error {
    let GuestRecord { name, recipient, source, .. } = guest;
    let message = format!("{name} of host {}, linked to {source}: {error}", recipient.host);
    Error::new(error.kind, message).because(error.cause)
}
