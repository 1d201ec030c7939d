//! What may be wrong with oci-link on a host. Each entry is a line of shell with functions of machine.sh.

use crate::machine::PATIENCE;
use std::time::Duration;

pub(crate) struct Environment {
    pub(crate) name: &'static str,
    pub(crate) breaks: &'static str,
    /// What one command may take.
    pub(crate) patience: Duration,
    /// The rules of a container go with it, although the environment is broken.
    pub(crate) undone_at_once: bool,
}

/// The records and the firewall can be used.
const fn usable(name: &'static str, breaks: &'static str) -> Environment {
    Environment { name, breaks, patience: PATIENCE, undone_at_once: true }
}

/// What is left to undo is undone after the repair.
const fn unusable(name: &'static str, breaks: &'static str) -> Environment {
    Environment { name, breaks, patience: PATIENCE, undone_at_once: false }
}

/// No command may wait for another process. The limit is generous, as the machine may be busy.
const fn slow(name: &'static str, breaks: &'static str) -> Environment {
    Environment { patience: Duration::from_secs(5), ..unusable(name, breaks) }
}

/// All faults at once that do not exclude each other.
pub(crate) const WORST: Environment = unusable(
    "config.toml, log, state directory and iptables are broken",
    "hide_state; : >/run/oci-link; mkfifo /run/broken/log; log /run/broken/log; \
     echo junk >>/etc/oci-link/config.toml; replace_iptables \"$(failing)\"",
);

pub(crate) const ENVIRONMENTS: &[Environment] = &[
    usable("a healthy environment", "true"),
    usable("config.toml: unknown key", "config '[firewall]' 'isolat = [\"br0\"]'"),
    usable("config.toml: unknown table", "config '[firewal]' 'backend = \"ipset\"'"),
    usable("config.toml: unknown word", "config '[firewall]' 'backend = \"pf\"'"),
    usable("config.toml: wrong type", "config '[firewall]' 'backend = 7'"),
    usable(
        "config.toml: wrong log level",
        "printf '[log]\\nlevel = \"loud\"\\n' >/etc/oci-link/config.toml",
    ),
    usable("config.toml: repeated table", "config '[log]' 'level = \"info\"'"),
    usable("config.toml: binary junk", "printf '\\000\\377\\001junk' >/etc/oci-link/config.toml"),
    usable("config.toml: too large", "config \"# $(printf '%0200000d' 0)\""),
    usable("config.toml: not UTF-8", "printf '# b\\374ro\\n' >/etc/oci-link/config.toml"),
    usable("config.toml: directory", "cd /etc/oci-link; rm config.toml; mkdir config.toml"),
    usable("config.toml: FIFO", "cd /etc/oci-link; rm config.toml; mkfifo config.toml"),
    usable(
        "config.toml: link to itself",
        "cd /etc/oci-link; rm config.toml; ln -s config.toml config.toml",
    ),
    usable("config.toml: link to nothing", "cd /etc/oci-link; ln -sf nothing config.toml"),
    usable(
        "config.toml: link to a file of root",
        "cd /etc/oci-link; mv config.toml real.toml; \
        ln -s real.toml config.toml",
    ),
    usable(
        "config.toml: link to a file of another user",
        "cd /etc/oci-link; mv config.toml real.toml; \
        chown 65534 real.toml; ln -s real.toml config.toml",
    ),
    usable("config.toml: mode 000", "chmod 000 /etc/oci-link/config.toml"),
    usable("config.toml: others can write", "chmod 666 /etc/oci-link/config.toml"),
    usable("config.toml: /etc/oci-link is a file", "rm -r /etc/oci-link; : >/etc/oci-link"),
    usable(
        "config.toml: runtime.command names no program",
        "config '[runtime]' 'command = \"/nowhere/runc\"'",
    ),
    unusable("config.toml: state_dir is relative", "config 'state_dir = \"state\"'"),
    usable("log: in a missing directory", "log /run/nowhere/log"),
    usable(
        "log: in a read-only directory",
        "mkdir /run/broken/ro; read_only /run/broken/ro; \
        log /run/broken/ro/log",
    ),
    usable(
        "log: on a full disk",
        "mkdir /run/broken/full; mount -t tmpfs -o size=4k tmpfs \
        /run/broken/full; dd if=/dev/zero of=/run/broken/full/log bs=4k 2>/dev/null || true; \
        log /run/broken/full/log",
    ),
    usable("log: always full", "log /dev/full"),
    usable("log: FIFO", "mkfifo /run/broken/log; log /run/broken/log"),
    usable("log: directory", "mkdir /run/broken/log; log /run/broken/log"),
    usable("log: link to itself", "ln -s log /run/broken/log; log /run/broken/log"),
    // Beside the bundle, which must stay as it was.
    usable("log: relative path", "log ../log"),
    unusable("state directory: missing", "hide_state"),
    unusable("state directory: read-only", "read_only /run/oci-link"),
    unusable("state directory: full", "fill_bytes"),
    unusable("state directory: no inodes", "fill_inodes"),
    unusable("state directory: file", "hide_state; : >/run/oci-link"),
    unusable("state directory: link", "hide_state; ln -s kept /run/oci-link"),
    unusable("state directory: link to nothing", "hide_state; ln -s nothing /run/oci-link"),
    unusable("state directory: others can write", "chmod 777 /run/oci-link"),
    unusable("state directory: of another owner", "chown 65534 /run/oci-link"),
    unusable(
        "state directory: the lock is a directory",
        "rm -f /run/oci-link/lock; \
        mkdir /run/oci-link/lock",
    ),
    slow("lock: held by another process", "hold /run/oci-link/lock"),
    unusable("firewall: iptables fails", "replace_iptables \"$(failing)\""),
    unusable(
        "firewall: iptables is missing",
        ": >/run/broken/nothing; \
        replace_iptables /run/broken/nothing",
    ),
    WORST,
];
