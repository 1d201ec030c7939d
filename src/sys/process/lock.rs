//! Exclusive locks on files of the state directory, taken with flock(2).

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use crate::error::{Cause, Context, Error, Kind, Result};
use crate::sys::process::alarm::Alarm;
use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// A held lock. It is released on drop, or by the kernel when its holder dies.
///
/// `Flock` of nix panics if `LOCK_UN` fails. Closing the file releases the lock anyway.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Exists as long as the lock is held.
    sign: Rc<()>,
}

impl Lock {
    /// A value that tells whether this lock is still held.
    pub(crate) fn sign(&self) -> Weak<()> {
        Rc::downgrade(&self.sign)
    }

    /// Sets the time of the file to now, so that a waiting process sees that the lock changes hands.
    pub(crate) fn mark(&self) {
        let _ = futimens(&self.file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = flock(&self.file, libc::LOCK_UN);
    }
}

fn flock(file: &File, operation: libc::c_int) -> nix::Result<()> {
    // SAFETY: flock(2) takes an open descriptor and an integer.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) }).map(drop)
}

/// Takes the exclusive lock on `file`, or returns `None` if it is not free within `patience`.
///
/// The time limit covers a holder that is stopped and never continues. Waiters sleep in flock(2)
/// until the kernel wakes one of them. If a hundred processes polled instead, they would take CPU
/// time from the holder.
pub(crate) fn within(patience: Duration, file: File) -> Result<Option<Lock>> {
    let start = Instant::now();
    let mut asked = flock(&file, libc::LOCK_EX | libc::LOCK_NB);
    let _alarm = asked.is_err().then(|| Alarm::after(patience)).transpose()?;
    loop {
        match asked {
            Ok(()) => return Ok(Some(Lock { file, sign: Rc::default() })),
            Err(Errno::EWOULDBLOCK) => {}
            Err(Errno::EINTR) if start.elapsed() < patience => {}
            Err(Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno).context(Kind::State, || "cannot lock"),
        }
        asked = flock(&file, libc::LOCK_EX);
    }
}

/// Takes the exclusive lock on `file`. A lock that is not free within `patience` is an error.
pub(crate) fn exclusive(file: File, patience: Duration) -> Result<Lock> {
    within(patience, file)?.ok_or_else(|| {
        let message = format!("the lock is held for more than {patience:?}");
        Error::new(Kind::State, message).because(Cause::LockHeld)
    })
}

/// Whether another process holds the exclusive lock on `file`.
///
/// If it is free, this leaves a shared lock on `file`, which ends when `file` is closed.
pub(crate) fn is_held(file: &File) -> bool {
    flock(file, libc::LOCK_SH | libc::LOCK_NB) == Err(Errno::EWOULDBLOCK)
}
