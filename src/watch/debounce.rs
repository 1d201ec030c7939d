//! Waiting until it is quiet.

use std::time::{Duration, Instant};

/// Many events that are answered once: when none has come for a while, or at last when the first has
/// waited long enough.
#[derive(Debug)]
pub struct Calm {
    quiet: Duration,
    limit: Duration,
    /// The first event that is not answered yet, and the last.
    span: Option<(Instant, Instant)>,
    rest: Option<Instant>,
}

impl Calm {
    /// Quiet is what lasts for `quiet`; no event waits longer than `limit`.
    pub const fn new(quiet: Duration, limit: Duration) -> Self {
        Self { quiet, limit, span: None, rest: None }
    }

    /// An event.
    pub fn disturb(&mut self, now: Instant) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    /// No event is answered before `until`.
    pub fn rest(&mut self, until: Instant) {
        self.rest = Some(until);
    }

    /// When the events are to be answered, if there are any.
    pub fn due(&self) -> Option<Instant> {
        let (first, last) = self.span?;
        let due = (last + self.quiet).min(first + self.limit);
        Some(self.rest.map_or(due, |rest| rest.max(due)))
    }

    /// Whether they are to be answered now; then they are.
    pub fn is_over(&mut self, now: Instant) -> bool {
        let over = self.due().is_some_and(|due| due <= now);
        if over {
            self.span = None;
        }
        over
    }
}

/// How long to wait before what failed `times` times is tried again: twice as long each time, from
/// a quarter of a second to four minutes.
pub fn pause_after(times: u32) -> Duration {
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
        let mut calm = Calm::new(ms(100), ms(500));
        assert_eq!(calm.due(), None);
        assert!(!calm.is_over(Instant::now()));
    }

    #[test]
    fn many_events_are_answered_once_and_none_waits_for_ever() {
        let (mut calm, start) = (Calm::new(ms(100), ms(500)), Instant::now());
        for at in [0, 10, 90, 180] {
            calm.disturb(start + ms(at));
            assert!(!calm.is_over(start + ms(at)));
        }
        assert_eq!(calm.due(), Some(start + ms(280)));
        for at in [250, 340, 430, 490] {
            calm.disturb(start + ms(at));
        }
        assert_eq!(calm.due(), Some(start + ms(500)));
        assert!(calm.is_over(start + ms(500)));
        assert_eq!(calm.due(), None);
    }

    #[test]
    fn a_rest_is_kept_but_nothing_is_forgotten() {
        let (mut calm, start) = (Calm::new(ms(100), ms(500)), Instant::now());
        calm.rest(start + ms(1000));
        assert_eq!(calm.due(), None);
        calm.disturb(start);
        assert_eq!(calm.due(), Some(start + ms(1000)));
        assert!(!calm.is_over(start + ms(999)) && calm.is_over(start + ms(1000)));
        calm.disturb(start + ms(2000));
        assert_eq!(calm.due(), Some(start + ms(2100)));
    }

    #[test]
    fn pauses_grow_to_an_end() {
        assert_eq!([1, 2, 3].map(pause_after), [ms(250), ms(500), ms(1000)]);
        assert_eq!(pause_after(u32::MAX), Duration::from_secs(256));
    }
}
