//! Running a program, and what many runs have in common.

#![allow(unsafe_code)] // The block says why.

use crate::namespace::Namespace;
use nix::libc;
use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Before each run, in which the kernel can finish what the last one left to it: namespaces, control
/// groups and rules end in the background.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);

/// A program to run, with a file for its standard input.
pub(crate) struct Sample {
    command: Command,
    stdin: Option<File>,
    host: Option<Namespace>,
}

/// One run: the time from before its start to after its end, and its peak memory, or that of the
/// largest program it ran.
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    pub(crate) mebibytes: f64,
    /// Processor time, with that of programs it ran.
    pub(crate) cpu: Duration,
}

/// What many runs of one program took.
#[derive(Default)]
pub(crate) struct Series {
    values: Vec<f64>,
}

/// `program` with an empty environment.
pub(crate) fn command(program: &Path) -> Sample {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Sample { command, stdin: None, host: None }
}

impl Sample {
    pub(crate) fn args<A: AsRef<std::ffi::OsStr>>(
        mut self,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn stdin(self, path: &Path) -> Self {
        Self { stdin: Some(File::open(path).expect("input is there")), ..self }
    }

    /// Runs it on `host`, not on whichever the calling thread is.
    pub(crate) fn within(self, host: &Namespace) -> Self {
        Self { host: Some(host.clone()), ..self }
    }

    /// Ready to be started by the calling thread, which stays on the host.
    pub(crate) fn into_command(mut self) -> Command {
        if let Some(host) = &self.host {
            host.join();
        }
        self.command.stdin(self.stdin.map_or_else(Stdio::null, Stdio::from));
        self.command
    }

    /// Runs it to its end, which must be a good one. The calling thread stays on the host.
    pub(crate) fn run(self) -> Run {
        let mut command = self.into_command();
        let begun = Instant::now();
        #[allow(clippy::zombie_processes)] // wait4 waits, and tells what std does not
        let child = command.spawn().expect("program starts");
        let pid = libc::pid_t::try_from(child.id()).expect("a pid");
        let mut status = 0;
        // SAFETY: rusage is integers only, for which zero is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to live values of the right types; no other code waits for pid.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        let elapsed = begun.elapsed();
        assert!(waited == pid && status == 0, "{command:?}: status {status}");
        #[allow(clippy::cast_precision_loss)] // of a number that is printed with two digits
        let mebibytes = usage.ru_maxrss as f64 / 1024.0;
        Run { elapsed, mebibytes, cpu: duration(usage.ru_utime) + duration(usage.ru_stime) }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let whole = u64::try_from(time.tv_sec).expect("time goes on");
    let part = u64::try_from(time.tv_usec).expect("time goes on");
    Duration::from_secs(whole) + Duration::from_micros(part)
}

impl Series {
    /// Runs it once more, after a pause.
    pub(crate) fn measure(&mut self, sample: Sample) {
        sleep(PAUSE);
        self.push_time(sample.run().elapsed);
    }

    pub(crate) fn push_time(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e6);
    }

    /// Times are in microseconds; anything else is what its caller says.
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// How many times `other` it is, by the median of what they are to each other in each round of a
    /// measurement in turns: what else the machine does in a round slows both.
    pub(crate) fn compared_to(&self, other: &Self) -> f64 {
        let pairs = self.values.iter().zip(&other.values);
        let values = pairs.map(|(ours, theirs)| ours / theirs).collect();
        Self { values }.median()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    pub(crate) fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    pub(crate) fn p95(&self) -> f64 {
        self.quantile(0.95)
    }

    pub(crate) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part).round() as usize]
    }
}
