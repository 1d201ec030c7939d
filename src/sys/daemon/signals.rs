//! Signals that are read from a descriptor (signalfd(2)) and so never interrupt other work.

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A request delivered by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The descriptor from which these signals are read.
///
/// The signals stay blocked after a drop. One that arrives then stays pending for the next reader.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks SIGTERM, SIGINT and SIGHUP in this thread and opens the descriptor.
    ///
    /// A child of [`child::run`](crate::sys::process::child::run) inherits the blocked signals.
    pub(crate) fn new() -> Result<Self> {
        let mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        mask.thread_block().context(Kind::Internal, || "cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags);
        signals.map(Self).context(Kind::Internal, || "signalfd")
    }

    /// Returns what tells whether a signal waits to be read. Reads none.
    pub(crate) fn pending(&self) -> Result<Pending> {
        let copy = self.0.as_fd().try_clone_to_owned();
        copy.map(Pending).context(Kind::Internal, || "signalfd")
    }

    /// Reads all pending signals and returns the resulting request, or `None` if none is pending.
    ///
    /// A stop takes precedence over a reload.
    pub(crate) fn take(&self) -> Result<Option<Request>> {
        let mut request = None;
        loop {
            match self.0.read_signal() {
                Ok(Some(signal)) if signal.ssi_signo == libc::SIGHUP.unsigned_abs() => {
                    request = request.or(Some(Request::Reload));
                }
                Ok(Some(_)) => request = Some(Request::Stop),
                Ok(None) => return Ok(request),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context(Kind::Internal, || "signalfd"),
            }
        }
    }
}

/// Tells whether a signal waits to be read. Long work ends then.
#[derive(Debug)]
pub(crate) struct Pending(OwnedFd);

impl Pending {
    /// Whether a signal waits now.
    pub(crate) fn is_any(&self) -> bool {
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
