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
//! moment later, and who reloads a firewall changes it a hundred times ([`debounce`]). When nothing is
//! due there is no timer, and nothing wakes this process.
//!
//! Nothing depends on it: it holds no state that matters, takes the same lock as everybody, and when it
//! is killed all is as if it had never run.

mod containers;
mod debounce;
mod repair;

use crate::error::Result;
use crate::host::Host;
use crate::store::{StoreEvent, Subscription};
use crate::sys::daemon::epoll::Waiting;
use crate::sys::daemon::service::Manager;
use crate::sys::daemon::signals::{Request, Signals};
use crate::sys::process;
use containers::Containers;
use debounce::Debounce;
use repair::Repair;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Records come in twos: pending, ready.
const RECORDS: Debounce = Debounce::new(Duration::from_millis(30), Duration::from_millis(150));
/// Who removes a state directory should be done with it before it is made anew.
const STORE: Debounce = Debounce::new(Duration::from_millis(100), Duration::from_secs(1));
/// Before a store that could not be listed is listed again.
const LATER: Duration = Duration::from_secs(2);

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
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
    subscription: Box<dyn Subscription>,
    records: Debounce,
    store: Debounce,
    containers: Containers,
    repair: Repair<'a>,
    status: String,
}

/// Sees to the links of `host` until it is told to end.
pub(crate) fn run(host: &Host, manager: &Manager) -> Result<Ended> {
    let _sole = host.sole_watch()?;
    let mut watch = Watch::begin(host)?;
    // Listening comes first: what happens while we look is looked at again.
    watch.repair.act(Instant::now());
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
                    Request::Reload => Ended::ToBeginAnew,
                    Request::Stop => {
                        manager.tell("STOPPING=1");
                        Ended::ForGood
                    }
                });
            }
        }
        if watch.store.is_over(Instant::now()) {
            log::warn!("state directory: removed or replaced; watching the new one");
            return Ok(Ended::ToBeginAnew);
        }
        watch.act(Instant::now());
    }
}

impl<'a> Watch<'a> {
    fn begin(host: &'a Host) -> Result<Self> {
        if let Err(error) = process::raise_open_files() {
            log::warn!("the limit of open files bounds how many containers are watched: {error}");
        }
        let waiting = Waiting::new()?;
        let signals = Signals::new()?;
        let subscription = host.store.subscribe()?;
        let repair = Repair::of(host);
        waiting.add(&signals)?;
        waiting.add(&subscription)?;
        if let Some(changes) = repair.changes() {
            waiting.add(changes)?;
        }
        Ok(Self {
            host,
            waiting,
            signals,
            subscription,
            records: RECORDS,
            store: STORE,
            containers: Containers::default(),
            repair,
            status: String::new(),
        })
    }

    /// Takes note of what one descriptor has to say.
    fn hear(&mut self, source: RawFd, now: Instant) -> Result<Option<Request>> {
        if source == self.signals.as_fd().as_raw_fd() {
            return self.signals.take();
        }
        if source == self.subscription.as_fd().as_raw_fd() {
            match self.subscription.poll()? {
                StoreEvent::Nothing => {}
                StoreEvent::Written => self.records.notify(now),
                StoreEvent::Gone => self.store.notify(now),
            }
        } else if self.repair.changes().is_some_and(|it| it.as_fd().as_raw_fd() == source) {
            self.repair.hear(now)?;
        } else {
            self.containers.ended(source, now);
        }
        Ok(None)
    }

    /// When something is to be done; never, as long as nothing happens.
    fn due(&self) -> Option<Instant> {
        let all = [self.records.due(), self.store.due(), self.containers.due(), self.repair.due()];
        all.into_iter().flatten().min()
    }

    /// Does what is due. The dead come first: an open way is worse than a closed one.
    fn act(&mut self, now: Instant) {
        self.containers.act(self.host, &self.waiting, now);
        if self.records.is_over(now) {
            self.list(now);
        }
        if self.repair.due().is_some_and(|due| due <= now) {
            self.repair.act(now);
        }
    }

    fn list(&mut self, now: Instant) {
        if let Err(error) = self.containers.list(self.host, &self.waiting, now) {
            log::error!("cannot read the records: {error}");
            self.records.notify(now + LATER);
        }
    }

    /// How it is, if that is not what was said last.
    fn new_status(&mut self) -> Option<&str> {
        let trouble = if self.repair.is_done() {
            ""
        } else {
            "; some problems could not be repaired, see the log"
        };
        let status = format!("watched containers: {}{trouble}", self.containers.count());
        if status == self.status {
            return None;
        }
        self.status = status;
        Some(&self.status)
    }
}
