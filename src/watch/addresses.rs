//! Looks whether containers still have the addresses of their records, without the host lock.
//!
//! A round reads all containers. It begins when the kernel reports a change of an address or an interface, which
//! it does for containers with a veth pair to this host. While there are others, or where the kernel
//! reports nothing, rounds follow each other. A look reads a bounded number of containers, the next one goes on
//! behind the last of them. So an idle daemon sleeps, and a busy one takes no more of a processor with ten thousand
//! containers than with a hundred.

use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::addresses::{Looked, look_at};
use crate::model::{Address, ContainerId};
use crate::sys::net::address_changes::AddressChanges;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// How often it looks at containers of which nothing is reported.
const PERIOD: Duration = Duration::from_secs(4);
/// How soon it looks after a report. Others follow it.
const SOON: Duration = Duration::from_millis(100);
/// How many containers one look reads, each in some 100 microseconds.
pub(super) const AT_ONCE: usize = 256;
/// After a look, rest so many times its duration: the looks take about 1 % of a processor.
const REST: u32 = 100;
/// Upper bound for that rest. A look takes long where the processors are busy with something else.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// When to look next, and what was found last.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    changes: Option<AddressChanges>,
    next: Option<Instant>,
    /// No look before this.
    rest: Option<Instant>,
    /// The last container that was read; `None` at the beginning of a round.
    last: Option<ContainerId>,
    /// Whether another round follows this one.
    again: bool,
    /// Whether a container of this round changes without a report.
    unheard: bool,
    /// The containers that had moved at the last look at them.
    found: BTreeMap<ContainerId, Vec<Address>>,
}

impl Addresses {
    /// Subscribes to reports of the kernel. If that is not possible, looks are timed.
    pub(crate) fn subscribed() -> Self {
        let changes = AddressChanges::open();
        if let Err(error) = &changes {
            log::warn!("addresses of containers are read every 4 s: {error}");
        }
        Self { changes: changes.ok(), ..Self::default() }
    }

    /// The subscription, if there is one.
    pub(crate) fn changes(&self) -> Option<&AddressChanges> {
        self.changes.as_ref()
    }

    /// Takes the reports that have arrived, and plans a round.
    pub(crate) fn hear(&mut self, now: Instant) -> Result<()> {
        self.changes.as_mut().map_or(Ok(()), AddressChanges::drain)?;
        log::debug!("watch: an address or an interface has changed");
        self.begin_round(now);
        Ok(())
    }

    /// Plans a round.
    pub(crate) fn begin_round(&mut self, now: Instant) {
        // The containers before the last one may be those that changed.
        self.again |= self.last.is_some();
        let soon = (now + SOON).max(self.rest.unwrap_or(now));
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }

    /// When the next look is due. Without running containers there is none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Looks at some of the containers `running` if it is due. Returns whether one of them has moved. One
    /// that could not be repaired is reported once.
    pub(crate) fn act<T>(
        &mut self,
        host: &Host,
        running: &BTreeMap<ContainerId, T>,
        now: Instant,
    ) -> bool {
        if self.next.is_none_or(|next| next > now) {
            return false;
        }
        let some = self.take_turn(running);
        let Looked { mut moved, unheard } = look_at(host, &some);
        log::debug!("watch: has read the addresses of {} containers", some.len());
        self.unheard |= unheard;
        let mut is_new = false;
        for id in some {
            match moved.remove(&id) {
                Some(addresses) => {
                    is_new |= self.found.get(&id) != Some(&addresses);
                    self.found.insert(id, addresses);
                }
                None => _ = self.found.remove(&id),
            }
        }
        self.found.retain(|id, _| running.contains_key(id));
        let then = Instant::now();
        let rest = (then.duration_since(now) * REST).min(LONGEST_REST);
        self.plan(then, rest, running.is_empty());
        is_new
    }

    /// Plans the next look, after a rest of this length at least.
    fn plan(&mut self, now: Instant, rest: Duration, no_containers: bool) {
        self.rest = Some(now + rest);
        let pause = if self.last.is_some() || self.again {
            Some(SOON)
        } else if self.unheard || self.changes.is_none() {
            Some(PERIOD)
        } else {
            None
        };
        if self.last.is_none() {
            (self.again, self.unheard) = (false, false);
        }
        let pause = pause.filter(|_| !no_containers);
        self.next = pause.map(|pause| now + pause.max(rest));
    }

    /// The containers whose turn it is.
    fn take_turn<T>(&mut self, running: &BTreeMap<ContainerId, T>) -> Vec<ContainerId> {
        let from = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let some = running.range((from, Bound::Unbounded)).take(AT_ONCE).map(|(id, _)| id.clone());
        let some: Vec<ContainerId> = some.collect();
        self.last = if some.len() == AT_ONCE { some.last().cloned() } else { None };
        some
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn running(count: usize) -> BTreeMap<ContainerId, usize> {
        (0..count).map(|n| (ContainerId::new(&format!("c{n:05}")).unwrap(), n)).collect()
    }

    /// However many there are: a look reads a bounded number, and each is read in each round.
    #[test]
    fn each_container_has_its_turn() {
        for count in [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 10_000] {
            let (all, mut addresses) = (running(count), Addresses::default());
            for _ in 0..2 {
                let mut seen = Vec::new();
                for _ in 0..=count / AT_ONCE {
                    let some = addresses.take_turn(&all);
                    assert!(some.len() <= AT_ONCE);
                    seen.extend(some);
                }
                assert!(seen.iter().eq(all.keys()), "{count}");
            }
        }
    }

    /// The pauses of a round of three looks, and what follows it.
    fn pauses(
        addresses: &mut Addresses,
        all: &BTreeMap<ContainerId, usize>,
    ) -> Vec<Option<Duration>> {
        let now = Instant::now();
        let one = |addresses: &mut Addresses| {
            addresses.take_turn(all);
            addresses.plan(now, Duration::ZERO, false);
            addresses.due().map(|due| due - now)
        };
        (0..3).map(|_| one(addresses)).collect()
    }

    #[test]
    fn a_round_follows_a_report_and_nothing_follows_a_round() {
        let all = running(2 * AT_ONCE + 1);
        let mut silent = Addresses { changes: AddressChanges::open().ok(), ..Addresses::default() };
        assert!(silent.changes().is_some(), "tests run as root");
        assert_eq!(pauses(&mut silent, &all), [Some(SOON), Some(SOON), None]);
        silent.begin_round(Instant::now());
        assert!(silent.due().is_some());
        assert_eq!(pauses(&mut silent, &all), [Some(SOON), Some(SOON), None]);
    }

    #[test]
    fn what_is_reported_during_a_round_is_read_in_another() {
        let all = running(2 * AT_ONCE + 1);
        let mut heard = Addresses { changes: AddressChanges::open().ok(), ..Addresses::default() };
        heard.take_turn(&all);
        heard.begin_round(Instant::now());
        heard.plan(Instant::now(), Duration::ZERO, false);
        assert_eq!(pauses(&mut heard, &all), [Some(SOON), Some(SOON), Some(SOON)]);
        assert_eq!(pauses(&mut heard, &all)[1], None);
    }

    #[test]
    fn what_is_not_reported_is_read_from_time_to_time() {
        let all = running(2 * AT_ONCE + 1);
        let mut timed = Addresses::default();
        assert_eq!(pauses(&mut timed, &all)[2], Some(PERIOD));
        let mut deaf = Addresses { changes: AddressChanges::open().ok(), ..Addresses::default() };
        deaf.unheard = true;
        assert_eq!(pauses(&mut deaf, &all)[2], Some(PERIOD));
        assert_eq!(pauses(&mut deaf, &all)[2], None, "it has gone");
    }

    #[test]
    fn looks_rest_a_hundred_times_their_time() {
        let (all, rest) = (running(1), Duration::from_secs(9));
        let mut addresses = Addresses::default();
        let now = Instant::now();
        addresses.take_turn(&all);
        addresses.plan(now, rest, false);
        addresses.begin_round(now);
        assert_eq!(addresses.due(), Some(now + rest));
    }

    #[test]
    fn a_container_that_has_gone_ends_no_round() {
        let (mut all, mut addresses) = (running(3 * AT_ONCE), Addresses::default());
        let first = addresses.take_turn(&all);
        all.remove(first.last().unwrap());
        let second = addresses.take_turn(&all);
        assert_eq!(second[0].as_str(), format!("c{AT_ONCE:05}"));
    }
}
