//! Other programs: named by absolute path, with an empty environment and nothing of ours open,
//! killed at a deadline and together with us. A runtime that loses patience kills only the hook
//! itself; a firewall tool that went on alone would make its rules after the container is gone.

#![allow(unsafe_code)] // Each block says why.

use super::own_pid;
use crate::error::{Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, clone};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::{CString, c_char, c_int};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicI32, Ordering};

/// More than the few calls between clone and exec need.
const STACK: usize = 16 << 10;
/// What a child says that could not become the program: nobody else sees it.
const NOT_STARTED: c_int = 127;

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained about: its first line, without control characters.
    pub(crate) complaint: String,
}

/// Runs `program` on `input`, for at most `patience` milliseconds. The streams are files in memory,
/// so that no child of the child can keep us waiting for the end of a pipe.
pub(crate) fn run(
    program: &str,
    args: &[&str],
    input: &str,
    patience: u16,
    kind: Kind,
) -> Result<Output> {
    let stream = || memfd_create(c"oci-link", MFdFlags::MFD_CLOEXEC).map(File::from);
    let stream = || stream().context(kind, || "memfd");
    let (mut stdin, mut stdout, mut stderr) = (stream()?, stream()?, stream()?);
    stdin.write_all(input.as_bytes()).context(kind, || "memfd")?;
    stdin.rewind().context(kind, || "memfd")?;

    let streams = [&stdin, &stdout, &stderr].map(AsRawFd::as_raw_fd);
    let child = Birth::of(program, args, streams).context(kind, || program)?.give();
    let status = child.context(kind, || program)?.end(patience).context(kind, || program)?;
    let Some(status) = status else {
        return Err(Error::new(
            kind,
            format!("{program}: killed, because it did not end within {patience} ms"),
        ));
    };
    // To iptables-restore, rules that it cannot read are the end of the rules, and nothing amiss.
    let read = stdin.stream_position().context(kind, || "memfd")?;
    if status.success() && usize::try_from(read) != Ok(input.len()) {
        return Err(Error::new(kind, format!("{program}: ended before it read all of its input")));
    }
    let text = |file: &mut File| -> Result<String> {
        let mut bytes = Vec::new();
        file.rewind().context(kind, || "memfd")?;
        file.read_to_end(&mut bytes).context(kind, || "memfd")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let complaint = text(&mut stderr)?;
    let complaint = complaint.lines().next().unwrap_or_default().escape_debug().to_string();
    Ok(Output { status, stdout: text(&mut stdout)?, complaint })
}

/// All that a child needs to become a program, made before there is a child: it must not allocate.
struct Birth {
    words: Vec<CString>,
    streams: [RawFd; 3],
    parent: i32,
    /// Why it could not, an errno.
    failure: AtomicI32,
}

impl Birth {
    fn of(program: &str, args: &[&str], streams: [RawFd; 3]) -> Result<Self> {
        let words = std::iter::once(&program).chain(args).map(|word| CString::new(*word));
        let words = words.collect::<std::result::Result<_, _>>();
        let words = words.context(Kind::Internal, || "an argument contains a NUL byte")?;
        Ok(Self { words, streams, parent: own_pid()?, failure: AtomicI32::new(0) })
    }

    /// Starts it. The child shares our memory, of which nothing is copied, and we stand still until
    /// it is the program: fork costs a container's start a tenth of a millisecond more.
    fn give(&self) -> Result<Child> {
        let mut words: Vec<*const c_char> = self.words.iter().map(|word| word.as_ptr()).collect();
        words.push(std::ptr::null());
        let mut stack = vec![0; STACK];
        let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        let become_it = Box::new(|| {
            self.failure.store(self.become_program(&words) as i32, Ordering::Relaxed);
            NOT_STARTED as isize
        });
        // SAFETY: this thread waits until the child has left this memory; until then the child runs
        // on a stack of its own, writes to nothing else but the failure, and makes system calls.
        let pid = unsafe { clone(become_it, &mut stack, flags, Some(libc::SIGCHLD)) };
        let pid = pid.context(Kind::Internal, || "clone")?;
        let errno = self.failure.load(Ordering::Relaxed);
        if errno != 0 {
            let _ = reap(pid);
            return Err(Errno::from_raw(errno)).context(Kind::Internal, || "exec");
        }
        Child::new(pid)
    }

    /// In the child: dies when the parent does, keeps only the standard streams. Says why it failed.
    fn become_program(&self, words: &[*const c_char]) -> Errno {
        let environment: [*const c_char; 1] = [std::ptr::null()];
        // SAFETY: system calls on integers and on strings that end with a NUL, in arrays that end
        // with a null pointer. Descriptors, signal actions and directory are the child's own copies.
        unsafe {
            let own = (0..).zip(self.streams).all(|(at, file)| libc::dup2(file, at) == at)
                && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
                && libc::signal(libc::SIGPIPE, libc::SIG_DFL) != libc::SIG_ERR
                && libc::chdir(c"/".as_ptr()) == 0;
            // The parent may have died before it would have been noticed.
            if own && libc::getppid() == self.parent {
                libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
                libc::execve(words[0], words.as_ptr(), environment.as_ptr());
            }
        }
        Errno::last()
    }
}

/// A program that runs, until it ended or is killed.
struct Child {
    pid: Pid,
    fd: OwnedFd,
}

impl Child {
    fn new(pid: Pid) -> Result<Self> {
        // SAFETY: the call takes two integers and returns a descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0u32) };
        let fd = Errno::result(fd).map(i32::try_from);
        match fd {
            // SAFETY: the descriptor is new and nobody else's.
            Ok(Ok(fd)) => Ok(Self { pid, fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
            _ => {
                let _ = kill(pid, Signal::SIGKILL);
                let _ = reap(pid);
                Err(Error::new(Kind::Internal, "pidfd_open"))
            }
        }
    }

    /// How it ended; none if it had to be killed after `patience` milliseconds.
    fn end(self, patience: u16) -> Result<Option<ExitStatus>> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        let in_time = loop {
            match poll(&mut fds, PollTimeout::from(patience)) {
                Err(Errno::EINTR) => {}
                result => break result != Ok(0),
            }
        };
        if !in_time {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
        let status = reap(self.pid).context(Kind::Internal, || "wait")?;
        Ok(in_time.then_some(status))
    }
}

/// Waits for the end of a child.
fn reap(child: Pid) -> nix::Result<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one integer.
        match Errno::result(unsafe { libc::waitpid(child.as_raw(), &raw mut status, 0) }) {
            Err(Errno::EINTR) => {}
            result => return result.map(|_| ExitStatus::from_raw(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_reads_all_of_its_input_succeeds() {
        let read = run("/bin/cat", &[], "rules\n", 10_000, Kind::Firewall).unwrap();
        assert_eq!((read.status.code(), read.stdout.as_str()), (Some(0), "rules\n"));
        let unread = run("/bin/true", &[], "rules\n", 10_000, Kind::Firewall).unwrap_err();
        assert_eq!(unread.to_string(), "/bin/true: ended before it read all of its input");
        let failed = run("/bin/false", &[], "rules\n", 10_000, Kind::Firewall).unwrap();
        assert_eq!(failed.status.code(), Some(1));
    }
}
