//! The nodes of a YAML document, built from the events of the parser.

use crate::error::{Error, Kind, Result};
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// No file that people write nests deeper.
pub(crate) const MAX_DEPTH: usize = 64;

/// Where a node is in its document's list of nodes.
pub(crate) type NodeId = usize;

/// A piece of the document.
pub(crate) struct YamlNode {
    pub(crate) what: What,
    /// Its text, without anchor and tag.
    pub(crate) range: Range<usize>,
    /// Whether it stands in brackets or braces.
    pub(crate) flow: bool,
    pub(crate) tagged: bool,
}

/// What kind of node, and what is in it.
pub(crate) enum What {
    Scalar { text: String, plain: bool },
    Alias(NodeId),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
}

/// Says which line is wrong.
pub(crate) fn refusal(line: usize, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Input, format!("line {line}: {why}"))
}

/// The nodes of a text, and which of them is the root.
pub(crate) fn nodes(text: &str) -> Result<(Vec<YamlNode>, NodeId)> {
    let mut builder =
        Builder { text, nodes: Vec::new(), anchors: HashMap::new(), open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refusal(error.marker().line(), error.info()))?;
        builder.take(event, span)?;
    }
    let root = builder.root.ok_or_else(|| refusal(1, "nothing is said"))?;
    Ok((builder.nodes, root))
}

/// The lines of a block of text. To the parser it ends where something else begins; the empty lines
/// before that are part of it only if the line above it says so: `|+`.
fn block(text: &str, range: Range<usize>) -> Range<usize> {
    let (above, lines) = (&text[..range.start], &text[range.clone()]);
    let header = above.trim_end().lines().next_back().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default().split_whitespace().next_back();
    let keeps = header.is_some_and(|header| header.contains('+'));
    let rest = if keeps { lines.trim_end_matches([' ', '\t']) } else { lines.trim_end() };
    range.start..range.start + rest.len()
}

/// A list or a mapping whose end has not come.
struct Open {
    anchor: usize,
    flow: bool,
    tagged: bool,
    is_map: bool,
    start: usize,
    line: usize,
    children: Vec<NodeId>,
}

/// Makes nodes of events.
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
                    target.ok_or_else(|| refusal(line, "an alias of what it stands in"))?;
                let what = What::Alias(target);
                self.add(YamlNode { what, range, flow: false, tagged: false }, 0, line)?;
            }
            _ => {}
        }
        if self.open.len() > MAX_DEPTH {
            return Err(refusal(line, "nests too deep"));
        }
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<()> {
        let Some(Open { anchor, flow, tagged, is_map, start, line, children }) = self.open.pop()
        else {
            return Ok(());
        };
        // The end of what has no bracket comes with the next thing, lines later.
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
                return Err(refusal(line, "a key that is no text"));
            };
            if !keys.insert(text.as_str()) {
                return Err(refusal(line, format_args!("the key {text:?} twice")));
            }
            entries.push((key, value));
        }
        Ok(What::Map(entries))
    }

    fn add(&mut self, mut node: YamlNode, anchor: usize, line: usize) -> Result<()> {
        let id = self.nodes.len();
        match self.open.last_mut() {
            Some(open) => {
                // What says nothing stands wherever the parser noticed it.
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
