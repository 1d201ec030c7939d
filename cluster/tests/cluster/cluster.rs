//! A cluster of three members of etcd, with authentication, and the roles of the documentation.

use crate::documented::script;
use crate::machine::{Machine, Switch, succeed};
use crate::pki::Pki;
use crate::wait::{seconds, until};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where `make test-cluster` has etcd and etcdctl.
const PROGRAMS: &str = "OCI_LINK_ETCD";
/// The program that is tested.
const BUILT: &str = env!("CARGO_BIN_EXE_oci-link-cluster");
/// Names another one, such as the release binary.
const OTHER: &str = "OCI_LINK_CLUSTER_TESTED";
/// The addresses of the members are 10.99.0.1, 10.99.0.2 and 10.99.0.3.
pub(crate) const MEMBERS: [u8; 3] = [1, 2, 3];
/// The address of the administrator.
const ADMIN: u8 = 9;

/// The cluster. Its processes and files go with it.
pub(crate) struct Cluster {
    pub(crate) switch: Switch,
    pub(crate) pki: Pki,
    /// The program that is tested, where an ordinary user finds it.
    pub(crate) courier: PathBuf,
    directory: PathBuf,
    members: Vec<Member>,
    admin: Machine,
}

struct Member {
    machine: Machine,
    process: Option<Child>,
}

impl Cluster {
    /// A cluster that answers, with a user and a role for each of `hosts`.
    pub(crate) fn new(hosts: &[&str]) -> Self {
        Self::with(hosts, &[])
    }

    /// A cluster as [`Cluster::new`] makes it, whose members have more options.
    pub(crate) fn with(hosts: &[&str], options: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oci-link-cluster-{}-{number}", std::process::id());
        let temporary = std::env::temp_dir();
        // The spool is in memory on a host, too. No program can be started there on some machines.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { memory } else { &temporary };
        let directory = directory.canonicalize().expect("a directory").join(&name);
        fs::create_dir_all(&directory).expect("a directory");
        let courier = temporary.join(name + ".program");
        fs::copy(std::env::var_os(OTHER).unwrap_or_else(|| BUILT.into()), &courier)
            .expect("a copy");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("a mode");
        let pki = Pki::new(&directory.join("pki"));
        pki.sign_member();
        pki.sign("root", 30);
        let switch = Switch::new();
        let members =
            MEMBERS.map(|number| Member { machine: switch.machine(number), process: None });
        let admin = switch.machine(ADMIN);
        let members = members.into();
        let mut cluster = Self { switch, pki, courier, directory, members, admin };
        for number in MEMBERS {
            cluster.start_with(number, options);
        }
        cluster.wait_until_healthy();
        cluster.authenticate(hosts);
        cluster
    }

    /// A directory for a host.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// Kills all members, removes what they have stored, and sets the cluster up anew.
    pub(crate) fn start_anew(&mut self, hosts: &[&str]) {
        for number in MEMBERS {
            self.kill(number);
            let stored = self.directory.join(format!("m{number}"));
            fs::remove_dir_all(stored).expect("a data directory");
        }
        for number in MEMBERS {
            self.start(number);
        }
        self.wait_until_healthy();
        self.authenticate(hosts);
    }

    fn wait_until_healthy(&self) {
        let mut health = self.etcdctl(&["endpoint", "health"]);
        health.stdout(Stdio::null()).stderr(Stdio::null());
        let is_healthy = || health.status().is_ok_and(|status| status.success());
        until("etcd answers", seconds(30), is_healthy, || self.log());
    }

    /// Starts a member again.
    pub(crate) fn start(&mut self, number: u8) {
        self.start_with(number, &[]);
    }

    fn start_with(&mut self, number: u8, options: &[&str]) {
        let peers = MEMBERS.map(|number| format!("m{number}=http://10.99.0.{number}:2380"));
        let client = format!("https://10.99.0.{number}:2379");
        let peer = format!("http://10.99.0.{number}:2380");
        let log = File::options().create(true).append(true).open(self.directory.join("etcd.log"));
        let log = log.expect("a log");
        let member = &mut self.members[usize::from(number) - 1];
        let mut command = member.machine.command(program("etcd"));
        command
            .args(["--name", &format!("m{number}"), "--data-dir"])
            .arg(self.directory.join(format!("m{number}")))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &peers.join(","), "--client-cert-auth"])
            .arg("--trusted-ca-file")
            .arg(self.pki.path("ca.pem"))
            .arg("--cert-file")
            .arg(self.pki.path("member.pem"))
            .arg("--key-file")
            .arg(self.pki.path("member.key"))
            // Nothing of it outlives the test.
            .args(["--unsafe-no-fsync", "--enable-grpc-gateway=false", "--log-level", "warn"])
            .args(options)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        member.process = Some(command.spawn().expect("etcd"));
    }

    /// Kills a member.
    pub(crate) fn kill(&mut self, number: u8) {
        if let Some(mut process) = self.members[usize::from(number) - 1].process.take() {
            process.kill().expect("etcd runs");
            process.wait().expect("etcd ends");
        }
    }

    /// Runs a script on the machine of a member.
    pub(crate) fn on_member(&self, number: u8, script: &str) {
        self.members[usize::from(number) - 1].machine.sh(script);
    }

    /// The member that leads.
    pub(crate) fn leader(&self) -> u8 {
        let status = self.admin(&["endpoint", "status", "--write-out=fields"]);
        // Blocks of lines, one for each member.
        let value = |block: &str, name: &str| {
            let line = block.lines().find(|line| line.starts_with(&format!("\"{name}\"")));
            line.and_then(|line| line.split(" : ").nth(1)).unwrap_or_default().to_owned()
        };
        let blocks: Vec<&str> = status.split("\n\n").collect();
        let leads = |block: &&&str| {
            let id = value(block, "MemberID");
            !id.is_empty() && id == value(block, "Leader")
        };
        let leader = blocks.iter().find(leads).expect("a leader");
        let endpoint = value(leader, "Endpoint");
        let number = endpoint.trim_matches('"').trim_end_matches(":2379").rsplit('.').next();
        number.and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Compacts everything but the newest revision.
    pub(crate) fn compact(&self) {
        self.admin(&["compact", &self.revision().to_string()]);
    }

    /// The newest revision.
    pub(crate) fn revision(&self) -> i64 {
        let status = self.admin(&["endpoint", "status", "--write-out=fields"]);
        let revisions = status.lines().filter_map(|line| line.strip_prefix("\"Revision\" : "));
        let newest = revisions.filter_map(|number| number.parse::<i64>().ok()).max();
        newest.expect("a revision")
    }

    /// Runs etcdctl as the administrator; it must succeed.
    pub(crate) fn admin(&self, arguments: &[&str]) -> String {
        succeed(&mut self.etcdctl(arguments), &arguments.join(" "))
    }

    /// etcdctl as the administrator.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> Command {
        let mut command = self.administrator(program("etcdctl"));
        command.args(arguments);
        command
    }

    /// A program with the administrator's certificate.
    fn administrator(&self, program: impl AsRef<OsStr>) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = std::env::var(PROGRAMS).unwrap_or_default();
        let mut command = self.admin.command(program);
        command
            .env("PATH", format!("{programs}:{path}"))
            .env("ETCDCTL_ENDPOINTS", endpoints().join(","))
            .env("ETCDCTL_CACERT", self.pki.path("ca.pem"))
            .env("ETCDCTL_CERT", self.pki.path("root.pem"))
            .env("ETCDCTL_KEY", self.pki.path("root.key"));
        command
    }

    /// Runs etcdctl as the administrator on `input`; it must succeed.
    pub(crate) fn script(&self, arguments: &[&str], input: impl AsRef<[u8]>) {
        let file = self.directory.join("input");
        fs::write(&file, input).expect("an input");
        let mut command = self.etcdctl(arguments);
        command.stdin(File::open(&file).expect("an input"));
        succeed(&mut command, &arguments.join(" "));
    }

    /// Puts a key as the administrator.
    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        self.script(&["put", key], value);
    }

    /// What the members logged, and what the store has.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.directory.join("etcd.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Users, roles and authentication, as docs/cluster.md has them.
    fn authenticate(&self, hosts: &[&str]) {
        let script = script("roles");
        assert!(script.contains("for host in a b c;"), "{script}");
        let script = script.replace("a b c;", &format!("{};", hosts.join(" ")));
        let mut command = self.administrator("sh");
        succeed(command.args(["-euc", &script]), &script);
        for host in hosts {
            self.pki.sign(host, 30);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for number in MEMBERS {
            self.kill(number);
        }
        let _ = fs::remove_file(&self.courier);
        // It is in memory. A test that fails has printed what is in it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The endpoints of all members.
pub(crate) fn endpoints() -> Vec<String> {
    MEMBERS.map(|number| format!("https://10.99.0.{number}:2379")).into()
}

fn program(name: &str) -> PathBuf {
    let programs = std::env::var_os(PROGRAMS).expect("make test-cluster says where etcd is");
    Path::new(&programs).join(name)
}
