//! inotify as a future, without unsafe code.
//!
//! tokio has no safe interface for a descriptor of any kind. One for pipes takes every descriptor that
//! can be polled and read.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use tokio::net::unix::pipe::Receiver;

/// Before the name of an event: descriptor, mask, cookie and length of the name, four bytes each.
const HEADER: usize = 16;

/// A directory that is watched.
pub(super) struct Events(Receiver);

/// An event: what happened, and to which file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// What happened.
    pub(super) mask: AddWatchFlags,
    /// The name of the file; empty for the directory itself.
    pub(super) name: Vec<u8>,
}

impl Events {
    /// Begins to watch a directory; `None` if it is not there. A link is not followed.
    pub(super) fn of(path: &Path, mask: AddWatchFlags) -> io::Result<Option<Self>> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mask = mask | AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_DONT_FOLLOW;
        match inotify.add_watch(path, mask) {
            Ok(_) => Receiver::from_owned_fd_unchecked(OwnedFd::from(inotify)).map(Self).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for events. Dropping the future loses none.
    pub(super) async fn next(&self) -> io::Result<Vec<Event>> {
        let mut buffer = [0; 4096];
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut buffer) {
                Ok(length) => return Ok(parse(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads the events in `bytes`. An event that is cut off ends them.
pub(super) fn parse(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes)
    };
    while let (Some(mask), Some(length)) = (word(bytes, 4), word(bytes, 12)) {
        let end = HEADER + length as usize;
        let Some(name) = bytes.get(HEADER..end) else { break };
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        events.push(Event { mask: AddWatchFlags::from_bits_retain(mask), name });
        bytes = &bytes[end..];
    }
    events
}
