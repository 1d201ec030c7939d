//! Links between this host and others follow what is heard of those, and end where nothing is heard.

use crate::cluster::mirror::Mirror;
use crate::cluster::spool::{PeerKey, PeerRecord};
use crate::error::{Failures, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::apply::lasting;
use crate::lifecycle::guests;
use crate::lifecycle::others::Others;
use crate::lifecycle::together::replan_all;
use crate::model::{ContainerId, ContainerName, Flow, Offer, Phase, Record, Reference, Share};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How many containers are looked at before the host lock is given to other processes.
const LOT: usize = 50;

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

/// Follows the records that have changed: plans the recipients again that want or had one of the sources, and brings the
/// guests up to date. Returns how many guests were changed.
pub(crate) fn follow(host: &Locked<'_>, mirror: &Mirror, mut touched: Touched) -> Result<usize> {
    touched.add_claimants(mirror)?;
    let mut failures = Failures::default();
    let recipients = touched.recipients(host)?;
    failures.note(replan_all(host, &recipients).into_result());
    let changed = guests::settle(host, touched.sources.iter());
    failures.note(changed.as_ref().map(drop).map_err(crate::error::Error::again));
    failures.into_result()?;
    changed
}

/// Brings the guests of all containers of this host up to date. Returns how many were changed. Takes the host lock for
/// each lot of containers for which something must be done.
pub(crate) fn settle_guests(host: &Host) -> Result<usize> {
    let due = unsettled(host)?;
    let (mut changed, mut failures) = (0, Failures::default());
    for lot in due.chunks(LOT) {
        match guests::settle(&host.lock_for_a_lot()?, lot.iter()) {
            Ok(count) => changed += count,
            Err(error) => failures.note(Err(error)),
        }
    }
    failures.into_result().map(|()| changed)
}

/// The containers whose guests are not those that they should have.
pub(crate) fn unsettled(host: &Host) -> Result<Vec<ContainerId>> {
    let others = Others::of(host)?;
    let shared = host.store.all()?.into_iter().filter(|record| record.share != Share::None);
    let mut ids: BTreeSet<ContainerId> = shared.map(|record| record.id).collect();
    ids.extend(guests::all(host)?.into_iter().map(|guest| guest.source));
    let mut due = Vec::new();
    for id in ids {
        if !guests::is_settled(host, others.as_ref(), &id)? {
            due.push(id);
        }
    }
    Ok(due)
}

/// Plans all links again that lead to other hosts, or may do so, and brings all guests up to date: what is known of other
/// hosts has become old, or new again. Returns how many guests were changed. Takes the host lock for each lot.
pub(crate) fn follow_all(host: &Host) -> Result<usize> {
    let records = host.store.all()?.into_iter();
    let concerned: Vec<Record> = records.filter(may_lead_elsewhere).collect();
    let mut failures = Failures::default();
    for lot in concerned.chunks(LOT) {
        failures.note(replan_all(&host.lock_for_a_lot()?, lot).into_result());
    }
    let changed = settle_guests(host);
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
        for id in lot {
            let Some(record) = host.store.get(id)? else { continue };
            if record.phase == Phase::Ready {
                failures.note(host.effects(record.backend, |effects| {
                    effects.firewall.renew(&record.owner, &record.flows, lasting(until))
                }));
            }
        }
    }
    for lot in guests::all(host)?.chunks(LOT) {
        let host = host.lock_for_a_lot()?;
        let Some(until) = until(&host)? else { return Ok(()) };
        for guest in lot {
            // It may have ended meanwhile.
            let now = guests::there(&host, &guest.source)?;
            if guest.phase == Phase::Ready && now.contains(guest) && !guest.flows.is_empty() {
                failures.note(host.effects(guest.backend, |effects| {
                    effects.firewall.renew(&guest.owner, &guest.flows, lasting(until))
                }));
            }
        }
    }
    failures.into_result()
}

/// Until when what is known of other hosts is believed; `None` if it is not.
fn until(host: &Host) -> Result<Option<std::time::Duration>> {
    let others = Others::of(host)?.filter(|others| !others.is_stale());
    Ok(others.and_then(|others| others.until()))
}
