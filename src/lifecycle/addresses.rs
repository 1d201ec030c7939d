//! The addresses of running containers, read again in their network namespaces.
//!
//! A record has the addresses that its container had at the last look. They can change while it runs:
//! `docker network connect`, DHCP, an administrator. So they are read again where they decide something,
//! and records, rules and hosts lines follow.

use crate::error::{Cause, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::alive::is_running;
use crate::lifecycle::lookup::{Requester, candidates, recipients_of};
use crate::lifecycle::planning::conflicts;
use crate::lifecycle::together::replan_all;
use crate::lifecycle::{guests, isolating};
use crate::link::Candidate;
use crate::model::{Address, ContainerId, Fingerprint, LinkState, Network, Record, Share};
use crate::store::{Change, Commit, pod_peers};
use crate::sys::net::netns::Now;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The number of network namespaces that one start reads again for its sources, of which there are at
/// most 256, and again for its recipients, and for the containers that have its addresses.
pub(crate) const MAX_READ: usize = 64;

/// The addresses in network namespaces. Each namespace is read once.
pub(crate) struct Look<'h> {
    host: &'h Host,
    /// What was read, by the cookie of the namespace. `None` if nothing has changed.
    seen: BTreeMap<u64, Option<Seen>>,
    left: usize,
    is_quick: bool,
}

/// The addresses in a namespace, and its fingerprint.
pub(crate) type Seen = (Vec<Address>, Option<Fingerprint>);

impl<'h> Look<'h> {
    /// Reads at most `most` namespaces. Of further ones the records are believed.
    pub(crate) fn at_most(host: &'h Host, most: usize) -> Self {
        Self { host, seen: BTreeMap::new(), left: most, is_quick: false }
    }

    /// As [`at_most`](Self::at_most), for a container that waits for its start. Where a namespace has the
    /// same addresses on the same interfaces as at the last look, their bridges are believed.
    pub(crate) fn quick(host: &'h Host, most: usize) -> Self {
        Self { is_quick: true, ..Self::at_most(host, most) }
    }

    /// Returns the addresses that a running container has now, if its record has others.
    ///
    /// If they cannot be read, the record is believed.
    pub(crate) fn moved(&mut self, record: &Record) -> Option<Seen> {
        if !record.network.is_own() {
            return None;
        }
        let seen = self.read(record)?;
        (seen.0 != record.network.addresses()).then(|| seen.clone())
    }

    fn read(&mut self, record: &Record) -> Option<&Seen> {
        let cookie = record.instance.netns;
        if !self.seen.contains_key(&cookie) {
            let Some(left) = self.left.checked_sub(1) else {
                log::debug!(
                    "{}: its addresses are not read again: too many at once",
                    record.id.brief()
                );
                return None;
            };
            self.left = left;
            let known = record.fingerprint.filter(|_| self.is_quick);
            match self.host.read_addresses(&record.instance, known) {
                Ok(Now::Same) => _ = self.seen.insert(cookie, None),
                Ok(Now::Read(now, fingerprint)) => {
                    self.seen.insert(cookie, Some((now, fingerprint)));
                }
                Ok(Now::Elsewhere) => {
                    log::debug!(
                        "{}: is in another network namespace than recorded",
                        record.id.brief()
                    );
                }
                Err(error) => {
                    log::debug!(
                        "{}: its addresses cannot be read again: {error}",
                        record.id.brief()
                    );
                }
            }
        }
        self.seen.get(&cookie)?.as_ref()
    }
}

/// Whether rules or hosts lines of a running container may not be those of its addresses now.
pub(crate) fn is_outdated(record: &Record, look: &mut Look<'_>) -> bool {
    !record.former.is_empty() || look.moved(record).is_some()
}

/// Reads the addresses of a running container again. If they have changed, its record is corrected, and
/// all links that the change concerns are planned again. Finishes an earlier such change first. Returns
/// whether something has changed.
pub(crate) fn follow(host: &Locked<'_>, record: &Record, look: &mut Look<'_>) -> Result<bool> {
    let moved = look.moved(record);
    if !record.former.is_empty() {
        let ips = record.network.addresses().iter().map(Address::ip);
        let ips = ips.chain(record.former.iter().copied()).collect();
        finish(host, vec![record.clone()], ips)?;
    }
    let Some(now) = moved else { return Ok(!record.former.is_empty()) };
    log::info!("{}: its addresses have changed: its links follow", record.id.brief());
    let ips = record.network.addresses().iter().chain(&now.0).map(Address::ip).collect();
    let members = correct(host, record, &now)?;
    finish(host, members, ips)?;
    Ok(true)
}

/// Writes the addresses that were seen into the record, and into those of its pod peers, which share its network
/// namespace. Returns the new records. Rules and hosts lines are still those of the old addresses, so the
/// records keep them as former ones.
fn correct(host: &Locked<'_>, record: &Record, seen: &Seen) -> Result<Vec<Record>> {
    let (now, fingerprint) = seen;
    let mut members = pod_peers(host.store.as_ref(), record)?;
    members.retain(|peer| peer.instance.shares_namespace(&record.instance));
    members.extend(host.store.get(&record.id)?);
    for member in &mut members {
        let old = member.network.addresses().iter().map(Address::ip);
        let is_gone = |ip: &IpAddr| !now.iter().any(|address| address.ip() == *ip);
        member.former = old.filter(is_gone).collect();
        member.network = Network::Own(now.clone());
        member.fingerprint = *fingerprint;
        put(host, member)?;
        if let Err(error) = isolating::restore(host, member) {
            log::error!(
                "{}: its isolation did not follow; run oci-link sync: {error}",
                member.id.brief()
            );
        }
    }
    Ok(members)
}

/// Writes a record. Its revision must be the one that is stored.
pub(super) fn put(host: &Locked<'_>, record: &mut Record) -> Result<()> {
    let change = Change::Put(record);
    match host.store.commit(host.lock(), &change, record.revision)? {
        Commit::Done(revision) => {
            record.revision = revision;
            Ok(())
        }
        Commit::Conflict => Err(conflicts(&record.id)),
    }
}

/// Plans all links again that depend on the addresses of `members` or on `ips`. After that no rule names
/// a former address.
fn finish(host: &Locked<'_>, members: Vec<Record>, ips: Vec<IpAddr>) -> Result<()> {
    replan_all(host, &concerned(host, &members, ips)?).into_result()?;
    // Rules for recipients of other hosts name the former addresses, too.
    guests::settle_all(host, members.iter().filter(|it| it.share != Share::None))?;
    for member in members {
        let now = host.store.get(&member.id)?.filter(|now| !now.former.is_empty());
        if let Some(mut now) = now {
            now.former.clear();
            put(host, &mut now)?;
        }
    }
    Ok(())
}

/// The containers whose links depend on the addresses of `members`: they and their recipients, and other
/// containers that have one of `ips` too, with theirs.
fn concerned(host: &Locked<'_>, members: &[Record], ips: Vec<IpAddr>) -> Result<Vec<Record>> {
    let mut all: Vec<Record> = Vec::new();
    let mut sources = members.to_vec();
    for ip in ips {
        match host.store.holders_of(ip) {
            // Only a newer oci-link can plan its links.
            Err(error) if error.cause == Cause::NewerRecord => {}
            holders => sources.extend(holders?),
        }
    }
    sources.sort_by(|one, other| one.id.cmp(&other.id));
    sources.dedup_by(|one, other| one.id == other.id);
    for source in sources {
        all.extend(recipients_of(host.store.as_ref(), &source)?);
        all.push(source);
    }
    all.retain(|record| !record.links.is_empty() || !record.flows.is_empty());
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all.dedup_by(|one, other| one.id == other.id);
    Ok(all)
}

/// Follows the running sources of a container's links, each once. Returns whether a source is on another host.
pub(crate) fn follow_sources(
    host: &Locked<'_>,
    me: Requester<'_>,
    links: &[LinkState],
    look: &mut Look<'_>,
) -> Result<bool> {
    let mut crosses = false;
    for source in candidates(host, me, links)? {
        match source {
            Candidate::Running(source) => drop(follow(host, &source, look)?),
            Candidate::There(_) => crosses = true,
            _ => {}
        }
    }
    Ok(crosses)
}

/// Follows a running container and its sources. Returns its record after that.
pub(crate) fn follow_with_sources(
    host: &Locked<'_>,
    me: Record,
    links: &[LinkState],
) -> Result<Record> {
    let mut look = Look::at_most(host, links.len() + 1);
    follow(host, &me, &mut look)?;
    follow_sources(host, Requester::of(&me), links, &mut look)?;
    Ok(host.store.get(&me.id)?.unwrap_or(me))
}

/// Returns `candidates` with the addresses that they have now. Their records are not changed, so no lock
/// is needed.
pub(crate) fn corrected(host: &Host, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut look = Look::at_most(host, candidates.len());
    for candidate in &mut candidates {
        if let Candidate::Running(source) = candidate {
            if let Some((now, _)) = look.moved(source) {
                source.network = Network::Own(now);
            }
        }
    }
    candidates
}

/// What a look at running containers found.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Those whose records do not have their addresses, each with those that it has now.
    pub(crate) moved: BTreeMap<ContainerId, Vec<Address>>,
    /// Whether one of them is not connected by veth pairs to bridges alone. The kernel may not report changes
    /// of it here.
    pub(crate) unheard: bool,
}

/// Looks at the running containers `ids`. Needs no lock and changes nothing.
pub(crate) fn look_at(host: &Host, ids: &[ContainerId]) -> Looked {
    let mut look = Look::at_most(host, ids.len());
    let mut looked = Looked::default();
    for id in ids {
        match host.store.get(id) {
            Ok(Some(record)) if is_running(&record, host.boot).is_ok_and(|runs| runs) => {
                let moved = look.moved(&record);
                let known = record.network.addresses();
                let now = moved.as_ref().map_or(known, |seen| &seen.0);
                let is_own = record.network.is_own();
                let on_bridges = now.iter().all(|address| address.bridge().is_some());
                looked.unheard |= is_own && (now.is_empty() || !on_bridges);
                looked.moved.extend(moved.map(|seen| (record.id, seen.0)));
            }
            Ok(_) => {}
            Err(error) => log::debug!("{}: its addresses are not read: {error}", id.brief()),
        }
    }
    looked
}
