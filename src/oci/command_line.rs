//! The command lines of runc, crun and youki, as far as the wrapper acts on them.
//!
//! runc parses with Go's `flag` (`--bundle X`, `-bundle=X`), crun with glibc's argp (`-dbX`,
//! `--bund X`) and youki with clap. Engines use many of these forms. Arguments that cannot be
//! parsed yield [`Action::Other`], and the runtime reports the mistake.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Options before the command that take a value, in all runtimes together.
const GLOBAL_VALUES: [&str; 9] =
    ["root", "r", "log", "l", "log-format", "log-level", "criu", "rootless", "cgroup-manager"];
/// Options of `create` and `run` that take a value. `-c` and `-p` are youki's.
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
/// Options of `exec` that take a value.
const EXEC_VALUES: [&str; 18] = [
    "process",
    "p",
    "console-socket",
    "pidfd-socket",
    "cwd",
    "env",
    "e",
    "user",
    "u",
    "additional-gids",
    "g",
    "pid-file",
    "process-label",
    "apparmor",
    "cap",
    "c",
    "preserve-fds",
    "cgroup",
];
/// Options without a value that Go accepts with one dash. They are words and not a row of letters.
const FLAGS: [&str; 12] = [
    "debug",
    "detach",
    "force",
    "ignore-paused",
    "keep",
    "no-new-keyring",
    "no-new-privs",
    "no-pivot",
    "no-subreaper",
    "regex",
    "systemd-cgroup",
    "tty",
];
/// Options that make a runtime print information about itself and do nothing else.
const QUESTIONS: [&str; 7] = ["help", "h", "?", "usage", "version", "v", "V"];

/// The requested runtime operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create a container without starting it.
    Create(Creation),
    /// Create a container and start it.
    Run(Creation),
    /// Start the created container with this id.
    Start(OsString),
    /// Delete the container with this id.
    Delete(OsString),
    /// Start another process in a container, which a file describes.
    Exec(Execution),
    /// Tell the state of the container with this id.
    State(OsString),
    /// Any other command.
    Other,
}

/// The arguments of `create` and `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Creation {
    /// The container's id.
    pub(crate) id: OsString,
    /// The bundle's directory; the current directory by default.
    pub(crate) bundle: PathBuf,
    /// The file that crun reads instead of the bundle's config.json.
    pub(crate) config: Option<PathBuf>,
}

impl Creation {
    /// Returns the file that the runtime reads.
    ///
    /// crun looks for a file other than config.json in its working directory, not in the bundle.
    pub(crate) fn config_file(&self) -> PathBuf {
        let usual = Path::new("config.json");
        match self.config.as_deref() {
            Some(other) if other != usual => other.to_owned(),
            _ => self.bundle.join(usual),
        }
    }
}

/// The arguments of `exec --process FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    /// The container's id.
    pub(crate) id: OsString,
    /// The file that describes the process.
    pub(crate) process: PathBuf,
    /// Number of descriptors behind the standard streams that the process gets, by `--preserve-fds`.
    pub(crate) preserved: u16,
    /// Whether the option has the form `-p=FILE`, in which the equals sign is a part of the path to crun.
    pub(crate) is_in_gos_form: bool,
    /// The place of the argument that ends with the file's path, among all arguments.
    at: usize,
}

impl Execution {
    /// Returns the command line `arguments`, of which this is a part, with another file.
    pub(crate) fn with_process(&self, arguments: &[OsString], file: &Path) -> Vec<OsString> {
        let mut arguments = arguments.to_vec();
        if let Some(argument) = arguments.get_mut(self.at) {
            let old = argument.as_bytes();
            let option = old.strip_suffix(self.process.as_os_str().as_bytes()).unwrap_or_default();
            let mut new = OsStr::from_bytes(option).to_owned();
            new.push(file);
            *argument = new;
        }
        arguments
    }
}

/// A parsed runtime command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// The requested operation.
    pub(crate) action: Action,
    /// `--root`, the directory of the runtime's own state.
    pub(crate) root: Option<PathBuf>,
    /// `--log`, the file in which engines look for the cause of a failure.
    pub(crate) log: Option<PathBuf>,
    /// Whether the log file holds JSON.
    pub(crate) json_log: bool,
    /// Number of arguments before the command.
    pub(crate) globals: usize,
}

impl CommandLine {
    /// Parses the arguments after the program's name. Never fails.
    pub(crate) fn parse(arguments: &[OsString]) -> Self {
        let globals = Options::read(arguments, &GLOBAL_VALUES, true);
        let rest = globals.words.split_first().filter(|_| !globals.asks);
        let begin = arguments.len() + 1 - globals.words.len();
        let action =
            rest.and_then(|(command, rest)| action(command, rest, begin)).unwrap_or(Action::Other);
        Self {
            action,
            globals: arguments.len() - globals.words.len(),
            root: globals.value(&["root", "r"]).map(PathBuf::from),
            log: globals.value(&["log", "l"]).map(PathBuf::from),
            json_log: globals.value(&["log-format"]).is_some_and(|format| format == "json"),
        }
    }
}

/// The operation `command` with its `arguments`, the first of which has the place `begin` on the command
/// line.
fn action(command: &OsStr, arguments: &[OsString], begin: usize) -> Option<Action> {
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
        "state" => id(&Options::read(arguments, &[], false)).map(Action::State),
        "exec" => execution(arguments, begin).map(Action::Exec),
        _ => None,
    }
}

/// The arguments of `exec`, if a file describes the process. Its options end at the container's id.
fn execution(arguments: &[OsString], begin: usize) -> Option<Execution> {
    let options = Options::read(arguments, &EXEC_VALUES, true);
    let id = options.words.first().filter(|_| !options.asks)?.clone();
    let Given { value, at, .. } = options.given(&["process", "p"])?;
    let argument = arguments.get(*at)?.as_bytes();
    if value.is_empty() {
        return None;
    }
    let is_in_gos_form = argument.starts_with(b"-p=") && argument.len() > value.len();
    let preserved = match options.value(&["preserve-fds"]) {
        Some(number) => number.to_str()?.parse().ok()?,
        None => 0,
    };
    Some(Execution { id, process: value.into(), preserved, is_in_gos_form, at: begin + at })
}

/// An option that was given a value.
struct Given {
    name: String,
    value: OsString,
    /// The place of the argument that ends with the value.
    at: usize,
}

/// Arguments sorted into options that have values, and words.
struct Options {
    values: Vec<Given>,
    words: Vec<OsString>,
    /// Whether an option in `QUESTIONS` was given.
    asks: bool,
}

impl Options {
    /// Sorts `arguments`; `with_value` names the options that take a value.
    ///
    /// With `until_word`, the first word and everything after it count as words.
    fn read(arguments: &[OsString], with_value: &[&str], until_word: bool) -> Self {
        let mut options = Self { values: Vec::new(), words: Vec::new(), asks: false };
        let mut arguments = arguments.iter().enumerate();
        while let Some((at, argument)) = arguments.next() {
            if argument == "--" {
                options.words.extend(arguments.map(|(_, word)| word.clone()));
                break;
            }
            let Some((name, value)) = option(argument, with_value) else {
                options.words.push(argument.clone());
                if until_word {
                    options.words.extend(arguments.map(|(_, word)| word.clone()));
                    break;
                }
                continue;
            };
            options.asks |= QUESTIONS.contains(&name.as_str());
            if let Some(value) = value {
                options.values.push(Given { name, value, at });
            } else if with_value.contains(&name.as_str()) {
                let next = arguments.next();
                options.values.extend(next.map(|(at, value)| Given {
                    name,
                    value: value.clone(),
                    at,
                }));
            }
        }
        options
    }

    /// Returns the last value given to any of `names`. The last one wins.
    fn value(&self, names: &[&str]) -> Option<OsString> {
        self.given(names).map(|given| given.value.clone())
    }

    /// Returns the last option of any of `names`.
    fn given(&self, names: &[&str]) -> Option<&Given> {
        self.values.iter().rev().find(|given| names.contains(&given.name.as_str()))
    }
}

/// Splits an option into its name and attached value. Returns `None` for a word.
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
        // argp accepts an unambiguous prefix of a name; crun itself refuses an ambiguous one.
        let whole = with_value.iter().find(|name| name.starts_with(&word)).copied();
        return Some((whole.map_or(word, str::to_owned), attached(end + 1)));
    }
    if two_dashes || is_known || end == 1 {
        return Some((word, attached(end + 1)));
    }
    // argp accepts letters in a row, such as `-dbDIR`. The value of a letter is the rest of the
    // argument, or the next argument.
    let counts = |letter: &str| with_value.contains(&letter) || QUESTIONS.contains(&letter);
    let letter = |byte: &u8| char::from(*byte).to_string();
    match name.iter().position(|byte| counts(&letter(byte))) {
        Some(at) => Some((letter(&name[at]), attached(at + 1).filter(|value| !value.is_empty()))),
        None => Some((word, None)),
    }
}

#[cfg(test)]
mod tests;
