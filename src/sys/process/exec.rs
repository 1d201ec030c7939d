//! Becoming another program, as if we had never been there.

#![allow(unsafe_code)] // Each block says why.

use super::fill_standard_streams;
use crate::error::{Context, Error, Kind, Result};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Where runtimes are installed. `PATH` is somebody else's.
pub(crate) const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The program called `name`: an absolute path, or a name in one of the system's directories. A
/// link to ourselves is not it.
pub(crate) fn find(name: &Path) -> Result<PathBuf> {
    let us = std::fs::metadata("/proc/self/exe").context(Kind::Internal, || "own program")?;
    let is_other = |path: &PathBuf| {
        let there = std::fs::metadata(path);
        there.is_ok_and(|there| {
            there.is_file() && (there.dev(), there.ino()) != (us.dev(), us.ino())
        })
    };
    let shown = crate::sys::file::shown(name);
    let candidates: Vec<PathBuf> = if name.is_absolute() {
        vec![name.to_owned()]
    } else if name.components().count() == 1 {
        DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).collect()
    } else {
        return Err(Error::new(Kind::Input, format!("runtime \"{shown}\": not an absolute path")));
    };
    candidates.into_iter().find(is_other).ok_or_else(|| {
        Error::new(Kind::Input, format!("runtime \"{shown}\": no such program on this host"))
    })
}

/// What a process passes on by exec and we change while we act: kept, to be put back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedSignals {
    mask: SigSet,
    umask: Mode,
    children: SigHandler,
    pipes: SigHandler,
}

impl SavedSignals {
    /// Children can be waited for, signals arrive, and files are ours alone.
    pub(crate) fn for_acting() -> Result<Self> {
        fill_standard_streams()?;
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), Some(&mut mask))
            .context(Kind::Internal, || "signals")?;
        // SAFETY: the default action is no handler of ours that could run at a bad moment.
        let children = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
        let children = children.context(Kind::Internal, || "SIGCHLD")?;
        // SAFETY: ignoring needs no handler.
        let pipes = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
        let pipes = pipes.context(Kind::Internal, || "SIGPIPE")?;
        Ok(Self { mask, umask: umask(Mode::from_bits_truncate(0o077)), children, pipes })
    }

    /// As the caller had it. Only makes system calls.
    pub(crate) fn restore(self) {
        umask(self.umask);
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
        for (number, action) in [(Signal::SIGCHLD, self.children), (Signal::SIGPIPE, self.pipes)] {
            // SAFETY: what is put back is the default or "ignore": a program starts with no
            // handlers.
            let _ = unsafe { signal(number, action) };
        }
    }
}

/// Replaces this process by `program`: same descriptors, directory and environment.
pub(crate) fn replace(program: &Path, arguments: &[OsString]) -> Error {
    let text = |word: &OsStr| CString::new(word.to_owned().into_vec());
    let words =
        std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    let words: std::result::Result<Vec<CString>, _> = words.map(text).collect();
    let shown = crate::sys::file::shown(program);
    match (words, CString::new(program.as_os_str().as_bytes())) {
        (Ok(words), Ok(path)) => match nix::unistd::execv(&path, &words) {
            Ok(never) => match never {},
            Err(errno) => Error::new(Kind::Internal, format!("{shown}: {errno}")),
        },
        _ => Error::new(Kind::Usage, format!("{shown}: an argument contains a NUL byte")),
    }
}

/// Runs `program` to its end, with our descriptors, directory and environment, and in the caller's
/// `saved`.
pub(crate) fn wait_for(
    program: &Path,
    arguments: &[OsString],
    saved: SavedSignals,
) -> Result<ExitStatus> {
    let mut command = Command::new(program);
    command.arg0(program).args(arguments);
    let pass_on = move || {
        saved.restore();
        Ok(())
    };
    // SAFETY: runs between fork and exec, and only makes system calls.
    unsafe { command.pre_exec(pass_on) };
    command.status().context(Kind::Internal, || crate::sys::file::shown(program))
}
