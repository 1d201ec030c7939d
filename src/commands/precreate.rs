//! `precreate`: the hook of the hooks.d stage `precreate`, which may change config.json.
//!
//! It reads config.json from standard input and writes the result to standard output, to which
//! nothing else may be written. The container id is not in config.json. podman and CRI-O run the
//! hook in the bundle directory, and the id is part of its path. Other callers may use a shorter id
//! as the name of the directory.

use crate::config::{Config, Overrides};
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::concern::Concern;
use crate::lifecycle::home::open_at_home;
use crate::lifecycle::inject::{self, Hooks, NewContainer, Starts};
use crate::logging;
use crate::model::ContainerId;
use crate::oci::spec::{HostsTarget, Spec};
use std::io::{Write, stdout};
use std::path::Path;

/// Edits the config.json `text` and writes the result to standard output.
///
/// A failure of ours leaves the config.json of a container without links as it is.
pub(crate) fn run(overrides: Overrides, text: &[u8]) -> Result<()> {
    let (config, problem) = Config::load_or_salvage(overrides);
    logging::init(&config);
    let open = || open_at_home(|| Host::open(config.clone()));
    let edited = problem.map_or_else(|| open().and_then(|host| edit(&host, text)), Err);
    let edited = match edited {
        Ok(edited) => edited,
        Err(failed) => {
            Concern::of_text(text).settle("precreate", failed)?;
            text.to_owned()
        }
    };
    let written = stdout().write_all(&edited).and_then(|()| stdout().flush());
    written.map_err(|error| Error::new(Kind::Internal, format!("standard output: {error}")))
}

fn edit(host: &Host, text: &[u8]) -> Result<Vec<u8>> {
    let bundle = std::env::current_dir().context(Kind::Input, || "current directory")?;
    let spec = Spec::parse(&bundle, text)?;
    let mounted = match &spec.hosts {
        HostsTarget::Mount(path) => id_in(path),
        _ => None,
    };
    let id = id_in(&bundle).or(mounted).or_else(|| id_of_directory(&bundle));
    let container =
        NewContainer { id: id.as_ref(), bundle: &bundle, text, starts: Starts::NowByHook };
    inject::edited(host, container, Hooks::Poststop)
}

/// The last component of `path` that is an engine's container id: 64 hexadecimal digits.
fn id_in(path: &Path) -> Option<ContainerId> {
    let is_id = |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let mut names = path.iter().rev().filter_map(|name| name.to_str());
    names.find(|name| is_id(name)).and_then(|name| ContainerId::new(name).ok())
}

/// The name of the bundle directory, which by convention is the container id. podman's bundle is
/// the directory `userdata` inside of that.
fn id_of_directory(bundle: &Path) -> Option<ContainerId> {
    let mut names = bundle.iter().rev().filter_map(|name| name.to_str());
    names.find(|name| *name != "userdata").and_then(|name| ContainerId::new(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_names_its_container() {
        let id = |path: &str| id_of_directory(Path::new(path)).map(|id| id.to_string());
        assert_eq!(id("/bundles/web").as_deref(), Some("web"));
        assert_eq!(id("/containers/web/userdata").as_deref(), Some("web"));
        assert_eq!(id("/bundles/a web").as_deref(), Some("a web"));
        for path in ["/", "/userdata"] {
            assert_eq!(id(path), None, "{path}");
        }
    }
}
