//! Files of the host, named by their paths.

use crate::error::{Context, Error, Kind, Result};
use crate::model::Invalid;
use nix::libc;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// A path for a message: one line, no control characters.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Opens a regular file that is no symbolic link, without waiting for a FIFO's writer.
fn open(path: &Path, kind: Kind) -> Result<(File, u64)> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.context(kind, || shown(path))?;
    let metadata = file.metadata().context(kind, || shown(path))?;
    if !metadata.is_file() {
        return Err(Error::new(Kind::Unsafe, format!("{}: not a regular file", shown(path))));
    }
    Ok((file, metadata.len()))
}

/// The whole of a regular file of at most `max` bytes, read once from one descriptor.
pub fn read(path: &Path, max: u64, kind: Kind) -> Result<Vec<u8>> {
    let (file, size) = open(path, kind)?;
    let too_large = || Error::new(kind, format!("{}: more than {max} bytes", shown(path)));
    if size > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(max + 1).read_to_end(&mut bytes).context(kind, || shown(path))?;
    if bytes.len() as u64 > max { Err(too_large()) } else { Ok(bytes) }
}

/// The same as text.
pub fn read_text(path: &Path, max: u64, kind: Kind) -> Result<String> {
    let bytes = read(path, max, kind)?;
    String::from_utf8(bytes)
        .map_err(|_| Invalid::new("file", &path.to_string_lossy(), "is not UTF-8").into())
}

/// Replaces a file, owner and mode kept: a reader sees the old bytes or the new, and a crash at any
/// moment leaves one or the other.
pub fn replace(path: &Path, bytes: &[u8], kind: Kind) -> Result<()> {
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
