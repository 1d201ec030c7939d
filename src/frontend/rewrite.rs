//! Rewrites a command line. All `--link` of a call become one `--annotation` after its last option.

use super::command::{self, Command};
use super::daemon::Daemon;
use super::help::Help;
use super::links::{KEY, Links};
use super::network::Network;
use super::words::{Given, Name, Options, read};
use super::{Client, Surroundings, options};
use crate::error::{Error, Kind, Result};
use std::cell::OnceCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

const LINK: Name<'static> = Name::Long(b"link");
const ANNOTATION: Name<'static> = Name::Long(b"annotation");
const RUNTIME: Name<'static> = Name::Long(b"runtime");
const NETWORKS: [Name<'static>; 2] = [Name::Long(b"network"), Name::Long(b"net")];

/// Returns the arguments with which `client` is to be called in place of `words`, or `None` if they
/// are passed on unchanged.
///
/// An option that neither we nor the help of the client know is an error: where the options end
/// would be a guess.
pub(crate) fn rewrite(
    client: Client,
    words: &[OsString],
    around: &dyn Surroundings,
) -> Result<Option<Vec<OsString>>> {
    let is_link = |word: &OsString| word == "--link" || word.as_bytes().starts_with(b"--link=");
    let Some(last) = words.iter().rposition(is_link) else { return Ok(None) };
    let Some(command) = command::find(client, words) else { return Ok(None) };
    let call = Call { client, words, command, around, help: OnceCell::new() };
    let Some(options) = call.options(last)? else { return Ok(None) };
    let mut links = options.all(&[LINK]).map(|link| link.value.unwrap_or_default()).peekable();
    // The client refuses a link without a value.
    if links.peek().is_none() || links.any(<[u8]>::is_empty) {
        return Ok(None);
    }
    match client {
        Client::Docker => call.for_docker(&options),
        Client::Podman => call.for_podman(&options).map(Some),
    }
}

/// A call that creates a container.
struct Call<'a> {
    client: Client,
    words: &'a [OsString],
    command: Command<'a>,
    around: &'a dyn Surroundings,
    help: OnceCell<Option<Help>>,
}

impl<'a> Call<'a> {
    /// Reads the options of the verb. `None` if no link is among them; `last` is the last word that
    /// can be one.
    fn options(&self, last: usize) -> Result<Option<Options<'a>>> {
        let wanted = |given: &[Given<'_>], next| {
            next <= last || given.iter().any(|option| option.name == LINK)
        };
        let mut takes_value = |name: Name<'_>| {
            options::takes_value(self.client, name)
                .or_else(|| self.help()?.takes_value(name))
                .ok_or_else(|| self.unknown(name))
        };
        read(self.words, self.command.verb.end, &wanted, &mut takes_value)
    }

    /// The client's help about this verb, asked for once.
    fn help(&self) -> Option<&Help> {
        let ask = || {
            let mut arguments = self.words[..self.command.verb.end].to_vec();
            arguments.push("--help".into());
            self.around.output(&arguments).map(|text| Help::parse(&text))
        };
        self.help.get_or_init(ask).as_ref()
    }

    fn for_docker(&self, options: &Options<'a>) -> Result<Option<Vec<OsString>>> {
        // docker before version 24, or a daemon before it, has no annotations.
        let Some(help) = self.help().filter(|help| help.lists("annotation")) else {
            return Ok(None);
        };
        // podman can have the name of docker (podman-docker). It has no links at all, and lists its
        // runtime among the global options.
        if !help.lists("link") && !help.lists("runtime") {
            return self.for_podman(options).map(Some);
        }
        let networks = options.all(&NETWORKS).filter_map(|option| option.value);
        let keeps_all = match Network::of(networks) {
            Network::DefaultBridge => false,
            Network::UserDefined => help.lists("link"),
            Network::Unlinkable => return Ok(None),
        };
        let daemon = Daemon::of(&self.command.globals, self.around);
        let names_runtime = options.all(&[RUNTIME]).next().is_some();
        if daemon == Daemon::Remote && !names_runtime {
            return Ok(None);
        }
        let mut links = annotated(options);
        // Docker makes, or refuses, the links that the annotation cannot express.
        let (mut taken, mut any) = (Vec::new(), false);
        for option in options.all(&[LINK]) {
            let added = links.add(option.value.unwrap_or_default()).is_ok();
            any |= added;
            if added && !keeps_all {
                taken.push(option);
            }
        }
        if !any {
            return Ok(None);
        }
        taken.extend(links_annotations(options));
        let mut new = annotation(&links);
        if !names_runtime {
            let runtime = daemon.runtime(self.around);
            new.extend(runtime.into_iter().flat_map(|name| ["--runtime".into(), name.into()]));
        }
        Ok(Some(self.edited(options.end, &taken, new)))
    }

    fn for_podman(&self, options: &Options<'a>) -> Result<Vec<OsString>> {
        self.must_be_separate(options)?;
        let mut links = annotated(options);
        for option in options.all(&[LINK]) {
            let added = links.add(option.value.unwrap_or_default());
            added.map_err(|error| Error::new(Kind::Usage, format!("{}: {error}", self.typed())))?;
        }
        let taken: Vec<_> = options.all(&[LINK]).chain(links_annotations(options)).collect();
        Ok(self.edited(options.end, &taken, annotation(&links)))
    }

    /// Refuses several annotations in one value, of which one has our key.
    fn must_be_separate(&self, options: &Options<'a>) -> Result<()> {
        let mut values = options.all(&[ANNOTATION]).filter_map(|option| option.value);
        let is_mixed = |value: &[u8]| match value.strip_prefix(KEY) {
            Some(links) => !Links::is_only_links(links),
            None => value.windows(KEY.len()).any(|part| part == KEY),
        };
        if values.any(is_mixed) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "{}: write --annotation org.oci-link.links=LINKS as an option of its own",
                    self.typed()
                ),
            ));
        }
        Ok(())
    }

    /// The words without those of the options `taken`, and with `new` at the index `at`.
    fn edited(&self, at: usize, taken: &[&Given<'a>], new: Vec<OsString>) -> Vec<OsString> {
        let stays = |index: &usize| !taken.iter().any(|option| option.words.contains(index));
        let (before, after) = self.words.split_at(at);
        let before = before.iter().enumerate().filter(|(index, _)| stays(index));
        let before = before.map(|(_, word)| word.clone());
        before.chain(new).chain(after.iter().cloned()).collect()
    }

    /// The client and its verb, for messages.
    fn typed(&self) -> String {
        let last = self.command.verb.end.saturating_sub(1);
        let verb = self.words.get(last).map(|word| word.to_string_lossy()).unwrap_or_default();
        format!("{} {verb}", self.client.name())
    }

    fn unknown(&self, name: Name<'_>) -> Error {
        let (call, option) = (self.typed(), name.typed());
        let message = format!(
            "{call}: unknown option {option}: write {option}=VALUE, or {option}=true if it takes \
             no value"
        );
        Error::new(Kind::Usage, message)
    }
}

/// The annotations of our key.
fn links_annotations<'s, 'a>(
    options: &'s Options<'a>,
) -> impl DoubleEndedIterator<Item = &'s Given<'a>> {
    let is_ours = |given: &&Given<'_>| given.value.is_some_and(|value| value.starts_with(KEY));
    options.all(&[ANNOTATION]).filter(is_ours)
}

/// The links of the annotation that is already in the call. The last one of a key counts.
fn annotated(options: &Options<'_>) -> Links {
    let last = links_annotations(options).next_back().and_then(|given| given.value);
    let value = last.and_then(|value| value.strip_prefix(KEY)).unwrap_or_default();
    Links::of_annotation(value)
}

fn annotation(links: &Links) -> Vec<OsString> {
    vec!["--annotation".into(), links.annotation()]
}
