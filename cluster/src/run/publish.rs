//! The records of this host: from `offers` into etcd, under one lease.

use super::{Desk, Shared, milliseconds};
use crate::clock::boottime_ms;
use crate::etcd::{Client, Failure, Fence, Outcome, Pages, Write, code};
use crate::incarnation::Incarnation;
use crate::names::{Kind, PREFIX, Place, end_of};
use crate::offers::{Changed, Offers};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::sleep;

/// Changes of one transaction. etcd allows 128.
const BATCH: usize = 100;
/// Keys that etcd checks in one transaction.
const CHECKS: usize = 10_000;
/// Bytes of one transaction. etcd allows 1.5 MiB.
const BATCH_BYTES: usize = 512 << 10;
/// Before what etcd refused is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Publishes the records of this host.
pub(super) struct Publisher {
    offers: Offers,
    incarnation: Incarnation,
    fence: Fence,
    hasher: RandomState,
}

/// Why publishing under a lease has ended.
enum End {
    /// The lease has gone, or the presence.
    Gone,
    /// Another machine has the name of this host.
    NameTaken,
}

/// A key to look after.
enum Task {
    /// The key is to be as the file is.
    Look(Place),
    /// The key is to go: no file can be its origin.
    Delete(String),
}

impl Publisher {
    /// Publishes what is in `offers`.
    pub(super) fn new(shared: &Shared, offers: Offers, incarnation: Incarnation) -> Self {
        let fence = Fence { key: shared.presence_key(), mine: incarnation.presence().into() };
        Self { offers, incarnation, fence, hasher: RandomState::new() }
    }

    /// Publishes until the connection is of no use. What etcd refuses is tried again; the copies of other
    /// hosts' records do not depend on it.
    pub(super) async fn run(&mut self, shared: &Shared, client: &Client) -> Failure {
        loop {
            let (problem, wait) = match self.hold(shared, client).await {
                Ok(End::Gone) => (None, Duration::from_millis(100)),
                Ok(End::NameTaken) => {
                    let name = &shared.config.name;
                    let problem = format!("host name {name:?} is published by another machine");
                    (Some(problem), shared.config.ttl())
                }
                Err(Failure::Refused { text, .. }) => (Some(refused(&text)), RETRY),
                Err(failure) => return failure,
            };
            shared.report(|desk| desk.not_published(problem));
            sleep(wait).await;
        }
    }

    /// Takes the host name with a lease, and publishes under it until one of them has gone.
    async fn hold(&mut self, shared: &Shared, client: &Client) -> Outcome<End> {
        let (_, holder) = client.get(self.fence.key.clone()).await?;
        if holder.is_some_and(|holder| holder.value != self.fence.mine) {
            return Ok(End::NameTaken);
        }
        let lease = self.lease(shared, client).await?;
        if !client.claim(&self.fence, lease).await? {
            return Ok(End::NameTaken);
        }
        tokio::select! {
            end = keep_alive(shared, client, lease) => end,
            end = self.serve(shared, client, lease) => end,
        }
    }

    /// The lease of an earlier connection or process, if it lives; else a new one.
    async fn lease(&mut self, shared: &Shared, client: &Client) -> Outcome<i64> {
        if let Some(lease) = self.incarnation.lease {
            match client.keep_alive(lease).await {
                Ok(true) => return Ok(lease),
                Ok(false) | Err(Failure::Refused { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        let lease = client.grant(shared.config.ttl()).await?;
        self.incarnation.lease = Some(lease);
        let kept = self.incarnation.keep(&shared.spool.borrow());
        kept.map_err(|cause| Failure::Local(format!("the spool cannot be written: {cause}")))?;
        Ok(lease)
    }

    /// Publishes what there is and what changes.
    async fn serve(&mut self, shared: &Shared, client: &Client, lease: i64) -> Outcome<End> {
        let mut changed = Changed::All;
        loop {
            let problem = match self.publish(shared, client, lease, changed).await {
                Ok(true) => None,
                Ok(false) => return Ok(End::Gone),
                // There is no such lease, or a key that was to be changed has gone.
                Err(failure) if failure.is(code::NOT_FOUND) || failure.names("key not found") => {
                    return Ok(End::Gone);
                }
                Err(Failure::Refused { text, .. }) => Some(refused(&text)),
                Err(Failure::Local(text)) => Some(text),
                Err(failure) => return Err(failure),
            };
            if problem.is_some() {
                shared.report(|desk| desk.not_published(problem));
                sleep(RETRY).await;
                changed = Changed::All;
                continue;
            }
            shared.report(Desk::published);
            changed = tokio::select! {
                changed = self.offers.changed() => changed,
                () = shared.disturbed.notified() => Changed::All,
            };
        }
    }

    /// Publishes these changes. Returns whether the host name is still ours.
    async fn publish(
        &mut self,
        shared: &Shared,
        client: &Client,
        lease: i64,
        changed: Changed,
    ) -> Outcome<bool> {
        let tasks = match changed {
            Changed::Some(places) => places.into_iter().map(Task::Look).collect(),
            Changed::All => {
                let wanted = self.offers.list().map_err(offers_failed)?;
                self.compare(shared, client, lease, wanted).await?
            }
        };
        self.carry_out(shared, client, lease, tasks).await
    }

    /// Compares etcd with `wanted`, and returns what may differ.
    async fn compare(
        &self,
        shared: &Shared,
        client: &Client,
        lease: i64,
        mut wanted: BTreeSet<Place>,
    ) -> Outcome<Vec<Task>> {
        shared.out.borrow_mut().clear();
        let prefix = format!("{PREFIX}{}/", shared.config.name);
        let mut pages = Pages::new(prefix.as_bytes(), &end_of(&prefix));
        let mut tasks = Vec::new();
        while let Some(page) = pages.next(client).await? {
            let whole = page.keys.iter().map(|kv| (&kv.key, kv.lease == lease, Some(&kv.value)));
            let large = page.too_large.iter().map(|key| (key, false, None));
            for (key, has_lease, value) in whole.chain(large) {
                match Place::of_key(key) {
                    Some(place) if place.kind == Kind::Presence => {}
                    Some(place) if wanted.remove(&place) => {
                        let hash = value.filter(|_| has_lease).map(|value| self.hash(value));
                        shared.out.borrow_mut().insert(place.clone(), hash);
                        tasks.push(Task::Look(place));
                    }
                    _ => tasks.extend(String::from_utf8(key.to_vec()).map(Task::Delete)),
                }
            }
        }
        tasks.extend(wanted.into_iter().map(Task::Look));
        Ok(tasks)
    }

    /// Writes what differs from the files, in batches. Returns whether the host name is still ours.
    async fn carry_out(
        &self,
        shared: &Shared,
        client: &Client,
        lease: i64,
        tasks: Vec<Task>,
    ) -> Outcome<bool> {
        let (mut writes, mut put, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut tasks = tasks.into_iter().peekable();
        while let Some(task) = tasks.next() {
            let write = match task {
                Task::Delete(key) => Some(Write::Delete(key)),
                Task::Look(place) => {
                    let is = self.offers.read(&place).map_err(offers_failed)?;
                    let hash = is.as_ref().map(|value| self.hash(value));
                    bytes += is.as_ref().map_or(0, Bytes::len);
                    let write = difference(shared, &place, is, hash);
                    put.extend(hash.filter(|_| write.is_some()).map(|hash| (place, Some(hash))));
                    write
                }
            };
            writes.extend(write);
            let is_full = writes.len() >= batch(shared) || bytes >= BATCH_BYTES;
            if !writes.is_empty() && (is_full || tasks.peek().is_none()) {
                if !client.write(&self.fence, lease, &writes).await? {
                    return Ok(false);
                }
                shared.out.borrow_mut().extend(put.drain(..));
                writes.clear();
                bytes = 0;
            }
        }
        Ok(true)
    }

    fn hash(&self, value: &Bytes) -> u64 {
        self.hasher.hash_one(value)
    }
}

/// How many changes go into one transaction. For each put etcd checks all keys of the lease (etcd#15993),
/// and meanwhile nothing else of any host.
fn batch(shared: &Shared) -> usize {
    (CHECKS / (1 + shared.out.borrow().len())).clamp(1, BATCH)
}

/// What is to be written so that the key of `place` is as its file, whose content has this hash.
fn difference(
    shared: &Shared,
    place: &Place,
    file: Option<Bytes>,
    hash: Option<u64>,
) -> Option<Write> {
    let mut out = shared.out.borrow_mut();
    match (file, out.get(place)) {
        (Some(_), Some(known)) if *known == hash => None,
        (Some(value), Some(Some(_))) => Some(Write::Change(place.key(), value)),
        (Some(value), _) => Some(Write::Put(place.key(), value)),
        (None, _) => out.remove(place).map(|_| Write::Delete(place.key())),
    }
}

/// Renews the lease until it has gone.
async fn keep_alive(shared: &Shared, client: &Client, lease: i64) -> Outcome<End> {
    let ttl = shared.config.ttl();
    loop {
        let at = boottime_ms();
        if !client.keep_alive(lease).await? {
            return Ok(End::Gone);
        }
        shared.desk.borrow_mut().lease(lease, at + milliseconds(ttl));
        sleep(ttl / 3).await;
    }
}

fn refused(text: &str) -> String {
    format!("own records are not published: {text}")
}

fn offers_failed(cause: impl std::fmt::Display) -> Failure {
    Failure::Local(format!("own records cannot be read: {cause}"))
}
