//! Running a program and telling, when it went wrong, everything about it.

use nix::{
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid},
    unistd::{Pid, SysconfVar, sysconf},
};
use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything here takes, short enough to see what hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a command. Nothing is judged until `ok` or `refused` is asked for.
#[must_use = "ask for ok() or refused(…)"]
pub(crate) struct Outcome {
    command: String,
    status: ExitStatus,
    stdout: String,
    stderr: String,
    /// Without the time in which it, or we, waited for a processor: other tests keep the machine
    /// busy.
    elapsed: Duration,
    /// Of a processor.
    busy: Duration,
    log: PathBuf,
}

/// A command's standard streams as files: a pipe would be held open by the container that
/// `create` leaves behind, and reading it would wait for that container's end.
pub(crate) struct Streams {
    stem: PathBuf,
}

impl Streams {
    pub(crate) fn new(stem: PathBuf, input: &[u8]) -> Self {
        let streams = Self { stem };
        fs::write(streams.path("in"), input).expect("input is written");
        streams
    }

    /// Starts `command`, runs it to its end and collects what it said. `start` is where it is to
    /// be started: a child belongs to the namespaces of the thread that makes it.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        log: &Path,
        start: impl FnOnce(&mut Command) -> std::io::Result<Child>,
    ) -> Outcome {
        let (begun, queued) = (Instant::now(), our_queue());
        command
            .stdin(File::open(self.path("in")).expect("input is there"))
            .stdout(File::create(self.path("out")).expect("stdout is made"))
            .stderr(File::create(self.path("err")).expect("stderr is made"));
        let mut child =
            start(command).unwrap_or_else(|cause| panic!("{command:?} does not start: {cause}"));
        let used = measure(&mut child, command);
        let queued = used.queued + our_queue().saturating_sub(queued);
        Outcome {
            command: format!("{command:?}"),
            status: used.status,
            stdout: text(&self.path("out")),
            stderr: text(&self.path("err")),
            elapsed: begun.elapsed().saturating_sub(queued),
            busy: used.busy,
            log: log.into(),
        }
    }

    fn path(&self, stream: &str) -> PathBuf {
        self.stem.with_extension(stream)
    }
}

impl Outcome {
    /// It succeeded; what it printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.status.success(), "expected success of {}", self.report());
        self.stdout
    }

    /// Whether it did, where both may be.
    pub(crate) fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// Whether it failed and complained about `what`.
    pub(crate) fn complains(&self, what: &str) -> bool {
        !self.status.success() && self.stderr.contains(what)
    }

    /// It ended with exit status `code`; what it complained about.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "another exit status of {}", self.report());
        self.stderr
    }

    /// It ended with exit status `code`; all that it said, on stdout and stderr.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "another exit status of {}", self.report());
        self.stdout + &self.stderr
    }

    /// It ended with exit status `code`; what it printed on stdout.
    #[track_caller]
    pub(crate) fn printed(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "another exit status of {}", self.report());
        self.stdout
    }

    /// All that it said, whatever came of it.
    pub(crate) fn said(self) -> String {
        self.stdout + &self.stderr
    }

    /// It took no longer than `limit`, whatever came of it.
    #[track_caller]
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.elapsed <= limit, "more than {limit:?} for {}", self.report());
        self
    }

    /// It computed no longer than `limit`, with those it ran.
    #[track_caller]
    pub(crate) fn busy_within(self, limit: Duration) -> Self {
        assert!(self.busy <= limit, "busy for {:?}: {}", self.busy, self.report());
        self
    }

    /// How long it took.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How long it computed, with those it ran.
    pub(crate) fn busy(&self) -> Duration {
        self.busy
    }

    fn report(&self) -> String {
        let mut report = format!("{}\n{} after {:?}\n", self.command, self.status, self.elapsed);
        let parts = [
            ("stdout", self.stdout.as_str()),
            ("stderr", self.stderr.as_str()),
            ("oci-link's log", &text(&self.log)),
        ];
        for (title, content) in parts {
            let _ = writeln!(report, "--- {title}\n{}", content.trim_end());
        }
        report
    }
}

/// Waits for its end, not for ever.
pub(crate) fn wait(child: &mut Child, command: &Command) -> ExitStatus {
    measure(child, command).status
}

/// How a process ended, and what it used.
struct Used {
    status: ExitStatus,
    /// Time of a processor, with its children's.
    busy: Duration,
    /// Time in which it was ready to run and had no processor.
    queued: Duration,
}

/// Waits for its end, not for ever, and measures it.
fn measure(child: &mut Child, command: &Command) -> Used {
    let deadline = Instant::now() + PATIENCE;
    let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
    // What it used is in /proc until somebody takes note of its end.
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid), look).expect("our child") == WaitStatus::StillAlive {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("{command:?} hangs: killed after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
    let (busy, queued) = (processor_time(pid), queue_time(&pid.to_string()));
    Used { status: child.wait().expect("our child"), busy, queued }
}

/// How long this thread waited for a processor until now.
fn our_queue() -> Duration {
    queue_time("thread-self")
}

/// The same of a process with one thread: the second number of /proc/PID/schedstat, in
/// nanoseconds.
fn queue_time(process: &str) -> Duration {
    let schedstat = fs::read_to_string(format!("/proc/{process}/schedstat")).expect("it is there");
    let queued = schedstat.split_whitespace().nth(1).expect("three numbers");
    Duration::from_nanos(queued.parse().expect("a number"))
}

/// Its own and that of its children, as proc(5) counts them in /proc/PID/stat.
fn processor_time(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is a zombie");
    let (_, fields) = stat.rsplit_once(')').expect("its name");
    let times = fields.split_whitespace().skip(11).take(4);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().expect("a number");
    Duration::from_millis(ticks * 1000 / u64::try_from(second).expect("a frequency"))
}

/// A file that is not there says nothing.
fn text(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}
