//! A file without a name, for the program that replaces this process.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use crate::error::{Context, Error, Kind, Result};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use std::fs::{File, metadata};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// How many more descriptors the program may need.
const SPARE: u64 = 64;

/// A file in memory that nothing can change. It stays open over execve(2), and is gone when the last
/// process has closed it.
pub(crate) struct InheritedFile {
    fd: OwnedFd,
}

impl InheritedFile {
    /// Makes a file with this content, whose descriptor is `lowest` or higher. The caller has given the
    /// descriptors below a meaning.
    pub(crate) fn new(content: &[u8], lowest: u32) -> Result<Self> {
        const WHAT: &str = "memfd";
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).context(Kind::Internal, || WHAT)?;
        if limit < u64::from(lowest) + SPARE {
            return Err(Error::new(Kind::Internal, "the limit of open files is too low"));
        }
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = memfd_create(c"oci-link", flags).map(File::from);
        let mut file = file.context(Kind::Internal, || WHAT)?;
        file.write_all(content).context(Kind::Internal, || WHAT)?;
        let seals = SealFlag::F_SEAL_SEAL
            | SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_WRITE;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).context(Kind::Internal, || WHAT)?;
        let lowest = i32::try_from(lowest).unwrap_or(i32::MAX);
        let number = fcntl(&file, FcntlArg::F_DUPFD(lowest)).context(Kind::Internal, || WHAT)?;
        // SAFETY: fcntl(F_DUPFD) has just returned this new descriptor, which has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        let inherited = Self { fd };
        // Without /proc the program could not open it.
        if metadata(inherited.path()).is_ok_and(|there| there.len() == content.len() as u64) {
            return Ok(inherited);
        }
        Err(Error::new(Kind::Internal, "/proc is not mounted"))
    }

    /// The path by which this process, and the program that replaces it, open the file.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn it_can_be_read_again_and_not_written() {
        let file = InheritedFile::new(b"content", 100).unwrap();
        assert!(file.fd.as_raw_fd() >= 100);
        for _ in 0..2 {
            assert_eq!(std::fs::read(file.path()).unwrap(), b"content");
        }
        let written = OpenOptions::new().write(true).open(file.path());
        assert!(written.and_then(|mut file| file.write_all(b"x")).is_err());
        let flags = fcntl(&file.fd, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, 0, "closed by exec");
    }

    #[test]
    fn a_number_that_is_not_allowed_is_an_error() {
        assert!(InheritedFile::new(b"", u32::MAX).is_err());
    }
}
