//! `prepare`: for bundles that no engine starts. A hook cannot set variables (the runtime has read
//! config.json by then), so they are written into it beforehand, together with the hooks.

use crate::cli::Prepare;
use crate::config::STATE_DIR;
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::link::env::link_variables;
use crate::link::{Absent, resolve};
use crate::model::{ContainerId, ContainerName, Link, Variable};
use crate::oci::edit::{Document, injected_arguments};
use crate::oci::spec::{MAX_CONFIG, Spec};
use crate::sys::file;
use crate::world::sightings;
use oci_spec::runtime::{Hook, HookBuilder};
use std::path::Path;

/// How long the runtime lets a hook run, in seconds: longer than all our own waits together.
const TIMEOUT: i64 = 30;

/// Edits the bundle's config.json.
pub fn run(host: &Host, arguments: &Prepare, config: Option<&Path>) -> Result<()> {
    let bundle = std::fs::canonicalize(&arguments.bundle)
        .context(Kind::Input, || file::shown(&arguments.bundle))?;
    let path = bundle.join("config.json");
    let text = file::read_text(&path, MAX_CONFIG, Kind::Input)?;
    let document = Document::parse(&text)?;
    let spec = Spec::parse(&bundle, text.as_bytes())?;
    let declared = spec.annotations.declared()?;

    let id = container_id(arguments, &bundle);
    let name = match (declared.name, &id) {
        (Some(name), _) => name,
        (None, Ok(id)) => ContainerName::from(id),
        (None, Err(error)) => return Err(Error::new(error.kind, error.to_string())),
    };
    let own = document.own_variables()?;
    let variables = variables(host, id.as_ref().ok(), &name, &declared.links, &own)?;
    let hooks = [
        ("createRuntime", hook(host, "createRuntime", config, &injected_arguments(&variables))?),
        ("poststop", hook(host, "poststop", config, &[])?),
    ];
    let edited = document.edited(&variables, &hooks)?;
    if edited == text { Ok(()) } else { file::replace(&path, edited.as_bytes(), Kind::Input) }
}

/// The id that the container will have; by custom it is called like its bundle.
fn container_id(arguments: &Prepare, bundle: &Path) -> Result<ContainerId> {
    let directory = bundle.file_name().unwrap_or_default().to_string_lossy();
    Ok(ContainerId::new(arguments.id.as_deref().unwrap_or(&directory))?)
}

/// What the sources that run now have to say.
fn variables(
    host: &Host,
    id: Option<&ContainerId>,
    name: &ContainerName,
    links: &[Link],
    own: &[Variable],
) -> Result<Vec<Variable>> {
    let sightings = sightings(host.store.as_ref(), host.boot, id, links.iter().cloned())?;
    let sources = resolve(name, links, &sightings, Absent::Refuse)?;
    let connected =
        links.iter().zip(sources).filter_map(|(link, source)| Some((&link.alias, source?)));
    Ok(link_variables(name, connected, own, host.config.dialect))
}

/// A hook that calls this very program, with the files it was given now.
fn hook(host: &Host, stage: &str, config: Option<&Path>, more: &[String]) -> Result<Hook> {
    let program = std::env::current_exe().context(Kind::Internal, || "own path")?;
    let mut args = vec!["oci-link".to_owned()];
    let mut option = |name: &str, path: &Path| -> Result<()> {
        let absolute = std::path::absolute(path).context(Kind::Usage, || file::shown(path))?;
        let text = absolute.to_str().map(str::to_owned);
        let text = text.ok_or_else(|| Error::new(Kind::Usage, format!("{name}: not UTF-8")))?;
        args.extend([name.to_owned(), text]);
        Ok(())
    };
    if let Some(config) = config {
        option("--config", config)?;
    }
    if host.config.state_dir != Path::new(STATE_DIR) {
        option("--state-dir", &host.config.state_dir)?;
    }
    if let Some(log) = &host.config.log_file {
        option("--log-file", log)?;
    }
    args.extend(["hook".to_owned(), stage.to_owned()]);
    args.extend_from_slice(more);
    let hook = HookBuilder::default().path(program).args(args).timeout(TIMEOUT);
    hook.build().context(Kind::Internal, || "hook")
}
