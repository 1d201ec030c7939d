//! Colours, for people at a terminal only. Besides `TERM`, `NO_COLOR` is the one word of the
//! environment that counts (<https://no-color.org>), and it counts for nothing but this.

use std::env::var_os;
use std::io::{IsTerminal, stdout};

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// The names of columns.
    Heading,
    /// As it should be.
    Good,
    /// On its way, or in doubt.
    Doubtful,
    /// Not as it should be.
    Bad,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// As standard output and who reads it would have it.
    pub(crate) fn for_stdout() -> Self {
        let refused = var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let able = var_os("TERM").is_some_and(|term| term != "dumb");
        Self(stdout().is_terminal() && able && !refused)
    }

    /// `text` in its colour.
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
