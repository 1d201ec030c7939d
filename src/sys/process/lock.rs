//! One writer at a time.

#![allow(unsafe_code)] // Each block says why.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::process::alarm::Alarm;
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Held until dropped; the kernel frees it when its holder dies. nix's own panics where the kernel
/// will not say that it is free; it is, as soon as the file is closed.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = flock(&self.0, libc::LOCK_UN);
    }
}

fn flock(file: &File, operation: libc::c_int) -> nix::Result<()> {
    // SAFETY: a system call on a descriptor that is open, and an integer.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) }).map(drop)
}

/// Takes the lock on `file`; none after `patience`: its holder may be stopped for good. Who waits
/// sleeps until the kernel wakes him, one after the other: a hundred that looked again and again
/// would take the processor from the one they wait for.
pub(crate) fn within(patience: Duration, file: File) -> Result<Option<Lock>> {
    let start = Instant::now();
    let mut asked = flock(&file, libc::LOCK_EX | libc::LOCK_NB);
    let _alarm = asked.is_err().then(|| Alarm::after(patience)).transpose()?;
    loop {
        match asked {
            Ok(()) => return Ok(Some(Lock(file))),
            Err(Errno::EWOULDBLOCK) => {}
            Err(Errno::EINTR) if start.elapsed() < patience => {}
            Err(Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(errno).context(Kind::State, || "cannot lock"),
        }
        asked = flock(&file, libc::LOCK_EX);
    }
}

/// The same where it is an error to get none.
pub(crate) fn exclusive(file: File, patience: Duration) -> Result<Lock> {
    within(patience, file)?.ok_or_else(|| {
        let message = format!("the lock is held for more than {} s", patience.as_secs());
        Error::new(Kind::State, message)
    })
}

/// Whether somebody holds the lock on `file`.
pub(crate) fn is_held(file: &File) -> bool {
    flock(file, libc::LOCK_SH | libc::LOCK_NB) == Err(Errno::EWOULDBLOCK)
}
