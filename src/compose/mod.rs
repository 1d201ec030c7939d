//! Converts the links of a Compose file to annotations. Only the text of links and of the entries
//! that replace them is edited.
//!
//! Services are interpreted as values, with aliases and merge keys resolved (`services.rs`,
//! `decide.rs`). Edits are made at the positions of YAML nodes (`edits.rs`). The edited text is
//! parsed again: services must have the wanted content, and nothing else may have changed.

mod decide;
mod edits;
mod nodes;
mod ports;
mod services;
mod summary;
mod text;
mod version_one;
mod write;
mod yaml;

use crate::error::{Context, Error, Kind, Result};
use crate::model::Invalid;
use decide::Wanted;
use nodes::refusal;
use services::Service;
use std::borrow::Cow;
use std::collections::HashSet;
use yaml::{ComposeFile, Value};

/// Optional parts of the conversion.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ComposeOptions<'a> {
    /// The runtime to set for every service that takes part in a link.
    pub(crate) runtime: Option<&'a str>,
    /// Whether the `expose` and `ports` of sources become a ports annotation.
    pub(crate) ports: bool,
}

/// The keys of a service that a conversion writes. All other keys stay.
const ANNOTATIONS: &str = "annotations";
const DEPENDS_ON: &str = "depends_on";
const RUNTIME: &str = "runtime";
/// The keys that a conversion removes.
const LINKS: [&str; 2] = ["links", "external_links"];

/// Services (by index) and keys whose complete value is written, because an edit in place would
/// change what the service merges.
type Whole = HashSet<(usize, &'static str)>;

/// A converted file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Converted {
    pub(crate) text: String,
    /// What was converted, and what needs attention; one line each.
    pub(crate) summary: Vec<String>,
}

/// Converts the Compose file `text`. Links that cannot be converted are an error that names the line.
pub(crate) fn convert(text: &str, options: &ComposeOptions<'_>) -> Result<Converted> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    if let Some(runtime) = options.runtime.filter(|runtime| !runtime.bytes().all(is_plain)) {
        return Err(Invalid::new("runtime", runtime, "must be a name or a path").into());
    }
    let parsed = ComposeFile::parse(text)?;
    let newer = version_one::rewritten(&parsed)?;
    let source = newer.as_deref().unwrap_or(text);
    let complete = if source.ends_with('\n') {
        Cow::Borrowed(source)
    } else {
        Cow::Owned(format!("{source}\n"))
    };
    let document = ComposeFile::parse(&complete)?;
    let services = services::read(&document)?;
    let wanted = decide::decide(&services, options)?;
    let summary = summary::summary(&services, &wanted, options);
    let mut whole = Whole::new();
    loop {
        let Some(edited) = edits::edited(&document, &services, &wanted, &whole)? else {
            return Ok(Converted { text: source.to_owned(), summary });
        };
        let wrong = differences(&document, &edited, &services, &wanted)?;
        if wrong.is_empty() {
            return Ok(Converted { text: edited, summary });
        }
        if wrong.iter().all(|place| whole.contains(place)) {
            let (at, key) = wrong[0];
            let Service { line, name, .. } = &services[at];
            return Err(refusal(
                *line,
                format_args!("service {name}: {key} cannot be edited here"),
            ));
        }
        whole.extend(wrong);
    }
}

/// Parses the text `edited` and returns the services and keys that differ from what is wanted. A
/// change anywhere else is an error.
fn differences(
    before: &ComposeFile<'_>,
    edited: &str,
    services: &[Service],
    wanted: &[Wanted],
) -> Result<Vec<(usize, &'static str)>> {
    let what = || "this file cannot be edited";
    let after = ComposeFile::parse(edited).context(Kind::Input, what)?;
    let (old, new) = (before.value(before.root)?, after.value(after.root)?);
    if rest_of(&old) != rest_of(&new) {
        return Err(Error::new(
            Kind::Input,
            format!("{}: more than its links would change", what()),
        ));
    }
    let mut wrong = Vec::new();
    for (at, (service, wanted)) in services.iter().zip(wanted).enumerate() {
        let new = new.get("services").and_then(|all| all.get(&service.name));
        let get = |key| new.and_then(|service| service.get(key));
        if services::pairs(get(ANNOTATIONS)) != wanted.annotations {
            wrong.push((at, ANNOTATIONS));
        }
        if services::conditions(get(DEPENDS_ON)) != wanted.depends_on {
            wrong.push((at, DEPENDS_ON));
        }
        if wanted.runtime.is_some()
            && get(RUNTIME).and_then(Value::text) != wanted.runtime.as_deref()
        {
            wrong.push((at, RUNTIME));
        }
    }
    Ok(wrong)
}

/// The part of the document that must not change: services without the edited keys, and everything
/// else without links. Links outside of services are removed where services merge them.
fn rest_of(root: &Value) -> Value {
    let Value::Map(entries) = root else { return root.clone() };
    let rest = entries.iter().map(|(key, value)| {
        let value = match value {
            Value::Map(services) if key == "services" => {
                let edited = [ANNOTATIONS, DEPENDS_ON, RUNTIME];
                let all = services.iter().map(|(name, s)| (name.clone(), without(s, &edited)));
                Value::Map(all.map(|(name, s)| (name, without(&s, &LINKS))).collect())
            }
            value => without_links(value),
        };
        (key.clone(), value)
    });
    Value::Map(rest.collect())
}

/// The service `value` without the entries `keys`. A null service is treated as an empty mapping.
fn without(value: &Value, keys: &[&str]) -> Value {
    match value {
        Value::Map(entries) => {
            let rest = entries.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
            Value::Map(rest.cloned().collect())
        }
        value if value.is_null() => Value::Map(Vec::new()),
        value => value.clone(),
    }
}

fn without_links(value: &Value) -> Value {
    match value {
        Value::Map(entries) => {
            let rest = entries.iter().filter(|(key, _)| !LINKS.contains(&key.as_str()));
            Value::Map(rest.map(|(key, value)| (key.clone(), without_links(value))).collect())
        }
        Value::List(items) => Value::List(items.iter().map(without_links).collect()),
        Value::Scalar { .. } => value.clone(),
    }
}

#[cfg(test)]
mod tests;
