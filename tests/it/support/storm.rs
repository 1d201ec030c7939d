//! Dozens of containers at once: tests that make a storm do so one after another, and the other
//! tests get their time.

use std::sync::{Mutex, MutexGuard, PoisonError};

static STORM: Mutex<()> = Mutex::new(());

/// No other test makes a storm until this is dropped.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    STORM.lock().unwrap_or_else(PoisonError::into_inner)
}
