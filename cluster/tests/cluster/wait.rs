//! Waiting, with a bound.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until `holds`, and returns after how long. Panics with what `state` says after `bound`.
pub(crate) fn until(
    what: &str,
    bound: Duration,
    mut holds: impl FnMut() -> bool,
    state: impl Fn() -> String,
) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() <= bound, "not within {bound:?}: {what}\n{}", state());
        sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

/// Checks for the whole of `time` that something holds.
pub(crate) fn throughout(
    what: &str,
    time: Duration,
    mut holds: impl FnMut() -> bool,
    state: impl Fn() -> String,
) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(holds(), "ended after {:?}: {what}\n{}", start.elapsed(), state());
        sleep(Duration::from_millis(20));
    }
}

/// Seconds.
pub(crate) const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}
