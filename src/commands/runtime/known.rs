//! What the runtime knows about a container: its state files, or the answer of its `state` command.

use super::{Wrapped, checked};
use crate::error::{Error, Kind, Result};
use crate::lifecycle::starting::remembered;
use crate::model::ContainerId;
use crate::oci::command_line::CommandLine;
use crate::oci::runtime_state::RuntimeState;
use crate::oci::state::State;
use crate::sys::process::child;
use crate::sys::site::whose;
use std::ffi::{CString, OsString};
use std::path::PathBuf;

/// Timeout for the runtime's `state` command, in milliseconds.
const PATIENCE: u16 = 5000;

impl Wrapped {
    /// The config.json of a created container.
    pub(super) fn config_of(&self, id: &OsString, line: &CommandLine) -> Option<PathBuf> {
        let bundle = self.bundle.borrow().clone();
        Some(bundle.or_else(|| self.known_state(id, line)?.bundle)?.join("config.json"))
    }

    /// Reads pid and bundle from the runtime's state files.
    pub(super) fn known_state(&self, id: &OsString, line: &CommandLine) -> Option<State> {
        let known = remembered(&self.home_of(id, line)?)?;
        Some(state(checked(id).ok()?, known))
    }

    /// The directory in which the runtime keeps its files about a container.
    pub(super) fn home_of(&self, id: &OsString, line: &CommandLine) -> Option<PathBuf> {
        let name = self.program.file_name().unwrap_or_default();
        let root = line.root.clone().unwrap_or_else(|| whose().runtimes().join(name));
        Some(root.join(checked(id).ok()?.as_str()))
    }

    /// Reads pid and bundle of a container from the runtime's state files. If there are none, the
    /// runtime's `state` command is asked.
    pub(super) fn state_of(
        &self,
        id: &OsString,
        line: &CommandLine,
        arguments: &[OsString],
    ) -> Result<State> {
        match self.known_state(id, line) {
            Some(state) => Ok(state),
            None => {
                let checked = checked(id)?;
                let known = self.ask(&checked, line, arguments)?;
                Ok(state(checked, known))
            }
        }
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
        // A runtime without root finds its state by this variable.
        let set = ["XDG_RUNTIME_DIR=", whose().runtimes().to_str().unwrap_or_default()].concat();
        let environment = whose().uid().and_then(|_| CString::new(set).ok());
        let given = (environment.as_slice(), "");
        let output = child::run_in(program, &words, given, PATIENCE, Kind::Namespace)?;
        RuntimeState::parse(output.stdout.as_bytes())
    }
}

fn state(id: ContainerId, known: RuntimeState) -> State {
    let (pid, bundle) = (Some(known.pid), Some(known.bundle));
    State { id, stopped: false, pid, bundle, annotations: None }
}
