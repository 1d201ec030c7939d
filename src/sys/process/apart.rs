//! A part of this process's work, done in a child process that may change its namespaces.

#![allow(unsafe_code)] // Each block states its reason.

use super::own_pid;
use crate::error::{Context, Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork, pipe2};
use std::fs::File;
use std::io::{Read, Write};

/// The longest message of the child that is passed on, in characters. All of it fits the pipe.
const MAX_MESSAGE: usize = 4096;

/// Calls `act` in a child process and returns its outcome. The child dies with this process.
///
/// Fails if there is no such process, or if it was killed.
///
/// Requires that this process has one thread.
pub(crate) fn apart(act: impl FnOnce() -> Result<()>) -> Result<Result<()>> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context(Kind::Internal, || "pipe")?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    let parent = own_pid()?;
    // SAFETY: this program has one thread, so the child may do whatever this process may do.
    match unsafe { fork() }.context(Kind::Internal, || "fork")? {
        ForkResult::Child => {
            drop(reader);
            let done = stay_with(parent).and_then(|()| act());
            let status = done.as_ref().map_or_else(|error| error.kind as i32, |()| 0);
            if let Err(error) = done {
                let message: String = error.to_string().chars().take(MAX_MESSAGE).collect();
                let _ = writer.write_all(message.as_bytes());
            }
            // SAFETY: ends this process at once, without what the parent has to do at its exit.
            unsafe { libc::_exit(status) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut message = String::new();
            let _ = reader.read_to_string(&mut message);
            let status = super::child::reap(child).context(Kind::Internal, || "wait")?;
            match status.code() {
                Some(0) => Ok(Ok(())),
                Some(code) if !message.is_empty() => {
                    Ok(Err(Error::new(Kind::of_status(code), message)))
                }
                _ => Err(Error::new(Kind::Internal, format!("a child process ended by {status}"))),
            }
        }
    }
}

/// Lets this process die with its parent.
fn stay_with(parent: i32) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context(Kind::Internal, || "child process")?;
    // A parent that died before causes no signal.
    // SAFETY: getppid(2) only returns a number.
    let is_child = unsafe { libc::getppid() } == parent;
    if is_child { Ok(()) } else { Err(Errno::ESRCH).context(Kind::Internal, || "child process") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_a_child_is_that_of_its_work() {
        let before = own_pid().unwrap();
        let done = apart(|| {
            let is_other = own_pid()? != before;
            if is_other { Ok(()) } else { Err(Error::new(Kind::Internal, "no child")) }
        });
        done.unwrap().unwrap();
        let refused = apart(|| Err(Error::new(Kind::Unsafe, "web: is on pasta")));
        let refused = refused.unwrap().unwrap_err();
        assert_eq!(
            (refused.kind, refused.to_string().as_str()),
            (Kind::Unsafe, "web: is on pasta")
        );
        let long = apart(|| Err(Error::new(Kind::State, "x".repeat(1 << 20))));
        let long = long.unwrap().unwrap_err();
        assert_eq!((long.kind, long.to_string().len()), (Kind::State, MAX_MESSAGE));
        let killed = apart(|| {
            // SAFETY: ends the child only.
            unsafe { libc::raise(libc::SIGKILL) };
            Ok(())
        });
        assert_eq!(killed.unwrap_err().kind, Kind::Internal);
    }
}
