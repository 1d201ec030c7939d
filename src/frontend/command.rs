//! Finds the verb of a command line, and the options before it.

use super::Client;
use super::options::is_global_flag;
use super::words::{Given, Name, Options, read};
use std::ffi::OsString;
use std::ops::Range;

/// A command line that creates a container.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    /// The options before the verb.
    pub(crate) globals: Vec<Given<'a>>,
    /// The words from the first one of the verb on, `container` included, to its last one.
    pub(crate) verb: Range<usize>,
}

/// Finds `run`, `create`, `container run` or `container create`. `None`: another command, or one
/// that the client refuses.
pub(crate) fn find(client: Client, words: &[OsString]) -> Option<Command<'_>> {
    let Options { mut given, end } = globals(client, words, 0)?;
    // docker reads its global options separately, which removes the `--`.
    let dashes = client == Client::Docker && words.get(end).is_some_and(|word| word == "--");
    let start = end + usize::from(dashes);
    let mut at = start;
    if words.get(at)? == "container" {
        at += 1;
        // Each level of podman's commands takes the global options.
        if client == Client::Podman {
            let more = globals(client, words, at)?;
            given.extend(more.given);
            at = more.end;
        }
    }
    let verb = words.get(at)?;
    let creates = verb == "run" || verb == "create";
    creates.then_some(Command { globals: given, verb: start..at + 1 })
}

fn globals(client: Client, words: &[OsString], start: usize) -> Option<Options<'_>> {
    let mut takes_value = |name: Name<'_>| Ok(!is_global_flag(client, name));
    read(words, start, &|_, _| true, &mut takes_value).ok().flatten()
}
