//! A machine of its own for one engine: namespaces, and a root file system over a Debian's.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Longer than any engine takes to answer, or a document to be played.
const PATIENCE: Duration = Duration::from_secs(180);

const RIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/rigs");
/// The newest engines are Debian sid's; made by `rigs/sid.sh`, kept for the next time.
pub(crate) const SID: &str = "/var/cache/oci-link-test/sid";
/// Where nothing of ours was ever installed; made by `rigs/fresh.sh`.
const FRESH: &str = "/var/cache/oci-link-test/bookworm";

/// The Debian whose engines are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Debian {
    /// The one that the tests run on.
    Own,
    /// The newest.
    Sid,
    /// A small one without engines, as it is after its installation.
    Fresh,
}

/// Everything in it ends when it is dropped: its first process is killed.
pub(crate) struct Machine {
    namespaces: Child,
    first: u32,
    directory: PathBuf,
    commands: AtomicU32,
}

/// What a command said.
#[must_use = "ask for ok() or refused()"]
pub(crate) struct Said {
    command: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Machine {
    pub(crate) fn start(debian: Debian) -> Self {
        Self::with(root_of(debian), &["--net", "--mount", "--pid", "--ipc", "--uts"], None)
    }

    /// This Debian, whose first process is systemd. Its basic units are active.
    pub(crate) fn boot() -> Self {
        let namespaces = ["--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup"];
        let machine = Self::with("/", &namespaces, Some("systemd"));
        let state = || machine.sh("systemctl is-system-running");
        wait_until("a booted machine", || state().is_ok());
        machine
    }

    /// A Debian in the network of this machine, which packages are downloaded from.
    pub(crate) fn online(debian: Debian) -> Self {
        let machine = Self::with(root_of(debian), &["--mount", "--pid", "--ipc", "--uts"], None);
        let names = fs::read("/etc/resolv.conf").expect("name servers");
        machine.feed("sh", &["-c", "cat >/etc/resolv.conf"], &names).ok();
        machine
    }

    fn with(root: &str, namespaces: &[&str], first: Option<&str>) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("oci-link-engines-{}-{}", process::id(), MADE.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("a directory");
        let ready = directory.join("ready");
        let namespaces = Command::new("unshare")
            .args(namespaces)
            .args(["--fork", "--kill-child"])
            .arg(format!("{RIGS}/machine.sh"))
            .args([OsStr::new(root), ready.as_os_str()])
            .args(first)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let mut machine = Self { namespaces, first: 0, directory, commands: AtomicU32::new(0) };
        wait_until("a machine", || ready.exists());
        machine.first = child_of(machine.namespaces.id());
        machine
    }

    /// Runs a shell's `script` in it, to its end.
    pub(crate) fn sh(&self, script: &str) -> Said {
        self.feed("sh", &["-c", script], b"")
    }

    /// Runs `program` in it with `input`. Its streams are files: a container that it leaves behind
    /// would hold a pipe open.
    pub(crate) fn feed(&self, program: &str, arguments: &[&str], input: &[u8]) -> Said {
        let stem = self.directory.join(self.commands.fetch_add(1, Relaxed).to_string());
        let path = |stream| stem.with_extension(stream);
        fs::write(path("in"), input).expect("input is written");
        let file = |stream| File::create(path(stream)).expect("a file");
        let mut command = self.command(program, arguments);
        command.stdin(File::open(path("in")).expect("input is there"));
        let mut child =
            command.stdout(file("out")).stderr(file("err")).spawn().expect("nsenter starts");
        let status = wait(&mut child, &command);
        let text =
            |stream| String::from_utf8_lossy(&fs::read(path(stream)).expect("a file")).into_owned();
        Said {
            command: format!("{program} {arguments:?}"),
            code: status.code(),
            stdout: text("out"),
            stderr: text("err"),
        }
    }

    /// Starts `program` in it and leaves it alone. What it says is in `log`, inside.
    pub(crate) fn daemon(&self, command: &str, log: &str) {
        self.sh(&format!("exec setsid {command} >{log} 2>&1 </dev/null &")).ok();
    }

    /// What is at `path` in there, as seen from here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first))
    }

    /// Puts a program of ours into it.
    pub(crate) fn install(&self, program: &Path, at: &str) {
        let bytes = fs::read(program).expect("the program is built");
        self.feed("sh", &["-c", &format!("cat >{at} && chmod 0755 {at}")], &bytes).ok();
    }

    /// Runs one of the rigs' scripts in it.
    pub(crate) fn script(&self, name: &str, arguments: &[&str]) -> Said {
        let text = fs::read(format!("{RIGS}/{name}")).expect("a script");
        self.feed("sh", &[&["-s"], arguments].concat(), &text)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.first.to_string();
        command.args(["--target", &target, "--net", "--mount", "--pid", "--ipc", "--uts"]);
        command.arg(program).args(arguments);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "yes");
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The first process of the namespaces dies with `unshare`, all others with it.
        let _ = self.namespaces.kill();
        let _ = self.namespaces.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Said {
    /// It succeeded; what it printed, without white space around it.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self}");
        self.stdout.trim().to_owned()
    }

    /// It did not; what it complained about.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_ne!(self.code, Some(0), "{self}");
        self.stderr
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (out, err) = (self.stdout.trim_end(), self.stderr.trim_end());
        write!(f, "{}\nexit status {:?}\n{out}\n{err}", self.command, self.code)
    }
}

/// The directory of a Debian, which is made if it is not there.
fn root_of(debian: Debian) -> &'static str {
    match debian {
        Debian::Own => "/",
        Debian::Sid => made("sid.sh", SID),
        Debian::Fresh => made("fresh.sh", FRESH),
    }
}

/// Where one of the rigs' scripts has made a Debian.
fn made(script: &str, place: &'static str) -> &'static str {
    let made = Command::new(format!("{RIGS}/{script}")).arg(place).status();
    assert!(made.is_ok_and(|status| status.success()), "{place} cannot be made");
    place
}

/// Asks again and again, for as long as an engine may take.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "no {what} after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn wait(child: &mut Child, command: &Command) -> process::ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("{command:?} hangs: killed after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The only child of `pid`.
fn child_of(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.expect("unshare runs");
    children.trim().parse().expect("unshare has one child")
}

#[test]
#[ignore = "makes namespaces: make test-engines"]
fn nothing_of_a_machine_stays() {
    let machine = Machine::start(Debian::Own);
    machine.sh("ip link add left-behind type bridge && touch /left-behind").ok();
    assert!(machine.path("/left-behind").exists());
    machine.daemon("sleep 4711", "/dev/null");
    let first = machine.first;
    assert!(Path::new("/proc").join(first.to_string()).exists());
    drop(machine);
    let gone = || !Path::new("/proc").join(first.to_string()).exists();
    wait_until("end of the machine", gone);
    assert!(!Path::new("/left-behind").exists());
    assert!(!Path::new("/sys/class/net/left-behind").exists());
}
