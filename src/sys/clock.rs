//! The time since the boot. No wall clock is asked.

use nix::time::ClockId;
use std::time::Duration;

/// Returns the time since the boot, suspended time included. 0 if the kernel does not tell.
pub(crate) fn since_boot() -> Duration {
    ClockId::CLOCK_BOOTTIME.now().map_or(Duration::ZERO, Duration::from)
}
