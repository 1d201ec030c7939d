//! A container's hosts file, opened once and checked before anything is done with it.

mod in_place;
pub(crate) mod lease;
pub(crate) mod mount_source;
mod replace;
pub(crate) mod rootfs;
use self::in_place::{MAX_SIZE, append, in_place};
use self::rootfs::HostsEntry;
use super::file::{shown, whole};
use super::restrict::landlock::Place;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Created, HostsPlace, Inode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat, stat};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Most of them are no longer.
const USUAL: u64 = 1 << 10;

/// How often a file is read again because it was written to meanwhile. Who still writes then loses
/// his own lines: we hold the host's lock, and he may never stop.
const ROUNDS: usize = 100;

/// The same for a file that has been replaced, where each time may take as long as a lease is waited
/// for: whoever gets there was in the middle of opening it, and the next one is about to be.
const LATE: usize = 3;

/// The file, held open, and what it held.
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
    /// The source of a bind mount. `state` is our own directory, which no container gets.
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

    /// `/etc/hosts` below the root filesystem `path`, or where it would be.
    pub fn of_rootfs(path: &Path) -> Result<Self> {
        let (root, inode) = rootfs::open_root(path)?;
        let entry = HostsEntry::find(root)?;
        let content = content(&entry)?;
        let created = to_create(content.as_deref(), &entry);
        let place = HostsPlace::Rootfs { path: path.to_owned(), inode, created };
        Ok(Self { place, content, target: Source::Rootfs(Box::new(entry)) })
    }

    /// Looks again, before anything is planned: what stood there may have been somebody else's, and
    /// gone with him.
    pub(crate) fn look_again(&mut self) -> Result<()> {
        match &mut self.target {
            Source::Mount(file) => self.content = Some(read(file, USUAL, "hosts file")?),
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

    /// The file that was recorded, if it is still there: another file that took its path since is
    /// not ours to edit.
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

    /// Where a recorded file is, for [`landlock`](crate::sys::restrict::landlock); none if it is not there any more.
    pub fn hold(place: &HostsPlace) -> Result<Option<Place>> {
        let (path, expected) = path_and_inode(place);
        let path_only = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let held = match nix::fcntl::open(path, path_only, Mode::empty()) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            held => held.context(Kind::Hosts, || shown(path))?,
        };
        let found = rootfs::inode(&fstat(&held).context(Kind::Hosts, || shown(path))?);
        Ok((found == *expected).then(|| match place {
            HostsPlace::Mount { .. } => Place::File(held),
            HostsPlace::Rootfs { .. } => Place::Root(held),
        }))
    }

    /// Where it is.
    pub fn place(&self) -> &HostsPlace {
        &self.place
    }

    /// What it held; none if there was no file.
    pub(crate) fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// Makes it hold what `change` makes of its bytes as they are at this very moment (none: there
    /// is no file). The container may have written to it since it was opened: its lines stay.
    pub fn edit(&mut self, change: impl Fn(Option<&[u8]>) -> Vec<u8>) -> Result<()> {
        match &mut self.target {
            Source::Mount(file) => lease::with(file, |alone| {
                if !alone {
                    log::debug!(
                        "hosts file: no lease: a program that has it open may read a partial change"
                    );
                }
                let length = || file.metadata().context(Kind::Hosts, || "hosts file");
                for round in 1.. {
                    let now = read(file, USUAL, "hosts file")?;
                    let new = change(Some(&now));
                    if alone || round >= ROUNDS || length()?.len() == now.len() as u64 {
                        return in_place(file, &now, &new, alone);
                    }
                }
                Ok(())
            }),
            Source::Rootfs(entry) => replace(entry, change),
        }
    }

    /// Removes what is left beside it where one of us was killed while writing it.
    pub fn clear(&self) {
        if let Source::Rootfs(entry) = &self.target {
            entry.clear();
        }
    }

    /// Removes it, if it was made by us.
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

/// What has to be made for the file to be there.
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

/// The file, open for reading, and what it holds.
fn opened(entry: &HostsEntry) -> Result<Option<(File, Vec<u8>)>> {
    let Some((file, size)) = entry.open()? else { return Ok(None) };
    let bytes = read(&file, size, "hosts file /etc/hosts")?;
    Ok(Some((file, bytes)))
}

/// The whole file from its beginning, which was `size` long when it was looked at.
fn read(file: &File, size: u64, what: &str) -> Result<Vec<u8>> {
    let too_large = || Error::new(Kind::Unsafe, format!("{what}: larger than 1 MiB"));
    if size > MAX_SIZE {
        return Err(too_large());
    }
    whole(file, size, MAX_SIZE).context(Kind::Hosts, || what.to_owned())?.ok_or_else(too_large)
}

/// Puts another file in its place. The old one may be written to until then, and a moment longer by
/// whoever has opened it before.
fn replace(entry: &mut HostsEntry, change: impl Fn(Option<&[u8]>) -> Vec<u8>) -> Result<()> {
    entry.find_again()?;
    let Some((old, mut seen)) = opened(entry)? else {
        return entry.replace(&change(None)).map(drop);
    };
    for _ in 0..LATE {
        let new = entry.replace(&change(Some(&seen)))?;
        match carry_over(&old, &seen, &new)? {
            Some(rewritten) => seen = rewritten,
            None => break,
        }
    }
    Ok(())
}

/// Appends to `new` what is appended to `old`, which held `seen`, as long as somebody is about to.
/// Returns what `old` holds if that is something else, or begins with the rest of a line.
fn carry_over(old: &File, seen: &[u8], new: &File) -> Result<Option<Vec<u8>>> {
    let mut seen = seen.to_vec();
    for _ in 0..LATE {
        let (later, waited_for) = lease::unwritten(old, || read(old, seen.len() as u64, ""));
        // What is no hosts file any more is nobody's loss.
        let Ok(later) = later else { break };
        let Some(more) = later.strip_prefix(seen.as_slice()) else { return Ok(Some(later)) };
        if !more.is_empty() && seen.last().is_some_and(|last| *last != b'\n') {
            return Ok(Some(later));
        }
        if !more.is_empty() {
            append(new, more).context(Kind::Hosts, || "hosts file /etc/hosts")?;
        }
        // Nobody has it open any more; or somebody for so long that he might for ever.
        if !waited_for {
            break;
        }
        seen = later;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
