//! Looks whether containers still have the addresses of their records. The kernel reports changes only
//! inside of their network namespaces, so they are read from time to time, without the host lock.
//!
//! A look reads a bounded number of containers, the next one goes on behind the last of them. So an idle
//! daemon takes no more of a processor with ten thousand containers than with a hundred.

use crate::host::Host;
use crate::lifecycle::addresses::moved;
use crate::model::{Address, ContainerId};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(4);
/// How many containers one look reads, each in some 100 microseconds.
pub(super) const AT_ONCE: usize = 256;
/// After a look, rest so many times its duration: the looks take at most 1 % of a processor.
const REST: u32 = 100;

/// When to look next, and what was found last.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    next: Option<Instant>,
    /// The last container that was read; `None` at the beginning of a round.
    last: Option<ContainerId>,
    /// The containers that had moved at the last look at them.
    found: BTreeMap<ContainerId, Vec<Address>>,
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
        let mut moved = moved(host, &some);
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
        self.next = Some(then + PERIOD.max(then.duration_since(now) * REST));
        is_new
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

    #[test]
    fn a_container_that_has_gone_ends_no_round() {
        let (mut all, mut addresses) = (running(3 * AT_ONCE), Addresses::default());
        let first = addresses.take_turn(&all);
        all.remove(first.last().unwrap());
        let second = addresses.take_turn(&all);
        assert_eq!(second[0].as_str(), format!("c{AT_ONCE:05}"));
    }
}
