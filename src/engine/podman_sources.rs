//! podman's containers, as containers/storage lists them.
//!
//! Restart policies are in podman's database, which is private to podman. So it is unknown whether
//! podman will start a container. conmon's pid file tells whether one runs.

use super::podman::parse_conmon;
use super::sources::{Activity, Sibling, Siblings};
use super::storage::{LISTS, MAX_LIST, names_in};
use crate::error::{Kind, Result};
use crate::model::ContainerId;
use crate::sys::{file, process};
use std::path::{Path, PathBuf};

/// Limit of containers that are read.
const MAX_CONTAINERS: usize = 10_000;
/// Size limit of a pid file.
const MAX_PID: u64 = 64;
/// Size limit of a command line in /proc.
const MAX_ARGUMENTS: u64 = 256 << 10;

/// Reads the lists in `directories`. A list that does not exist is not an error.
pub(super) fn read(directories: &[PathBuf]) -> Result<Siblings> {
    let (mut all, mut is_complete) = (Vec::new(), true);
    for list in directories.iter().flat_map(|place| LISTS.map(|list| place.join(list))) {
        if !list.exists() {
            continue;
        }
        for (id, names) in names_in(&file::read(&list, MAX_LIST, Kind::Input)?)? {
            if all.len() == MAX_CONTAINERS {
                is_complete = false;
                break;
            }
            let runs = ContainerId::new(&id).is_ok_and(|id| runs(directories, &id));
            let activity = if runs { Activity::Running } else { Activity::Listed };
            all.push(Sibling { id, names, activity, sources: Vec::new() });
        }
    }
    Ok(Siblings::new(all, is_complete))
}

/// Whether the program of the container runs: its conmon lives, and so does its first process,
/// which is no longer the runtime's.
fn runs(directories: &[PathBuf], id: &ContainerId) -> bool {
    directories.iter().any(|place| {
        let userdata = place.join(id.as_str()).join("userdata");
        let conmon = pid_in(&userdata.join("conmon.pid")).and_then(arguments);
        let first = pid_in(&userdata.join("pidfile"));
        let is_its_conmon = conmon.is_some_and(|words| parse_conmon(&words, id).is_some());
        is_its_conmon && first.is_some_and(|pid| has_started(pid, id))
    })
}

/// A created container's process is still the runtime's: `runc init`, or crun with the id among
/// its arguments.
fn has_started(pid: i32, id: &ContainerId) -> bool {
    if !process::start_time(pid).is_ok_and(|started| started.is_some()) {
        return false;
    }
    let Some(arguments) = arguments(pid) else { return false };
    let words: Vec<&[u8]> = arguments.split(|byte| *byte == 0).filter(|w| !w.is_empty()).collect();
    let is_init = matches!(words[..], [_, second] if second == b"init");
    !is_init && !words.contains(&id.as_str().as_bytes())
}

fn pid_in(file: &Path) -> Option<i32> {
    let text = file::read_text(file, MAX_PID, Kind::Input).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 1)
}

fn arguments(pid: i32) -> Option<Vec<u8>> {
    let path = format!("/proc/{pid}/cmdline");
    file::read(Path::new(&path), MAX_ARGUMENTS, Kind::Input).ok()
}
