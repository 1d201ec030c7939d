//! Notification about record changes by inotify.
//!
//! Every record is first written to `records/new` and then moved to its place (`Directory::write`).
//! Watching that single directory is therefore enough for any number of records. The event does not
//! identify the record. Notes are written likewise in their own folder.

use super::FOLDERS;
use crate::error::Result;
use crate::store::notes;
use crate::store::{StoreEvent, Subscription};
use crate::sys::daemon::inotify::{Notice, Notices, Watched};
use crate::sys::private_dir::{Directory, TEMPORARY};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// A subscription to the records of one state directory.
#[derive(Debug)]
pub(crate) struct DirectorySubscription {
    notices: Notices,
    top: Watched,
    notes: Watched,
}

impl DirectorySubscription {
    /// Watches the state directory `top` and its folders `records` and `notes`.
    pub(crate) fn open(top: &Directory, records: &Directory) -> Result<Self> {
        let notices = Notices::new()?;
        notices.add(records)?;
        let notes = notices.add(&top.subdirectory(notes::FOLDER)?)?;
        Ok(Self { top: notices.add(top)?, notes, notices })
    }

    fn meaning(&self, notice: &Notice) -> StoreEvent {
        match notice {
            Notice::Gone(_) => StoreEvent::Gone,
            Notice::Left(place, name) if *place == self.top => {
                // A deleted directory that is held open sends no event itself; its parent does.
                if FOLDERS.iter().chain([&notes::FOLDER]).any(|folder| name == folder) {
                    StoreEvent::Gone
                } else {
                    StoreEvent::Nothing
                }
            }
            // A note that was worked off is removed; a new one is renamed from a temporary name.
            Notice::Left(place, name) if *place == self.notes => {
                let is_new = name.as_bytes().starts_with(TEMPORARY.as_bytes());
                if is_new { StoreEvent::Noted } else { StoreEvent::Nothing }
            }
            Notice::Left(..) => StoreEvent::Written,
            Notice::Overflow => {
                log::warn!("state directory: some changes were missed; reading all records");
                StoreEvent::Written
            }
        }
    }
}

impl Subscription for DirectorySubscription {
    fn poll(&mut self) -> Result<StoreEvent> {
        let all: Vec<StoreEvent> =
            self.notices.take()?.iter().map(|notice| self.meaning(notice)).collect();
        let order = [StoreEvent::Gone, StoreEvent::Noted, StoreEvent::Written];
        let worst = order.into_iter().find(|event| all.contains(event));
        Ok(worst.unwrap_or(StoreEvent::Nothing))
    }
}

impl AsFd for DirectorySubscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }
}
