//! Keys of the first Compose format that have another name or place in later formats, and the network
//! that all its services were on.

use super::volumes::Volumes;
use crate::compose::edits::entry_range;
use crate::compose::nodes::{NodeId, What, refusal};
use crate::compose::text::line_start;
use crate::compose::write::{in_braces, quoted};
use crate::compose::yaml::{ComposeFile, Value};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::ops::Range;

/// Limit for the length of an `extends` chain.
const MAX_CHAIN: usize = 32;

/// Returns the text of a file of the first format with keys of later formats, and its named volumes.
///
/// Services without `net` get `network_mode: bridge`: the first format has no networks of projects, so
/// containers of other projects, and those of `docker run`, are on the same network.
pub(super) fn renamed(document: &ComposeFile<'_>) -> Result<(String, Volumes)> {
    let (mut all, mut volumes) = (Vec::new(), Volumes::default());
    let mut seen = HashSet::new();
    for (key, node) in document.entries(document.root) {
        let map = document.target(*node);
        if seen.insert(map) {
            let mut service = OldService { document, map, key: *key, edits: Vec::new() };
            service.rename(&mut volumes)?;
            all.extend(service.edits);
        }
    }
    all.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut new, mut at) = (String::new(), 0);
    for (range, text) in all {
        new.push_str(document.text.get(at..range.start).unwrap_or_default());
        new.push_str(&text);
        at = at.max(range.end);
    }
    new.push_str(&document.text[at..]);
    Ok((new, volumes))
}

/// A service of the first format, and the edits that rename its keys.
struct OldService<'d, 't> {
    document: &'d ComposeFile<'t>,
    map: NodeId,
    key: NodeId,
    edits: Vec<(Range<usize>, String)>,
}

impl OldService<'_, '_> {
    fn rename(&mut self, volumes: &mut Volumes) -> Result<()> {
        self.volumes(volumes)?;
        self.network()?;
        self.logging()?;
        self.dockerfile()
    }

    /// `volume_driver` is the driver of all named volumes of the service.
    fn volumes(&mut self, volumes: &mut Volumes) -> Result<()> {
        let driver = self.inherited(&["volume_driver"])?;
        let list = self.inherited(&["volumes"])?;
        let entry = self.entry("volume_driver");
        let driver = match &driver {
            None => None,
            Some(driver @ Value::Scalar { .. }) => driver.text(),
            Some(_) => return Err(self.old_key(entry.map_or(self.key, |(key, _)| key))),
        };
        if let Err(name) = volumes.add(list.as_ref(), driver) {
            let message = format!("volume {name:?} has several drivers: declare it under volumes");
            return Err(refusal(self.document.line(self.key), message));
        }
        self.remove(entry)
    }

    /// `net` is `network_mode`, and names a container by its service.
    fn network(&mut self) -> Result<()> {
        let document = self.document;
        let Some((key, value)) = self.entry("net") else { return self.bridge() };
        let What::Scalar { text, .. } = &document.node(document.target(value)).what else {
            return Err(self.old_key(key));
        };
        self.put(key, "network_mode");
        let service = text.strip_prefix("container:");
        if let Some(name) = service.filter(|name| document.entry(document.root, name).is_some()) {
            let range = document.node(value).range.clone();
            self.edits.push((range, quoted(&format!("service:{name}"))));
        }
        Ok(())
    }

    /// Adds `network_mode: bridge` as the first entry, unless the service has or inherits another one.
    fn bridge(&mut self) -> Result<()> {
        if self.inherited(&["net", "network_mode"])?.is_some() {
            return Ok(());
        }
        let document = self.document;
        let node = document.node(self.map);
        let Some((first, _)) = document.entries(self.map).first() else { return Ok(()) };
        if node.flow {
            let at = node.range.start + 1;
            self.edits.push((at..at, "\"network_mode\": \"bridge\", ".to_owned()));
            return Ok(());
        }
        let key = document.node(*first).range.start;
        let at = line_start(document.text, key);
        let prefix = &document.text[at..key];
        if !prefix.trim().is_empty() {
            let message = "cannot be edited: must be on a line of its own";
            return Err(refusal(document.line(*first), message));
        }
        let newline = if document.text.contains("\r\n") { "\r\n" } else { "\n" };
        self.edits.push((at..at, format!("{prefix}network_mode: bridge{newline}")));
        Ok(())
    }

    /// The value of the first of these keys that the service has, or the service that it extends.
    fn inherited(&self, keys: &[&str]) -> Result<Option<Value>> {
        let document = self.document;
        let mut service = document.value(self.map)?;
        for _ in 0..MAX_CHAIN {
            if let Some(value) = keys.iter().find_map(|key| service.get(key)) {
                return Ok(Some(value.clone()));
            }
            let Some(extends) = service.get("extends") else { return Ok(None) };
            let name = match extends {
                Value::Map(_) if extends.get("file").is_some() => None,
                Value::Map(_) => extends.get("service").and_then(Value::text),
                value => value.text(),
            };
            let base = name.and_then(|name| document.entry(document.root, name));
            let Some((_, base)) = base else { return Ok(None) };
            service = document.value(base)?;
        }
        Ok(None)
    }

    /// `log_driver` and `log_opt` are entries of `logging`.
    fn logging(&mut self) -> Result<()> {
        let (driver, options) = (self.entry("log_driver"), self.entry("log_opt"));
        let Some((key, _)) = driver.or(options) else { return Ok(()) };
        if self.entry("logging").is_some() {
            return Err(self.old_key(key));
        }
        let mut content = Vec::new();
        for (name, entry) in [("driver", driver), ("options", options)] {
            if let Some((_, value)) = entry {
                let value = self.document.value(value)?;
                content.extend((!value.is_null()).then(|| (name.to_owned(), value)));
            }
        }
        self.replace(driver.or(options), "logging", &Value::Map(content));
        self.remove(driver.and(options))
    }

    /// `dockerfile` is an entry of `build`, whose text is the context.
    fn dockerfile(&mut self) -> Result<()> {
        let Some((key, file)) = self.entry("dockerfile") else { return Ok(()) };
        let build = self.entry("build");
        let context = build.map(|(_, value)| self.document.value(value)).transpose()?;
        let Some(context @ Value::Scalar { .. }) = context else { return Err(self.old_key(key)) };
        let file = ("dockerfile".to_owned(), self.document.value(file)?);
        let content = Value::Map(vec![("context".to_owned(), context), file]);
        self.replace(build, "build", &content);
        self.remove(self.entry("dockerfile"))
    }

    fn entry(&self, key: &str) -> Option<(NodeId, NodeId)> {
        self.document.entry(self.map, key)
    }

    /// Puts another name in the place of a key.
    fn put(&mut self, key: NodeId, name: &str) {
        let range = self.document.node(key).range.clone();
        let is_quoted = self.document.text[range.clone()].starts_with('"');
        self.edits.push((range, if is_quoted { quoted(name) } else { name.to_owned() }));
    }

    /// Puts another key and value in the place of an entry.
    fn replace(&mut self, entry: Option<(NodeId, NodeId)>, name: &str, value: &Value) {
        let Some((key, old)) = entry else { return };
        self.put(key, name);
        let (key, old) = (self.document.node(key), self.document.node(old));
        let end = old.range.end.max(key.range.end);
        self.edits.push((key.range.end..end, format!(": {}", in_braces(value))));
    }

    fn remove(&mut self, entry: Option<(NodeId, NodeId)>) -> Result<()> {
        let Some(entry) = entry else { return Ok(()) };
        let mut range = entry_range(self.document, self.map, entry)?;
        let entries = self.document.entries(self.map);
        let is_last = entries.last() == Some(&entry);
        if let (true, [.., (key, value), _]) =
            (is_last && self.document.node(self.map).flow, entries)
        {
            // JSON has no comma behind the last entry.
            let ends = [*key, *value].map(|id| self.document.node(id).range.end);
            range.start = ends[0].max(ends[1]);
        }
        self.edits.push((range, String::new()));
        Ok(())
    }

    fn old_key(&self, key: NodeId) -> Error {
        let (service, name) = (self.document.key(self.key), self.document.key(key));
        let message =
            format!("service {service:?}: {name} is a key of Compose version 1: rename it");
        refusal(self.document.line(key), message)
    }
}
