//! The records of other hosts: from etcd into the spool, and the proof that they are complete.

use super::{Shared, milliseconds};
use crate::clock::boottime_ms;
use crate::etcd::{Change, Client, Failure, KeyValue, News, Outcome, Pages, Watch, code};
use crate::names::{Kind, PREFIX, Place, end_of};
use crate::spool::{MAX_RECORD, Put};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Before everything is read once more.
const AGAIN: Duration = Duration::from_millis(100);
/// How long etcd may take to say how far the watch is.
const PROGRESS: Duration = Duration::from_secs(5);
/// etcd does not answer while the watch is behind; it is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How often a spool that was full is compared again after something has gone.
const MAKE_ROOM: Duration = Duration::from_secs(30);

/// Mirrors until the connection is of no use.
pub(super) async fn run(shared: &Shared, client: &Client) -> Failure {
    loop {
        let mut mirror = Mirror { shared, client, is_full: false, has_gone: false, since: 0 };
        let revision = match mirror.resync().await {
            Ok(revision) => revision,
            // Compacted between two pages.
            Err(failure) if failure.is(code::OUT_OF_RANGE) => 0,
            Err(failure) => return failure,
        };
        if revision > 0 {
            match mirror.follow(revision + 1).await {
                // Nothing can be read that is so large, but perhaps what follows it.
                Ok(()) | Err(Failure::TooLarge) => {}
                Err(failure) => return failure,
            }
        }
        sleep(AGAIN).await;
    }
}

struct Mirror<'s> {
    shared: &'s Shared,
    client: &'s Client,
    /// A record had no room in the spool.
    is_full: bool,
    /// A record has gone since.
    has_gone: bool,
    /// When everything was read, in ms since boot.
    since: u64,
}

impl Mirror<'_> {
    /// Reads all records at one revision, writes the difference into the spool, and returns the revision.
    ///
    /// Nothing is removed before the last page has been read.
    async fn resync(&mut self) -> Outcome<i64> {
        let Self { shared, client, .. } = *self;
        self.since = boottime_ms();
        let mut pages = Pages::new(PREFIX.as_bytes(), &end_of(PREFIX));
        shared.spool.borrow_mut().begin();
        let mut is_first = true;
        while let Some(page) = pages.next(client).await? {
            if is_first {
                shared.desk.borrow_mut().resync(pages.cluster(), pages.revision());
                is_first = false;
            }
            if page.too_large.is_some() {
                shared.desk.borrow_mut().dropped();
            }
            page.keys.iter().try_for_each(|kv| self.put(kv))?;
        }
        shared.spool.borrow_mut().finish().map_err(local)?;
        shared.report(|desk| desk.fresh(self.since));
        Ok(pages.revision())
    }

    /// Follows what changes from `revision` on, and proves again and again that nothing is missing.
    ///
    /// Returns when everything must be read again.
    async fn follow(&mut self, revision: i64) -> Outcome<()> {
        let end = end_of(PREFIX);
        let Watch { mut asker, mut feed } =
            self.client.watch(PREFIX.as_bytes(), &end, revision).await?;
        let (reached, progress) = watch::channel(0);
        let (shared, client) = (self.shared, self.client);
        let read = async {
            loop {
                match feed.next().await? {
                    News::Compacted => return Ok(()),
                    News::Progress(revision) => {
                        reached.send_replace(revision);
                    }
                    News::Changes(revision, changes) => {
                        self.apply(&changes)?;
                        shared.desk.borrow_mut().revision(revision);
                        if self.must_make_room() {
                            return Ok(());
                        }
                    }
                }
            }
        };
        let prove = async {
            let mut progress = progress;
            loop {
                sleep(shared.config.proof_interval()).await;
                let at = boottime_ms();
                // The member itself may be cut off and behind: only a majority knows the revision.
                let (revision, _) = client.get(shared.presence_key()).await?;
                let caught_up = catch_up(&mut asker, &mut progress, revision);
                timeout(PROGRESS, caught_up)
                    .await
                    .unwrap_or_else(|_| Err(Failure::lost("the watch is behind")))?;
                shared.report(|desk| desk.fresh(at));
            }
        };
        tokio::select! {
            end = read => end,
            end = prove => end,
        }
    }

    fn apply(&mut self, changes: &[Change]) -> Outcome<()> {
        changes.iter().try_for_each(|change| match change {
            Change::Put(kv) => self.put(kv),
            Change::Delete(key) => self.delete(key),
        })
    }

    /// Copies a record, unless it is this host's own or no record.
    fn put(&mut self, kv: &KeyValue) -> Outcome<()> {
        let shared = self.shared;
        let Some(place) = Place::of_key(&kv.key) else {
            shared.desk.borrow_mut().dropped();
            return Ok(());
        };
        if place.host == shared.config.name {
            return Ok(());
        }
        let mut spool = shared.spool.borrow_mut();
        if kv.value.len() > MAX_RECORD {
            shared.desk.borrow_mut().dropped();
            return spool.remove(&place).map_err(local);
        }
        if spool.put(&place, &kv.value).map_err(local)? == Put::Full {
            shared.desk.borrow_mut().dropped();
            self.is_full = true;
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Outcome<()> {
        let shared = self.shared;
        let Some(place) = Place::of_key(key) else { return Ok(()) };
        if place.host != shared.config.name {
            self.has_gone = true;
            return shared.spool.borrow_mut().remove(&place).map_err(local);
        }
        // Own records that this process removes are not in `out` any more.
        if place.kind == Kind::Presence || shared.out.borrow().contains_key(&place) {
            shared.disturbed.notify_one();
        }
        Ok(())
    }

    /// Whether records that had no room may have room now.
    fn must_make_room(&self) -> bool {
        let is_time = boottime_ms().saturating_sub(self.since) > milliseconds(MAKE_ROOM);
        self.is_full && self.has_gone && is_time
    }
}

/// Waits until etcd has said everything up to `revision`.
async fn catch_up(
    asker: &mut crate::etcd::Asker,
    progress: &mut watch::Receiver<i64>,
    revision: i64,
) -> Outcome<()> {
    loop {
        asker.ask()?;
        let answer = timeout(ASK_AGAIN, progress.changed()).await;
        if matches!(answer, Ok(Ok(()))) && *progress.borrow_and_update() >= revision {
            return Ok(());
        }
    }
}

fn local(cause: impl std::fmt::Display) -> Failure {
    Failure::Local(format!("the spool cannot be written: {cause}"))
}
