//! A named network namespace, and the way into it.

use nix::sched::{CloneFlags, setns};
use std::{
    fs::File,
    panic,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

/// How many this process has made: with its pid, a name that no other test has.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Gone, with its bridges, addresses and rules, when dropped.
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn create() -> Self {
        let name = format!("link{}-{}", process::id(), MADE.fetch_add(1, Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).output().expect("ip starts");
        assert!(made.status.success(), "ip netns add {name}: {made:?}");
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Does `work` on a thread that is inside. Sockets and children made there stay inside, so
    /// what `work` returns may be used from anywhere; no program and no fork is needed.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let namespace = File::open(self.path()).expect("the namespace is there");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter");
            work()
        };
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}
