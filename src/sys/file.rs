//! Reading and replacing files of the host by path.

use crate::error::{Context, Error, Kind, Result};
use crate::model::Invalid;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::sys::stat::Mode;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

pub(crate) mod kept;

/// Formats a path for a message, on one line and with control characters escaped.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Opens a file of the host, with `O_CLOEXEC`. `mode` is that of a new file.
///
/// `open` of the C library sets `O_CLOEXEC` again afterwards; this takes one system call.
pub(crate) fn open_with(
    path: &(impl nix::NixPath + ?Sized),
    flags: OFlag,
    mode: Mode,
) -> nix::Result<File> {
    openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, mode).map(File::from)
}

/// Opens a file of the host for reading.
pub(crate) fn open_to_read(path: &(impl nix::NixPath + ?Sized)) -> std::io::Result<File> {
    Ok(open_with(path, OFlag::O_RDONLY, Mode::empty())?)
}

/// Opens a regular file for reading and returns it with its status.
///
/// A symlink or any other kind of file is an error. `O_NONBLOCK` keeps the open of a FIFO from
/// waiting for a writer.
fn open(path: &Path, kind: Kind) -> Result<(File, Metadata)> {
    must_be_regular(path, open_any(path).context(kind, || shown(path))?, kind)
}

fn open_any(path: &Path) -> std::io::Result<File> {
    Ok(open_with(path, OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty())?)
}

fn must_be_regular(path: &Path, file: File, kind: Kind) -> Result<(File, Metadata)> {
    let metadata = file.metadata().context(kind, || shown(path))?;
    if !metadata.is_file() {
        return Err(Error::new(Kind::Unsafe, format!("{}: not a regular file", shown(path))));
    }
    Ok((file, metadata))
}

/// Reads a whole regular file of at most `max` bytes.
///
/// The file is opened once, so the size check and the content concern the same inode.
pub(crate) fn read(path: &Path, max: u64, kind: Kind) -> Result<Vec<u8>> {
    read_opened(path, &open(path, kind)?, max, kind)
}

fn read_opened(
    path: &Path,
    (file, metadata): &(File, Metadata),
    max: u64,
    kind: Kind,
) -> Result<Vec<u8>> {
    let too_large = || Error::new(kind, format!("{}: more than {max} bytes", shown(path)));
    let size = metadata.len();
    if size > max {
        return Err(too_large());
    }
    whole(file, size, max).context(kind, || shown(path))?.ok_or_else(too_large)
}

/// Reads a whole open file, or returns `None` if it is larger than `max` bytes.
///
/// `expected` is the assumed size in bytes. A read that returns exactly that many bytes, with room
/// in the buffer for more, is taken as the end. A small file thus takes one system call.
pub(crate) fn whole(file: &File, expected: u64, max: u64) -> std::io::Result<Option<Vec<u8>>> {
    let size = |bytes: u64| usize::try_from(bytes.min(max) + 1).unwrap_or(usize::MAX);
    let mut bytes = vec![0; size(expected)];
    let mut filled = 0;
    loop {
        let read = match file.read_at(&mut bytes[filled..], filled as u64) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        filled += read;
        if read == 0 || (filled < bytes.len() && filled as u64 == expected) {
            bytes.truncate(filled);
            return Ok(Some(bytes));
        }
        if filled as u64 > max {
            return Ok(None);
        }
        if filled == bytes.len() {
            bytes.resize(size(2 * filled as u64), 0);
        }
    }
}

/// Reads a whole regular file of at most `max` bytes. Symlinks are followed.
pub(crate) fn read_followed(path: &Path, max: u64) -> Result<Vec<u8>> {
    read_opened(path, &open_followed(path, Kind::Input)?, max, Kind::Input)
}

/// Opens a regular file, also behind a symbolic link. Another kind of file is not opened: the process
/// that writes to a FIFO would take us for its reader.
fn open_followed(path: &Path, kind: Kind) -> Result<(File, Metadata)> {
    if !std::fs::metadata(path).context(kind, || shown(path))?.is_file() {
        return Err(Error::new(Kind::Unsafe, format!("{}: not a regular file", shown(path))));
    }
    let file = open_with(path, OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty());
    must_be_regular(path, file.context(kind, || shown(path))?, kind)
}

/// Reads a whole regular file of at most `max` bytes as UTF-8.
pub(crate) fn read_text(path: &Path, max: u64, kind: Kind) -> Result<String> {
    text(path, read(path, max, kind)?)
}

/// Reads a regular file like [`read_text`]; a missing file is `None`.
pub(crate) fn read_text_if_there(path: &Path, max: u64, kind: Kind) -> Result<Option<String>> {
    match open_any(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => {
            let file = must_be_regular(path, opened.context(kind, || shown(path))?, kind)?;
            text(path, read_opened(path, &file, max, kind)?).map(Some)
        }
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| Invalid::new("file", &path.to_string_lossy(), "is not UTF-8").into())
}

/// Replaces the content of an existing file by rename; owner and mode are kept.
///
/// A reader sees either the old bytes or the new ones, also after a crash. On an error the
/// temporary file is removed.
pub(crate) fn replace(path: &Path, bytes: &[u8], kind: Kind) -> Result<()> {
    let (_, metadata) = open(path, kind)?;
    replace_by_rename(path, &metadata, bytes).context(kind, || shown(path))
}

/// Writes a file that all users may read, by rename: a reader sees the old bytes or the new ones. The file need not
/// exist, and a symbolic link in its place is replaced.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = beside(path, "new");
    let written = (|| -> std::io::Result<()> {
        // One that a killed process left.
        let _ = std::fs::remove_file(&temporary);
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(flags);
        let mut new = options.open(&temporary)?;
        new.write_all(bytes)?;
        new.set_permissions(Permissions::from_mode(0o644))?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.context(Kind::Internal, || shown(path))
}

/// Removes a file. A missing one is not an error.
pub(crate) fn withdraw(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The path of a file beside `path`, whose name has an addition of ours.
fn beside(path: &Path, addition: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".oci-link-{addition}"));
    path.with_file_name(name)
}

fn replace_by_rename(path: &Path, metadata: &Metadata, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = beside(path, &std::process::id().to_string());
    let written = (|| -> std::io::Result<()> {
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(&temporary)?;
        new.write_all(bytes)?;
        fchown(&new, Some(metadata.uid()), Some(metadata.gid()))?;
        new.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777))?;
        new.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// A file that was read through symbolic links, as runtimes read config.json.
pub(crate) struct Followed {
    /// The content.
    pub(crate) bytes: Vec<u8>,
    metadata: Metadata,
}

impl Followed {
    /// Whether `there` is the file that was read.
    fn is(&self, there: &Metadata) -> bool {
        (there.dev(), there.ino()) == (self.metadata.dev(), self.metadata.ino())
    }
}

/// Reads a whole regular file of at most `max` bytes, which may be behind symbolic links. It is
/// opened once.
pub(crate) fn follow(path: &Path, max: u64, kind: Kind) -> Result<Followed> {
    let opened = open_followed(path, kind)?;
    Ok(Followed { bytes: read_opened(path, &opened, max, kind)?, metadata: opened.1 })
}

/// Replaces the content of a file that was read by [`follow`].
///
/// If `path` is a symbolic link, its target is replaced by rename. Where that is not possible, for
/// example in a read-only directory, the link itself is replaced.
pub(crate) fn replace_followed(
    path: &Path,
    old: &Followed,
    bytes: &[u8],
    kind: Kind,
) -> Result<()> {
    let replaced = |place: &Path| replace_by_rename(place, &old.metadata, bytes);
    at_its_place(path, old, kind, replaced)
}

/// Calls `replace` for the target of `path`, if `path` is a symbolic link. If that fails, or `path` is a
/// file, `replace` is called for `path` itself.
fn at_its_place(
    path: &Path,
    old: &Followed,
    kind: Kind,
    replace: impl Fn(&Path) -> std::io::Result<()>,
) -> Result<()> {
    let link = std::fs::symlink_metadata(path).context(kind, || shown(path))?;
    if link.file_type().is_symlink() {
        let target = std::fs::canonicalize(path).context(kind, || shown(path))?;
        let now = std::fs::symlink_metadata(&target).context(kind, || shown(&target))?;
        if !old.is(&now) {
            let message = format!("{}: changed while it was edited", shown(path));
            return Err(Error::new(Kind::Unsafe, message));
        }
        if replace(&target).is_ok() {
            return Ok(());
        }
    }
    replace(path).context(kind, || shown(path))
}

#[cfg(test)]
mod tests;
