//! A program and its children under ptrace(2), system call by system call.
//!
//! strace could do most of it, but counts calls for each process apart: what is to happen to a
//! child happens to its parent too.

#![allow(unsafe_code)] // Each block says why.

use nix::{
    errno::Errno,
    libc,
    sys::{
        ptrace::{self, Event, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    collections::HashMap, os::unix::process::CommandExt, process::Command, sync::mpsc, thread,
    time::Duration,
};

/// Longer than any hook takes, traced.
const PATIENCE: Duration = Duration::from_secs(60);

/// One system call of one process, before the kernel has begun it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// 0 is the program, 1 its first child, and so on.
    pub process: usize,
    /// From 0.
    pub call: usize,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Kills the process that makes the call.
    KillCaller,
    /// Kills the program, also if a child makes the call. A runtime does this at its timeout.
    KillProgram,
    /// The call is not made, and fails.
    #[cfg(target_arch = "x86_64")]
    Fail {
        /// Its number. Retries make counts differ by one or two: the first call of that number from
        /// the point on is the one that is meant.
        number: u64,
        /// What it says.
        errno: Errno,
    },
    /// The call is made, but for one byte: a short write.
    #[cfg(target_arch = "x86_64")]
    Short {
        /// Its number, as above.
        number: u64,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Traced {
    /// How the program ended.
    pub status: WaitStatus,
    /// The numbers of the calls of each process.
    pub calls: Vec<Vec<u64>>,
}

struct Process {
    index: usize,
    began: bool,
    #[cfg(target_arch = "x86_64")]
    error: Option<Errno>,
}

struct Tracer {
    program: Pid,
    status: Option<WaitStatus>,
    processes: HashMap<Pid, Process>,
    calls: Vec<Vec<u64>>,
    blow: Option<(Point, Blow)>,
}

/// Runs `command`, in the namespaces of this thread, to the end of the last of its processes.
pub(crate) fn trace(command: &mut Command, blow: Option<(Point, Blow)>) -> Traced {
    // SAFETY: runs between fork and exec, and only makes a system call.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    #[allow(clippy::zombie_processes)] // Waited for by the one who traces it.
    let child = command.spawn().expect("the program starts");
    let program = Pid::from_raw(child.id().try_into().expect("a pid"));
    let (done, watch) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if watch.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill(program, Signal::SIGKILL);
            }
        });
        let mut tracer =
            Tracer { program, status: None, processes: HashMap::new(), calls: Vec::new(), blow };
        tracer.follow();
        drop(done);
        Traced { status: tracer.status.expect("it ended"), calls: tracer.calls }
    })
}

impl Tracer {
    fn follow(&mut self) {
        let began = waitpid(self.program, None).expect("our child");
        assert!(matches!(began, WaitStatus::Stopped(_, Signal::SIGTRAP)), "{began:?}");
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.program, options).expect("ptrace options");
        self.meet(self.program).began = true;
        go_on(self.program, None);
        // Not the children of other threads: they have tracers of their own.
        while let Some(status) = next(None) {
            self.handle(status);
        }
    }

    fn meet(&mut self, pid: Pid) -> &mut Process {
        let calls = &mut self.calls;
        self.processes.entry(pid).or_insert_with(|| {
            calls.push(Vec::new());
            Process {
                index: calls.len() - 1,
                began: false,
                #[cfg(target_arch = "x86_64")]
                error: None,
            }
        })
    }

    fn handle(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::PtraceSyscall(pid) => self.at_call(pid),
            WaitStatus::PtraceEvent(pid, _, event) => {
                let births = [
                    Event::PTRACE_EVENT_FORK,
                    Event::PTRACE_EVENT_VFORK,
                    Event::PTRACE_EVENT_CLONE,
                ];
                if births.iter().any(|birth| *birth as i32 == event) {
                    if let Ok(born) = ptrace::getevent(pid) {
                        self.meet(Pid::from_raw(born.try_into().expect("a pid")));
                    }
                }
                go_on(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => {
                let process = self.meet(pid);
                // The first stop of a child is how it is handed over to us.
                let signal = (process.began || signal != Signal::SIGSTOP).then_some(signal);
                process.began = true;
                go_on(pid, signal);
            }
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => {
                if pid == self.program {
                    self.status = Some(status);
                }
                self.processes.remove(&pid);
            }
            _ => {}
        }
    }

    fn at_call(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else { return go_on(pid, None) };
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            #[cfg(target_arch = "x86_64")]
            if let Some(errno) = self.meet(pid).error.take() {
                answer(pid, errno);
            }
            return go_on(pid, None);
        }
        // SAFETY: at the entry of a call this is what the kernel has filled in.
        let number = unsafe { info.u.entry.nr };
        let process = self.meet(pid).index;
        let call = self.calls[process].len();
        self.calls[process].push(number);
        match self.blow {
            Some((point, blow)) if is_it(point, blow, Point { process, call }, number) => {
                self.blow = None;
                self.strike(pid, blow);
            }
            _ => go_on(pid, None),
        }
    }

    fn strike(&mut self, pid: Pid, blow: Blow) {
        match blow {
            Blow::KillCaller => kill(pid, Signal::SIGKILL).expect("it lives"),
            Blow::KillProgram => {
                kill(self.program, Signal::SIGKILL).expect("it lives");
                // Dead before its child makes another step: that is what is tried.
                while self.status.is_none() {
                    let Some(status) = next(Some(self.program)) else { break };
                    if matches!(status, WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {
                        self.handle(status);
                    }
                }
                go_on(pid, None);
            }
            #[cfg(target_arch = "x86_64")]
            Blow::Fail { number, errno } => {
                // Whatever close(2) says of it, the descriptor is gone.
                if number != register(libc::SYS_close) {
                    skip(pid);
                }
                self.meet(pid).error = Some(errno);
                go_on(pid, None);
            }
            #[cfg(target_arch = "x86_64")]
            Blow::Short { .. } => {
                shorten(pid);
                go_on(pid, None);
            }
        }
    }
}

/// Whether the blow for `point` is to fall on this call.
fn is_it(point: Point, blow: Blow, here: Point, nr: u64) -> bool {
    match blow {
        #[cfg(target_arch = "x86_64")]
        Blow::Fail { number, .. } | Blow::Short { number } => {
            point.process == here.process && here.call >= point.call && nr == number
        }
        _ => point == here,
    }
}

fn next(whose: Option<Pid>) -> Option<WaitStatus> {
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        match waitpid(whose, Some(flags)) {
            Ok(status) => return Some(status),
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return None,
            Err(errno) => panic!("waitpid: {errno}"),
        }
    }
}

/// It may have been killed meanwhile.
fn go_on(pid: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(pid, signal);
}

/// The content of a register that holds `value`, for example the number of a system call.
#[cfg(target_arch = "x86_64")]
pub(crate) fn register(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

/// The call at whose entry the process stands is not made.
#[cfg(target_arch = "x86_64")]
fn skip(pid: Pid) {
    let mut registers = ptrace::getregs(pid).expect("it is stopped");
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers).expect("it is stopped");
}

/// The call at whose entry the process stands is about no more than a byte.
#[cfg(target_arch = "x86_64")]
fn shorten(pid: Pid) {
    let mut registers = ptrace::getregs(pid).expect("it is stopped");
    registers.rdx = registers.rdx.min(1);
    ptrace::setregs(pid, registers).expect("it is stopped");
}

/// What a call that was not made says.
#[cfg(target_arch = "x86_64")]
fn answer(pid: Pid, errno: Errno) {
    let mut registers = ptrace::getregs(pid).expect("it is stopped");
    registers.rax = register(-i64::from(errno as i32));
    ptrace::setregs(pid, registers).expect("it is stopped");
}
