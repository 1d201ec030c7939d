//! A container's process, pinned by a pidfd.

#![allow(unsafe_code)] // Each block states its reason.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::process;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// A process pinned by a pidfd, so that a later process with the same pid is not confused with it.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    fd: OwnedFd,
    started: u64,
}

impl Process {
    /// Opens a pidfd for `pid` and reads its start time. Fails if the process has ended.
    pub(crate) fn pin(pid: i32) -> Result<Self> {
        let gone = || Error::new(Kind::Namespace, format!("process {pid} does not run"));
        // SAFETY: the call takes two integers and returns a descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) };
        let fd = match Errno::result(fd) {
            Err(Errno::ESRCH | Errno::EINVAL) => return Err(gone()),
            fd => fd.context(Kind::Namespace, || format!("process {pid}"))?,
        };
        let fd = i32::try_from(fd).map_err(|_| gone())?;
        // SAFETY: the descriptor is new and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let started = process::start_time(pid)?.ok_or_else(gone)?;
        let process = Self { pid, fd, started };
        // If the process still runs now, the start time was its own and not that of a successor.
        if process.ended(0) { Err(gone()) } else { Ok(process) }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The start time in clock ticks since boot.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Waits up to `milliseconds` for the end of the process. Returns false if the wait fails.
    pub(crate) fn ended(&self, milliseconds: u16) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::from(milliseconds)) {
                Err(Errno::EINTR) => {}
                result => return result.is_ok_and(|ready| ready > 0),
            }
        }
    }
}

/// The descriptor is readable when the process has ended.
impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
