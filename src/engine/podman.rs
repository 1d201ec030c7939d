//! podman marks its containers with the annotation `io.container.manager` and lists them in
//! containers/storage.
//!
//! It lets conmon run the runtime, with the container's id and name in conmon's arguments.
//!
//! Ports come from the image. Ports of `--expose` and `--publish` are only in podman's database,
//! which is private to podman; `org.oci-link.ports` declares them.

use super::engine_env::without_added;
use super::storage::{GraphRoot, Image, StoredContainer};
use super::{Clues, EngineFiles, Facts, Listing, known};
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, ContainerName};
use crate::oci::spec::HostsTarget;
use crate::sys::file;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};

/// Number of ancestors to search for conmon. It is the runtime's parent, or further up if wrappers
/// run in between.
const GENERATIONS: usize = 6;
/// Size limit of a /proc file. conmon's arguments contain a complete podman command line, to run at
/// exit.
const MAX_ARGUMENTS: u64 = 256 << 10;

pub(super) struct Podman;

impl EngineFiles for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn made(&self, clues: &Clues<'_>) -> bool {
        clues.spec.annotations.get("io.container.manager") == Some("libpod")
    }

    fn facts(&self, clues: &Clues<'_>) -> Result<Facts> {
        let (listed, image) = match stored(clues) {
            Ok((entry, image)) => (entry.name, Some(image)),
            Err(error) => {
                log::warn!(
                    "{}: cannot read the exposed ports from podman's storage: {error}",
                    clues.id.brief()
                );
                (None, None)
            }
        };
        let named = image.as_ref().map(|image| image.environment.as_slice()).unwrap_or_default();
        let hostname = clues.spec.hostname.as_ref();
        Ok(Facts {
            name: listed.or_else(|| conmons_name(clues.id)),
            environment: Some(without_added(&clues.spec.environment, named, &[hostname])),
            ports: image.map(|image| image.ports),
            ..Facts::default()
        })
    }

    fn listing(&self, clues: &Clues<'_>) -> Listing {
        let hosts = match &clues.spec.hosts {
            HostsTarget::Mount(path) => Some(path.as_path()),
            _ => None,
        };
        // The files that podman mounts are below its run root.
        let mounted = [hosts, clues.spec.resolv_conf.as_deref()];
        let run = mounted.into_iter().flatten().find_map(|p| GraphRoot::of_container(p, clues.id));
        let directories = [graph(clues), run].into_iter().flatten().map(|root| root.containers());
        let directories: Vec<PathBuf> = directories.collect();
        if directories.is_empty() { Listing::None } else { Listing::Podman { directories } }
    }
}

/// crun may report `/` as the bundle.
fn graph(clues: &Clues<'_>) -> Option<GraphRoot> {
    GraphRoot::of_container(clues.bundle, clues.id)
        .or_else(|| GraphRoot::of_rootfs(clues.spec.root().ok()?))
}

fn stored(clues: &Clues<'_>) -> Result<(StoredContainer, Image)> {
    let graph = graph(clues).ok_or_else(|| {
        Error::new(Kind::Input, "config.json contains no path of podman's storage")
    })?;
    let entry = graph.entry(clues.id)?;
    let image = graph.image_of(&entry)?;
    Ok((entry, image))
}

/// Returns the container's name from the arguments of the conmon among this process's ancestors.
fn conmons_name(id: &ContainerId) -> Option<ContainerName> {
    let proc = |pid: u32, name: &str| {
        let path = format!("/proc/{pid}/{name}");
        file::read(Path::new(&path), MAX_ARGUMENTS, Kind::Input).ok()
    };
    let mut pid = parent_id();
    for _ in 0..GENERATIONS {
        if let Some(name) = parse_conmon(&proc(pid, "cmdline")?, id) {
            return Some(name);
        }
        pid = parse_parent(&proc(pid, "status")?)?;
    }
    None
}

/// Returns the parent's pid from `/proc/<pid>/status`.
pub(crate) fn parse_parent(status: &[u8]) -> Option<u32> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let parent = lines.find_map(|line| line.strip_prefix(b"PPid:"))?;
    std::str::from_utf8(parent).ok()?.trim().parse().ok()
}

/// Returns the container's name from conmon's arguments, each ended by a NUL.
///
/// The arguments are `conmon … -c <id> … -n <name> …`. Returns `None` if the program is not conmon
/// or the id is not `id`.
pub(crate) fn parse_conmon(arguments: &[u8], id: &ContainerId) -> Option<ContainerName> {
    let mut words = arguments.split(|byte| *byte == 0).map(|word| std::str::from_utf8(word).ok());
    if Path::new(words.next()??).file_name()? != "conmon" {
        return None;
    }
    let (mut of, mut name) = (None, None);
    while let Some(word) = words.next() {
        let value = match word? {
            "-c" | "--cid" => &mut of,
            "-n" | "--name" => &mut name,
            // The next word belongs to podman or the runtime, even if it looks like an option of
            // conmon.
            "--exit-command-arg" | "--runtime-arg" => {
                words.next();
                continue;
            }
            _ => continue,
        };
        let given = words.next().flatten();
        *value = value.or(given);
    }
    if of? == id.as_str() { known(ContainerName::new(name?)) } else { None }
}
