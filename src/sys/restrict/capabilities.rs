//! The capabilities of the current thread (capabilities(7)).

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::stat;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// `struct __user_cap_header_struct`, version 3.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

const VERSION_3: u32 = 0x2008_0522;

/// `struct __user_cap_data_struct`: effective, permitted and inheritable sets, low words first.
type Words = [[u32; 3]; 2];

/// The capability sets of a thread.
#[derive(Clone, Copy)]
pub(crate) struct Capabilities(Words);

impl Capabilities {
    /// Returns the capability sets of this thread.
    pub(crate) fn own() -> nix::Result<Self> {
        let mut header = Header { version: VERSION_3, pid: 0 };
        let mut words = Words::default();
        // SAFETY: the kernel reads the header and writes two structures of three words.
        let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) };
        Errno::result(got).map(|_| Self(words))
    }

    /// Sets the capability sets of this thread to this value.
    pub(crate) fn set(&self) -> nix::Result<()> {
        let mut header = Header { version: VERSION_3, pid: 0 };
        // SAFETY: the kernel reads the header and two structures of three words.
        let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, self.0.as_ptr()) };
        Errno::result(set).map(drop)
    }

    /// Drops the effective capabilities and reports whether /proc/1/stat is readable without them.
    ///
    /// The caller must call [`Capabilities::keep`] afterwards to make capabilities effective again.
    pub(crate) fn sees_all_without(&self) -> bool {
        let without = Self(self.0.map(|[_, permitted, inheritable]| [0, permitted, inheritable]));
        without.set().is_ok() && stat("/proc/1/stat").is_ok()
    }

    /// Reduces the permitted and effective sets to the bits of `kept` and clears the inheritable
    /// set.
    ///
    /// Returns the remaining bits. On an error the previous sets are restored.
    pub(crate) fn keep(&self, kept: u64) -> nix::Result<u64> {
        let [low, high] = self.0;
        let permitted = u64::from(high[1]) << 32 | u64::from(low[1]);
        let left = permitted & kept;
        let low = u32::try_from(left & u64::from(u32::MAX)).unwrap_or(0);
        let high = u32::try_from(left >> 32).unwrap_or(0);
        match Self([[low, low, 0], [high, high, 0]]).set() {
            Ok(()) => Ok(left),
            Err(errno) => self.set().and(Err(errno)),
        }
    }
}

/// Calls `act` with the filesystem user and group ids of another user, who then owns new files.
pub(crate) fn act_as<T>(uid: Uid, gid: Gid, act: impl FnOnce() -> T) -> T {
    let capabilities = Capabilities::own();
    let restore = || capabilities.and_then(|own| own.set());
    let before = (setfsgid(gid), setfsuid(uid));
    // setfsuid(2) to a user other than root clears the effective file capabilities, such as
    // CAP_DAC_OVERRIDE.
    let _ = restore();
    let done = act();
    setfsuid(before.1);
    setfsgid(before.0);
    let _ = restore();
    done
}
