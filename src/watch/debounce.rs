//! Debouncing: many events are handled once.

use std::time::{Duration, Instant};

/// Collects events until no new one has come for a while, or until the first has waited for a
/// maximum time.
#[derive(Debug)]
pub(crate) struct Debounce {
    quiet: Duration,
    limit: Duration,
    /// The times of the first and of the last event that is not handled yet.
    span: Option<(Instant, Instant)>,
    rest: Option<Instant>,
}

impl Debounce {
    /// Events are handled when none has come for `quiet`, and after `limit` at the latest.
    pub(crate) const fn new(quiet: Duration, limit: Duration) -> Self {
        Self { quiet, limit, span: None, rest: None }
    }

    /// Notes an event.
    pub(crate) fn notify(&mut self, now: Instant) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    /// Delays the handling of all events until `until`.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.rest = Some(until);
    }

    /// When the events must be handled, if there are any.
    pub(crate) fn due(&self) -> Option<Instant> {
        let (first, last) = self.span?;
        let due = (last + self.quiet).min(first + self.limit);
        Some(self.rest.map_or(due, |rest| rest.max(due)))
    }

    /// Whether events must be handled now. If so, they count as handled.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        let over = self.due().is_some_and(|due| due <= now);
        if over {
            self.span = None;
        }
        over
    }
}

/// The pause after `times` failed attempts. It doubles each time, from 250 ms to 256 s.
pub(crate) fn pause_after(times: u32) -> Duration {
    Duration::from_millis(250 << times.saturating_sub(1).min(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn quiet_means_nothing_to_do() {
        let mut debounce = Debounce::new(ms(100), ms(500));
        assert_eq!(debounce.due(), None);
        assert!(!debounce.is_over(Instant::now()));
    }

    #[test]
    fn many_events_are_answered_once_and_none_waits_for_ever() {
        let (mut debounce, start) = (Debounce::new(ms(100), ms(500)), Instant::now());
        for at in [0, 10, 90, 180] {
            debounce.notify(start + ms(at));
            assert!(!debounce.is_over(start + ms(at)));
        }
        assert_eq!(debounce.due(), Some(start + ms(280)));
        for at in [250, 340, 430, 490] {
            debounce.notify(start + ms(at));
        }
        assert_eq!(debounce.due(), Some(start + ms(500)));
        assert!(debounce.is_over(start + ms(500)));
        assert_eq!(debounce.due(), None);
    }

    #[test]
    fn a_rest_is_kept_but_nothing_is_forgotten() {
        let (mut debounce, start) = (Debounce::new(ms(100), ms(500)), Instant::now());
        debounce.rest(start + ms(1000));
        assert_eq!(debounce.due(), None);
        debounce.notify(start);
        assert_eq!(debounce.due(), Some(start + ms(1000)));
        assert!(!debounce.is_over(start + ms(999)) && debounce.is_over(start + ms(1000)));
        debounce.notify(start + ms(2000));
        assert_eq!(debounce.due(), Some(start + ms(2100)));
    }

    #[test]
    fn pauses_grow_to_an_end() {
        assert_eq!([1, 2, 3].map(pause_after), [ms(250), ms(500), ms(1000)]);
        assert_eq!(pause_after(u32::MAX), Duration::from_secs(256));
    }
}
