//! The help texts that clap does not generate: the groups of commands, and examples.

use super::Cli;
use clap::CommandFactory;
use std::fmt::Write;

/// The groups of `oci-link --help`, with their commands.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Links", &["ls", "inspect", "graph", "events", "connect", "disconnect"]),
    ("Command lines with --link", &["docker", "podman", "compose"]),
    ("Repair", &["doctor", "sync", "gc", "watch"]),
    ("Configuration", &["config", "configure", "prepare"]),
    ("Called by engines and runtimes", &["hook", "precreate", "runtime"]),
    ("Help", &["help", "completions", "man"]),
];

/// Examples of each command, one for each line.
const EXAMPLES: [(&str, &str); 21] = [
    ("ls", "oci-link ls\noci-link ls --filter state=ready --quiet\noci-link ls --json"),
    ("inspect", "oci-link inspect web\noci-link inspect web --json"),
    (
        "graph",
        "oci-link graph\noci-link graph --format svg >links.svg\noci-link graph --format html >links.html",
    ),
    ("connect", "oci-link connect web mysql\noci-link connect web mysql:db"),
    ("disconnect", "oci-link disconnect web db"),
    ("docker", "oci-link docker run -d --name web --link mysql:db docker.io/library/nginx:1.27"),
    ("podman", "oci-link podman run -d --name web --link mysql:db docker.io/library/nginx:1.27"),
    (
        "compose",
        "oci-link compose docker-compose.yml -o compose.yml\noci-link compose --in-place compose.yml",
    ),
    ("doctor", "oci-link doctor\noci-link doctor --probe\noci-link doctor --json"),
    ("sync", "oci-link sync --check\noci-link sync"),
    ("gc", "oci-link gc --dry-run\noci-link gc"),
    ("events", "oci-link events\noci-link events --json"),
    (
        "watch",
        "oci-link watch\noci-link watch --metrics /var/lib/prometheus/node-exporter/oci-link.prom",
    ),
    (
        "config",
        "oci-link config show\noci-link config set runtime.command crun\noci-link config set firewall.isolate cni0,br0\noci-link config set runtime.command --default",
    ),
    (
        "configure",
        "oci-link configure docker --dry-run\noci-link configure podman --default\noci-link configure docker --remove",
    ),
    ("prepare", "oci-link prepare ./bundle --id web"),
    ("hook", "oci-link hook createRuntime <state.json\noci-link hook poststop <state.json"),
    ("precreate", "oci-link precreate <config.json"),
    ("runtime", "oci-link runtime create --bundle ./bundle web\noci-link runtime delete web"),
    ("completions", "oci-link completions bash >/usr/share/bash-completion/completions/oci-link"),
    ("man", "oci-link man /usr/local/share/man/man1"),
];

/// The definitions of all commands, with groups and examples.
pub(crate) fn command() -> clap::Command {
    let mut program = Cli::command();
    for (name, lines) in EXAMPLES {
        program = program.mut_subcommand(name, |command| command.after_help(examples(lines)));
    }
    let groups = groups(&program);
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\nOptions:\n{{options}}\n\n\
         oci-link help COMMAND describes a command."
    ))
}

/// The help of one command; that of the program without a name. `None` if there is no such command.
pub(crate) fn of(name: Option<&str>) -> Option<String> {
    let mut program = command();
    program.build();
    match name {
        None => Some(program.render_long_help().to_string()),
        Some(name) => {
            let found = program.find_subcommand_mut(name)?;
            Some(found.render_long_help().to_string())
        }
    }
}

fn examples(lines: &str) -> String {
    lines.lines().fold("Examples:".to_owned(), |text, line| format!("{text}\n  {line}"))
}

/// The commands in their groups, each with the first line of its description.
fn groups(program: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        // A String takes all that is written to it.
        let _ = writeln!(text, "\n{heading}:");
        for name in names {
            let about = program.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<12} {}", about.trim_end_matches('.'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;
    use std::collections::BTreeSet;

    #[test]
    fn each_command_is_in_one_group() {
        let program = Cli::command();
        let all = program.get_subcommands().map(clap::Command::get_name);
        let all: Vec<&str> = all.collect();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        assert_eq!(all.len(), grouped.len(), "{all:?} {grouped:?}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>(), grouped.iter().collect());
    }

    /// What a shell redirects is not part of the command line.
    #[test]
    fn each_command_has_examples_that_are_command_lines() {
        for name in GROUPS.iter().flat_map(|(_, names)| *names).filter(|name| **name != "help") {
            let help = of(Some(name)).unwrap();
            assert!(help.contains("\nExamples:\n"), "{help}");
            let lines = help.lines().filter_map(|line| line.strip_prefix("  oci-link "));
            let lines: Vec<&str> = lines.filter(|line| !line.starts_with('[')).collect();
            assert!(!lines.is_empty(), "{help}");
            for line in lines {
                let words = line.split(' ').filter(|word| !word.starts_with(['<', '>']));
                let words: Vec<&str> = std::iter::once("oci-link").chain(words).collect();
                assert_eq!(words[1], *name, "{line}");
                let matches = command().try_get_matches_from(words).unwrap();
                Cli::from_arg_matches(&matches).unwrap();
            }
        }
    }

    #[test]
    fn help_knows_commands_only() {
        assert!(of(Some("frobnicate")).is_none());
        assert!(of(None).unwrap().contains("\nRepair:\n  doctor "));
    }
}
