//! The services of a Compose file, and the two forms (mapping and list) of most of their entries.

use super::nodes::{NodeId, What, refusal};
use super::yaml::{ComposeFile, Value};
use super::{ANNOTATIONS, LINKS};
use crate::error::{Error, Result};
use crate::model::ContainerName;
use std::collections::BTreeMap;

/// Limits for the number of services and for the length of an `extends` chain.
const MAX_SERVICES: usize = 1000;
const MAX_CHAIN: usize = 32;

/// A service as read from the file.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Its mapping, or an alias of one.
    pub(crate) node: NodeId,
    /// Its content, with merge keys and aliases resolved.
    pub(crate) value: Value,
    /// The lines of the entries of `links` and of `external_links`.
    pub(crate) lines: [Vec<usize>; 2],
    /// The service itself, the service that it extends, and so on, as indexes. The chain ends at a
    /// service of another file.
    pub(crate) chain: Vec<usize>,
}

/// Keys and values of a mapping such as `annotations`.
pub(crate) type Pairs = BTreeMap<String, String>;
/// The services of a `depends_on`, each with its condition. `None` stands for the default condition
/// `service_started`.
pub(crate) type Conditions = BTreeMap<String, Option<Value>>;

impl Service {
    /// An input error that names the service and its line.
    pub(crate) fn refuse(&self, why: impl std::fmt::Display) -> Error {
        refusal(self.line, format_args!("service {}: {why}", self.name))
    }

    /// An input error that names the service and the line of an entry of its links.
    pub(crate) fn refuse_link(&self, link: &str, why: impl std::fmt::Display) -> Error {
        let line = self.lines.iter().zip(LINKS).find_map(|(lines, key)| {
            let Some(Value::List(items)) = self.value.get(key) else { return None };
            lines.get(items.iter().position(|item| item.text() == Some(link))?).copied()
        });
        refusal(line.unwrap_or(self.line), format_args!("service {}: {why}", self.name))
    }

    /// The value of an annotation that the service itself has; `extends` is not followed.
    pub(crate) fn own(&self, annotation: &str) -> Option<String> {
        pairs(self.value.get(ANNOTATIONS)).remove(annotation)
    }

    /// The entries of `links` and of `external_links`; `extends` is not followed.
    pub(crate) fn links(&self) -> Result<[Vec<&str>; 2]> {
        let mut both = [Vec::new(), Vec::new()];
        for ((key, found), lines) in LINKS.into_iter().zip(&mut both).zip(&self.lines) {
            match self.value.get(key) {
                None => {}
                Some(Value::List(items)) => {
                    for (at, item) in items.iter().enumerate() {
                        let line = lines.get(at).copied().unwrap_or(self.line);
                        found.push(item.text().ok_or_else(|| {
                            let (name, kind) = (&self.name, item.kind());
                            let message =
                                format!("service {name}: {key}: want \"name:alias\", found {kind}");
                            refusal(line, message)
                        })?);
                    }
                }
                Some(_) => return Err(self.refuse(format_args!("{key} is not a list"))),
            }
        }
        Ok(both)
    }

    pub(crate) fn has_links(&self) -> bool {
        LINKS
            .iter()
            .any(|key| matches!(self.value.get(key), Some(Value::List(all)) if !all.is_empty()))
    }

    pub(crate) fn network(&self) -> &str {
        let mode = self.value.get("network_mode").or(self.value.get("net"));
        mode.and_then(Value::text).unwrap_or_default()
    }
}

/// Reads all services of a file, in file order.
pub(crate) fn read(document: &ComposeFile<'_>) -> Result<Vec<Service>> {
    let Some((_, all)) = document.entry(document.root, "services") else { return Ok(Vec::new()) };
    let value = document.value(all)?;
    let all = document.target(all);
    let mut services = Vec::new();
    for (key, node) in document.entries(all) {
        let (name, line) = (document.key(*key), document.line(*key));
        let Some(value) = value.get(name) else { continue };
        ContainerName::new(name).map_err(|error| refusal(line, error))?;
        let (name, value) = (name.to_owned(), value.clone());
        let lines = LINKS.map(|key| item_lines(document, *node, key));
        services.push(Service { name, line, node: *node, value, lines, chain: Vec::new() });
    }
    if services.len() > MAX_SERVICES {
        return Err(refusal(services[MAX_SERVICES].line, "more than 1000 services"));
    }
    for at in 0..services.len() {
        services[at].chain = chain(&services, at)?;
    }
    Ok(services)
}

/// The lines of the items of the list `key`, in a service or in what it merges.
fn item_lines(document: &ComposeFile<'_>, service: NodeId, key: &str) -> Vec<usize> {
    let mut maps = document.merged(service).into_iter();
    let list = maps.find_map(|map| document.entry(map, key)).map(|(_, list)| document.target(list));
    match list.map(|list| &document.node(list).what) {
        Some(What::List(items)) => items.iter().map(|item| document.line(*item)).collect(),
        _ => Vec::new(),
    }
}

/// The condition that Compose gives the source of a link: a recipient is restarted with it, because
/// its variables describe it.
pub(crate) fn restarted() -> Value {
    let scalar = |text: &str, plain| Value::Scalar { text: text.to_owned(), plain };
    let condition = ("condition".to_owned(), scalar("service_started", false));
    Value::Map(vec![condition, ("restart".to_owned(), scalar("true", true))])
}

/// The indexes of a service and of the services that it extends, directly or through others.
fn chain(services: &[Service], at: usize) -> Result<Vec<usize>> {
    let mut chain = vec![at];
    let mut last = at;
    while let Some(extends) = services[last].value.get("extends") {
        let base = match extends {
            Value::Map(_) if extends.get("file").is_some() => None,
            Value::Map(_) => extends.get("service").and_then(Value::text),
            value => value.text(),
        };
        let next = base.and_then(|base| services.iter().position(|other| other.name == base));
        let Some(next) = next else {
            if services[at].has_links() {
                let message = "extends a service of another file: convert the output of \
                           \"docker compose config\"";
                return Err(services[at].refuse(message));
            }
            break;
        };
        if chain.contains(&next) {
            return Err(services[at].refuse("extends itself"));
        }
        if chain.len() == MAX_CHAIN {
            return Err(services[at].refuse("extends too many others"));
        }
        chain.push(next);
        last = next;
    }
    Ok(chain)
}

/// Reads a mapping of strings in either form that Compose accepts: a mapping or a list of
/// `key=value`.
pub(crate) fn pairs(value: Option<&Value>) -> Pairs {
    let text = |value: &Value| value.text().unwrap_or_default().to_owned();
    match value {
        Some(Value::Map(entries)) => {
            entries.iter().map(|(key, value)| (key.clone(), text(value))).collect()
        }
        Some(Value::List(items)) => {
            let pair = |item: &Value| {
                let item = text(item);
                let (key, value) = item.split_once('=').unwrap_or((&item, ""));
                (key.to_owned(), value.to_owned())
            };
            items.iter().map(pair).collect()
        }
        _ => Pairs::new(),
    }
}

/// Reads a `depends_on` in either form: a list of services, or a mapping of services to conditions.
pub(crate) fn conditions(value: Option<&Value>) -> Conditions {
    match value {
        Some(Value::List(items)) => {
            items.iter().filter_map(|item| Some((item.text()?.to_owned(), None))).collect()
        }
        Some(Value::Map(entries)) => {
            let started = |value: &Value| match value {
                Value::Map(said) => {
                    said.len() == 1
                        && value.get("condition").and_then(Value::text) == Some("service_started")
                }
                value => value.is_null(),
            };
            let condition = |value: &Value| (!started(value)).then(|| value.clone());
            entries.iter().map(|(name, value)| (name.clone(), condition(value))).collect()
        }
        _ => Conditions::new(),
    }
}
