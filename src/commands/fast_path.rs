//! Handles command lines of wrapper, clients and hooks without clap. Arguments of the wrapper are the
//! runtime's, those of docker and podman are theirs, and a container waits for its hook. Any other
//! command line goes to clap, which also reports errors.

use super::{MAX_STATE, client, hook, runtime};
use crate::cli::{Hook, Stage};
use crate::config::Overrides;
use crate::error::Result;
use crate::frontend::Client;
use crate::oci::hooks::{ENGINE_LINK, INJECTED, RESTORES};
use crate::sys::process::{self, stdin};
use clap::ValueEnum;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Runs a command line of a wrapper, client or hook and returns its exit status, or `None` for any other
/// command line.
pub(crate) fn run(words: &[OsString]) -> Option<Result<u8>> {
    let (program, rest) = words.split_first()?;
    if let Some(name) = wrapper(program) {
        let named = Some(name).filter(|name| *name != "runtime");
        return Some(runtime::run(Overrides::default(), named, rest));
    }
    if let Some(client) = client_name(program) {
        return Some(client::run(client, rest));
    }
    let (overrides, command, rest) = split(rest)?;
    match command {
        "runtime" => Some(runtime::run(overrides, None, rest)),
        "docker" | "podman" => Some(client::run(Client::named(command)?, rest)),
        "hook" => Some(run_hook(overrides, &hook_arguments(rest)?).map(|()| 0)),
        _ => None,
    }
}

/// The part of the program name after `oci-link-`, if it is a wrapper name: `runtime`, or the name
/// of the runtime below.
fn wrapper(program: &OsStr) -> Option<&str> {
    let name = Path::new(program).file_name()?.to_str()?.strip_prefix("oci-link-")?;
    ["runtime", "runc", "crun", "youki"].contains(&name).then_some(name)
}

/// The client as which this program is called: a link to it can be named `docker` or `podman`.
fn client_name(program: &OsStr) -> Option<Client> {
    Client::named(Path::new(program).file_name()?.to_str()?)
}

/// Collects the log options of a command line, also where clap refuses the rest of it. clap accepts
/// these options after the command too. Arguments of runtimes and clients are skipped.
pub(crate) fn log_flags(words: &[OsString]) -> Overrides {
    let mut flags = Overrides::default();
    let Some((program, words)) = words.split_first() else { return flags };
    let is_other = wrapper(program).is_some() || client_name(program).is_some();
    let words = if is_other { &[] } else { words };
    let words = words.iter().map(|word| word.to_str().unwrap_or_default());
    let ends = ["runtime", "docker", "podman", "--"];
    let mut words = words.take_while(|word| !ends.contains(word)).peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, words.peek().copied().filter(|next| !next.starts_with('-'))),
        };
        match (name, value) {
            ("--log-file", Some(path)) => flags.log_file = Some(PathBuf::from(path)),
            ("--log-level", Some(level)) => flags.log_level = level.parse().ok(),
            _ => {}
        }
    }
    flags
}

fn run_hook(overrides: Overrides, arguments: &Hook) -> Result<()> {
    let prepared = process::normalise();
    // Read standard input before anything else: crun is killed by SIGPIPE if a hook does not read the
    // state.
    let state = stdin::read(MAX_STATE);
    hook::run(overrides, arguments, prepared.and(state))
}

/// Splits a command line into the global options, the command and its arguments. Returns `None` for
/// anything unusual, which is left to clap.
fn split(words: &[OsString]) -> Option<(Overrides, &str, &[OsString])> {
    let mut overrides = Overrides::default();
    let mut words = words;
    loop {
        let (word, mut rest) = words.split_first()?;
        let word = word.to_str()?;
        let Some(option) = word.strip_prefix("--") else { return Some((overrides, word, rest)) };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, OsString::from(value)),
            None => {
                let (value, behind) = rest.split_first()?;
                rest = behind;
                (option, value.clone())
            }
        };
        match name {
            "config" => overrides.config = Some(PathBuf::from(value)),
            "state-dir" => overrides.state_dir = Some(PathBuf::from(value)),
            "log-file" => overrides.log_file = Some(PathBuf::from(value)),
            "log-level" => overrides.log_level = Some(value.to_str()?.parse().ok()?),
            _ => return None,
        }
        words = rest;
    }
}

/// Parses `[STAGE] [--injected NAMES]… [--engine-link LINK]… [--restores FILE]`, the form in which hooks are
/// written into config.json.
fn hook_arguments(words: &[OsString]) -> Option<Hook> {
    let stage = words.first().and_then(|word| Stage::from_str(word.to_str()?, false).ok());
    let rest = &words[usize::from(stage.is_some())..];
    let mut restores = None;
    for pair in rest.chunks(2) {
        match pair {
            // This only marks variables in config.json, where `oci::hooks` reads the names.
            [option, _] if option == INJECTED || option == ENGINE_LINK => {}
            [option, path] if option == RESTORES => restores = Some(PathBuf::from(path)),
            _ => return None,
        }
    }
    Some(Hook { stage, injected: Vec::new(), restores })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn global_options_in_both_forms() {
        let line = words("--config /c --state-dir=/s --log-level debug --log-file=/l runtime -v x");
        let (overrides, command, rest) = split(&line).unwrap();
        assert_eq!((command, rest), ("runtime", &words("-v x")[..]));
        assert_eq!(overrides.config, Some("/c".into()));
        assert_eq!(overrides.state_dir, Some("/s".into()));
        assert_eq!(overrides.log_level, Some(log::LevelFilter::Debug));
        assert_eq!(overrides.log_file, Some("/l".into()));
    }

    #[test]
    fn the_log_of_what_clap_refuses() {
        let said = |line: &str| {
            let flags = log_flags(&words(line));
            (flags.log_file, flags.log_level)
        };
        let debug = Some(log::LevelFilter::Debug);
        assert_eq!(said("oci-link --log-file /l hook nonsense"), (Some("/l".into()), None));
        let line = "oci-link ls --nonsense --log-level=debug --log-file=/l";
        assert_eq!(said(line), (Some("/l".into()), debug));
        for line in [
            "",
            "oci-link --log-file",
            "oci-link --log-file --nonsense",
            "oci-link runtime --log-file /l",
            "oci-link-runtime --log-file /l",
            "oci-link docker --log-file /l",
            "/opt/podman --log-file /l",
            "/usr/bin/oci-link-crun --log-file /l",
        ] {
            assert_eq!(said(line), (None, None), "{line}");
        }
    }

    #[test]
    fn what_is_unusual_is_claps() {
        for line in ["", "--help", "--config", "--log-level loud hook", "--unknown x hook"] {
            assert!(split(&words(line)).is_none(), "{line}");
        }
        assert!(
            hook_arguments(&words("poststop")).is_some_and(|h| h.stage == Some(Stage::Poststop))
        );
        assert!(hook_arguments(&words("createRuntime --injected A=B --injected C")).is_some());
        let hook = hook_arguments(&words("createRuntime --restores /b/config.json")).unwrap();
        assert_eq!(hook.restores, Some("/b/config.json".into()));
        assert!(hook_arguments(&words("")).is_some_and(|hook| hook.stage.is_none()));
        for line in
            ["nonsense", "poststop --help", "--injected", "--restores", "poststop createRuntime"]
        {
            assert!(hook_arguments(&words(line)).is_none(), "{line}");
        }
    }
}
