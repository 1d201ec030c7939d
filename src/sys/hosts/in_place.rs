//! A file that is mounted into a container is changed where it stands, whatever the container does
//! to it at that moment.

use crate::error::{Context, Error, Kind, Result};
use crate::model::filler;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// The largest hosts file that is edited, in bytes.
pub(super) const MAX_SIZE: u64 = 1 << 20;

/// How many pieces that others append meanwhile are moved along.
const PIECES: usize = 1000;

/// A file that is bind-mounted must stay the same file. One write from the first byte that differs:
/// a reader never sees half a line. A file cannot be written and made shorter at once: in between,
/// a comment stands for what is to be cut off, and is recognised if we do not get to cut it.
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
    let written = written.context(Kind::Hosts, what).and_then(|()| shorten(file, old, new));
    if written.is_err() {
        put_back(file, old, same, new.len() as u64);
    }
    written
}

/// The disk was full, perhaps, and took a part. There is room for what was there before. `written`
/// is the length of the file if that was all of it: who added to it meanwhile loses nothing.
fn put_back(file: &File, old: &[u8], same: usize, written: u64) {
    let _ = file.write_all_at(&old[same..], same as u64);
    let length = old.len() as u64;
    if file.metadata().is_ok_and(|now| (length + 1..=written).contains(&now.len())) {
        let _ = file.set_len(length);
    }
}

/// Cuts what is left of `old` behind `new`. What somebody appended meanwhile, where no lease could
/// be had, is moved along until there is no more of it; or until it is more than a hosts file may
/// hold: whoever has it open can make it as long as he likes, and append for ever.
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

/// At most `length` bytes from `start`.
fn from(mut file: &File, start: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes to whatever is the end by then.
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

    /// A file without a name that holds `bytes`.
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
        // As large as it may be is not too large.
        file.set_len(MAX_SIZE).unwrap();
        shorten(&file, OLD, NEW).unwrap();
        assert_eq!(file.metadata().unwrap().len(), MAX_SIZE - (OLD.len() - NEW.len()) as u64);
    }
}
