//! The clock of freshness: this boot, and the time since it.

use nix::time::{ClockId, clock_gettime};
use std::fs;

/// `CLOCK_BOOTTIME` in milliseconds. It also runs while the machine is suspended.
pub(crate) fn boottime_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let milliseconds = u64::try_from(time.tv_nsec()).unwrap_or(0) / 1_000_000;
        seconds * 1000 + milliseconds
    })
}

/// The id of this boot, or an empty text if `/proc` does not show it.
pub(crate) fn boot_id() -> String {
    read_id("/proc/sys/kernel/random/boot_id")
}

/// A random id, or an empty text if `/proc` does not show one.
pub(crate) fn random_id() -> String {
    read_id("/proc/sys/kernel/random/uuid")
}

fn read_id(path: &str) -> String {
    fs::read_to_string(path).map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_ids_differ() {
        let before = boottime_ms();
        assert!(before > 0 && boottime_ms() >= before);
        assert_eq!(boot_id(), boot_id());
        assert_ne!(random_id(), random_id());
        assert_eq!(boot_id().len(), 36);
    }
}
