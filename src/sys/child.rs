//! Other programs: named by absolute path, with an empty environment and nothing of ours open,
//! killed at a deadline and together with us. A runtime that loses patience kills only the hook
//! itself; a firewall tool that went on alone would make its rules after the container is gone.

#![allow(unsafe_code)] // Each block says why.

use super::netns::Process;
use crate::error::{Context, Error, Kind, Result};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about: its first line, without control characters.
    pub complaint: String,
}

/// Runs `program` on `input`, for at most `patience` milliseconds. The streams are files in memory,
/// so that no child of the child can keep us waiting for the end of a pipe.
pub fn run(program: &str, args: &[&str], input: &str, patience: u16, kind: Kind) -> Result<Output> {
    let own = super::process::own_pid()?;
    let file = || memfd_create(c"oci-link", MFdFlags::MFD_CLOEXEC).map(File::from);
    let stream = || file().context(kind, || "memfd");
    let (mut stdin, mut stdout, mut stderr) = (stream()?, stream()?, stream()?);
    stdin.write_all(input.as_bytes()).context(kind, || "memfd")?;
    stdin.rewind().context(kind, || "memfd")?;
    let share = |file: &File| file.try_clone().map(Stdio::from).context(kind, || "memfd");

    let mut command = Command::new(program);
    command.args(args).env_clear().current_dir("/");
    command.stdin(share(&stdin)?).stdout(share(&stdout)?).stderr(share(&stderr)?);
    // SAFETY: runs between fork and exec, and only makes system calls.
    unsafe { command.pre_exec(move || tie_to_parent(own)) };
    let mut child = command.spawn().context(kind, || program)?;

    let in_time = i32::try_from(child.id()).is_ok_and(|pid| match Process::pin(pid) {
        Ok(process) => process.ended(patience),
        Err(_) => true,
    });
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().context(kind, || program)?;
    if !in_time {
        return Err(Error::new(kind, format!("{program}: no end after {patience} ms: killed")));
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

/// In the child: die when the parent does, and keep only the standard streams.
fn tie_to_parent(parent: i32) -> std::io::Result<()> {
    // SAFETY: system calls on integers; the descriptors closed are this child's own copies.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // The parent may have died before the line above.
        if libc::getppid() != parent {
            libc::_exit(127);
        }
        // CLOEXEC instead of close: the standard library still needs its own pipe to report
        // that exec failed.
        let cloexec = libc::CLOSE_RANGE_CLOEXEC;
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, cloexec);
    }
    Ok(())
}
