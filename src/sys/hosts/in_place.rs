//! Editing a bind-mounted hosts file in place, while the container may write to it.

use crate::error::{Context, Error, Kind, Result};
use crate::model::filler;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// The largest hosts file that is edited, in bytes.
pub(super) const MAX_SIZE: u64 = 1 << 20;

/// How many times bytes that the container appends during an edit are moved.
const PIECES: usize = 1000;

/// Changes the content of `file` from `old` to `new` without changing its inode.
///
/// A bind mount refers to the inode, so a replacement would be invisible to the container. `alone`
/// tells whether a write lease is held. One write starts at the first byte that differs, so a
/// reader never sees half a line. Writing and truncating are two system calls. In between, a
/// comment covers the bytes to be cut off; a later edit recognizes it if this process is killed
/// there.
pub(super) fn in_place(file: &File, old: &[u8], new: &[u8], alone: bool) -> Result<()> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let mut tail = new[same..].to_vec();
    if !tail.is_empty() {
        tail.extend(filler(old.len().saturating_sub(new.len())));
    }
    let written = if same == old.len() && !alone {
        append(file, &tail)
    } else {
        file.write_all_at(&tail, same as u64)
    };
    let what = || "cannot write the hosts file";
    // Under a write lease no other process has the file open, so none has appended to it.
    let cut = || {
        if alone && new.len() < old.len() {
            file.set_len(new.len() as u64).context(Kind::Hosts, what)
        } else {
            shorten(file, old, new)
        }
    };
    let written = written.context(Kind::Hosts, what).and_then(|()| cut());
    if written.is_err() {
        put_back(file, old, same, new.len() as u64);
    }
    written
}

/// Restores the old content after a failed write, for example on a full disk.
///
/// The first `same` bytes are unchanged. The file is truncated only if it is no longer than
/// `written`, its length after a complete write, so that bytes appended by the container stay.
fn put_back(file: &File, old: &[u8], same: usize, written: u64) {
    let _ = file.write_all_at(&old[same..], same as u64);
    let length = old.len() as u64;
    if file.metadata().is_ok_and(|now| (length + 1..=written).contains(&now.len())) {
        let _ = file.set_len(length);
    }
}

/// Truncates the file to the length of `new`, and keeps bytes that the container appended.
///
/// Without a lease, the container may append behind `old` during the edit. These bytes are moved
/// down until there are no more. The number of rounds and the file size are limited, because a
/// container can append without end; exceeding a limit is an error of kind [`Kind::Unsafe`].
fn shorten(file: &File, old: &[u8], new: &[u8]) -> Result<()> {
    let (mut seen, mut end) = (old.len() as u64, new.len() as u64);
    let what = || "cannot write the hosts file";
    for _ in 0..PIECES {
        if end >= seen {
            return Ok(());
        }
        let room = MAX_SIZE.saturating_sub(seen);
        let more = from(file, seen, room + 1).context(Kind::Hosts, what)?;
        if more.is_empty() {
            return file.set_len(end).context(Kind::Hosts, what);
        }
        if more.len() as u64 > room {
            break;
        }
        file.write_all_at(&more, end).context(Kind::Hosts, what)?;
        seen += more.len() as u64;
        end += more.len() as u64;
    }
    Err(Error::new(Kind::Unsafe, "hosts file: kept growing while it was edited"))
}

/// Reads at most `length` bytes from offset `start`.
fn from(mut file: &File, start: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes `bytes` at the end of the file with `O_APPEND`, also if another process appends to it.
pub(super) fn append(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags | OFlag::O_APPEND))?;
    let mut end = file;
    let written = end.write_all(bytes);
    fcntl(file, FcntlArg::F_SETFL(flags))?;
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    const OLD: &[u8] = b"127.0.0.1\tlocalhost\n10.0.0.2\tdb\n";
    const NEW: &[u8] = b"127.0.0.1\tlocalhost\n";

    /// Creates an unlinked file with the content `bytes`.
    fn file(bytes: &[u8]) -> File {
        let path = format!("/var/tmp/oci-link-{}-{:p}", std::process::id(), &bytes);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn content(file: &File) -> Vec<u8> {
        from(file, 0, MAX_SIZE).unwrap()
    }

    #[test]
    fn what_was_appended_is_moved_along() {
        let file = file(&[OLD, b"10.0.0.9\tmine\n"].concat());
        shorten(&file, OLD, NEW).unwrap();
        assert_eq!(content(&file), [NEW, b"10.0.0.9\tmine\n"].concat());
    }

    #[test]
    fn a_file_that_swells_is_left() {
        let file = file(OLD);
        file.set_len(1 << 40).unwrap();
        assert_eq!(shorten(&file, OLD, NEW).unwrap_err().kind, Kind::Unsafe);
        // The maximum size itself is accepted.
        file.set_len(MAX_SIZE).unwrap();
        shorten(&file, OLD, NEW).unwrap();
        assert_eq!(file.metadata().unwrap().len(), MAX_SIZE - (OLD.len() - NEW.len()) as u64);
    }
}
