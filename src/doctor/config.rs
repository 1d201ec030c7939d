//! config.toml and the log that it names.

use super::check::{Check, Fix, advice, word};
use super::config_edit;
use crate::config::users::own_file;
use crate::config::{CONFIG_FILE, Config, Overrides};
use crate::logging::SYSLOG;
use crate::sys::file::shown;
use crate::sys::private_dir::Directory;
use crate::sys::site::{Whose, whose};
use nix::libc;
use nix::unistd::{AccessFlags, access};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};

/// Returns the configuration, the path of its file and the checks. Without a readable file the
/// configuration consists of the defaults and the options of the command line.
pub(crate) fn examine(overrides: &Overrides) -> (Config, PathBuf, Vec<Check>) {
    let own = own_file(whose());
    let usual = own.as_deref().unwrap_or(Path::new(CONFIG_FILE));
    let path = overrides.config.as_deref().unwrap_or(usual);
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut checks = Vec::new();
    let there = fs::symlink_metadata(&path).is_ok();
    let config = match Config::load(overrides.clone()) {
        Ok(config) => {
            let detail = if there { shown(&path) } else { "no file: default settings".to_owned() };
            checks.push(owner(&path, there).unwrap_or_else(|| Check::ok("config.toml", detail)));
            config
        }
        Err(error) => {
            let fix = advice("correct or remove it: until then no container with links starts");
            checks.push(Check::fault("config.toml", error.to_string(), fix));
            checks.extend(owner(&path, there));
            Config {
                state_dir: overrides.state_dir.clone().unwrap_or(Config::default().state_dir),
                log_file: overrides.log_file.clone(),
                ..Config::default()
            }
        }
    };
    checks.push(log(config.log_file.as_deref(), &path, overrides));
    (config, path, checks)
}

/// Checks that only root can change the file: it names a program that runs as root.
fn owner(path: &Path, there: bool) -> Option<Check> {
    let metadata = fs::metadata(path).ok().filter(|_| there)?;
    let name = word(path);
    if whose() != Whose::Root {
        return None;
    }
    if metadata.uid() != 0 {
        let cause = format!(
            "{} belongs to user {}, who can change what runs as root",
            shown(path),
            metadata.uid()
        );
        return Some(Check::fault("config.toml", cause, format!("chown root:root {name}")));
    }
    if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o7777;
        let cause =
            format!("{} has mode {mode:o}: other users can change what runs as root", shown(path));
        return Some(Check::fault("config.toml", cause, format!("chmod go-w {name}")));
    }
    let above = path.parent().and_then(|above| fs::canonicalize(above).ok())?;
    let error = Directory::look(&above).err()?;
    let fix = format!("chown root:root {0} && chmod go-w {0}", word(&above));
    Some(Check::fault("config.toml", format!("its directory: {error}"), fix))
}

/// Checks the log: if it cannot be opened, no container starts.
fn log(path: Option<&Path>, file: &Path, overrides: &Overrides) -> Check {
    let Some(path) = path else {
        return if Path::new(SYSLOG).exists() {
            Check::ok("log", "system log")
        } else {
            let cause = "no system log: crun hides the output of hooks, so errors are lost";
            let place = match whose() {
                Whose::Root => "/var/log/oci-link.log".to_owned(),
                whose => shown(&whose.runtimes().join("oci-link.log")),
            };
            let fix = config_edit::set(overrides, "log.file", &place);
            Check::warning("log", cause, fix)
        };
    };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let opened = OpenOptions::new().append(true).custom_flags(flags).open(path);
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let is_there = !matches!(&opened, Err(error) if error.kind() == ErrorKind::NotFound);
    let cause = match opened {
        Ok(_) => return Check::ok("log", shown(path)),
        Err(error) if error.kind() != ErrorKind::NotFound => error.to_string(),
        Err(_) => match access(above, AccessFlags::W_OK | AccessFlags::X_OK) {
            Ok(()) => {
                return Check::ok(
                    "log",
                    format!("{}: created with the first message", shown(path)),
                );
            }
            Err(errno) => format!("{}: {}", shown(above), errno.desc()),
        },
    };
    let cause = format!("{} cannot be written: {cause}", shown(path));
    let fix: Fix = match config_edit::unset(overrides, file, "log.file") {
        _ if !is_there => format!("mkdir -p {} && touch {}", word(above), word(path)).into(),
        Some(unset) if overrides.log_file.is_none() => unset.into(),
        _ => advice("name another file with --log-file"),
    };
    Check::fault("log", cause, fix)
}
