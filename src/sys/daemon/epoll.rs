//! Waiting for several descriptors with epoll(7).

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

/// The number of events fetched by one call. The kernel reports further ones at the next call.
const AT_ONCE: usize = 64;

/// A set of descriptors to wait for. The kernel removes a descriptor when it is closed.
#[derive(Debug)]
pub(crate) struct Waiting(Epoll);

impl Waiting {
    /// Creates an empty set.
    pub(crate) fn new() -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        epoll.map(Self).context(Kind::Internal, || "epoll")
    }

    /// Adds `source` to the set.
    pub(crate) fn add(&self, source: &impl AsFd) -> Result<()> {
        let fd = source.as_fd();
        let number = u64::try_from(fd.as_raw_fd()).unwrap_or(u64::MAX);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        self.0.add(fd, event).context(Kind::Internal, || "epoll")
    }

    /// Waits until a descriptor is readable and returns the readable ones.
    ///
    /// Waits at most `patience`, or without limit if it is `None`. The result is empty after a
    /// timeout or when a signal arrives.
    pub(crate) fn ready(&self, patience: Option<Duration>) -> Result<Vec<RawFd>> {
        let timeout = match patience {
            None => EpollTimeout::NONE,
            // epoll_wait(2) counts in milliseconds. Round up so that it does not return before the
            // deadline.
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
