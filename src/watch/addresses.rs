//! Looks whether containers still have the addresses of their records. The kernel reports changes only
//! inside of their network namespaces, so they are read from time to time, without the host lock.

use crate::host::Host;
use crate::lifecycle::addresses::all_moved;
use crate::model::{Address, ContainerId};
use std::time::{Duration, Instant};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(4);
/// After a look, rest so many times its duration.
const REST: u32 = 20;

/// When to look next, and what was found last.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    next: Option<Instant>,
    found: Vec<(ContainerId, Vec<Address>)>,
}

impl Addresses {
    /// When the next look is due. Without running containers there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Plans looks if there are containers, or none otherwise.
    pub(crate) fn look_while(&mut self, are_there: bool, now: Instant) {
        self.next = are_there.then(|| self.next.unwrap_or(now + PERIOD));
    }

    /// Looks if it is due. Returns whether a container has moved. One that could not be repaired is
    /// reported once.
    pub(crate) fn act(&mut self, host: &Host, now: Instant) -> bool {
        if self.next.is_none_or(|next| next > now) {
            return false;
        }
        let found = all_moved(host).unwrap_or_else(|error| {
            log::debug!("addresses of containers: {error}");
            Vec::new()
        });
        let then = Instant::now();
        self.next = Some(then + PERIOD.max(then.duration_since(now) * REST));
        let is_new = !found.is_empty() && found != self.found;
        self.found = found;
        is_new
    }
}
