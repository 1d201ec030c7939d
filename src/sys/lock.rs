//! One writer at a time.

use crate::error::{Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Held until dropped; the kernel frees it when its holder dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "its drop is what matters")] Flock<File>);

/// Takes the lock on `file`, or gives up after `patience`: its holder may be stopped for good.
pub fn exclusive(file: File, patience: Duration) -> Result<Lock> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(50);
    let mut file = file;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Lock(lock)),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) => file = back,
            Err((_, errno)) => return Err(errno).context(Kind::State, || "cannot lock"),
        }
        if start.elapsed() > patience {
            let message = format!("the lock is held for more than {} s", patience.as_secs());
            return Err(Error::new(Kind::State, message));
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Whether somebody holds the lock on `file`.
pub fn is_held(file: File) -> bool {
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
}

/// Takes the lock on `file` if nobody has it.
pub fn at_once(file: File) -> Result<Option<Lock>> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(Lock(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).context(Kind::State, || "cannot lock"),
    }
}
