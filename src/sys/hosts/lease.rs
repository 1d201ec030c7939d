//! File leases, which keep other processes from opening a file during an edit.
//!
//! A container may write to its hosts file while oci-link edits it. With a lease, the kernel makes
//! the container's open(2) wait until the lease is released (fcntl(2), `F_SETLEASE`). No lease is
//! granted while another process has the file open, or on a file system without leases. The edit
//! then proceeds without one.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use nix::errno::Errno;
use nix::libc;
use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// How long a lease is requested, without sleeping in between.
///
/// A process that opens the file for each line leaves gaps of microseconds. The loop yields the
/// processor because the process that has the file open may be waiting for it.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long leases are requested in one event, all files together. After that each lease is requested once, and
/// a file without one is edited all the same.
const BUDGET: Duration = Duration::from_millis(250);

thread_local! {
    /// What is left of [`BUDGET`]. Unlimited until an event begins.
    static LEFT: Cell<Duration> = const { Cell::new(Duration::MAX) };
}

/// Begins an event: one start, one end or one repair, under the host lock.
pub(crate) fn begin_event() {
    LEFT.set(BUDGET);
}

/// The fcntl(2) command that selects the signal of a lease break
/// (include/uapi/asm-generic/fcntl.h). The libc crate defines it for musl only.
const F_SETSIG: libc::c_int = 10;

/// Calls `act` under a write lease on `file`: no other process can open it.
///
/// `act` is called with `false` if no lease is granted.
pub(crate) fn with<T>(file: &File, act: impl FnOnce(bool) -> T) -> T {
    of_kind(libc::F_WRLCK, file, act).0
}

/// Calls `act` under a read lease on `file`: no other process can open it for writing.
///
/// `file` must be open for reading only. `act` is also called if no lease is granted. The second
/// result tells whether another process is waiting to open the file for writing.
pub(crate) fn unwritten<T>(file: &File, act: impl FnOnce() -> T) -> (T, bool) {
    of_kind(libc::F_RDLCK, file, |_| act())
}

fn of_kind<T>(kind: libc::c_int, file: &File, act: impl FnOnce(bool) -> T) -> (T, bool) {
    let start = Instant::now();
    let mut leased = harmless(file) && set(file, kind);
    let patience = PATIENCE.min(LEFT.get());
    while !leased && Errno::last() == Errno::EAGAIN && start.elapsed() < patience {
        yield_now();
        leased = set(file, kind);
    }
    LEFT.set(LEFT.get().saturating_sub(start.elapsed()));
    let done = act(leased);
    let mut waited_for = false;
    if leased {
        // SAFETY: `F_GETLEASE` takes an open descriptor. It reports another kind once a break has
        // begun.
        waited_for = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) } != kind;
        set(file, libc::F_UNLCK);
    }
    (done, waited_for)
}

fn set(file: &File, kind: libc::c_int) -> bool {
    // SAFETY: `F_SETLEASE` takes an open descriptor and an integer.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
}

/// Selects SIGURG, which is ignored by default, as the signal of a lease break.
///
/// The default signal is SIGIO, which would end this process. Ignoring SIGIO would change the whole
/// process, while `F_SETSIG` concerns only this descriptor.
fn harmless(file: &File) -> bool {
    // SAFETY: `F_SETSIG` takes an open descriptor and an integer.
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

    /// A lease break must not depend on the action for SIGIO, which another thread or library may
    /// set.
    #[test]
    fn a_default_sigio_action_does_not_end_the_process() {
        let path = format!("/var/tmp/oci-link-lease-broken-{}", std::process::id());
        write(&path, "").unwrap();
        let file = OpenOptions::new().read(true).open(&path).unwrap();
        let open_without_waiting = || {
            // SAFETY: the default action installs no handler.
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

    /// Recipients that keep their hosts files open take the budget of an event, not 50 ms each.
    #[test]
    fn files_that_stay_open_share_one_budget() {
        let path = format!("/var/tmp/oci-link-lease-budget-{}", std::process::id());
        write(&path, "").unwrap();
        let [file, holder] =
            [(); 2].map(|()| OpenOptions::new().read(true).write(true).open(&path).unwrap());
        begin_event();
        let waited = || {
            let start = Instant::now();
            with(&file, |leased| assert!(!leased));
            start.elapsed()
        };
        let mut spent = waited();
        assert!(spent >= PATIENCE, "the first one is waited for");
        while LEFT.get() > Duration::ZERO {
            spent += waited();
        }
        assert!(spent >= BUDGET);
        let late: Duration = (0..100).map(|_| waited()).sum();
        assert!(late < BUDGET, "100 more files: {late:?}");
        drop(holder);
        // A child that another test has just forked may have it open for a moment.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !with(&file, |leased| leased) {
            assert!(Instant::now() < deadline, "a file that is closed gets a lease all the same");
        }
        begin_event();
        assert_eq!(LEFT.get(), BUDGET);
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
