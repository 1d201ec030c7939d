//! A process that knows all that it still has to do gives away the means to do anything else:
//! capabilities, the right to gain any by exec, and, where the kernel has landlock(7), the file
//! system but for what is named. It is best effort: whoever waits for a container to start must not
//! be refused because a kernel cannot do this, so nothing here is an error.
//!
//! Restrictions are a thread's, inherited by all that it starts, and are not taken back.

#![allow(unsafe_code)] // Each block says why.

use super::capabilities::Capabilities;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::prctl;
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What remains to be done.
#[derive(Debug)]
pub struct Needs<'a> {
    /// The state directory, in which all is ours.
    pub state: BorrowedFd<'a>,
    /// Hosts files, or the root filesystems in which they are.
    pub hosts: Vec<Place>,
    /// Whether programs of the host are run: then these read what they like.
    pub programs: bool,
}

/// Where a hosts file is, held by `O_PATH`.
#[derive(Debug)]
pub enum Place {
    /// It itself.
    File(OwnedFd),
    /// The root filesystem above it.
    Root(OwnedFd),
}

/// Rights over files, as `linux/landlock.h` numbers them.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SYM: u64 = 1 << 12;
/// To rename from one directory into another. The first version could not permit it.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
/// How many rights over files each version knows, from the second on.
const FILE_RIGHTS: [u32; 4] = [14, 15, 15, 16];

const EDIT: u64 = READ_FILE | WRITE_FILE | TRUNCATE;
const ROOT: u64 = EDIT | READ_DIR | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG;
const STATE: u64 = ROOT | MAKE_SYM | REFER;
/// What programs need anywhere: libraries, modules, tables of names.
const RUN: u64 = EXECUTE | READ_FILE | READ_DIR;

/// To bind and to connect by TCP; abstract sockets and signals to others.
const TCP: u64 = 3;
const SCOPES: u64 = 3;
const BENEATH: libc::c_uint = 1;
const ASK_VERSION: libc::c_uint = 1;

/// Who runs programs that lock the tables of the older iptables.
const LOCK: &str = "/run/xtables.lock";
const RUN_DIRECTORY: &str = "/run";

/// Capabilities by number (capabilities(7)). Files may be anybody's, and what replaces them must
/// look as they did; leases keep others out of them.
const FILES: u64 = 1 << 0 /* CHOWN */ | 1 << 1 /* DAC_OVERRIDE */ | 1 << 3 /* FOWNER */
    | 1 << 4 /* FSETID */ | 1 << 28 /* LEASE */;
/// Attributes that name themselves `security.`, which a file is replaced with; and to make it as whom
/// its directory belongs to, on a mount of shifted ids.
const REPLACE: u64 = 1 << 21 /* SYS_ADMIN */ | 1 << 31 /* SETFCAP */
    | 1 << 6 /* SETGID */ | 1 << 7 /* SETUID */;
const NET_ADMIN: u64 = 1 << 12;
/// The older iptables opens a raw socket, and may have to load modules.
const PROGRAMS: u64 = 1 << 13 /* NET_RAW */ | 1 << 16 /* SYS_MODULE */;
/// Where /proc hides processes, whoever cannot see them takes them for dead.
const SYS_PTRACE: u64 = 1 << 19;

/// Gives away what `needs` does not name; says what came of it.
pub fn enter(needs: &Needs<'_>) -> String {
    let capabilities = match Capabilities::own() {
        Ok(own) => own,
        Err(errno) => return format!("failed: {}", errno.desc()),
    };
    let _ = prctl::set_no_new_privs();
    // Landlock keeps us from what only a tracer may see, and processes that are hidden are that.
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

/// A ruleset that is in force when it is closed.
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

/// All that `needs` names, or nothing: what is forgotten could not be done.
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
    let held = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
    held.map_err(|errno| format!("{path}: {}", errno.desc()))
}

impl Fence {
    fn new(programs: bool) -> Result<Self, String> {
        // SAFETY: the call takes no pointer when it is asked for the version, and returns a number.
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
        // An older kernel refuses a structure that says more than it knows.
        let words = if version >= 6 {
            3
        } else if version >= 4 {
            2
        } else {
            1usize
        };
        let all = Ruleset { files: rights, network, scopes };
        // SAFETY: the kernel reads as many bytes as it is told, which are in the structure, and
        // returns a descriptor.
        let ruleset = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const all, words * 8, 0u32)
        };
        let ruleset = i32::try_from(ruleset).ok().filter(|fd| *fd >= 0);
        let ruleset = ruleset.ok_or_else(|| Errno::last().desc().to_owned())?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self { ruleset: unsafe { OwnedFd::from_raw_fd(ruleset) }, version, rights })
    }

    fn permit(&self, place: BorrowedFd<'_>, rights: u64) -> Result<(), String> {
        let rule = Beneath { rights: rights & self.rights, directory: place.as_raw_fd() };
        // SAFETY: the kernel reads the structure, which it knows by its kind.
        let added = unsafe {
            let ruleset = self.ruleset.as_raw_fd();
            libc::syscall(libc::SYS_landlock_add_rule, ruleset, BENEATH, &raw const rule, 0u32)
        };
        Errno::result(added).map(drop).map_err(|errno| errno.desc().to_owned())
    }

    /// Which version of landlock it is.
    fn close(self) -> Result<usize, String> {
        // SAFETY: the call takes a descriptor and a number.
        let closed = unsafe {
            libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0u32)
        };
        Errno::result(closed).map_err(|errno| errno.desc().to_owned())?;
        Ok(self.version)
    }
}

#[cfg(test)]
mod tests;
