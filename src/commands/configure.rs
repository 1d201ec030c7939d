//! `configure`: registers oci-link with an engine.

use super::say;
use crate::cli::{self, Configure};
use crate::config::{CONFIG_FILE, Config, Overrides};
use crate::configure::{self, Registering, Registration, RuntimeName};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::file;
use crate::sys::process::exec;
use crate::sys::site::whose;
use crate::sys::users;
use std::path::{Path, PathBuf};

/// Changes the engine's configuration, or prints the changes with `--dry-run`.
pub(crate) fn run(overrides: Overrides, arguments: &Configure) -> Result<()> {
    let request = request(overrides, arguments)?;
    let changes = configure::plan(&request)?;
    // Docker's files are read before daemon.json changes.
    let mut advice = configure::advice(&request, &changes).join("\n");
    if !advice.is_empty() {
        advice.push('\n');
    }
    if changes.is_empty() {
        return say(&format!("nothing to change\n{advice}"));
    }
    for change in &changes {
        if !arguments.dry_run {
            change.carry_out()?;
        }
        say(&format!("{} {}: {}\n", change.verb(), file::shown(&change.path), change.meaning))?;
        if let (true, false, Some(text)) = (arguments.dry_run, change.is_link, &change.after) {
            say(text)?;
            say(if text.ends_with('\n') { "" } else { "\n" })?;
        }
    }
    say(&format!("{}\n{advice}", configure::after(&request)))
}

fn request(mut overrides: Overrides, arguments: &Configure) -> Result<Registering> {
    let root = arguments.root.clone().unwrap_or_else(|| Path::new("/").to_path_buf());
    // A registration can be removed whatever config.toml contains.
    let command = if arguments.remove || arguments.hooks {
        None
    } else {
        if root != Path::new("/") {
            overrides.config.get_or_insert_with(|| exec::below(&root, Path::new(CONFIG_FILE)));
        }
        Config::load(overrides)?.runtime
    };
    let program = std::env::current_exe().context(Kind::Internal, || "own path")?;
    Ok(Registering {
        engine: match arguments.engine {
            cli::EngineName::Docker => Registration::Docker,
            cli::EngineName::Podman => Registration::Podman,
            cli::EngineName::Containerd => Registration::Containerd,
            cli::EngineName::Crio => Registration::Crio,
        },
        name: RuntimeName::new(&arguments.runtime)?,
        default: arguments.default,
        hooks: arguments.hooks,
        remove: arguments.remove,
        home: home(&root)?,
        root,
        program,
        command,
        below: None,
    })
}

/// The home directory of the ordinary user who runs this program, also in the user namespace of the user's
/// engine; `None` for root.
fn home(root: &Path) -> Result<Option<PathBuf>> {
    let Some(uid) = whose().uid() else { return Ok(None) };
    let home = users::home(root, uid).ok_or_else(|| {
        let message = format!(
            "user {uid}: /etc/passwd names no home directory for it: write the engine's file yourself"
        );
        Error::new(Kind::Input, message)
    });
    home.map(Some)
}
