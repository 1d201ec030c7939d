//! A YAML document as nodes that know where they stand, so that an edit changes nothing else; and as
//! values, in which aliases and merge keys are followed.

use super::nodes::{MAX_DEPTH, NodeId, What, YamlNode, nodes, refusal};
use crate::error::Result;
use std::collections::HashSet;

/// Aliases of aliases can say more than fits into memory.
const MAX_VALUES: usize = 200_000;
/// The key that merges mappings.
const MERGE: &str = "<<";

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Without quotes it may be a number, or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Whether nothing is said.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The member `key` of a mapping, if it says anything.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        let found = entries.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Scalar { text, .. } = self { Some(text) } else { None }
    }
}

/// A parsed text of one document.
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

    /// The line that a node begins in.
    pub(crate) fn line(&self, id: NodeId) -> usize {
        let before = self.text.get(..self.nodes[id].range.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// The node itself, or what it is an alias of.
    pub(crate) fn target(&self, id: NodeId) -> NodeId {
        if let What::Alias(target) = self.nodes[id].what { target } else { id }
    }

    /// The entries of a mapping as they stand there.
    pub(crate) fn entries(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        if let What::Map(entries) = &self.nodes[id].what { entries } else { &[] }
    }

    /// The entry `key` of a mapping, as it stands there.
    pub(crate) fn entry(&self, id: NodeId, key: &str) -> Option<(NodeId, NodeId)> {
        self.entries(id).iter().copied().find(|(name, _)| self.key(*name) == key)
    }

    /// The text of a key.
    pub(crate) fn key(&self, id: NodeId) -> &str {
        if let What::Scalar { text, .. } = &self.nodes[self.target(id)].what { text } else { "" }
    }

    /// The mapping `id`, and those that are merged into it.
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

    /// What a node says, aliases and merge keys followed.
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

    /// What is there already stays: own entries first, then earlier mappings'.
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
