//! Hears of records as they are written.
//!
//! Every record, wherever it goes in the tree, is written beside it first and then moved there
//! (`Directory::write`): so one directory is watched, however many there are. Which record it was is
//! not told.

use super::FOLDERS;
use crate::error::Result;
use crate::store::{Feed, News};
use crate::sys::daemon::inotify::{Notice, Notices, Place};
use crate::sys::private_dir::Directory;
use std::os::fd::{AsFd, BorrowedFd};

/// See the module.
#[derive(Debug)]
pub struct DirectoryFeed {
    notices: Notices,
    top: Place,
}

impl DirectoryFeed {
    /// Of the records in the state directory `top`.
    pub fn open(top: &Directory, records: &Directory) -> Result<Self> {
        let notices = Notices::new()?;
        notices.add(records)?;
        Ok(Self { top: notices.add(top)?, notices })
    }

    fn meaning(&self, notice: &Notice) -> News {
        match notice {
            Notice::Gone(_) => News::Gone,
            Notice::Left(place, name) if *place == self.top => {
                // One that is held open is only seen to go from where it is.
                if FOLDERS.iter().any(|folder| name == folder) { News::Gone } else { News::Nothing }
            }
            Notice::Left(..) => News::Written,
            Notice::Overflow => {
                log::warn!("state directory: more happened than could be told");
                News::Written
            }
        }
    }
}

impl Feed for DirectoryFeed {
    fn take(&mut self) -> Result<News> {
        let all: Vec<News> =
            self.notices.take()?.iter().map(|notice| self.meaning(notice)).collect();
        let worst = [News::Gone, News::Written].into_iter().find(|news| all.contains(news));
        Ok(worst.unwrap_or(News::Nothing))
    }
}

impl AsFd for DirectoryFeed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }
}
