//! Joins the namespaces of a user's engine, for commands that the user calls outside of them.

use super::namespace::{inode, of_process, owner};
use super::whose::{self, Whose, run};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::file;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_dumpable;
use std::fs::{metadata, read_dir};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Size limit of a file with a process id, in bytes.
const MAX_PID: u64 = 64;

/// podman's file with the id of its pause process. Each podman command starts the process if it does not run.
const PAUSE: &str = "libpod/tmp/pause.pid";

/// The process that keeps the namespaces of an engine, by the file with its id below the user's runtime
/// directory. Rootless docker has its bridges in the network namespace of that process.
const KEEPERS: [(&str, &[&str]); 2] =
    [(PAUSE, &["user", "mnt"]), ("dockerd-rootless/child_pid", &["user", "mnt", "net"])];

/// Enters the user and mount namespaces of the user's engine, and the network namespace of rootless docker.
/// Returns false if this process is no user's shell, so that there is nothing to enter. podman comes first.
///
/// Fails if no engine of the user runs. Requires that this process has one thread.
pub(crate) fn join() -> Result<bool> {
    let Whose::Shell { uid } = whose::whose() else { return Ok(false) };
    for (keeper, kinds) in KEEPERS {
        if let Some(pid) = read(&run(uid).join(keeper)) {
            enter(uid, pid, kinds)?;
            whose::forget();
            return Ok(true);
        }
        // podman's containers run on without its pause process. The records are theirs, not docker's.
        if keeper == PAUSE && has_records(uid) {
            let message = format!(
                "user {uid}: podman's pause process does not run: call podman ps, which starts it, \
                 and try again"
            );
            return Err(Error::new(Kind::Namespace, message));
        }
    }
    let message = format!(
        "user {uid}: no rootless engine runs: start a container, or for root's containers use sudo"
    );
    Err(Error::new(Kind::Namespace, message))
}

/// Whether the state directory of the user's podman contains records.
fn has_records(uid: u32) -> bool {
    let records = Whose::Shell { uid }.state_dir().join("records");
    read_dir(records).is_ok_and(|mut records| records.next().is_some())
}

/// The id in the file `path` of a process that exists.
fn read(path: &Path) -> Option<i32> {
    let text = file::read_text(path, MAX_PID, Kind::Namespace).ok()?;
    let pid = text.trim().parse().ok().filter(|pid| *pid > 1)?;
    of_process(pid, "user").ok().map(|_| pid)
}

/// Identifies a root directory.
fn root(path: &str) -> Result<(u64, u64)> {
    let found = metadata(path).context(Kind::Namespace, || path.to_owned())?;
    Ok((found.dev(), found.ino()))
}

/// Enters these namespaces of the process, if its user namespace belongs to the user. The kernel permits no
/// others; an id in an old file may be that of another process by now.
fn enter(uid: u32, pid: i32, kinds: &[&str]) -> Result<()> {
    let files: Vec<_> = kinds.iter().map(|kind| of_process(pid, kind)).collect::<Result<_>>()?;
    if owner(&files[0])? != uid {
        let message = format!("process {pid}: its user namespace does not belong to user {uid}");
        return Err(Error::new(Kind::Unsafe, message));
    }
    // Containers share the user namespace. Their processes have other namespaces of processes or another root.
    let pids = |process: &str| inode(&of_process(process, "pid")?);
    if pids(&pid.to_string())? != pids("self")? || root(&format!("/proc/{pid}/root"))? != root("/")?
    {
        let message =
            format!("process {pid}: is not one of an engine: call podman ps and try again");
        return Err(Error::new(Kind::Unsafe, message));
    }
    for file in &files {
        setns(file, CloneFlags::empty())
            .context(Kind::Namespace, || format!("namespaces of process {pid}"))?;
    }
    // With new privileges the kernel hides a process's own files in /proc from it.
    set_dumpable(true).context(Kind::Namespace, || "dumpable")
}
