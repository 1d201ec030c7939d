//! How long programs may run while other containers wait for the host lock.
//!
//! A program that hangs is killed, but a change runs several, and an undo runs more. So all runs under
//! one lock share one time. Each may take half of what is left: the first that hangs leaves as much for
//! the undo, and all together end within the time.

use crate::error::{Cause, Error, Kind, Result};
use std::cell::Cell;
use std::time::Duration;

/// How long programs may run while the host lock is held, all together.
pub(crate) const UNDER_THE_LOCK: Duration = Duration::from_secs(10);
/// How long programs may run in the start of a container without links, all together. They make the
/// isolation that config.toml names, and rules of its recipients. What fails is done by the next start
/// with links, `sync` or `watch`.
pub(crate) const UNLINKED: Duration = Duration::from_secs(1);
/// The longest time of one run.
const ONE_RUN: Duration = Duration::from_secs(5);
/// A run that succeeds within this time is not counted. So the number of recipients is not limited by
/// it, but by the links that a host has.
const USUAL: Duration = Duration::from_millis(250);
/// No program is run for less.
const LEAST: Duration = Duration::from_millis(20);

thread_local! {
    /// The allowance of this thread; `None` while no other container waits for it.
    static ALLOWED: Cell<Option<Left>> = const { Cell::new(None) };
}

/// What is left of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    all: Duration,
    left: Duration,
}

/// While it lives, the runs of this thread share one time.
#[derive(Debug)]
pub(crate) struct Allowance {
    outer: Option<Left>,
    begun: Duration,
}

impl Allowance {
    /// Limits the runs of this thread to `all` together. Within another allowance, both hold.
    pub(crate) fn begin(all: Duration) -> Self {
        let outer = ALLOWED.get();
        let left = outer.map_or(all, |outer| outer.left.min(all));
        ALLOWED.set(Some(Left { all, left }));
        Self { outer, begun: left }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        let left = ALLOWED.get().map_or(Duration::ZERO, |inner| inner.left);
        let taken = self.begun.saturating_sub(left);
        ALLOWED.set(self.outer.map(|outer| outer.after(taken, false)));
    }
}

/// Returns how long `program` may run now, in milliseconds. Fails if nothing is left.
pub(crate) fn patience(program: &str) -> Result<u16> {
    let limit = ALLOWED.get().map_or(ONE_RUN, Left::limit);
    if limit < LEAST {
        let all = ALLOWED.get().unwrap_or(Left { all: limit, left: limit }).all.as_secs();
        let message = format!(
            "{program}: not run, because programs took {all} s while other containers waited"
        );
        return Err(Error::new(Kind::Firewall, message).because(Cause::Timeout));
    }
    Ok(u16::try_from(limit.as_millis()).unwrap_or(u16::MAX))
}

/// Counts a run that took `time` and did or did not end by itself.
pub(crate) fn count(time: Duration, has_ended: bool) {
    ALLOWED.set(ALLOWED.get().map(|left| left.after(time, has_ended)));
}

impl Left {
    fn limit(self) -> Duration {
        ONE_RUN.min(self.left / 2)
    }

    fn after(self, time: Duration, has_ended: bool) -> Self {
        let counted = if has_ended { time.saturating_sub(USUAL) } else { time };
        Self { left: self.left.saturating_sub(counted), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs programs that take as long as they may until none is run any more.
    fn all_hang() -> (u32, Duration) {
        let (mut runs, mut time) = (0, Duration::ZERO);
        while let Ok(limit) = patience("iptables") {
            let limit = Duration::from_millis(limit.into());
            count(limit, false);
            (runs, time) = (runs + 1, time + limit);
        }
        (runs, time)
    }

    #[test]
    fn what_hangs_takes_one_time_together() {
        let locked = Allowance::begin(UNDER_THE_LOCK);
        assert_eq!(patience("iptables").unwrap(), 5000);
        count(ONE_RUN, false);
        assert_eq!(patience("iptables").unwrap(), 2500, "for the undo");
        let (runs, time) = all_hang();
        assert!((4..20).contains(&runs), "{runs}");
        assert!(time + ONE_RUN <= UNDER_THE_LOCK, "{time:?}");
        let error = patience("iptables").unwrap_err();
        assert_eq!((error.kind, error.cause), (Kind::Firewall, Cause::Timeout));
        drop(locked);
        assert_eq!(patience("iptables").unwrap(), 5000, "no other container waits");
    }

    #[test]
    fn what_is_slow_is_counted_and_what_is_usual_is_not() {
        let _locked = Allowance::begin(UNDER_THE_LOCK);
        for _ in 0..1000 {
            count(USUAL, true);
        }
        assert_eq!(ALLOWED.get().unwrap().left, UNDER_THE_LOCK);
        count(Duration::from_secs(2), true);
        let counted = Duration::from_secs(2).saturating_sub(USUAL);
        assert_eq!(ALLOWED.get().unwrap().left + counted, UNDER_THE_LOCK);
    }

    #[test]
    fn an_inner_allowance_is_part_of_the_outer_one() {
        let outer = Allowance::begin(UNDER_THE_LOCK);
        let inner = Allowance::begin(UNLINKED);
        let (_, time) = all_hang();
        assert!(time <= UNLINKED && time > UNLINKED / 2, "{time:?}");
        drop(inner);
        assert_eq!(ALLOWED.get().unwrap().left + time, UNDER_THE_LOCK);
        drop(outer);
        assert_eq!(ALLOWED.get(), None);
    }
}
