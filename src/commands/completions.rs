//! `completions`: prints a shell's completion script, generated from the definitions that `--help`
//! uses. Container names are completed by calling `ls --names`.

use super::say;
use crate::cli::{Completions, Shell, help};
use crate::error::Result;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

const NAME: &str = "oci-link";

/// Prints the script for the requested shell.
pub(crate) fn run(arguments: &Completions) -> Result<()> {
    let mut command = help::command();
    let mut script = Vec::new();
    match arguments.shell {
        Shell::Bash => generate(Bash, &mut command, NAME, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, NAME, &mut script),
        Shell::Fish => generate(Fish, &mut command, NAME, &mut script),
    }
    let script = String::from_utf8_lossy(&script);
    say(&match arguments.shell {
        // clap_complete 4.6.11 treats the dash in our name inconsistently. One place of the Bash
        // script takes it for a subcommand separator, another one does not.
        Shell::Bash => {
            let script = script.replace("oci__subcmd__link", "oci__link");
            format!("{script}{}", include_str!("completions/names.bash"))
        }
        Shell::Fish => format!("{script}{}", include_str!("completions/names.fish")),
        // The last lines of the script run when zsh loads it, so our functions come before them.
        // clap has no hints for containers and aliases; `cli` declares them as host names and user
        // names.
        Shell::Zsh => {
            let (first, rest) = script.split_once('\n').unwrap_or_default();
            let rest = rest.replace(":_hosts", ":_oci-link_names");
            let rest = rest.replace(":_users", ":_oci-link_aliases");
            let names = include_str!("completions/names.zsh");
            format!("{first}\n\n{names}{rest}")
        }
    })
}
