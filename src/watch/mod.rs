//! `watch`: a daemon that does the work of `sync` and `gc` when something changes.
//!
//! ```text
//! event                        source                 handled by      reaction
//! a container's process ends   its pidfd              containers.rs   its links are removed
//! a record is written          store subscription     containers.rs   its process is followed
//! a note is left               store subscription     repair.rs       it is recorded
//! firewall rules change        netlink subscription   repair.rs       missing rules are restored
//! addresses change             rtnetlink subscription addresses.rs    links follow
//! a source without oci-link    a look every 4 s       sources.rs      links that wait for it are made
//! other hosts' records change  inotify on the spool   peers.rs        they are mirrored; with `[cluster]` only
//! any of these                 with --metrics only    metrics.rs      the file is written
//! SIGTERM, SIGINT, SIGHUP      signalfd               this file       stop, or reload
//! ```
//!
//! One thread waits for all events with epoll. None is handled at once ([`debounce`]). The poststop
//! hook of a container that ended runs a moment later, and a firewall reload makes hundreds of
//! changes. A timer wakes this process every four seconds while a link waits for a source without oci-link,
//! or while a container runs whose addresses change without a notification. Otherwise there is no timer, and
//! nothing wakes it.
//!
//! Nothing depends on the daemon. It keeps no state that matters and takes the same host lock as
//! all other commands. It can be killed at any time.

mod addresses;
mod between;
mod containers;
mod debounce;
mod metrics;
mod peers;
mod repair;
mod sources;

use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::adopt::end_watch;
use crate::lifecycle::home;
use crate::store::{StoreEvent, Subscription};
use crate::sys::daemon::epoll::Waiting;
use crate::sys::daemon::service::Manager;
use crate::sys::daemon::signals::{Request, Signals};
use crate::sys::process;
use addresses::Addresses;
use containers::Containers;
use debounce::Debounce;
use metrics::Metrics;
use peers::Peers;
use repair::Repair;
use sources::Sources;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// A starting container writes its record twice: pending, then ready.
const RECORDS: Debounce = Debounce::new(Duration::from_millis(30), Duration::from_millis(150));
/// Whatever removes a state directory should finish before the directory is created again.
const STORE: Debounce = Debounce::new(Duration::from_millis(100), Duration::from_secs(1));
/// Pause after a failed attempt to list the records.
const LATER: Duration = Duration::from_secs(2);

/// Why the daemon's loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A stop was requested.
    ForGood,
    /// A reload was requested, or the state directory was removed or replaced.
    ToBeginAnew,
}

/// All event sources, and the state derived from them.
struct Watch<'a> {
    host: &'a Host,
    waiting: Waiting,
    signals: Signals,
    subscription: Box<dyn Subscription>,
    records: Debounce,
    store: Debounce,
    containers: Containers,
    addresses: Addresses,
    sources: Sources,
    repair: Repair<'a>,
    peers: Option<Peers<'a>>,
    metrics: Option<Metrics<'a>>,
    status: String,
}

/// Watches `host`, and closes what must not stay open without `watch`. Metrics are written to the file `metrics`. See
/// [`watch`].
pub(crate) fn run(host: &Host, manager: &Manager, metrics: Option<&Path>) -> Result<Ended> {
    let ended = watch(host, manager, metrics);
    if !matches!(ended, Ok(Ended::ToBeginAnew)) {
        end_watch(host);
    }
    ended
}

/// Repairs and removes the links of `host` until a signal requests an end or a reload, or the state
/// directory is replaced. Only one process may watch a state directory; a second one gets an error.
fn watch(host: &Host, manager: &Manager, metrics: Option<&Path>) -> Result<Ended> {
    home::check(host)?;
    let _sole = host.sole_watch()?;
    let mut watch = Watch::begin(host)?;
    watch.metrics = metrics.map(|path| Metrics::at(host, path, Instant::now()));
    // The subscriptions already exist: changes during this first check cause another one.
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
                        watch.metrics.iter().for_each(Metrics::end);
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
        let mut sources = Sources::default();
        sources.notify(Instant::now());
        let peers = Peers::of(host, &signals, Instant::now())?;
        if let Some(peers) = &peers {
            peers.add_to(&waiting)?;
        }
        let addresses = Addresses::subscribed();
        if let Some(changes) = addresses.changes() {
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
            addresses,
            sources,
            repair,
            peers,
            metrics: None,
            status: String::new(),
        })
    }

    /// Reads the events of one descriptor. Returns the request of a signal.
    fn hear(&mut self, source: RawFd, now: Instant) -> Result<Option<Request>> {
        if source == self.signals.as_fd().as_raw_fd() {
            return self.signals.take();
        }
        if source == self.subscription.as_fd().as_raw_fd() {
            match self.subscription.poll()? {
                // Perhaps another process wrote down what it repaired.
                StoreEvent::Nothing => self.metrics.iter_mut().for_each(|it| it.notify(now)),
                StoreEvent::Written => {
                    self.records.notify(now);
                    self.sources.notify(now);
                }
                StoreEvent::Noted => {
                    self.sources.notify(now);
                    self.records.notify(now);
                    self.repair.notify(now);
                }
                StoreEvent::Gone => self.store.notify(now),
            }
        } else if self.repair.changes().is_some_and(|it| it.as_fd().as_raw_fd() == source) {
            self.repair.hear(now)?;
        } else if self.addresses.changes().is_some_and(|it| it.as_fd().as_raw_fd() == source) {
            self.addresses.hear(now)?;
        } else if let Some(peers) = self.peers_of(source) {
            peers.hear(now)?;
        } else {
            self.containers.ended(source, now);
        }
        Ok(None)
    }

    /// What follows other hosts, if `source` is a descriptor of its.
    fn peers_of(&mut self, source: RawFd) -> Option<&mut Peers<'a>> {
        self.peers.as_mut().filter(|peers| peers.has(source))
    }

    /// When the next work is due; `None` if nothing is pending.
    fn due(&self) -> Option<Instant> {
        let all = [
            self.records.due(),
            self.store.due(),
            self.containers.due(),
            self.addresses.due(),
            self.sources.due(),
            self.repair.due(),
            self.peers.as_ref().and_then(|peers| peers.due(Instant::now())),
            self.metrics.as_ref().and_then(Metrics::due),
        ];
        all.into_iter().flatten().min()
    }

    /// Does what is due. Dead containers come first: a rule for a dead container is worse than a
    /// missing one.
    fn act(&mut self, now: Instant) {
        if self.metrics.is_some() {
            self.measure(now);
        }
        self.containers.act(self.host, &self.waiting, now);
        if self.records.is_over(now) {
            self.list(now);
        }
        if self.addresses.act(self.host, self.containers.running(), now) {
            self.repair.notify(now);
        }
        if self.sources.due().is_some_and(|due| due <= now) {
            self.sources.look(self.host, now);
        }
        if self.repair.due().is_some_and(|due| due <= now) {
            self.repair.act(now);
        }
        if let Some(peers) =
            self.peers.as_mut().filter(|it| it.due(now).is_some_and(|due| due <= now))
        {
            peers.act(now);
        }
    }

    /// Writes the metrics if that is due. Other work that is due now changes them.
    fn measure(&mut self, now: Instant) {
        let peers = self.peers.as_ref();
        let parts = [
            self.records.due(),
            self.containers.due(),
            self.repair.due(),
            peers.and_then(|peers| peers.due(now)),
        ];
        let works = parts.into_iter().flatten().any(|due| due <= now);
        let age = peers.and_then(Peers::age);
        let Some(metrics) = &mut self.metrics else { return };
        metrics.act(now, age);
        if works {
            metrics.notify(now);
        }
    }

    fn list(&mut self, now: Instant) {
        if let Err(error) = self.containers.list(self.host, &self.waiting, now) {
            log::error!("cannot read the records: {error}");
            self.records.notify(now + LATER);
        }
        self.addresses.begin_round(now);
        if let Some(peers) = &mut self.peers {
            peers.notify(now);
        }
    }

    /// The status line for the service manager, if it has changed.
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
