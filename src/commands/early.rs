//! Calls that do not go through clap: the wrapper's, because its words are the runtime's, and a
//! hook's, because a container waits for it and its words are few. Whatever looks unusual is left to
//! clap, which says what is wrong with it.

use super::{MAX_STATE, hook, runtime};
use crate::cli::{Hook, Stage};
use crate::config::{Config, Overrides};
use crate::error::Result;
use crate::host::Host;
use crate::logging;
use crate::sys::{process, stdin};
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Runs such a call and returns its exit status; none if this is another.
pub fn run(words: &[OsString]) -> Option<Result<u8>> {
    let (program, rest) = words.split_first()?;
    let called = Path::new(program).file_name()?.to_str()?;
    match called.strip_prefix("oci-link-") {
        Some("runtime") => return Some(runtime::run(Overrides::default(), None, rest)),
        Some(name @ ("runc" | "crun" | "youki")) => {
            return Some(runtime::run(Overrides::default(), Some(name), rest));
        }
        _ => {}
    }
    let (overrides, command, rest) = split(rest)?;
    match command {
        "runtime" => Some(runtime::run(overrides, None, rest)),
        "hook" => Some(run_hook(overrides, &hook_arguments(rest)?).map(|()| 0)),
        _ => None,
    }
}

fn run_hook(overrides: Overrides, arguments: &Hook) -> Result<()> {
    process::normalise()?;
    // Before anything can fail: crun dies when a hook does not take the state that it is given.
    let state = stdin::read(MAX_STATE)?;
    let config = Config::load(overrides)?;
    logging::init(&config)?;
    hook::run(&Host::open(config)?, arguments, &state)
}

/// The global options in front of the command, the command, and what follows it.
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

/// `[STAGE] [--injected NAMES]…`, the form in which hooks are written into config.json.
fn hook_arguments(words: &[OsString]) -> Option<Hook> {
    let stage = words.first().and_then(|word| Stage::from_str(word.to_str()?, false).ok());
    let rest = &words[usize::from(stage.is_some())..];
    let pairs = rest.chunks(2).all(|pair| pair.len() == 2 && pair[0] == "--injected");
    // What the names are for is in oci::hooks; they are read from config.json.
    pairs.then_some(Hook { stage, injected: Vec::new() })
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
    fn what_is_unusual_is_claps() {
        for line in ["", "--help", "--config", "--log-level loud hook", "--unknown x hook"] {
            assert!(split(&words(line)).is_none(), "{line}");
        }
        assert!(
            hook_arguments(&words("poststop")).is_some_and(|h| h.stage == Some(Stage::Poststop))
        );
        assert!(hook_arguments(&words("createRuntime --injected A=B --injected C")).is_some());
        assert!(hook_arguments(&words("")).is_some_and(|hook| hook.stage.is_none()));
        for line in ["nonsense", "poststop --help", "--injected", "poststop createRuntime"] {
            assert!(hook_arguments(&words(line)).is_none(), "{line}");
        }
    }
}
