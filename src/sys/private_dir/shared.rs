//! A subdirectory of the state directory that one group may read.

use super::{Directory, NEW};
use crate::error::{Context, Kind, Result};
use crate::sys::process::lock::Lock;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Gid, fchown};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// The mode of the directory.
const DIRECTORY: Mode = Mode::S_IRWXU.union(Mode::S_IRGRP).union(Mode::S_IXGRP);
/// The mode of a file in it.
const FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP);

impl Directory {
    /// Opens the subdirectory `name` with the mode 0750 and this group. It is created if it is missing.
    pub(crate) fn shared_with(&self, name: &str, group: u32) -> Result<Self> {
        let folder = self.subdirectory(name)?;
        let stat = fstat(&folder.fd).context(Kind::State, || folder.shown.clone())?;
        if stat.st_gid != group || stat.st_mode & 0o7777 != DIRECTORY.bits() {
            give(&folder.fd, group, DIRECTORY).context(Kind::State, || folder.shown.clone())?;
        }
        Ok(folder)
    }

    /// Atomically replaces the content of the file `name`, with the mode 0640 and this group.
    ///
    /// The temporary name begins with a full stop. Every write uses the same one, under the host lock.
    pub(crate) fn write_shared(
        &self,
        _: &Lock,
        name: &str,
        bytes: &[u8],
        group: u32,
    ) -> Result<()> {
        let new = format!(".{NEW}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = openat(&self.fd, new.as_str(), flags | OFlag::O_CLOEXEC, mode);
        let mut file = self.context(&new, fd).map(File::from)?;
        file.write_all(bytes).context(Kind::State, || self.at(&new))?;
        give(&file, group, FILE).context(Kind::State, || self.at(&new))?;
        self.context(name, renameat(&self.fd, new.as_str(), &self.fd, name))
    }
}

/// Sets group and mode. The owner stays.
fn give(file: impl AsFd, group: u32, mode: Mode) -> nix::Result<()> {
    fchown(&file, None, Some(Gid::from_raw(group)))?;
    fchmod(file, mode)
}
