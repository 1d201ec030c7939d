//! Why a call of etcd failed.

use crate::error::one_line;
use std::fmt;

/// gRPC status codes that the courier decides by.
pub(crate) mod code {
    pub(crate) const OK: i32 = 0;
    pub(crate) const UNKNOWN: i32 = 2;
    pub(crate) const DEADLINE_EXCEEDED: i32 = 4;
    pub(crate) const NOT_FOUND: i32 = 5;
    pub(crate) const PERMISSION_DENIED: i32 = 7;
    pub(crate) const OUT_OF_RANGE: i32 = 11;
    pub(crate) const UNAVAILABLE: i32 = 14;
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection, or the member at its end, is of no use: another one is tried.
    Lost(String),
    /// etcd understood the call and refused it.
    Refused {
        /// The gRPC status code.
        code: i32,
        /// etcd's text.
        text: String,
    },
    /// An answer is larger than what is read.
    TooLarge,
    /// A local file could not be written; the copies are not complete.
    Local(String),
}

impl Failure {
    /// A connection that is of no use.
    pub(crate) fn lost(text: impl AsRef<str>) -> Self {
        Self::Lost(one_line(text.as_ref()))
    }

    /// The failure that a gRPC status means. Codes that tell of the member's state, not of the call, mean
    /// that another member is to be tried.
    pub(crate) fn of_status(code: i32, text: &str) -> Self {
        match code {
            code::UNAVAILABLE | code::DEADLINE_EXCEEDED | code::UNKNOWN => Self::lost(text),
            _ => Self::Refused { code, text: one_line(text) },
        }
    }

    /// Adds which call failed.
    pub(super) fn of_call(self, call: &str) -> Self {
        let named = |text: String| format!("{text} ({call})");
        match self {
            Self::Lost(text) => Self::Lost(named(text)),
            Self::Refused { code, text } => Self::Refused { code, text: named(text) },
            other => other,
        }
    }

    /// Whether etcd refused the call with this code.
    pub(crate) fn is(&self, wanted: i32) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether etcd refused the call with a text that contains this.
    pub(crate) fn names(&self, part: &str) -> bool {
        matches!(self, Self::Refused { text, .. } if text.contains(part))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(text) | Self::Local(text) | Self::Refused { text, .. } => f.write_str(text),
            Self::TooLarge => f.write_str("an answer is too large"),
        }
    }
}

/// The result of a call.
pub(crate) type Outcome<T> = Result<T, Failure>;
