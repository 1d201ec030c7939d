//! Running a program, and what many runs have in common.

#![allow(unsafe_code)] // The block says why.

use nix::libc;
use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(25);

/// A program to run, with a file for its standard input.
pub struct Sample {
    command: Command,
    stdin: Option<File>,
}

/// One run: the time from before its start to after its end, and its peak memory, or that of the
/// largest program it ran.
pub struct Run {
    elapsed: Duration,
    kibibytes: i64,
}

/// Many runs of one program.
#[derive(Default)]
pub struct Series {
    micros: Vec<f64>,
    kibibytes: i64,
}

/// `program` with an empty environment.
pub fn command(program: &Path) -> Sample {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Sample { command, stdin: None }
}

impl Sample {
    pub fn args<A: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub fn stdin(self, path: &Path) -> Self {
        Self { stdin: Some(File::open(path).expect("input is there")), ..self }
    }

    /// Runs it to its end, which must be a good one.
    pub fn run(mut self) -> Run {
        self.command.stdin(self.stdin.map_or_else(Stdio::null, Stdio::from));
        let begun = Instant::now();
        #[allow(clippy::zombie_processes)] // wait4 waits, and tells what std does not
        let child = self.command.spawn().expect("program starts");
        let pid = libc::pid_t::try_from(child.id()).expect("a pid");
        let mut status = 0;
        // SAFETY: rusage is integers only, for which zero is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to live values of the right types; nobody else waits for pid.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        let elapsed = begun.elapsed();
        assert!(waited == pid && status == 0, "{:?}: status {status}", self.command);
        Run { elapsed, kibibytes: usage.ru_maxrss }
    }
}

impl Series {
    /// Runs it once more, after a pause in which the kernel can finish what the last one left to
    /// it: namespaces, control groups and rules end in the background.
    pub fn measure(&mut self, sample: Sample) {
        sleep(PAUSE);
        let run = sample.run();
        self.push_time(run.elapsed);
        self.kibibytes = self.kibibytes.max(run.kibibytes);
    }

    pub fn push_time(&mut self, time: Duration) {
        self.micros.push(time.as_secs_f64() * 1e6);
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    pub fn p95(&self) -> f64 {
        self.quantile(0.95)
    }

    /// The most memory any run took.
    #[allow(clippy::cast_precision_loss)] // of a number that is printed with two digits
    pub fn mebibytes(&self) -> f64 {
        self.kibibytes as f64 / 1024.0
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part).round() as usize]
    }
}
