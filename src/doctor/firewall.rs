//! Which backend has the rules, and whether packets reach them.

use super::HostContext;
use super::check::{Check, advice};
use crate::firewall::Choice;
use crate::firewall::probe::{self, ORDER, Table};
use crate::model::{BackendName, Family};
use crate::sys::site::whose;

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let mut checks = vec![backend(context)];
    if context.config.firewall != Choice::Fixed(BackendName::None) {
        checks.push(kinds(context));
        checks.extend(context.tables.iter().filter_map(|table| jump(context, table)));
    }
    checks
}

/// Which backend is in use or would be, and why the others are not.
fn backend(context: &HostContext) -> Check {
    const SUBJECT: &str = "backend";
    let can = |name| probe::can_do(name, &context.tables).map_err(|error| error.to_string());
    let first = || ORDER.into_iter().find(|name| can(*name).is_ok());
    let (name, how) = match (context.config.firewall, context.chosen()) {
        (Choice::Fixed(BackendName::None), _) => {
            return Check::ok(SUBJECT, "none, as config.toml says: links open no ports");
        }
        (Choice::Fixed(name), _) => (Some(name), "as config.toml says"),
        (Choice::Auto, Some(name)) => {
            if let Some(other) = first().filter(|first| *first != name) {
                return superseded(context, name, other, can(name).err());
            }
            (Some(name), "chosen automatically at the first link")
        }
        (Choice::Auto, None) => (first(), "would be chosen"),
    };
    let others = ORDER.into_iter().filter(|other| Some(*other) != name);
    let lacks = |name| can(name).err().map(|why| format!("{name} is not available: {why}"));
    let others: Vec<String> = others.filter_map(lacks).collect();
    match name {
        None => {
            let fix = "apt-get install iptables";
            Check::fault(SUBJECT, others.join("; "), fix)
        }
        Some(name) => match can(name) {
            Ok(()) => {
                let parts = [vec![format!("{name}, {how}")], others].concat();
                Check::ok(SUBJECT, parts.join("; "))
            }
            Err(why) => {
                let cause = format!("{name}, {how}, cannot be used: {why}");
                Check::fault(SUBJECT, cause, context.set("firewall.backend", "auto"))
            }
        },
    }
}

/// `auto` chose the backend `name` in this boot, and would choose `other` now. `lack` is why `name`
/// cannot be used now, if it cannot.
fn superseded(
    context: &HostContext,
    name: BackendName,
    other: BackendName,
    lack: Option<String>,
) -> Check {
    let fix = context.set("firewall.backend", other.as_str());
    let cause =
        format!("{name} was chosen at the first link of this boot; auto would choose {other} now");
    match lack {
        None => Check::warning("backend", cause, fix),
        Some(lack) => Check::fault("backend", format!("{cause}: {lack}"), fix),
    }
}

/// Checks that only one iptables variant has rules: each packet passes both variants, and one may drop
/// what the other accepts.
fn kinds(context: &HostContext) -> Check {
    const SUBJECT: &str = "iptables variants";
    let mut mixed = Vec::new();
    for table in &context.tables {
        match probe::rules_of_forward(table.family) {
            Ok(found) => mixed.extend(both(table.family, &found)),
            // /proc of a rootless docker is the host's: there the list of tables of iptables-legacy is root's.
            Err(_) if whose().is_in_engine() => {
                return Check::ok(SUBJECT, "a rootless engine cannot list iptables-legacy");
            }
            Err(error) => {
                return Check::warning(
                    SUBJECT,
                    error.to_string(),
                    advice("iptables-legacy-save shows the cause"),
                );
            }
        }
    }
    if mixed.is_empty() {
        Check::ok(SUBJECT, "only one iptables variant has rules")
    } else {
        let fix = advice(
            "choose one of them with update-alternatives --config iptables, and restart the programs that made the other rules",
        );
        Check::warning(SUBJECT, format!("{}: packets pass both variants", mixed.join("; ")), fix)
    }
}

/// The number of rules in FORWARD of each variant, if more than one variant has rules.
fn both(family: Family, found: &[(&str, usize)]) -> Option<String> {
    let with_rules: Vec<String> = found
        .iter()
        .filter(|(_, rules)| *rules > 0)
        .map(|(kind, rules)| format!("{kind} has {rules}"))
        .collect();
    let text = format!("rules of {} in FORWARD: {}", shown(family), with_rules.join(", "));
    (with_rules.len() > 1).then_some(text)
}

/// The usual name of the family.
pub(crate) fn shown(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// Whether FORWARD jumps to our chain first, or right behind the administrator's of Docker.
fn jump(context: &HostContext, table: &Table) -> Option<Check> {
    let lines = table.lines.as_ref().ok()?;
    let subject = format!("FORWARD, {}", shown(table.family));
    let needed = context.depends_on_table(table.family);
    if !needed {
        let why = if probe::has_chain(lines) { "no link needs it now" } else { "no link yet" };
        return Some(Check::ok(&subject, why));
    }
    let order = (probe::in_front(lines), probe::has_docker_user(lines));
    let order = (order.0.as_deref(), order.1);
    let check = judge(table.family, &subject, order, &context.call("sync"));
    Some(with_user(check, probe::rules_of_user(lines)))
}

/// Adds that the administrator's rules decide before links.
fn with_user(check: Check, rules: usize) -> Check {
    if rules == 0 {
        return check;
    }
    let detail = format!("{}; {rules} rules of OCI-LINK-USER decide before links", check.detail);
    Check { detail, ..check }
}

/// Judges the rules `in_front` of the jump to our chain. `has_user`: FORWARD jumps to DOCKER-USER.
fn judge(
    family: Family,
    subject: &str,
    (in_front, has_user): (Option<&[&str]>, bool),
    fix: &str,
) -> Check {
    const USER: &str = "-A FORWARD -j DOCKER-USER";
    match in_front {
        None => Check::fault(
            subject,
            "has no jump to OCI-LINK: the rules were flushed, and no link carries anything",
            fix,
        ),
        Some([]) if has_user => {
            let cause = "DOCKER-USER comes behind OCI-LINK: its rules do not bind links";
            Check::warning(subject, cause, fix)
        }
        Some([]) => Check::ok(subject, "jumps to OCI-LINK first"),
        Some([rule]) if *rule == USER => {
            Check::ok(subject, "jumps to OCI-LINK right behind DOCKER-USER")
        }
        Some([first, .., last]) if *last == USER => {
            let cause = format!("rules before DOCKER-USER, which decide before links: {first}");
            // A restarted dockerd may put its other chains before DOCKER-USER again.
            let tool = if family == Family::V4 { "iptables" } else { "ip6tables" };
            let [remove, insert] =
                ["-D", "-I"].map(|how| format!("{tool} {how} FORWARD -j DOCKER-USER"));
            Check::warning(subject, cause, format!("{remove} && {insert} && {fix}"))
        }
        Some([first, rest @ ..]) => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let cause = format!("rules before OCI-LINK, which must be first: {first}{more}");
            Check::warning(subject, cause, fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn packets_that_pass_two_variants() {
        assert_eq!(both(Family::V4, &[("nft", 3), ("legacy", 0)]), None);
        let told = both(Family::V6, &[("nft", 3), ("legacy", 1)]).unwrap();
        assert_eq!(told, "rules of IPv6 in FORWARD: nft has 3, legacy has 1");
    }

    #[test]
    fn the_first_rule_in_front_is_named() {
        let judge =
            |subject, in_front, fix| super::judge(Family::V4, subject, (in_front, false), fix);
        let check = judge("s", Some(&["-A FORWARD -j DOCKER", "x"]), "m");
        assert!(check.detail.ends_with("first: -A FORWARD -j DOCKER and 1 more"), "{check:?}");
        assert_eq!(judge("s", Some(&[]), "m").verdict, Verdict::Ok);
        assert_eq!(judge("s", None, "m").verdict, Verdict::Fault);
    }

    #[test]
    fn the_administrators_chain_of_docker_comes_first() {
        const USER: &str = "-A FORWARD -j DOCKER-USER";
        let judge = |rules: &[&str]| judge(Family::V6, "s", (Some(rules), true), "m").verdict;
        assert_eq!(judge(&[USER]), Verdict::Ok);
        assert_eq!(judge(&[]), Verdict::Warning);
        assert_eq!(judge(&["x", USER]), Verdict::Warning);
        assert_eq!(judge(&[USER, "x"]), Verdict::Warning);
        let check = with_user(Check::ok("s", "first"), 2);
        assert_eq!(check.detail, "first; 2 rules of OCI-LINK-USER decide before links");
    }
}
