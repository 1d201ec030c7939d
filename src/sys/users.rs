//! The user database of the host: `/etc/passwd`.
//!
//! The C library is not asked. A static program cannot load its modules for other databases, and
//! musl waits for nscd. So users that only a directory service knows are not found.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The largest user database that is read, in bytes.
const MAX: u64 = 4 << 20;

/// Returns the id of the user `name` on the host whose root directory is `root`. `None` means that the
/// database cannot be read or lacks the user.
pub(crate) fn uid_of(root: &Path, name: &str) -> Option<u32> {
    number_in(&text(root, "etc/passwd")?, name)
}

/// Returns the id of the group `name`, as [`uid_of`] does that of a user.
pub(crate) fn gid_of(root: &Path, name: &str) -> Option<u32> {
    number_in(&text(root, "etc/group")?, name)
}

/// Returns the number of `name` by the text of a database of users or groups. The first entry counts.
fn number_in(text: &[u8], name: &str) -> Option<u32> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        fields.next().filter(|first| *first == name.as_bytes())?;
        std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()
    })
}

fn text(root: &Path, name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(root.join(name)).ok()?;
    file.take(MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Returns the home directory of the user `uid` on the host whose root directory is `root`, as that
/// host names it. `None` means that the database cannot be read, lacks the user, or has no absolute
/// path for it.
pub(crate) fn home(root: &Path, uid: u32) -> Option<PathBuf> {
    home_in(&text(root, "etc/passwd")?, uid)
}

/// Returns the home directory of `uid` by the text of a user database. The first entry counts, as
/// for the C library.
fn home_in(text: &[u8], uid: u32) -> Option<PathBuf> {
    let uid = uid.to_string();
    let entry = text.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        (fields.len() == 7 && fields[2] == uid.as_bytes()).then(|| fields[5])
    })?;
    let home = Path::new(OsStr::from_bytes(entry));
    home.is_absolute().then(|| home.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n# a comment\n\nbad:x:1500:1500\n\
        alice:x:1500:1500:,,,:/home/alice:/bin/sh\nsecond:x:1500:1500::/home/second:/bin/sh\n\
        bob:x:1501:1501::home/bob:/bin/sh\nnone:x:1502:1502:::/bin/sh\n\xff:x:1503:1:\xfe:/h/\xff:\n";

    #[test]
    fn the_first_whole_entry_of_the_user_counts() {
        assert_eq!(home_in(TEXT, 0), Some("/root".into()));
        assert_eq!(home_in(TEXT, 1500), Some("/home/alice".into()));
        assert_eq!(home_in(TEXT, 1503), Some(OsStr::from_bytes(b"/h/\xff").into()));
        for uid in [150, 15000, 4_294_967_295] {
            assert_eq!(home_in(TEXT, uid), None, "{uid}");
        }
    }

    #[test]
    fn a_user_has_a_number() {
        assert_eq!(number_in(TEXT, "alice"), Some(1500));
        assert_eq!(number_in(TEXT, "root"), Some(0));
        for name in ["ali", "alicex", "", "# a comment", "x"] {
            assert_eq!(number_in(TEXT, name), None, "{name}");
        }
        assert_eq!(number_in(b"a:x:-1:\nb:x\nc:x:99999999999:", "a"), None);
        assert_eq!(
            (uid_of(Path::new("/"), "root"), uid_of(Path::new("/"), "no such")),
            (Some(0), None)
        );
    }

    #[test]
    fn a_home_that_is_no_absolute_path_is_none() {
        assert_eq!(home_in(TEXT, 1501), None);
        assert_eq!(home_in(TEXT, 1502), None);
        assert_eq!(home_in(b"", 0), None);
    }

    #[test]
    fn a_host_without_a_user_database_has_no_homes() {
        assert_eq!(home(Path::new("/"), 0), Some("/root".into()));
        assert_eq!(home(Path::new("/proc/self/missing"), 0), None);
    }
}
