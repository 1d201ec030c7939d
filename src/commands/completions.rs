//! `completions`: what a shell needs to complete our command line, of the definitions that `--help`
//! shows too. Containers' names it asks of `ls --names`.

use super::say;
use crate::cli::{Cli, Completions, Shell};
use crate::error::Result;
use clap::CommandFactory;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

const NAME: &str = "oci-link";

/// Prints it.
pub(crate) fn run(arguments: &Completions) -> Result<()> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    match arguments.shell {
        Shell::Bash => generate(Bash, &mut command, NAME, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, NAME, &mut script),
        Shell::Fish => generate(Fish, &mut command, NAME, &mut script),
    }
    let script = String::from_utf8_lossy(&script);
    say(&match arguments.shell {
        // clap_complete takes the dash in our name for the end of a command where it handles one,
        // and not where it finds out which it is (4.6.11).
        Shell::Bash => {
            let script = script.replace("oci__subcmd__link", "oci__link");
            format!("{script}{}", include_str!("completions/names.bash"))
        }
        Shell::Fish => format!("{script}{}", include_str!("completions/names.fish")),
        // Its last lines complete already, when zsh loads it: ours come before them. Containers
        // and aliases are what clap knows as hosts and users (see `cli`).
        Shell::Zsh => {
            let (first, rest) = script.split_once('\n').unwrap_or_default();
            let rest = rest.replace(":_hosts", ":_oci-link_names");
            let rest = rest.replace(":_users", ":_oci-link_aliases");
            let names = include_str!("completions/names.zsh");
            format!("{first}\n\n{names}{rest}")
        }
    })
}
