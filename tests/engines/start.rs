//! Starting an engine on its machine, configured as a test wants it.

use crate::machine::wait_until;
use crate::rig::{Rig, With};
use crate::tool::PODMAN;

impl Rig {
    pub(crate) fn start_docker(&self, with: With) {
        let cgroups = r#""exec-opts": ["native.cgroupdriver=cgroupfs"]"#;
        let rest = match with {
            With::Installed => r#""icc": true"#.into(),
            With::Configured => {
                r#""icc": false, "ipv6": true, "fixed-cidr-v6": "fd00:77::/64""#.into()
            }
            _ => format!(
                r#""icc": false, "default-runtime": "link", "runtimes": {{"link": {{"path": "{}"}}}}"#,
                self.engine.runtime()
            ),
        };
        self.write("/etc/docker/daemon.json", &format!("{{{cgroups}, {rest}}}\n"));
        self.machine.daemon("dockerd", "/root/engine.log");
        self.answers("docker version");
        if with == With::Configured {
            // What it says to do: a reload is enough.
            self.configure("docker --default");
            self.machine.sh("kill -HUP $(pidof dockerd)").ok();
            self.answers("docker info --format '{{.DefaultRuntime}}' | grep -qx oci-link");
        }
        self.machine.sh("docker load --quiet --input /root/image.tar").ok();
    }

    /// Its containers end with it: `live-restore` is off.
    pub(crate) fn restart_docker(&self) {
        self.machine.sh("kill $(pidof dockerd); while pidof dockerd; do sleep 0.05; done").ok();
        self.machine.daemon("dockerd", "/root/engine.log");
        self.answers("docker version");
    }

    /// The same, without the time to end its containers.
    pub(crate) fn crash_docker(&self) {
        let kill = "kill -KILL $(pidof dockerd); while pidof dockerd; do sleep 0.05; done";
        self.machine.sh(kill).ok();
        self.machine.daemon("dockerd", "/root/engine.log");
        self.answers("docker version");
    }

    pub(crate) fn start_podman(&self, with: With) {
        if with == With::Configured {
            self.configure("podman --default");
        }
        if matches!(with, With::Configured | With::Installed) {
            // `podman` without the options of tool.rs takes the same settings from this file.
            let file = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                        [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
            self.write("/etc/containers/containers.conf", file);
        } else {
            let file = format!("[engine]\nruntime = \"{}\"\n", self.engine.runtime());
            self.write("/etc/containers/containers.conf", &file);
        }
        if with == With::Hooks {
            self.configure("podman --hooks");
        }
        self.machine.sh(&format!("{PODMAN} load --quiet --input /root/image.tar")).ok();
        // With a first container podman makes rules that let all pass: what forbids goes before
        // them, and what we permit before that.
        let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
        let real = format!("--runtime $(command -v {})", self.engine.real());
        self.machine.sh(&format!("{PODMAN} {real} run --rm {limits} db echo")).ok();
        // An installed oci-link isolates bridges by config.toml.
        if with != With::Installed {
            self.isolate();
        }
    }

    pub(crate) fn start_containerd(&self) {
        self.machine.sh("mkdir -p /opt/cni /etc/cni/net.d; ln -sfn /usr/lib/cni /opt/cni/bin").ok();
        self.write(
            "/etc/cni/net.d/10-links.conflist",
            r#"{"cniVersion":"0.4.0","name":"links","plugins":[{"type":"bridge","bridge":"cni0",
                "isGateway":true,"ipam":{"type":"host-local","subnet":"10.89.0.0/24",
                "routes":[{"dst":"0.0.0.0/0"}]}}]}"#,
        );
        self.machine.daemon("containerd", "/root/engine.log");
        self.answers("ctr version");
        self.machine.sh("ctr image import /root/image.tar").ok();
        self.isolate();
    }

    /// It refuses a configuration that it cannot read.
    pub(crate) fn restart_containerd(&self) {
        let kill = "kill $(pidof containerd); while pidof containerd; do sleep 0.05; done";
        self.machine.sh(kill).ok();
        self.machine.daemon("containerd", "/root/engine.log");
        self.answers("ctr version");
    }

    /// Makes another image, a stand-in for a real one: `rigs/image.sh` says what it is made of.
    pub(crate) fn add_image(&self, name: &str, ports: &str, command: &str) {
        let file = "/root/image.tar";
        self.machine.script("image.sh", &[file, name, ports, command]).ok();
        let load = match self.engine {
            engine if engine.is_docker() => format!("docker load --quiet --input {file}"),
            engine if engine.is_podman() => format!("{PODMAN} load --quiet --input {file}"),
            _ => format!("ctr image import {file}"),
        };
        self.machine.sh(&load).ok();
    }

    /// `oci-link configure …`; what it said.
    pub(crate) fn configure(&self, arguments: &str) -> String {
        self.machine.sh(&format!("oci-link configure {arguments}")).ok()
    }

    fn answers(&self, question: &str) {
        wait_until("answer of the engine", || self.machine.sh(question).is_ok());
    }

    /// Containers reach each other by links only. Docker sees to that by `icc=false`.
    fn isolate(&self) {
        if let Some(bridge) = self.engine.bridge() {
            let forbid = format!("iptables -I FORWARD -i {bridge} -o {bridge} -j DROP");
            self.machine.sh(&forbid).ok();
        }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.machine.feed("sh", &["-c", &format!("cat >{path}")], text.as_bytes()).ok();
    }
}
