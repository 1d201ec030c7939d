//! Users without root on a machine, each with a rootless engine and containers.

use crate::machine::{Machine, Said, wait_until};
use crate::program::OCI_LINK;
use crate::rig::Engine;
use std::fmt::Display;
use std::path::Path;

const PLACE: &str = "/usr/local/bin";
/// Names and ids of the users of each machine.
const USERS: [(&str, u32); 2] = [("alice", 1500), ("bob", 1501)];
/// Answers on a port that the image exposes, and on one that it does not.
const SERVER: &str = "sh -c 'httpd -p 9999; exec httpd -f -p 3306'";
/// What a user's shell has, and what oci-link must do without: no sbin.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A machine with users, whose engine knows nothing of us yet.
pub(crate) struct Rootless {
    pub(crate) engine: Engine,
    pub(crate) machine: Machine,
}

/// One of its users.
#[derive(Clone, Copy)]
pub(crate) struct User<'r> {
    rig: &'r Rootless,
    name: &'static str,
    uid: u32,
}

impl Rootless {
    pub(crate) fn start(engine: Engine) -> Self {
        let machine = Machine::start(engine.debian());
        machine.install(Path::new(OCI_LINK), &format!("{PLACE}/oci-link"));
        for name in ["runtime", "runc", "crun"] {
            machine.sh(&format!("ln -s oci-link {PLACE}/oci-link-{name}")).ok();
        }
        machine.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables").ok();
        let users: Vec<String> = USERS.iter().map(|(name, uid)| format!("{name} {uid}")).collect();
        let users = users.join(" ");
        machine.script("users.sh", &users.split(' ').collect::<Vec<_>>()).ok();
        machine.script("image.sh", &["/home/image.tar"]).ok();
        Self { engine, machine }
    }

    /// Its podman runs `runtime`, by the configuration of this Debian's administrator.
    pub(crate) fn start_with(engine: Engine, runtime: &str) -> Self {
        let rig = Self::start(engine);
        rig.write(
            "/etc/containers/containers.conf",
            &format!("[engine]\nruntime = \"{runtime}\"\n"),
        );
        rig
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let script = format!("mkdir -p $(dirname {path}) && cat >{path}");
        self.machine.feed("sh", &["-c", &script], text.as_bytes()).ok();
    }

    /// The user with the image `db`; nothing of oci-link is configured.
    pub(crate) fn plain(&self, name: &str) -> User<'_> {
        let (name, uid) = USERS.into_iter().find(|(user, _)| *user == name).expect("a user");
        let user = User { rig: self, name, uid };
        if self.engine.is_docker() {
            user.start_docker();
        }
        user.engine("load --quiet --input /home/image.tar").ok();
        user
    }

    /// The user with the image `db`, and us as the default runtime.
    pub(crate) fn user(&self, name: &str) -> User<'_> {
        if self.engine.is_docker() {
            return self.plain(name);
        }
        let user = self.plain(name);
        user.sh("oci-link configure podman --default").ok();
        user
    }

    /// The same, and a network `lan` on whose bridge containers reach each other by links only.
    pub(crate) fn user_with_network(&self, name: &str) -> User<'_> {
        let user = self.user(name);
        if !self.engine.is_docker() {
            user.write(".config/oci-link/config.toml", "[firewall]\nisolate = [\"podman1\"]\n");
            user.engine("network create --disable-dns lan").ok();
        }
        user
    }

    /// Rules of the host, and records of root's instance.
    pub(crate) fn of_root(&self) -> String {
        let records = "oci-link ls --format json; ls -A /run/oci-link";
        self.machine.sh(&format!("{{ {RULES}; {records}; }} 2>&1")).ok()
    }
}

/// Prints all rules without their counters.
const RULES: &str = "{ iptables -S; ip6tables -S; ipset save; nft list ruleset; } 2>/dev/null | \
                     sed -E 's/counter packets [0-9]+ bytes [0-9]+//'";

impl User<'_> {
    /// Runs a shell's `script` as the user, in the home directory.
    pub(crate) fn sh(&self, script: &str) -> Said {
        self.feed(script, "")
    }

    fn feed(&self, script: &str, input: &str) -> Said {
        let words = self.words(script);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.rig.machine.feed(words[0], &words[1..], input.as_bytes())
    }

    /// A command line that runs `script` with the user's ids and environment.
    fn words(&self, script: &str) -> Vec<String> {
        let (name, uid) = (self.name, self.uid);
        let environment = format!(
            "HOME=/home/{name} USER={name} XDG_RUNTIME_DIR=/run/user/{uid} PATH={PATH} \
             DOCKER_HOST=unix:///run/user/{uid}/docker.sock PODMAN_IGNORE_CGROUPSV1_WARNING=yes"
        );
        let setpriv =
            format!("setpriv --reuid {name} --regid {name} --init-groups env -i {environment}");
        let script = format!("cd /home/{name} && {script}");
        let shell = ["sh".to_owned(), "-c".to_owned(), script];
        setpriv.split_whitespace().map(String::from).chain(shell).collect()
    }

    /// Writes a file below the home directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        self.feed(&format!("mkdir -p $(dirname {path}) && cat >{path}"), text).ok();
    }

    /// The daemon of rootless docker, which `oci-link configure` has told of us.
    fn start_docker(&self) {
        let daemon = r#"{"storage-driver": "vfs", "icc": false}"#;
        self.write(".config/docker/daemon.json", daemon);
        self.sh("oci-link configure docker --default").ok();
        let script = "DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns PATH=$PATH:/usr/sbin:/sbin \
                      exec setsid sh /usr/share/docker.io/contrib/dockerd-rootless.sh \
                      >dockerd.log 2>&1 </dev/null &";
        self.sh(script).ok();
        wait_until("rootless docker", || self.sh("docker version").is_ok());
        self.inside("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables").ok();
    }

    /// The client of the engine.
    pub(crate) fn engine(&self, words: &str) -> Said {
        let client = if self.rig.engine.is_docker() { "docker" } else { "podman" };
        self.sh(&format!("{client} {words}"))
    }

    /// Runs a container of the image `db`, detached, with the server.
    pub(crate) fn run(&self, name: &str, options: &str) -> Said {
        self.engine(&format!("run --detach --name {name} {options} db {SERVER}"))
    }

    /// Runs it on the network `lan`, or where rootless docker has its containers. `links` may be empty.
    pub(crate) fn run_on_lan(&self, name: &str, links: &str) -> Said {
        let network = if self.rig.engine.is_docker() { "" } else { "--network lan" };
        let links = if links.is_empty() { String::new() } else { annotation("links", links) };
        self.run(name, &format!("{network} {links}"))
    }

    pub(crate) fn exec(&self, name: &str, command: &str) -> Said {
        self.engine(&format!("exec {name} {command}"))
    }

    /// Ends it at once; it stays, stopped.
    pub(crate) fn kill(&self, name: &str) {
        let cleanup = if self.rig.engine.is_docker() { "" } else { "&& podman container cleanup" };
        let cleanup = if cleanup.is_empty() { String::new() } else { format!("{cleanup} {name}") };
        let client = if self.rig.engine.is_docker() { "docker" } else { "podman" };
        self.sh(&format!("{client} kill {name} && {client} wait {name} {cleanup}")).ok();
    }

    pub(crate) fn restart(&self, name: &str) {
        self.engine(&format!("start {name}")).ok();
    }

    pub(crate) fn remove(&self, name: &str) {
        let time = if self.rig.engine.is_docker() { "" } else { "--time 0" };
        self.engine(&format!("rm --force {time} {name}")).ok();
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        let pid = self.engine(&format!("inspect --format '{{{{.State.Pid}}}}' {name}")).ok();
        pid.parse().unwrap_or_else(|_| panic!("{name} has no pid: {pid:?}"))
    }

    /// The environment that its first process was started with.
    pub(crate) fn environ(&self, name: &str) -> Vec<String> {
        let environ = self.rig.machine.sh(&format!("cat /proc/{}/environ", self.pid(name))).ok();
        environ.split_terminator('\0').map(String::from).collect()
    }

    pub(crate) fn hosts(&self, name: &str) -> String {
        self.exec(name, "cat /etc/hosts").ok()
    }

    /// The address of `name` in the family `-4` or `-6`.
    pub(crate) fn address(&self, name: &str, family: &str) -> String {
        let show = format!("ip {family} -o addr show dev eth0 scope global");
        let shown = self.rig.machine.sh(&format!("nsenter -t {} -n {show}", self.pid(name))).ok();
        let word = shown.split_whitespace().nth(3).and_then(|word| word.split('/').next());
        word.unwrap_or_else(|| panic!("{name} has no address: {shown}")).to_owned()
    }

    /// Whether `from` gets an answer from what listens on `port` of `host`.
    pub(crate) fn reaches(&self, from: &str, host: impl Display, port: u16) -> bool {
        let ask = self.exec(from, &format!("sh -c 'echo GET / | nc -w 1 {host} {port}'"));
        ask.is_ok() && ask.ok().contains("HTTP/")
    }

    #[track_caller]
    pub(crate) fn assert_reaches(&self, from: &str, host: impl Display, port: u16) {
        let reached = (0..5).any(|_| self.reaches(from, &host, port));
        assert!(reached, "{from} does not reach {host}:{port}: {}", self.situation(from));
    }

    /// `to` is linked to `from` under `alias`: the hosts line and packets to the exposed port only.
    #[track_caller]
    pub(crate) fn assert_linked(&self, from: &str, alias: &str, to: &str) {
        let address = self.address(to, "-4");
        let hosts = self.hosts(from);
        let has_line = |line: &str| line.starts_with(&format!("{address}\t{alias}"));
        assert!(hosts.lines().any(has_line), "{address} {alias}: {}", self.situation(from));
        self.assert_reaches(from, alias, 3306);
        assert!(!self.reaches(from, alias, 9999), "another port: {}", self.situation(from));
    }

    /// What there is to see when packets do not go where they should.
    pub(crate) fn situation(&self, name: &str) -> String {
        let log = self.sh("oci-link ls 2>&1; cat oci-link.log 2>/dev/null");
        format!("{}\n{}\n{log}", self.exec(name, "cat /etc/hosts"), self.inside(RULES))
    }

    /// Runs a shell's `script` as root of the user's engine, where the bridges are.
    pub(crate) fn inside(&self, script: &str) -> Said {
        let sbin = "export PATH=$PATH:/usr/sbin:/sbin";
        let script = script.replace('\'', r"'\''");
        self.sh(&if self.rig.engine.is_docker() {
            let child = format!("$(cat /run/user/{}/dockerd-rootless/child_pid)", self.uid);
            let enter = "nsenter --user --preserve-credentials --net --mount --target";
            format!("{enter} {child} sh -c '{sbin}; {script}'")
        } else {
            format!("podman unshare --rootless-netns sh -c '{sbin}; {script}'")
        })
    }

    /// Our program, as its user calls it.
    pub(crate) fn oci_link(&self, words: &str) -> Said {
        self.sh(&format!("oci-link {words}"))
    }

    /// Rules of ours that name a container.
    pub(crate) fn rules(&self) -> Vec<String> {
        let ours = "oci-link-[0-9a-f]{16}|^add oci-link";
        let rules = self.inside(&format!("{{ {RULES}; }} | grep -iE \"{ours}\"; true")).ok();
        rules.lines().map(String::from).collect()
    }

    /// The names of all records, sorted.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let records = self.oci_link("ls --format json").ok();
        let records: serde_json::Value = serde_json::from_str(&records).expect("JSON");
        let records = records.as_array().expect("an array");
        let mut names: Vec<String> =
            records.iter().map(|one| one["name"].as_str().unwrap_or("?").to_owned()).collect();
        names.sort();
        names
    }
}

/// The option that sets `org.oci-link.<key>`.
pub(crate) fn annotation(key: &str, value: &str) -> String {
    format!("--annotation 'org.oci-link.{key}={value}'")
}
