//! Trying again for what only needs a moment.

use std::{io, thread, time::Duration};

/// Repeats `attempt` while it fails with `transient`, for two seconds.
pub(crate) fn patiently<T>(
    transient: io::ErrorKind,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    for _ in 0..200 {
        match attempt() {
            Err(error) if error.kind() == transient => thread::sleep(Duration::from_millis(10)),
            done => return done,
        }
    }
    attempt()
}
