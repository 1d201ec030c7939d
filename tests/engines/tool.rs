//! What one command line looks like in each engine's client.

use crate::rig::Engine;

/// A container in the making.
pub(crate) struct Wish<'a> {
    pub(crate) name: &'a str,
    pub(crate) options: Vec<String>,
    pub(crate) command: &'a str,
}

impl Engine {
    /// Runs it detached.
    pub(crate) fn run(self, wish: &Wish) -> String {
        let (name, options, command) = (wish.name, wish.options.join(" "), wish.command);
        match self {
            _ if self.is_docker() => {
                format!("docker run --detach --name {name} {options} db {command}")
            }
            _ if self.is_podman() => format!(
                "{PODMAN} run --detach --name {name} --ulimit nofile=1024:1024 \
                 --ulimit nproc=1024:1024 {options} db {command}"
            ),
            _ => format!(
                "ctr run --detach --cni --runc-binary {} {options} docker.io/library/db:latest \
                 {name} {command}",
                self.runtime()
            ),
        }
    }

    /// Runs `command` in it.
    pub(crate) fn exec(self, name: &str, command: &str) -> String {
        match self {
            _ if self.is_docker() => format!("docker exec {name} {command}"),
            _ if self.is_podman() => format!("{PODMAN} exec {name} {command}"),
            _ => format!("ctr task exec --exec-id exec-$$ {name} {command}"),
        }
    }

    /// Prints its first process, as the machine counts.
    pub(crate) fn pid(self, name: &str) -> String {
        match self {
            _ if self.is_docker() => format!("docker inspect --format '{{{{.State.Pid}}}}' {name}"),
            _ if self.is_podman() => {
                format!("{PODMAN} inspect --format '{{{{.State.Pid}}}}' {name}")
            }
            _ => format!("ctr task ls | awk '$1 == \"{name}\" {{ print $2 }}'"),
        }
    }

    /// Ends it at once; it stays, stopped.
    pub(crate) fn kill(self, name: &str) -> String {
        match self {
            _ if self.is_docker() => format!("docker kill {name}; docker wait {name}"),
            _ if self.is_podman() => {
                format!(
                    "{PODMAN} kill {name}; {PODMAN} wait {name}; {PODMAN} container cleanup {name}"
                )
            }
            _ => format!(
                "ctr task kill -s KILL {name}; \
                 while ctr task ls | grep -q '^{name} .*RUNNING'; do sleep 0.05; done; \
                 ctr task rm {name} 2>/dev/null; true"
            ),
        }
    }

    /// Starts it again; `ctr` cannot.
    pub(crate) fn start(self, name: &str) -> String {
        if self.is_docker() {
            format!("docker start {name}")
        } else {
            format!("{PODMAN} start {name}")
        }
    }

    /// Removes it, running or not.
    pub(crate) fn remove(self, name: &str) -> String {
        match self {
            _ if self.is_docker() => format!("docker rm --force {name}"),
            _ if self.is_podman() => format!("{PODMAN} rm --force --time 0 {name}"),
            // ctr leaves the address to CNI for good.
            _ => format!(
                "{}; ctr container rm {name}; rm -f $(grep -l '^default-{name}' {LEASES}/*.*.*.*)",
                self.kill(name)
            ),
        }
    }
}

/// Which container has which address.
const LEASES: &str = "/var/lib/cni/networks/links";

/// There is no systemd to make cgroups or keep a journal on the machines.
pub(crate) const PODMAN: &str = "podman --cgroup-manager cgroupfs --events-backend file";
