//! Finds the real docker or podman in `PATH`.
//!
//! Only the command line of an ordinary user does this: it searches the `PATH` of a shell in place of
//! that shell. Hooks and the wrapper never use `PATH`, because their caller controls it.

use super::exec::DIRECTORIES;
use super::rounds;
use crate::error::{Cause, Error, Kind, Result};
use nix::unistd::{AccessFlags, eaccess};
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Returns the first program `name` in `PATH` that is not this program itself, and not a script that
/// has called this program.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let directories = match std::env::var_os("PATH") {
        Some(path) => std::env::split_paths(&path).collect(),
        None => DIRECTORIES.map(PathBuf::from).to_vec(),
    };
    find_in(&directories, name, rounds::has_called_us)
}

fn find_in(
    directories: &[PathBuf],
    name: &str,
    has_called_us: impl Fn(&Path) -> bool,
) -> Result<PathBuf> {
    // Without /proc `rounds` notices that this program is called again.
    let us = metadata("/proc/self/exe").ok().map(|us| (us.dev(), us.ino()));
    let mut calls_us = None;
    for directory in directories {
        // An empty entry is the current directory.
        let path = Path::new(".").join(directory).join(name);
        let path = if directory.is_absolute() { directory.join(name) } else { path };
        let is_other = metadata(&path)
            .is_ok_and(|there| there.is_file() && Some((there.dev(), there.ino())) != us);
        if !is_other || eaccess(&path, AccessFlags::X_OK).is_err() {
            continue;
        }
        if !has_called_us(&path) {
            return Ok(path);
        }
        calls_us.get_or_insert(path);
    }
    let message = match calls_us {
        Some(path) => {
            let path = crate::sys::file::shown(&path);
            format!("{path}: calls oci-link again: install {name} in a directory of PATH")
        }
        None => format!("{name}: no such program in PATH besides oci-link: install it"),
    };
    Err(Error::new(Kind::Input, message).because(Cause::NotInstalled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_first_that_is_another_program() {
        let root = std::env::temp_dir().join(format!("oci-link-path-{}", std::process::id()));
        let place = |name: &str| root.join(name);
        for name in ["links", "hard", "directory/docker", "plain", "script", "real"] {
            fs::create_dir_all(place(name)).unwrap();
        }
        let own = std::env::current_exe().unwrap();
        symlink(&own, place("links/docker")).unwrap();
        // A hard link is the same file too; the test's own file can be on another file system.
        let _ = fs::hard_link(&own, place("hard/docker"));
        for (name, mode) in [("plain", 0o644), ("script", 0o755), ("real", 0o755)] {
            let file = place(name).join("docker");
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let names = ["missing", "links", "hard", "directory", "plain", "script", "real"];
        let all = names.map(place);
        let script = place("script/docker");
        let nothing_calls = |_: &Path| false;
        assert_eq!(find_in(&all, "docker", nothing_calls).unwrap(), script);
        let calls = |path: &Path| path == script;
        assert_eq!(find_in(&all, "docker", calls).unwrap(), place("real/docker"));
        let refused = |directories: &[PathBuf]| {
            find_in(directories, "docker", calls).unwrap_err().to_string()
        };
        assert!(refused(&all[..5]).starts_with("docker: no such program in PATH"));
        assert!(refused(&all[..6]).contains("calls oci-link again"), "{}", refused(&all[..6]));
        fs::remove_dir_all(&root).unwrap();
    }
}
