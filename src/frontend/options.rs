//! Which options of the clients take a value: docker 20.10 to 29, podman 4 to 6.

use super::Client;
use super::words::Name;

/// Options before the verb without a value. All others take one.
const GLOBAL_DOCKER: [&str; 5] = ["debug", "tls", "tlsverify", "version", "help"];
const GLOBAL_PODMAN: [&str; 7] =
    ["remote", "noout", "syslog", "trace", "transient-store", "version", "help"];

/// Options of `run` and `create` without a value.
#[rustfmt::skip]
const FLAGS: [&str; 15] = [
    "detach", "disable-content-trust", "help", "init", "interactive", "no-healthcheck",
    "oom-kill-disable", "privileged", "publish-all", "quiet", "read-only", "rm", "sig-proxy",
    "tty", "use-api-socket",
];
/// More of them in podman, and global ones, which podman takes after the verb too.
#[rustfmt::skip]
const FLAGS_PODMAN: [&str; 15] = [
    "env-host", "http-proxy", "no-hostname", "no-hosts", "noout", "passwd", "read-only-tmpfs",
    "replace", "rmi", "rootfs", "syslog", "tls-verify", "trace", "transient-store", "unsetenv-all",
];
/// Options of `run` and `create` with a value. `dns-opt`, `net` and `net-alias` are hidden ones.
#[rustfmt::skip]
const VALUES: [&str; 92] = [
    "add-host", "annotation", "attach", "blkio-weight", "blkio-weight-device", "cap-add",
    "cap-drop", "cgroup-parent", "cgroupns", "cidfile", "cpu-count", "cpu-percent", "cpu-period",
    "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus",
    "cpuset-mems", "detach-keys", "device", "device-cgroup-rule", "device-read-bps",
    "device-read-iops", "device-write-bps", "device-write-iops", "dns", "dns-opt", "dns-option",
    "dns-search", "domainname", "entrypoint", "env", "env-file", "expose", "gpus", "group-add",
    "health-cmd", "health-interval", "health-retries", "health-start-interval",
    "health-start-period", "health-timeout", "hostname", "io-maxbandwidth", "io-maxiops", "ip",
    "ip6", "ipc", "isolation", "kernel-memory", "label", "label-file", "link", "link-local-ip",
    "log-driver", "log-opt", "mac-address", "memory", "memory-reservation", "memory-swap",
    "memory-swappiness", "mount", "name", "net", "net-alias", "network", "network-alias",
    "oom-score-adj", "pid", "pids-limit", "platform", "publish", "pull", "restart", "runtime",
    "security-opt", "shm-size", "stop-signal", "stop-timeout", "storage-opt", "sysctl", "tmpfs",
    "ulimit", "user", "userns", "uts", "volume", "volume-driver", "volumes-from", "workdir",
];
/// More of them in podman, with hidden and former names, and global ones.
#[rustfmt::skip]
const VALUES_PODMAN: [&str; 86] = [
    "arch", "authfile", "cdi-spec-dir", "cert-dir", "cgroup-conf", "cgroup-manager", "cgroups",
    "chrootdirs", "config", "conmon", "conmon-pidfile", "cpu-profile", "creds", "db-backend",
    "decryption-key", "default-mounts-file", "env-merge", "events-backend", "gidmap",
    "group-entry", "health-log-destination", "health-max-log-count", "health-max-log-size",
    "health-on-failure", "health-startup-cmd", "health-startup-interval", "health-startup-retries",
    "health-startup-success", "health-startup-timeout", "healthcheck-command",
    "healthcheck-interval", "healthcheck-retries", "healthcheck-start-period",
    "healthcheck-timeout", "hooks-dir", "hosts-file", "hostuser", "image-volume", "imagestore",
    "init-ctr", "init-path", "log-level", "max-workers", "memory-profile", "module", "namespace",
    "network-cmd-path", "network-config-dir", "os", "out", "override-arch", "override-os",
    "override-variant", "passwd-entry", "personality", "pidfile", "pod", "pod-id-file",
    "preserve-fd", "preserve-fds", "pull-option", "rdt-class", "registries-conf", "requires",
    "retry", "retry-delay", "root", "runroot", "runtime-flag", "sdnotify", "seccomp-policy",
    "secret", "shm-size-systemd", "signature-policy", "storage-driver", "subgidname", "subuidname",
    "systemd", "timeout", "tmpdir", "tz", "uidmap", "umask", "unsetenv", "variant", "volumepath",
];
/// Letters without and with a value.
const LETTER_FLAGS: &[u8] = b"ditPq";
const LETTER_VALUES: &[u8] = b"acehlmpuvw";

/// Whether an option before the verb has no value.
pub(crate) fn is_global_flag(client: Client, name: Name<'_>) -> bool {
    match (client, name) {
        (Client::Docker, Name::Letter(letter)) => b"Dvh".contains(&letter),
        (Client::Podman, Name::Letter(letter)) => b"rvh".contains(&letter),
        (Client::Docker, Name::Long(name)) => has(&GLOBAL_DOCKER, name),
        (Client::Podman, Name::Long(name)) => has(&GLOBAL_PODMAN, name),
    }
}

/// Whether an option of `run` and `create` takes a value; `None` if it is unknown.
pub(crate) fn takes_value(client: Client, name: Name<'_>) -> Option<bool> {
    let is_podman = client == Client::Podman;
    let (flag, value) = match name {
        Name::Letter(letter) => (LETTER_FLAGS.contains(&letter), LETTER_VALUES.contains(&letter)),
        Name::Long(name) => (
            has(&FLAGS, name) || is_podman && has(&FLAGS_PODMAN, name),
            has(&VALUES, name) || is_podman && has(&VALUES_PODMAN, name),
        ),
    };
    if flag || value { Some(value) } else { None }
}

fn has(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}
