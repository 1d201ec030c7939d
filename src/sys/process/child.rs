//! Runs other programs by absolute path, with an empty environment and a deadline. The state of a rootless
//! runtime is where a variable says.
//!
//! A child inherits no descriptors except its standard streams, and dies with this process. A
//! runtime kills only the hook itself at a timeout. A firewall tool that survived the hook could
//! add rules after the container is gone.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use super::{network, own_pid, rounds};
use crate::error::{Cause, Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, clone};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};

/// Stack size of a child in bytes; the few calls between clone(2) and execve(2) need less.
const STACK: usize = 16 << 10;
/// The longest message of a program that is passed on, in characters.
const MAX_COMPLAINT: usize = 1000;
/// Exit status of a child in which execve(2) failed. It never leaves this module.
const NOT_STARTED: c_int = 127;

/// The result of a program that ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error on one line, with control characters escaped.
    pub(crate) complaint: String,
}

/// Runs `program` with `input` on its standard input, for at most `patience` milliseconds.
///
/// A program that exceeds the limit is killed, which is an error, as is a program that succeeds
/// without reading all of its input. Errors are of the given `kind`. The standard streams are
/// memfds: a grandchild that keeps one open cannot delay the caller, as it could with a pipe.
pub(crate) fn run(
    program: &str,
    args: &[&str],
    input: &str,
    patience: u16,
    kind: Kind,
) -> Result<Output> {
    run_in(program, args, (&[], input), patience, kind)
}

/// Runs `program` as [`run`] does, with these variables in its environment: each is `NAME=value`.
pub(crate) fn run_in(
    program: &str,
    args: &[&str],
    (environment, input): (&[CString], &str),
    patience: u16,
    kind: Kind,
) -> Result<Output> {
    network::must_be_ours()?;
    let stream = || memfd_create(c"oci-link", MFdFlags::MFD_CLOEXEC).map(File::from);
    let stream = || stream().context(kind, || "memfd");
    let (mut stdin, mut stdout, mut stderr) = (stream()?, stream()?, stream()?);
    stdin.write_all(input.as_bytes()).context(kind, || "memfd")?;
    stdin.rewind().context(kind, || "memfd")?;

    let streams = [&stdin, &stdout, &stderr].map(AsRawFd::as_raw_fd);
    let birth = Birth::of(program, args, environment, streams).context(kind, || program)?;
    let child = birth.give();
    let status = child.context(kind, || program)?.end(patience).context(kind, || program)?;
    let Some(status) = status else {
        let message = format!("{program}: killed, because it did not end within {patience} ms");
        return Err(Error::new(kind, message).because(Cause::Timeout));
    };
    // iptables-restore treats a failed read of its input as the end of the rules and exits with 0.
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
    let complaint = on_one_line(&text(&mut stderr)?);
    Ok(Output { status, stdout: text(&mut stdout)?, complaint })
}

/// Runs `program` with the environment and the directory of this process and returns what it prints
/// on standard output. It reads and complains to /dev/null.
///
/// `None`: it cannot be started, fails, prints text that is not UTF-8, or exceeds `patience`
/// milliseconds, at which it is killed.
pub(crate) fn ask(program: &Path, arguments: &[OsString], patience: u16) -> Option<String> {
    let mut output = memfd_create(c"oci-link", MFdFlags::MFD_CLOEXEC).map(File::from).ok()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command.stdout(output.try_clone().ok()?);
    let (marked, parent) = (program.to_owned(), own_pid().ok()?);
    let prepare = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The program may be a script that calls this program.
        rounds::mark(&marked);
        // SAFETY: getppid(2) only returns a number.
        let is_child = unsafe { libc::getppid() } == parent;
        if is_child { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: `prepare` runs between fork and exec and makes system calls only.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn().ok()?;
    let child = Child::new(Pid::from_raw(i32::try_from(child.id()).ok()?)).ok()?;
    child.end(patience).ok().flatten().filter(ExitStatus::success)?;
    let mut text = String::new();
    output.rewind().ok()?;
    output.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Joins the lines of a message and cuts it after [`MAX_COMPLAINT`] characters. The first line of
/// iptables-restore is `iptables-restore v1.8.9 (nf_tables): `, and the reason follows in the next one.
fn on_one_line(text: &str) -> String {
    let mut all = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !all.is_empty() {
            all.push_str(if all.ends_with(':') { " " } else { "; " });
        }
        all.push_str(line);
    }
    all.chars().take(MAX_COMPLAINT).collect::<String>().escape_debug().to_string()
}

/// Everything that a child needs for execve(2), prepared in advance because the child must not
/// allocate.
struct Birth<'a> {
    words: Vec<CString>,
    environment: &'a [CString],
    streams: [RawFd; 3],
    parent: i32,
    /// The errno of the failure in the child, or 0.
    failure: AtomicI32,
}

impl<'a> Birth<'a> {
    fn of(
        program: &str,
        args: &[&str],
        environment: &'a [CString],
        streams: [RawFd; 3],
    ) -> Result<Self> {
        let words = std::iter::once(&program).chain(args).map(|word| CString::new(*word));
        let words = words.collect::<std::result::Result<_, _>>();
        let words = words.context(Kind::Internal, || "an argument contains a NUL byte")?;
        Ok(Self { words, environment, streams, parent: own_pid()?, failure: AtomicI32::new(0) })
    }

    /// Starts the program with `CLONE_VM | CLONE_VFORK`.
    ///
    /// The child shares the memory of this process, and this thread is suspended until execve(2). A
    /// fork(2) would add about 0.1 ms to each start of a container.
    fn give(&self) -> Result<Child> {
        let list = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (words, environment) = (list(&self.words), list(self.environment));
        let mut stack = vec![0; STACK];
        let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        let become_it = Box::new(|| {
            self.failure.store(self.become_program(&words, &environment) as i32, Ordering::Relaxed);
            NOT_STARTED as isize
        });
        // SAFETY: `CLONE_VFORK` suspends this thread until the child executes the program or exits.
        // Until then the child runs on its own stack, makes system calls and writes only to
        // `failure`.
        let pid = unsafe { clone(become_it, &mut stack, flags, Some(libc::SIGCHLD)) };
        let pid = pid.context(Kind::Internal, || "clone")?;
        let errno = self.failure.load(Ordering::Relaxed);
        if errno != 0 {
            let _ = reap(pid);
            return Err(Errno::from_raw(errno)).context(Kind::Internal, || "exec");
        }
        Child::new(pid)
    }

    /// Turns the child into the program, and returns the errno if that fails.
    ///
    /// The program gets SIGKILL when its parent dies. Only the standard streams stay open.
    fn become_program(&self, words: &[*const c_char], environment: &[*const c_char]) -> Errno {
        // SAFETY: the system calls take integers and NUL-terminated strings in arrays that end with
        // a null pointer. Descriptors, signal actions and the working directory are separate from
        // the parent's, because `CLONE_FILES`, `CLONE_SIGHAND` and `CLONE_FS` are not set.
        unsafe {
            let own = (0..).zip(self.streams).all(|(at, file)| libc::dup2(file, at) == at)
                && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
                && libc::signal(libc::SIGPIPE, libc::SIG_DFL) != libc::SIG_ERR
                && libc::chdir(c"/".as_ptr()) == 0;
            // A parent that died before `PR_SET_PDEATHSIG` was set causes no signal.
            if own && libc::getppid() == self.parent {
                // The runtime may be a script that calls the wrapper.
                let program = CStr::from_ptr(words[0]).to_bytes();
                rounds::mark(Path::new(OsStr::from_bytes(program)));
                libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
                libc::execve(words[0], words.as_ptr(), environment.as_ptr());
            }
        }
        Errno::last()
    }
}

/// A running child process.
struct Child {
    pid: Pid,
    fd: OwnedFd,
}

impl Child {
    fn new(pid: Pid) -> Result<Self> {
        // SAFETY: pidfd_open(2) takes two integers and returns a descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0u32) };
        let fd = Errno::result(fd).map(i32::try_from);
        match fd {
            // SAFETY: the descriptor is new and has no other owner.
            Ok(Ok(fd)) => Ok(Self { pid, fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
            _ => {
                let _ = kill(pid, Signal::SIGKILL);
                let _ = reap(pid);
                Err(Error::new(Kind::Internal, "pidfd_open"))
            }
        }
    }

    /// Waits for the child and returns its exit status.
    ///
    /// A child that does not end within `patience` milliseconds is killed, and the result is
    /// `None`.
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

/// Waits until the child has ended and returns its exit status.
pub(super) fn reap(child: Pid) -> nix::Result<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes one integer to `status`.
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
    fn a_child_that_leaves_input_unread_fails() {
        let read = run("/bin/cat", &[], "rules\n", 10_000, Kind::Firewall).unwrap();
        assert_eq!((read.status.code(), read.stdout.as_str()), (Some(0), "rules\n"));
        let unread = run("/bin/true", &[], "rules\n", 10_000, Kind::Firewall).unwrap_err();
        assert_eq!(unread.to_string(), "/bin/true: ended before it read all of its input");
        let failed = run("/bin/false", &[], "rules\n", 10_000, Kind::Firewall).unwrap();
        assert_eq!(failed.complaint, "");
        assert_eq!(failed.status.code(), Some(1));
    }

    #[test]
    fn all_lines_of_a_message_are_one() {
        let script = "printf 'restore v1 (nf_tables): \n\nline 2: no\\a\nline 3\n' >&2";
        let failed = run("/bin/sh", &["-c", script], "", 10_000, Kind::Firewall).unwrap();
        assert_eq!(failed.complaint, "restore v1 (nf_tables): line 2: no\\u{7}; line 3");
        assert_eq!(on_one_line(&"x".repeat(2 * MAX_COMPLAINT)).len(), MAX_COMPLAINT);
    }
}
