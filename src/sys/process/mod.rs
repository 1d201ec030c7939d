//! The attributes of this process, and the identity of other processes.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

pub(crate) mod alarm;
pub(crate) mod apart;
pub(crate) mod child;
pub mod entry;
pub(crate) mod exec;
pub(crate) mod inherited;
pub(crate) mod lock;
pub(crate) mod network;
pub(crate) mod path_search;
pub(crate) mod rounds;
pub(crate) mod stdin;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Inode, ProcessPlace};
use crate::sys::file::{open_to_read, read_text};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// Size limit of the list of a process's control groups.
const MAX_GROUPS: u64 = 64 << 10;

/// Resets the process attributes that were inherited from the parent.
///
/// Standard streams that are closed are opened on /dev/null. Signals are unblocked, the umask is
/// set to 077 and all other descriptors are closed. SIGPIPE is ignored. SIGCHLD gets its default
/// action, because waiting for a child fails while SIGCHLD is ignored.
pub(crate) fn normalise() -> Result<()> {
    fill_standard_streams()?;
    // SAFETY: ignoring a signal installs no handler. SIGPIPE is ignored so that a closed output
    // pipe does not end this process.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }
        .context(Kind::Internal, || "cannot ignore SIGPIPE")?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .context(Kind::Internal, || "cannot unblock signals")?;
    // SAFETY: the default action installs no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }
        .context(Kind::Internal, || "cannot reset SIGCHLD")?;
    umask(Mode::from_bits_truncate(0o077));
    // SAFETY: this runs at the start of main, before this program has opened a descriptor. Linux
    // before 5.9 lacks close_range(2); the inherited descriptors then stay open.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    Ok(())
}

/// Opens /dev/null for each standard stream that is closed.
///
/// Otherwise the next file opened would get that number, and messages would be written into it.
pub(crate) fn fill_standard_streams() -> Result<()> {
    for stream in 0..3 {
        // SAFETY: `F_GETFD` only reads a flag and accepts any number.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } == -1 {
            let null = OpenOptions::new().read(true).write(true).open("/dev/null");
            // The kernel assigns the lowest free number. `into_raw_fd` keeps the descriptor open.
            let _ = null.context(Kind::Internal, || "/dev/null")?.into_raw_fd();
        }
    }
    Ok(())
}

/// Clears the environment except for a `PATH` of system directories.
///
/// This is for libraries that search `PATH` for the programs they run.
pub(crate) fn scrub_environment() {
    // SAFETY: this program has one thread. `clearenv` is used because `remove_var` panics on a name
    // that begins with `=`, which the caller's environment may contain.
    unsafe { libc::clearenv() };
    // SAFETY: this program has one thread.
    unsafe { std::env::set_var("PATH", "/usr/sbin:/sbin:/usr/bin:/bin") };
}

/// Returns the kernel's boot id, a UUID, as a number.
pub fn boot_id() -> Result<u128> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = read_line(path).context(Kind::Internal, || path)?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).context(Kind::Internal, || path)
}

/// Whether the process `pid` is in the control group of the container `id` of Docker: `…/ID`, or
/// `…/docker-ID.scope`. A container can make groups below its own, so the first id in a path counts.
pub(crate) fn is_in_cgroup_of(pid: i32, id: &str) -> bool {
    let path = format!("/proc/{pid}/cgroup");
    let groups = read_text(Path::new(&path), MAX_GROUPS, Kind::Namespace);
    groups.is_ok_and(|groups| groups.lines().any(|line| owner_of_group(line) == Some(id)))
}

/// The id of the container that a line of `/proc/PID/cgroup` names.
fn owner_of_group(line: &str) -> Option<&str> {
    line.split('/').find_map(|part| {
        let scope = part.strip_prefix("docker-").and_then(|part| part.strip_suffix(".scope"));
        let name = scope.unwrap_or(part);
        let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then_some(name)
    })
}

/// Returns the start time of the process `pid` in clock ticks since boot.
///
/// A process that does not exist or is dead (state Z or X) is `None`. If its state cannot be read,
/// for example because /proc hides it, that is an error: a running container must not lose its
/// links.
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
            // Either the pid was reused just now, or /proc is mounted with `hidepid`. The second
            // attempt tells the two apart.
            Err(_) => {}
        }
    }
    Err(Error::new(Kind::Namespace, format!("{path}: hidden from this process")))
}

/// Whether a process with this pid exists, also if /proc hides it.
///
/// Pids below 1 never match, because kill(2) interprets them as process groups.
fn is_there(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Returns the state and the start time from a line of /proc/PID/stat.
pub(crate) fn state_and_start(stat: &str) -> Option<(&str, u64)> {
    // The command name is in parentheses and may itself contain any character, including `)`.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    // proc(5): state is field 3, starttime is field 22.
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Reads a line of at most 1024 bytes from a procfs file, usually with one read(2).
fn read_line(path: &str) -> std::io::Result<String> {
    let mut buffer = [0; 1024];
    let (mut file, mut filled) = (open_to_read(path)?, 0);
    while !buffer[..filled].ends_with(b"\n") {
        match file.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => break,
            read => filled += read?,
        }
    }
    Ok(String::from_utf8_lossy(&buffer[..filled]).into_owned())
}

/// Returns the pid and time namespaces of this process. They are read once: a process cannot change
/// them.
pub(crate) fn namespaces() -> Result<ProcessPlace> {
    static HERE: OnceLock<ProcessPlace> = OnceLock::new();
    if let Some(here) = HERE.get() {
        return Ok(*here);
    }
    let read = |kind: &str| {
        let path = format!("/proc/self/ns/{kind}");
        match fs::metadata(&path) {
            Ok(there) => Ok(Some(Inode { device: there.dev(), number: there.ino() })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(Kind::Namespace, || path),
        }
    };
    let here = ProcessPlace { pid: read("pid")?, time: read("time")? };
    Ok(*HERE.get_or_init(|| here))
}

/// Whether this process runs inside the container of process `pid`.
///
/// That is the case if it shares the mount namespace of `pid` and pid 1 has another one.
pub(crate) fn is_inside(pid: i32) -> Result<bool> {
    let of = |process: &str| {
        let path = format!("/proc/{process}/ns/mnt");
        fs::read_link(&path).context(Kind::Namespace, || path)
    };
    let ours = of("self")?;
    Ok(ours == of(&pid.to_string())? && of("1").is_ok_and(|first| first != ours))
}

/// Raises the soft limit of open files to the hard limit. `watch` keeps a descriptor per container.
pub(crate) fn raise_open_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context(Kind::Internal, || "open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context(Kind::Internal, || "open files")
}

/// Whether this process lacks root on the host: another effective user, or a user namespace that does
/// not map all ids.
pub(crate) fn is_confined() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    !nix::unistd::geteuid().is_root() || !all
}

/// Returns the pid of this process.
pub(crate) fn own_pid() -> Result<i32> {
    i32::try_from(std::process::id()).map_err(|_| Error::new(Kind::Internal, "own pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_processes_are_not_running() {
        assert!(start_time(own_pid().unwrap()).unwrap().is_some());
        for pid in [0, -1, i32::MIN, i32::MAX] {
            assert_eq!(start_time(pid).unwrap(), None, "{pid}");
        }
    }

    #[test]
    fn a_group_belongs_to_the_first_container_in_its_path() {
        let (a, b) = (&"a1".repeat(32), &"b2".repeat(32));
        for line in [
            format!("0::/docker/{a}"),
            format!("3:cpu,cpuacct:/system.slice/docker-{a}.scope"),
            format!("0::/parent/{a}/init.scope"),
            format!("0::/docker/{a}/{b}"),
        ] {
            assert_eq!(owner_of_group(&line), Some(a.as_str()), "{line}");
        }
        for line in [
            format!("0::/docker/x-{a}"),
            format!("0::/docker/{a}0"),
            format!("0::/libpod-{a}.scope"),
            "0::/".to_owned(),
            String::new(),
        ] {
            assert_eq!(owner_of_group(&line), None, "{line}");
        }
    }
}
