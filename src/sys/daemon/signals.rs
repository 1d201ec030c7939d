//! Signals that are read like everything else, and so never come at a bad moment.

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// What somebody wants of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Where these signals are read from now on. They stay blocked when this is dropped: one that
/// comes then waits for who reads them next.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks them. Children have none of it: they begin with no signal blocked.
    pub(crate) fn new() -> Result<Self> {
        let mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        mask.thread_block().context(Kind::Internal, || "cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags);
        signals.map(Self).context(Kind::Internal, || "signalfd")
    }

    /// The next that has come; the end before everything else.
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

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
