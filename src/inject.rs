//! Link variables into config.json. No hook can set a container's environment (the runtime has read
//! config.json by then), so whoever comes before the runtime (`prepare`, `precreate`, the wrapper)
//! does it here.

use crate::config::STATE_DIR;
use crate::engine::{self, Clues};
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::link::env::link_variables;
use crate::link::{Absent, Naming, resolve};
use crate::model::{ContainerId, ContainerName, Link, Variable};
use crate::oci::edit::{Document, injected_arguments};
use crate::oci::spec::Spec;
use crate::sys::file;
use crate::world::sightings;
use oci_spec::runtime::{Hook, HookBuilder};
use std::path::Path;

/// How long the runtime lets a hook run, in seconds: longer than all our own waits together.
const TIMEOUT: i64 = 30;

/// Which hooks go into config.json along with the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// Those that make and unmake the links.
    Both,
    /// The one that unmakes them; it also remembers which variables are not the container's own.
    Poststop,
}

/// A container that does not exist yet.
#[derive(Debug, Clone, Copy)]
pub struct Unborn<'a> {
    /// The id that it will have, where that is known.
    pub id: Option<&'a ContainerId>,
    /// The directory of its bundle.
    pub bundle: &'a Path,
    /// Its config.json.
    pub text: &'a str,
}

/// Its config.json with the variables of its links, from the sources that run now, and with hooks.
/// Without links, hooks that only unmake them are left out too: nothing changes.
pub fn edited(host: &Host, unborn: Unborn<'_>, hooks: Hooks) -> Result<String> {
    let document = Document::parse(unborn.text)?;
    let spec = Spec::parse(unborn.bundle, unborn.text.as_bytes())?;
    let declared = spec.annotations.declared()?;
    if hooks == Hooks::Poststop && declared.links.is_empty() && !document.has_hooks() {
        return Ok(unborn.text.to_owned());
    }
    let facts =
        unborn.id.map(|id| engine::describe(&Clues { id, bundle: unborn.bundle, spec: &spec }));
    let facts = facts.unwrap_or_default();
    if facts.is_sandbox {
        return Ok(unborn.text.to_owned());
    }
    let name = declared.name.or(facts.name).or(unborn.id.map(ContainerName::from));
    let name = name.ok_or_else(|| {
        let message = "the container has no name: set org.oci-link.name, or give its id";
        Error::new(Kind::Input, message)
    })?;
    let hostname = match unborn.id {
        Some(id) => Some(facts.hostname.map_or_else(|| spec.hostname_or(id), Ok)?),
        None => spec.hostname.clone(),
    };
    let naming = Naming { name: &name, hostname: hostname.as_ref() };
    let variables =
        variables(host, unborn.id, naming, &declared.links, &document.own_variables()?)?;
    let memory = injected_arguments(&variables);
    let edits = match hooks {
        Hooks::Both => vec![
            ("createRuntime", hook(host, "createRuntime", &memory)?),
            ("poststop", hook(host, "poststop", &[])?),
        ],
        Hooks::Poststop => vec![("poststop", hook(host, "poststop", &memory)?)],
    };
    document.edited(&variables, &edits)
}

/// What the sources that run now have to say.
fn variables(
    host: &Host,
    id: Option<&ContainerId>,
    recipient: Naming<'_>,
    links: &[Link],
    own: &[Variable],
) -> Result<Vec<Variable>> {
    let sightings = sightings(host.store.as_ref(), host.boot, id, links.iter().cloned())?;
    let sources = resolve(recipient, links, &sightings, Absent::Refuse)?;
    let connected =
        links.iter().zip(sources).filter_map(|(link, source)| Some((&link.alias, source?)));
    Ok(link_variables(recipient.name, connected, own, host.config.dialect))
}

/// A hook that calls this very program, with the files that it was given now.
fn hook(host: &Host, stage: &str, memory: &[String]) -> Result<Hook> {
    let program = std::env::current_exe().context(Kind::Internal, || "own path")?;
    let mut args = vec!["oci-link".to_owned()];
    let mut option = |name: &str, path: &Path| -> Result<()> {
        let absolute = std::path::absolute(path).context(Kind::Usage, || file::shown(path))?;
        let text = absolute.to_str().map(str::to_owned);
        let text = text.ok_or_else(|| Error::new(Kind::Usage, format!("{name}: not UTF-8")))?;
        args.extend([name.to_owned(), text]);
        Ok(())
    };
    if let Some(config) = &host.config.named {
        option("--config", config)?;
    }
    if host.config.state_dir != Path::new(STATE_DIR) {
        option("--state-dir", &host.config.state_dir)?;
    }
    if let Some(log) = &host.config.log_file {
        option("--log-file", log)?;
    }
    args.extend(["hook".to_owned(), stage.to_owned()]);
    args.extend_from_slice(memory);
    let hook = HookBuilder::default().path(program).args(args).timeout(TIMEOUT);
    hook.build().context(Kind::Internal, || "hook")
}
