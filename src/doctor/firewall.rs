//! Who keeps the rules, and whether packets get to them.

use super::HostContext;
use super::check::Check;
use crate::firewall::Choice;
use crate::firewall::probe::{self, ORDER, Table};
use crate::model::{BackendName, Family};

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let mut checks = vec![backend(context)];
    if context.config.firewall != Choice::Fixed(BackendName::None) {
        checks.push(kinds(context));
        checks.extend(context.tables.iter().filter_map(|table| jump(context, table)));
    }
    checks
}

/// Which backend is, or would be, and why not the others.
fn backend(context: &HostContext) -> Check {
    const SUBJECT: &str = "backend";
    let can = |name| probe::can_do(name, &context.tables).map_err(|error| error.to_string());
    let (name, how) = match (context.config.firewall, context.chosen()) {
        (Choice::Fixed(BackendName::None), _) => {
            return Check::ok(SUBJECT, "none, as config.toml says: links open nothing");
        }
        (Choice::Fixed(name), _) => (Some(name), "as config.toml says"),
        (Choice::Auto, Some(name)) => (Some(name), "chosen when a link first needed one"),
        (Choice::Auto, None) => {
            (ORDER.into_iter().find(|name| can(*name).is_ok()), "would be chosen")
        }
    };
    let others = ORDER.into_iter().filter(|other| Some(*other) != name);
    let lacks = |name| can(name).err().map(|why| format!("not {name}: {why}"));
    let others: Vec<String> = others.filter_map(lacks).collect();
    match name {
        None => {
            let fix = "apt-get install iptables, or a kernel with nf_tables";
            Check::fault(SUBJECT, others.join("; "), fix)
        }
        Some(name) => match can(name) {
            Ok(()) => {
                let parts = [vec![format!("{name}, {how}")], others].concat();
                Check::ok(SUBJECT, parts.join("; "))
            }
            Err(why) => {
                let cause = format!("{name}, {how}, cannot be used: {why}");
                Check::fault(SUBJECT, cause, context.config_line("[firewall] backend = \"auto\""))
            }
        },
    }
}

/// Two sets of tables of which each packet passes both: what one accepts, the other may drop.
fn kinds(context: &HostContext) -> Check {
    const SUBJECT: &str = "kinds of iptables";
    let mut mixed = Vec::new();
    for table in &context.tables {
        match probe::rules_of_forward(table.family) {
            Ok(found) => mixed.extend(both(table.family, &found)),
            Err(error) => {
                return Check::warning(SUBJECT, error.to_string(), "iptables-legacy-save");
            }
        }
    }
    if mixed.is_empty() {
        Check::ok(SUBJECT, "no packet passes the rules of two")
    } else {
        let fix = "update-alternatives --config iptables; then restart what made the others";
        Check::warning(SUBJECT, format!("{}: packets pass both", mixed.join("; ")), fix)
    }
}

/// What is wrong with the rules of FORWARD, by kind.
fn both(family: Family, found: &[(&str, usize)]) -> Option<String> {
    let with_rules: Vec<String> = found
        .iter()
        .filter(|(_, rules)| *rules > 0)
        .map(|(kind, rules)| format!("{kind} has {rules}"))
        .collect();
    let text = format!("rules of {} in FORWARD: {}", shown(family), with_rules.join(", "));
    (with_rules.len() > 1).then_some(text)
}

/// How people call it.
pub(crate) fn shown(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// Whether FORWARD asks our chain first.
fn jump(context: &HostContext, table: &Table) -> Option<Check> {
    let lines = table.lines.as_ref().ok()?;
    let subject = format!("FORWARD, {}", shown(table.family));
    let needed = context.depends_on_tables();
    if !needed {
        let why = if probe::has_chain(lines) { "no link needs it now" } else { "no link yet" };
        return Some(Check::ok(&subject, why));
    }
    Some(judge(&subject, probe::in_front(lines).as_deref(), &context.call("sync")))
}

fn judge(subject: &str, in_front: Option<&[&str]>, fix: &str) -> Check {
    match in_front {
        None => Check::warning(subject, "does not enter OCI-LINK: somebody flushed it", fix),
        Some([]) => Check::ok(subject, "enters OCI-LINK first"),
        Some([first, rest @ ..]) => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let cause = format!("in front of OCI-LINK, which links need first: {first}{more}");
            Check::warning(subject, cause, fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn packets_that_pass_two_kinds() {
        assert_eq!(both(Family::V4, &[("nft", 3), ("legacy", 0)]), None);
        let told = both(Family::V6, &[("nft", 3), ("legacy", 1)]).unwrap();
        assert_eq!(told, "rules of IPv6 in FORWARD: nft has 3, legacy has 1");
    }

    #[test]
    fn the_first_rule_in_front_is_named() {
        let check = judge("s", Some(&["-A FORWARD -j DOCKER", "x"]), "m");
        assert!(check.detail.ends_with("first: -A FORWARD -j DOCKER and 1 more"), "{check:?}");
        assert_eq!(judge("s", Some(&[]), "m").verdict, Verdict::Ok);
        assert_eq!(judge("s", None, "m").verdict, Verdict::Warning);
    }
}
