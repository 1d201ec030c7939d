//! The nodes of a YAML document, built from parser events.

use crate::error::{Error, Kind, Result};
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The greatest nesting depth that is accepted. It is a limit for recursion.
pub(crate) const MAX_DEPTH: usize = 64;

/// Index of a node in the document's list of nodes.
pub(crate) type NodeId = usize;

/// A node of the document and its position in the text.
pub(crate) struct YamlNode {
    pub(crate) what: What,
    /// The byte range of its text, without anchor and tag.
    pub(crate) range: Range<usize>,
    /// Whether the node is written in brackets or braces (YAML flow style).
    pub(crate) flow: bool,
    pub(crate) tagged: bool,
}

/// The kind of a node, with its content.
pub(crate) enum What {
    Scalar { text: String, plain: bool },
    Alias(NodeId),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
}

/// An input error that names a line.
pub(crate) fn refusal(line: usize, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Input, format!("line {line}: {why}"))
}

/// Parses `text` and returns its nodes and the root. The text must contain exactly one document.
pub(crate) fn nodes(text: &str) -> Result<(Vec<YamlNode>, NodeId)> {
    let mut builder =
        Builder { text, nodes: Vec::new(), anchors: HashMap::new(), open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refusal(error.marker().line(), error.info()))?;
        builder.take(event, span)?;
    }
    let root = builder.root.ok_or_else(|| refusal(1, "empty input"))?;
    Ok((builder.nodes, root))
}

/// Trims the range of a block scalar. The parser's range ends where the next node begins. Empty
/// lines before that belong to the scalar only if its header has a `+`, as in `|+`.
fn block(text: &str, range: Range<usize>) -> Range<usize> {
    let (above, lines) = (&text[..range.start], &text[range.clone()]);
    let header = above.trim_end().lines().next_back().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default().split_whitespace().next_back();
    let keeps = header.is_some_and(|header| header.contains('+'));
    let rest = if keeps { lines.trim_end_matches([' ', '\t']) } else { lines.trim_end() };
    range.start..range.start + rest.len()
}

/// A list or mapping whose end event has not been read yet.
struct Open {
    anchor: usize,
    flow: bool,
    tagged: bool,
    is_map: bool,
    start: usize,
    line: usize,
    children: Vec<NodeId>,
}

/// Builds nodes from parser events.
struct Builder<'a> {
    text: &'a str,
    nodes: Vec<YamlNode>,
    anchors: HashMap<usize, NodeId>,
    open: Vec<Open>,
    root: Option<NodeId>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let range = span.byte_range().unwrap_or_default();
        let line = span.start.line();
        let is_flow = |style| style == StructureStyle::Flow;
        let mut open = |is_map, flow, anchor, tagged| {
            let open =
                Open { anchor, flow, tagged, is_map, start: range.start, line, children: vec![] };
            self.open.push(open);
            self.open.len()
        };
        match event {
            Event::SequenceStart(style, anchor, tag) => {
                open(false, is_flow(style), anchor, tag.is_some());
            }
            Event::MappingStart(style, anchor, tag) => {
                open(true, is_flow(style), anchor, tag.is_some());
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end)?,
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let what = What::Scalar { text: text.into_owned(), plain };
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let range = if is_block { block(self.text, range) } else { range };
                self.add(
                    YamlNode { what, range, flow: false, tagged: tag.is_some() },
                    anchor,
                    line,
                )?;
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                let target =
                    target.ok_or_else(|| refusal(line, "an alias of a node that contains it"))?;
                let what = What::Alias(target);
                self.add(YamlNode { what, range, flow: false, tagged: false }, 0, line)?;
            }
            _ => {}
        }
        if self.open.len() > MAX_DEPTH {
            return Err(refusal(line, "nested too deeply"));
        }
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<()> {
        let Some(Open { anchor, flow, tagged, is_map, start, line, children }) = self.open.pop()
        else {
            return Ok(());
        };
        // The parser reports the end of a block collection only with the next node, some lines
        // later.
        let ends = children.iter().map(|id| self.nodes[*id].range.end);
        let end = if flow { end } else { ends.max().unwrap_or(start) };
        let start = match children.first() {
            Some(first) if !flow && is_map => self.nodes[*first].range.start,
            _ => start,
        };
        let what = if is_map { self.map(&children, line)? } else { What::List(children) };
        self.add(YamlNode { what, range: start..end.max(start), flow, tagged }, anchor, line)
    }

    fn map(&self, children: &[NodeId], line: usize) -> Result<What> {
        let mut keys = HashSet::new();
        let mut entries = Vec::new();
        for pair in children.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            let target = match self.nodes[key].what {
                What::Alias(target) => target,
                _ => key,
            };
            let What::Scalar { text, .. } = &self.nodes[target].what else {
                return Err(refusal(line, "a key must be text"));
            };
            if !keys.insert(text.as_str()) {
                return Err(refusal(line, format_args!("the key {text:?} occurs twice")));
            }
            entries.push((key, value));
        }
        Ok(What::Map(entries))
    }

    fn add(&mut self, mut node: YamlNode, anchor: usize, line: usize) -> Result<()> {
        let id = self.nodes.len();
        match self.open.last_mut() {
            Some(open) => {
                // The parser reports an empty value wherever it noticed it; the end of its key is
                // the right place.
                let is_value = open.is_map && open.children.len() % 2 == 1;
                if let (true, Some(before)) =
                    (is_value && node.range.is_empty(), open.children.last())
                {
                    let end = self.nodes[*before].range.end;
                    node.range = end..end;
                }
                open.children.push(id);
            }
            None if self.root.is_some() => return Err(refusal(line, "more than one document")),
            None => self.root = Some(id),
        }
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        self.nodes.push(node);
        Ok(())
    }
}
