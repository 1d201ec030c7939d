//! The runtimes under test.

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use std::{env, path::Path};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Runc,
    Crun,
    /// As cargo builds it: no Debian has it.
    Youki,
}

/// Where a host has both cgroup hierarchies, this is the second one.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Where `make test-youki` has youki: a directory with nothing else in it.
const YOUKI: &str = "OCI_LINK_YOUKI";
/// The first directory in which the wrapper looks for runtimes, and usually empty.
const LOCAL: &str = "/usr/local/sbin";

/// Turns round which runtime a test is tried with that is tried with one: `make test-hazards` tries
/// such tests twice.
const OTHER: &str = "OCI_LINK_OTHER_RUNTIME";

impl Runtime {
    /// This one, or the other if it was asked for.
    pub(crate) fn turned(self) -> Self {
        match (self, env::var_os(OTHER)) {
            (_, None) | (Runtime::Youki, _) => self,
            (Runtime::Runc, Some(_)) => Runtime::Crun,
            (Runtime::Crun, Some(_)) => Runtime::Runc,
        }
    }

    pub(crate) fn program(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
            Runtime::Youki => "youki",
        }
    }

    /// Makes the calling thread fit to start the runtime: crun refuses a host with both cgroup
    /// hierarchies, so it is given mounts of its own without the second. youki is not installed, so
    /// it is given mounts of its own where it is.
    pub(crate) fn prepare_thread(self) {
        match self {
            Runtime::Crun if Path::new(UNIFIED).exists() => {
                own_mounts();
                umount2(UNIFIED, MntFlags::MNT_DETACH).expect("root may unmount");
            }
            Runtime::Youki => {
                let built = env::var_os(YOUKI).expect("make test-youki says where youki is");
                own_mounts();
                mount(Some(Path::new(&built)), LOCAL, NOTHING, MsFlags::MS_BIND, NOTHING)
                    .expect("root may mount");
            }
            Runtime::Runc | Runtime::Crun => {}
        }
    }
}

const NOTHING: Option<&str> = None;

/// Gives the calling thread mounts of its own.
fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
}
