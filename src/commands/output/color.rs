//! Colors for output at a terminal. `TERM` and `NO_COLOR` (<https://no-color.org>) are the only
//! environment variables that affect output.

use std::env::var_os;
use std::io::{IsTerminal, stdout};

/// The meaning of a text, which decides its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// No meaning and no color.
    #[default]
    Plain,
    /// A column heading.
    Heading,
    /// A good state.
    Good,
    /// A transitional or unclear state.
    Doubtful,
    /// A bad state.
    Bad,
}

/// Whether output is colored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colored if standard output is a terminal, `TERM` is set and not `dumb`, and `NO_COLOR` is
    /// unset or empty.
    pub(crate) fn for_stdout() -> Self {
        let refused = var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let able = var_os("TERM").is_some_and(|term| term != "dumb");
        Self(stdout().is_terminal() && able && !refused)
    }

    /// Returns `text` in the color of `tone`.
    pub(crate) fn tinted(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Plain => return text.to_owned(),
        };
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
