//! The arguments of `ls`.

use super::output::Output;
use clap::Args;

/// `ls`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag.
pub(crate) struct Ls {
    /// Print ids only, one per line.
    #[arg(short, long, conflicts_with_all = ["format", "json"])]
    pub(crate) quiet: bool,
    /// Print complete ids, and cut nothing to the width of the terminal.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// List only some containers of this host: name=TEXT (its name contains TEXT) or state=STATE; several
    /// must all match.
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    pub(crate) filters: Vec<Filter>,
    /// Print names only, one per line; used by shell completions.
    #[arg(long, hide = true)]
    pub(crate) names: bool,
    /// Print the aliases that one container uses; used by shell completions.
    #[arg(long, value_name = "CONTAINER", hide = true)]
    pub(crate) aliases: Option<String>,
    /// Table or JSON.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A condition of `ls --filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// The container's name contains this text.
    Name(String),
    /// The container has this state.
    State(State),
}

/// The states of a container, as `ls` prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs, and its links are applied.
    Ready,
    /// It runs, and a change of its links is not finished.
    Pending,
    /// Its process has ended.
    Dead,
    /// Its process cannot be examined.
    Unknown,
}

impl State {
    const ALL: [Self; 4] = [Self::Ready, Self::Pending, Self::Dead, Self::Unknown];

    /// The word for the state.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Pending => "pending",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("name", name)) => Ok(Self::Name(name.to_owned())),
            Some(("state", word)) => {
                let mut states = State::ALL.into_iter();
                let state = states.find(|state| state.as_str() == word);
                state
                    .map(Self::State)
                    .ok_or_else(|| "a state is one of ready, pending, dead and unknown".to_owned())
            }
            _ => Err("expected name=TEXT or state=STATE".to_owned()),
        }
    }
}
