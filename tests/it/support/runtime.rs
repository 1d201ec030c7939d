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
}

/// Where a host has both cgroup hierarchies, this is the second one.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Turns round which runtime a test is tried with that is tried with one: `make test-hazards` tries
/// such tests twice.
const OTHER: &str = "OCI_LINK_OTHER_RUNTIME";

impl Runtime {
    /// This one, or the other if it was asked for.
    pub(crate) fn turned(self) -> Self {
        match (self, env::var_os(OTHER)) {
            (_, None) => self,
            (Runtime::Runc, Some(_)) => Runtime::Crun,
            (Runtime::Crun, Some(_)) => Runtime::Runc,
        }
    }

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
