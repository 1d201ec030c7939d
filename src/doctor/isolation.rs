//! Whether unlinked containers are really separated, judged by rules and kernel switches. Our own
//! notes only distinguish a host without containers from one whose rules were flushed.

use super::HostContext;
use super::check::{Check, advice};
use super::firewall::shown;
use super::forward::is_of_engine;
use crate::firewall::Choice;
use crate::firewall::bridge::switch;
use crate::firewall::probe::{self, Table};
use crate::model::{BackendName, BridgeName, Family};
use std::fs;

/// The switches for frames with a tag.
const TAGGED: [&str; 2] = ["bridge-nf-filter-vlan-tagged", "bridge-nf-filter-pppoe-tagged"];

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let bridges = &context.config.isolate;
    if context.config.firewall == Choice::Fixed(BackendName::None) {
        return Vec::new();
    }
    let families = context.tables.iter().map(|table| table.family);
    let by_annotation = context.running.iter().any(|record| record.isolation.is_some());
    let isolates = !bridges.is_empty() || by_annotation;
    let mut checks: Vec<Check> = families.map(|family| filters(family, isolates)).collect();
    if isolates {
        checks.extend(TAGGED.iter().filter_map(|name| tagged(name)));
    }
    if bridges.is_empty() {
        return checks;
    }
    checks.push(interfaces(bridges));
    checks.push(frames(bridges));
    match context.chosen() {
        Some(BackendName::Nftables) => checks.push(drops_of_nftables(context)),
        Some(BackendName::Iptables | BackendName::Ipset | BackendName::None) => {
            checks.extend(context.tables.iter().filter_map(|table| drops(context, table)));
            checks.extend(context.tables.iter().filter_map(|table| bypass(context, table)));
        }
        None => checks.push(Check::ok("isolation", "set up when the first container starts")),
    }
    checks
}

/// Whether the firewall sees packets between two containers of one bridge.
fn filters(family: Family, isolates: bool) -> Check {
    let name = switch::name(family);
    let value = fs::read_to_string(format!("/proc/sys/net/bridge/{name}")).ok();
    judge_switch(name, value.as_deref().map(str::trim), isolates)
}

/// Loads the module of the switches, now and at each boot.
const LOAD: &str = "modprobe br_netfilter && mkdir -p /etc/modules-load.d && \
     echo br_netfilter >>/etc/modules-load.d/oci-link.conf && ";

/// The command that sets a switch, now and at each boot.
fn switch_on(name: &str) -> String {
    let set = format!("net.bridge.{name}=1");
    format!("sysctl -w {set} && echo {set} >>/etc/sysctl.d/oci-link.conf")
}

fn judge_switch(name: &str, value: Option<&str>, isolates: bool) -> Check {
    let (state, load) = match value {
        Some("1") => {
            return Check::ok(name, "traffic between containers of one bridge is filtered");
        }
        Some(_) => ("is off", ""),
        None => ("is missing (br_netfilter is not loaded)", LOAD),
    };
    let cause = format!("{state}: traffic between containers of one bridge is not filtered");
    Check::trouble(isolates, name, &cause, format!("{load}{}", switch_on(name)))
}

/// Whether the firewall sees frames with a tag. A container with the capability `NET_RAW` can send
/// them, and the kernel delivers those of VLAN 0 as if they had no tag. `None` if `br_netfilter` is not
/// loaded, which another check reports.
fn tagged(name: &str) -> Option<Check> {
    let value = fs::read_to_string(format!("/proc/sys/net/bridge/{name}")).ok()?;
    Some(judge_tagged(name, value.trim()))
}

fn judge_tagged(name: &str, value: &str) -> Check {
    if value == "1" {
        return Check::ok(name, "tagged frames are filtered");
    }
    let cause = "is off: a container can reach others of its bridge with tagged frames, past the \
                 isolation";
    Check::fault(name, cause, switch_on(name))
}

/// Names the frames that no rule on the isolated bridges sees. The kernel has no rule for the ports of a bridge by its
/// name.
fn frames(bridges: &[BridgeName]) -> Check {
    let names = bridges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "{names}: types other than IPv4, IPv6 and ARP, and frames with several tags, pass between containers with \
         CAP_NET_RAW; org.oci-link.isolate drops them"
    );
    Check::ok("frames that no rule sees", detail)
}

/// Checks that the isolated bridges exist.
fn interfaces(bridges: &[BridgeName]) -> Check {
    let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let there = |bridge: &&BridgeName| {
        let mut names = devices.lines().filter_map(|line| line.split_once(':'));
        names.any(|(name, _)| name.trim() == bridge.as_str())
    };
    let (there, absent): (Vec<&BridgeName>, Vec<_>) = bridges.iter().partition(there);
    let list = |names: &[&BridgeName]| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let (later, absent): (Vec<&BridgeName>, Vec<_>) =
        absent.into_iter().partition(|bridge| is_of_engine(bridge.as_str()));
    if absent.is_empty() && later.is_empty() {
        Check::ok("isolated bridges", list(&there))
    } else if absent.is_empty() {
        let detail = format!("{}: created by its engine when a container needs it", list(&later));
        Check::ok("isolated bridges", detail)
    } else {
        let cause = format!("no such interface: {}", list(&absent));
        Check::warning(
            "isolated bridges",
            cause,
            advice("correct firewall.isolate; ip link show type bridge lists the bridges"),
        )
    }
}

fn drops(context: &HostContext, table: &Table) -> Option<Check> {
    let lines = table.lines.as_ref().ok()?;
    let subject = format!("isolation, {}", shown(table.family));
    Some(judge_drops(context, &subject, probe::isolates(lines, &context.config.isolate)))
}

fn drops_of_nftables(context: &HostContext) -> Check {
    match probe::nftables_isolates(&context.config.isolate) {
        Ok(whole) => judge_drops(context, "isolation", whole),
        Err(error) => Check::fault("isolation", error.to_string(), context.call("sync")),
    }
}

/// Judges the drop rules. Before the first container starts, none are needed.
fn judge_drops(context: &HostContext, subject: &str, whole: bool) -> Check {
    let made = context.is_isolated();
    if whole {
        Check::ok(subject, "the drop rules come last")
    } else if context.running.is_empty() && !made {
        Check::ok(subject, "set up when the first container starts")
    } else {
        let cause = "the rules do not separate the containers of isolated bridges";
        Check::fault(subject, cause, context.call("sync"))
    }
}

/// Finds rules of engines that accept a whole subnet before FORWARD jumps to our chain.
fn bypass(context: &HostContext, table: &Table) -> Option<Check> {
    let lines = table.lines.as_ref().ok()?;
    let in_front = probe::in_front(lines)?;
    let accepts = probe::wide_accepts(lines, &in_front);
    let first = accepts.first()?;
    let subject = format!("rules before OCI-LINK, {}", shown(table.family));
    let who = author(first);
    let cause = format!("{who} accepts its whole subnet before FORWARD reaches OCI-LINK: {first}");
    Some(Check::fault(&subject, cause, context.call("sync")))
}

/// The program that made a rule, judged by its chain.
fn author(rule: &str) -> &'static str {
    let chain = rule.split(' ').nth(1).unwrap_or_default();
    match chain {
        _ if chain.starts_with("NETAVARK") => "netavark",
        _ if chain.starts_with("CNI") => "CNI",
        _ if chain.starts_with("DOCKER") => "docker",
        _ => "another rule",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_bridge_that_is_not_filtered_is_a_fault_where_it_should_isolate() {
        let judge = |value, isolates| judge_switch("bridge-nf-call-iptables", value, isolates);
        assert_eq!(judge(Some("1"), true).verdict, Verdict::Ok);
        assert_eq!(judge(Some("0"), true).verdict, Verdict::Fault);
        assert_eq!(judge(Some("0"), false).verdict, Verdict::Warning);
        let fix = judge(None, true).fix.unwrap();
        assert!(
            fix.starts_with("modprobe br_netfilter && mkdir -p /etc/modules-load.d && echo "),
            "{fix}"
        );
    }

    #[test]
    fn frames_with_a_tag_pass_an_isolation_that_does_not_see_them() {
        assert_eq!(judge_tagged(TAGGED[0], "1").verdict, Verdict::Ok);
        let check = judge_tagged(TAGGED[0], "0");
        assert_eq!(check.verdict, Verdict::Fault);
        let fix = check.fix.unwrap();
        assert!(
            fix.starts_with("sysctl -w net.bridge.bridge-nf-filter-vlan-tagged=1 && "),
            "{fix}"
        );
    }

    #[test]
    fn frames_that_pass_an_isolated_bridge_are_named() {
        let names = ["br0", "br1"].map(|name| BridgeName::new(name).unwrap());
        let check = frames(&names);
        assert_eq!(check.verdict, Verdict::Ok);
        assert!(check.detail.starts_with("br0, br1: types other than IPv4, "), "{}", check.detail);
    }

    #[test]
    fn authors() {
        assert_eq!(author("-A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT"), "netavark");
        assert_eq!(author("-A FORWARD -j ACCEPT"), "another rule");
    }
}
