//! Rules that are not ours in a chain of ours, and rules of other chains that lead to one.

use crate::firewall::strays::Strays;
use crate::model::OwnerTag;
use std::collections::HashSet;
use std::fmt::Write;

/// What the name of a recipient's chain begins with.
const PREFIX: &str = "OCI-LINK-";
/// Targets that end the way of a packet through a chain.
const LAST: [&str; 4] = ["ACCEPT", "DROP", "REJECT", "RETURN"];

/// The owner of the chain with this name; `None` if it is not a recipient's chain.
pub(crate) fn owner_of(name: &str) -> Option<OwnerTag> {
    let rest = name.strip_prefix(PREFIX)?;
    let (tag, number) = rest.split_once('-').unwrap_or((rest, "0"));
    number.bytes().all(|digit| digit.is_ascii_digit()).then(|| OwnerTag::parse(tag).ok())?
}

/// Whether a rule jumps to a recipient's chain.
pub(crate) fn is_jump_to_owner(rule: &str) -> bool {
    rule.rsplit_once(" -j ").is_some_and(|(_, target)| owner_of(target).is_some())
}

/// Removes from the listing `there` those rules of `chain` that are not ours, and second copies of ours. Returns
/// the commands that delete them. They must come first in a transaction, because they name rules by number.
pub(crate) fn take_out(
    there: &mut Vec<String>,
    chain: &str,
    which: Strays,
    is_ours: impl Fn(&str) -> bool,
) -> String {
    let start = format!("-A {chain} ");
    let (mut number, mut strays, mut seen) = (0, Vec::new(), HashSet::new());
    there.retain(|line| {
        let Some(rule) = line.strip_prefix(&start) else { return true };
        number += 1;
        let stays = match which {
            Strays::Total => is_ours(line) || !is_total(rule),
            Strays::All => is_ours(line) && seen.insert(line.clone()),
        };
        if !stays {
            log::warn!("a rule that is not of oci-link is in its chain: {line:?}");
            strays.push(number);
        }
        stays
    });
    let mut text = String::new();
    for number in strays.iter().rev() {
        let _ = writeln!(text, "-D {chain} {number}");
    }
    text
}

/// Whether a rule, without its chain, decides about every packet.
fn is_total(rule: &str) -> bool {
    let conditions = match rule.split_once("-m comment --comment ") {
        Some(("", rest)) => after_comment(rest),
        _ => rule,
    };
    let mut words = conditions.split(' ');
    match (words.next(), words.next()) {
        (Some("-g"), Some(_)) => true,
        (Some("-j"), Some(target)) => LAST.contains(&target),
        _ => false,
    }
}

/// The rest of a rule behind a comment, which is quoted if it is not a single word.
fn after_comment(rest: &str) -> &str {
    let end = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find("\" ").map(|at| at + 3),
        None => rest.find(' ').map(|at| at + 1),
    };
    end.and_then(|end| rest.get(end..)).unwrap_or_default()
}

/// A rule in the listing `there` that leads to `chain`, from a chain for which `counts` is true.
pub(crate) fn leads_to<'a>(
    there: &'a [String],
    chain: &str,
    counts: impl Fn(&str) -> bool,
) -> Option<&'a String> {
    let ends = [format!(" -j {chain}"), format!(" -g {chain}")];
    let leads = |line: &&String| ends.iter().any(|end| line.ends_with(end));
    let from = |line: &&String| {
        let name = line.strip_prefix("-A ").and_then(|rule| rule.split(' ').next());
        name.is_some_and(&counts)
    };
    there.iter().filter(from).find(leads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn only_rules_without_conditions_are_total() {
        for rule in [
            "-j RETURN",
            "-j ACCEPT",
            "-j DROP",
            "-j REJECT --reject-with icmp-port-unreachable",
            "-g ELSEWHERE",
            "-m comment --comment word -j RETURN",
            "-m comment --comment \"two -s words\" -j RETURN",
        ] {
            assert!(is_total(rule), "{rule}");
        }
        for rule in [
            "-j ELSEWHERE",
            "-j LOG",
            "-s 10.0.0.1/32 -j RETURN",
            "-p tcp -m comment --comment word -j RETURN",
            "-m comment --comment \"word\" -s 10.0.0.1/32 -j RETURN",
            "-m comment --comment \"-j RETURN",
            "",
        ] {
            assert!(!is_total(rule), "{rule}");
        }
    }

    #[test]
    fn what_is_not_ours_is_deleted_by_number_from_the_end() {
        let text = "-N A\n-A A -j RETURN\n-A A -j OURS\n-A B -j RETURN\n-A A -j OURS\n-A A -s 1.2.3.4/32 -j DROP";
        let ours = |line: &str| line.ends_with(" -j OURS");
        let mut there = lines(text);
        assert_eq!(take_out(&mut there, "A", Strays::All, ours), "-D A 4\n-D A 3\n-D A 1\n");
        assert_eq!(there, lines("-N A\n-A A -j OURS\n-A B -j RETURN"));
        assert_eq!(take_out(&mut there, "A", Strays::All, ours), "");
        let mut there = lines(text);
        assert_eq!(take_out(&mut there, "A", Strays::Total, ours), "-D A 1\n");
        assert_eq!(there.len(), 5);
    }

    #[test]
    fn a_rule_leads_to_a_chain_by_a_jump_or_a_goto() {
        let there = lines("-N C\n-A A -s 1.2.3.4/32 -j C\n-A B -g C\n-A A -j CC\n-A A -j C -x");
        let leads = |from: &str| leads_to(&there, "C", |chain| chain == from).map(String::as_str);
        assert_eq!(leads("A"), Some("-A A -s 1.2.3.4/32 -j C"));
        assert_eq!((leads("B"), leads("D")), (Some("-A B -g C"), None));
        assert!(is_jump_to_owner("-A OCI-LINKS -i a -o a -j OCI-LINK-aaaaaaaaaaaaaaaa-1"));
        assert!(!is_jump_to_owner("-A OCI-LINKS -j OCI-LINK-USER"));
    }
}
