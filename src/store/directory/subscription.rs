//! Hears of records as they are written.
//!
//! Every record, wherever it goes in the tree, is written beside it first and then moved there
//! (`Directory::write`): so one directory is watched, however many there are. Which record it was is
//! not told.

use super::FOLDERS;
use crate::error::Result;
use crate::store::{StoreEvent, Subscription};
use crate::sys::daemon::inotify::{Notice, Notices, Watched};
use crate::sys::private_dir::Directory;
use std::os::fd::{AsFd, BorrowedFd};

/// See the module.
#[derive(Debug)]
pub(crate) struct DirectorySubscription {
    notices: Notices,
    top: Watched,
}

impl DirectorySubscription {
    /// Of the records in the state directory `top`.
    pub(crate) fn open(top: &Directory, records: &Directory) -> Result<Self> {
        let notices = Notices::new()?;
        notices.add(records)?;
        Ok(Self { top: notices.add(top)?, notices })
    }

    fn meaning(&self, notice: &Notice) -> StoreEvent {
        match notice {
            Notice::Gone(_) => StoreEvent::Gone,
            Notice::Left(place, name) if *place == self.top => {
                // One that is held open is only seen to go from where it is.
                if FOLDERS.iter().any(|folder| name == folder) {
                    StoreEvent::Gone
                } else {
                    StoreEvent::Nothing
                }
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
        let worst =
            [StoreEvent::Gone, StoreEvent::Written].into_iter().find(|news| all.contains(news));
        Ok(worst.unwrap_or(StoreEvent::Nothing))
    }
}

impl AsFd for DirectorySubscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }
}
