//! Which member is tried next, and after how long.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Between the first attempts.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts, when many have failed.
const LONGEST: Duration = Duration::from_secs(2);

/// The order of attempts. It begins anywhere, so that hosts do not all ask the same member.
pub(super) struct Backoff {
    members: usize,
    member: usize,
    attempts: u32,
}

impl Backoff {
    /// For so many members, at least one.
    pub(super) fn new(members: usize) -> Self {
        Self { members, member: random() as usize % members, attempts: 0 }
    }

    /// The member to try.
    pub(super) fn member(&self) -> usize {
        self.member
    }

    /// A member could be used.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Goes to the next member. Returns how long to wait before: longer after each round of all members.
    pub(super) fn next(&mut self) -> Duration {
        self.member = (self.member + 1) % self.members;
        let rounds = self.attempts / u32::try_from(self.members).unwrap_or(u32::MAX);
        self.attempts = self.attempts.saturating_add(1);
        let wait = FIRST.saturating_mul(1 << rounds.min(10)).min(LONGEST);
        // Hosts that lost one member together do not come back together.
        wait * (75 + random() % 50) / 100
    }
}

/// A number that differs between hosts and calls. Nothing secret hangs on it.
fn random() -> u32 {
    RandomState::new()
        .hash_one(0)
        .to_le_bytes()
        .iter()
        .fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_tried_and_waits_are_bounded() {
        let mut backoff = Backoff::new(3);
        let mut members: Vec<_> = (0..3)
            .map(|_| {
                assert!(backoff.next() <= FIRST.mul_f64(1.25));
                backoff.member()
            })
            .collect();
        members.sort_unstable();
        assert_eq!(members, [0, 1, 2]);
        let waits: Vec<_> = (0..100).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST.mul_f64(1.25)));
        assert!(waits[99] >= LONGEST.mul_f64(0.7));
        backoff.reset();
        assert!(backoff.next() <= FIRST.mul_f64(1.25));
    }
}
