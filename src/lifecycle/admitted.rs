//! Which recipients of other hosts are let in to a source of this host.
//!
//! Another host may declare thousands of links to one source. So a source has a limited number of guests, and a look
//! at what others want of it reads a limited number of records. A guest that is there keeps its place.

use crate::cluster::format::MAX_GUESTS;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::others::Others;
use crate::link::guest::{Policy, plan_guest};
use crate::model::{
    ContainerId, GuestRecord, HostName, OwnerTag, PeerRun, Phase, Record, Share, Want,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many records of recipients are read for one source: some of them may be refused.
const MAX_READ: usize = 2 * MAX_GUESTS;

/// The guests that a source should have, by recipient.
pub(crate) type Wished = BTreeMap<PeerRun, GuestRecord>;
/// A recipient of another host: its host, and its id there.
type Recipient = (HostName, ContainerId);

/// Returns the guests that the source `record` should have now, by recipient: [`MAX_GUESTS`] at most. `None` if that
/// cannot be seen. `there` are the guests of this container now.
///
/// A source that does not run has none, and nothing is believed for longer than patience.
pub(crate) fn wished(
    host: &Host,
    others: Option<&Others<'_>>,
    record: Option<&Record>,
    there: &[GuestRecord],
) -> Result<Option<Wished>> {
    if_admitting(host, others, record, |record, others| {
        let mut all = Wished::new();
        let present = there.iter().filter(|guest| guest.run == record.owner);
        let present = present
            .map(|guest| (guest.recipient.host.clone(), guest.recipient.id.clone()))
            .collect();
        let wanting = others.keys_wanting(&record.id)?;
        for (from, id) in in_order(wanting, &present).into_iter().take(MAX_READ) {
            if all.len() == MAX_GUESTS {
                break;
            }
            if let Some(want) = others.want(&from, &id)? {
                let guest = wish(host, others, record, &want)?;
                all.extend(guest.map(|guest| (guest.recipient.clone(), guest)));
            }
        }
        Ok(all)
    })
}

/// Returns those of the guests `recipients` that the source `record` may have now, however many it has. `None` if that
/// cannot be seen.
pub(crate) fn wished_of(
    host: &Host,
    others: Option<&Others<'_>>,
    record: Option<&Record>,
    recipients: &[PeerRun],
) -> Result<Option<Wished>> {
    if_admitting(host, others, record, |record, others| {
        let mut all = Wished::new();
        for recipient in recipients {
            let want = others.want(&recipient.host, &recipient.id)?;
            if let Some(want) = want.filter(|want| want.recipient == *recipient) {
                let guest = wish(host, others, record, &want)?;
                all.extend(guest.map(|guest| (recipient.clone(), guest)));
            }
        }
        Ok(all)
    })
}

/// Returns what `look` finds, and nothing for a source that admits no guests. `None` if it is unknown whether it runs.
fn if_admitting<'h>(
    host: &Host,
    others: Option<&Others<'h>>,
    record: Option<&Record>,
    look: impl FnOnce(&Record, &Others<'h>) -> Result<Wished>,
) -> Result<Option<Wished>> {
    let others = others.filter(|others| !others.is_stale());
    let admits = |it: &&Record| it.share != Share::None && it.phase == Phase::Ready;
    let (Some(record), Some(others)) = (record.filter(admits), others) else {
        return Ok(Some(Wished::new()));
    };
    match is_running(record, host.boot) {
        Ok(true) => look(record, others).map(Some),
        Ok(false) => Ok(Some(Wished::new())),
        // Unknown is not dead.
        Err(_) => Ok(None),
    }
}

/// The order in which recipients are let in: those that are `present`, then the first of each host, the second of
/// each host and so on. So a host with many recipients does not keep out those of others.
fn in_order(all: Vec<Recipient>, present: &BTreeSet<Recipient>) -> Vec<Recipient> {
    let (mut all, new): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| present.contains(it));
    let mut counts: HashMap<HostName, usize> = HashMap::new();
    let ranked = new.into_iter().map(|it| {
        let count = counts.entry(it.0.clone()).or_default();
        *count += 1;
        (*count, it)
    });
    let mut ranked: Vec<(usize, Recipient)> = ranked.collect();
    ranked.sort();
    all.extend(ranked.into_iter().map(|(_, it)| it));
    all
}

fn wish(
    host: &Host,
    others: &Others<'_>,
    record: &Record,
    want: &Want,
) -> Result<Option<GuestRecord>> {
    let recipient = want.recipient.clone();
    let addresses = others.believed(&recipient.host, &want.addresses)?;
    let backend = host.firewall.name();
    let policy = Policy { cluster: others.cluster, addresses: &addresses, backend };
    let Some(flows) = plan_guest(record, want, policy) else { return Ok(None) };
    Ok(Some(GuestRecord {
        name: want.name.clone(),
        source: record.id.clone(),
        run: record.owner.clone(),
        phase: Phase::Ready,
        owner: OwnerTag::of_guest(host.identity, &record.owner, &recipient),
        recipient,
        backend,
        flows,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(text: &str) -> Vec<Recipient> {
        let parts = text.split(' ').map(|it| it.split_once('/').unwrap());
        parts
            .map(|(host, id)| (HostName::new(host).unwrap(), ContainerId::new(id).unwrap()))
            .collect()
    }

    #[test]
    fn a_host_with_many_recipients_comes_after_those_that_are_there_and_beside_others() {
        let all = recipients("b/1 b/2 b/3 b/4 c/1 d/1 d/2");
        let present = recipients("b/3 d/2").into_iter().collect();
        let expected = recipients("b/3 d/2 b/1 c/1 d/1 b/2 b/4");
        assert_eq!(in_order(all, &present), expected);
    }
}
