//! Notification about files that leave a directory, with inotify(7).

use crate::error::{Context, Kind, Result};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The watched events: an entry leaves the directory, or the directory itself is moved.
const LEAVES: AddWatchFlags = AddWatchFlags::IN_MOVED_FROM
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// A set of watched directories.
#[derive(Debug)]
pub(crate) struct Notices(Inotify);

/// Identifies the directory of a notice.
pub(crate) type Watched = WatchDescriptor;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The entry with this name was removed from the directory or moved away.
    Left(Watched, OsString),
    /// The directory itself was moved or removed.
    Gone(Watched),
    /// The kernel's event queue overflowed, so events were lost.
    Overflow,
}

impl Notices {
    /// Creates an empty set.
    pub(crate) fn new() -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        inotify.map(Self).context(Kind::State, || "inotify")
    }

    /// Adds `directory` to the set.
    pub(crate) fn add(&self, directory: &impl AsFd) -> Result<Watched> {
        self.watch(directory, LEAVES)
    }

    /// Adds `directory` to the set. An entry that arrives, or was written, counts as one that left.
    pub(crate) fn add_with_arrivals(&self, directory: &impl AsFd) -> Result<Watched> {
        self.watch(directory, LEAVES | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE)
    }

    fn watch(&self, directory: &impl AsFd, events: AddWatchFlags) -> Result<Watched> {
        let held = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
        self.0.add_watch(held.as_str(), events).context(Kind::State, || "inotify")
    }

    /// Returns all pending events. Does not block.
    pub(crate) fn take(&self) -> Result<Vec<Notice>> {
        let mut notices = Vec::new();
        loop {
            let events = match self.0.read_events() {
                Err(Errno::EAGAIN) => return Ok(notices),
                Err(Errno::EINTR) => continue,
                events => events.context(Kind::State, || "inotify")?,
            };
            notices.extend(events.into_iter().map(|event| {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    return Notice::Overflow;
                }
                match event.name {
                    Some(name) => Notice::Left(event.wd, name),
                    None => Notice::Gone(event.wd),
                }
            }));
        }
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
