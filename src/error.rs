//! Errors: a kind, which is the exit status, a cause that callers decide by, and one line of text.

use crate::link::Refusal;
use crate::model::Invalid;
use std::error::Error as StdError;
use std::fmt;

/// The kind of an error. Its number is the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A bug, or a host without memory, processes or descriptors.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// OCI state, config.json, an annotation or config.toml has a bad value.
    Input = 3,
    /// The source of a link is missing or not running.
    Source = 4,
    /// The operation would endanger the host or another container.
    Unsafe = 5,
    /// Rules could not be made, removed or read.
    Firewall = 6,
    /// The state directory could not be used.
    State = 7,
    /// The hosts file of a container could not be used.
    Hosts = 8,
    /// The process or network namespace of a container could not be used.
    Namespace = 9,
    /// A link to another host is not possible, by what config.toml says about hosts.
    Cluster = 10,
}

impl Kind {
    /// The kind whose exit status is `status`. Any other status is a bug.
    pub(crate) fn of_status(status: i32) -> Self {
        let all = [
            Self::Usage,
            Self::Input,
            Self::Source,
            Self::Unsafe,
            Self::Firewall,
            Self::State,
            Self::Hosts,
            Self::Namespace,
            Self::Cluster,
        ];
        all.into_iter().find(|kind| *kind as i32 == status).unwrap_or(Self::Internal)
    }
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
    /// The kernel lacks what a firewall backend needs.
    NotSupported,
    /// Records were made in another network namespace, with this cookie.
    OtherNetwork(u64),
    /// Records were made in another pid or time namespace.
    OtherProcesses,
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
    /// A signal asks the daemon to end, or to begin again.
    Interrupted,
}

impl Cause {
    /// Whether this host lacks what a firewall backend needs. Any other failure of a backend is one of
    /// the moment.
    pub(crate) fn is_lack(self) -> bool {
        matches!(self, Self::NotInstalled | Self::NotSupported)
    }
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

/// The result type outside `model` and `link`.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `message` must be one line in which foreign values are escaped or checked.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, cause: Cause::Other, message: message.into(), source: None }
    }

    /// A copy of the error without its source.
    pub(crate) fn again(&self) -> Self {
        Self { kind: self.kind, cause: self.cause, message: self.message.clone(), source: None }
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
            | Refusal::Unmanaged(_)
            | Refusal::NotRunning { .. }
            | Refusal::CannotCarry(_)
            | Refusal::Itself(_)
            | Refusal::Several { .. }
            | Refusal::Silent { .. }
            | Refusal::NotShared { .. }
            | Refusal::OnHosts { .. }
            | Refusal::Ambiguous(_) => Kind::Source,
            Refusal::HostNetwork | Refusal::NoBridge { .. } => Kind::Unsafe,
            Refusal::TooManyPorts { .. }
            | Refusal::CannotBind { .. }
            | Refusal::CannotCross { .. } => Kind::Firewall,
            Refusal::OwnHostname(_) | Refusal::TooManyFlows | Refusal::SharedHosts { .. } => {
                Kind::Input
            }
        };
        let cause = if kind == Kind::Source { Cause::MissingSource } else { Cause::Other };
        Self::new(kind, refusal.to_string()).because(cause)
    }
}

/// Adds the failed step to the error of a lower layer.
pub(crate) trait Context<T> {
    /// Makes the error `what: cause` of `kind`, with the original error as its source.
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

/// How many failures one message names: another host can make thousands of them.
const NAMED: usize = 20;

/// Collects the failures of steps that must all be tried.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<Error>);

impl Failures {
    /// Adds the error, if there is one.
    pub(crate) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.0.push(error);
        }
    }

    /// Whether nothing has failed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One error with the messages in one line, the first 20 of them and how many more there are. Kind and cause are
    /// those of the first.
    pub(crate) fn into_result(self) -> Result<()> {
        let mut lines: Vec<_> = self.0.iter().take(NAMED).map(ToString::to_string).collect();
        if self.0.len() > NAMED {
            lines.push(format!("and {} more", self.0.len() - NAMED));
        }
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

    #[test]
    fn thousands_of_failures_are_one_short_line() {
        let failures = (0..5_000).map(|number| Error::new(Kind::Firewall, format!("no {number}")));
        let line = Failures(failures.collect()).into_result().unwrap_err().to_string();
        assert!(
            line.starts_with("no 0; no 1; ") && line.ends_with("; no 19; and 4980 more"),
            "{line}"
        );
    }
}
