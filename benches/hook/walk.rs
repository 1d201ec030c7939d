//! Leads a program from one instruction to the next.

#![allow(unsafe_code)] // Each block says why.

use crate::sample::Sample;
use nix::{
    libc,
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    sys::{ptrace, signal::Signal, wait::WaitPidFlag, wait::WaitStatus, wait::waitpid},
    unistd::Pid,
};
use std::{os::unix::process::CommandExt, thread};

/// Leads the program up to its end, which must be a good one; calls `step` before each instruction.
pub(crate) fn walk(sample: Sample, mut step: impl FnMut(Pid) + Send) {
    // Only the thread that started a program may lead it.
    let lead = move || {
        go_first();
        let mut command = sample.into_command();
        // SAFETY: the one call that it makes is safe between fork and exec.
        unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
        #[allow(clippy::zombie_processes)] // waitpid waits, and tells of stops too
        let child = command.spawn().expect("program starts");
        let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
        // Its exec stopped it before its first instruction.
        loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL)).expect("our child") {
                WaitStatus::Stopped(_, signal) => {
                    step(pid);
                    // A trap is the end of a step; any other signal is the program's own.
                    let signal = (signal != Signal::SIGTRAP).then_some(signal);
                    ptrace::step(pid, signal).expect("program can be led");
                }
                WaitStatus::Exited(_, 0) => break,
                other => panic!("{command:?} came to {other:?}"),
            }
        }
    };
    thread::scope(|scope| scope.spawn(lead).join().expect("program ends well"));
}

/// Two processes take turns a million times. On one processor that is a change of process, on two
/// a wake-up from afar; and on a busy machine each turn would wait for others, if it may not go
/// first. What is not allowed costs time only.
fn go_first() {
    let mut one = CpuSet::new();
    let here = sched_getcpu().and_then(|cpu| one.set(cpu));
    let _ = here.and_then(|()| sched_setaffinity(Pid::from_raw(0), &one));
    let least = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to a live value of the right type; 0 is the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const least) };
}
