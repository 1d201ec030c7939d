//! What containers.conf and its drop-ins say about runtimes.

use crate::configure::file::current;
use crate::configure::template::quoted;
use crate::configure::toml_text::why;
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The lists of capabilities, and the names in them if no file sets one: those of podman 4.3 to
/// 5.8. podman 4 and 5 read `runtime_supports_nocgroup`, and their manual names the last one.
const LISTS: [(&str, &[&str]); 4] = [
    ("runtime_supports_json", &["crun", "runc", "kata", "runsc", "youki", "krun"]),
    ("runtime_supports_kvm", &["kata", "kata-runtime", "kata-qemu", "kata-fc", "krun"]),
    ("runtime_supports_nocgroup", &["crun", "krun"]),
    ("runtime_supports_nocgroups", &["crun", "krun"]),
];

/// The settings of all files but our own.
#[derive(Debug)]
pub(super) struct Settings {
    /// `engine.runtime`: a name or an absolute path.
    pub(super) runtime: Option<String>,
    /// `engine.runtimes`: the paths of each runtime.
    pub(super) runtimes: BTreeMap<String, Vec<String>>,
    /// `engine.runtimes_flags`: the options of each runtime, from podman 5.5 on.
    pub(super) flags: BTreeMap<String, Vec<String>>,
    /// A file that is read after ours, and a setting in it that replaces ours.
    pub(super) later: Option<(PathBuf, &'static str)>,
    lists: [List; 4],
}

/// A list that a file replaces, or extends if it contains `{append = true}`.
#[derive(Debug, Clone)]
struct List {
    names: Vec<String>,
    /// podman keeps this for the files that it reads later.
    append: bool,
}

impl Settings {
    /// Reads podman's `files` in this order, without the file `ours`.
    pub(super) fn read(files: &[PathBuf], ours: &Path) -> Result<Self> {
        let usual = |(_, names): (&str, &[&str])| List {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            append: false,
        };
        let mut settings = Self {
            runtime: None,
            runtimes: BTreeMap::new(),
            flags: BTreeMap::new(),
            later: None,
            lists: LISTS.map(usual),
        };
        for file in files.iter().filter(|file| *file != ours) {
            let Some(text) = current(file)? else { continue };
            let parsed: Table = toml::from_str(&text).map_err(why(file))?;
            if let Some(engine) = parsed.get("engine").and_then(Value::as_table) {
                settings.take(engine);
                let replaced = (file.parent() == ours.parent() && **file > *ours)
                    .then(|| settings.replaced(engine))
                    .flatten();
                settings.later = settings.later.or(replaced.map(|key| (file.clone(), key)));
            }
        }
        Ok(settings)
    }

    /// Takes over what one file sets.
    fn take(&mut self, engine: &Table) {
        if let Some(runtime) = engine.get("runtime").and_then(Value::as_str) {
            self.runtime = Some(runtime.to_owned()).filter(|runtime| !runtime.is_empty());
        }
        let table = |key: &str| engine.get(key).and_then(Value::as_table).into_iter().flatten();
        for (name, paths) in table("runtimes") {
            self.runtimes.insert(name.clone(), strings(paths));
        }
        for (name, flags) in table("runtimes_flags") {
            self.flags.insert(name.clone(), strings(flags));
        }
        for ((key, _), list) in LISTS.iter().zip(&mut self.lists) {
            if let Some(value) = engine.get(*key) {
                list.take(value);
            }
        }
    }

    /// The first of our settings that a later file replaces.
    fn replaced(&self, engine: &Table) -> Option<&'static str> {
        let lists = LISTS.iter().zip(&self.lists).filter(|(_, list)| !list.append);
        let mut keys = std::iter::once("runtime").chain(lists.map(|((key, _), _)| *key));
        keys.find(|key| engine.contains_key(*key))
    }

    /// The lists by their keys.
    pub(super) fn lists(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        LISTS.iter().map(|(key, _)| *key).zip(self.lists.iter().map(|list| &list.names))
    }
}

impl List {
    fn take(&mut self, value: &Value) {
        let parts = value.as_array().into_iter().flatten();
        let said = parts.filter_map(|part| part.get("append")?.as_bool()).next_back();
        self.append = said.unwrap_or(self.append);
        if !self.append {
            self.names.clear();
        }
        for name in strings(value) {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    let parts = value.as_array().into_iter().flatten();
    parts.filter_map(|part| part.as_str().map(str::to_owned)).collect()
}

/// The names as a TOML array.
pub(super) fn value(names: &[String]) -> Result<String> {
    let names: Result<Vec<String>> = names.iter().map(|name| quoted(name)).collect();
    Ok(format!("[{}]", names?.join(", ")))
}
