//! The command line: types for clap, nothing else.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use log::LevelFilter;
use std::ffi::OsString;
use std::path::PathBuf;

/// How completions of zsh learn that an argument is a container: clap has no word for one, and we
/// none for hosts.
const CONTAINER: ValueHint = ValueHint::Hostname;
/// The same for an alias.
const ALIAS: ValueHint = ValueHint::Username;

/// Docker's --link for every OCI runtime and engine.
#[derive(Debug, Parser)]
#[command(name = "oci-link", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes. They win over config.toml.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Read this config.toml [default: /etc/oci-link/config.toml, which may be absent].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the records of running containers are [default: /run/oci-link].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// off, error, warn, info, debug or trace [default: info].
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<LevelFilter>,
    /// Log to this file [default: the system's log].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Act as an OCI hook: the container's state comes on standard input.
    Hook(Hook),
    /// Put hooks and link variables into a bundle's config.json.
    Prepare(Prepare),
    /// Act as a hook of hooks.d's stage precreate: config.json on standard input and output.
    Precreate,
    /// Stand in for runc, crun or youki: all that follows is the runtime's command line.
    Runtime(Runtime),
    /// List containers and their links.
    Ls(Ls),
    /// Show all about one container, and its rules as the kernel has them.
    Inspect(Inspect),
    /// Draw who is linked to whom.
    Graph(GraphArguments),
    /// Link a running container to another.
    Connect(Connect),
    /// End a link of a running container.
    Disconnect(Disconnect),
    /// Restore what should be there: rules, hosts lines, links of those who run.
    Sync(Sync),
    /// Remove what containers left behind that nobody ended.
    Gc(Gc),
    /// Say what on this host would keep links from working, and the mend for each.
    ///
    /// Changes nothing. The exit status is 0 if all is well, 1 if there are warnings, 2 if there are
    /// faults.
    Doctor(Doctor),
    /// Go on doing what sync and gc do, within a second of what makes it necessary.
    ///
    /// Restores rules that somebody flushed, and closes the links of containers that died while
    /// nobody was there to say so. Runs until SIGTERM or SIGINT, and leaves all links as they are
    /// then; at SIGHUP it reads config.toml and looks at everything again. One process for each
    /// state directory. Links are made and unmade without it: hooks and the wrapper need nothing
    /// that runs.
    ///
    /// Not noticed, because the kernel tells nobody: elements taken out of an ipset by hand, rules of
    /// iptables-legacy, and hosts files that were rewritten. They are mended along with the next
    /// thing that is noticed, at SIGHUP, and by sync.
    Watch,
    /// Register with an engine: say in its configuration what runs containers.
    Configure(Configure),
    /// Turn the links of a Compose file into annotations: standard input to standard output.
    ///
    /// Each service's links, external ones too, become an annotation; those that it waited for by
    /// its links it depends on; and services that are linked to are given a name, unless they name
    /// their container. All else stays as it is, comments too, and what was converted before stays
    /// altogether. Of several files, and of services that extend another file's, convert what
    /// "docker compose config" prints.
    Compose(Compose),
    /// Print what a shell needs to complete this program's command lines.
    Completions(Completions),
    /// Write the manual pages into a directory.
    Man(Man),
}

/// `hook`.
#[derive(Debug, Args)]
pub(crate) struct Hook {
    /// The stage; when absent, poststop for a stopped container, else createRuntime.
    #[arg(value_enum)]
    pub(crate) stage: Option<Stage>,
    /// Names the variables that were put into config.json along with this hook (see `oci::hooks`).
    #[arg(long, value_name = "NAMES", hide = true)]
    pub(crate) injected: Vec<String>,
}

/// The stages of the OCI runtime spec that links need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum Stage {
    /// The namespaces are there, the program has not started.
    CreateRuntime,
    /// The same, in runtimes before 1.0.2 of the spec.
    Prestart,
    /// The program has started.
    Poststart,
    /// The container is over.
    Poststop,
}

/// `prepare`.
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// The directory that holds config.json.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) bundle: PathBuf,
    /// The id that the container will be created with [default: the name of the directory].
    #[arg(long)]
    pub(crate) id: Option<String>,
}

/// `runtime`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Runtime {
    /// The runtime's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}

/// `ls`.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Names only, one in a line: for completions of shells.
    #[arg(long, hide = true)]
    pub(crate) names: bool,
    /// The aliases that one container has for others, for the same.
    #[arg(long, value_name = "CONTAINER", hide = true)]
    pub(crate) aliases: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Name, id or unique id prefix.
    #[arg(value_hint = CONTAINER)]
    pub(crate) container: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// How to draw.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,
}

/// `connect`.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Who is linked: name, id or unique id prefix.
    #[arg(value_hint = CONTAINER)]
    pub(crate) recipient: String,
    /// To whom, and by what name [default: the source's].
    #[arg(value_name = "SOURCE[:ALIAS]", value_hint = CONTAINER)]
    pub(crate) link: String,
}

/// `disconnect`.
#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    /// Whose link: name, id or unique id prefix.
    #[arg(value_hint = CONTAINER)]
    pub(crate) recipient: String,
    /// By what name it knows the source.
    #[arg(value_hint = ALIAS)]
    pub(crate) alias: String,
}

/// `sync`.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Only say what would be mended: status 6 where rules are wrong, 8 a hosts file, 7 a record.
    #[arg(long)]
    pub(crate) check: bool,
}

/// `gc`.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// End the links of those who run too, and take all that is ours out of the firewall: before
    /// this program is removed, for nobody would close a link after that.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) all: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Where the engines' files are, if not in `/`.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// For people, or for programs that draw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A line per container and link.
    #[default]
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// A picture.
    Svg,
}

/// `configure`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag.
pub(crate) struct Configure {
    /// Whose configuration.
    #[arg(value_enum)]
    pub(crate) engine: EngineName,
    /// What the runtime is called there.
    #[arg(long, value_name = "NAME", default_value = "oci-link")]
    pub(crate) runtime: String,
    /// Make it the runtime of containers that ask for none.
    #[arg(long, conflicts_with = "hooks")]
    pub(crate) default: bool,
    /// Hooks in hooks.d in place of a runtime: podman before 4.6, and CRI-O.
    #[arg(long)]
    pub(crate) hooks: bool,
    /// Take away what the same command without this had put there, but for a link oci-link-runtime.
    #[arg(long)]
    pub(crate) remove: bool,
    /// Only say what would change, and what the files would say.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where the engine's files are, if not in `/`.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,
}

/// Those that have a configuration to register in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// /etc/docker/daemon.json.
    Docker,
    /// A drop-in of containers.conf, or hooks.d.
    Podman,
    /// /etc/containerd/config.toml, and a drop-in from version 3 on.
    Containerd,
    /// A drop-in of crio.conf, or hooks.d.
    Crio,
}

/// `compose`.
#[derive(Debug, Args)]
pub(crate) struct Compose {
    /// Give both ends of each link this runtime [default: oci-link].
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true,
          default_missing_value = "oci-link", hide_default_value = true)]
    pub(crate) runtime: Option<String>,
    /// Write expose and ports of those who are linked to into annotations, in the place of the
    /// image's: podman does not tell them.
    #[arg(long)]
    pub(crate) ports: bool,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Those that are completed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// For `/usr/share/bash-completion/completions`.
    Bash,
    /// For a directory of `$fpath`, as `_oci-link`.
    Zsh,
    /// For `/usr/share/fish/vendor_completions.d`.
    Fish,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where they are written; it is made if it is not there.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
