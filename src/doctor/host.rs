//! The host itself: its kernel, our privileges, and other programs that change its rules.

use super::HostContext;
use super::check::{Check, advice};
use crate::sys::net::conntrack;
use crate::sys::process;
use std::fs;

/// The first Linux version that has all system calls we use.
const KERNEL: (u32, u32) = (5, 9);

/// `user` is about containers of a user; without it they are root's.
pub(crate) fn examine(user: Option<Check>, has_rules: bool) -> Vec<Check> {
    let user = user.unwrap_or_else(|| Check::ok("user", "root"));
    let connections = has_rules.then(connections);
    [user, kernel()].into_iter().chain(connections).collect()
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if version(release).is_some_and(|version| version >= KERNEL) {
        Check::ok("kernel", release)
    } else {
        let cause = format!("{release}: want {}.{} or later", KERNEL.0, KERNEL.1);
        Check::fault("kernel", cause, advice("install a later kernel, and boot it"))
    }
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn connections() -> Check {
    const SUBJECT: &str = "connection tracking";
    match conntrack::entries() {
        Ok(Some(_)) => Check::ok(SUBJECT, "connections end with their links"),
        Ok(None) | Err(_) => {
            let cause =
                "the kernel does not list connections: they stay open after their link ends";
            Check::warning(SUBJECT, cause, "modprobe nf_conntrack_netlink")
        }
    }
}

/// Daemons that flush the rules of others when they reload.
pub(crate) fn reloaders(context: &HostContext) -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(context.question.root.join(path)).ok();
    let firewalld = read("run/firewalld.pid").and_then(|pid| pid.trim().parse().ok());
    let firewalld = firewalld.is_some_and(|pid| matches!(process::start_time(pid), Ok(Some(_))));
    let ufw = read("etc/ufw/ufw.conf").is_some_and(|text| is_enabled(&text));
    let found = [("firewalld", firewalld), ("ufw", ufw)].into_iter().filter(|(_, runs)| *runs);
    let check = |(name, _)| {
        if context.watched {
            return Check::ok(name, "flushes rules when it reloads; watch restores them");
        }
        let cause = "is active and flushes the rules of links when it reloads";
        let cause = format!("{cause}; after a reload, {} restores them", context.call("sync"));
        Check::warning(name, cause, "systemctl enable --now oci-link-watch")
    };
    found.map(check).collect()
}

/// Whether ufw.conf enables ufw.
fn is_enabled(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("ENABLED="));
    lines.next_back().is_some_and(|value| value.trim_matches('"').eq_ignore_ascii_case("yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        assert_eq!(version("6.18.0-rc1+"), Some((6, 18)));
        assert_eq!(version("5.4.0-generic"), Some((5, 4)));
        assert_eq!(version("unknown"), None);
        assert!((5, 10) > KERNEL && (5, 4) < KERNEL && (6, 1) > KERNEL);
    }

    #[test]
    fn ufw() {
        assert!(is_enabled("# ENABLED=no\nENABLED=yes\nLOGLEVEL=low\n"));
        assert!(!is_enabled("# ENABLED=yes\nENABLED=no\n") && !is_enabled(""));
    }
}
