//! Looks for sources in Docker's files that links wait for. A look costs one system call for each container
//! of Docker, and reads the files that have changed. While no link waits, it costs nothing.

use crate::host::Host;
use crate::lifecycle::adopt::record_all;
use crate::lifecycle::awaited::Awaited;
use std::time::{Duration, Instant};

/// How often it looks while links wait.
const PERIOD: Duration = Duration::from_secs(4);
/// After a look, rest so many times its duration: the looks take at most 1 % of a processor.
const REST: u32 = 100;
/// Upper bound for that rest.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The links that wait, as far as the records were read.
#[derive(Debug)]
pub(crate) struct Sources {
    awaited: Awaited,
    /// Whether records may have changed since they were read.
    is_stale: bool,
    next: Option<Instant>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { awaited: Awaited::default(), is_stale: true, next: None }
    }
}

impl Sources {
    /// Notes that records were written: other links may wait now.
    pub(crate) fn notify(&mut self, now: Instant) {
        self.is_stale = true;
        self.next.get_or_insert(now + PERIOD);
    }

    /// When the next look is due. While no link waits there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Looks for the sources, and records those that were found.
    pub(crate) fn look(&mut self, host: &Host, now: Instant) {
        if self.is_stale {
            match self.awaited.read(host) {
                Ok(()) => self.is_stale = false,
                Err(error) => log::debug!("links that wait: {error}"),
            }
        }
        if !record_all(host, &self.awaited.look(host)) {
            // What was seen counts as new once more.
            *self = Self::default();
        }
        log::debug!("watch: has looked for sources that links wait for");
        let then = Instant::now();
        let rest = (then.duration_since(now) * REST).min(LONGEST_REST);
        let waits = self.is_stale || self.awaited.is_any();
        self.next = waits.then(|| then + PERIOD.max(rest));
    }
}
