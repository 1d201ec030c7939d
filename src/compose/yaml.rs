//! A YAML document in two forms. Nodes know their position in the text, so that an edit changes
//! nothing else. Values have aliases and merge keys resolved.

use super::nodes::{MAX_DEPTH, NodeId, What, YamlNode, nodes, refusal};
use crate::error::Result;
use std::collections::HashSet;

/// Limit for the number of values: nested aliases can expand to more than fits into memory.
const MAX_VALUES: usize = 200_000;
/// The YAML merge key.
const MERGE: &str = "<<";

/// The value of a node, with aliases and merge keys resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A `plain` scalar has no quotes and no tag; YAML may read it as a number or as null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Whether the value is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The entry `key` of a mapping, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        let found = entries.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// The kind of the value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Scalar { .. } => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Scalar { text, .. } = self { Some(text) } else { None }
    }
}

/// A text with one YAML document, and its nodes.
pub(crate) struct ComposeFile<'a> {
    pub(crate) text: &'a str,
    pub(crate) root: NodeId,
    nodes: Vec<YamlNode>,
}

impl<'a> ComposeFile<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let (nodes, root) = nodes(text)?;
        Ok(Self { text, root, nodes })
    }

    pub(crate) fn node(&self, id: NodeId) -> &YamlNode {
        &self.nodes[id]
    }

    /// The line in which a node begins, counted from 1.
    pub(crate) fn line(&self, id: NodeId) -> usize {
        let before = self.text.get(..self.nodes[id].range.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// The node itself, or the node that it is an alias of.
    pub(crate) fn target(&self, id: NodeId) -> NodeId {
        if let What::Alias(target) = self.nodes[id].what { target } else { id }
    }

    /// The entries of a mapping as written; merge keys are not resolved.
    pub(crate) fn entries(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        if let What::Map(entries) = &self.nodes[id].what { entries } else { &[] }
    }

    /// The entry `key` of a mapping as written; merge keys are not resolved.
    pub(crate) fn entry(&self, id: NodeId, key: &str) -> Option<(NodeId, NodeId)> {
        self.entries(id).iter().copied().find(|(name, _)| self.key(*name) == key)
    }

    /// The text of a key; empty if the node is not a scalar.
    pub(crate) fn key(&self, id: NodeId) -> &str {
        if let What::Scalar { text, .. } = &self.nodes[self.target(id)].what { text } else { "" }
    }

    /// The mapping `id` and all mappings that are merged into it, directly or through others.
    pub(crate) fn merged(&self, id: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let (mut seen, mut next) = (HashSet::new(), vec![id]);
        while let Some(id) = next.pop() {
            let id = self.target(id);
            if !seen.insert(id) {
                continue;
            }
            found.push(id);
            for (_, value) in self.entries(id).iter().filter(|(key, _)| self.key(*key) == MERGE) {
                let value = self.target(*value);
                match &self.nodes[value].what {
                    What::List(items) => next.extend(items),
                    _ => next.push(value),
                }
            }
        }
        found
    }

    /// The value of a node, with aliases and merge keys resolved. Deep nesting and too many values
    /// are errors.
    pub(crate) fn value(&self, id: NodeId) -> Result<Value> {
        let mut left = MAX_VALUES;
        self.read(id, &mut left, 0)
    }

    fn read(&self, id: NodeId, left: &mut usize, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(refusal(self.line(id), "nested too deeply"));
        }
        *left = left
            .checked_sub(1)
            .ok_or_else(|| refusal(self.line(id), "aliases expand to too much text"))?;
        Ok(match &self.nodes[id].what {
            What::Scalar { text, plain } => Value::Scalar { text: text.clone(), plain: *plain },
            What::Alias(target) => self.read(*target, left, depth + 1)?,
            What::List(items) => {
                let items = items.iter().map(|item| self.read(*item, left, depth + 1));
                Value::List(items.collect::<Result<_>>()?)
            }
            What::Map(entries) => {
                let mut all: Vec<(String, Value)> = Vec::new();
                let mut merged = Vec::new();
                for (key, value) in entries {
                    let said = self.read(*value, left, depth + 1)?;
                    match self.key(*key) {
                        MERGE => merged.push((*value, said)),
                        key => all.push((key.to_owned(), said)),
                    }
                }
                for (at, value) in merged {
                    self.merge(at, value, &mut all)?;
                }
                Value::Map(all)
            }
        })
    }

    /// Adds merged entries to `all`. Existing keys win: first the mapping's own, then those of
    /// earlier merged mappings.
    fn merge(&self, at: NodeId, value: Value, all: &mut Vec<(String, Value)>) -> Result<()> {
        let maps = if let Value::List(maps) = value { maps } else { vec![value] };
        let mut known: HashSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
        for map in maps {
            let Value::Map(entries) = map else {
                return Err(refusal(self.line(at), "only a mapping can be merged"));
            };
            all.extend(entries.into_iter().filter(|(key, _)| known.insert(key.clone())));
        }
        Ok(())
    }
}
