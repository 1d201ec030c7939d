//! The runtimes under test.

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Runc,
    Crun,
}

/// Where a host has both cgroup hierarchies, this is the second one.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

impl Runtime {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
        }
    }

    /// Makes the calling thread fit to start the runtime: crun refuses a host with both cgroup
    /// hierarchies, so it is given mounts of its own without the second.
    pub(crate) fn prepare_thread(self) {
        const NOTHING: Option<&str> = None;
        if self == Runtime::Crun && Path::new(UNIFIED).exists() {
            unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
            umount2(UNIFIED, MntFlags::MNT_DETACH).expect("root may unmount");
        }
    }
}
