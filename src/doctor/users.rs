//! The containers of a user: what a rootless engine changes for the checks and their fixes.

use super::check::{Check, advice, word};
use crate::sys::site::{self, Standing, Whose, whose};
use std::path::Path;

/// Text by which a fix is recognized that only root can carry out.
const FOR_ROOT: [&str; 5] = ["modprobe ", "apt-get ", "systemctl ", "chown root", "/etc/"];

/// Programs of a fix that work in the network namespace with the bridges.
const IN_SITE: [&str; 5] = ["sysctl -w ", "iptables ", "ip6tables ", "nft ", "ipset "];

/// What separates the command of a fix from the one that repeats it at each boot.
const AT_BOOT: &str = " && echo ";

/// Whether the rules can be read. Enters the network namespace with the bridges of a rootless engine.
pub(crate) fn has_rules() -> bool {
    let entered = site::enter(None).is_ok();
    let is_nowhere = matches!(site::standing(), Standing::Nowhere { .. });
    entered && !is_nowhere && !matches!(whose(), Whose::Shell { .. })
}

/// Reports whose containers are examined. `None` for root's.
pub(crate) fn examine(has_rules: bool) -> Option<Check> {
    const SUBJECT: &str = "user";
    match whose() {
        Whose::Root => None,
        Whose::Shell { uid } => {
            let cause = format!("user {uid}, without a rootless engine: rules cannot be read");
            let fix =
                advice("start a container, or call sudo oci-link doctor for root's containers");
            Some(Check::fault(SUBJECT, cause, fix))
        }
        Whose::Engine { uid, .. } if has_rules => {
            Some(Check::ok(SUBJECT, format!("user {uid}: the containers of a rootless engine")))
        }
        Whose::Engine { uid, .. } => {
            let detail = format!("user {uid}: no container is on a bridge, so there are no rules");
            Some(Check::ok(SUBJECT, detail))
        }
    }
}

/// Adapts the fixes: a user cannot load modules, and changes rules and switches of the kernel in another network
/// namespace.
pub(crate) fn adapt(checks: &mut [Check]) {
    if whose() == Whose::Root {
        return;
    }
    let enter = enter(whose());
    for check in checks {
        check.fix = check.fix.take().map(|fix| adapted(&fix, &enter));
    }
}

/// The command that runs another one where the rules of these containers are.
fn enter(whose: Whose) -> String {
    match whose {
        Whose::Engine { uid, has_network: true } => format!(
            "nsenter -U --preserve-credentials -n -m -t \
             $(cat /run/user/{uid}/dockerd-rootless/child_pid)"
        ),
        _ => "podman unshare --rootless-netns".to_owned(),
    }
}

/// A fix for root as one for a user. `enter` is the command that enters the network namespace with the bridges.
fn adapted(fix: &str, enter: &str) -> String {
    if fix.starts_with("modprobe br_netfilter") {
        // A new network namespace has the switches on.
        return "sudo modprobe br_netfilter".to_owned();
    }
    if IN_SITE.iter().any(|program| fix.starts_with(program)) {
        // A user cannot write the file that sets a switch at each boot.
        let command = fix.split(AT_BOOT).next().unwrap_or(fix).replace('\'', r"'\''");
        // In the PATH of a user of Debian there is no sbin.
        let path = "PATH=$PATH:/usr/sbin:/sbin";
        return format!("{enter} sh -c '{path}; {command}'");
    }
    let is_for_root = FOR_ROOT.iter().any(|word| fix.contains(word));
    if !is_for_root || fix.starts_with("sudo ") {
        fix.to_owned()
    } else if fix.contains("&&") {
        format!("sudo sh -c {}", word(Path::new(fix)))
    } else {
        format!("sudo {fix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODMAN: &str = "podman unshare --rootless-netns";

    #[test]
    fn a_user_is_told_what_only_root_can_do() {
        let call = "sysctl -w net.bridge.bridge-nf-call-iptables=1";
        let forever = " && echo net.bridge.bridge-nf-call-iptables=1 >>/etc/sysctl.d/oci-link.conf";
        let loaded = format!("modprobe br_netfilter && {call}{forever}");
        assert_eq!(adapted(&loaded, PODMAN), "sudo modprobe br_netfilter");
        let set = adapted(&format!("{call}{forever}"), PODMAN);
        let inside = "podman unshare --rootless-netns sh -c 'PATH=$PATH:/usr/sbin:/sbin; ";
        assert_eq!(set, format!("{inside}{call}'"));
        let rule = adapted("nft 'delete rule ip filter x handle 3'", PODMAN);
        let quoted = r"nft '\''delete rule ip filter x handle 3'\''";
        assert_eq!(rule, format!("{inside}{quoted}'"));
        assert_eq!(adapted("apt-get install ipset", PODMAN), "sudo apt-get install ipset");
        let both = adapted("apt-get install runc && oci-link configure podman", PODMAN);
        assert_eq!(both, "sudo sh -c 'apt-get install runc && oci-link configure podman'");
        let docker = enter(Whose::Engine { uid: 7, has_network: true });
        let set = adapted(call, &docker);
        assert!(set.starts_with("nsenter -U ") && set.contains("/run/user/7/"), "{set}");
        assert_eq!(enter(Whose::Engine { uid: 7, has_network: false }), PODMAN);
        assert_eq!(adapted("oci-link sync", PODMAN), "oci-link sync");
    }
}
