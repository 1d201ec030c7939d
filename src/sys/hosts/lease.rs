//! Keeping others out of a file for a moment.
//!
//! A container may write its own hosts file while we edit it. With a lease the kernel makes its
//! `open` wait until we are done (fcntl(2), `F_SETLEASE`); as long as somebody has the file open, or
//! on a file system without leases, there is none to be had, and the moment is very short.

#![allow(unsafe_code)] // Each block says why.

use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// How long it is tried, without a pause: who writes line after line leaves gaps of microseconds. But
/// who has the file open may be waiting for this very processor.
const PATIENCE: Duration = Duration::from_millis(50);

/// Which signal a descriptor's owner gets (linux/include/uapi/asm-generic/fcntl.h); libc has it for
/// musl alone.
const F_SETSIG: libc::c_int = 10;

/// Calls `act` while nobody else can open `file`, if that can be had; it is told whether.
pub(crate) fn with<T>(file: &File, act: impl FnOnce(bool) -> T) -> T {
    of_kind(libc::F_WRLCK, file, act).0
}

/// Calls `act` while nobody has `file`, which is open for reading alone, open for writing, if that
/// can be had. Says besides whether somebody waits to write to it.
pub(crate) fn unwritten<T>(file: &File, act: impl FnOnce() -> T) -> (T, bool) {
    of_kind(libc::F_RDLCK, file, |_| act())
}

fn of_kind<T>(kind: libc::c_int, file: &File, act: impl FnOnce(bool) -> T) -> (T, bool) {
    let start = Instant::now();
    let mut leased = harmless(file) && set(file, kind);
    while !leased && Errno::last() == Errno::EAGAIN && start.elapsed() < PATIENCE {
        yield_now();
        leased = set(file, kind);
    }
    let done = act(leased);
    let mut waited_for = false;
    if leased {
        // SAFETY: a question about a descriptor that is open. A lease that has to go is another.
        waited_for = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) } != kind;
        set(file, libc::F_UNLCK);
    }
    (done, waited_for)
}

fn set(file: &File, kind: libc::c_int) -> bool {
    // SAFETY: a system call on a descriptor that is open, and an integer.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
}

/// Whoever waits for us makes the kernel send SIGIO, which would end this process. What it does with
/// that signal belongs to all its threads; which signal is sent, to the descriptor. SIGURG harms
/// nobody who has no handler.
fn harmless(file: &File) -> bool {
    // SAFETY: a system call on a descriptor that is open, and an integer.
    unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigHandler, Signal, signal};
    use std::fs::{OpenOptions, read_to_string, remove_file, write};
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// Another thread, or another library, may want SIGIO for itself.
    #[test]
    fn who_waits_for_a_lease_ends_nobody() {
        let path = format!("/var/tmp/oci-link-lease-broken-{}", std::process::id());
        write(&path, "").unwrap();
        let file = OpenOptions::new().read(true).open(&path).unwrap();
        let open_without_waiting = || {
            // SAFETY: the default needs no handler; nothing in this program has another.
            unsafe { signal(Signal::SIGIO, SigHandler::SigDfl) }.unwrap();
            let mut options = OpenOptions::new();
            options.append(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap_err()
        };
        let (refused, waited_for) = loop {
            let act = |leased: bool| leased.then(open_without_waiting);
            if let (Some(refused), waited_for) = of_kind(libc::F_WRLCK, &file, act) {
                break (refused, waited_for);
            }
        };
        assert_eq!(refused.raw_os_error(), Some(libc::EWOULDBLOCK));
        assert!(waited_for);
        remove_file(&path).unwrap();
    }

    #[test]
    fn lines_written_meanwhile_stay() {
        let path = format!("/var/tmp/oci-link-lease-{}", std::process::id());
        write(&path, "").unwrap();
        let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let done = AtomicBool::new(false);
        let lines = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut lines = 0;
                while !done.load(Relaxed) {
                    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                    file.write_all(b"line\n").unwrap();
                    lines += 1;
                }
                lines
            });
            let mut leases = 0;
            while leases < 20 {
                with(&file.try_clone().unwrap(), |leased| {
                    if !leased {
                        return;
                    }
                    leases += 1;
                    let mut text = String::new();
                    file.rewind().unwrap();
                    file.read_to_string(&mut text).unwrap();
                    std::thread::sleep(Duration::from_micros(100));
                    file.write_all_at(text.as_bytes(), 0).unwrap();
                    file.set_len(text.len() as u64).unwrap();
                });
            }
            done.store(true, Relaxed);
            writer.join().unwrap()
        });
        assert_eq!(read_to_string(&path).unwrap().lines().count(), lines);
        remove_file(&path).unwrap();
    }
}
