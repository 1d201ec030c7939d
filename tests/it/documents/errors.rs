//! docs/errors.md against the source: what the program says is in the table, and what is in the
//! table the program says.

use super::messages::{Message, all};
use std::fs;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");

/// The kinds, in the order of their exit status, from 1 on.
const KINDS: [&str; 10] = [
    "Internal",
    "Usage",
    "Input",
    "Source",
    "Unsafe",
    "Firewall",
    "State",
    "Hosts",
    "Namespace",
    "Cluster",
];

/// The texts of the table, each with the kind under whose heading it stands.
fn table() -> Vec<(&'static str, String)> {
    let (mut kind, mut texts) = ("", Vec::new());
    for line in fs::read_to_string(TABLE).expect("docs/errors.md").lines() {
        if let Some(heading) = line.strip_prefix("## Status ") {
            let status: usize = heading.split(':').next().and_then(|n| n.parse().ok()).expect("N");
            kind = KINDS[status - 1];
        }
        let Some(cells) = line.strip_prefix("| ") else { continue };
        let message = cells.split(" | ").next().unwrap_or_default();
        texts.extend(message.split('`').skip(1).step_by(2).map(|text| (kind, text.to_owned())));
    }
    texts
}

/// Whether `text` has `part`, as whole words.
fn says(text: &str, part: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(part).any(|(at, _)| {
        !inner(text[..at].chars().next_back()) && !inner(text[at + part.len()..].chars().next())
    })
}

/// What of a text is always the same.
fn constants(text: &str) -> impl Iterator<Item = &str> {
    text.split(['…', '"'])
        .flat_map(|part| part.split(": "))
        .map(|part| part.trim_matches([' ', ':', ',', '(', ')', '/']))
        .filter(|part| !part.is_empty())
}

#[test]
fn every_message_stands_in_the_table_under_its_status() {
    let table = table();
    let missing: Vec<Message> = all()
        .into_iter()
        .filter(|message| {
            !table.iter().any(|(kind, text)| {
                message.kind.as_ref().is_none_or(|wanted| wanted == kind)
                    && constants(&message.text).all(|part| says(text, part))
            })
        })
        .collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:#?}");
}

#[test]
fn nothing_in_the_table_is_gone() {
    let messages = all();
    let table = table();
    let parts = table.iter().filter(|(_, text)| text != "clap").flat_map(|(_, t)| constants(t));
    let said = |part: &&str| messages.iter().any(|message| says(&message.text, part));
    let gone: Vec<_> = parts.filter(|part| !said(part)).collect();
    assert!(gone.is_empty(), "no code prints these any more: {gone:#?}");
}

/// The headings' numbers are those that the program ends with.
#[test]
fn a_heading_is_an_exit_status() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/error.rs");
    let source = fs::read_to_string(source).expect("a source file");
    for (status, kind) in (1..).zip(KINDS) {
        assert!(source.contains(&format!("    {kind} = {status},\n")), "{kind} is not {status}");
        let any = table().iter().any(|(heading, _)| *heading == kind);
        assert!(any, "docs/errors.md has nothing of {kind}");
    }
}
