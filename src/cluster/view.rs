//! How old the courier's view is. At `patience` it is believed no more.

use super::format;
use crate::model::View;
use std::time::Duration;

/// The time since the boot. Tests set it.
pub(crate) trait Clock {
    /// Returns the time since the boot, suspended time included.
    fn since_boot(&self) -> Duration;
}

/// The kernel's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BootClock;

impl Clock for BootClock {
    fn since_boot(&self) -> Duration {
        crate::sys::clock::since_boot()
    }
}

/// The newest good view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    last: Option<View>,
}

impl Freshness {
    /// Returns the newest good view.
    pub(crate) fn last(&self) -> Option<&View> {
        self.last.as_ref()
    }

    /// Takes the bytes of a view. They are no news if they are of another boot, of the future, or older than
    /// the last good view: the reason is returned then, and the last good view counts.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        boot: u128,
        clock: &dyn Clock,
    ) -> Result<(), String> {
        let view = format::view(bytes)?;
        if view.boot != boot {
            return Err("of another boot".to_owned());
        }
        if Duration::from_millis(view.fresh_ms) > clock.since_boot() {
            return Err("fresh_ms is in the future".to_owned());
        }
        if self.last.as_ref().is_some_and(|last| last.fresh_ms > view.fresh_ms) {
            return Err("fresh_ms is older than before".to_owned());
        }
        self.last = Some(view);
        Ok(())
    }

    /// Returns until when the view is believed: the time since the boot. `None` if there was never a good one.
    pub(crate) fn until(&self, patience: Duration) -> Option<Duration> {
        Some(Duration::from_millis(self.last.as_ref()?.fresh_ms).saturating_add(patience))
    }

    /// Returns the age of the view. `None` if there was never a good one.
    pub(crate) fn age(&self, clock: &dyn Clock) -> Option<Duration> {
        let fresh = Duration::from_millis(self.last.as_ref()?.fresh_ms);
        Some(clock.since_boot().saturating_sub(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::format::view_bytes;
    use std::cell::Cell;

    struct Set(Cell<u64>);

    impl Clock for Set {
        fn since_boot(&self) -> Duration {
            Duration::from_millis(self.0.get())
        }
    }

    fn view(boot: u128, fresh_ms: u64) -> Vec<u8> {
        let view = View { boot, fresh_ms, by: "x".to_owned(), published: true, problem: None };
        view_bytes(&view).unwrap()
    }

    #[test]
    fn a_view_ages_until_news_come() {
        let (mut freshness, clock) = (Freshness::default(), Set(Cell::new(10_000)));
        assert_eq!(freshness.age(&clock), None, "never fresh");
        freshness.take(&view(7, 9_000), 7, &clock).unwrap();
        let age = |freshness: &Freshness| freshness.age(&clock).unwrap().as_millis();
        assert_eq!(age(&freshness), 1000);
        clock.0.set(12_500);
        assert_eq!(age(&freshness), 3500);
        for (bytes, why) in [
            (view(8, 12_000), "another boot"),
            (view(7, 12_501), "future"),
            (view(7, u64::MAX), "future"),
            (view(7, 8_999), "older"),
            (b"junk".to_vec(), ""),
            (Vec::new(), ""),
        ] {
            let refused = freshness.take(&bytes, 7, &clock).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert_eq!(age(&freshness), 3500, "the last good one counts: {why}");
        }
        freshness.take(&view(7, 9_000), 7, &clock).unwrap();
        freshness.take(&view(7, 12_500), 7, &clock).unwrap();
        assert_eq!(age(&freshness), 0);
        assert_eq!(freshness.last().unwrap().by, "x");
    }

    #[test]
    fn the_kernels_clock_goes_on() {
        let first = BootClock.since_boot();
        assert!(first > Duration::ZERO && BootClock.since_boot() >= first);
    }
}
