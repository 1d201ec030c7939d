//! A test's own host: network namespace, bridge, runtime root and state directory.

use super::{
    bundle::Bundle,
    netns::Netns,
    outcome::{Outcome, Streams},
    program::OCI_LINK,
    runtime::Runtime,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
};

/// Nothing of it is shared, and everything goes when it is dropped, after a panic too.
pub(crate) struct Host {
    runtime: Runtime,
    wrapped: bool,
    netns: Netns,
    dir: Directory,
    baseline: Vec<String>,
    network: u8,
    plugged: AtomicU8,
    commands: AtomicU32,
}

impl Host {
    /// Containers reach each other unless a rule forbids it.
    pub(crate) fn open(runtime: Runtime) -> Self {
        Self::in_network(runtime, 0)
    }

    /// The same with another network, 10.77.N.0/24 and the like, where several hosts are connected.
    pub(crate) fn in_network(runtime: Runtime, network: u8) -> Self {
        let netns = Netns::create();
        let mut host = Self {
            runtime,
            wrapped: false,
            dir: Directory::create(netns.name()),
            netns,
            baseline: Vec::new(),
            network,
            // 10.77.0.1 is the bridge's; the first container gets 10.77.0.11.
            plugged: AtomicU8::new(10),
            commands: AtomicU32::new(0),
        };
        host.lay_bridge();
        host.baseline = host.rules();
        host
    }

    /// The administrator has forbidden containers to reach each other, as Docker's `icc=false`
    /// does: only links let packets through.
    pub(crate) fn isolated(runtime: Runtime) -> Self {
        let mut host = Self::open(runtime);
        for iptables in ["iptables", "ip6tables"] {
            let mut forbid = Command::new(iptables);
            host.run(forbid.args(["-A", "FORWARD", "-i", "br0", "-o", "br0", "-j", "DROP"])).ok();
        }
        host.baseline = host.rules();
        host
    }

    /// From now on the runtime is called through `oci-link runtime`, as engines would.
    pub(crate) fn wrapped(mut self) -> Self {
        self.wrapped = true;
        let config = format!("[runtime]\ncommand = {:?}\n", self.runtime.program());
        fs::write(self.path("config.toml"), config).expect("written");
        self
    }

    /// Begins a container called `id`.
    pub(crate) fn container(&self, id: &str) -> Bundle<'_> {
        Bundle::new(self, id)
    }

    pub(crate) fn next_number(&self) -> u8 {
        self.plugged.fetch_add(1, Relaxed) + 1
    }

    /// The number of its network.
    pub(crate) fn network(&self) -> u8 {
        self.network
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// A place of this host's own, that only root can enter.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path(name)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// The rules there were before any container.
    pub(crate) fn baseline(&self) -> &[String] {
        &self.baseline
    }

    /// Runs `command` inside this host.
    pub(crate) fn run(&self, command: &mut Command) -> Outcome {
        self.feed(command, b"")
    }

    /// Runs `command` inside this host with `input` on its stdin.
    pub(crate) fn feed(&self, command: &mut Command, input: &[u8]) -> Outcome {
        let number = self.commands.fetch_add(1, Relaxed);
        let streams = Streams::new(self.path("commands").join(number.to_string()), input);
        let mut run = || streams.run(command, &self.path("log"), |command| self.spawn(command));
        let mut outcome = run();
        // youki's `delete` waits 100 ms until the processes are dead, and fails on a busy machine.
        let tries = if self.runtime == Runtime::Youki { 20 } else { 0 };
        for _ in 0..tries {
            if !outcome.complains("failed to remove cgroup") {
                break;
            }
            outcome = run();
        }
        outcome
    }

    /// Starts `command` inside this host, with the streams that it has been given.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.netns.enter(|| {
            self.runtime.prepare_thread();
            command.spawn()
        })
    }

    /// `oci-link` with this host's directories.
    pub(crate) fn oci_link(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(OCI_LINK);
        command.args(self.global_options()).args(arguments);
        command
    }

    pub(crate) fn global_options(&self) -> [String; 6] {
        let path = |name| self.path(name).display().to_string();
        let [config, state, log] = ["config.toml", "state", "log"].map(path);
        ["--config", &config, "--state-dir", &state, "--log-file", &log].map(String::from)
    }

    /// The runtime with this host's own root.
    pub(crate) fn runtime(&self, arguments: &[&str]) -> Command {
        let mut command = if self.wrapped {
            self.oci_link(&["runtime"])
        } else {
            Command::new(self.runtime.program())
        };
        command.arg("--root").arg(self.path("root")).args(arguments);
        command
    }
}

/// A directory that only root can enter, below one that only root can change: oci-link trusts no
/// other place. Not in /run, where some systems forbid to execute what is in a rootfs.
struct Directory(PathBuf);

/// What lies in memory on real hosts, in /run, does so here. On ext4, which is slow to use a number
/// again that was just given back, making it would be half of all work.
const RUN: &str = "run";
const IN_RUN: [&str; 3] = ["state", "root", "commands"];

impl Directory {
    fn create(name: &str) -> Self {
        let dir = Self(Path::new("/var/lib").join(name));
        let make = |path: &Path| {
            DirBuilder::new().mode(0o700).create(path).expect("root may make directories");
        };
        for inside in ["", "bundles", RUN] {
            make(&dir.0.join(inside));
        }
        mount(Some("tmpfs"), &dir.0.join(RUN), Some("tmpfs"), MsFlags::empty(), Some("mode=700"))
            .expect("root may mount");
        for inside in IN_RUN {
            make(&dir.path(inside));
        }
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        let in_run = IN_RUN.iter().any(|first| Path::new(name).starts_with(first));
        self.0.join(if in_run { RUN } else { "" }).join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = umount2(&self.0.join(RUN), MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(&self.0);
    }
}
