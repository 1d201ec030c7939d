//! The command line: types for clap. The doc comments are the texts of `--help` and of manual pages.

mod client;
mod compose;
mod config;
mod follow;
pub(crate) mod help;
mod ls;
mod output;

pub(crate) use client::{ClientCall, Runtime};
pub(crate) use compose::Compose;
pub(crate) use config::{ConfigAction, ConfigCommand};
pub(crate) use follow::{Events, Watch};
pub(crate) use ls::{Filter, Ls, State};
pub(crate) use output::{Format, GraphArguments, GraphFormat, Output};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use log::LevelFilter;
use std::path::PathBuf;

/// Marks an argument as a container for completions of zsh. clap has no hint for containers, and
/// oci-link has no arguments that are hosts.
const CONTAINER: ValueHint = ValueHint::Hostname;
/// Marks an argument as an alias for completions of zsh.
const ALIAS: ValueHint = ValueHint::Username;

/// Docker's --link for every OCI runtime and engine.
#[derive(Debug, Parser)]
#[command(name = "oci-link", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command. They override config.toml.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Read this config.toml [default: /etc/oci-link/config.toml, if it exists].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory with the records of running containers [default: /run/oci-link].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Log level: off, error, warn, info, debug or trace [default: info].
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<LevelFilter>,
    /// Log to this file [default: the system log].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Act as an OCI hook: read the container's state from standard input.
    Hook(Hook),
    /// Write hooks and link variables into a bundle's config.json.
    Prepare(Prepare),
    /// Act as a precreate hook of hooks.d: edit config.json from standard input to standard output.
    Precreate,
    /// Act as runc, crun or youki: the arguments are the runtime's command line.
    Runtime(Runtime),
    /// Run docker; --link of run and create becomes an annotation.
    ///
    /// All other arguments, the exit status and standard input are docker's own. A link to oci-link
    /// that is named docker, in a directory that PATH names early, does the same. The real docker is
    /// the first one in PATH that is not oci-link. On a user-defined network --link also stays, for
    /// Docker's DNS. --runtime is added unless oci-link is Docker's default runtime. Calls for docker
    /// before version 24 and for daemons on other hosts are not changed.
    Docker(ClientCall),
    /// Run podman, with --link in run and create, which podman does not have.
    ///
    /// --link becomes an annotation. All other arguments, the exit status and standard input are
    /// podman's own. A link to oci-link that is named podman, in a directory that PATH names early,
    /// does the same. The real podman is the first one in PATH that is not oci-link.
    Podman(ClientCall),
    /// List containers and their links.
    Ls(Ls),
    /// Show one container in detail, and its rules in the kernel.
    Inspect(Inspect),
    /// Draw containers and their links.
    Graph(GraphArguments),
    /// Link a running container to another one.
    Connect(Connect),
    /// Remove a link of a running container.
    Disconnect(Disconnect),
    /// Repair rules, hosts files and links of running containers, and do what gc does.
    Sync(Sync),
    /// Remove what containers left behind that died without a poststop hook.
    Gc(Gc),
    /// Check this host for problems and print a fix for each.
    ///
    /// Changes nothing. The exit status is 0 without problems, 11 with warnings, 12 with faults.
    Doctor(Doctor),
    /// Print what changes, one line each, until interrupted.
    ///
    /// Containers that started and ended; links that are linked, waiting or closed; and what sync, gc and
    /// watch repaired or removed. It reads the records when one is written, takes no lock and changes
    /// nothing. What was there before is printed by ls. A container that died without a poststop hook is
    /// printed as ended when watch or gc removes it.
    Events(Events),
    /// Run as a daemon that repairs and removes links as containers change.
    ///
    /// Restores flushed rules, and removes the links of containers that died without a poststop
    /// hook, within a second. Runs until SIGTERM or SIGINT, which leave all links in place. SIGHUP
    /// makes it read config.toml and check everything again. One process can run for each state
    /// directory. Links do not depend on it: hooks and the wrapper work without a daemon.
    ///
    /// The kernel does not report elements that are removed from an ipset by hand, rules of
    /// iptables-legacy, and rewritten hosts files. They are repaired with the next change that is
    /// reported, at SIGHUP, and by sync.
    Watch(Watch),
    /// Show the configuration, or change config.toml.
    ///
    /// show prints each key with the value that applies and where it is from. get prints the value of
    /// one key. set writes a value into config.toml; the new file is checked first, as the start of a
    /// container checks it, and comments stay. A list is written a,b. Keys that need each other are set
    /// together: KEY VALUE KEY VALUE. The file of a user is ~/.config/oci-link/config.toml.
    Config(ConfigCommand),
    /// Register oci-link as a runtime in an engine's configuration.
    ///
    /// Prints the runtime that the wrapper runs, and refuses if it is not installed. For podman this
    /// is the runtime that podman uses now; for other engines it is runtime.command of config.toml,
    /// else the first of runc, crun and youki that is installed.
    Configure(Configure),
    /// Convert the links of a Compose file to annotations.
    ///
    /// Reads FILE or standard input and writes standard output, unless -o or --in-place is given. A
    /// summary is printed on standard error. The links and external links of each service become an
    /// annotation, and its links become dependencies with "restart: true", as Compose has them. A
    /// service that others are linked to gets a name, unless the file names its container. The keys
    /// of a file of version 1 are renamed, and its services stay on the default bridge. Everything
    /// else stays unchanged, comments included; a converted file does not
    /// change again. If there are several files, or a service extends a service of another file,
    /// convert the output of "docker compose config".
    Compose(Compose),
    /// Print a script that completes command lines in a shell.
    Completions(Completions),
    /// Write the manual pages into a directory.
    Man(Man),
    /// Describe a command.
    Help(Help),
}

/// `hook`.
#[derive(Debug, Args)]
pub(crate) struct Hook {
    /// The stage [default: poststop for a stopped container, else createRuntime].
    #[arg(value_enum)]
    pub(crate) stage: Option<Stage>,
    /// Names of the variables that were written into config.json together with this hook.
    #[arg(long, alias = "engine-link", value_name = "NAMES", hide = true)]
    pub(crate) injected: Vec<String>,
    /// The config.json that contains this hook for one run only, to be put back.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) restores: Option<PathBuf>,
}

/// The stages of the OCI runtime spec that links need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum Stage {
    /// The namespaces exist, the program has not started.
    CreateRuntime,
    /// The name of createRuntime before version 1.0.2 of the spec.
    Prestart,
    /// The program has started.
    Poststart,
    /// The container has ended.
    Poststop,
}

/// `prepare`.
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// The directory that contains config.json.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) bundle: PathBuf,
    /// The id of the container that will be created [default: the name of the directory].
    #[arg(long)]
    pub(crate) id: Option<String>,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The container: name, id, or 12 or more characters of an id of 64.
    #[arg(value_hint = CONTAINER)]
    pub(crate) container: String,
    /// Table or JSON.
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `connect`.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The container that gets the link: name, id, or 12 or more characters of an id of 64.
    #[arg(value_hint = CONTAINER)]
    pub(crate) recipient: String,
    /// The container to link to, and its alias [default: the name of the source].
    #[arg(value_name = "SOURCE[:ALIAS]", value_hint = CONTAINER)]
    pub(crate) link: String,
}

/// `disconnect`.
#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    /// The container that has the link: name, id, or 12 or more characters of an id of 64.
    #[arg(value_hint = CONTAINER)]
    pub(crate) recipient: String,
    /// The alias of the link.
    #[arg(value_hint = ALIAS)]
    pub(crate) alias: String,
}

/// `sync`.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Only report what would be repaired; the exit status is 13 if there is something to do.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `gc`.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only report what would be removed; the exit status is 13 if there is something to do.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also remove the links of running containers and everything of oci-link in the firewall; for
    /// use before this program is uninstalled.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) all: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Table or JSON.
    #[command(flatten)]
    pub(crate) output: Output,
    /// Connect from each recipient to the TCP ports of its sources, and report what answers.
    ///
    /// Each connection is closed at once. A port that does not answer within a second is a fault, and
    /// one where nothing listens is a warning. At most 64 ports of each recipient are tried.
    #[arg(long)]
    pub(crate) probe: bool,
    /// Directory below which the files of engines are [default: /].
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,
}

/// `configure`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag.
pub(crate) struct Configure {
    /// The engine.
    #[arg(value_enum)]
    pub(crate) engine: EngineName,
    /// Name of the runtime in the engine's configuration.
    #[arg(long, value_name = "NAME", default_value = "oci-link")]
    pub(crate) runtime: String,
    /// Make it the default runtime. For docker, this also prints which containers must be created again.
    #[arg(long, conflicts_with = "hooks")]
    pub(crate) default: bool,
    /// Install hooks in hooks.d in place of a runtime, for podman before 4.6 and CRI-O.
    #[arg(long)]
    pub(crate) hooks: bool,
    /// Undo what the same command without --remove did; links such as oci-link-runtime stay.
    #[arg(long)]
    pub(crate) remove: bool,
    /// Only print the changes and the new files.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Directory below which the engine's files are [default: /].
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,
}

/// Engines that oci-link can be registered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// /etc/docker/daemon.json.
    Docker,
    /// A drop-in of containers.conf, or hooks.d.
    Podman,
    /// /etc/containerd/config.toml; from version 3 on also a drop-in.
    Containerd,
    /// A drop-in of crio.conf, or hooks.d.
    Crio,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Shells with completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// For `/usr/share/bash-completion/completions`.
    Bash,
    /// For a directory of `$fpath`, with the file name `_oci-link`.
    Zsh,
    /// For `/usr/share/fish/vendor_completions.d`.
    Fish,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The directory; it is created if it does not exist.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}

/// `help`.
#[derive(Debug, Args)]
pub(crate) struct Help {
    /// The command [default: the list of all commands].
    pub(crate) command: Option<String>,
}
