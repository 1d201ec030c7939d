//! Detects the user whose containers this process serves: root, or another user.

use super::namespace::{is_network_of_ours, of_process};
use crate::sys::file::{open_to_read, whole};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, stat};
use nix::unistd::geteuid;
use std::cell::Cell;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The user id that stat(2) reports for every id that the user namespace does not map.
const UNMAPPED: u32 = 65_534;
/// Size limit of the map of user ids in bytes. The kernel accepts 340 lines.
const MAX_MAP: u64 = 32 << 10;

/// The user whose containers this process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Root's, also in a container with a root file system of its own.
    Root,
    /// A user's, in the user namespace of that user's engine.
    Engine {
        /// The user outside.
        uid: u32,
        /// Whether the network namespace of this process belongs to the user namespace. If so, the engine's
        /// bridges are in it: rootless docker.
        has_network: bool,
    },
    /// A user's, outside of the engine's user namespace: a command line.
    Shell {
        /// The user.
        uid: u32,
    },
}

thread_local! {
    static KNOWN: Cell<Option<Whose>> = const { Cell::new(None) };
}

/// Returns the user whose containers this process serves. The kernel is asked once: for root by two system calls.
pub(crate) fn whose() -> Whose {
    KNOWN.get().unwrap_or_else(|| {
        let root = stat("/").ok().map(|root| root.st_uid);
        let has_network = || of_process("self", "net").is_ok_and(|net| is_network_of_ours(&net));
        let found = judge(geteuid().as_raw(), root, uid_map, has_network);
        KNOWN.set(Some(found));
        found
    })
}

/// Forgets what is known, because this process has entered another user namespace.
pub(super) fn forget() {
    KNOWN.set(None);
}

fn uid_map() -> String {
    let map = open_to_read("/proc/self/uid_map").and_then(|file| whole(&file, 128, MAX_MAP));
    String::from_utf8_lossy(&map.ok().flatten().unwrap_or_default()).into_owned()
}

/// Judges by the effective user, the owner of `/`, the map of user ids, and the owner of the network
/// namespace.
///
/// The file system of the host belongs to root. In the user namespace of a user its owner has no id.
fn judge(
    user: u32,
    root: Option<u32>,
    map: impl FnOnce() -> String,
    has_network: impl FnOnce() -> bool,
) -> Whose {
    if user != 0 {
        return Whose::Shell { uid: user };
    }
    if root == Some(0) {
        return Whose::Root;
    }
    let map = map();
    match outside(&map) {
        Some((0, count)) if count == u32::MAX => Whose::Root,
        Some((uid, _)) => Whose::Engine { uid, has_network: has_network() },
        // Without /proc it is not known. Root's instance is never taken for that.
        None => Whose::Engine { uid: UNMAPPED, has_network: false },
    }
}

/// What the user 0 is outside, and the number of ids in its line of `/proc/self/uid_map`.
fn outside(map: &str) -> Option<(u32, u32)> {
    map.lines().find_map(|line| {
        let numbers: Option<Vec<u32>> =
            line.split_ascii_whitespace().map(|number| number.parse().ok()).collect();
        match numbers?[..] {
            [0, outside, count] => Some((outside, count)),
            _ => None,
        }
    })
}

impl Whose {
    /// The state directory if nothing names another one.
    pub(crate) fn state_dir(self) -> PathBuf {
        match self {
            Self::Root | Self::Engine { has_network: true, .. } => "/run/oci-link".into(),
            Self::Engine { uid, .. } | Self::Shell { uid } => run(uid).join("oci-link"),
        }
    }

    /// The directory in which runtimes keep their state directories.
    pub(crate) fn runtimes(self) -> PathBuf {
        self.uid().map_or_else(|| "/run".into(), run)
    }

    /// The user, if it is not root.
    pub(crate) fn uid(self) -> Option<u32> {
        match self {
            Self::Root => None,
            Self::Engine { uid, .. } | Self::Shell { uid } => Some(uid),
        }
    }

    /// Whether the site is another network namespace, from which there is no way back.
    pub(crate) fn has_site_elsewhere(self) -> bool {
        matches!(self, Self::Engine { has_network: false, .. })
    }

    /// Whether this process is in the user namespace of a user's engine.
    pub(crate) fn is_in_engine(self) -> bool {
        matches!(self, Self::Engine { .. })
    }
}

/// The runtime directory of a user.
pub(super) fn run(uid: u32) -> PathBuf {
    Path::new("/run/user").join(uid.to_string())
}

/// Whether the owner of `directory`, which stat(2) reports as `owner`, has no id in this user namespace: it
/// is root or another user of the host. An id that is mapped to 65534 belongs to a container of this user.
///
/// False outside of a user's engine. `directory` may be a descriptor of `O_PATH`.
pub(crate) fn is_unmapped(directory: impl AsFd, owner: u32) -> bool {
    if owner != UNMAPPED || !whose().is_in_engine() {
        return false;
    }
    // The kernel permits O_NOATIME to a process with CAP_FOWNER, but only for a mapped owner.
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOATIME | OFlag::O_CLOEXEC;
    openat(directory, ".", flags, Mode::empty()).err() == Some(Errno::EPERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOTLESS: &str = "         0       1500          1\n         1     100000      65536\n";

    fn judged(user: u32, root: Option<u32>, map: &str, has_network: bool) -> Whose {
        judge(user, root, || map.to_owned(), || has_network)
    }

    #[test]
    fn whose_containers_are_served() {
        let all = "         0          0 4294967295\n";
        assert_eq!(judged(0, Some(UNMAPPED), all, false), Whose::Root);
        assert_eq!(judged(1500, Some(0), all, false), Whose::Shell { uid: 1500 });
        let engine = |has_network| Whose::Engine { uid: 1500, has_network };
        assert_eq!(judged(0, Some(UNMAPPED), ROOTLESS, false), engine(false));
        assert_eq!(judged(0, None, ROOTLESS, true), engine(true));
        // A container's root file system is its own.
        assert_eq!(judged(0, Some(0), ROOTLESS, true), Whose::Root);
        for map in ["", "x", "1 100000 65536", "0 1500", "0 1500 1 1", "0 -1 1"] {
            let unknown = Whose::Engine { uid: UNMAPPED, has_network: false };
            assert_eq!(judged(0, Some(UNMAPPED), map, false), unknown, "{map}: never root's");
        }
        let turned = "1 100000 65536\n0 1500 1\n";
        assert_eq!(judged(0, Some(UNMAPPED), turned, false), engine(false));
    }

    /// Root's start asks for its user and the owner of `/` only.
    #[test]
    fn root_is_recognized_without_the_map() {
        let whose = judge(0, Some(0), || panic!("the map"), || panic!("the network namespace"));
        assert_eq!(whose, Whose::Root);
    }

    #[test]
    fn each_has_directories_of_its_own() {
        let [podman, docker] =
            [false, true].map(|has_network| Whose::Engine { uid: 7, has_network });
        let shell = Whose::Shell { uid: 7 };
        assert_eq!(Whose::Root.state_dir(), Path::new("/run/oci-link"));
        assert_eq!(docker.state_dir(), Path::new("/run/oci-link"));
        assert_eq!(podman.state_dir(), Path::new("/run/user/7/oci-link"));
        assert_eq!(shell.state_dir(), podman.state_dir());
        assert_eq!(Whose::Root.runtimes(), Path::new("/run"));
        assert_eq!(docker.runtimes(), Path::new("/run/user/7"));
        assert!(podman.has_site_elsewhere() && !docker.has_site_elsewhere());
        assert!(!shell.has_site_elsewhere() && !Whose::Root.has_site_elsewhere());
    }

    /// The tests run as root, to which every owner has an id.
    #[test]
    fn outside_of_an_engine_every_owner_has_an_id() {
        let here = std::fs::File::open("/").unwrap();
        assert!(!is_unmapped(&here, UNMAPPED));
        assert!(!is_unmapped(&here, 0));
    }
}
