//! Opens TCP connections from inside the network namespace of a container, to see what answers.

use super::netns::{Process, inside};
use crate::error::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket, sockopt,
};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// What a server says to a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It accepts the connection.
    Answers,
    /// Packets get there, and nothing listens.
    Refused,
    /// Nothing came back in time, or there is no way.
    Nothing,
}

/// Connects to each of `targets` from the network namespace of `process`, which it enters and leaves
/// again. All connections are tried at once, for `patience`, and closed. Requires `CAP_SYS_ADMIN`.
pub(crate) fn from_inside(
    process: &Process,
    targets: &[SocketAddr],
    patience: Duration,
) -> Result<Vec<Answer>> {
    let begun =
        inside(process, || targets.iter().map(|target| begin(*target)).collect::<Vec<_>>())?;
    let deadline = Instant::now() + patience;
    let answers = begun.into_iter().map(|begun| match begun {
        Ok(socket) => wait(&socket, deadline),
        Err(errno) => judge(Err(errno)),
    });
    Ok(answers.collect())
}

/// Begins a connection. A socket stays in the namespace in which it was made.
fn begin(target: SocketAddr) -> std::result::Result<OwnedFd, Errno> {
    let family = if target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(target)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

fn wait(socket: &OwnedFd, deadline: Instant) -> Answer {
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let left = PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX));
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], left) {
            Err(Errno::EINTR) => {}
            Ok(0) | Err(_) => return Answer::Nothing,
            Ok(_) => {
                return judge(match getsockopt(socket, sockopt::SocketError) {
                    Ok(0) => Ok(()),
                    Ok(error) => Err(Errno::from_raw(error)),
                    Err(errno) => Err(errno),
                });
            }
        }
    }
}

fn judge(connected: std::result::Result<(), Errno>) -> Answer {
    match connected {
        Ok(()) => Answer::Answers,
        Err(Errno::ECONNREFUSED) => Answer::Refused,
        Err(_) => Answer::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn what_answers_and_what_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let answering = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let soon = || Instant::now() + Duration::from_secs(5);
        let answer = |target| begin(target).map_or_else(|e| judge(Err(e)), |s| wait(&s, soon()));
        assert_eq!(answer(answering), Answer::Answers);
        assert_eq!(answer(closed), Answer::Refused);
        assert_eq!(judge(Err(Errno::EHOSTUNREACH)), Answer::Nothing);
    }
}
