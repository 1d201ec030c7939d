//! Files of the host, named by their paths.

use crate::error::{Context, Error, Kind, Result};
use crate::model::Invalid;
use nix::libc;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// A path for a message: one line, no control characters.
pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Opens a regular file that is no symbolic link, without waiting for a FIFO's writer.
fn open(path: &Path, kind: Kind) -> Result<(File, u64)> {
    must_be_regular(path, open_any(path).context(kind, || shown(path))?, kind)
}

fn open_any(path: &Path) -> std::io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn must_be_regular(path: &Path, file: File, kind: Kind) -> Result<(File, u64)> {
    let metadata = file.metadata().context(kind, || shown(path))?;
    if !metadata.is_file() {
        return Err(Error::new(Kind::Unsafe, format!("{}: not a regular file", shown(path))));
    }
    Ok((file, metadata.len()))
}

/// The whole of a regular file of at most `max` bytes, read once from one descriptor.
pub(crate) fn read(path: &Path, max: u64, kind: Kind) -> Result<Vec<u8>> {
    read_opened(path, open(path, kind)?, max, kind)
}

fn read_opened(path: &Path, (file, size): (File, u64), max: u64, kind: Kind) -> Result<Vec<u8>> {
    let too_large = || Error::new(kind, format!("{}: more than {max} bytes", shown(path)));
    if size > max {
        return Err(too_large());
    }
    whole(&file, size, max).context(kind, || shown(path))?.ok_or_else(too_large)
}

/// The whole of an open regular file, whose size should be `expected`; none if it is more than
/// `max`. Who has read what he expected, and was brought no more, is at the end: small files take one
/// call.
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

/// The same as text.
pub(crate) fn read_text(path: &Path, max: u64, kind: Kind) -> Result<String> {
    text(path, read(path, max, kind)?)
}

/// The same; nothing where there is no file.
pub(crate) fn read_text_if_there(path: &Path, max: u64, kind: Kind) -> Result<Option<String>> {
    match open_any(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => {
            let file = must_be_regular(path, opened.context(kind, || shown(path))?, kind)?;
            text(path, read_opened(path, file, max, kind)?).map(Some)
        }
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| Invalid::new("file", &path.to_string_lossy(), "is not UTF-8").into())
}

/// Replaces a file, owner and mode kept: a reader sees the old bytes or the new, and a crash at any
/// moment leaves one or the other.
pub(crate) fn replace(path: &Path, bytes: &[u8], kind: Kind) -> Result<()> {
    let (old, _) = open(path, kind)?;
    let metadata = old.metadata().context(kind, || shown(path))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".oci-link-{}", std::process::id()));
    let temporary = path.with_file_name(name);
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
    written.context(kind, || shown(path))
}
