//! The command lines of runc, crun and youki, as far as the wrapper acts on them.
//!
//! runc parses with Go's `flag` (`--bundle X`, `-bundle=X`), crun with glibc's argp (`-bX`, options
//! behind the id), and engines use all of these forms. What is not understood is the runtime's
//! business: then there is nothing to act on, and the runtime says what is wrong.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Options before the command that have a value, in all runtimes together.
const GLOBAL_VALUES: [&str; 9] =
    ["root", "r", "log", "l", "log-format", "log-level", "criu", "rootless", "cgroup-manager"];
/// Options of `create` and `run` that have a value.
const CREATE_VALUES: [&str; 9] = [
    "bundle",
    "b",
    "console-socket",
    "pidfd-socket",
    "pid-file",
    "preserve-fds",
    "config",
    "f",
    "keyring",
];

/// What the runtime is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
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
pub struct Creation {
    /// Its id.
    pub id: OsString,
    /// The directory of its bundle; the current one unless told.
    pub bundle: PathBuf,
    /// The file to read in place of the bundle's config.json (crun).
    pub config: Option<PathBuf>,
}

impl Creation {
    /// The file that the runtime will read.
    pub fn config_file(&self) -> PathBuf {
        self.bundle.join(self.config.as_deref().unwrap_or(Path::new("config.json")))
    }
}

/// A runtime's command line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// What to do.
    pub action: Action,
    /// `--root`: where the runtime keeps its own state.
    pub root: Option<PathBuf>,
    /// `--log`: where engines look for the cause of a failure.
    pub log: Option<PathBuf>,
    /// Whether that file holds JSON.
    pub json_log: bool,
}

impl CommandLine {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: &[OsString]) -> Self {
        let globals = Options::read(arguments, &GLOBAL_VALUES, true);
        let rest = globals.words.split_first();
        let action =
            rest.and_then(|(command, rest)| action(command, rest)).unwrap_or(Action::Other);
        Self {
            action,
            root: globals.value(&["root", "r"]).map(PathBuf::from),
            log: globals.value(&["log", "l"]).map(PathBuf::from),
            json_log: globals.value(&["log-format"]).is_some_and(|format| format == "json"),
        }
    }
}

fn action(command: &OsStr, arguments: &[OsString]) -> Option<Action> {
    let id = |options: &Options| options.words.first().cloned();
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
}

impl Options {
    /// `with_value` are the options that take one. With `until_word`, everything from the first
    /// word on is words.
    fn read(arguments: &[OsString], with_value: &[&str], until_word: bool) -> Self {
        let mut options = Self { values: Vec::new(), words: Vec::new() };
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
    let name = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    if name.is_empty() {
        return None;
    }
    if let Some(equals) = name.iter().position(|byte| *byte == b'=') {
        let value = OsStr::from_bytes(&name[equals + 1..]).to_owned();
        return Some((String::from_utf8_lossy(&name[..equals]).into_owned(), Some(value)));
    }
    let text = String::from_utf8_lossy(name).into_owned();
    // argp's `-bDIR`: one dash, a letter that takes a value, and no long option of that name.
    let letter = text.get(..1).filter(|letter| with_value.contains(letter));
    if let Some(letter) = letter
        && !bytes.starts_with(b"--")
        && text.len() > 1
        && !with_value.contains(&text.as_str())
    {
        return Some((letter.to_owned(), Some(OsStr::from_bytes(&name[1..]).to_owned())));
    }
    Some((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> CommandLine {
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        CommandLine::parse(&arguments)
    }

    fn creation(id: &str, bundle: &str) -> Creation {
        Creation { id: id.into(), bundle: bundle.into(), config: None }
    }

    #[test]
    fn bundles_in_every_form() {
        for line in [
            "create --bundle /b c1",
            "create --bundle=/b c1",
            "create -b /b c1",
            "create -b=/b c1",
            "create -b/b c1",
            "create -bundle /b c1",
            "create c1 --bundle /b",
            "create --pid-file /p --console-socket /s --no-pivot --bundle /b --preserve-fds 3 c1",
            "--root /r --log /l --log-format json --systemd-cgroup create --bundle /b c1",
            "--cgroup-manager=systemd --debug create -b /b -- c1",
            "create --bundle /x --bundle /b c1",
        ] {
            assert_eq!(parsed(line).action, Action::Create(creation("c1", "/b")), "{line}");
        }
        assert_eq!(parsed("run -d c1").action, Action::Run(creation("c1", ".")));
        let crun = Action::Run(Creation { config: Some("c.json".into()), ..creation("c1", "/b") });
        assert_eq!(parsed("run -f c.json -b /b c1").action, crun);
    }

    #[test]
    fn global_options() {
        let line = parsed("--root=/r -log /l --log-format json --rootless auto start c1");
        assert_eq!(line.action, Action::Start("c1".into()));
        assert_eq!(
            (line.root, line.log, line.json_log),
            (Some("/r".into()), Some("/l".into()), true)
        );
    }

    #[test]
    fn ends() {
        for line in ["delete c1", "delete --force c1", "delete -f c1", "delete c1 -f"] {
            assert_eq!(parsed(line).action, Action::Delete("c1".into()), "{line}");
        }
    }

    #[test]
    fn what_is_not_ours() {
        for line in [
            "",
            "--version",
            "state c1",
            "kill c1 KILL",
            "exec -t c1 create --bundle /b c2",
            "list",
            "--root create",
            "create",
            "--log start features",
            "-v",
        ] {
            assert_eq!(parsed(line).action, Action::Other, "{line}");
        }
    }
}
