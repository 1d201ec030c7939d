//! Leads a program from one instruction to the next.

#![allow(unsafe_code)] // Each block says why.

use crate::sample::Sample;
use nix::{
    libc::{self, c_int, c_uint, pid_t},
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};
use std::{io, os::unix::process::CommandExt, process::Child, ptr::null_mut, thread};

/// Leads the program up to its end, which must be a good one; calls `step` before each instruction.
pub fn walk(sample: Sample, mut step: impl FnMut(Pid) + Send) {
    // Only the thread that started a program may lead it.
    let lead = move || {
        go_first();
        let mut command = sample.into_command();
        // SAFETY: the one call that it makes is safe between fork and exec.
        unsafe { command.pre_exec(|| trace(libc::PTRACE_TRACEME, 0, 0)) };
        #[allow(clippy::zombie_processes)] // waitpid waits, and tells of stops too
        let child = command.spawn().expect("program starts");
        // Its exec stopped it before its first instruction.
        let mut status = wait(&child);
        while libc::WIFSTOPPED(status) {
            let signal = libc::WSTOPSIG(status);
            // A trap is the end of a step; any other signal is the program's own.
            let signal = if signal == libc::SIGTRAP { 0 } else { signal };
            step(Pid::from_raw(pid(&child)));
            trace(libc::PTRACE_SINGLESTEP, pid(&child), signal).expect("program can be led");
            status = wait(&child);
        }
        assert_eq!(status, 0, "{command:?}");
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

fn trace(request: c_uint, pid: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: neither of the two requests reads or writes memory.
    let done = unsafe { libc::ptrace(request, pid, null_mut::<u8>(), libc::c_long::from(signal)) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn wait(child: &Child) -> c_int {
    let mut status = 0;
    // SAFETY: the pointer is to a live value of the right type; nobody else waits for it.
    let waited = unsafe { libc::waitpid(pid(child), &raw mut status, libc::__WALL) };
    assert_eq!(waited, pid(child), "our child");
    status
}

fn pid(child: &Child) -> pid_t {
    pid_t::try_from(child.id()).expect("a pid")
}
