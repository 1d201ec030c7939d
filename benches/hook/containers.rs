//! What a hook sees of a container: a process with a network namespace and a mount namespace.

use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::File,
    io::Write,
    process::{Child, Command, Stdio},
    thread,
};

/// A network namespace with one interface.
pub struct Network(File);

impl Network {
    pub fn new(v4: &str, v6: Option<&str>) -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may unshare");
            ip("link set lo up\nlink add eth0 type veth peer name eth1\n");
            ip(&format!("addr add {v4}/8 dev eth0\nlink set eth0 up\n"));
            if let Some(v6) = v6 {
                ip(&format!("addr add {v6}/64 dev eth0 nodad\n"));
            }
            Self(File::open("/proc/thread-self/ns/net").expect("namespace is there"))
        };
        thread::scope(|scope| scope.spawn(make).join()).expect("namespace is made")
    }

    /// Gives it another address.
    pub fn readdress(&self, v4: &str) {
        self.enter(|| ip(&format!("addr flush dev eth0\naddr add {v4}/8 dev eth0\n")));
    }

    /// A process in it, until dropped.
    pub fn start(&self) -> Container {
        self.enter(|| {
            // Every container has mounts of its own; a hook is wary of one that has not.
            unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
            Container(Command::new("sleep").arg("600").spawn().expect("sleep starts"))
        })
    }

    /// Children of a thread belong to its namespaces.
    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).expect("root may enter");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).expect("work is done")
    }
}

/// The first process of a container, killed when dropped.
pub struct Container(Child);

impl Container {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(lines: &str) {
    let mut ip = Command::new("ip");
    let mut ip = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip starts");
    ip.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("ip reads");
    assert!(ip.wait().expect("our child").success(), "ip: {lines}");
}
