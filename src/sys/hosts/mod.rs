//! Reading and editing the hosts file of a container.
//!
//! The file is opened once and checked before use.

mod in_place;
pub(crate) mod lease;
pub(crate) mod mount_source;
mod replace;
pub(crate) mod rootfs;
use self::in_place::{MAX_SIZE, append, in_place};
use self::rootfs::HostsEntry;
use super::file::{open_with, shown, whole};
use super::restrict::landlock::Place;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Created, HostsPlace, Inode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat, stat};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Initial buffer size in bytes; most hosts files are smaller.
const USUAL: u64 = 1 << 10;

/// The most lines of a hosts file that is edited.
///
/// Other containers wait while the lines are compared with ours, and a megabyte holds a million empty
/// lines. A file grows beyond it by its container only: an edit that would do so fails.
const MAX_LINES: usize = 20_000;

/// How often a mounted file is read again because its length changed before the edit.
///
/// After that, lines that the container is still writing may be lost. The host lock is held and a
/// container could write without end.
const ROUNDS: usize = 100;

/// How often late writes to a replaced file are carried over.
///
/// Each round may wait for a lease. A process that writes so late had begun to open the file before
/// the rename.
const LATE: usize = 3;

/// An open hosts file and the content that was read from it.
#[derive(Debug)]
pub struct HostsFile {
    place: HostsPlace,
    content: Option<Vec<u8>>,
    target: Source,
}

#[derive(Debug)]
enum Source {
    Mount(File),
    Rootfs(Box<HostsEntry>),
}

impl HostsFile {
    /// Opens the hosts file at `path`, the source of a bind mount.
    ///
    /// `state` is the state directory. A file in it, the host's own /etc/hosts, a file below /dev
    /// and any file that is not a regular one are errors of kind `Kind::Unsafe`.
    pub fn of_mount(path: &Path, state: &Path) -> Result<Self> {
        let error = || format!("hosts file {}", shown(path));
        let unsafe_file = |why| Err(Error::new(Kind::Unsafe, format!("{}: {why}", error())));
        let pinned = mount_source::pin(path, &error())?;
        let status = fstat(&pinned).context(Kind::Hosts, error)?;
        rootfs::must_be_ordinary(&pinned, &status, &shown(path))?;
        let inode = rootfs::inode(&status);
        if stat("/etc/hosts").is_ok_and(|host| rootfs::inode(&host) == inode) {
            return unsafe_file("is the host's own");
        }
        let own = format!("/proc/self/fd/{}", pinned.as_raw_fd());
        let real = std::fs::read_link(own).context(Kind::Hosts, error)?;
        if real.starts_with("/dev") {
            return unsafe_file("is not on a file system for regular files");
        }
        if real.starts_with(state) {
            return unsafe_file("is in the state directory");
        }
        let file = rootfs::reopen(&pinned, OFlag::O_RDWR).context(Kind::Hosts, error)?;
        let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
        let content = Some(read(&file, size, &error())?);
        let place = HostsPlace::Mount { path: path.to_owned(), inode };
        Ok(Self { place, content, target: Source::Mount(file) })
    }

    /// Opens `/etc/hosts` in the root filesystem `path`. The file and `/etc` may be missing.
    pub fn of_rootfs(path: &Path) -> Result<Self> {
        let (root, inode) = rootfs::open_root(path)?;
        let entry = HostsEntry::find(root)?;
        let content = content(&entry)?;
        let created = to_create(content.as_deref(), &entry);
        let place = HostsPlace::Rootfs { path: path.to_owned(), inode, created };
        Ok(Self { place, content, target: Source::Rootfs(Box::new(entry)) })
    }

    /// Reads the file again, under the host lock and before a plan is made.
    ///
    /// The earlier content may contain lines of another container that has been removed since.
    pub(crate) fn look_again(&mut self) -> Result<()> {
        match &mut self.target {
            Source::Mount(file) => {
                let usual = self.content.as_ref().map_or(USUAL, |content| content.len() as u64);
                self.content = Some(read(file, usual, "hosts file")?);
            }
            Source::Rootfs(entry) => {
                entry.find_again()?;
                self.content = content(entry)?;
                if let HostsPlace::Rootfs { created, .. } = &mut self.place {
                    *created = to_create(self.content.as_deref(), entry);
                }
            }
        }
        Ok(())
    }

    /// Opens a recorded hosts file again, or returns `None` if it is gone.
    ///
    /// Another file that now has the recorded path also counts as gone: oci-link must not edit it.
    pub fn again(place: &HostsPlace, state: &Path) -> Result<Option<Self>> {
        let (path, expected) = path_and_inode(place);
        match stat(path) {
            Ok(now) if rootfs::inode(&now) == *expected => {}
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(errno).context(Kind::Hosts, || shown(path)),
        }
        let mut file = match place {
            HostsPlace::Mount { .. } => Self::of_mount(path, state)?,
            HostsPlace::Rootfs { .. } => Self::of_rootfs(path)?,
        };
        let same = path_and_inode(&file.place).1 == expected;
        file.place = place.clone();
        Ok(same.then_some(file))
    }

    /// Opens a recorded file with `O_PATH`, for a landlock rule.
    ///
    /// Returns `None` if the file is gone or another one has its path.
    pub fn hold(place: &HostsPlace) -> Result<Option<Place>> {
        let (path, expected) = path_and_inode(place);
        let held = match open_with(path, OFlag::O_PATH, Mode::empty()).map(OwnedFd::from) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            held => held.context(Kind::Hosts, || shown(path))?,
        };
        let found = rootfs::inode(&fstat(&held).context(Kind::Hosts, || shown(path))?);
        Ok((found == *expected).then(|| match place {
            HostsPlace::Mount { .. } => Place::File(held),
            HostsPlace::Rootfs { .. } => Place::Root(held),
        }))
    }

    /// Returns the location of the file.
    pub fn place(&self) -> &HostsPlace {
        &self.place
    }

    /// Returns the content that was read, or `None` if there was no file.
    pub(crate) fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// Edits the file: `change` maps its current content to the new one.
    ///
    /// The content is read again because the container may have written to the file since it was
    /// opened. `change` gets `None` if there is no file, and may be called several times. Fails with
    /// `Kind::Unsafe` if the file would become too large to be edited again.
    pub fn edit(&mut self, change: impl Fn(Option<&[u8]>) -> Vec<u8>) -> Result<()> {
        let change = |now: Option<&[u8]>| {
            let new = change(now);
            let grows = new.len() > now.map_or(0, <[u8]>::len);
            if grows { must_fit(new, "hosts file") } else { Ok(new) }
        };
        let usual = self.content.as_ref().map_or(USUAL, |content| content.len() as u64);
        match &mut self.target {
            Source::Mount(file) => lease::with(file, |alone| {
                if !alone {
                    log::debug!(
                        "hosts file: no lease: a program that has it open may read a partial change"
                    );
                }
                let length = || file.metadata().context(Kind::Hosts, || "hosts file");
                for round in 1.. {
                    let now = read(file, usual, "hosts file")?;
                    let new = change(Some(&now))?;
                    if alone || round >= ROUNDS || length()?.len() == now.len() as u64 {
                        return in_place(file, &now, &new, alone);
                    }
                }
                Ok(())
            }),
            Source::Rootfs(entry) => replace(entry, change),
        }
    }

    /// Removes a temporary file left by a process that was killed during a replacement.
    pub fn clear(&self) {
        if let Source::Rootfs(entry) = &self.target {
            entry.clear();
        }
    }

    /// Removes the file if oci-link created it. A bind-mounted file is never removed.
    pub(crate) fn remove(&self) -> Result<()> {
        match (&self.target, &self.place) {
            (Source::Rootfs(entry), HostsPlace::Rootfs { created, .. }) => {
                entry.remove(*created == Created::FileAndDirectory)
            }
            _ => Ok(()),
        }
    }
}

fn path_and_inode(place: &HostsPlace) -> (&Path, &Inode) {
    match place {
        HostsPlace::Mount { path, inode } | HostsPlace::Rootfs { path, inode, .. } => (path, inode),
    }
}

/// Returns what must be created so that the file exists.
fn to_create(content: Option<&[u8]>, entry: &HostsEntry) -> Created {
    match (content, entry.lacks_etc()) {
        (Some(_), _) => Created::Nothing,
        (None, false) => Created::File,
        (None, true) => Created::FileAndDirectory,
    }
}

fn content(entry: &HostsEntry) -> Result<Option<Vec<u8>>> {
    Ok(opened(entry)?.map(|(_, bytes)| bytes))
}

/// Opens the file for reading and returns it with its content, or `None` if there is no file.
fn opened(entry: &HostsEntry) -> Result<Option<(File, Vec<u8>)>> {
    let Some((file, size)) = entry.open()? else { return Ok(None) };
    let bytes = read(&file, size, "hosts file /etc/hosts")?;
    Ok(Some((file, bytes)))
}

/// Reads the whole file. `size` is its expected size in bytes. A file that is too large to be edited is
/// an error of kind [`Kind::Unsafe`].
fn read(file: &File, size: u64, what: &str) -> Result<Vec<u8>> {
    if size > MAX_SIZE {
        return Err(too_large(what));
    }
    let bytes = whole(file, size, MAX_SIZE).context(Kind::Hosts, || what.to_owned())?;
    must_fit(bytes.ok_or_else(|| too_large(what))?, what)
}

/// Returns `content`, or an error if it is larger than 1 MiB or has more than [`MAX_LINES`] lines.
fn must_fit(content: Vec<u8>, what: &str) -> Result<Vec<u8>> {
    if content.len() as u64 > MAX_SIZE {
        return Err(too_large(what));
    }
    if content.split(|byte| *byte == b'\n').nth(MAX_LINES + 1).is_some() {
        let message =
            format!("{what}: more than {MAX_LINES} lines: remove the lines that it does not need");
        return Err(Error::new(Kind::Unsafe, message));
    }
    Ok(content)
}

fn too_large(what: &str) -> Error {
    Error::new(Kind::Unsafe, format!("{what}: larger than 1 MiB"))
}

/// Replaces the file by rename and carries over late writes to the old one.
///
/// A process that opened the old file before the rename may still write to it shortly afterwards.
fn replace(
    entry: &mut HostsEntry,
    change: impl Fn(Option<&[u8]>) -> Result<Vec<u8>>,
) -> Result<()> {
    entry.find_again()?;
    let Some((old, mut seen)) = opened(entry)? else {
        return entry.replace(&change(None)?).map(drop);
    };
    for _ in 0..LATE {
        let new = entry.replace(&change(Some(&seen))?)?;
        match carry_over(&old, &seen, &new)? {
            Some(rewritten) => seen = rewritten,
            None => break,
        }
    }
    Ok(())
}

/// Appends to `new` what other processes append to `old`, whose content was `seen`.
///
/// Returns the content of `old` if it must be edited again: it no longer begins with `seen`, or the
/// appended bytes continue an unfinished line. `None` means that nothing is left to do.
fn carry_over(old: &File, seen: &[u8], new: &File) -> Result<Option<Vec<u8>>> {
    let mut seen = seen.to_vec();
    for _ in 0..LATE {
        let (later, waited_for) = lease::unwritten(old, || read(old, seen.len() as u64, ""));
        // The old file grew beyond the size limit or cannot be read: nothing worth keeping.
        let Ok(later) = later else { break };
        let Some(more) = later.strip_prefix(seen.as_slice()) else { return Ok(Some(later)) };
        if !more.is_empty() && seen.last().is_some_and(|last| *last != b'\n') {
            return Ok(Some(later));
        }
        if !more.is_empty() {
            append(new, more).context(Kind::Hosts, || "hosts file /etc/hosts")?;
        }
        // No process waits to write. A writer that kept the file open prevented the lease and may
        // never close it.
        if !waited_for {
            break;
        }
        seen = later;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
