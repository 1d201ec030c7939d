//! The state directory.

use super::HostContext;
use super::check::{Check, Fix, advice, word};
use super::config_edit;
use crate::config::{Config, Overrides};
use crate::host::WATCH_LOCK;
use crate::sys::file::shown;
use crate::sys::private_dir::{Directory, PRIVATE, Room};
use crate::sys::process::lock;
use crate::sys::site::whose;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

const SUBJECT: &str = "state directory";
/// The directory for records that cannot be read.
const BROKEN: &str = "broken";
/// Free bytes and files: below `LITTLE` some dozens of containers do not fit, below `TOO_LITTLE` not
/// even one.
const LITTLE: (u64, u64) = (16 << 20, 1000);
const TOO_LITTLE: (u64, u64) = (1 << 20, 32);

/// Returns the directory, if it is valid, and the checks of it.
pub(crate) fn examine(
    config: &Config,
    overrides: &Overrides,
) -> (Option<Rc<Directory>>, Vec<Check>) {
    let path = config.state_dir.as_path();
    let wanted = config.state_mode();
    match Directory::look(path) {
        Err(error) => {
            let cause = format!("{error}; containers without links start, but are not recorded");
            (None, vec![Check::fault(SUBJECT, cause, fix(path, overrides))])
        }
        Ok(None) => (None, vec![absent(path)]),
        Ok(Some((directory, mode))) if mode != wanted => {
            // A directory that is closed to all others is safe to read.
            let is_read = mode == PRIVATE;
            let effect = if is_read {
                "no other program can read the offers in it"
            } else {
                "its records are not read"
            };
            let cause = format!("{} has mode {mode:o}, want {wanted:o}: {effect}", shown(path));
            let fix = format!("chmod {wanted:o} {}", word(path));
            let checks = vec![Check::warning(SUBJECT, cause, fix)];
            let checks = [checks, contents(path, &directory, overrides)].concat();
            (is_read.then(|| Rc::new(directory)), checks)
        }
        Ok(Some((directory, _))) => {
            let mut checks = vec![Check::ok(SUBJECT, shown(path))];
            checks.extend(contents(path, &directory, overrides));
            (Some(Rc::new(directory)), checks)
        }
    }
}

/// The check of a directory that does not exist. The first start creates it, but nothing above that of a user.
fn absent(path: &Path) -> Check {
    let above = path.parent().filter(|above| !above.exists());
    if let (Some(above), Some(uid)) = (above, user_of(path)) {
        let cause = format!("{} is missing: containers of user {uid} get no links", shown(above));
        // The command makes /run/user/UID, now and at each boot.
        return Check::fault(SUBJECT, cause, format!("sudo loginctl enable-linger {uid}"));
    }
    Check::ok(SUBJECT, format!("{}: created when the first container starts", shown(path)))
}

/// The user to which `path` belongs as the usual state directory. `None` for root's and for others.
fn user_of(path: &Path) -> Option<u32> {
    whose().uid().filter(|_| path == whose().state_dir())
}

fn contents(path: &Path, directory: &Directory, overrides: &Overrides) -> Vec<Check> {
    let mut checks = match directory.room() {
        Ok(found) => room(path, overrides, found),
        Err(error) => {
            vec![Check::warning(SUBJECT, error.to_string(), advice("check its file system"))]
        }
    };
    let mut broken = 0;
    let _ = directory.visit(BROKEN, |_| {
        broken += 1;
        Ok(true)
    });
    if broken > 0 {
        let place = path.join(BROKEN);
        let cause = format!("{}: {broken} records could not be read", shown(&place));
        checks.push(Check::warning("unreadable records", cause, format!("rm -r {}", word(&place))));
    }
    checks
}

/// Judges the file system of the state directory.
fn room(path: &Path, overrides: &Overrides, room: Room) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(if room.in_memory {
        Check::ok("state file system", "tmpfs: empty after a boot")
    } else {
        let cause = format!("{} is not on tmpfs: records of an earlier boot remain", shown(path));
        let usual = shown(&whose().state_dir());
        let fix = other_place(overrides, &usual);
        Check::warning("state file system", cause, fix)
    });
    let free = (room.bytes, room.files.unwrap_or(u64::MAX));
    let below = |limit: (u64, u64)| free.0 < limit.0 || free.1 < limit.1;
    let files = room.files.map_or(String::new(), |files| format!(" and {files} files"));
    let left = format!("{} MiB{files} are free", room.bytes >> 20);
    checks.push(if below(LITTLE) {
        let fix = advice(format!("make room on the file system of {}", shown(path)));
        Check::trouble(below(TOO_LITTLE), "free space", &left, fix)
    } else {
        Check::ok("free space", "enough")
    });
    checks
}

/// The fix for the first directory on the path that is not valid.
fn fix(path: &Path, overrides: &Overrides) -> Fix {
    let usual = whose().state_dir();
    if let Some(uid) = user_of(path) {
        return advice(format!("remove it, or give it to user {uid} alone; a start creates it"));
    }
    let mut all: Vec<&Path> = path.ancestors().collect();
    all.reverse();
    for (at, step) in all.iter().enumerate() {
        let Ok(metadata) = fs::symlink_metadata(step) else { continue };
        let sticky = metadata.mode() & 0o1000 != 0 && at + 1 < all.len();
        if !metadata.is_dir() {
            break;
        } else if metadata.uid() != 0 {
            return format!("chown root:root {0} && chmod go-w {0}", word(step)).into();
        } else if metadata.mode() & 0o022 != 0 && !sticky {
            return format!("chmod go-w {}", word(step)).into();
        }
    }
    other_place(overrides, &shown(&usual))
}

/// Names another state directory.
fn other_place(overrides: &Overrides, usual: &str) -> Fix {
    match overrides.state_dir {
        // The option is stronger than the file.
        Some(_) => advice("name another directory with --state-dir"),
        None => config_edit::set(overrides, "state_dir", usual).into(),
    }
}

/// Whether `watch` is running.
pub(crate) fn is_watched(directory: &Directory) -> bool {
    directory.has(WATCH_LOCK)
        && directory.open_lock(WATCH_LOCK).is_ok_and(|file| lock::is_held(&file))
}

/// Reports whether `watch` is running; links do not need it.
pub(crate) fn watch(context: &HostContext) -> Check {
    Check::ok("watch", if context.watched { "running" } else { "not running (optional)" })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn room_is_judged_by_bytes_and_by_files() {
        let judge = |in_memory, bytes, files| {
            let found = Room { in_memory, bytes, files };
            room(Path::new("/s"), &Overrides::default(), found)
                .iter()
                .map(|c| c.verdict)
                .collect::<Vec<_>>()
        };
        assert_eq!(judge(true, 1 << 30, None), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(judge(false, 1 << 30, Some(5000)), [Verdict::Warning, Verdict::Ok]);
        assert_eq!(judge(true, 1 << 30, Some(500)), [Verdict::Ok, Verdict::Warning]);
        assert_eq!(judge(true, 1 << 30, Some(3)), [Verdict::Ok, Verdict::Fault]);
        assert_eq!(judge(true, 4 << 20, Some(5000)), [Verdict::Ok, Verdict::Warning]);
        assert_eq!(judge(true, 0, None), [Verdict::Ok, Verdict::Fault]);
    }
}
