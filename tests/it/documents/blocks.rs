//! The commands that a document shows, and how they are run. What stands in a comment before a block
//! of `sh` or `console` says where:
//!
//! - `<!-- run: NAME -->`: on the machine of that name. All blocks of one name in a document are one
//!   session of one shell, in their order.
//! - `<!-- not run: WHY -->`: nowhere.
//!
//! Every command must succeed. In a block of `console`, `$ ` begins a command, and what follows it is
//! what it prints: `…` stands for whatever comes in its place, and alone for any lines; ids and the
//! number of blanks do not count.

use std::{fmt::Write as _, fs, path::Path};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One block.
#[derive(Debug)]
pub(crate) struct Block {
    /// `FILE:LINE`.
    pub(crate) place: String,
    pub(crate) run: Run,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Run {
    On(String),
    Not(String),
    Unsaid,
}

/// A command, and what the document shows of its output.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) text: String,
    shown: Option<Vec<String>>,
}

/// README.md and all of docs/.
pub(crate) fn documents() -> Vec<String> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).expect("docs/");
    let names = docs.map(|entry| entry.expect("docs/").file_name().into_string().expect("UTF-8"));
    let mut all: Vec<_> = names.filter(|name| name.ends_with("md")).collect();
    all.sort();
    all.into_iter().map(|name| format!("docs/{name}")).chain(["README.md".to_owned()]).collect()
}

/// The blocks of a document.
pub(crate) fn of(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(ROOT).join(document)).expect(document);
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut before = "";
    while let Some((number, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let inside: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let commands = match kind {
                "sh" => plain(&inside),
                "console" => shown(&inside),
                _ => continue,
            };
            let place = format!("{document}:{}", number + 1);
            blocks.push(Block { place, run: how(before), commands });
        }
        if !line.is_empty() {
            before = line;
        }
    }
    blocks
}

fn how(comment: &str) -> Run {
    let Some(text) = comment.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"))
    else {
        return Run::Unsaid;
    };
    match (text.strip_prefix("run: "), text.strip_prefix("not run: ")) {
        (Some(machine), _) => Run::On(machine.to_owned()),
        (_, Some(why)) => Run::Not(why.to_owned()),
        _ => Run::Unsaid,
    }
}

/// Commands without their output: a line each, or more where one ends in `\` or begins a document.
fn plain(lines: &[&str]) -> Vec<Command> {
    let mut lines = lines.iter().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut commands = Vec::new();
    while let Some(line) = lines.next() {
        let mut text = (*line).to_owned();
        let document = line.contains("<<").then_some("END");
        while text.ends_with('\\') || document.is_some_and(|end| !text.ends_with(end)) {
            let Some(next) = lines.next() else { break };
            let _ = write!(text, "\n{next}");
        }
        commands.push(Command { text, shown: None });
    }
    commands
}

/// Commands after `$ `, and what they print.
fn shown(lines: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(text), _) => {
                commands.push(Command { text: text.to_owned(), shown: Some(Vec::new()) });
            }
            (None, Some(last)) if last.text.ends_with('\\') => {
                let _ = write!(last.text, "\n{line}");
            }
            (None, Some(last)) => last.shown.get_or_insert_default().push((*line).to_owned()),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

/// The commands of `blocks` for `machine`, and where each stands.
pub(crate) fn session<'b>(blocks: &'b [Block], machine: &str) -> Vec<(&'b str, &'b Command)> {
    let mine = blocks.iter().filter(|block| matches!(&block.run, Run::On(name) if name == machine));
    mine.flat_map(|block| block.commands.iter().map(|command| (block.place.as_str(), command)))
        .collect()
}

/// A shell's script that runs them, and leaves in `directory` what each printed and its status.
pub(crate) fn script(session: &[(&str, &Command)], directory: &str) -> String {
    let mut script = String::new();
    for (number, (_, command)) in session.iter().enumerate() {
        let _ = writeln!(
            script,
            "{{\n{}\n}} >{directory}/{number}.out 2>&1 </dev/null\necho $? >{directory}/{number}.status",
            command.text
        );
    }
    script
}

/// Compares what happened with what is shown; `read` gives what the script left.
pub(crate) fn assert_true(session: &[(&str, &Command)], read: impl Fn(&str) -> String) {
    let mut wrong = String::new();
    for (number, (place, command)) in session.iter().enumerate() {
        let (said, status) = (read(&format!("{number}.out")), read(&format!("{number}.status")));
        let as_shown = command.shown.as_ref().is_none_or(|shown| {
            let said: Vec<&str> = said.lines().collect();
            agree(&shown.iter().map(String::as_str).collect::<Vec<_>>(), &said)
        });
        if status.trim() != "0" || !as_shown {
            let _ = writeln!(
                wrong,
                "{place}: $ {}\n{said}(status {}; shown: {:#?})\n",
                command.text,
                status.trim(),
                command.shown
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(!session.is_empty(), "nothing was run");
}

/// Whether what was said is what is shown, line by line.
fn agree(shown: &[&str], said: &[&str]) -> bool {
    match (shown.split_first(), said.split_first()) {
        (None, None) => true,
        (Some((&"…", shown)), _) => {
            (0..=said.len()).any(|skipped| agree(shown, &said[skipped..]))
        }
        (Some((line, shown)), Some((word, said))) => {
            matches(&masked(line), &masked(word)) && agree(shown, said)
        }
        _ => false,
    }
}

/// Whether `text` is `pattern`, in which `…` is anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| matches(tail, &rest[at..]))
        }),
    }
}

/// Without what is another each time: ids; and with one blank for many.
fn masked(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let is_id = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { "ID" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_shown_is_compared() {
    let said = ["ID  NAME", "0123456789ab  web", "10.88.0.7\tdb mysql"];
    assert!(agree(&["ID NAME", "ba9876543210 web", "10.88.0.… db mysql"], &said));
    assert!(agree(&["…", "10.88.0.7 db mysql"], &said) && agree(&["ID NAME", "…"], &said));
    for wrong in [&["ID NAME", "…", "10.88.0.… db"][..], &["ID NAME"], &[]] {
        assert!(!agree(wrong, &said), "{wrong:?}");
    }
}
