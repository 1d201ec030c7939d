//! The containers that have a record: those that run, and those whose process has ended.

use super::debounce::pause_after;
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::stop_if_dead;
use crate::model::{ContainerId, Record};
use crate::sys::daemon::epoll::Waiting;
use crate::sys::net::netns::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// How long to wait for the engine after a container's process ended. Most engines run poststop
/// hooks within a few tens of milliseconds; then nothing is left to do.
const GRACE: Duration = Duration::from_millis(250);
/// Pause between two dead containers, in which starting containers can take the host lock.
const TURN: Duration = Duration::from_millis(5);

/// Follows the processes of all containers and removes what dead ones left behind.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    running: BTreeMap<ContainerId, Process>,
    over: BTreeMap<ContainerId, Over>,
    /// Containers whose record cannot be read or whose process cannot be pinned. The error is
    /// logged once.
    strange: BTreeSet<ContainerId>,
}

/// When a container whose process ended is checked, and how many attempts have failed.
#[derive(Debug, Clone, Copy)]
struct Over {
    due: Instant,
    failed: u32,
}

impl Containers {
    /// The number of containers whose process is followed.
    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// The containers whose process is followed.
    pub(crate) fn running(&self) -> &BTreeMap<ContainerId, Process> {
        &self.running
    }

    /// Reads the list of records: follows new containers, and forgets those without a record.
    pub(crate) fn list(&mut self, host: &Host, waiting: &Waiting, now: Instant) -> Result<()> {
        let ids = host.store.ids()?;
        self.running.retain(|id, _| ids.contains(id));
        self.over.retain(|id, _| ids.contains(id));
        self.strange.retain(|id| ids.contains(id));
        for id in ids {
            if self.running.contains_key(&id) || self.over.contains_key(&id) {
                continue;
            }
            match host.store.get(&id) {
                Ok(Some(record)) => self.follow(host, waiting, &record, now),
                Ok(None) => {}
                Err(error) => self.log_unknown(&id, &error),
            }
        }
        Ok(())
    }

    /// Notes that the process behind the pidfd `source` has ended.
    pub(crate) fn ended(&mut self, source: RawFd, now: Instant) {
        let mut running = self.running.iter();
        let ended = running.find(|(_, process)| process.as_fd().as_raw_fd() == source);
        if let Some(id) = ended.map(|(id, _)| id.clone()) {
            // Close the pidfd: it would stay readable forever.
            self.running.remove(&id);
            self.over.insert(id, Over { due: now + GRACE, failed: 0 });
        }
    }

    /// When the next container must be checked, if there is one.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.over.values().map(|over| over.due).min()
    }

    /// Removes what the container that is due first left behind. The next one waits for a pause.
    pub(crate) fn act(&mut self, host: &Host, waiting: &Waiting, now: Instant) {
        let first = self.over.iter().filter(|(_, over)| over.due <= now).min_by_key(|(_, o)| o.due);
        let Some((id, over)) = first.map(|(id, over)| (id.clone(), *over)) else { return };
        self.over.remove(&id);
        match end(host, &id) {
            Ok(None) => {}
            // A container with this id was started again meanwhile.
            Ok(Some(record)) => self.follow(host, waiting, &record, now),
            Err(error) => {
                let failed = over.failed.saturating_add(1);
                log::error!(
                    "{}: the container ended, and its links could not be removed: {error}",
                    id.brief()
                );
                self.over.insert(id, Over { due: now + pause_after(failed), failed });
            }
        }
        let next = Instant::now() + TURN;
        for over in self.over.values_mut() {
            over.due = over.due.max(next);
        }
    }

    fn follow(&mut self, host: &Host, waiting: &Waiting, record: &Record, now: Instant) {
        let id = &record.id;
        let pinned = Process::pin(record.instance.pid).and_then(|process| {
            waiting.add(&process)?;
            Ok(process)
        });
        // The record is compared after the process is pinned, so the pid cannot belong to another
        // process.
        let pinned = match is_running(record, host.boot) {
            Ok(true) => pinned,
            Ok(false) => {
                self.over.insert(id.clone(), Over { due: now + GRACE, failed: 0 });
                return;
            }
            Err(error) => Err(error),
        };
        match pinned {
            Ok(process) => {
                self.strange.remove(id);
                self.running.insert(id.clone(), process);
            }
            Err(error) => self.log_unknown(id, &error),
        }
    }

    fn log_unknown(&mut self, id: &ContainerId, error: &crate::error::Error) {
        if self.strange.insert(id.clone()) {
            log::error!("{}: the end of this container will not be noticed: {error}", id.brief());
        }
    }
}

/// Removes a dead container; returns its record if it runs after all. Most dead containers were
/// already removed by their engine's hooks, which shows without the lock.
fn end(host: &Host, id: &ContainerId) -> Result<Option<Record>> {
    match host.store.get(id)? {
        Some(_) => stop_if_dead(host, id),
        None => Ok(None),
    }
}
