//! Commands for the containers of a user: which of them need the namespaces of the user's engine, and which
//! records they are about.

use super::{graph, ls};
use crate::cli::Command;
use crate::config::{Config, Overrides};
use crate::error::{Error, Kind, Result};
use crate::sys::private_dir::Directory;
use crate::sys::site::{Whose, join, whose};
use std::io::{Write, stderr};

/// What a command line of a user can be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// The records of the state directory, if there is one.
    There,
    /// None: no container of the user was started with oci-link.
    Absent,
}

/// Prepares this process for a command of a user. Does nothing for root.
///
/// A user's shell sees the records, but not the rules: those are in namespaces of the user's engine, which
/// this process enters for commands that need them. It never enters those of another user.
pub(super) fn arrange(command: &Command, overrides: &Overrides) -> Result<Records> {
    let Some(uid) = whose().uid() else { return Ok(Records::There) };
    let is_shell = matches!(whose(), Whose::Shell { .. });
    let found = match command {
        Command::Watch(_) => {
            let message = format!(
                "watch: not for the containers of user {uid}: run oci-link sync and oci-link gc in \
                 its place, for example by a timer of that user"
            );
            return Err(Error::new(Kind::Usage, message));
        }
        Command::Ls(_) | Command::Graph(_) if is_shell => listed(overrides)?,
        Command::Ls(_) | Command::Graph(_) => Records::There,
        // The first container may come later. Without an engine there is nothing to join.
        Command::Events(_) => listed(overrides).map(|_| Records::There)?,
        Command::Inspect(_)
        | Command::Connect(_)
        | Command::Disconnect(_)
        | Command::Sync(_)
        | Command::Gc(_) => join().map(|_| Records::There)?,
        // It reports what it cannot see.
        Command::Doctor(_) => {
            let _ = join();
            Records::There
        }
        _ => return Ok(Records::There),
    };
    // Without a standard error the answer is complete too.
    let _ = writeln!(
        stderr(),
        "oci-link: about the containers of user {uid}; for those of root: sudo oci-link"
    );
    Ok(found)
}

/// The records of podman are in the runtime directory of the user. Those of rootless docker are in a mount
/// namespace, which is entered if there are none of podman.
fn listed(overrides: &Overrides) -> Result<Records> {
    let config = Config::load(overrides.clone())?;
    let is_there = |look: Result<Option<_>>| look.map(|found| found.is_some());
    if is_there(Directory::look(&config.state_dir))? {
        return Ok(Records::There);
    }
    if join().is_err() {
        return Ok(Records::Absent);
    }
    let config = Config::load(overrides.clone())?;
    let found = is_there(Directory::look(&config.state_dir))?;
    Ok(if found { Records::There } else { Records::Absent })
}

/// Answers `ls` and `graph` without records. `None` for other commands.
pub(super) fn answer_without_records(command: &Command) -> Option<Result<()>> {
    match command {
        Command::Ls(arguments) => Some(ls::without_records(arguments)),
        Command::Graph(arguments) => Some(graph::without_records(arguments)),
        _ => None,
    }
}
