//! One backend with a host, a state directory and bundles of its own.

use crate::{
    containers::{BRIDGE, Container},
    namespace::Namespace,
    place::Place,
    sample::{Sample, command},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// As many system calls as Docker's default profile names: they make most of a config.json.
const SYSCALLS: usize = 400;

pub(crate) struct Rig {
    pub(crate) backend: &'static str,
    /// It has no other rules: many rules of one backend make all the others slower.
    pub(crate) host: Namespace,
    program: PathBuf,
    dir: PathBuf,
    /// Whether its containers are shared with other hosts.
    shares: bool,
}

/// What a container wants to be.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) id: &'a str,
    /// As in the annotation.
    pub(crate) links: &'a str,
    /// How many it exposes.
    pub(crate) ports: u16,
}

impl Rig {
    /// Those that are measured.
    pub(crate) const BACKENDS: [&str; 4] = ["iptables", "ipset", "nftables", "none"];

    /// One for each backend that is measured.
    pub(crate) fn all(place: &Place, name: &str) -> [Self; 4] {
        Self::BACKENDS.map(|backend| Self::new(place, name, backend, ""))
    }

    /// The same on hosts whose containers reach each other by links only, as with Docker's
    /// `icc=false`.
    pub(crate) fn all_isolating(place: &Place, name: &str) -> [Self; 4] {
        Self::BACKENDS.map(|backend| {
            let isolate = if backend == "none" { "" } else { "isolate = [\"br0\"]\n" };
            Self::new(place, name, backend, isolate)
        })
    }

    /// `more` follows in the table `[firewall]`.
    pub(crate) fn new(place: &Place, name: &str, backend: &'static str, more: &str) -> Self {
        let dir = place.directory(&format!("{name}-{backend}"));
        let config = format!("[firewall]\nbackend = \"{backend}\"\n{more}");
        fs::write(dir.join("config.toml"), config).expect("config.toml is written");
        let host = Namespace::new();
        host.ip(&format!("link add {BRIDGE} type bridge\nlink set {BRIDGE} up\n"));
        Self { backend, host, program: place.oci_link.clone(), dir, shares: false }
    }

    /// Like the one above; all its containers are shared with other hosts.
    pub(crate) fn sharing(self) -> Self {
        Self { shares: true, ..self }
    }

    /// The hook's command line, up to its command.
    pub(crate) fn command_line(&self) -> Vec<String> {
        [vec![self.program.display().to_string()], self.options()].concat()
    }

    fn options(&self) -> Vec<String> {
        [("--config", "config.toml"), ("--state-dir", "state"), ("--log-file", "log")]
            .into_iter()
            .flat_map(|(option, file)| [option.into(), self.dir.join(file).display().to_string()])
            .collect()
    }

    /// The hook that makes the container's links. Before it, a bundle as from an engine, with a
    /// hosts file to mount.
    pub(crate) fn create(&self, wish: &Wish, container: &Container) -> Sample {
        let ports: Vec<_> = (0..wish.ports).map(|port| (3306 + 2 * port).to_string()).collect();
        let ports = if ports.is_empty() { "none".into() } else { ports.join(",") };
        self.create_exposing(&ports, wish, container)
    }

    /// The same with `ports` as in the annotation.
    pub(crate) fn create_exposing(
        &self,
        ports: &str,
        wish: &Wish,
        container: &Container,
    ) -> Sample {
        let bundle = self.bundle(wish.id);
        fs::create_dir_all(bundle.join("rootfs")).expect("bundle is made");
        fs::write(bundle.join("hosts"), "127.0.0.1\tlocalhost\n").expect("hosts file is written");
        let mut config = config(wish, ports, &bundle);
        if self.shares {
            config["annotations"]["org.oci-link.share"] = "all".into();
        }
        fs::write(bundle.join("config.json"), config.to_string()).expect("config.json is written");
        self.hook("createRuntime", wish.id, "creating", Some(container.pid()))
    }

    /// The hook that ends them.
    pub(crate) fn delete(&self, wish: &Wish) -> Sample {
        self.hook("poststop", wish.id, "stopped", None)
    }

    fn hook(&self, phase: &str, id: &str, status: &str, pid: Option<u32>) -> Sample {
        let bundle = self.bundle(id);
        let mut state =
            json!({ "ociVersion": "1.0.2", "id": id, "status": status, "bundle": bundle });
        if let Some(pid) = pid {
            state["pid"] = pid.into();
        }
        let file = bundle.join("state.json");
        fs::write(&file, state.to_string()).expect("state is written");
        let hook = command(&self.program).args(self.options()).args(["hook", phase]);
        hook.stdin(&file).within(&self.host)
    }

    /// Removes the bundle of a container that is not used any more.
    pub(crate) fn forget_bundle(&self, id: &str) {
        fs::remove_dir_all(self.bundle(id)).expect("bundle goes");
    }

    /// The hosts file of a container.
    pub(crate) fn hosts_file(&self, id: &str) -> PathBuf {
        self.bundle(id).join("hosts")
    }

    /// The host lock, which the first hook makes.
    pub(crate) fn lock(&self) -> PathBuf {
        self.state_dir().join("lock")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    fn bundle(&self, id: &str) -> PathBuf {
        self.dir.join("bundles").join(id)
    }
}

fn config(wish: &Wish, ports: &str, bundle: &Path) -> Value {
    let mut annotations = json!({ "org.oci-link.ports": ports });
    if !wish.links.is_empty() {
        annotations["org.oci-link.links"] = wish.links.into();
    }
    let syscalls: Vec<_> = (0..SYSCALLS).map(|number| format!("system_call_{number}")).collect();
    json!({
        "ociVersion": "1.0.2",
        "hostname": wish.id,
        "annotations": annotations,
        "root": { "path": "rootfs" },
        "process": { "cwd": "/", "args": ["sleep", "600"], "env": ["PATH=/bin"] },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/etc/hosts", "type": "bind", "source": bundle.join("hosts"),
              "options": ["rbind", "rprivate"] },
        ],
        "linux": {
            "namespaces": [{ "type": "mount" }, { "type": "network" }],
            "seccomp": { "syscalls": [{ "names": syscalls, "action": "SCMP_ACT_ALLOW" }] },
        },
    })
}

/// A bundle for a real runtime, whose program does nothing; `hook` is run at both its ends.
pub(crate) fn runnable(
    dir: &Path,
    noop: &Path,
    container: &Container,
    links: &str,
    hook: &[String],
) {
    let rootfs = dir.join("rootfs");
    for inside in ["dev", "etc", "proc"] {
        fs::create_dir_all(rootfs.join(inside)).expect("rootfs is made");
    }
    fs::copy(noop, rootfs.join("noop")).expect("program is copied");
    fs::write(rootfs.join("etc/hosts"), "127.0.0.1\tlocalhost\n").expect("hosts is written");
    let mut config = json!({
        "ociVersion": "1.0.2",
        "annotations": { "org.oci-link.links": links },
        "root": { "path": "rootfs" },
        "process": { "cwd": "/", "args": ["/noop"], "user": { "uid": 0, "gid": 0 } },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
        ],
        "linux": {
            "cgroupsPath": format!("/oci-link-bench-{}", std::process::id()),
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "network", "path": format!("/proc/{}/ns/net", container.pid()) },
            ],
        },
    });
    if let Some(program) = hook.first() {
        for phase in ["createRuntime", "poststop"] {
            let args = [hook, &["hook".to_owned(), phase.to_owned()]].concat();
            config["hooks"][phase] = json!([{ "path": program, "args": args }]);
        }
    }
    fs::write(dir.join("config.json"), config.to_string()).expect("config.json is written");
}
