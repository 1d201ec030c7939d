//! Links between this host and others follow what is heard of those, and end where nothing is heard.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{PeerKey, PeerRecord};
use crate::error::{Cause, Failures, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::apply::lasting;
use crate::lifecycle::guests;
use crate::lifecycle::others::Others;
use crate::lifecycle::together::replan_all;
use crate::model::{
    BackendName, ContainerId, ContainerName, Flow, Offer, OwnerTag, Phase, Record, Reference, Share,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How many containers, or guests, are looked at before the host lock is given to other processes. A start waits for one
/// lot at most.
const LOT: usize = 20;

/// What a caller does between two lots of a long work, without the lock. An error ends the work.
pub(crate) type Pause<'a> = &'a mut dyn FnMut() -> Result<()>;

/// What the records that have changed are about.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    offers: Vec<Offer>,
    sources: BTreeSet<ContainerId>,
    addresses: BTreeSet<IpAddr>,
}

impl Touched {
    /// Adds a record as it was or is.
    pub(crate) fn add(&mut self, record: PeerRecord) {
        match record {
            PeerRecord::Host(_) => {}
            PeerRecord::Offer(offer) => {
                self.addresses.extend(&offer.addresses);
                self.offers.push(offer);
            }
            PeerRecord::Want(want) => {
                self.addresses.extend(&want.addresses);
                self.sources.extend(want.sources.into_iter().map(|source| source.id));
            }
        }
    }

    /// The containers here that a recipient elsewhere wants or wanted.
    pub(crate) fn sources(&mut self) -> &mut BTreeSet<ContainerId> {
        &mut self.sources
    }

    /// Adds the other records with one of the addresses: an address of two hosts is believed of neither.
    fn add_claimants(&mut self, mirror: &Mirror) -> Result<()> {
        let mut keys: BTreeSet<PeerKey> = BTreeSet::new();
        for address in &self.addresses {
            keys.extend(mirror.claimants(*address)?);
        }
        for key in keys {
            if let Some(record) = mirror.get(&key)? {
                self.add(record);
            }
        }
        Ok(())
    }

    /// The containers of this host with a link that one of the offers is about.
    fn recipients(&self, host: &Host) -> Result<Vec<Record>> {
        let mut all = BTreeMap::new();
        let mut add = |found: Vec<Record>| {
            all.extend(found.into_iter().map(|record| (record.id.clone(), record)));
        };
        for offer in &self.offers {
            add(host.store.recipients_naming(&Reference::to_run(&offer.source))?);
            for name in offer.names.iter().chain([&offer.name]) {
                let there = Reference::of_link(&format!("{name}@{}", offer.source.host)).ok();
                let names = there.into_iter().chain(ContainerName::reference(name));
                for reference in names {
                    add(host.store.recipients_naming(&reference)?);
                }
            }
        }
        Ok(all.into_values().collect())
    }
}

/// Plans the recipients again that want or had one of the sources that have changed. Takes the host lock for each lot. What
/// was touched but the sources here is done then.
pub(crate) fn follow(host: &Host, mirror: &Mirror, touched: &mut Touched) -> Result<()> {
    touched.add_claimants(mirror)?;
    let recipients = touched.recipients(host)?;
    touched.offers.clear();
    touched.addresses.clear();
    let mut failures = Failures::default();
    for lot in recipients.chunks(LOT) {
        failures.note(replan_all(&host.lock_for_a_lot()?, lot).into_result());
    }
    failures.into_result()
}

/// Brings the guests of these containers up to date. Returns how many were changed. Takes the host lock for each lot of
/// guests for which something must be done, and calls `pause` before each.
pub(crate) fn settle_sources<'a>(
    host: &Host,
    ids: impl Iterator<Item = &'a ContainerId>,
    pause: Pause<'_>,
) -> Result<usize> {
    let (mut changed, mut failures) = (0, Failures::default());
    for id in ids {
        pause()?;
        let others = Others::of(host)?;
        let due = match guests::due(host, others.as_ref(), id) {
            // Only a newer oci-link knows whether that container runs.
            Err(error) if error.cause == Cause::NewerRecord => continue,
            due => due?,
        };
        for lot in due.chunks(LOT) {
            pause()?;
            match guests::settle_lot(&host.lock_for_a_lot()?, id, lot) {
                Ok(count) => changed += count,
                Err(error) => failures.note(Err(error)),
            }
        }
    }
    failures.into_result().map(|()| changed)
}

/// Brings the guests of all containers of this host up to date, as [`settle_sources`] does.
pub(crate) fn settle_guests(host: &Host, pause: Pause<'_>) -> Result<usize> {
    settle_sources(host, sources(host)?.iter(), pause)
}

/// The containers whose guests are not those that they should have.
pub(crate) fn unsettled(host: &Host) -> Result<Vec<ContainerId>> {
    let others = Others::of(host)?;
    let mut unsettled = Vec::new();
    for id in sources(host)? {
        if !guests::due(host, others.as_ref(), &id)?.is_empty() {
            unsettled.push(id);
        }
    }
    Ok(unsettled)
}

/// The containers that have guests or may have some.
fn sources(host: &Host) -> Result<BTreeSet<ContainerId>> {
    let mut ids = shared(host)?;
    ids.extend(guests::all(host)?.into_iter().map(|guest| guest.source));
    Ok(ids)
}

/// The containers that other hosts may link to.
pub(crate) fn shared(host: &Host) -> Result<BTreeSet<ContainerId>> {
    let shared = host.store.all()?.into_iter().filter(|record| record.share != Share::None);
    Ok(shared.map(|record| record.id).collect())
}

/// Plans all links again that lead to other hosts, or may do so, and brings all guests up to date: what is known of other
/// hosts has become old, or new again. Returns how many guests were changed. Takes the host lock for each lot.
pub(crate) fn follow_all(host: &Host, pause: Pause<'_>) -> Result<usize> {
    let records = host.store.all()?.into_iter();
    let concerned: Vec<Record> = records.filter(may_lead_elsewhere).collect();
    let mut failures = Failures::default();
    for lot in concerned.chunks(LOT) {
        pause()?;
        failures.note(replan_all(&host.lock_for_a_lot()?, lot).into_result());
    }
    let changed = settle_guests(host, pause);
    failures.note(changed.as_ref().map(drop).map_err(crate::error::Error::again));
    failures.into_result()?;
    changed
}

/// Whether a link of `record` is connected to another host, or waits and may be.
fn may_lead_elsewhere(record: &Record) -> bool {
    record.flows.iter().any(Flow::crosses)
        || record
            .links
            .iter()
            .any(|link_state| link_state.source.is_none() && !link_state.declared_by.is_engine())
}

/// Lets all rules of links between hosts last as long as what is known of those is believed. Takes the host lock for each
/// lot.
pub(crate) fn renew(host: &Host) -> Result<()> {
    let mut failures = Failures::default();
    let crosses = |record: &Record| record.flows.iter().any(Flow::crosses);
    let ids = host.store.all()?.into_iter().filter(crosses).map(|record| record.id);
    for lot in ids.collect::<Vec<_>>().chunks(LOT) {
        let host = host.lock_for_a_lot()?;
        let Some(until) = until(&host)? else { return Ok(()) };
        let records = lot.iter().filter_map(|id| host.store.get(id).transpose());
        let records: Vec<Record> = records.collect::<Result<_>>()?;
        let ready = records.iter().filter(|record| record.phase == Phase::Ready);
        let owners = ready.map(|it| (it.backend, (&it.owner, it.flows.as_slice())));
        renew_each(&host, &owners.collect::<Vec<_>>(), until, &mut failures);
    }
    for lot in guests::all(host)?.chunks(LOT) {
        let host = host.lock_for_a_lot()?;
        let Some(until) = until(&host)? else { return Ok(()) };
        let mut owners = Vec::new();
        for guest in lot.iter().filter(|it| it.phase == Phase::Ready && !it.flows.is_empty()) {
            // It may have ended meanwhile.
            if guests::is_there(&host, guest)? {
                owners.push((guest.backend, (&guest.owner, guest.flows.as_slice())));
            }
        }
        renew_each(&host, &owners, until, &mut failures);
    }
    failures.into_result()
}

/// Renews the rules of several owners, those of each backend together.
fn renew_each(
    host: &Locked<'_>,
    owners: &[(BackendName, (&OwnerTag, &[Flow]))],
    until: Duration,
    failures: &mut Failures,
) {
    for backend in BackendName::ALL {
        let own: Vec<_> =
            owners.iter().filter(|(of, _)| *of == backend).map(|(_, owner)| *owner).collect();
        if own.is_empty() {
            continue;
        }
        let renewed =
            host.effects(backend, |effects| Ok(effects.firewall.renew_each(&own, lasting(until))));
        match renewed {
            Ok(all) => all.into_iter().for_each(|one| failures.note(one)),
            Err(error) => failures.note(Err(error)),
        }
    }
}

/// Until when what is known of other hosts is believed; `None` if it is not.
fn until(host: &Host) -> Result<Option<Duration>> {
    let others = Others::of(host)?.filter(|others| !others.is_stale());
    Ok(others.and_then(|others| others.until()))
}
