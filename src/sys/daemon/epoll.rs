//! Waiting for several descriptors at once, for as long as it takes.

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

/// How many are told of at once; the others are told of the next time.
const AT_ONCE: usize = 64;

/// The descriptors that are waited for. What is closed is waited for no more.
#[derive(Debug)]
pub(crate) struct Waiting(Epoll);

impl Waiting {
    /// For none.
    pub(crate) fn new() -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        epoll.map(Self).context(Kind::Internal, || "epoll")
    }

    /// From now on for `source` too.
    pub(crate) fn add(&self, source: &impl AsFd) -> Result<()> {
        let fd = source.as_fd();
        let number = u64::try_from(fd.as_raw_fd()).unwrap_or(u64::MAX);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        self.0.add(fd, event).context(Kind::Internal, || "epoll")
    }

    /// Those that can be read now: waits until there is one, at most for `patience`, if that is
    /// given. None after a signal.
    pub(crate) fn ready(&self, patience: Option<Duration>) -> Result<Vec<RawFd>> {
        let timeout = match patience {
            None => EpollTimeout::NONE,
            // What is due in less than a millisecond is not due yet.
            Some(time) => EpollTimeout::try_from(time.as_millis() + 1).unwrap_or(EpollTimeout::MAX),
        };
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let count = match self.0.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            result => result.context(Kind::Internal, || "epoll")?,
        };
        let told = events.iter().take(count);
        Ok(told.filter_map(|event| RawFd::try_from(event.data()).ok()).collect())
    }
}
