//! A container as a hook sees it: a process in namespaces of its own, and a bundle.

use crate::support::{Host, Outcome, netns::Netns};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use std::{
    cell::RefCell,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command},
};

/// The content of the hosts files before any link.
pub(crate) const HOSTS: &str = "127.0.0.1\tlocalhost\n";
/// A line that another program appends while the container runs.
pub(crate) const TAIL: &str = "10.9.9.9\tuser\n";

/// Where its hosts file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// A file of the host that is mounted over `/etc/hosts`, edited in place.
    Mounted,
    /// In its root filesystem, replaced by rename.
    Inside,
    /// The same, but there is not even `/etc` before it starts.
    Missing,
}

pub(crate) struct Actor<'h> {
    host: &'h Host,
    pub id: String,
    hosts: Hosts,
    netns: Netns,
    process: RefCell<Option<Child>>,
}

impl<'h> Actor<'h> {
    /// With these annotations; it does not run yet.
    pub(crate) fn new(host: &'h Host, id: &str, hosts: Hosts, wishes: &[(&str, &str)]) -> Self {
        let netns = host.plug(host.next_number());
        let actor = Self { host, id: id.to_owned(), hosts, netns, process: RefCell::new(None) };
        fs::create_dir_all(actor.bundle().join("rootfs")).expect("a bundle");
        let mut config = json!({
            "ociVersion": "1.0.2",
            "hostname": id,
            "annotations": {},
            "root": { "path": "rootfs" },
            "process": { "cwd": "/", "args": ["sleep", "600"], "env": ["PATH=/bin", "A=b"] },
            "mounts": [],
            "linux": { "namespaces": [{ "type": "mount" }, { "type": "network" }] },
        });
        for (key, value) in wishes {
            config["annotations"][format!("org.oci-link.{key}")] = (*value).into();
        }
        if hosts == Hosts::Mounted {
            config["mounts"] = json!([{ "destination": "/etc/hosts", "type": "bind",
                "source": actor.hosts_path(), "options": ["rbind"] }]);
        }
        fs::write(actor.bundle().join("config.json"), config.to_string()).expect("written");
        actor.lay_hosts();
        actor
    }

    fn bundle(&self) -> PathBuf {
        self.host.path("bundles").join(&self.id)
    }

    pub(crate) fn hosts_path(&self) -> PathBuf {
        match self.hosts {
            Hosts::Mounted => self.bundle().join("hosts"),
            Hosts::Inside | Hosts::Missing => self.bundle().join("rootfs/etc/hosts"),
        }
    }

    /// Its hosts file is what the engine made.
    pub(crate) fn lay_hosts(&self) {
        if self.hosts == Hosts::Missing {
            let _ = fs::remove_dir_all(self.bundle().join("rootfs/etc"));
            return;
        }
        fs::create_dir_all(self.hosts_path().parent().expect("a directory")).expect("made");
        fs::write(self.hosts_path(), HOSTS).expect("written");
    }

    /// A mounted file, or everything in its `/etc`: what was being written, too. Our block goes
    /// behind what was appended, sooner or later, so that is told last wherever it stands.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let places = match self.hosts {
            Hosts::Mounted => vec![self.hosts_path()],
            Hosts::Inside | Hosts::Missing => {
                let (root, etc) = (self.bundle().join("rootfs"), self.bundle().join("rootfs/etc"));
                for entry in fs::read_dir(root).expect("a rootfs").map(|entry| entry.expect("one"))
                {
                    let mode = entry.metadata().expect("there").permissions().mode();
                    let path = format!("{} /{}", self.id, entry.file_name().to_string_lossy());
                    all.push((path, format!("{mode:o}")));
                }
                let etc = fs::read_dir(etc);
                etc.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
            }
        };
        for path in places {
            let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
            let text = text.find(TAIL).map_or(text.clone(), |_| text.replacen(TAIL, "", 1) + TAIL);
            all.push((
                format!("{} {}", self.id, path.file_name().expect("a name").to_string_lossy()),
                text,
            ));
        }
        all
    }

    /// Its process begins.
    pub(crate) fn begin(&self) {
        let process = self.netns.enter(|| {
            // Every container has mounts of its own; a hook is wary of one that has not.
            unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
            Command::new("sleep").arg("infinity").process_group(0).spawn().expect("sleep starts")
        });
        self.process.replace(Some(process));
    }

    /// Its process ends.
    pub(crate) fn end(&self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("our child");
            process.wait().expect("our child");
        }
    }

    /// What a runtime says of it to a hook.
    fn state(&self, stage: &str) -> String {
        let mut state = json!({ "ociVersion": "1.0.2", "id": self.id, "bundle": self.bundle() });
        state["status"] = "stopped".into();
        if stage != "poststop" {
            state["status"] = "creating".into();
            state["pid"] = self.process.borrow().as_ref().expect("it runs").id().into();
        }
        state.to_string()
    }

    /// The hook's command and its input.
    pub(crate) fn hook(&self, stage: &str) -> (Command, String) {
        (self.host.oci_link(&["hook", stage]), self.state(stage))
    }

    pub(crate) fn call(&self, stage: &str) -> Outcome {
        let (mut command, input) = self.hook(stage);
        self.host.feed(&mut command, input.as_bytes())
    }
}

impl Drop for Actor<'_> {
    fn drop(&mut self) {
        self.end();
        let _ = self.host.unplug(&self.netns);
    }
}
