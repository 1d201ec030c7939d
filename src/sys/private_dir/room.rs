//! The free space of the state directory's file system.

use super::Directory;
use crate::error::{Context, Kind, Result};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

/// The free space of a file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Whether it is a tmpfs, whose content is lost at a reboot.
    pub(crate) in_memory: bool,
    /// Free bytes.
    pub(crate) bytes: u64,
    /// Free inodes, or `None` if the file system has no limit.
    pub(crate) files: Option<u64>,
}

impl Directory {
    /// Returns the free space of the directory's file system.
    pub(crate) fn room(&self) -> Result<Room> {
        let stat = fstatfs(&self.fd).context(Kind::State, || self.shown.clone())?;
        Ok(Room {
            in_memory: stat.filesystem_type() == TMPFS_MAGIC,
            bytes: stat.blocks_available() * u64::try_from(stat.block_size()).unwrap_or(0),
            // File systems without an inode limit, such as btrfs, report 0 inodes in total.
            files: (stat.files() > 0).then(|| stat.files_free()),
        })
    }
}
