//! A machine of a test's own: the network namespace of a `Host`, and a mount namespace in which /run and
//! /etc are private. oci-link uses its default paths there, as on a real host.

use crate::step::Step;
use crate::support::{Container, Host, Runtime, remains::PERMANENT};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The shell functions of the tables.
const FUNCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harmless/machine.sh");
/// A command that runs longer is killed and reported as a command that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Machine {
    mounts: File,
    commands: AtomicU32,
    pub(crate) runtime: Runtime,
    pub(crate) host: Host,
}

/// What a command left in files: a container keeps the standard output of its `create`, so that a pipe
/// would not end.
pub(crate) struct Ran {
    /// The exit status, or what took its place.
    pub(crate) status: String,
    stem: PathBuf,
}

impl Machine {
    pub(crate) fn new(runtime: Runtime) -> Self {
        let host = Host::open(runtime);
        let own = thread::spawn(|| {
            const NOTHING: Option<&str> = None;
            unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
            // Network namespaces that are made later still appear below /run/netns.
            let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
            mount(NOTHING, "/", NOTHING, slave, NOTHING).expect("mounts become private");
            File::open("/proc/thread-self/ns/mnt").expect("a mount namespace")
        });
        let mounts = own.join().expect("a mount namespace");
        let machine = Self { mounts, commands: AtomicU32::new(0), runtime, host };
        machine.shell("lay", &[]);
        machine
    }

    /// Runs `work` on a thread in both namespaces. Its children stay there.
    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.host.netns().enter(|| {
            unshare(CloneFlags::CLONE_FS).expect("a thread may have a directory of its own");
            setns(&self.mounts, CloneFlags::CLONE_NEWNS).expect("root may enter");
            work()
        })
    }

    /// The directory of everything that is not in /run or /etc.
    fn directory(&self) -> PathBuf {
        self.host.path("bundles").parent().expect("has one").into()
    }

    /// Runs lines of shell that may use the functions of machine.sh. Returns their standard output.
    #[track_caller]
    pub(crate) fn shell(&self, lines: &str, variables: &[(&str, &str)]) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-euc", &format!(". {FUNCTIONS}\n{lines}")]);
        shell.env("D", self.directory()).env("RUNTIME", self.runtime.program());
        shell.envs(variables.iter().copied());
        let ran = self.run(&mut shell, "", PATIENCE);
        assert_eq!(ran.status, "0", "{lines}: {}", ran.stderr());
        ran.stdout()
    }

    /// Runs `command` with `input` as its standard input.
    pub(crate) fn run(&self, command: &mut Command, input: &str, patience: Duration) -> Ran {
        let number = self.commands.fetch_add(1, Relaxed);
        let stem = self.host.path("commands").join(format!("harmless-{number}"));
        let file = |kind: &str| stem.with_extension(kind);
        fs::write(file("in"), input).expect("input is written");
        command
            .process_group(0)
            .stdin(File::open(file("in")).expect("input is there"))
            .stdout(File::create(file("out")).expect("stdout is made"))
            .stderr(File::create(file("err")).expect("stderr is made"));
        let started = self.enter(|| command.spawn());
        let mut child = started.unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
        Ran { status: wait(&mut child, patience), stem }
    }

    /// What names a container of this machine: rules, set elements, files of the state directory, files
    /// of the runtime and control groups.
    pub(crate) fn left_behind(&self, container: &Container) -> Step {
        let listed = self.shell("left", &[("CGROUP", container.netns().name())]);
        let left = listed.lines().filter(|line| !PERMANENT.contains(line)).map(String::from);
        let left: Vec<String> = left.chain(self.links()).collect();
        self.remove_control_groups(container);
        Step::new("what is left behind", "", &left.join("\n"), "")
    }

    /// A runtime leaves the control groups of a container that it could not create.
    pub(crate) fn remove_control_groups(&self, container: &Container) {
        self.shell("remove_control_groups", &[("CGROUP", container.netns().name())]);
    }

    /// The rules and set elements that name an address of a container.
    pub(crate) fn links(&self) -> Vec<String> {
        let named = |line: &String| ["10.77.0.", "fd77::"].iter().any(|part| line.contains(part));
        self.host.rules().into_iter().filter(named).chain(self.host.set_elements()).collect()
    }
}

impl Drop for Machine {
    /// Ends what a broken environment left running.
    fn drop(&mut self) {
        let mut repair = Command::new("sh");
        repair.args(["-c", &format!(". {FUNCTIONS}\nrepair")]).env("D", self.directory());
        let _ = self.run(&mut repair, "", PATIENCE);
    }
}

impl Ran {
    pub(crate) fn stdout(&self) -> String {
        self.text("out")
    }

    pub(crate) fn stderr(&self) -> String {
        self.text("err")
    }

    /// Waits until standard output has `text`, at most for five seconds.
    pub(crate) fn await_output(&self, text: &str) {
        for _ in 0..500 {
            if self.stdout().contains(text) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn text(&self, kind: &str) -> String {
        let bytes = fs::read(self.stem.with_extension(kind)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The exit status of `child`. A child that outlives `patience` is killed with its process group.
fn wait(child: &mut Child, patience: Duration) -> String {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.code().map_or_else(|| status.to_string(), |code| code.to_string());
        }
        if Instant::now() > deadline {
            let _ =
                killpg(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGKILL);
            let _ = child.wait();
            return format!("{HANGS} ({patience:?})");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// How the status of a command begins that had to be killed.
pub(crate) const HANGS: &str = "killed, as it hangs";
