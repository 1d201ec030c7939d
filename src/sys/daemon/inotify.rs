//! Being told what others do in directories.

use crate::error::{Context, Kind, Result};
use crate::sys::private_dir::Directory;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// What is told of: what leaves the directory, and that it itself is moved.
const LEAVES: AddWatchFlags = AddWatchFlags::IN_MOVED_FROM
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The directories that are watched.
#[derive(Debug)]
pub(crate) struct Notices(Inotify);

/// Which directory a notice is about.
pub(crate) type Watched = WatchDescriptor;

/// One thing that happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// What had this name in that directory is there no more: removed, or moved.
    Left(Watched, OsString),
    /// The directory itself was moved or is gone.
    Gone(Watched),
    /// So much happened that the kernel did not keep all of it.
    Overflow,
}

impl Notices {
    /// Of no directory yet.
    pub(crate) fn new() -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        inotify.map(Self).context(Kind::State, || "inotify")
    }

    /// From now on of `directory` too.
    pub(crate) fn add(&self, directory: &Directory) -> Result<Watched> {
        let held = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
        self.0.add_watch(held.as_str(), LEAVES).context(Kind::State, || "inotify")
    }

    /// What has happened since.
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
