//! A host with a courier. The courier runs as an ordinary user without any capability.

use crate::cluster::{Cluster, endpoints};
use crate::machine::Machine;
use crate::wait::{throughout, until};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::time::Duration;

/// An unprivileged user. Debian calls it `nobody`.
pub(crate) const USER: u32 = 65_534;
/// The patience of all hosts here; the lease is as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A host.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) number: u8,
    machine: Machine,
    program: PathBuf,
    pub(crate) directory: PathBuf,
    courier: Option<Child>,
}

impl Host {
    /// A host named `name` at 10.99.0.`number`, whose courier does not run yet.
    pub(crate) fn new(cluster: &Cluster, name: &str, number: u8) -> Self {
        let directory = cluster.directory(&format!("host-{number}"));
        let machine = cluster.switch.machine(number);
        let program = cluster.courier.clone();
        let name = name.to_owned();
        let host = Self { name, number, machine, program, directory, courier: None };
        for (folder, mode) in [("spool", 0o750), ("offers", 0o750)] {
            let path = host.path(folder);
            fs::create_dir(&path).expect("a directory");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
            chown(&path, Some(USER), Some(USER)).expect("an owner");
        }
        host.use_certificate(cluster, &host.name);
        host.configure("");
        host
    }

    /// A host whose courier runs and has published.
    pub(crate) fn started(cluster: &Cluster, name: &str, number: u8) -> Self {
        let mut host = Self::new(cluster, name, number);
        host.start();
        host.eventually("published", Duration::from_secs(15), |host| {
            host.view()["published"] == true && host.view()["problem"].is_null()
        });
        host
    }

    /// Makes `FILE.pem` and `FILE.key` of the cluster's authority the host's own.
    pub(crate) fn use_certificate(&self, cluster: &Cluster, file: &str) {
        for (from, to) in [
            ("ca.pem".to_owned(), "ca.pem"),
            (format!("{file}.pem"), "host.pem"),
            (format!("{file}.key"), "host.key"),
        ] {
            fs::copy(cluster.pki.path(&from), self.path(".copy")).expect("a certificate");
            fs::set_permissions(self.path(".copy"), Permissions::from_mode(0o400)).expect("a mode");
            chown(self.path(".copy"), Some(USER), Some(USER)).expect("an owner");
            fs::rename(self.path(".copy"), self.path(to)).expect("a certificate");
        }
    }

    /// Writes config.toml; `more` follows the table.
    pub(crate) fn configure(&self, more: &str) {
        let file = |name: &str| self.path(name).display().to_string();
        let text = format!(
            "[cluster]\nname = {name:?}\nnetworks = {{ {name} = [\"10.10.0.0/16\"] }}\n\
             patience = \"{patience}s\"\nendpoints = {endpoints:?}\n\
             ca = {ca:?}\ncert = {cert:?}\nkey = {key:?}\n{more}",
            name = self.name,
            patience = PATIENCE.as_secs(),
            endpoints = endpoints(),
            ca = file("ca.pem"),
            cert = file("host.pem"),
            key = file("host.key"),
        );
        fs::write(self.path("config.toml"), text).expect("config.toml");
    }

    /// A file of the host.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs the program with a command, to its end.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        self.command(command).output().expect("oci-link-cluster")
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let user = USER.to_string();
        let mut command = self.machine.command("setpriv");
        command
            .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--bounding-set=-all"])
            .args(["--inh-caps=-all", "--no-new-privs", "--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(words)
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("--spool")
            .arg(self.path("spool"))
            .arg("--offers")
            .arg(self.path("offers"));
        command
    }

    /// Starts the courier.
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let mut command = self.command(&["run"]);
        command.stderr(log);
        self.courier = Some(command.spawn().expect("oci-link-cluster"));
    }

    /// Kills the courier.
    pub(crate) fn kill(&mut self) {
        let mut courier = self.courier.take().expect("a courier");
        courier.kill().expect("it runs");
        courier.wait().expect("it ends");
    }

    /// Sends a signal to the courier, by its name.
    pub(crate) fn signal(&self, signal: &str) {
        self.machine.sh(&format!("kill -{signal} {}", self.pid()));
    }

    /// The courier's process.
    pub(crate) fn pid(&self) -> u32 {
        self.courier.as_ref().expect("a courier").id()
    }

    /// Runs a script on the machine.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.machine.sh(script)
    }

    /// Writes a file of `offers`, as `oci-link watch` does.
    pub(crate) fn offer(&self, name: &str, content: &str) {
        fs::write(self.path("offers").join(".new"), content).expect("offers");
        fs::rename(self.path("offers").join(".new"), self.path("offers").join(name)).expect(name);
    }

    /// Removes a file of `offers`.
    pub(crate) fn end(&self, name: &str) {
        fs::remove_file(self.path("offers").join(name)).expect(name);
    }

    /// The content of a copy, if it is there.
    pub(crate) fn copy(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("spool").join(name)).ok()
    }

    /// The names of all copies.
    pub(crate) fn copies(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("spool")).expect("a spool");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
        let mut names: Vec<_> = names.map(|name| name.expect("UTF-8")).collect();
        names.retain(|name| !name.starts_with('.') && name != "view");
        names.sort();
        names
    }

    /// The file `view`; null if it is not there.
    pub(crate) fn view(&self) -> Value {
        self.json("view")
    }

    /// The file `.status`; null if it is not there.
    pub(crate) fn status(&self) -> Value {
        self.json(".status")
    }

    fn json(&self, name: &str) -> Value {
        let bytes = fs::read(self.path("spool").join(name)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// The age of the view.
    pub(crate) fn age(&self) -> Duration {
        let fresh = self.view()["fresh_ms"].as_u64().unwrap_or(0);
        boottime().saturating_sub(Duration::from_millis(fresh))
    }

    /// The problem that the view names, or an empty text.
    pub(crate) fn problem(&self) -> String {
        self.view()["problem"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether the courier that runs now is connected, and has proved that the copies are complete.
    pub(crate) fn is_well(&self) -> bool {
        let is_this_one = self.status()["pid"] == self.pid();
        is_this_one && self.problem().is_empty() && self.age() < Duration::from_secs(2)
    }

    /// The number of the member that the courier is connected to.
    pub(crate) fn member(&self) -> u8 {
        let endpoint = self.status()["endpoint"].as_str().expect("an endpoint").to_owned();
        let number = endpoint.trim_end_matches(":2379").rsplit('.').next();
        number.and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Waits until something holds of this host.
    pub(crate) fn eventually(
        &self,
        what: &str,
        bound: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Duration {
        until(&format!("{}: {what}", self.name), bound, || holds(self), || self.describe())
    }

    /// Checks that something holds of this host all the time.
    pub(crate) fn always(&self, what: &str, time: Duration, holds: impl Fn(&Self) -> bool) {
        throughout(&format!("{}: {what}", self.name), time, || holds(self), || self.describe());
    }

    /// What a failed test prints.
    fn describe(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "view {}\nstatus {}", self.view(), self.status());
        let copies = self.copies();
        let _ = writeln!(text, "{} copies: {:?}", copies.len(), &copies[..copies.len().min(20)]);
        let _ = write!(text, "{}", log(&self.path("log")));
        text
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.courier.is_some() {
            self.kill();
        }
    }
}

fn log(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Time since boot.
fn boottime() -> Duration {
    let uptime = fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    let seconds = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs_f64(seconds.expect("a number"))
}
