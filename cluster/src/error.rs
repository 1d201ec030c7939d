//! Errors: an exit status and one line of text.

use std::fmt;

/// The kind of an error. Its number is the exit status, as in `oci-link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The command line is wrong.
    Usage = 2,
    /// config.toml, or a file that it names, cannot be used.
    Config = 3,
    /// The cluster, or the directory with the copies of its records, cannot be used.
    Cluster = 10,
}

/// An error with its text, which is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    kind: Kind,
    text: String,
}

/// The result of a step that can fail.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error of `kind`. Control characters of `text` become question marks.
    pub(crate) fn new(kind: Kind, text: impl AsRef<str>) -> Self {
        Self { kind, text: one_line(text.as_ref()) }
    }

    /// An error in config.toml or in a file that it names.
    pub(crate) fn config(text: impl AsRef<str>) -> Self {
        Self::new(Kind::Config, text)
    }

    /// An error of the cluster or of the spool.
    pub(crate) fn cluster(text: impl AsRef<str>) -> Self {
        Self::new(Kind::Cluster, text)
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.kind as u8
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Bound for a text that another machine chose.
const LONGEST: usize = 400;

/// Returns `text` as one line that is safe in a log: bounded, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Returns the text of an error and of its causes, without repetition.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_other_machines_is_one_bounded_line() {
        assert_eq!(one_line(" a\nb\x1b[31m \n"), "a?b?[31m");
        assert_eq!(one_line(&"x".repeat(10_000)).len(), LONGEST);
    }
}
