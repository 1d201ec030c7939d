//! `hook`: the OCI hook, which a runtime runs when a container starts or ends.

use crate::cli::{Hook, Stage};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle;
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::starting::StartingContainer;
use crate::oci::state::State;
use std::time::Instant;

/// Handles the hook. `state` is the OCI state from standard input. Without a stage on the command
/// line, a stopped container means poststop and any other one createRuntime.
pub(crate) fn run(host: &Host, arguments: &Hook, state: &[u8]) -> Result<()> {
    let state = State::parse(state)?;
    let stage = match arguments.stage {
        Some(stage) => stage,
        None if state.stopped => Stage::Poststop,
        None => Stage::CreateRuntime,
    };
    let (id, begun) = (&state.id, Instant::now());
    log::debug!("{id}: hook {stage:?}");
    match stage {
        Stage::Poststop => lifecycle::stop(host, id, AfterHook::Exit)?,
        _ => lifecycle::start(host, StartingContainer::read(host, &state)?, AfterHook::Exit)?,
    }
    log::debug!("{id}: hook {stage:?} done after {:.1?}", begun.elapsed());
    Ok(())
}
