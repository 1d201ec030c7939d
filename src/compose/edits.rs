//! Computes the text edits that give services their wanted content.

use super::decide::Wanted;
use super::nodes::{NodeId, What, refusal};
use super::services::{Conditions, Pairs, Service, conditions, pairs};
use super::text::{line_end, line_start};
use super::write::{Content, MappingStyle, always, condition, last, quoted, short};
use super::yaml::{ComposeFile, Value};
use super::{ANNOTATIONS, DEPENDS_ON, LINKS, RUNTIME, Whole};
use crate::error::Result;
use std::collections::HashSet;
use std::ops::Range;

/// Applies the edits and returns the new text, or `None` if nothing changes. `whole` names the
/// service keys whose complete value must be written.
pub(crate) fn edited(
    document: &ComposeFile<'_>,
    services: &[Service],
    wanted: &[Wanted],
    whole: &Whole,
) -> Result<Option<String>> {
    let mut edits = Edits { document, all: Vec::new() };
    let own: HashSet<NodeId> = services.iter().map(|s| document.target(s.node)).collect();
    let mut merged = HashSet::new();
    for (at, (service, wanted)) in services.iter().zip(wanted).enumerate() {
        edits.service(service, wanted, |key| whole.contains(&(at, key)))?;
        merged.extend(document.merged(service.node).into_iter().filter(|id| !own.contains(id)));
    }
    for map in merged {
        edits.take_links(map, &[])?;
    }
    Ok(if edits.all.is_empty() { None } else { Some(edits.applied()) })
}

struct Edits<'d> {
    document: &'d ComposeFile<'d>,
    all: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    fn service(
        &mut self,
        service: &Service,
        wanted: &Wanted,
        whole: impl Fn(&'static str) -> bool,
    ) -> Result<()> {
        let get = |key| service.value.get(key);
        let (old, before) = (pairs(get(ANNOTATIONS)), conditions(get(DEPENDS_ON)));
        let annotations = wanted.annotations != old || whole(ANNOTATIONS);
        let depends_on = wanted.depends_on != before || whole(DEPENDS_ON);
        let runtime = wanted.runtime.as_ref().filter(|_| get(RUNTIME).is_none());
        let is_alias = matches!(self.document.node(service.node).what, What::Alias(_));
        if is_alias && (annotations || depends_on || runtime.is_some()) {
            let message = format!(
                "service {}: is a YAML alias; use a merge instead: \"<<: *…\"",
                service.name
            );
            return Err(refusal(service.line, message));
        }
        if is_alias {
            return Ok(());
        }
        let mut new = Vec::new();
        if annotations {
            new.extend(self.annotations(service.node, &wanted.annotations, &old)?);
        }
        if depends_on {
            new.extend(self.depends_on(service.node, &wanted.depends_on, &before)?);
        }
        if let Some(runtime) = runtime {
            new.push((RUNTIME, Content::Text(short(runtime))));
        }
        self.take_links(service.node, &new)
    }

    /// Edits the service's existing annotations in place. Returns the entry to add if there is none
    /// that can be edited.
    fn annotations(
        &mut self,
        service: NodeId,
        wanted: &Pairs,
        old: &Pairs,
    ) -> Result<Option<(&'static str, Content)>> {
        let document = self.document;
        let all = || Content::Map(wanted.iter().map(|(k, v)| (short(k), quoted(v))).collect());
        let Some((_, value)) = self.own_collection(service, ANNOTATIONS)? else {
            return Ok(Some((ANNOTATIONS, all())));
        };
        let node = document.node(value);
        for (key, text) in wanted.iter().filter(|(key, text)| old.get(*key) != Some(text)) {
            let entry = format!("{key}={text}");
            match &node.what {
                What::Map(_) => match document.entry(value, key) {
                    Some((_, old)) => self.replace(old, quoted(text)),
                    None => self.add_entry(value, &short(key), &quoted(text))?,
                },
                What::List(items) => {
                    let says = |id: &&NodeId| {
                        document.key(**id).split_once('=').is_some_and(|(name, _)| name == key)
                    };
                    match items.iter().find(says) {
                        Some(item) => self.replace(*item, quoted(&entry)),
                        None => self.add_item(value, &quoted(&entry))?,
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Adds the missing services to an existing `depends_on`. Returns the entry to add if there is
    /// none that can be edited.
    fn depends_on(
        &mut self,
        service: NodeId,
        wanted: &Conditions,
        old: &Conditions,
    ) -> Result<Option<(&'static str, Content)>> {
        let Some((name, value)) = self.own_collection(service, DEPENDS_ON)? else {
            return Ok(Some((DEPENDS_ON, Content::of_conditions(wanted))));
        };
        let new: Vec<_> = wanted.iter().filter(|(name, _)| !old.contains_key(*name)).collect();
        match &self.document.node(value).what {
            What::Map(_) => {
                for (name, said) in new {
                    self.add_entry(value, &short(name), &condition(said.as_ref()))?;
                }
            }
            What::List(items) if !new.is_empty() => {
                let Some(edits) = map_of_list(self.document, value, items, &new) else {
                    let range = entry_range(self.document, service, (name, value))?;
                    self.all.push((range, String::new()));
                    return Ok(Some((DEPENDS_ON, Content::of_conditions(wanted))));
                };
                self.all.extend(edits);
            }
            _ => {}
        }
        Ok(None)
    }

    /// Returns the service's own entry `key`, if items can be added to it. An entry that is empty,
    /// null or an alias is removed, because a complete entry replaces it. An entry with a tag is an
    /// error.
    fn own_collection(&mut self, service: NodeId, key: &str) -> Result<Option<(NodeId, NodeId)>> {
        let Some((name, value)) = self.document.entry(service, key) else { return Ok(None) };
        let node = self.document.node(value);
        let is_empty = match &node.what {
            What::List(items) => items.is_empty(),
            What::Map(entries) => entries.is_empty(),
            _ => true,
        };
        if node.tagged {
            return Err(refusal(self.document.line(name), format_args!("{key}: has a YAML tag")));
        }
        if is_empty {
            let range = entry_range(self.document, service, (name, value))?;
            self.all.push((range, String::new()));
            return Ok(None);
        }
        Ok(Some((name, value)))
    }

    /// Removes the link keys of a mapping and writes the entries `new`: in place of the first
    /// removed key, otherwise at the end.
    fn take_links(&mut self, map: NodeId, new: &[(&str, Content)]) -> Result<()> {
        let document = self.document;
        let node = document.node(map);
        let links: Vec<_> = LINKS.iter().filter_map(|key| document.entry(map, key)).collect();
        if links.is_empty() && new.is_empty() {
            return Ok(());
        }
        if let Some((key, _)) = links.iter().find(|(_, value)| document.node(*value).tagged) {
            return Err(refusal(document.line(*key), "links: have a YAML tag"));
        }
        let layout = MappingStyle::of(document, map)?;
        let mut text: String = new.iter().map(|(key, value)| layout.entry(key, value)).collect();
        let entries = document.entries(map);
        if text.is_empty() && entries.len() == links.len() {
            text = layout.nothing();
        }
        if links.is_empty() {
            let at = match entries.last() {
                _ if node.flow => node.range.start + 1,
                Some(entry) => entry_range(self.document, map, *entry)?.end,
                None => node.range.end,
            };
            let new = std::mem::take(&mut text);
            let new = if node.flow && entries.is_empty() { last(&new) } else { new };
            self.all.push((at..at, new));
        }
        for link in links {
            let range = entry_range(self.document, map, link)?;
            let is_last = entries.last() == Some(&link);
            let new = std::mem::take(&mut text);
            let new = if node.flow && is_last { last(&new) } else { new };
            self.all.push((range, new));
        }
        Ok(())
    }

    fn replace(&mut self, node: NodeId, text: String) {
        self.all.push((self.document.node(node).range.clone(), text));
    }

    /// Adds an entry to a mapping that is not empty.
    fn add_entry(&mut self, map: NodeId, key: &str, value: &str) -> Result<()> {
        let document = self.document;
        let Some(last) = document.entries(map).last() else { return Ok(()) };
        if document.node(map).flow {
            let at = document.node(map).range.start + 1;
            self.all.push((at..at, format!("{}: {value}, ", always(key))));
            return Ok(());
        }
        let at = entry_range(self.document, map, *last)?.end;
        let layout = MappingStyle::of(document, map)?;
        self.all.push((at..at, layout.line(&format!("{key}: {value}"))));
        Ok(())
    }

    /// Adds an item to a list that is not empty.
    fn add_item(&mut self, list: NodeId, item: &str) -> Result<()> {
        let document = self.document;
        let What::List(items) = &document.node(list).what else { return Ok(()) };
        let Some(last) = items.last() else { return Ok(()) };
        let range = document.node(*last).range.clone();
        if document.node(list).flow {
            let in_quotes = document.text[range.clone()].starts_with('"');
            let item = if in_quotes { always(item) } else { item.to_owned() };
            self.all.push((range.end..range.end, format!(", {item}")));
            return Ok(());
        }
        let start = line_start(document.text, range.start);
        let bullet = &document.text[start..range.start];
        if bullet.trim() != "-" {
            return Err(refusal(
                document.line(*last),
                "cannot be edited: must be on a line of its own",
            ));
        }
        let at = line_end(document.text, range.end, range.start);
        let layout = MappingStyle::of(document, document.root)?;
        self.all.push((at..at, format!("{bullet}{item}{}", layout.newline)));
        Ok(())
    }

    fn applied(mut self) -> String {
        // An insertion at an offset must come before a deletion that starts there.
        self.all.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut new, mut at) = (String::new(), 0);
        for (range, text) in self.all {
            new.push_str(self.document.text.get(at..range.start).unwrap_or_default());
            new.push_str(&text);
            at = at.max(range.end);
        }
        new.push_str(&self.document.text[at..]);
        new
    }
}

/// The range that is deleted with an entry: its lines, or in a flow mapping the entry and the
/// separator after it.
pub(crate) fn entry_range(
    document: &ComposeFile<'_>,
    map: NodeId,
    entry: (NodeId, NodeId),
) -> Result<Range<usize>> {
    let (key, value) = (document.node(entry.0), document.node(entry.1));
    let end = key.range.end.max(value.range.end);
    if document.node(map).flow {
        let entries = document.entries(map);
        let next = entries.iter().skip_while(|other| **other != entry).nth(1);
        let end = next.map_or(end, |(next, _)| document.node(*next).range.start);
        return Ok(key.range.start..end);
    }
    let start = line_start(document.text, key.range.start);
    if !document.text[start..key.range.start].trim().is_empty() {
        return Err(refusal(
            document.line(entry.0),
            "cannot be edited: must be on a line of its own",
        ));
    }
    Ok(start..line_end(document.text, end, key.range.end))
}

/// The edits that make a `depends_on` in the form of a list one in the form of a mapping, with the
/// entries `new` at its end. `None` if its items cannot be keys as they are written.
fn map_of_list(
    document: &ComposeFile<'_>,
    list: NodeId,
    items: &[NodeId],
    new: &[(&String, &Option<Value>)],
) -> Option<Vec<(Range<usize>, String)>> {
    let (text, node) = (document.text, document.node(list));
    let mut keys = HashSet::new();
    let mut edits = Vec::new();
    for item in items {
        let item = document.node(*item);
        let What::Scalar { text: key, .. } = &item.what else { return None };
        let range = item.range.clone();
        if item.tagged || !keys.insert(key) || text[range.clone()].contains('\n') {
            return None;
        }
        edits.push((range.end..range.end, format!(": {}", condition(None))));
    }
    let last = document.node(*items.last()?).range.clone();
    if node.flow {
        let (start, end) = (node.range.start, node.range.end.checked_sub(1)?);
        if !text[start..].starts_with('[') || !text[end..].starts_with(']') {
            return None;
        }
        let in_quotes = text[last].starts_with('"');
        let name = |name: &str| if in_quotes { always(name) } else { short(name) };
        let more =
            new.iter().map(|(key, said)| format!(", {}: {}", name(key), condition(said.as_ref())));
        edits.last_mut()?.1.extend(more);
        edits.extend([(start..start + 1, "{".to_owned()), (end..end + 1, "}".to_owned())]);
        return Some(edits);
    }
    let mut indents = HashSet::new();
    for item in items {
        let start = document.node(*item).range.start;
        let bullet = &text[line_start(text, start)..start];
        if bullet.trim_matches(' ') != "-" {
            return None;
        }
        let dash = start - bullet.len() + bullet.find('-')?;
        edits.push((dash..dash + 1, " ".to_owned()));
        indents.insert(bullet.len());
    }
    // Keys of one mapping begin in one column.
    let [indent] = *indents.into_iter().collect::<Vec<_>>() else { return None };
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let indent = " ".repeat(indent);
    let line = |(key, said): &(&String, &Option<Value>)| {
        format!("{indent}{}: {}{newline}", short(key), condition(said.as_ref()))
    };
    let at = line_end(text, last.end, last.start);
    edits.push((at..at, new.iter().map(line).collect()));
    Some(edits)
}
