//! Registers oci-link as a runtime or hook with container engines. [`plan`] reads their
//! configuration files and computes the changes; [`FileChange::carry_out`] writes them. Everything
//! else in the files stays as it is.
//!
//! The text to add comes from the files in `hooks/`, which packages also ship unchanged. Paths and
//! names in them are replaced by those of this host.

mod containerd;
mod crio;
mod docker;
mod file;
mod hooks;
mod json_text;
mod podman;
mod runtime;
mod template;
mod toml_text;

pub(crate) use docker::made as docker_containers;
pub(crate) use docker::version::Version as DockerVersion;
pub(crate) use file::FileChange;
pub(crate) use podman::entry as podman_entry;
pub(crate) use runtime::{Below, Lacking, is_wrapper};

use crate::error::{Error, Kind, Result};
use crate::sys::process::exec;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The engine whose configuration changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Docker: `daemon.json`.
    Docker,
    /// podman: `containers.conf.d`, or hooks.d.
    Podman,
    /// containerd: `config.toml`, with an imported file from configuration version 3 on.
    Containerd,
    /// CRI-O: `crio.conf.d`, or hooks.d.
    Crio,
}

/// A request to register or to unregister.
#[derive(Debug, Clone)]
pub(crate) struct Registering {
    /// The engine.
    pub(crate) engine: Registration,
    /// The name of the runtime in the engine's configuration.
    pub(crate) name: RuntimeName,
    /// Whether containers that name no runtime use ours.
    pub(crate) default: bool,
    /// Whether to register hooks in hooks.d instead of a runtime.
    pub(crate) hooks: bool,
    /// Whether to remove the registration.
    pub(crate) remove: bool,
    /// The directory to which the paths of configuration files are relative, usually `/`.
    pub(crate) root: PathBuf,
    /// The home directory of the user whose engine is meant; `None` means the engine of the host's
    /// root. Only podman and docker have engines of users.
    pub(crate) home: Option<PathBuf>,
    /// The path of the oci-link program.
    pub(crate) program: PathBuf,
    /// `runtime.command` of config.toml.
    pub(crate) command: Option<PathBuf>,
    /// The runtime below, which [`plan`] finds.
    pub(crate) below: Option<Below>,
}

/// The name of a runtime. It needs no quotes in JSON, TOML or a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuntimeName(String);

impl Default for RuntimeName {
    fn default() -> Self {
        Self("oci-link".to_owned())
    }
}

impl RuntimeName {
    /// Checks `name`. The names of the real runtimes are refused.
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

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Registering {
    /// The `path` of a configuration file below the root.
    fn at(&self, path: &str) -> PathBuf {
        below(&self.root, path)
    }

    /// The `path` of a configuration file of the user, below `.config`. `None` for the engine of the
    /// host's root.
    fn in_home(&self, path: &str) -> Option<PathBuf> {
        let home = exec::below(&self.root, self.home.as_ref()?);
        Some(home.join(".config").join(path))
    }

    /// Describes the registration for messages.
    fn meaning(&self) -> String {
        if self.remove {
            return format!("no runtime {}", self.name.0);
        }
        let below = self.below.as_ref().map(|below| format!(" (runs {})", shown(&below.program)));
        let default = if self.default { ", the default" } else { "" };
        format!("runtime {}{}{default}", self.name.0, below.unwrap_or_default())
    }

    /// The path of the wrapper, beside the program. Most engines configure a runtime as a path
    /// without arguments.
    fn wrapper(&self) -> PathBuf {
        let name = self.below.as_ref().map_or("runtime", |below| below.wrapper.as_str());
        self.program.with_file_name(format!("oci-link-{name}"))
    }

    /// Plans the symbolic link from the wrapper name to the program, if it is missing. The link is
    /// never removed: a package may own it, another engine may use it, and containers remember
    /// their runtime.
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

/// Plans all file changes, in the order in which they must be carried out. The list is empty if the
/// registration is already as requested.
pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let mut request = request.clone();
    if !request.remove && !request.hooks {
        request.below = Some(below_wrapper(&request)?);
    }
    let request = &request;
    // The program that a configuration names must exist first.
    let link = match (request.engine, request.hooks) {
        (Registration::Docker, _) | (_, true) => None,
        (_, false) => request.wrappers_link()?,
    };
    let changes = match (request.engine, request.hooks) {
        (Registration::Docker, false) => docker::plan(request)?,
        (Registration::Containerd, false) => containerd::plan(request)?,
        (Registration::Podman, false) => podman::plan(request)?,
        (Registration::Crio, false) => crio::plan(request)?,
        (Registration::Podman | Registration::Crio, true) => hooks::plan(request)?,
        (Registration::Docker | Registration::Containerd, true) => {
            return Err(Error::new(Kind::Usage, "--hooks: only podman and crio have hooks.d"));
        }
    };
    Ok(link.into_iter().chain(changes).filter(FileChange::is_one).collect())
}

/// The runtime that the wrapper executes under the engine.
pub(crate) fn below_wrapper(request: &Registering) -> std::result::Result<Below, Lacking> {
    match request.engine {
        Registration::Podman => podman::below(request),
        Registration::Docker | Registration::Containerd | Registration::Crio => {
            runtime::usual(request)
        }
    }
}

/// The directories from which an engine reads hooks; empty for engines without hooks.d.
pub(crate) fn hooks_directories(request: &Registering) -> Result<Vec<PathBuf>> {
    match request.engine {
        Registration::Podman => {
            hooks::directories(&request.root, &podman::files(request)?, podman::TABLE)
        }
        Registration::Crio => {
            let files = hooks::files(&request.root, &crio::FILES)?;
            hooks::directories(&request.root, &files, crio::TABLE)
        }
        Registration::Docker | Registration::Containerd => Ok(Vec::new()),
    }
}

/// What the administrator must do after the change, such as a reload of the engine.
pub(crate) fn after(request: &Registering) -> &'static str {
    match (request.engine, request.hooks) {
        // A reload does not remove runtimes that are no longer in daemon.json.
        (Registration::Docker, _) if request.remove && request.home.is_some() => {
            "to do: systemctl --user restart docker; containers that use it must be created again"
        }
        (Registration::Docker, _) if request.home.is_some() => {
            "to do: systemctl --user reload docker (containers keep running)"
        }
        (Registration::Docker, _) if request.remove => {
            "to do: systemctl restart docker; containers that use it must be created again"
        }
        (Registration::Docker, _) => "to do: systemctl reload docker (containers keep running)",
        (Registration::Podman, true) if !request.remove => {
            "nothing to restart; from podman 4.6 on, use the runtime: hooks cannot add hosts lines"
        }
        // podman reads /etc/containers/containers.conf.d for every user.
        (Registration::Podman, false)
            if request.default && !request.remove && request.home.is_none() =>
        {
            "nothing to restart: podman reads it for each container\n\
             rootless users of this host get it too: their containers run behind oci-link, with links of \
             their own"
        }
        (Registration::Podman, _) => "nothing to restart: podman reads it for each container",
        (Registration::Containerd, _) => {
            "to do: systemctl restart containerd (containers keep running)"
        }
        (Registration::Crio, _) => "to do: systemctl restart crio (containers keep running)",
    }
}

/// What else the administrator should know, in lines. `changes` are those of [`plan`].
pub(crate) fn advice(request: &Registering, changes: &[FileChange]) -> Vec<String> {
    match request.engine {
        Registration::Docker if request.default && !request.remove && request.home.is_none() => {
            docker::advice(request, changes)
        }
        _ => Vec::new(),
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn shown(path: &Path) -> String {
    crate::sys::file::shown(path)
}
