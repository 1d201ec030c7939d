//! What can go wrong, as a caller sees it: a kind, which is the exit status, and one line.

use crate::link::Refusal;
use crate::model::Invalid;
use std::fmt;

/// What kind of thing failed. The number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Something of ours is broken.
    Internal = 1,
    /// The command line.
    Usage = 2,
    /// State, config.json, an annotation or config.toml says what it must not.
    Input = 3,
    /// A link's source is missing or does not run.
    Source = 4,
    /// Doing it would put the host or another container at risk.
    Unsafe = 5,
    /// Rules could not be made, removed or read.
    Firewall = 6,
    /// The state directory.
    State = 7,
    /// The container's hosts file.
    Hosts = 8,
    /// The container's process or network namespace.
    Namespace = 9,
}

/// One line that names the cause and the value that caused it, and its [`Kind`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The exit status.
    pub(crate) kind: Kind,
    message: String,
}

/// What most functions outside `model` and `link` return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `message` must be one line in which values from outside are escaped or checked.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::new(Kind::Input, invalid.to_string())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::NoSuchContainer(_)
            | Refusal::NotRunning { .. }
            | Refusal::Itself(_)
            | Refusal::Ambiguous(_) => Kind::Source,
            Refusal::HostNetwork => Kind::Unsafe,
            Refusal::OwnHostname(_) | Refusal::TooManyFlows => Kind::Input,
        };
        Self::new(kind, refusal.to_string())
    }
}

/// Says which step failed, and for what, where a lower layer only knows how.
pub(crate) trait Context<T> {
    /// `what: cause`, as an [`Error`] of `kind`.
    fn context<D: fmt::Display>(self, kind: Kind, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, kind: Kind, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| Error::new(kind, format!("{}: {cause}", what())))
    }
}

/// Steps that must all be tried: collects what failed and goes on.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<Error>);

impl Failures {
    /// Remembers the error, if there is one.
    pub(crate) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.0.push(error);
        }
    }

    /// Whether nothing has failed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that failed in one line, with the status of the first.
    pub(crate) fn into_result(self) -> Result<()> {
        let Some(first) = self.0.first() else { return Ok(()) };
        let kind = first.kind;
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        Err(Error::new(kind, lines.join("; ")))
    }
}
