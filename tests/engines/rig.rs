//! An engine on its machine, with us as its runtime or without, and its containers.

use crate::machine::{Debian, Machine, Said};
use crate::program::OCI_LINK;
use crate::tool::Wish;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

const PLACE: &str = "/usr/local/bin";

/// The engines under test, by major version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)] // They name tests.
pub(crate) enum Engine {
    docker_20,
    docker_28,
    podman_4,
    podman_5,
    containerd_1,
    containerd_2,
}

/// What the engine runs, and how it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// The wrapper; we wrote the configuration that says so.
    Wrapper,
    /// The wrapper; `oci-link configure` wrote it, into what was there.
    Configured,
    /// What is there once oci-link is installed, and nothing has been configured.
    Installed,
    /// The runtime itself, and hooks of hooks.d; from `oci-link configure`.
    Hooks,
    /// The runtime itself.
    Nothing,
}

impl Engine {
    pub(crate) fn debian(self) -> Debian {
        match self {
            Self::docker_20 | Self::podman_4 | Self::containerd_1 => Debian::Own,
            Self::docker_28 | Self::podman_5 | Self::containerd_2 => Debian::Sid,
        }
    }

    pub(crate) fn is_docker(self) -> bool {
        matches!(self, Self::docker_20 | Self::docker_28)
    }

    pub(crate) fn is_podman(self) -> bool {
        matches!(self, Self::podman_4 | Self::podman_5)
    }

    /// What the wrapper wraps: each name of ours is used by one engine or another.
    fn wraps(self) -> &'static str {
        match self {
            Self::podman_5 => "crun",
            Self::containerd_2 => "runtime",
            _ => "runc",
        }
    }

    /// The runtime behind that.
    pub(crate) fn real(self) -> &'static str {
        if self.wraps() == "crun" { "crun" } else { "runc" }
    }

    /// What runs its containers.
    pub(crate) fn runtime(self) -> String {
        format!("{PLACE}/oci-link-{}", self.wraps())
    }

    /// Where its containers meet, if it does not keep them apart itself.
    pub(crate) fn bridge(self) -> Option<&'static str> {
        match self {
            _ if self.is_docker() => None,
            _ if self.is_podman() => Some("podman0"),
            _ => Some("cni0"),
        }
    }

    /// The program that must be installed, and its package.
    fn needs(self) -> (&'static str, &'static str) {
        match self {
            _ if self.is_docker() => ("dockerd", "docker.io"),
            _ if self.is_podman() => ("podman", "podman"),
            _ => ("containerd", "containerd"),
        }
    }
}

/// One engine, started, with the image `db`, on an isolated bridge.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) machine: Machine,
}

impl Rig {
    pub(crate) fn start(engine: Engine, with: With) -> Self {
        let machine = Machine::start(engine.debian());
        let (program, package) = engine.needs();
        let found = machine.sh(&format!("command -v {program}"));
        assert!(found.is_ok(), "{program}: apt-get install {package}");
        machine.install(Path::new(OCI_LINK), &format!("{PLACE}/oci-link"));
        for name in ["runtime", "runc", "crun"] {
            machine.sh(&format!("ln -s oci-link {PLACE}/oci-link-{name}")).ok();
        }
        if matches!(with, With::Nothing | With::Hooks) {
            let real = engine.real();
            machine.sh(&format!("ln -sf $(command -v {real}) {}", engine.runtime())).ok();
        }
        machine.sh("mkdir -p /etc/oci-link /etc/docker /etc/containers").ok();
        machine.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables").ok();
        machine.script("image.sh", &["/root/image.tar"]).ok();
        let rig = Self { engine, machine };
        match engine {
            _ if engine.is_docker() => rig.start_docker(with),
            _ if engine.is_podman() => rig.start_podman(with),
            _ => rig.start_containerd(),
        }
        rig
    }

    /// Begins a container.
    pub(crate) fn container<'r>(&'r self, name: &'r str) -> Container<'r> {
        let wish = Wish { name, options: Vec::new(), command: SERVER };
        Container { rig: self, wish }
    }

    pub(crate) fn kill(&self, name: &str) {
        self.machine.sh(&self.engine.kill(name)).ok();
    }

    pub(crate) fn restart(&self, name: &str) {
        self.machine.sh(&self.engine.start(name)).ok();
    }

    pub(crate) fn remove(&self, name: &str) {
        self.machine.sh(&self.engine.remove(name)).ok();
    }

    pub(crate) fn exec(&self, name: &str, command: &str) -> Said {
        self.machine.sh(&self.engine.exec(name, command))
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        let pid = self.machine.sh(&self.engine.pid(name)).ok();
        pid.parse().unwrap_or_else(|_| panic!("{name} has no pid: {pid:?}"))
    }

    /// The environment that its first process was started with.
    pub(crate) fn environ(&self, name: &str) -> Vec<String> {
        let environ = self.machine.sh(&format!("cat /proc/{}/environ", self.pid(name))).ok();
        environ.split_terminator('\0').map(String::from).collect()
    }

    /// `/etc/hosts` as it sees it.
    pub(crate) fn hosts(&self, name: &str) -> String {
        self.exec(name, "cat /etc/hosts").ok()
    }

    pub(crate) fn address(&self, name: &str) -> Ipv4Addr {
        self.shown(name, "-4").parse().expect("an address")
    }

    pub(crate) fn address6(&self, name: &str) -> Ipv6Addr {
        self.shown(name, "-6").parse().expect("an address")
    }

    fn shown(&self, name: &str, family: &str) -> String {
        let show = format!("ip {family} -o addr show dev eth0 scope global");
        let shown = self.machine.sh(&format!("nsenter -t {} -n {show}", self.pid(name))).ok();
        let mut words = shown.split_whitespace().skip(3);
        let address = words.next().and_then(|word| word.split('/').next());
        address.unwrap_or_else(|| panic!("{name} has no address: {shown}")).to_owned()
    }

    /// How many datagrams came to ports of `name` on which no program listens: `Udp` of
    /// /proc/net/snmp, `Udp6` of /proc/net/snmp6.
    pub(crate) fn datagrams(&self, name: &str) -> (u64, u64) {
        let print = "awk '/^Udp: [0-9]/ { print $3 } /^Udp6NoPorts / { print $2 }'";
        let files = "/proc/net/snmp /proc/net/snmp6";
        let print = format!("nsenter -t {} -n {print} {files}", self.pid(name));
        let printed = self.machine.sh(&print).ok();
        let mut numbers = printed.lines().map(|line| line.parse().expect("a number"));
        (numbers.next().expect("Udp"), numbers.next().expect("Udp6"))
    }

    /// Sends a datagram from `name`, and gives it the time to arrive.
    pub(crate) fn send(&self, name: &str, to: impl std::fmt::Display, port: u16) {
        let send = format!("echo hello >/dev/udp/{to}/{port}; sleep 0.2");
        self.machine.sh(&format!("nsenter -t {} -n bash -c '{send}'", self.pid(name))).ok();
    }

    /// `from` gets an answer from what listens on `port` of `host`, once that has started.
    #[track_caller]
    pub(crate) fn assert_reaches(&self, from: &str, host: &str, port: u16) {
        let attempts = 5;
        let reached = (0..attempts).any(|_| self.reaches(from, host, port));
        assert!(reached, "{from} does not reach {host}:{port}: {}", self.situation(from));
    }

    /// Whether it does.
    pub(crate) fn reaches(&self, from: &str, host: &str, port: u16) -> bool {
        // Debian's static wget crashes. Any answer will do, a complaint about the question too.
        let ask = self.exec(from, &format!("sh -c 'echo GET / | nc -w 2 {host} {port}'"));
        ask.is_ok() && ask.ok().contains("HTTP/")
    }

    /// What there is to see when packets do not go where they should.
    fn situation(&self, name: &str) -> String {
        let rules = self.machine.sh("iptables -S; ipset save; nft list ruleset");
        format!("{}\n{rules}", self.exec(name, "cat /etc/hosts"))
    }

    /// Our rules that name a container, and our records.
    pub(crate) fn remains(&self) -> Vec<String> {
        let print = "iptables -S; ip6tables -S; ipset save; nft list ruleset";
        let ours = "oci-link-[0-9a-f]{16}|^add oci-link";
        let rules = format!("{{ {print}; }} 2>/dev/null | grep -iE '{ours}'; true");
        let rules = self.machine.sh(&rules).ok();
        let records = self.machine.sh("oci-link ls --format json").ok();
        let records = if records == "[]" { String::new() } else { records };
        let lines = rules.lines().chain(records.lines());
        lines.map(String::from).filter(|line| !line.is_empty()).collect()
    }
}

/// Answers on a port that the image exposes, and on one that it does not.
const SERVER: &str = "sh -c 'httpd -p 9999; exec httpd -f -p 3306'";

/// A container in the making.
pub(crate) struct Container<'r> {
    rig: &'r Rig,
    wish: Wish<'r>,
}

impl<'r> Container<'r> {
    /// Sets the annotation `org.oci-link.<key>`.
    pub(crate) fn annotate(self, key: &str, value: &str) -> Self {
        self.option(format!("--annotation 'org.oci-link.{key}={value}'"))
    }

    /// Adds `KEY=value` to its environment.
    pub(crate) fn env(self, entry: &str) -> Self {
        self.option(format!("--env '{entry}'"))
    }

    pub(crate) fn option(mut self, option: String) -> Self {
        self.wish.options.push(option);
        self
    }

    pub(crate) fn command(mut self, command: &'r str) -> Self {
        self.wish.command = command;
        self
    }

    /// Runs it, detached.
    pub(crate) fn run(self) -> Said {
        self.rig.machine.sh(&self.rig.engine.run(&self.wish))
    }
}
