//! A runtime that stays in front of its container, as `run` does without `--detach`.

use crate::support::{Container, Host, patiently, wait};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Its streams are files, its stdin is what the test makes of it.
pub(super) struct Foreground {
    command: Command,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

/// How it ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) out: Vec<u8>,
    pub(super) err: Vec<u8>,
}

/// `runtime run`, to be started.
pub(super) fn run(host: &Host, container: &Container, id: &str) -> Command {
    let mut command = host.runtime(&["run", "--bundle"]);
    command.arg(container.bundle()).arg(id);
    command
}

impl Foreground {
    pub(super) fn start(host: &Host, mut command: Command, stdin: Stdio) -> Self {
        let [out, err] = ["front.out", "front.err"].map(|name| host.path(name));
        let file = |path| File::create(path).expect("a file");
        command.stdin(stdin).stdout(file(&out)).stderr(file(&err));
        let child = host.spawn(&mut command).expect("the runtime starts");
        Self { command, child, out, err }
    }

    /// Waits until the container has said `word`.
    #[track_caller]
    pub(super) fn says(&self, word: &str) {
        let said = || {
            let text = fs::read_to_string(&self.out)?;
            text.contains(word).then_some(()).ok_or(ErrorKind::WouldBlock.into())
        };
        let err = || fs::read_to_string(&self.err);
        patiently(ErrorKind::WouldBlock, said)
            .unwrap_or_else(|_| panic!("{:?} never says {word}: {:?}", self.command, err()));
    }

    /// Waits until the container runs and the runtime knows it: crun starts it, then writes it down,
    /// then looks out for signals.
    #[track_caller]
    pub(super) fn is_ready(&self, host: &Host, id: &str) {
        self.says("ready\n");
        let noted = || {
            let has = |file| host.path("root").join(id).join(file).exists();
            let known = has("state.json") || has("status");
            // What it starts runc's containers by; until it is gone, they are not running to it.
            let begun = !has("exec.fifo");
            (known && begun && self.minds(Signal::SIGHUP))
                .then_some(())
                .ok_or(ErrorKind::WouldBlock.into())
        };
        patiently(ErrorKind::WouldBlock, noted).expect("the runtime knows its container");
    }

    /// Whether the runtime catches, blocks or waits for `signal`, to pass it on.
    fn minds(&self, signal: Signal) -> bool {
        // youki waits for all, and the kernel shows none as blocked meanwhile.
        let call = fs::read_to_string(format!("/proc/{}/syscall", self.child.id()));
        let waiting = format!("{} ", libc::SYS_rt_sigtimedwait);
        if call.is_ok_and(|call| call.starts_with(&waiting)) {
            return true;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        ["SigBlk:\t", "SigCgt:\t"].iter().any(|field| {
            let set = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
            let set = u64::from_str_radix(set, 16).expect("a set of signals");
            set & (1 << (signal as i32 - 1)) != 0
        })
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().expect("a pid")), signal).expect("it runs");
    }

    /// The name of the program that the process which the test started has become.
    pub(super) fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.child.id())).expect("it runs")
    }

    /// Closes its stdin, if that is ours, and waits for its end.
    pub(super) fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        let status = wait(&mut self.child, &self.command);
        let read = |path| fs::read(path).expect("a file");
        Ended { status, out: read(&self.out), err: read(&self.err) }
    }
}
