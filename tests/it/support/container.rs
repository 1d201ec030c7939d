//! A container's life, in the runtime's own commands.

use super::{host::Host, netns::Netns, network, outcome::Outcome, patience::patiently};
use serde_json::Value;
use std::{
    fs,
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Killed, deleted and unplugged when dropped, whatever state it is in.
pub(crate) struct Container<'h> {
    host: &'h Host,
    id: String,
    bundle: PathBuf,
    number: u8,
    netns: Netns,
}

impl<'h> Container<'h> {
    pub(crate) fn new(
        host: &'h Host,
        id: String,
        bundle: PathBuf,
        number: u8,
        netns: Netns,
    ) -> Self {
        Self { host, id, bundle, number, netns }
    }

    /// `oci-link prepare`: our hooks and the link variables go into config.json.
    pub(crate) fn prepare(&self) -> Outcome {
        let mut prepare = self.host.oci_link(&["prepare"]);
        self.host.run(prepare.arg(&self.bundle))
    }

    pub(crate) fn create(&self) -> Outcome {
        self.with_bundle(&["create"])
    }

    pub(crate) fn start(&self) -> Outcome {
        self.runtime(&["start", &self.id])
    }

    /// Create and start in one, detached.
    pub(crate) fn run(&self) -> Outcome {
        self.with_bundle(&["run", "--detach"])
    }

    /// Ends the application and waits until it is dead; the container is not deleted.
    pub(crate) fn kill(&self) {
        self.runtime(&["kill", &self.id, "KILL"]).ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.state()["status"] != "stopped" {
            assert!(Instant::now() < deadline, "{} survives SIGKILL", self.id);
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn delete(&self) -> Outcome {
        self.runtime(&["delete", &self.id])
    }

    /// Killed and deleted in one.
    pub(crate) fn delete_by_force(&self) -> Outcome {
        self.runtime(&["delete", "--force", &self.id])
    }

    pub(crate) fn exec(&self, command: &[&str]) -> Outcome {
        self.runtime(&[&["exec", &self.id], command].concat())
    }

    /// The runtime's account of it.
    pub(crate) fn state(&self) -> Value {
        let state = self.runtime(&["state", &self.id]).ok();
        serde_json::from_str(&state).expect("the runtime prints JSON")
    }

    /// The environment the application was started with. The runtime is done a moment before its
    /// process has become the application; until then it has none of the bundle's variables.
    pub(crate) fn environ(&self) -> Vec<String> {
        let config = fs::read(self.bundle.join("config.json")).expect("a bundle");
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        let first = config["process"]["env"][0].as_str().expect("an environment").to_owned();
        let started = || {
            let environ: Vec<String> =
                self.proc("environ").split_terminator('\0').map(String::from).collect();
            environ.contains(&first).then_some(environ).ok_or(ErrorKind::WouldBlock.into())
        };
        patiently(ErrorKind::WouldBlock, started).expect("the application starts")
    }

    /// `/etc/hosts` as the application sees it, mounts and all.
    pub(crate) fn hosts(&self) -> String {
        self.proc("root/etc/hosts")
    }

    pub(crate) fn bundle(&self) -> &Path {
        &self.bundle
    }

    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// IPv4, then IPv6.
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        let network = self.host.network();
        [network::ipv4(network, self.number).into(), network::ipv6(network, self.number).into()]
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Takes it off the bridge, so that another may have its addresses.
    pub(crate) fn unplug(&self) {
        self.host.unplug(&self.netns).ok();
    }

    /// Gives it the addresses of `number` in place of its own, as DHCP or an engine may.
    pub(crate) fn renumber(&mut self, number: u8) {
        self.number = number;
        let [v4, v6] = self.addresses();
        self.ip(&format!(
            "addr flush dev eth0 scope global
             addr add {v4}/24 dev eth0
             addr add {v6}/64 dev eth0 nodad
             route replace default via 10.77.0.1
             route replace default via fd77::1"
        ));
    }

    /// Runs these lines of `ip -batch` in its network namespace.
    pub(crate) fn ip(&self, lines: &str) {
        self.host.ip(&self.netns, lines).ok();
    }

    fn with_bundle(&self, command: &[&str]) -> Outcome {
        let mut command = self.host.runtime(command);
        self.host.run(command.arg("--bundle").arg(&self.bundle).arg(&self.id))
    }

    fn runtime(&self, arguments: &[&str]) -> Outcome {
        self.host.run(&mut self.host.runtime(arguments))
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.state()["pid"]);
        fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.delete_by_force();
        let _ = self.host.unplug(&self.netns);
    }
}
