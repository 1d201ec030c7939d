//! `watch`: what `sync` and `gc` do when somebody calls them, done when it becomes necessary.
//!
//! ```text
//! a container's process ends      its pidfd               containers.rs   its links are closed
//! a record is written             the store's feed        containers.rs   its process is followed
//! somebody changes rules          the kernel's messages   mending.rs      what is missing is made
//! SIGTERM, SIGINT, SIGHUP         a signalfd              here
//! ```
//!
//! One thread waits for all of it. Nothing is acted on at once: who ended a container says so a
//! moment later, and who reloads a firewall changes it a hundred times ([`calm`]). When nothing is
//! due there is no timer, and nothing wakes this process.
//!
//! Nothing depends on it: it holds no state that matters, takes the same lock as everybody, and when it
//! is killed all is as if it had never run.

mod containers;
mod debounce;
mod repair;

use crate::error::Result;
use crate::host::Host;
use crate::store::{Feed, News};
use crate::sys::daemon::epoll::Waiting;
use crate::sys::daemon::service::Manager;
use crate::sys::daemon::signals::{Signals, Word};
use crate::sys::process;
use containers::Containers;
use debounce::Calm;
use repair::Mending;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Records come in twos: pending, ready.
const RECORDS: Calm = Calm::new(Duration::from_millis(30), Duration::from_millis(150));
/// Who removes a state directory should be done with it before it is made anew.
const STORE: Calm = Calm::new(Duration::from_millis(100), Duration::from_secs(1));
/// Before a store that could not be listed is listed again.
const LATER: Duration = Duration::from_secs(2);

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody said so.
    ForGood,
    /// Somebody asked for it, or the state directory is another one now.
    ToBeginAnew,
}

/// Everything that is listened to, and what is known from it.
struct Watch<'a> {
    host: &'a Host,
    waiting: Waiting,
    signals: Signals,
    feed: Box<dyn Feed>,
    records: Calm,
    store: Calm,
    containers: Containers,
    mending: Mending<'a>,
    status: String,
}

/// Sees to the links of `host` until it is told to end.
pub fn run(host: &Host, manager: &Manager) -> Result<Ended> {
    let _sole = host.sole_watch()?;
    let mut watch = Watch::begin(host)?;
    // Listening comes first: what happens while we look is looked at again.
    watch.mending.act(Instant::now());
    watch.list(Instant::now());
    manager.tell("READY=1");
    loop {
        if let Some(status) = watch.new_status() {
            manager.tell(&format!("STATUS={status}"));
        }
        let now = Instant::now();
        let patience = watch.due().map(|due| due.saturating_duration_since(now));
        for source in watch.waiting.ready(patience)? {
            if let Some(word) = watch.hear(source, Instant::now())? {
                return Ok(match word {
                    Word::Again => Ended::ToBeginAnew,
                    Word::End => {
                        manager.tell("STOPPING=1");
                        Ended::ForGood
                    }
                });
            }
        }
        if watch.store.is_over(Instant::now()) {
            log::warn!("state directory: is gone, or another one: looked at anew");
            return Ok(Ended::ToBeginAnew);
        }
        watch.act(Instant::now());
    }
}

impl<'a> Watch<'a> {
    fn begin(host: &'a Host) -> Result<Self> {
        if let Err(error) = process::raise_open_files() {
            log::warn!("no more containers are followed than files may be open: {error}");
        }
        let waiting = Waiting::new()?;
        let signals = Signals::new()?;
        let feed = host.store.feed()?;
        let mending = Mending::of(host);
        waiting.add(&signals)?;
        waiting.add(&feed)?;
        if let Some(changes) = mending.changes() {
            waiting.add(changes)?;
        }
        Ok(Self {
            host,
            waiting,
            signals,
            feed,
            records: RECORDS,
            store: STORE,
            containers: Containers::default(),
            mending,
            status: String::new(),
        })
    }

    /// Takes note of what one descriptor has to say.
    fn hear(&mut self, source: RawFd, now: Instant) -> Result<Option<Word>> {
        if source == self.signals.as_fd().as_raw_fd() {
            return self.signals.take();
        }
        if source == self.feed.as_fd().as_raw_fd() {
            match self.feed.take()? {
                News::Nothing => {}
                News::Written => self.records.disturb(now),
                News::Gone => self.store.disturb(now),
            }
        } else if self.mending.changes().is_some_and(|it| it.as_fd().as_raw_fd() == source) {
            self.mending.hear(now)?;
        } else {
            self.containers.ended(source, now);
        }
        Ok(None)
    }

    /// When something is to be done; never, as long as nothing happens.
    fn due(&self) -> Option<Instant> {
        let all = [self.records.due(), self.store.due(), self.containers.due(), self.mending.due()];
        all.into_iter().flatten().min()
    }

    /// Does what is due. The dead come first: an open way is worse than a closed one.
    fn act(&mut self, now: Instant) {
        self.containers.act(self.host, &self.waiting, now);
        if self.records.is_over(now) {
            self.list(now);
        }
        if self.mending.due().is_some_and(|due| due <= now) {
            self.mending.act(now);
        }
    }

    fn list(&mut self, now: Instant) {
        if let Err(error) = self.containers.list(self.host, &self.waiting, now) {
            log::error!("records: {error}");
            self.records.disturb(now + LATER);
        }
    }

    /// How it is, if that is not what was said last.
    fn new_status(&mut self) -> Option<&str> {
        let trouble = if self.mending.is_done() { "" } else { "; not all is well, see the log" };
        let status = format!("{} containers are followed{trouble}", self.containers.count());
        if status == self.status {
            return None;
        }
        self.status = status;
        Some(&self.status)
    }
}
