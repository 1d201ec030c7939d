//! A file that is replaced for a short time. The original is kept beside it and put back by rename, with
//! its inode, times and links.

use super::{Followed, at_its_place, beside, read_followed, replace_by_rename};
use crate::error::{Context, Kind, Result};
use std::fs::{hard_link, metadata, remove_file, rename, symlink_metadata};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the name of an original ends with.
const ORIGINAL: &str = "original";

/// Replaces the content of a file that was read by [`super::follow`], as [`super::replace_followed`] does,
/// and keeps the original for [`Original::put_back`].
pub(crate) fn replace(path: &Path, old: &Followed, bytes: &[u8], kind: Kind) -> Result<()> {
    at_its_place(path, old, kind, |place| {
        let kept = beside(place, ORIGINAL);
        let is_new = keep(place, &kept, old)?;
        let replaced = replace_by_rename(place, &old.metadata, bytes);
        if replaced.is_err() && is_new {
            let _ = remove_file(&kept);
        }
        replaced?;
        // Another process may have put the original back before the file was replaced.
        if symlink_metadata(&kept).is_err() {
            replace_by_rename(&kept, &old.metadata, &old.bytes)?;
        }
        Ok(())
    })
}

/// Keeps the file at `place` as `kept`. Returns whether it was not kept before.
fn keep(place: &Path, kept: &Path, old: &Followed) -> std::io::Result<bool> {
    match hard_link(place, kept) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if metadata(kept).is_ok_and(|there| old.is(&there))
                || read_followed(kept, old.metadata.len()).is_ok_and(|there| there == old.bytes)
            {
                return Ok(false);
            }
            // A leftover: the file has been replaced since.
            remove_file(kept)?;
            hard_link(place, kept)?;
        }
        Err(_) if symlink_metadata(place)?.is_file() => {
            // A file system without hard links.
            replace_by_rename(kept, &old.metadata, &old.bytes)?;
            return Ok(true);
        }
        linked => linked?,
    }
    if metadata(kept).is_ok_and(|there| old.is(&there)) {
        return Ok(true);
    }
    remove_file(kept)?;
    Err(Error::other("changed while it was edited"))
}

/// The original of a file that was replaced.
pub(crate) struct Original {
    place: PathBuf,
    kept: PathBuf,
}

impl Original {
    /// Finds the original of `path`. `None` if none is kept, or there is no such file.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>> {
        let link = match symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            link => link.context(Kind::Input, || super::shown(path))?,
        };
        let place = if link.file_type().is_symlink() {
            path.canonicalize().context(Kind::Input, || super::shown(path))?
        } else {
            path.to_owned()
        };
        let kept = beside(&place, ORIGINAL);
        Ok(symlink_metadata(&kept).is_ok().then_some(Self { place, kept }))
    }

    /// Reads the original, which has at most `max` bytes.
    pub(crate) fn read(&self, max: u64) -> Result<Vec<u8>> {
        read_followed(&self.kept, max)
    }

    /// Puts the original back in one step. One that another process has put back is not an error.
    pub(crate) fn put_back(&self) -> Result<()> {
        let inode = |path: &Path| symlink_metadata(path).map(|file| (file.dev(), file.ino())).ok();
        if inode(&self.kept) == inode(&self.place) {
            // rename(2) does nothing with two links to one file.
            return self.remove();
        }
        match rename(&self.kept, &self.place) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.context(Kind::Input, || super::shown(&self.place)),
        }
    }

    /// Removes the original.
    pub(crate) fn remove(&self) -> Result<()> {
        match remove_file(&self.kept) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.context(Kind::Input, || super::shown(&self.kept)),
        }
    }
}

#[cfg(test)]
mod tests;
