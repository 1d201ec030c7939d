//! Network namespaces: of hosts, and of containers.

use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

/// One of them, for as long as it is in use.
#[derive(Clone)]
pub(crate) struct Namespace(Arc<File>);

impl Namespace {
    /// With its loopback interface up.
    pub(crate) fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may unshare");
            ip("link set lo up\n");
            let file = File::open("/proc/thread-self/ns/net").expect("namespace is there");
            Self(Arc::new(file))
        };
        thread::scope(|scope| scope.spawn(make).join()).expect("namespace is made")
    }

    /// A path of it, for a program that this process starts.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Moves the calling thread into it, for good. Its children belong to it, and its new sockets.
    pub(crate) fn join(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).expect("root may enter");
    }

    /// Does some work in it.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.join();
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).expect("work is done")
    }

    /// Runs `ip` in it, with a command per line.
    pub(crate) fn ip(&self, lines: &str) {
        self.enter(|| ip(lines));
    }
}

fn ip(lines: &str) {
    let mut ip = Command::new("ip");
    let mut ip = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip starts");
    ip.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("ip reads");
    assert!(ip.wait().expect("our child").success(), "ip: {lines}");
}
