//! What can go wrong, as a caller sees it: a kind, which is the exit status, and one line.

use crate::link::Refusal;
use crate::model::Invalid;
use std::error::Error as StdError;
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

/// Why a step failed, where a caller decides by it. A [`Kind`] is only the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Cause {
    /// No caller decides by the cause.
    #[default]
    Other,
    /// A program or the kernel did not answer in time.
    Timeout,
    /// A program is not installed.
    NotInstalled,
    /// Another process holds a lock.
    LockHeld,
    /// Another process changed the same record meanwhile.
    Conflict,
    /// The source of a link does not exist or is not running.
    MissingSource,
    /// A newer version of the program wrote the record.
    NewerRecord,
    /// The rules are as they should be, but the hosts file could not be changed.
    HostsFile,
    /// The container replaced its hosts file by something that must not be opened or edited.
    RefusedFile,
}

/// One line that names the cause and the value that caused it, its [`Kind`] and its [`Cause`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The exit status.
    pub(crate) kind: Kind,
    /// What a caller may decide by.
    pub(crate) cause: Cause,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What most functions outside `model` and `link` return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `message` must be one line in which values from outside are escaped or checked.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, cause: Cause::Other, message: message.into(), source: None }
    }

    /// The same error with the cause by which a caller decides.
    pub(crate) fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// Marks a failure of the step that opens or edits a hosts file. `sys::hosts` reports as
    /// [`Kind::Unsafe`] what the container itself did to the file.
    pub(crate) fn in_hosts_file(self) -> Self {
        let refused = self.kind == Kind::Unsafe;
        self.because(if refused { Cause::RefusedFile } else { Cause::HostsFile })
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
        let cause = if kind == Kind::Source { Cause::MissingSource } else { Cause::Other };
        Self::new(kind, refusal.to_string()).because(cause)
    }
}

/// Says which step failed, and for what, where a lower layer only knows how.
pub(crate) trait Context<T> {
    /// `what: cause`, as an [`Error`] of `kind`.
    fn context<D: fmt::Display>(self, kind: Kind, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, kind: Kind, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| {
            let source = error.into();
            let cause = source.downcast_ref::<Error>().map_or(Cause::Other, |error| error.cause);
            let message = format!("{}: {source}", what());
            Error { kind, cause, message, source: Some(source) }
        })
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
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        let Some(first) = self.0.into_iter().next() else { return Ok(()) };
        Err(Error { message: lines.join("; "), ..first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn the_errno_and_the_cause_survive() {
        let refused: Result<()> = Err(Errno::ENOSPC).context(Kind::Hosts, || "hosts file");
        let refused = refused.map_err(|error| error.because(Cause::RefusedFile));
        let error = refused.context(Kind::State, || "web").unwrap_err();
        assert_eq!(error.to_string(), "web: hosts file: ENOSPC: No space left on device");
        assert_eq!((error.kind, error.cause), (Kind::State, Cause::RefusedFile));
        let inner = error.source().and_then(StdError::source).unwrap();
        assert_eq!(inner.downcast_ref(), Some(&Errno::ENOSPC));
    }

    #[test]
    fn of_several_failures_the_first_gives_status_and_cause() {
        let mut failures = Failures::default();
        failures.note(Err(Error::new(Kind::Hosts, "a").because(Cause::HostsFile)));
        failures.note(Err(Error::new(Kind::Firewall, "b")));
        let error = failures.into_result().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind), ("a; b", Kind::Hosts));
        assert_eq!(error.cause, Cause::HostsFile);
    }
}
