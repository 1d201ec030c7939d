//! Writes link variables into config.json.
//!
//! A hook cannot set a container's environment, because the runtime has read config.json by then.
//! So `prepare`, `precreate` and the wrapper edit config.json before the runtime reads it.

use crate::engine::{self, Clues, Listing};
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::absent::{Moment, Search};
use crate::lifecycle::addresses::corrected;
use crate::lifecycle::adopt::adopt;
use crate::lifecycle::engine_links;
use crate::lifecycle::lookup::{Requester, candidates};
use crate::lifecycle::notes::record_notes;
use crate::lifecycle::remote;
use crate::lifecycle::routing::with_addresses;
use crate::lifecycle::shared_network::Future;
use crate::lifecycle::starting::names;
use crate::lifecycle::wait::PAUSE;
use crate::link::carry::{Cut, End, Gap, has_no_address};
use crate::link::env::{LinkVariables, link_variables};
use crate::link::{Candidate, OnMissing, RecipientNames, Refusal, resolve};
use crate::model::{
    ContainerId, Engine, Hostname, LinkState, Missing, Owner, Record, RecordedLink, Variable,
};
use crate::oci::annotations::Declared;
use crate::oci::edit::ConfigJson;
use crate::oci::hooks::{RESTORES, engine_link_arguments, injected_arguments, start_timeout};
use crate::oci::json;
use crate::oci::spec::Spec;
use crate::sys::file;
use crate::sys::site::whose;
use oci_spec::runtime::{Hook, HookBuilder};
use std::io::{Write, stderr};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The timeout of our hooks, in seconds. It exceeds the sum of our own waits, except for the wait
/// that the container asked for.
const TIMEOUT: i64 = 30;

/// Which hooks are written into config.json besides the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hooks<'a> {
    /// The hooks that make and remove links.
    Both,
    /// The same hooks, for one `run` of a container without links. The first one restores this config.json.
    OneRun(&'a Path),
    /// The hook that removes links. Its arguments name the variables that were injected.
    Poststop,
}

/// A container before its creation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewContainer<'a> {
    /// The future id, if it is known.
    pub(crate) id: Option<&'a ContainerId>,
    /// The bundle directory.
    pub(crate) bundle: &'a Path,
    /// The content of config.json.
    pub(crate) text: &'a [u8],
    /// When the container is created.
    pub(crate) starts: Starts,
}

/// When the container is created from the edited config.json. That limits the wait for sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starts {
    /// At once.
    Now,
    /// At once, and the engine applies the timeout of our hooks to this edit.
    NowByHook,
    /// Later, by another program. The createRuntime hook waits for sources then.
    Later,
}

/// Returns config.json with the variables of the links and with our hooks. The variables describe
/// the sources that run now. A container without links gets no hook that only removes links.
pub(crate) fn edited(
    host: &Host,
    container: NewContainer<'_>,
    hooks: Hooks<'_>,
) -> Result<Vec<u8>> {
    let text = json::text(container.text);
    let document = ConfigJson::parse(container.text, &text)?;
    let spec = Spec::parse(container.bundle, container.text)?;
    // A sandbox has the annotations of its pod.
    let is_sandbox = spec.annotations.is_sandbox();
    if is_sandbox && !matches!(hooks, Hooks::OneRun(_)) {
        return Ok(container.text.to_owned());
    }
    let declared =
        if is_sandbox { Declared::default() } else { remote::declared(host, &spec.annotations)? };
    let clues = container.id.map(|id| Clues { id, bundle: container.bundle, spec: &spec });
    let recorded = recorded_links(host, (container.starts, hooks), &spec, clues.as_ref());
    let is_isolated = declared.isolate.is_some();
    let is_plain = declared.links.is_empty() && recorded.is_empty() && !is_isolated;
    let hooked = document.has_hooks();
    if hooks == Hooks::Poststop && is_plain && !hooked {
        return Ok(container.text.to_owned());
    }
    let facts = clues.as_ref().map(engine::describe).unwrap_or_default();
    let listing = clues.as_ref().map(engine::listing).unwrap_or_default();
    if facts.is_pod_infra && !is_sandbox {
        return Ok(container.text.to_owned());
    }
    let (name, engine_name) = match (container.id, &declared.name) {
        (Some(id), _) => names(declared.name.clone(), facts.name, id),
        (None, Some(name)) => (name.clone(), None),
        (None, None) => {
            let message = "the container has no name: set org.oci-link.name, or give its id";
            return Err(Error::new(Kind::Input, message));
        }
    };
    let hostname = match container.id {
        Some(id) => facts.hostname.or_else(|| spec.hostname_or(id)),
        None => spec.hostname.clone(),
    };
    let pod = spec.annotations.pod();
    let (engine_name, pod) = (engine_name.as_ref(), pod.as_ref());
    let me = Requester { id: container.id, name: &name, engine_name, pod };
    let engine = Engine::parse(facts.engine);
    let own = document.own_variables()?;
    let variables =
        variables(host, container, (me, hostname.as_ref(), engine), &declared, (&own, &listing));
    let mut variables = variables?;
    let taken = container.id.map_or_else(Vec::new, |id| {
        let names = [Some(&name), engine_name];
        let owner = Owner { id, names, hostname: hostname.as_ref() };
        engine_links::choose(host, owner, &recorded, &listing)
    });
    let is_plain = declared.links.is_empty() && taken.is_empty() && !is_isolated;
    if hooks == Hooks::Poststop && is_plain && !hooked {
        return Ok(container.text.to_owned());
    }
    variables.extend(engine_links::variables(host, me, &taken, &own, &listing));
    let memory = [injected_arguments(&variables), engine_link_arguments(&taken)].concat();
    let waits = match declared.missing {
        Missing::Wait(time) => time.unwrap_or(host.config.wait),
        Missing::Auto if listing != Listing::None => host.config.wait,
        Missing::Auto | Missing::Fail | Missing::Defer => Duration::ZERO,
    };
    let edits = match hooks {
        Hooks::OneRun(path) => {
            let memory = [RESTORES.to_owned(), utf8(RESTORES, path)?];
            vec![
                ("createRuntime", hook(host, "createRuntime", waits, &memory)?),
                ("poststop", hook(host, "poststop", Duration::ZERO, &memory)?),
            ]
        }
        Hooks::Both => vec![
            ("createRuntime", hook(host, "createRuntime", waits, &memory)?),
            ("poststop", hook(host, "poststop", Duration::ZERO, &[])?),
        ],
        Hooks::Poststop => vec![("poststop", hook(host, "poststop", Duration::ZERO, &memory)?)],
    };
    document.edited(&variables, &edits)
}

/// The links that the engine itself has recorded for a container that the wrapper creates. An annotation
/// replaces all of them.
fn recorded_links(
    host: &Host,
    (starts, hooks): (Starts, Hooks<'_>),
    spec: &Spec,
    clues: Option<&Clues<'_>>,
) -> Vec<RecordedLink> {
    let is_created = starts == Starts::Now && !matches!(hooks, Hooks::OneRun(_));
    match clues {
        Some(clues) if is_created && !spec.annotations.name_links() => {
            engine::recorded_links(clues, host.config.docker_links)
        }
        _ => Vec::new(),
    }
}

/// The link variables of all sources that are running, or that appear within the wait.
fn variables(
    host: &Host,
    container: NewContainer<'_>,
    (me, hostname, engine): (Requester<'_>, Option<&Hostname>, Option<Engine>),
    declared: &Declared,
    (own, listing): (&[Variable], &Listing),
) -> Result<Vec<Variable>> {
    let links = &declared.links;
    let link_state: Vec<LinkState> = links.iter().cloned().map(LinkState::waiting).collect();
    adopt(host, me, &link_state, listing);
    let later = container.starts == Starts::Later;
    let search = Search {
        host,
        me,
        links: &link_state,
        missing: declared.missing,
        listing,
        moment: if later { Moment::Prepare } else { Moment::Create },
        refresh: &|| {
            record_notes(host);
            adopt(host, me, &link_state, listing);
        },
        lacks: &|source| has_no_address(&with_addresses(host, source)),
    };
    let timeout = || match container.starts {
        Starts::NowByHook => start_timeout(container.text),
        Starts::Now | Starts::Later => Ok(None),
    };
    let pause = || {
        sleep(PAUSE);
        Ok(())
    };
    let absences = search.settle(timeout, pause)?;
    let absent = match declared.missing {
        Missing::Defer => OnMissing::Defer,
        Missing::Wait(_) if later => OnMissing::Defer,
        Missing::Auto | Missing::Fail | Missing::Wait(_) => OnMissing::Refuse,
    };
    let found = candidates(host, me, &link_state)?;
    let found = corrected(host, found);
    let candidates = absences.refine(&link_state, found);
    let recipient = RecipientNames { name: me.name, hostname };
    let end = End { name: me.name, engine, addresses: &[] };
    let sources = resolve(recipient, links, &candidates, absent)
        .and_then(|sources| with_an_address(sources, end, absent))
        .map_err(|refusal| absences.explain(refusal.into()))?;
    let missing = links.iter().zip(&sources).zip(&candidates);
    for ((link, _), candidate) in missing.filter(|((_, source), _)| source.is_none()) {
        let why = match candidate {
            Candidate::Running(_) => "has no address",
            _ => "does not run",
        };
        say(
            container.starts,
            &format!("{} {why}: the variables for {} are missing", link.source, link.alias),
        );
    }
    let future = Future { id: container.id, config: container.text, listing };
    let sources = future.narrow(sources);
    let connected = links.iter().zip(&sources);
    let connected = connected.filter_map(|(link, source)| Some((&link.alias, source.as_deref()?)));
    let LinkVariables { variables, left_out } =
        link_variables(me.name, connected, own, host.config.dialect);
    for variable in left_out {
        say(container.starts, &format!("{}: {variable}", me.name));
    }
    log::debug!("{}: {} link variables for config.json", me.name, variables.len());
    Ok(variables)
}

/// Takes out the sources that have no address yet, or refuses the first of them. The addresses of the
/// recipient are not known before it is created.
fn with_an_address<'a>(
    mut sources: Vec<Option<&'a Record>>,
    recipient: End<'_>,
    absent: OnMissing,
) -> std::result::Result<Vec<Option<&'a Record>>, Refusal> {
    for connected in &mut sources {
        let Some(source) = connected.filter(|source| has_no_address(source)) else { continue };
        if absent == OnMissing::Refuse {
            let cut = Cut::new(Gap::SourceAddress, recipient, End::of(source));
            return Err(Refusal::CannotCarry(cut));
        }
        *connected = None;
    }
    Ok(sources)
}

/// Logs `note`. `prepare` also prints it; behind an engine, standard error is lost.
fn say(starts: Starts, note: &str) {
    log::warn!("{note}");
    if starts == Starts::Later {
        let _ = writeln!(stderr(), "oci-link: {note}");
    }
}

/// The path of an option `name`, as text for config.json.
fn utf8(name: &str, path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::new(Kind::Usage, format!("{name}: not UTF-8")))
}

/// A hook that calls this program with the current configuration file, state directory and log
/// file.
fn hook(host: &Host, phase: &str, waits: Duration, memory: &[String]) -> Result<Hook> {
    let program = std::env::current_exe().context(Kind::Internal, || "own path")?;
    let mut args = vec!["oci-link".to_owned()];
    let mut option = |name: &str, path: &Path| -> Result<()> {
        let absolute = std::path::absolute(path).context(Kind::Usage, || file::shown(path))?;
        args.extend([name.to_owned(), utf8(name, &absolute)?]);
        Ok(())
    };
    if let Some(config) = &host.config.named {
        option("--config", config)?;
    }
    if host.config.state_dir != whose().state_dir() {
        option("--state-dir", &host.config.state_dir)?;
    }
    if let Some(log) = &host.config.log_file {
        option("--log-file", log)?;
    }
    args.extend(["hook".to_owned(), phase.to_owned()]);
    args.extend_from_slice(memory);
    let waits = i64::try_from(waits.as_secs()).unwrap_or(0);
    let hook = HookBuilder::default().path(program).args(args).timeout(TIMEOUT + waits);
    hook.build().context(Kind::Internal, || "hook")
}
