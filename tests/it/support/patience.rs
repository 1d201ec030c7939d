//! Trying again for what only needs a moment.

use std::{
    io::{self, ErrorKind},
    thread,
    time::Duration,
};

/// Repeats `attempt` while it fails with `transient`, for two seconds.
pub(crate) fn patiently<T>(
    transient: ErrorKind,
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

/// Binds a port that was free a moment ago: a child that another test has just forked holds a copy of
/// the last socket there, until it executes its program.
pub(crate) fn when_free<T>(bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    patiently(ErrorKind::AddrInUse, bind)
}
