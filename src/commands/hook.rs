//! `hook`: the OCI hook, which a runtime runs when a container starts or ends.

use crate::cli::{Hook, Stage};
use crate::config::{Config, Overrides};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::concern::{Concern, settle_end};
use crate::lifecycle::home::at_home;
use crate::lifecycle::one_run;
use crate::lifecycle::privileges::AfterHook;
use crate::lifecycle::starting::StartingContainer;
use crate::oci::state::{State, Summary};
use crate::sys::site;
use crate::{lifecycle, logging};
use std::cell::{Cell, LazyCell};
use std::path::Path;
use std::time::Instant;

/// Handles the hook. `input` is the OCI state from standard input. Without a stage on the command
/// line, a stopped container means poststop and any other one createRuntime.
///
/// A poststop hook never fails. A hook of another stage fails only for a container with links.
pub(crate) fn run(overrides: Overrides, arguments: &Hook, input: Result<Vec<u8>>) -> Result<()> {
    let (config, problem) = Config::load_or_salvage(overrides);
    logging::init(&config);
    if let Some(path) = &arguments.restores {
        // The runtime has read it.
        one_run::put_back(path);
    }
    let (input, unread) = match input {
        Ok(input) => (input, None),
        Err(unread) => (Vec::new(), Some(unread)),
    };
    let state = unread.map_or_else(|| State::parse(&input), Err);
    let summary = LazyCell::new(|| Summary::of(&input));
    let is_poststop = match (arguments.stage, &state) {
        (Some(stage), _) => stage == Stage::Poststop,
        (None, Ok(state)) => state.stopped,
        (None, Err(_)) => summary.stopped,
    };
    if is_poststop {
        if let Some(problem) = problem {
            log::warn!("{problem}");
        }
        log_stage(&state, Stage::Poststop);
        if let Err(failed) = state.and_then(|state| stop(&config, &state)) {
            settle_end(&summary.name(), &failed);
        }
        return Ok(());
    }
    let stage = arguments.stage.unwrap_or(Stage::CreateRuntime);
    log_stage(&state, stage);
    let known = Cell::new(None);
    let started = match problem {
        Some(problem) if concern(&summary) == Concern::Linked => Err(problem),
        problem => {
            // The container has no links, so it is recorded with what config.toml has that is good.
            let _ = problem.map(|problem| log::warn!("{problem}"));
            state.and_then(|state| start(&config, &state, stage, &known))
        }
    };
    match started {
        // Without an id this is no state, and nothing tells whether the container has links.
        Err(error) if summary.id.is_none() => Err(error),
        Err(error) => {
            // A hook that has dropped its privileges cannot read config.json any more.
            let concern = known.get().unwrap_or_else(|| concern(&summary));
            concern.settle(&summary.name(), error)
        }
        done => done,
    }
}

fn log_stage(state: &Result<State>, stage: Stage) {
    if let Ok(state) = state {
        log::debug!("{}: hook {stage:?}", state.id.brief());
    }
}

/// Publishes the container and makes its links. `known` gets whether it has links as soon as that is
/// known.
fn start(
    config: &Config,
    state: &State,
    stage: Stage,
    known: &Cell<Option<Concern>>,
) -> Result<()> {
    let (id, begun) = (&state.id, Instant::now());
    site::enter(state.pid)?;
    at_home(AfterHook::Exit, || {
        let host = Host::open(config.clone())?;
        let container = StartingContainer::read(&host, state)?;
        known.set(Some(Concern::of_record(&container.record)));
        lifecycle::start(&host, container, AfterHook::Exit)
    })?;
    log::debug!("{}: hook {stage:?} done after {:.1?}", id.brief(), begun.elapsed());
    Ok(())
}

fn stop(config: &Config, state: &State) -> Result<()> {
    let (id, begun) = (&state.id, Instant::now());
    at_home(AfterHook::Exit, || {
        lifecycle::stop(&Host::open(config.clone())?, id, AfterHook::Exit)
    })?;
    let stage = Stage::Poststop;
    log::debug!("{}: hook {stage:?} done after {:.1?}", id.brief(), begun.elapsed());
    Ok(())
}

/// Whether the container of a state asks for links, by its config.json or by the state itself.
fn concern(summary: &Summary) -> Concern {
    if summary.annotations.declare_links() {
        return Concern::Linked;
    }
    let bundle = summary.bundle.as_deref().unwrap_or_default();
    Concern::of_file(&Path::new(bundle).join("config.json"))
}
