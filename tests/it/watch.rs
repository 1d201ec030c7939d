//! `watch`: what it is there for happens by itself, and soon; otherwise it sleeps.

mod addresses;
mod daemon;
mod dead;
mod isolation;
mod many;
mod metrics;
mod peers;
mod rules;
mod trouble;

use crate::support::{Host, wait};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Everything it does it should do within a second; a machine that does other things besides is
/// given more.
const SOON: Duration = Duration::from_secs(30);

/// One that runs, and the service manager that it tells how it is. Killed when dropped.
pub(crate) struct Watch<'h> {
    host: &'h Host,
    child: Child,
    command: Command,
    manager: UnixDatagram,
}

impl<'h> Watch<'h> {
    /// It is ready: it has looked at everything once.
    pub(crate) fn begin(host: &'h Host) -> Self {
        Self::begin_by(host, command(host))
    }

    /// The same, by a command of the test's own.
    pub(crate) fn begin_by(host: &'h Host, command: Command) -> Self {
        let socket = host.path("notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        let watch = Self::tells(host, command, manager, &socket.display().to_string());
        watch.hears("READY=1");
        watch
    }

    /// The manager is at `place`.
    fn tells(host: &'h Host, mut command: Command, manager: UnixDatagram, place: &str) -> Self {
        manager.set_read_timeout(Some(SOON)).expect("a socket");
        command.env_clear().env("NOTIFY_SOCKET", place).stdin(Stdio::null());
        command.stdout(File::create(host.path("watch.out")).expect("made"));
        command.stderr(File::create(host.path("watch.err")).expect("made"));
        let child = host.spawn(&mut command).expect("it starts");
        Self { host, child, command, manager }
    }

    /// Waits until it says this.
    #[track_caller]
    fn hears(&self, expected: &str) {
        let mut heard = Vec::new();
        let mut buffer = [0; 512];
        let why = loop {
            match self.manager.recv(&mut buffer) {
                Ok(length) => heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned()),
                // A wait with a limit is not taken up again by the kernel.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
            if heard.last().is_some_and(|line| line == expected) {
                return;
            }
        };
        panic!("no {expected:?}, but {heard:?}, then {why}\n{}", self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        wait(&mut self.child, &self.command)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.host.path("log")).unwrap_or_default()
    }

    /// How often it has looked at everything.
    fn looks(&self) -> usize {
        self.log().matches("watch: checks everything").count()
    }

    /// How often it has gone to sleep or was put to sleep: each time, something had woken it.
    fn switches(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        counts.map(|(_, count)| count.trim().parse::<u64>().expect("a number")).sum()
    }

    /// It does nothing at all for `time`, once it has done what it has begun.
    #[track_caller]
    fn sleeps(&self, time: Duration) {
        let deadline = Instant::now() + 2 * SOON;
        loop {
            let before = self.switches();
            thread::sleep(time);
            let woken = self.switches() - before;
            if woken == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "woken {woken} times\n{}", self.log());
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(host: &Host) -> Command {
    host.oci_link(&["--log-level", "debug", "watch"])
}

/// Waits until `is_so`, and tells how long that took.
#[track_caller]
pub(crate) fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}: not within {SOON:?}");
        thread::sleep(Duration::from_millis(10));
    }
    println!("{what}: after {:?}", begun.elapsed());
}

/// Whether `sync` would find nothing to do.
fn is_well(host: &Host) -> bool {
    let mut check = host.oci_link(&["sync", "--check"]);
    check.stdout(Stdio::null()).stderr(Stdio::null());
    host.spawn(&mut check).expect("it starts").wait().expect("our child").success()
}

/// Whether there is a record of it, while others may be on their way out.
fn is_known(host: &Host, id: &str) -> bool {
    let folders = format!("{id:_<4}");
    let (outer, inner) = (&folders[..2], &folders[2..4]);
    host.state_dir().join(format!("records/{outer}/{inner}/{id}.json")).exists()
}
