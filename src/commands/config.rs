//! `config`: prints what applies on this host, and changes config.toml.

use super::output::color::Paint;
use super::output::table::{self, Cell};
use super::{say, say_json};
use crate::cli::{ConfigAction, ConfigCommand};
use crate::config::Overrides;
use crate::config::edit::{Change, edited};
use crate::config::keys::{Key, Setting, Source, file, setting_of, settings};
use crate::configure::FileChange;
use crate::error::{Error, Kind, Result};
use crate::oci::spelling::nearest;
use crate::sys::file::shown;
use serde_json::{Value, json};
use std::path::absolute;

/// Runs `config show`, `get` or `set`.
pub(crate) fn run(overrides: &Overrides, arguments: &ConfigCommand) -> Result<()> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    if arguments.default && arguments.action != ConfigAction::Set {
        return Err(Error::new(Kind::Usage, "--default is an option of config set"));
    }
    match (arguments.action, words.as_slice()) {
        (ConfigAction::Show, []) => show(&settings(overrides)?, arguments.json),
        (ConfigAction::Show, _) => {
            Err(Error::new(Kind::Usage, "config show takes no key; see config get KEY"))
        }
        (ConfigAction::Get, [name]) => {
            let Some(setting) = setting_of(&key(name)?, overrides)? else { return Ok(()) };
            if arguments.json {
                say_json(&setting.value)
            } else {
                say(&format!("{}\n", text(&setting.value)))
            }
        }
        (ConfigAction::Get, _) => Err(Error::new(Kind::Usage, "want config get KEY")),
        (ConfigAction::Set, _) if arguments.json => {
            Err(Error::new(Kind::Usage, "config set prints no JSON"))
        }
        (ConfigAction::Set, words) => set(overrides, &changes(words, arguments.default)?),
    }
}

/// The key of this name, or an error that names a similar one.
fn key(name: &str) -> Result<Key> {
    Key::parse(name).ok_or_else(|| {
        let names = Key::names();
        let near = nearest(name, &names).or_else(|| {
            // The name of a key without its table.
            names.iter().find(|known| known.split('.').next_back() == Some(name)).copied()
        });
        let hint = near.map(|near| format!("did you mean {near}?"));
        let hint = hint.unwrap_or_else(|| "oci-link config show prints all keys".to_owned());
        Error::new(Kind::Usage, format!("config.toml has no key {name:?}: {hint}"))
    })
}

fn show(settings: &[Setting], in_json: bool) -> Result<()> {
    if in_json {
        let object = |setting: &Setting| {
            json!({
                "key": setting.key,
                "value": setting.value,
                "source": source(&setting.source),
            })
        };
        return say_json(&settings.iter().map(object).collect());
    }
    let row = |setting: &Setting| -> Vec<Cell> {
        [setting.key.clone(), text(&setting.value), source(&setting.source)].map(Cell::from).into()
    };
    let rows: Vec<Vec<Cell>> = settings.iter().map(row).collect();
    table::print(Paint::for_stdout(), None, &["KEY", "VALUE", "SOURCE"], &rows)
}

fn source(source: &Source) -> String {
    match source {
        Source::Default => "default".to_owned(),
        Source::CommandLine => "command line".to_owned(),
        Source::File(path) => shown(path),
    }
}

/// A value in the form that `config set` takes. It is one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(hosts) => {
            let list = |all: &Value| all.to_string().replace("\",\"", "\", \"");
            let host = |(name, all): (&String, &Value)| format!("{name} = {}", list(all));
            format!("{{ {} }}", hosts.iter().map(host).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The changes that the words of the command line ask for.
fn changes(words: &[&str], default: bool) -> Result<Vec<Change>> {
    if words.is_empty() {
        return Err(Error::new(Kind::Usage, "want config set KEY VALUE"));
    }
    if default {
        let removed = |name: &&str| Ok(Change { key: key(name)?, value: None });
        return words.iter().map(removed).collect();
    }
    let changes = words.chunks(2).map(|pair| {
        let [name, value] = pair else {
            let name = pair.first().copied().unwrap_or_default();
            return Err(Error::new(
                Kind::Usage,
                format!("want config set {name} VALUE, or config set {name} --default"),
            ));
        };
        Change::set(key(name)?, value)
            .map_err(|why| Error::new(Kind::Input, format!("{name} {value:?}: {why}")))
    });
    changes.collect()
}

/// Writes the changes into the file, in one step. Prints one line for each.
fn set(overrides: &Overrides, changes: &[Change]) -> Result<()> {
    let Some(path) = file(overrides) else {
        let message = "no config.toml: this user has no home directory; name a file with --config";
        return Err(Error::new(Kind::Input, message));
    };
    let (before, after) = edited(&path, changes)?;
    let path = absolute(&path).unwrap_or(path);
    if before == after {
        return say(&format!("{}: unchanged\n", shown(&path)));
    }
    let change = FileChange::whole(path.clone(), Some(after), "settings")?;
    if change.before.as_deref().unwrap_or_default() != before {
        let message = format!("{}: changed while it was edited", shown(&path));
        return Err(Error::new(Kind::Unsafe, message));
    }
    change.carry_out()?;
    let line = |change: &Change| {
        let value = change.value.as_ref().map(|value| value.to_string().trim().to_owned());
        let value = value.unwrap_or_else(|| "the default".to_owned());
        format!("{}: {} = {}", shown(&path), change.key.name(), one_line(&value))
    };
    say(&(changes.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"))
}

/// Escapes control characters.
fn one_line(text: &str) -> String {
    let escaped =
        |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}
