//! The keys of config.toml: their names, forms and defaults, and what applies on this host.

use super::{CONFIG_FILE, Config, Overrides, any_text, read, users};
use crate::error::Result;
use crate::sys::file::shown;
use crate::sys::site::{Whose, whose};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A text.
    Text,
    /// A list of texts.
    List,
    /// `true` or `false`.
    Flag,
    /// A list of texts for each host.
    Networks,
}

/// A key, with the default as JSON text; `null` means that there is none.
struct Known {
    name: &'static str,
    form: Form,
    usual: &'static str,
}

const fn known(name: &'static str, form: Form, usual: &'static str) -> Known {
    Known { name, form, usual }
}

const NETWORKS: &str = "cluster.networks";

/// All keys, in the order of the documentation.
const KEYS: [Known; 18] = [
    // The default is another one for the containers of a user.
    known(STATE_DIR, Form::Text, "null"),
    known("firewall.backend", Form::Text, "\"auto\""),
    known("firewall.isolate", Form::List, "[]"),
    known("firewall.bind", Form::Text, "\"auto\""),
    known("env.dialect", Form::Text, "\"28\""),
    known("links.wait", Form::Text, "\"30s\""),
    known("docker.links", Form::Text, "\"default-bridge\""),
    known("docker.network_env", Form::Flag, "false"),
    known("runtime.command", Form::Text, "null"),
    known("log.level", Form::Text, "\"info\""),
    known("log.file", Form::Text, "null"),
    known("cluster.name", Form::Text, "null"),
    known(NETWORKS, Form::Networks, "null"),
    known("cluster.patience", Form::Text, "null"),
    known("cluster.endpoints", Form::List, "null"),
    known("cluster.ca", Form::Text, "null"),
    known("cluster.cert", Form::Text, "null"),
    known("cluster.key", Form::Text, "null"),
];

const STATE_DIR: &str = "state_dir";
/// Keys of root's file that hold for the containers of users too.
const FOR_USERS: [&str; 5] =
    ["firewall.backend", "firewall.bind", "env.dialect", "links.wait", "runtime.command"];

/// A key of config.toml. It may be one host of `cluster.networks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its tables and its name.
    pub(crate) path: Vec<String>,
    /// The form of its value.
    pub(crate) form: Form,
}

impl Key {
    /// Returns the key of this name, as the documentation has it: `firewall.backend`. `None` if there is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let host = name.strip_prefix(NETWORKS).and_then(|rest| rest.strip_prefix('.'));
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            let path = ["cluster", "networks", host].map(str::to_owned).to_vec();
            return Some(Self { path, form: Form::List });
        }
        let known = KEYS.iter().find(|known| known.name == name)?;
        let path = name.split('.').map(str::to_owned).collect();
        Some(Self { path, form: known.form })
    }

    /// The names of all keys.
    pub(crate) fn names() -> Vec<&'static str> {
        KEYS.iter().map(|known| known.name).collect()
    }

    /// The name of the key.
    pub(crate) fn name(&self) -> String {
        self.path.join(".")
    }
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// No file sets it.
    Default,
    /// An option of the command line.
    CommandLine,
    /// A file.
    File(PathBuf),
}

/// A value that applies on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The name of its key.
    pub(crate) key: String,
    /// The value as JSON. Null means that there is none.
    pub(crate) value: Value,
    /// Where it is from.
    pub(crate) source: Source,
}

/// The file that `config set` writes: the one of `--config`, else that of the user, else root's.
pub(crate) fn file(overrides: &Overrides) -> Option<PathBuf> {
    match (&overrides.config, whose()) {
        (Some(path), _) => Some(path.clone()),
        (None, Whose::Root) => Some(CONFIG_FILE.into()),
        (None, whose) => users::own_file(whose),
    }
}

/// Reads what applies on this host, one setting for each key. Fails if a file is not valid.
pub(crate) fn settings(overrides: &Overrides) -> Result<Vec<Setting>> {
    Config::load(overrides.clone())?;
    let layers = layers(overrides)?;
    let state_dir = whose().state_dir();
    Ok(KEYS.iter().map(|known| setting(known, overrides, &layers, &state_dir)).collect())
}

/// The setting of a key that [`Key::parse`] knows.
pub(crate) fn setting_of(key: &Key, overrides: &Overrides) -> Result<Option<Setting>> {
    let mut all = settings(overrides)?;
    let name = key.name();
    if let Some(at) = all.iter().position(|setting| setting.key == name) {
        return Ok(Some(all.swap_remove(at)));
    }
    let networks = all.into_iter().find(|setting| setting.key == NETWORKS);
    Ok(networks.map(|networks| {
        let host = key.path.last().map(String::as_str).unwrap_or_default();
        let value = networks.value.get(host).cloned().unwrap_or(Value::Null);
        let source = if value.is_null() { Source::Default } else { networks.source };
        Setting { key: name, value, source }
    }))
}

/// A file, and which of its keys count.
struct Layer {
    path: PathBuf,
    table: toml::Table,
    counts: fn(&str) -> bool,
}

/// The files that are read, the strongest first.
fn layers(overrides: &Overrides) -> Result<Vec<Layer>> {
    let layer = |path: &Path, text: &str, counts| {
        let table = toml::from_str(text).unwrap_or_default();
        Layer { path: path.to_owned(), table, counts }
    };
    let all = |_: &str| true;
    let of_user = |key: &str| !key.starts_with("cluster.");
    let for_users = |key: &str| FOR_USERS.contains(&key);
    let usual = Path::new(CONFIG_FILE);
    let named = overrides.config.as_deref().unwrap_or(usual);
    Ok(match whose() {
        Whose::Root => vec![layer(named, &read(named)?.unwrap_or_default(), all)],
        _ if named != usual => vec![layer(named, &any_text(named), of_user)],
        whose => {
            let own = users::own_file(whose).map(|own| layer(&own, &any_text(&own), of_user));
            own.into_iter().chain([layer(usual, &any_text(usual), for_users)]).collect()
        }
    })
}

fn setting(known: &Known, overrides: &Overrides, layers: &[Layer], state_dir: &Path) -> Setting {
    let option = match known.name {
        STATE_DIR => overrides.state_dir.as_deref().map(shown),
        "log.level" => overrides.log_level.map(|level| level.to_string().to_ascii_lowercase()),
        "log.file" => overrides.log_file.as_deref().map(shown),
        _ => None,
    };
    let in_file = || {
        layers.iter().filter(|layer| (layer.counts)(known.name)).find_map(|layer| {
            let value = serde_json::to_value(get(&layer.table, known.name)?).ok()?;
            Some((value, Source::File(layer.path.clone())))
        })
    };
    let usual = || match known.name {
        STATE_DIR => json!(shown(state_dir)),
        "cluster.patience" if layers.iter().any(|layer| layer.table.contains_key("cluster")) => {
            json!("10m")
        }
        _ => serde_json::from_str(known.usual).unwrap_or_default(),
    };
    let (value, source) = option
        .map(|text| (json!(text), Source::CommandLine))
        .or_else(in_file)
        .unwrap_or_else(|| (usual(), Source::Default));
    Setting { key: known.name.to_owned(), value, source }
}

pub(super) fn get<'a>(table: &'a toml::Table, name: &str) -> Option<&'a toml::Value> {
    let mut steps = name.split('.');
    let first = table.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defaults that are shown are those that apply.
    #[test]
    fn a_file_of_all_defaults_changes_nothing() {
        let lines = KEYS.iter().filter(|known| known.usual != "null");
        let lines: Vec<String> =
            lines.map(|known| format!("{} = {}", known.name, known.usual)).collect();
        assert_eq!(Config::parse("c", &lines.join("\n")).unwrap(), Config::default());
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn every_key_is_one_of_the_file() {
        for known in &KEYS {
            let value = match known.form {
                Form::Text => "1",
                Form::List | Form::Flag | Form::Networks => "'x'",
            };
            let text = format!("{} = {value}\n", known.name);
            let error = Config::parse("c", &text).unwrap_err().to_string();
            assert!(!error.contains("unknown field"), "{error}");
            let refused = ["invalid type", "missing field", "wanted string"];
            assert!(refused.iter().any(|why| error.contains(why)), "{text}: {error}");
        }
    }

    /// A key of the example in docs/reference.md is one that can be shown and set.
    #[test]
    fn all_keys_are_known() {
        let reference = include_str!("../../docs/reference.md");
        let example = reference.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let table: toml::Table = toml::from_str(example.unwrap()).unwrap();
        let mut names = Vec::new();
        for (name, value) in &table {
            match value.as_table() {
                Some(table) => names.extend(table.keys().map(|key| format!("{name}.{key}"))),
                None => names.push(name.clone()),
            }
        }
        assert_eq!(names.len(), KEYS.len(), "{names:?}");
        assert!(names.iter().all(|name| Key::parse(name).is_some()), "{names:?}");
    }

    #[test]
    fn names_of_keys() {
        let key = Key::parse("cluster.networks.host-b").unwrap();
        assert_eq!(
            (key.path.len(), key.form, key.name()),
            (3, Form::List, "cluster.networks.host-b".to_owned())
        );
        assert_eq!(Key::parse(NETWORKS).unwrap().form, Form::Networks);
        for wrong in
            ["", "firewall", "firewall.", "backend", "firewall.backends", "cluster.networks."]
        {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_strongest_layer_counts_and_options_are_stronger() {
        let layer = |name: &str, text: &str, counts| Layer {
            path: name.into(),
            table: toml::from_str(text).unwrap(),
            counts,
        };
        let own = layer("own", "links.wait = '1s'", |_| true);
        let below =
            layer("root", "links.wait = '2s'\nlog.level = 'debug'\nenv.dialect = '27'", |key| {
                FOR_USERS.contains(&key)
            });
        let layers = [own, below];
        let shown = |name: &str, overrides: &Overrides| {
            let known = KEYS.iter().find(|known| known.name == name).unwrap();
            let setting = setting(known, overrides, &layers, Path::new("/s"));
            (setting.value, setting.source)
        };
        let none = Overrides::default();
        assert_eq!(shown("links.wait", &none), (json!("1s"), Source::File("own".into())));
        assert_eq!(shown("env.dialect", &none), (json!("27"), Source::File("root".into())));
        assert_eq!(shown("log.level", &none), (json!("info"), Source::Default));
        assert_eq!(shown(STATE_DIR, &none), (json!("/s"), Source::Default));
        let options = Overrides { log_level: Some(log::LevelFilter::Warn), ..none };
        assert_eq!(shown("log.level", &options), (json!("warn"), Source::CommandLine));
    }
}
