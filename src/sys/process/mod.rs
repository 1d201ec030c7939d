//! This process, made the same whoever starts it, and the identity of others.

#![allow(unsafe_code)] // Each block says why.

pub(crate) mod alarm;
pub(crate) mod child;
pub mod entry;
pub(crate) mod exec;
pub(crate) mod lock;
pub(crate) mod stdin;
use crate::error::{Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::IntoRawFd;

/// Undoes what a parent may have left: closed standard streams, blocked and ignored signals (waiting
/// for a child fails while SIGCHLD is ignored), an odd umask, and open file descriptors, which would
/// use up ours.
pub(crate) fn normalise() -> Result<()> {
    fill_standard_streams()?;
    // SAFETY: ignoring needs no handler. Who no longer reads what we print ends nothing.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }
        .context(Kind::Internal, || "cannot ignore SIGPIPE")?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .context(Kind::Internal, || "cannot unblock signals")?;
    // SAFETY: the default action is no handler of ours that could run at a bad moment.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }
        .context(Kind::Internal, || "cannot reset SIGCHLD")?;
    umask(Mode::from_bits_truncate(0o077));
    // SAFETY: called first thing in main, when nothing of ours has been opened. Kernels before 5.9
    // lack the call; then the descriptors stay, as they would without us.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    Ok(())
}

/// What is opened next must not become a standard stream, or complaints are written into it.
pub(crate) fn fill_standard_streams() -> Result<()> {
    for stream in 0..3 {
        // SAFETY: a question about an integer.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } == -1 {
            let null = OpenOptions::new().read(true).write(true).open("/dev/null");
            // It got the lowest number that is free, and keeps it.
            let _ = null.context(Kind::Internal, || "/dev/null")?.into_raw_fd();
        }
    }
    Ok(())
}

/// Empties the environment but for a `PATH` of system directories, for libraries that look there
/// for the programs they run.
pub(crate) fn scrub_environment() {
    // SAFETY: this program has one thread. `remove_var` panics at a name that begins with `=`, which
    // whoever calls us may have put there.
    unsafe { libc::clearenv() };
    // SAFETY: as above.
    unsafe { std::env::set_var("PATH", "/usr/sbin:/sbin:/usr/bin:/bin") };
}

/// The kernel's boot id, a UUID, as a number.
pub fn boot_id() -> Result<u128> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = read_line(path).context(Kind::Internal, || path)?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).context(Kind::Internal, || path)
}

/// When the process `pid` started, in clock ticks since boot; none when it is gone, or is a zombie
/// or about to become one. Not to know is an error: who only seems to be gone loses his links.
pub(crate) fn start_time(pid: i32) -> Result<Option<u64>> {
    let path = format!("/proc/{pid}/stat");
    for _ in 0..2 {
        match read_line(&path) {
            Ok(stat) => {
                return match state_and_start(&stat) {
                    Some((state, _)) if ["Z", "X", "x"].contains(&state) => Ok(None),
                    Some((_, started)) => Ok(Some(started)),
                    None => Err(Error::new(
                        Kind::Namespace,
                        format!("{path}: has an unexpected content"),
                    )),
                };
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context(Kind::Namespace, || path);
            }
            Err(_) if !is_there(pid) => return Ok(None),
            // Another process has just been given the number; or a /proc that hides processes
            // (`hidepid`) says of this one what it says of none.
            Err(_) => {}
        }
    }
    Err(Error::new(Kind::Namespace, format!("{path}: hidden from this process")))
}

/// Whether there is a process of this number, seen or not. Numbers below 1 mean groups of them.
fn is_there(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// The state of a process and when it started, of a line of /proc/PID/stat.
pub(crate) fn state_and_start(stat: &str) -> Option<(&str, u64)> {
    // The command's name stands in parentheses and may hold anything, parentheses too.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    // proc(5): starttime is field 22, the state field 3.
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A file of procfs that is one line of a few hundred bytes, nearly always read at once.
fn read_line(path: &str) -> std::io::Result<String> {
    let mut buffer = [0; 1024];
    let (mut file, mut filled) = (fs::File::open(path)?, 0);
    while !buffer[..filled].ends_with(b"\n") {
        match file.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => break,
            read => filled += read?,
        }
    }
    Ok(String::from_utf8_lossy(&buffer[..filled]).into_owned())
}

/// Whether this process was started inside the container of `pid`: in its mount namespace, which
/// is not the host's.
pub(crate) fn is_inside(pid: i32) -> Result<bool> {
    let of = |process: &str| {
        let path = format!("/proc/{process}/ns/mnt");
        fs::read_link(&path).context(Kind::Namespace, || path)
    };
    let ours = of("self")?;
    Ok(ours == of(&pid.to_string())? && of("1").is_ok_and(|first| first != ours))
}

/// Lets this process have as many files open as root allows it: a descriptor for each container.
pub(crate) fn raise_open_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context(Kind::Internal, || "open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context(Kind::Internal, || "open files")
}

/// The pid of this process.
pub(crate) fn own_pid() -> Result<i32> {
    i32::try_from(std::process::id()).map_err(|_| Error::new(Kind::Internal, "own pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_processes_are_of_nobody_that_runs() {
        assert!(start_time(own_pid().unwrap()).unwrap().is_some());
        for pid in [0, -1, i32::MIN, i32::MAX] {
            assert_eq!(start_time(pid).unwrap(), None, "{pid}");
        }
    }
}
