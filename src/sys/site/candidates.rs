//! Files that may be the network namespace with a user's bridges. Each is checked by what the kernel says of
//! it, so its path is not trusted.

use super::namespace::{inode, is_network_of_ours};
use super::whose::run;
use crate::model::Inode;
use crate::sys::file::{open_to_read, open_with, whole};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::ffi::OsString;
use std::fs::{File, read_dir};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The number of entries of podman's directory of network namespaces that are looked at. Each container has
/// one there.
const MAX_ENTRIES: usize = 4096;
/// The number of files that are opened.
const MAX_OPENED: usize = 64;
/// Size limit of the list of mounts in bytes.
const MAX_MOUNTS: u64 = 4 << 20;

/// Where podman mounts the network namespace with its bridges: since 5.0 at one path, before that at one for
/// each directory of images.
pub(super) fn of_podman(uid: u32) -> Vec<File> {
    let one = run(uid).join("containers/networks/rootless-netns/rootless-netns");
    let several = run(uid).join("netns");
    let named = read_dir(&several).into_iter().flatten().take(MAX_ENTRIES).flatten();
    let named = named.map(|entry| entry.file_name());
    let mut names: Vec<OsString> =
        named.filter(|name| name.to_string_lossy().starts_with("rootless-netns")).collect();
    names.sort();
    let paths = std::iter::once(one).chain(names.into_iter().map(|name| several.join(name)));
    opened(paths, &mut Vec::new())
}

/// The network namespaces that are mounted anywhere else. Those of containers are among them.
pub(super) fn mounted(known: &mut Vec<Inode>) -> Vec<File> {
    let list = open_to_read("/proc/self/mountinfo").and_then(|file| whole(&file, 8192, MAX_MOUNTS));
    opened(mounts(&list.ok().flatten().unwrap_or_default()).into_iter(), known)
}

/// Opens those of `paths` that are network namespaces of this user namespace, each once and none of `known`.
fn opened(paths: impl Iterator<Item = PathBuf>, known: &mut Vec<Inode>) -> Vec<File> {
    let mut open = |path: PathBuf| {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
        let file = open_with(path.as_path(), flags, Mode::empty()).ok()?;
        let inode = inode(&file).ok().filter(|inode| !known.contains(inode))?;
        known.push(inode);
        is_network_of_ours(&file).then_some(file)
    };
    paths.take(MAX_OPENED).filter_map(&mut open).collect()
}

/// The mount points of file system nsfs in the text of `/proc/self/mountinfo`.
fn mounts(list: &[u8]) -> Vec<PathBuf> {
    let lines = list.split(|byte| *byte == b'\n');
    lines.filter_map(mount_of_namespace).collect()
}

fn mount_of_namespace(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let place = fields.nth(4)?;
    fields.find(|field| *field == b"-")?;
    (fields.next()? == b"nsfs").then(|| Path::new(&unescaped(place)).to_owned())
}

/// A field of mountinfo: blank, tab, newline and backslash are octal numbers behind a backslash.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let number = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let number = number.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number.filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_namespaces_are_found() {
        let list = b"22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n\
            40 1 0:4 net:[4026532] /run/user/7/netns/a\\040b\\134 rw shared:9 master:1 - nsfs nsfs rw\n\
            41 1 0:4 net:[4026533] /run/x rw - nsfs nsfs rw\n\
            42 1 0:4 nsfs\n- nsfs\n\\\n";
        assert_eq!(mounts(list), [Path::new("/run/user/7/netns/a b\\"), Path::new("/run/x")]);
        assert_eq!(mounts(b""), Vec::<PathBuf>::new());
        assert_eq!(unescaped(b"\\04"), "\\04");
        assert_eq!(unescaped(b"\\999"), "\\999");
    }

    #[test]
    fn what_is_no_namespace_is_no_candidate() {
        let paths = ["/dev/null", "/proc/self/stat", "/does/not/exist", "/"].map(PathBuf::from);
        assert!(opened(paths.into_iter(), &mut Vec::new()).is_empty());
    }
}
