//! The messages of the program, found in its source: what stands where an error is made.

use std::{fs, ops::Range, path::Path};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Where errors are made.
const MAKERS: [&str; 3] = ["Error::new(", "Invalid::new(", ".context("];
/// Functions that make an error of a reason they are given.
const HELPERS: [&str; 9] = [
    "failed(",
    "refused(",
    "refusal(",
    "refuse(",
    "refuse_link(",
    "check(",
    "checked_name!(",
    "must_be_ordinary(",
    "Error::custom(",
];
/// Functions that return reasons: every text in them is one.
const REASONS: [(&str, &str); 10] = [
    ("link/resolve.rs", "fn fmt("),
    ("model/missing.rs", "fn parse_wait("),
    ("model/address.rs", "fn unusable_v4("),
    ("model/address.rs", "fn unusable_v6("),
    ("sys/private_dir/owner.rs", "fn check("),
    ("sys/hosts/rootfs.rs", "fn must_be_ordinary("),
    ("lifecycle/wait.rs", "fn explain("),
    ("commands/mod.rs", "fn one_line("),
    ("lifecycle/concern.rs", "fn needs("),
    ("sys/process/network.rs", "fn check("),
];
/// Variables that hold a part of a message.
const PARTS: [&str; 3] = ["let want = ", "let what = || ", "let error = || "];
/// Where an error is passed on or put together of others: `error.rs`, and arguments that are errors.
const PASSED_ON: [&str; 9] = [
    "error.to_string()",
    "lines.join",
    "error.kind",
    "one_line(&usage)",
    "what, value, why",
    "&ip.to_string(), why",
    "Kind::Firewall, message",
    "Kind::of_status(code), message",
    "failed.kind, message",
];

/// A message, with `…` for what is not the same each time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Message {
    pub(super) text: String,
    /// The name of its kind, where that stands beside it.
    pub(super) kind: Option<String>,
    pub(super) file: String,
}

/// All messages.
pub(super) fn all() -> Vec<Message> {
    let mut messages: Vec<Message> = sources(Path::new(SRC)).iter().flat_map(of_source).collect();
    // Marks that a text is cut at are none.
    messages.retain(|message| {
        message.text.chars().any(char::is_alphabetic) && !message.text.trim_end().ends_with(':')
    });
    messages.sort();
    messages.dedup_by(|a, b| (&a.text, &a.kind) == (&b.text, &b.kind));
    messages
}

/// What is compiled of each source file, by its path below `src`.
fn sources(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        let name = path.strip_prefix(SRC).expect("below src").display().to_string();
        if name.ends_with("tests") || name.ends_with("fakes") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((name, code.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

fn of_source((file, code): &(String, String)) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut keep = |part: &str, kind: Option<&str>| {
        let found = literals(part);
        let any = !found.is_empty();
        messages.extend(found.into_iter().map(|text| Message {
            text,
            kind: kind.map(str::to_owned),
            file: file.clone(),
        }));
        any
    };
    let helpers = HELPERS.iter().map(|name| (*name).to_owned()).chain(closures(code));
    for maker in MAKERS.iter().map(|name| (*name).to_owned()).chain(helpers) {
        for (at, _) in code.match_indices(&maker) {
            let is_whole_word = maker.starts_with('.')
                || !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if !is_whole_word || code[..at].ends_with("fn ") {
                continue;
            }
            let arguments = &code[enclosed(code, at + maker.len() - 1)];
            let kind = arguments.split("Kind::").nth(1).map(word);
            let mut any = keep(arguments, kind);
            let made = code[..at].rfind("let message =");
            if let (Some(made), true) = (made, arguments.contains("message")) {
                any |= keep(statement(&code[made..]), kind);
            }
            let known = any || PASSED_ON.iter().any(|part| arguments.contains(part));
            let makes = maker.ends_with("::new(");
            assert!(known || !makes, "{file}: no message in {maker}{arguments})");
        }
    }
    for name in PARTS {
        for (at, _) in code.match_indices(name) {
            keep(statement(&code[at..]), None);
        }
    }
    for (place, head) in REASONS.iter().filter(|(place, _)| place == file) {
        let at = code.find(head).unwrap_or_else(|| panic!("{place} has no {head}"));
        let body = at + code[at..].find("{\n").expect("a body");
        keep(&code[enclosed(code, body)], None);
    }
    messages
}

/// Closures that make an error of a reason, as `NAME(`.
fn closures(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("let ") {
        let name = word(&code[at + 4..]);
        let rest = code[at + 4 + name.len()..].trim_start_matches(" =").trim_start();
        let makes = |text: &str| text.contains("Error::new(") || text.contains("Invalid::new(");
        if rest.starts_with('|') && makes(statement(rest)) {
            names.push(format!("{name}("));
        }
    }
    names
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Up to the `;` that ends it.
fn statement(code: &str) -> &str {
    let mut depth = 0i32;
    for (at, c, inside) in characters(code) {
        match c {
            '{' | '(' | '[' if !inside => depth += 1,
            '}' | ')' | ']' if !inside => depth -= 1,
            ';' if !inside && depth == 0 => return &code[..at],
            _ => {}
        }
    }
    code
}

/// What the bracket at `open` encloses.
fn enclosed(code: &str, open: usize) -> Range<usize> {
    let mut depth = 0;
    for (at, c, inside) in characters(&code[open..]) {
        match c {
            '{' | '(' | '[' if !inside => depth += 1,
            '}' | ')' | ']' if !inside => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + 1..open + at;
        }
    }
    open..code.len()
}

/// The characters of `code`, and whether each is inside a string. A quote as a character of its own
/// (`'"'`) is none that begins one.
fn characters(code: &str) -> impl Iterator<Item = (usize, char, bool)> + '_ {
    let (mut inside, mut escaped) = (false, false);
    code.char_indices().map(move |(at, c)| {
        let lonely =
            !inside && (code[..at].ends_with('\'') && code[at + c.len_utf8()..].starts_with('\''));
        match c {
            _ if lonely => return (at, ' ', false),
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => {
                inside = !inside;
                return (at, c, false);
            }
            _ => {}
        }
        (at, c, inside)
    })
}

/// The strings in `code`, as they are shown: without escapes, and `…` for what is filled in.
fn literals(code: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for (_, c, inside) in characters(code) {
        match (c, inside) {
            ('"', false) => {
                open = !open;
                if open {
                    found.push(String::new());
                }
            }
            (c, true) => found.last_mut().expect("one is open").push(c),
            _ => {}
        }
    }
    found.iter().map(|raw| shown(raw)).collect()
}

fn shown(raw: &str) -> String {
    let mut text = String::new();
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                Some(c) => text.push(c),
                None => {}
            },
            '{' if rest.peek() == Some(&'{') => {
                rest.next();
                text.push('{');
            }
            '{' => {
                while rest.next().is_some_and(|c| c != '}') {}
                text.push('…');
            }
            c => text.push(c),
        }
    }
    text
}
