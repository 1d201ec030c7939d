//! `runtime`: the wrapper that engines run in place of runc, crun or youki, and that executes the
//! real runtime.
//!
//! It works under every engine. At `create`, variables can still be added to config.json. At
//! `start`, network and hosts file are final, and the container's program has not started. `state` of a
//! container whose process is gone ends its links. All other commands are passed on unchanged.

mod known;

use super::{runtime_edit, runtime_exec, runtime_log, runtime_memory};
use crate::config::{Config, Overrides};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::concern::{Concern, settle_end};
use crate::lifecycle::home::{at_home, open_at_home};
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::starting::StartingContainer;
use crate::model::ContainerId;
use crate::oci::command_line::{Action, CommandLine, Execution};
use crate::sys::file;
use crate::sys::process::apart::apart;
use crate::sys::process::exec::{self, SavedSignals};
use crate::sys::process::rounds;
use crate::sys::site::{self, whose};
use crate::{lifecycle, logging};
use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

/// Acts on `arguments` and then replaces this process by the runtime. Returns only on an error, or
/// with the exit status of a runtime that ran as a child.
///
/// Only the start of a container with links can fail for a reason of ours. Every other command gets the
/// runtime's own result.
pub(crate) fn run(overrides: Overrides, name: Option<&str>, arguments: &[OsString]) -> Result<u8> {
    let line = CommandLine::parse(arguments);
    let ended = stand_in(overrides, name, &line, arguments);
    if let (Err(error), Some(log)) = (&ended, &line.log) {
        runtime_log::append(log, line.json_log, &error.to_string());
    }
    ended
}

fn stand_in(
    overrides: Overrides,
    name: Option<&str>,
    line: &CommandLine,
    arguments: &[OsString],
) -> Result<u8> {
    let wrapped = Wrapped::find(overrides, name, line, arguments)?;
    if line.action == Action::Other {
        return Err(exec::replace(&wrapped.program, arguments));
    }
    if let Action::Exec(execution) = &line.action {
        return Err(wrapped.exec(line, execution, arguments));
    }
    match line.action {
        // Engines read its whole output as the state.
        Action::State(_) => logging::init_quietly(&wrapped.config),
        _ => logging::init(&wrapped.config),
    }
    let saved = match SavedSignals::for_acting() {
        Ok(saved) => saved,
        Err(failed) => {
            wrapped.settle(line, failed)?;
            return Err(exec::replace(&wrapped.program, arguments));
        }
    };
    if let Action::Delete(id) = &line.action {
        // `delete --force` kills the container: the runtime runs first, then the links are removed.
        return match exec::wait_for(&wrapped.program, arguments, saved) {
            Ok(status) => Ok(wrapped.after_delete(id, status)),
            // Without descriptors or memory for a child, the runtime may still succeed in our place.
            Err(failed) => {
                settle_end(&id.to_string_lossy(), &failed);
                saved.restore();
                Err(exec::replace(&wrapped.program, arguments))
            }
        };
    }
    let act = || wrapped.act(line, arguments).or_else(|failed| wrapped.settle(line, failed));
    // The runtime must stay where the engine is, and there is no way back from the site.
    let settled = if whose().has_site_elsewhere() {
        apart(act).unwrap_or_else(|failed| wrapped.settle(line, failed))
    } else {
        act()
    };
    if settled.is_ok() {
        wrapped.remember(line, arguments);
    }
    saved.restore();
    settled.and_then(|()| Err(exec::replace(&wrapped.program, arguments)))
}

/// The real runtime, and our configuration.
struct Wrapped {
    config: Config,
    /// Why config.toml is used in part only.
    problem: Option<Error>,
    program: PathBuf,
    /// Whether the program's name was chosen by config.toml and not by the wrapper's own name.
    by_config: bool,
    /// The bundle of the container that starts, as soon as it is known.
    bundle: RefCell<Option<PathBuf>>,
}

impl Wrapped {
    fn find(
        overrides: Overrides,
        name: Option<&str>,
        line: &CommandLine,
        arguments: &[OsString],
    ) -> Result<Self> {
        // A command that is only passed on does not need config.toml if the runtime is known.
        let (config, problem) = match (name, &line.action) {
            (Some(_), Action::Other) => (Config::default(), None),
            _ => Config::load_or_salvage(overrides),
        };
        let program = match name {
            Some(name) => exec::find(Some(Path::new(name)))?,
            None => match remembered_runtime(&config, line, arguments) {
                Some(program) => program,
                None => exec::find(config.runtime.as_deref())?,
            },
        };
        if rounds::is_called_again(&program, arguments) {
            if let Action::Create(creation) | Action::Run(creation) = &line.action {
                runtime_memory::forget(&config.state_dir, &creation.id);
            }
            let shown = file::shown(&program);
            let message = format!("runtime \"{shown}\": calls oci-link again: set runtime.command");
            return Err(Error::new(Kind::Input, message));
        }
        Ok(Self { config, problem, program, by_config: name.is_none(), bundle: RefCell::default() })
    }

    /// Does our part of a command.
    fn act(&self, line: &CommandLine, arguments: &[OsString]) -> Result<()> {
        let begun = Instant::now();
        match &line.action {
            Action::Create(creation) => {
                runtime_edit::before_create(&open_at_home(|| self.host())?, creation)
            }
            Action::Run(creation) => {
                let exists = || self.home_of(&creation.id, line).is_some_and(|home| home.exists());
                runtime_edit::before_run(&open_at_home(|| self.host())?, creation, exists)
            }
            Action::Start(id) => {
                let state = self.state_of(id, line, arguments)?;
                self.bundle.replace(state.bundle.clone());
                site::enter(state.pid)?;
                at_home(AfterHook::Continue, || {
                    let host = self.host()?;
                    let container = StartingContainer::read(&host, &state)?;
                    lifecycle::start(&host, container, AfterHook::Continue)
                })?;
                log::debug!(
                    "{}: start: links done after {:.1?}",
                    state.id.brief(),
                    begun.elapsed()
                );
                Ok(())
            }
            Action::State(id) => {
                let id = checked(id)?;
                // In a child process that need not come back, see `apart`.
                let after = if whose().has_site_elsewhere() {
                    AfterHook::Exit
                } else {
                    AfterHook::Continue
                };
                // A bad config.toml is used in part, as at `delete`.
                at_home(after, || lifecycle::retire(&Host::open(self.config.clone())?, &id))
            }
            Action::Delete(_) | Action::Exec(_) | Action::Other => Ok(()),
        }
    }

    /// Executes the runtime for another process in a container, which gets the link variables too.
    fn exec(&self, line: &CommandLine, execution: &Execution, arguments: &[OsString]) -> Error {
        let home = || self.home_of(&execution.id, line);
        let program = &self.program;
        let edited = runtime_exec::edited(&self.config, program, execution, home);
        // The file stays open until the runtime has replaced this process.
        match &edited {
            Some(file) => exec::replace(program, &execution.with_process(arguments, &file.path())),
            None => exec::replace(program, arguments),
        }
    }

    /// Opens the host. A bad config.toml is an error here, because links depend on it.
    fn host(&self) -> Result<Host> {
        match &self.problem {
            Some(problem) => Err(problem.again()),
            None => Host::open(self.config.clone()),
        }
    }

    /// Settles a failure of our part: fatal for a container with links only.
    fn settle(&self, line: &CommandLine, failed: Error) -> Result<()> {
        match &line.action {
            Action::Create(creation) | Action::Run(creation) => {
                Concern::of_file(&creation.config_file())
                    .settle(&creation.id.to_string_lossy(), failed)
            }
            Action::Start(id) => {
                let concern = self
                    .config_of(id, line)
                    .map_or(Concern::Unlinked, |config| Concern::of_file(&config));
                concern.settle(&id.to_string_lossy(), failed)?;
                self.publish_anyway(id, line)
            }
            Action::State(id) => {
                settle_end(&id.to_string_lossy(), &failed);
                Ok(())
            }
            Action::Delete(_) | Action::Exec(_) | Action::Other => Ok(()),
        }
    }

    /// Records a container without links in spite of a bad config.toml.
    fn publish_anyway(&self, id: &OsString, line: &CommandLine) -> Result<()> {
        if self.problem.is_none() {
            return Ok(());
        }
        let published = self.known_state(id, line).ok_or_else(|| no_state(id)).and_then(|state| {
            at_home(AfterHook::Continue, || {
                let host = Host::open(self.config.clone())?;
                let container = StartingContainer::read(&host, &state)?;
                lifecycle::start(&host, container, AfterHook::Continue)
            })
        });
        published.or_else(|failed| Concern::Unlinked.settle(&id.to_string_lossy(), failed))
    }

    /// Removes the links of `id` unless the container still runs after a failed `delete`. Returns the
    /// runtime's exit status as a shell would.
    ///
    /// Failures of our own are only logged: for the engine the container is deleted.
    fn after_delete(&self, id: &OsString, status: ExitStatus) -> u8 {
        if let Some(problem) = &self.problem {
            log::warn!("{problem}");
        }
        // crun also accepts a regular expression in place of an id. There is no record for one.
        if let Ok(checked) = checked(id) {
            let ended = at_home(AfterHook::Exit, || {
                end(&Host::open(self.config.clone())?, &checked, status)
            });
            if let Err(failed) = ended {
                settle_end(&id.to_string_lossy(), &failed);
            }
        }
        if status.success() {
            runtime_memory::forget(&self.config.state_dir, id);
        }
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        u8::try_from(code).unwrap_or(1)
    }

    /// Remembers the runtime of a container that is created, if config.toml chose it.
    fn remember(&self, line: &CommandLine, arguments: &[OsString]) {
        // A container that `run` waits for is deleted without another command.
        let stays = |word: &OsString| ["-d", "--detach", "-detach"].iter().any(|flag| word == flag);
        let created = match &line.action {
            Action::Create(creation) => Some(creation),
            Action::Run(creation) if arguments.iter().any(stays) => Some(creation),
            _ => None,
        };
        if let Some(creation) = created.filter(|_| self.by_config) {
            runtime_memory::remember(&self.config, &creation.id, &self.program);
        }
    }
}

fn end(host: &Host, id: &ContainerId, status: ExitStatus) -> Result<()> {
    let records = host.store.namesakes(id)?;
    let mut lives = !records.is_empty();
    for record in &records {
        lives &= is_running(record, host.boot)?;
    }
    if status.success() || !lives { lifecycle::stop(host, id, AfterHook::Continue) } else { Ok(()) }
}

fn no_state(id: &OsString) -> Error {
    let id = id.to_string_lossy().escape_debug().to_string();
    Error::new(Kind::Namespace, format!("{id}: the runtime has no state file of it"))
}

/// The runtime that an existing container was created with, if config.toml chose it then.
fn remembered_runtime(
    config: &Config,
    line: &CommandLine,
    arguments: &[OsString],
) -> Option<PathBuf> {
    match &line.action {
        Action::Create(_) | Action::Run(_) => None,
        Action::Start(id)
        | Action::Delete(id)
        | Action::State(id)
        | Action::Exec(Execution { id, .. }) => runtime_memory::recall(&config.state_dir, id),
        // The id is the first word that is one; values of options are rarely ids.
        Action::Other => arguments
            .iter()
            .skip(line.globals + 1)
            .filter(|word| !word.to_string_lossy().starts_with('-'))
            .find_map(|word| runtime_memory::recall(&config.state_dir, word)),
    }
}

fn checked(id: &OsString) -> Result<ContainerId> {
    Ok(ContainerId::new(&id.to_string_lossy())?)
}
