//! Registers us with engines: what their configuration files are to say, and nothing else of them
//! changed. Deciding ([`plan`]) reads files; writing is [`FileChange::carry_out`].
//!
//! What is written comes from `hooks/`, which packages ship as it is: the paths and names of there
//! are replaced by this host's.

mod containerd;
mod crio;
mod docker;
mod file;
mod hooks;
mod json_text;
mod podman;
mod template;
mod toml_text;

pub(crate) use file::FileChange;

use crate::error::{Error, Kind, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Whose configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// `daemon.json`.
    Docker,
    /// `containers.conf.d`, or hooks.d.
    Podman,
    /// `config.toml`, with a drop-in where that is merged.
    Containerd,
    /// `crio.conf.d`, or hooks.d.
    Crio,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Registering {
    /// Whose configuration.
    pub(crate) engine: Registration,
    /// What the runtime is to be called there.
    pub(crate) name: RuntimeName,
    /// Whether containers are to have it that ask for none.
    pub(crate) default: bool,
    /// Hooks in hooks.d in place of a runtime.
    pub(crate) hooks: bool,
    /// Take away what was registered.
    pub(crate) remove: bool,
    /// What stands before every path of a configuration file.
    pub(crate) root: PathBuf,
    /// The program itself.
    pub(crate) program: PathBuf,
}

/// The name of a runtime: a word that needs no quotes in JSON, TOML or a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuntimeName(String);

impl RuntimeName {
    /// Checks `name`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
            let want = "want up to 64 letters, digits, - and _";
            return Err(Error::new(Kind::Usage, format!("--runtime {name:?}: {want}")));
        }
        if ["runc", "crun", "youki"].contains(&name) {
            return Err(Error::new(
                Kind::Usage,
                format!("--runtime {name}: is the name of another runtime"),
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Registering {
    /// `path`, below the root.
    fn at(&self, path: &str) -> PathBuf {
        below(&self.root, path)
    }

    /// What a change of a file means, for people.
    fn meaning(&self) -> String {
        let default = if self.default && !self.remove { ", the default" } else { "" };
        format!("{}runtime {}{default}", if self.remove { "no " } else { "" }, self.name.0)
    }

    /// The wrapper's own name, beside the program: most engines take a path and no arguments.
    fn wrapper(&self) -> PathBuf {
        self.program.with_file_name("oci-link-runtime")
    }

    /// What makes it, for engines that cannot do without. Nobody takes it away: packages bring it,
    /// another engine may call it, and containers remember their runtime.
    fn wrappers_link(&self) -> Result<Option<FileChange>> {
        let link = self.wrapper();
        if self.remove || link.exists() {
            return Ok(None);
        }
        if link.is_symlink() {
            let message =
                format!("{}: is a symbolic link to a missing file: remove it", shown(&link));
            return Err(Error::new(Kind::Input, message));
        }
        let name = self.program.file_name().and_then(OsStr::to_str).ok_or_else(|| {
            Error::new(Kind::Input, format!("{}: the path is not UTF-8", shown(&self.program)))
        })?;
        Ok(Some(FileChange::link(link, name)))
    }
}

/// What has to be done to the files, in this order; nothing when all is as it should be.
pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    // What an engine is told to call must be there before.
    let link = match (request.engine, request.hooks) {
        (Registration::Docker, _) | (_, true) => None,
        (_, false) => request.wrappers_link()?,
    };
    let changes = match (request.engine, request.hooks) {
        (Registration::Docker, false) => docker::plan(request)?,
        (Registration::Containerd, false) => containerd::plan(request)?,
        (Registration::Podman, false) => podman::plan(request)?,
        (Registration::Crio, false) => crio::plan(request)?,
        (Registration::Podman, true) => hooks::plan(request, podman::HOOKS)?,
        (Registration::Crio, true) => hooks::plan(request, crio::HOOKS)?,
        (Registration::Docker | Registration::Containerd, true) => {
            return Err(Error::new(Kind::Usage, "--hooks: only podman and crio have hooks.d"));
        }
    };
    Ok(link.into_iter().chain(changes).filter(FileChange::is_one).collect())
}

/// Where an engine looks for hooks, if it does.
pub(crate) fn hooks_directories(engine: Registration, root: &Path) -> Result<Vec<PathBuf>> {
    match engine {
        Registration::Podman => hooks::directories(root, podman::HOOKS),
        Registration::Crio => hooks::directories(root, crio::HOOKS),
        Registration::Docker | Registration::Containerd => Ok(Vec::new()),
    }
}

/// What has to be told to the engine afterwards.
pub(crate) fn after(request: &Registering) -> &'static str {
    match (request.engine, request.hooks) {
        // A reload does not forget what is no longer said.
        (Registration::Docker, _) if request.remove => {
            "to do: systemctl restart docker; containers that use it must be created again"
        }
        (Registration::Docker, _) => "to do: systemctl reload docker (containers keep running)",
        (Registration::Podman, true) if !request.remove => {
            "nothing to restart; from podman 4.6 on, use the runtime: hooks cannot add hosts lines"
        }
        (Registration::Podman, _) => "nothing to restart: podman reads it for each container",
        (Registration::Containerd, _) => {
            "to do: systemctl restart containerd (containers keep running)"
        }
        (Registration::Crio, _) => "to do: systemctl restart crio (containers keep running)",
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn shown(path: &Path) -> String {
    crate::sys::file::shown(path)
}
