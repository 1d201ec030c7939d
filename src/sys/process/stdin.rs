//! Reading standard input with a limit on size and time.

use crate::error::{Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::stdin;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long to wait for the end of the input. Runtimes write the state and close the pipe
/// immediately.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads standard input to its end. More than `max` bytes, or no end within 1 s, is an error.
pub(crate) fn read(max: usize) -> Result<Vec<u8>> {
    let stdin = stdin();
    let deadline = Instant::now() + PATIENCE;
    let refuse = |why: String| Err(Error::new(Kind::Input, format!("standard input: {why}")));
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) => return refuse("not closed within 1 s".to_owned()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context(Kind::Internal, || "poll"),
        }
        match nix::unistd::read(stdin.as_fd(), &mut buffer) {
            Ok(0) => return Ok(all),
            Ok(n) if all.len() + n > max => return refuse(format!("more than {max} bytes")),
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return refuse(errno.to_string()),
        }
    }
}
