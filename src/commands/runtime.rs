//! `runtime`: the wrapper that engines run in place of runc, crun or youki, and that executes the
//! real runtime.
//!
//! It works under every engine. At `create`, variables can still be added to config.json. At
//! `start`, network and hosts file are final, and the container's program has not started. All
//! other commands are passed on unchanged.

use super::runtime_log;
use crate::config::{Config, Overrides};
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::lifecycle::inject::{self, Hooks, NewContainer, Starts};
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::starting::{StartingContainer, remembered};
use crate::model::ContainerId;
use crate::oci::annotations::declares_links;
use crate::oci::command_line::{Action, CommandLine, Creation};
use crate::oci::runtime_state::RuntimeState;
use crate::oci::spec::MAX_CONFIG;
use crate::oci::state::State;
use crate::sys::file;
use crate::sys::process::child;
use crate::sys::process::exec::{self, SavedSignals};
use crate::{lifecycle, logging};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

/// Timeout for the runtime's `state` command, in milliseconds.
const PATIENCE: u16 = 5000;

/// Acts on `arguments` and then replaces this process by the runtime. Returns only on an error, or
/// with the exit status of a runtime that ran as a child.
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
    let wrapped = Wrapped::find(overrides, name, line)?;
    if line.action == Action::Other {
        return Err(exec::replace(&wrapped.program, arguments));
    }
    let posture = SavedSignals::for_acting()?;
    logging::init(&wrapped.config)?;
    let status = wrapped.act(line, arguments, posture)?;
    posture.restore();
    match status {
        Some(status) => Ok(status),
        None => Err(exec::replace(&wrapped.program, arguments)),
    }
}

/// The real runtime, and our configuration.
struct Wrapped {
    config: Config,
    program: PathBuf,
}

impl Wrapped {
    fn find(overrides: Overrides, name: Option<&str>, line: &CommandLine) -> Result<Self> {
        let named = name.map(PathBuf::from);
        // A command that is only passed on does not need config.toml if the runtime is known.
        let config = match (&named, &line.action) {
            (Some(_), Action::Other) => Config::default(),
            _ => Config::load(overrides)?,
        };
        let program = exec::find(named.as_ref().unwrap_or(&config.runtime))?;
        Ok(Self { config, program })
    }

    /// Does our part of a command. Returns the runtime's exit status if the runtime already ran as
    /// a child; otherwise the caller executes the runtime.
    fn act(
        &self,
        line: &CommandLine,
        arguments: &[OsString],
        posture: SavedSignals,
    ) -> Result<Option<u8>> {
        let begun = Instant::now();
        let host = Host::open(self.config.clone())?;
        match &line.action {
            Action::Create(creation) => edit(&host, creation, Hooks::Poststop)?,
            Action::Run(creation) => edit(&host, creation, Hooks::Both)?,
            Action::Start(id) => {
                let state = self.state_of(id, line, arguments)?;
                lifecycle::start(
                    &host,
                    StartingContainer::read(&host, &state)?,
                    AfterHook::Continue,
                )?;
                log::debug!("{}: start: links done after {:.1?}", state.id, begun.elapsed());
            }
            Action::Delete(id) => {
                // `delete --force` kills the container: the runtime runs first, then the links are
                // removed.
                let status = exec::wait_for(&self.program, arguments, posture)?;
                return Ok(Some(after_delete(&host, id, status)));
            }
            Action::Other => {}
        }
        Ok(None)
    }

    /// Reads pid and bundle of a container from the runtime's state files. If there are none, the
    /// runtime's `state` command is asked.
    fn state_of(&self, id: &OsString, line: &CommandLine, arguments: &[OsString]) -> Result<State> {
        let checked = checked(id)?;
        let name = self.program.file_name().unwrap_or_default();
        let root = line.root.clone().unwrap_or_else(|| Path::new("/run").join(name));
        let known = remembered(&root.join(checked.as_str()));
        let known = match known {
            Some(known) => known,
            None => self.ask(&checked, line, arguments)?,
        };
        Ok(State {
            id: checked,
            stopped: false,
            pid: Some(known.pid),
            bundle: Some(known.bundle),
            annotations: None,
        })
    }

    /// Runs `runtime <global options> state ID` and parses the output.
    fn ask(
        &self,
        id: &ContainerId,
        line: &CommandLine,
        arguments: &[OsString],
    ) -> Result<RuntimeState> {
        let globals = arguments.iter().take(line.globals).map(|argument| argument.to_str());
        let words: Option<Vec<&str>> =
            globals.chain(["state", "--", id.as_str()].map(Some)).collect();
        let not_text = || Error::new(Kind::Usage, "the runtime's options are not UTF-8");
        let program = self.program.to_str().ok_or_else(not_text)?;
        let words = words.ok_or_else(not_text)?;
        let output = child::run(program, &words, "", PATIENCE, Kind::Namespace)?;
        RuntimeState::parse(output.stdout.as_bytes())
    }
}

/// Removes the links of `id` unless the container still runs after a failed `delete`. Returns the
/// runtime's exit status as a shell would.
///
/// Failures of our own are only logged: for the engine the container is deleted. `gc` tries again.
fn after_delete(host: &Host, id: &OsString, status: ExitStatus) -> u8 {
    // crun also accepts a regular expression in place of an id. There is no record for one.
    if let Ok(id) = checked(id)
        && let Err(error) = end(host, &id, status)
    {
        log::error!("{id}: its links could not be removed; run oci-link gc: {error}");
    }
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn end(host: &Host, id: &ContainerId, status: ExitStatus) -> Result<()> {
    let record = host.store.get(id)?;
    let lives = record.map_or(Ok(false), |record| is_running(&record, host.boot))?;
    if status.success() || !lives { lifecycle::stop(host, id, AfterHook::Continue) } else { Ok(()) }
}

fn checked(id: &OsString) -> Result<ContainerId> {
    Ok(ContainerId::new(&id.to_string_lossy())?)
}

fn edit(host: &Host, creation: &Creation, hooks: Hooks) -> Result<()> {
    let id = checked(&creation.id)?;
    let bundle = std::fs::canonicalize(&creation.bundle)
        .context(Kind::Input, || file::shown(&creation.bundle))?;
    let path = creation.config_file();
    let config = file::follow(&path, MAX_CONFIG, Kind::Input)?;
    let text = config.bytes.as_slice();
    let starts = Starts::Now;
    let container = NewContainer { id: Some(&id), bundle: &bundle, text, starts };
    let edited = inject::edited(host, container, hooks)?;
    if edited == text {
        return Ok(());
    }
    match file::replace_followed(&path, &config, &edited, Kind::Input) {
        // `run` gives every container our hooks. One without links can start without them.
        Err(error) if !declares_links(text) => {
            log::warn!("{id}: no container can be linked to it: {error}");
            Ok(())
        }
        replaced => replaced,
    }
}
