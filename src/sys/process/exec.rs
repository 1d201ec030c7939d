//! Executes the real runtime with the process attributes that the caller of the wrapper had set.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use super::{fill_standard_streams, rounds};
use crate::error::{Cause, Context, Error, Kind, Result};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{Metadata, metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// The directories that are searched for runtimes. `PATH` is not used because the caller controls
/// it.
pub(crate) const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The runtimes that the wrapper can execute, in the order in which it looks for them.
pub(crate) const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];

/// Finds the runtime to execute: `command`, or the first of [`RUNTIMES`] that is installed.
pub(crate) fn find(command: Option<&Path>) -> Result<PathBuf> {
    find_below(Path::new("/"), command)
}

/// Finds the runtime as [`find`] does on the host whose root directory is `root`.
///
/// `command` is an absolute path or a plain name in one of [`DIRECTORIES`]. A link to this program
/// itself is skipped. A missing program is an error of kind [`Kind::Input`].
pub(crate) fn find_below(root: &Path, command: Option<&Path>) -> Result<PathBuf> {
    // Without /proc a wrapper that is called again is noticed by `rounds`.
    let us = std::fs::metadata("/proc/self/exe").ok().map(|us| (us.dev(), us.ino()));
    let is_other = |there: &Metadata| there.is_file() && Some((there.dev(), there.ino())) != us;
    let Some(name) = command else {
        // A runtime that is not executable is not installed: the next one is taken.
        let is_usable = |path: &PathBuf| {
            metadata(path).is_ok_and(|there| is_other(&there) && there.mode() & 0o111 != 0)
        };
        let mut all = RUNTIMES.iter().flat_map(|name| places(root, Path::new(name)));
        return all.find(is_usable).ok_or_else(|| {
            let message = "no runtime on this host: apt-get install runc, or set runtime.command \
                           in config.toml";
            Error::new(Kind::Input, message).because(Cause::NotInstalled)
        });
    };
    let shown = crate::sys::file::shown(name);
    let found = if name.is_absolute() {
        let path = below(root, name);
        metadata(&path).is_ok_and(|there| is_other(&there)).then_some(path)
    } else if name.components().count() == 1 {
        places(root, name).find(|path| metadata(path).is_ok_and(|there| is_other(&there)))
    } else {
        return Err(Error::new(Kind::Input, format!("runtime \"{shown}\": not an absolute path")));
    };
    found.ok_or_else(|| {
        let message = format!("runtime \"{shown}\": no such program on this host: install it");
        Error::new(Kind::Input, message).because(Cause::NotInstalled)
    })
}

/// The paths at which a program may be.
fn places(root: &Path, name: &Path) -> impl Iterator<Item = PathBuf> {
    DIRECTORIES.iter().map(move |directory| below(root, &Path::new(directory).join(name)))
}

/// The absolute `path` on the host whose root directory is `root`.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The attributes that exec inherits and that oci-link changes for its own work, to be restored
/// later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedSignals {
    mask: SigSet,
    umask: Mode,
    children: SigHandler,
    pipes: SigHandler,
}

impl SavedSignals {
    /// Saves the attributes and sets those that oci-link needs.
    ///
    /// All signals are unblocked, SIGCHLD gets its default action, SIGPIPE is ignored and the umask
    /// is 077. Closed standard streams are opened on /dev/null.
    pub(crate) fn for_acting() -> Result<Self> {
        fill_standard_streams()?;
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), Some(&mut mask))
            .context(Kind::Internal, || "signals")?;
        // SAFETY: the default action installs no handler.
        let children = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
        let children = children.context(Kind::Internal, || "SIGCHLD")?;
        // SAFETY: ignoring a signal installs no handler.
        let pipes = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
        let pipes = pipes.context(Kind::Internal, || "SIGPIPE")?;
        Ok(Self { mask, umask: umask(Mode::from_bits_truncate(0o077)), children, pipes })
    }

    /// Restores the saved attributes. Makes system calls only, so it may run between fork and exec.
    pub(crate) fn restore(self) {
        umask(self.umask);
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
        for (number, action) in [(Signal::SIGCHLD, self.children), (Signal::SIGPIPE, self.pipes)] {
            // SAFETY: the restored action is the default or "ignore". exec(2) resets handlers, so
            // none was inherited.
            let _ = unsafe { signal(number, action) };
        }
    }
}

/// The first word of the runtime's command line, which is in its messages: a plain name if the caller
/// found the wrapper by a plain name too. Other programs may be scripts, for which `rounds` needs the path.
fn called(program: &Path) -> &OsStr {
    let name = program.file_name().unwrap_or_default();
    let by_path = std::env::args_os().next().is_none_or(|own| own.as_bytes().contains(&b'/'));
    let is_runtime = RUNTIMES.iter().any(|known| name == *known);
    if by_path || !is_runtime { program.as_os_str() } else { name }
}

/// Replaces this process with `program`, and returns only on an error.
///
/// Descriptors, working directory and environment are inherited.
pub(crate) fn replace(program: &Path, arguments: &[OsString]) -> Error {
    replace_as(called(program), program, arguments)
}

/// Replaces this process as [`replace`] does. `name` is the first word of the new command line.
pub(crate) fn replace_as(name: &OsStr, program: &Path, arguments: &[OsString]) -> Error {
    let text = |word: &OsStr| CString::new(word.to_owned().into_vec());
    let words = std::iter::once(name).chain(arguments.iter().map(OsString::as_os_str));
    let words: std::result::Result<Vec<CString>, _> = words.map(text).collect();
    let shown = crate::sys::file::shown(program);
    rounds::mark(program);
    match (words, CString::new(program.as_os_str().as_bytes())) {
        (Ok(words), Ok(path)) => match nix::unistd::execv(&path, &words) {
            Ok(never) => match never {},
            Err(errno) => Error::new(Kind::Internal, format!("{shown}: {errno}")),
        },
        _ => Error::new(Kind::Usage, format!("{shown}: an argument contains a NUL byte")),
    }
}

/// Runs `program` as a child and waits for its exit status.
///
/// The child inherits descriptors, working directory and environment, and gets the attributes in
/// `saved`. The kernel kills it when this process is killed, as the runtime itself would be.
pub(crate) fn wait_for(
    program: &Path,
    arguments: &[OsString],
    saved: SavedSignals,
) -> Result<ExitStatus> {
    let mut command = Command::new(program);
    command.arg0(called(program)).args(arguments);
    let marked = program.to_owned();
    let pass_on = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        saved.restore();
        rounds::mark(&marked);
        Ok(())
    };
    // SAFETY: `pass_on` runs between fork and exec and makes system calls only.
    unsafe { command.pre_exec(pass_on) };
    command.status().context(Kind::Internal, || crate::sys::file::shown(program))
}
