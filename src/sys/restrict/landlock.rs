//! Restricts a process to the files and capabilities that it still needs.
//!
//! The process drops other capabilities and cannot gain any by exec (`no_new_privs`). Where the
//! kernel has landlock(7), it also loses access to other files. This is best effort: a kernel
//! without these features must not prevent the start of a container, so nothing here returns an
//! error.
//!
//! Restrictions apply to the calling thread, are inherited by its children and cannot be undone.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use super::capabilities::Capabilities;
use crate::sys::file::open_with;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::prctl;
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The resources that the process still needs.
#[derive(Debug)]
pub struct Needs<'a> {
    /// The state directory, with access to everything in it.
    pub state: BorrowedFd<'a>,
    /// Hosts files, or the root filesystems that contain them.
    pub hosts: Vec<Place>,
    /// Whether programs of the host are run. Reading and executing files is then not restricted.
    pub programs: bool,
}

/// The place of a hosts file, opened with `O_PATH`.
#[derive(Debug)]
pub enum Place {
    /// The file itself.
    File(OwnedFd),
    /// The root filesystem that contains it.
    Root(OwnedFd),
}

/// File access rights, numbered as in `linux/landlock.h`.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SYM: u64 = 1 << 12;
/// Renaming from one directory to another. ABI version 1 cannot permit this.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
/// The number of file access rights in each ABI version, from version 2 on.
const FILE_RIGHTS: [u32; 4] = [14, 15, 15, 16];

const EDIT: u64 = READ_FILE | WRITE_FILE | TRUNCATE;
const ROOT: u64 = EDIT | READ_DIR | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG;
const STATE: u64 = ROOT | MAKE_SYM | REFER;
/// What programs may do with any file: they read libraries, modules and files such as
/// /etc/protocols.
const RUN: u64 = EXECUTE | READ_FILE | READ_DIR;

/// Network rights (TCP bind and connect) and scopes (abstract UNIX sockets and signals).
const TCP: u64 = 3;
const SCOPES: u64 = 3;
const BENEATH: libc::c_uint = 1;
const ASK_VERSION: libc::c_uint = 1;

/// The lock file of iptables-legacy.
const LOCK: &str = "/run/xtables.lock";
const RUN_DIRECTORY: &str = "/run";

/// Capabilities for hosts files, by number (capabilities(7)).
///
/// The files may belong to any user, and a replacement keeps owner and mode. Leases need `LEASE`.
const FILES: u64 = 1 << 0 /* CHOWN */ | 1 << 1 /* DAC_OVERRIDE */ | 1 << 3 /* FOWNER */
    | 1 << 4 /* FSETID */ | 1 << 28 /* LEASE */;
/// Capabilities for replacing a file.
///
/// `SYS_ADMIN` and `SETFCAP` copy `security.*` attributes. `SETGID` and `SETUID` create the file as
/// the owner of its directory on an idmapped mount.
const REPLACE: u64 = 1 << 21 /* SYS_ADMIN */ | 1 << 31 /* SETFCAP */
    | 1 << 6 /* SETGID */ | 1 << 7 /* SETUID */;
const NET_ADMIN: u64 = 1 << 12;
/// iptables-legacy opens a raw socket and may load kernel modules.
const PROGRAMS: u64 = 1 << 13 /* NET_RAW */ | 1 << 16 /* SYS_MODULE */;
/// Needed where /proc is mounted with `hidepid`: without it, the state of other processes is
/// hidden.
const SYS_PTRACE: u64 = 1 << 19;

/// Drops all privileges that `needs` does not name, and returns a description of the result.
pub fn enter(needs: &Needs<'_>) -> String {
    let capabilities = match Capabilities::own() {
        Ok(own) => own,
        Err(errno) => return format!("failed: {}", errno.desc()),
    };
    let _ = prctl::set_no_new_privs();
    // With `hidepid`, /proc shows a process only to one that may trace it. Landlock forbids tracing
    // processes outside its domain, so it cannot be used there.
    let fenced = ruleset(needs).and_then(|fence| {
        if capabilities.sees_all_without() {
            fence.close()
        } else {
            Err("/proc hides processes".to_owned())
        }
    });
    let roots = needs.hosts.iter().any(|place| matches!(place, Place::Root(_)));
    let kept = FILES
        | NET_ADMIN
        | if roots { REPLACE } else { 0 }
        | if needs.programs { PROGRAMS } else { 0 }
        | if fenced.is_ok() { 0 } else { SYS_PTRACE };
    let dropped = capabilities.keep(kept);
    let fence = match fenced {
        Ok(version) => format!("landlock {version}"),
        Err(why) => format!("no landlock: {why}"),
    };
    match dropped {
        Ok(left) => format!("{fence}, capabilities {left:#x}"),
        Err(errno) => format!("{fence}, all capabilities: {}", errno.desc()),
    }
}

/// A landlock ruleset, enforced by [`Fence::close`].
struct Fence {
    ruleset: OwnedFd,
    version: usize,
    rights: u64,
}

/// `struct landlock_ruleset_attr`.
#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scopes: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    rights: u64,
    directory: i32,
}

/// Returns a ruleset for everything in `needs`.
///
/// If one rule cannot be added, this is an error: a ruleset without it would block needed work.
fn ruleset(needs: &Needs<'_>) -> Result<Fence, String> {
    let fence = Fence::new(needs.programs)?;
    fence.permit(needs.state, STATE)?;
    for place in &needs.hosts {
        match place {
            Place::File(file) => fence.permit(file.as_fd(), EDIT)?,
            Place::Root(root) => fence.permit(root.as_fd(), ROOT)?,
        }
    }
    if needs.programs {
        match held(LOCK) {
            Ok(lock) => fence.permit(lock.as_fd(), EDIT)?,
            Err(_) => fence.permit(held(RUN_DIRECTORY)?.as_fd(), EDIT | MAKE_REG)?,
        }
    } else {
        fence.permit(held("/proc")?.as_fd(), READ_FILE)?;
    }
    Ok(fence)
}

fn held(path: &str) -> Result<OwnedFd, String> {
    let held = open_with(path, OFlag::O_PATH, Mode::empty());
    held.map(OwnedFd::from).map_err(|errno| format!("{path}: {}", errno.desc()))
}

impl Fence {
    fn new(programs: bool) -> Result<Self, String> {
        // SAFETY: a version query takes a null pointer and returns a number.
        let version = unsafe {
            let nothing = std::ptr::null::<Ruleset>();
            libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, ASK_VERSION)
        };
        let version = usize::try_from(version).map_err(|_| "not in the kernel".to_owned())?;
        let known = version.checked_sub(2).ok_or("version 1 cannot permit renames")?;
        let rights = FILE_RIGHTS[known.min(FILE_RIGHTS.len() - 1)];
        let rights = ((1 << rights) - 1) & if programs { !RUN } else { u64::MAX };
        let (network, scopes) =
            (if version >= 4 { TCP } else { 0 }, if version >= 6 { SCOPES } else { 0 });
        // An older kernel refuses a larger structure with non-zero fields that it does not know
        // (E2BIG).
        let words = if version >= 6 {
            3
        } else if version >= 4 {
            2
        } else {
            1usize
        };
        let all = Ruleset { files: rights, network, scopes };
        // SAFETY: the kernel reads `words * 8` bytes, at most the size of the structure, and
        // returns a descriptor.
        let ruleset = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const all, words * 8, 0u32)
        };
        let ruleset = i32::try_from(ruleset).ok().filter(|fd| *fd >= 0);
        let ruleset = ruleset.ok_or_else(|| Errno::last().desc().to_owned())?;
        // SAFETY: the descriptor is new and has no other owner.
        Ok(Self { ruleset: unsafe { OwnedFd::from_raw_fd(ruleset) }, version, rights })
    }

    fn permit(&self, place: BorrowedFd<'_>, rights: u64) -> Result<(), String> {
        let rule = Beneath { rights: rights & self.rights, directory: place.as_raw_fd() };
        // SAFETY: the kernel reads the structure that belongs to this rule type.
        let added = unsafe {
            let ruleset = self.ruleset.as_raw_fd();
            libc::syscall(libc::SYS_landlock_add_rule, ruleset, BENEATH, &raw const rule, 0u32)
        };
        Errno::result(added).map(drop).map_err(|errno| errno.desc().to_owned())
    }

    /// Enforces the ruleset on this thread and returns the ABI version of landlock.
    fn close(self) -> Result<usize, String> {
        // SAFETY: the call takes an open descriptor and a number.
        let closed = unsafe {
            libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0u32)
        };
        Errno::result(closed).map_err(|errno| errno.desc().to_owned())?;
        Ok(self.version)
    }
}

#[cfg(test)]
mod tests;
