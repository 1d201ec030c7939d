//! Formats new entries in the style of the text around them.

use super::nodes::{NodeId, refusal};
use super::services::Conditions;
use super::text::line_start;
use super::yaml::{ComposeFile, Value};
use crate::error::Result;

/// The value of an entry that is added. Its strings are already quoted where YAML needs it.
pub(crate) enum Content {
    Text(String),
    List(Vec<String>),
    Map(Vec<(String, String)>),
}

impl Content {
    /// Formats `depends_on`, in its short form if all conditions are the default.
    pub(crate) fn of_conditions(conditions: &Conditions) -> Self {
        if conditions.values().all(Option::is_none) {
            return Self::List(conditions.keys().map(|name| short(name)).collect());
        }
        let entry =
            |(name, value): (&String, &Option<Value>)| (short(name), condition(value.as_ref()));
        Self::Map(conditions.iter().map(entry).collect())
    }

    fn in_brackets(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => format!("[{}]", items.join(", ")),
            Self::Map(entries) => {
                let all = entries.iter().map(|(key, value)| format!("{key}: {value}"));
                format!("{{{}}}", all.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The value with all strings in double quotes, for flow mappings that are also JSON.
    fn as_json(&self) -> Self {
        let all = |texts: &[String]| texts.iter().map(|text| always(text)).collect();
        match self {
            Self::Text(text) => Self::Text(always(text)),
            Self::List(items) => Self::List(all(items)),
            Self::Map(entries) => {
                Self::Map(entries.iter().map(|(k, v)| (always(k), v.clone())).collect())
            }
        }
    }
}

/// How the entries of a mapping are formatted.
pub(crate) struct MappingStyle<'d> {
    pub(crate) newline: &'static str,
    flow: bool,
    prefix: &'d str,
    step: String,
}

impl<'d> MappingStyle<'d> {
    pub(crate) fn of(document: &ComposeFile<'d>, map: NodeId) -> Result<Self> {
        let text = document.text;
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let flow = document.node(map).flow;
        let indent = |id: NodeId| {
            let start = document.node(id).range.start;
            &text[line_start(text, start)..start]
        };
        let first = document.entries(map).first().filter(|_| !flow);
        let prefix = first.map_or("", |(key, _)| indent(*key));
        if !prefix.trim_matches(' ').is_empty() {
            let message = "cannot be edited: must be on a line of its own";
            return Err(refusal(document.line(map), message));
        }
        // The step is the indentation of the services relative to the key `services`.
        let services = document.entry(document.root, "services");
        let outer = services.map(|(_, all)| document.entries(document.target(all)));
        let outer = outer.and_then(|all| all.first()).map_or(2, |(key, _)| indent(*key).len());
        let step = " ".repeat(outer.clamp(1, 8));
        Ok(Self { newline, flow, prefix, step })
    }

    /// Formats an entry, with the newline or the comma that separates it from the next one.
    pub(crate) fn entry(&self, key: &str, value: &Content) -> String {
        let (prefix, step, newline) = (self.prefix, &self.step, self.newline);
        let lines: Vec<String> = match value {
            _ if self.flow => return format!("\"{key}\": {}, ", value.as_json().in_brackets()),
            Content::List(items) => items.iter().map(|item| format!("- {item}")).collect(),
            Content::Map(entries) => {
                entries.iter().map(|(key, value)| format!("{key}: {value}")).collect()
            }
            Content::Text(_) => Vec::new(),
        };
        if lines.is_empty() {
            return self.line(&format!("{key}: {}", value.in_brackets()));
        }
        let lines = lines.iter().map(|line| format!("{prefix}{step}{line}{newline}"));
        format!("{prefix}{key}:{newline}{}", lines.collect::<String>())
    }

    /// Formats a line with the indentation of the mapping's entries.
    pub(crate) fn line(&self, text: &str) -> String {
        format!("{}{text}{}", self.prefix, self.newline)
    }

    /// The text that replaces the entries of a mapping that lost all of them.
    pub(crate) fn nothing(&self) -> String {
        if self.flow { String::new() } else { self.line("{}") }
    }
}

/// Removes the trailing comma of entries that a closing brace follows.
pub(crate) fn last(entries: &str) -> String {
    entries.trim_end_matches(", ").to_owned()
}

/// The text in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text without quotes if YAML can only read it as a string, otherwise quoted.
pub(crate) fn short(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let is_text = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(harmless)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_text { text.to_owned() } else { quoted(text) }
}

/// The text in double quotes, unless it is already quoted.
pub(crate) fn always(text: &str) -> String {
    if text.starts_with('"') { text.to_owned() } else { quoted(text) }
}

/// Formats the condition of a dependency, of which `None` is the default one.
pub(crate) fn condition(value: Option<&Value>) -> String {
    value.map_or_else(|| "{\"condition\": \"service_started\"}".to_owned(), in_braces)
}

/// Formats a value in one line, in flow style.
pub(crate) fn in_braces(value: &Value) -> String {
    match value {
        Value::Scalar { text, plain: true } => {
            let is_safe = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+/".contains(c));
            if is_safe && !text.starts_with('-') { text.clone() } else { quoted(text) }
        }
        Value::Scalar { text, .. } => quoted(text),
        Value::List(items) => Content::List(items.iter().map(in_braces).collect()).in_brackets(),
        Value::Map(entries) => {
            let all = entries.iter().map(|(key, value)| (quoted(key), in_braces(value)));
            Content::Map(all.collect()).in_brackets()
        }
    }
}
