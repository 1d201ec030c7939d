//! The command lines of runc, crun and youki, as far as the wrapper acts on them.
//!
//! runc parses with Go's `flag` (`--bundle X`, `-bundle=X`), crun with glibc's argp (`-dbX`, `--bund
//! X`), youki with clap, and engines use many of these forms. What is not understood is the
//! runtime's business: then there is nothing to act on, and the runtime says what is wrong.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Options before the command that have a value, in all runtimes together.
const GLOBAL_VALUES: [&str; 9] =
    ["root", "r", "log", "l", "log-format", "log-level", "criu", "rootless", "cgroup-manager"];
/// Options of `create` and `run` that have a value; `-c` and `-p` are youki's.
const CREATE_VALUES: [&str; 11] = [
    "bundle",
    "b",
    "console-socket",
    "c",
    "pidfd-socket",
    "pid-file",
    "p",
    "preserve-fds",
    "config",
    "f",
    "keyring",
];
/// Options without a value that Go lets one write with one dash: words, not letters in a row.
const FLAGS: [&str; 9] = [
    "debug",
    "detach",
    "force",
    "keep",
    "no-new-keyring",
    "no-pivot",
    "no-subreaper",
    "regex",
    "systemd-cgroup",
];
/// Options that make a runtime tell of itself, and do nothing else.
const QUESTIONS: [&str; 7] = ["help", "h", "?", "usage", "version", "v", "V"];

/// What the runtime is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make a container that waits.
    Create(Creation),
    /// Make one and start it.
    Run(Creation),
    /// Start one that waits.
    Start(OsString),
    /// Remove one.
    Delete(OsString),
    /// Anything else.
    Other,
}

/// What a container is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Creation {
    /// Its id.
    pub(crate) id: OsString,
    /// The directory of its bundle; the current one unless told.
    pub(crate) bundle: PathBuf,
    /// The file to read in place of the bundle's config.json (crun).
    pub(crate) config: Option<PathBuf>,
}

impl Creation {
    /// The file that the runtime will read. crun looks for another than config.json where it was
    /// called, not in the bundle.
    pub(crate) fn config_file(&self) -> PathBuf {
        let usual = Path::new("config.json");
        match self.config.as_deref() {
            Some(other) if other != usual => other.to_owned(),
            _ => self.bundle.join(usual),
        }
    }
}

/// A runtime's command line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// What to do.
    pub(crate) action: Action,
    /// `--root`: where the runtime keeps its own state.
    pub(crate) root: Option<PathBuf>,
    /// `--log`: where engines look for the cause of a failure.
    pub(crate) log: Option<PathBuf>,
    /// Whether that file holds JSON.
    pub(crate) json_log: bool,
    /// How many arguments stand before the command.
    pub(crate) globals: usize,
}

impl CommandLine {
    /// Reads the arguments that follow the program's name.
    pub(crate) fn parse(arguments: &[OsString]) -> Self {
        let globals = Options::read(arguments, &GLOBAL_VALUES, true);
        let rest = globals.words.split_first().filter(|_| !globals.asks);
        let action =
            rest.and_then(|(command, rest)| action(command, rest)).unwrap_or(Action::Other);
        Self {
            action,
            globals: arguments.len() - globals.words.len(),
            root: globals.value(&["root", "r"]).map(PathBuf::from),
            log: globals.value(&["log", "l"]).map(PathBuf::from),
            json_log: globals.value(&["log-format"]).is_some_and(|format| format == "json"),
        }
    }
}

fn action(command: &OsStr, arguments: &[OsString]) -> Option<Action> {
    let id = |options: &Options| options.words.first().filter(|_| !options.asks).cloned();
    let creation = || {
        let options = Options::read(arguments, &CREATE_VALUES, false);
        let bundle = options.value(&["bundle", "b"]).unwrap_or_else(|| ".".into());
        let config = options.value(&["config", "f"]).map(PathBuf::from);
        Some(Creation { id: id(&options)?, bundle: bundle.into(), config })
    };
    match command.to_str()? {
        "create" => creation().map(Action::Create),
        "run" => creation().map(Action::Run),
        "start" => id(&Options::read(arguments, &[], false)).map(Action::Start),
        "delete" => id(&Options::read(arguments, &[], false)).map(Action::Delete),
        _ => None,
    }
}

/// Arguments sorted into options that have values, and words.
struct Options {
    values: Vec<(String, OsString)>,
    words: Vec<OsString>,
    /// Whether one of them is a question.
    asks: bool,
}

impl Options {
    /// `with_value` are the options that take one. With `until_word`, everything from the first
    /// word on is words.
    fn read(arguments: &[OsString], with_value: &[&str], until_word: bool) -> Self {
        let mut options = Self { values: Vec::new(), words: Vec::new(), asks: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                options.words.extend(arguments.cloned());
                break;
            }
            let Some((name, value)) = option(argument, with_value) else {
                options.words.push(argument.clone());
                if until_word {
                    options.words.extend(arguments.cloned());
                    break;
                }
                continue;
            };
            options.asks |= QUESTIONS.contains(&name.as_str());
            if let Some(value) = value {
                options.values.push((name, value));
            } else if with_value.contains(&name.as_str()) {
                options.values.extend(arguments.next().map(|value| (name, value.clone())));
            }
        }
        options
    }

    /// The last value given to any of `names`: it is the one that counts.
    fn value(&self, names: &[&str]) -> Option<OsString> {
        let mut given = self.values.iter().rev();
        given.find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.clone())
    }
}

/// Name and attached value of an option; none for a word.
fn option(argument: &OsStr, with_value: &[&str]) -> Option<(String, Option<OsString>)> {
    let bytes = argument.as_bytes();
    let (name, two_dashes) = match bytes.strip_prefix(b"--") {
        Some(name) => (name, true),
        None => (bytes.strip_prefix(b"-")?, false),
    };
    if name.is_empty() {
        return None;
    }
    let attached = |from: usize| name.get(from..).map(|value| OsStr::from_bytes(value).to_owned());
    let end = name.iter().position(|byte| *byte == b'=').unwrap_or(name.len());
    let word = String::from_utf8_lossy(&name[..end]).into_owned();
    let is_known =
        [with_value, &FLAGS, &QUESTIONS].iter().any(|known| known.contains(&word.as_str()));
    if two_dashes && !is_known {
        // argp lets one leave off the end of a name; what could be two, crun refuses.
        let whole = with_value.iter().find(|name| name.starts_with(&word)).copied();
        return Some((whole.map_or(word, str::to_owned), attached(end + 1)));
    }
    if two_dashes || is_known || end == 1 {
        return Some((word, attached(end + 1)));
    }
    // argp's letters in a row: `-dbDIR`. One that takes a value takes the rest, or what follows.
    let counts = |letter: &str| with_value.contains(&letter) || QUESTIONS.contains(&letter);
    let letter = |byte: &u8| char::from(*byte).to_string();
    match name.iter().position(|byte| counts(&letter(byte))) {
        Some(at) => Some((letter(&name[at]), attached(at + 1).filter(|value| !value.is_empty()))),
        None => Some((word, None)),
    }
}

#[cfg(test)]
mod tests;
