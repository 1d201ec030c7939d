//! Registers the runtime with podman, in a drop-in file of containers.conf.
//!
//! The wrapper executes the runtime that podman uses without us, and has its capabilities: podman
//! looks both up by the runtime's name.

mod settings;

use super::file::FileChange;
use super::runtime::{Below, Lacking, by_name, file_at, is_wrapper};
use super::{Registering, hooks, template};
use crate::error::{Error, Kind, Result};
use crate::sys::process::exec::{self, DIRECTORIES, RUNTIMES};
use settings::{Settings, value};
use std::path::{Path, PathBuf};

/// Our drop-in, for podman of root and of all users.
const DROP_IN: &str = "/etc/containers/containers.conf.d/oci-link.conf";

/// podman's files in the order in which it reads them. It reads those of a user after them.
const FILES: [&str; 3] = [
    "/usr/share/containers/containers.conf",
    "/etc/containers/containers.conf",
    "/etc/containers/containers.conf.d/",
];

/// The table of these files that we read.
pub(crate) const TABLE: &[&str] = &["engine"];

/// The order in which podman looks for a runtime if none is configured.
const ORDER: [&str; 4] = ["crun", "runc", "kata", "runsc"];

/// The directories in which podman looks for a runtime, before those of `PATH`.
const PLACES: [&str; 8] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/sbin",
    "/bin",
    "/usr/lib/cri-o-runc/sbin",
    "/run/current-system/sw/bin",
];

pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let after = if request.remove { None } else { Some(drop_in(request)?) };
    Ok(vec![FileChange::whole(ours(request), after, &request.meaning())?])
}

/// The path of our drop-in.
fn ours(request: &Registering) -> PathBuf {
    let own = request.in_home("containers/containers.conf.d/oci-link.conf");
    own.unwrap_or_else(|| request.at(DROP_IN))
}

/// podman's files that may exist, in the order in which it reads them.
pub(crate) fn files(request: &Registering) -> Result<Vec<PathBuf>> {
    let mut files = hooks::files(&request.root, &FILES)?;
    if let Some(own) = request.in_home("containers/containers.conf") {
        let parts = own.with_file_name("containers.conf.d");
        files.push(own);
        files.extend(hooks::parts(&parts)?);
    }
    Ok(files)
}

/// The text of the drop-in.
fn drop_in(request: &Registering) -> Result<String> {
    let mut text = template::runtime(include_str!("../../hooks/podman.conf"), request)?;
    let settings = Settings::read(&files(request)?, &ours(request))?;
    if let (true, Some((file, key))) = (request.default, &settings.later) {
        let file = super::shown(file);
        let own = request.home.as_ref().map(|_| super::shown(&ours(request)));
        let drop_in = own.as_deref().unwrap_or(DROP_IN);
        let message = format!("{file}: podman reads it after {drop_in}: remove {key} from it");
        return Err(Error::new(Kind::Input, message));
    }
    let own = request.below.as_ref().map(|below| below.name.as_str()).unwrap_or_default();
    for (key, list) in settings.lists() {
        // A container whose runtime is given as a path has the name of the wrapper.
        let wrappers = RUNTIMES.iter().filter(|name| list.iter().any(|other| other == *name));
        let wrappers: Vec<String> = wrappers.map(|name| format!("oci-link-{name}")).collect();
        let is_able = list.iter().any(|name| name == own);
        let ours = is_able.then(|| request.name.as_str().to_owned());
        // The drop-in of the host's root may have named ours already.
        let more = ours.into_iter().chain(wrappers).filter(|name| !list.contains(name));
        let names: Vec<String> = list.iter().cloned().chain(more).collect();
        text = with_line(&text, key, &value(&names)?);
    }
    if let Some(flags) = settings.flags.get(own) {
        let line = format!("{} = {}", request.name.as_str(), value(flags)?);
        text.extend(["\n[engine.runtimes_flags]\n", &line, "\n"]);
    }
    Ok(text)
}

/// The text with another value of `key`, which it contains.
fn with_line(text: &str, key: &str, value: &str) -> String {
    let is_key = |line: &str| line.split_once(" = ").is_some_and(|(name, _)| name == key);
    let lines = text.lines();
    lines.fold(String::new(), |text, line| {
        text + &if is_key(line) { format!("{key} = {value}") } else { line.to_owned() } + "\n"
    })
}

/// The runtime that podman uses without our drop-in.
pub(crate) fn below(request: &Registering) -> std::result::Result<Below, Lacking> {
    let root = &request.root;
    let settings = Settings::read(&files(request)?, &ours(request))?;
    let (name, program) = chosen(root, &settings, request.name.as_str())?;
    // containers.conf may name one of our wrappers already: the runtime below stays.
    if let Some(wrapped) = is_wrapper(&program) {
        return if wrapped == "runtime" {
            super::runtime::usual(request)
        } else {
            by_name(root, wrapped).map(|program| Below {
                name: wrapped.to_owned(),
                program,
                wrapper: wrapped.to_owned(),
            })
        };
    }
    for wrapper in RUNTIMES {
        let found = exec::find_below(root, Some(Path::new(wrapper)));
        if found.is_ok_and(|found| is_same(&found, &program)) {
            return Ok(Below { name, program, wrapper: wrapper.to_owned() });
        }
    }
    match exec::find_below(root, request.command.as_deref()) {
        Ok(found) if is_same(&found, &program) => {
            Ok(Below { name, program, wrapper: "runtime".to_owned() })
        }
        _ => Err(Lacking::Unknown(program)),
    }
}

/// The name and the path of podman's runtime. `ours` is the name that our drop-in defines.
fn chosen(
    root: &Path,
    settings: &Settings,
    ours: &str,
) -> std::result::Result<(String, PathBuf), Lacking> {
    let known = |name: &str| settings.runtimes.get(name);
    let named = settings.runtime.as_deref().filter(|name| *name != ours || known(name).is_some());
    let Some(name) = named else {
        let mut all = ORDER.iter().filter(|name| builtin(root, name).is_some());
        let name = all.next().ok_or_else(|| Lacking::Program("crun".to_owned()))?;
        let program = configured(root, settings, name);
        return program
            .map(|program| ((*name).to_owned(), program))
            .ok_or_else(|| Lacking::Program((*name).to_owned()));
    };
    let program =
        if name.starts_with('/') { file_at(root, name) } else { configured(root, settings, name) };
    // podman looks up the capabilities by the last part of a path.
    let short = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name);
    program
        .map(|program| (short.to_owned(), program))
        .ok_or_else(|| Lacking::Program(name.to_owned()))
}

/// The path of a runtime by the table `engine.runtimes`, else at podman's own places.
fn configured(root: &Path, settings: &Settings, name: &str) -> Option<PathBuf> {
    match settings.runtimes.get(name) {
        Some(paths) => {
            paths.iter().find_map(|path| file_at(root, path)).or_else(|| in_path(root, name))
        }
        None => builtin(root, name),
    }
}

/// The path of a runtime at podman's own places.
fn builtin(root: &Path, name: &str) -> Option<PathBuf> {
    let files: &[&str] = match name {
        "kata" => &["kata-runtime", "kata-qemu", "kata-fc"],
        _ => &[name],
    };
    let found = files
        .iter()
        .find_map(|file| PLACES.iter().find_map(|place| file_at(root, &format!("{place}/{file}"))));
    found.or_else(|| in_path(root, name))
}

fn in_path(root: &Path, name: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().find_map(|place| file_at(root, &format!("{place}/{name}")))
}

/// Whether two paths lead to one program. crun changes its behaviour if it is called `krun`, so the
/// names count too.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    a.file_name() == b.file_name() && real(a).is_some_and(|path| Some(path) == real(b))
}

/// Our entry in podman's drop-in.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The program that podman runs.
    pub(crate) program: PathBuf,
    /// Whether it is podman's default runtime.
    pub(crate) is_default: bool,
}

/// Reads our entry. Returns `None` if podman does not know a runtime of ours by the requested name.
pub(crate) fn entry(request: &Registering) -> Option<Entry> {
    let name = request.name.as_str();
    let text = super::file::current(&ours(request)).ok().flatten()?;
    let parsed: toml::Table = toml::from_str(&text).ok()?;
    let engine = parsed.get("engine")?;
    let program = engine.get("runtimes")?.get(name)?.get(0)?.as_str()?;
    let is_default = engine.get("runtime").and_then(toml::Value::as_str) == Some(name);
    Some(Entry { program: PathBuf::from(program), is_default })
}
