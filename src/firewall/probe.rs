//! Read-only checks for `doctor`: usable backends, and the rules that packets pass.
//!
//! These functions read the kernel's state and ignore the setup cache.

use super::nftables;
use super::xtables::command::Tool;
use super::xtables::common_chain::{self, BASE, DOCKER_USER};
use super::{failed, host_families, ipset};
use crate::error::Result;
use crate::model::{BackendName, BridgeName, Family};

pub(crate) use super::auto::ORDER;

/// The two variants of iptables.
pub(crate) const KINDS: [&str; 2] = ["nft", "legacy"];

/// The filter table of one family.
#[derive(Debug)]
pub(crate) struct Table {
    /// The address family.
    pub(crate) family: Family,
    /// One line per chain and rule as `iptables -S` prints it, or the error of the listing.
    pub(crate) lines: Result<Vec<String>>,
}

/// Lists the tables that the iptables and ipset backends change.
pub(crate) fn tables() -> Vec<Table> {
    let lines = |family| Tool::find(family)?.list();
    host_families().map(|family| Table { family, lines: lines(family) }).collect()
}

/// The number of rules in FORWARD for each installed iptables variant.
pub(crate) fn rules_of_forward(family: Family) -> Result<Vec<(&'static str, usize)>> {
    let Ok(tool) = Tool::find(family) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for kind in KINDS {
        if let Some(lines) = tool.saved(kind)? {
            let rules = lines.iter().filter(|line| line.starts_with("-A FORWARD "));
            found.push((kind, rules.count()));
        }
    }
    Ok(found)
}

/// Fails with the reason why this host cannot use `backend`, as far as reading can tell.
pub(crate) fn can_do(backend: BackendName, tables: &[Table]) -> Result<()> {
    let iptables = || {
        let broken = tables.iter().find_map(|table| table.lines.as_ref().err());
        broken.map_or(Ok(()), |error| Err(failed(error.to_string())))
    };
    match backend {
        BackendName::None => Ok(()),
        BackendName::Iptables => iptables(),
        BackendName::Ipset => iptables().and_then(|()| ipset::is_in_kernel()),
        BackendName::Nftables => nftables::is_in_kernel(),
    }
}

/// Whether the rules of an iptables table isolate the containers of `bridges`.
pub(crate) fn isolates(table: &[String], bridges: &[BridgeName]) -> bool {
    common_chain::isolates(table, bridges)
}

/// Whether the rules of our nftables table isolate the containers of `bridges`.
pub(crate) fn nftables_isolates(bridges: &[BridgeName]) -> Result<bool> {
    nftables::isolates(bridges)
}

/// The rules of FORWARD before the jump to our chain, or `None` without such a jump.
pub(crate) fn in_front(table: &[String]) -> Option<Vec<&str>> {
    let jump = format!("-A FORWARD -j {BASE}");
    let mut forward = table.iter().filter(|line| line.starts_with("-A FORWARD "));
    let rules: Vec<&str> =
        forward.by_ref().map(String::as_str).take_while(|line| *line != jump).collect();
    table.contains(&jump).then_some(rules)
}

/// Whether FORWARD jumps to the administrator's chain of Docker.
pub(crate) fn has_docker_user(table: &[String]) -> bool {
    table.iter().any(|line| line.strip_prefix("-A FORWARD -j ") == Some(DOCKER_USER))
}

/// The number of rules in the administrator's chain of ours.
pub(crate) fn rules_of_user(table: &[String]) -> usize {
    table.iter().filter(|line| line.starts_with("-A OCI-LINK-USER ")).count()
}

/// Whether our chain exists.
pub(crate) fn has_chain(table: &[String]) -> bool {
    table.iter().any(|line| line.strip_prefix("-N ") == Some(BASE))
}

/// Finds rules that accept all traffic between the containers of a subnet or bridge.
///
/// Searches `in_front`, the rules before our chain, and the chains that these jump to.
pub(crate) fn wide_accepts<'a>(table: &'a [String], in_front: &[&'a str]) -> Vec<&'a str> {
    let (mut open, mut seen) = (in_front.to_vec(), Vec::new());
    let mut found = Vec::new();
    while let Some(rule) = open.pop() {
        let Some(target) = target(rule) else { continue };
        if target == "ACCEPT" {
            found.extend(is_wide(rule).then_some(rule));
        } else if !seen.contains(&target) {
            seen.push(target);
            let start = format!("-A {target} ");
            open.extend(table.iter().filter(|line| line.starts_with(&start)).map(String::as_str));
        }
    }
    found.reverse();
    found
}

/// The target of a rule: the word after `-j` or `-g`.
fn target(rule: &str) -> Option<&str> {
    let mut words = rule.split(' ');
    words.find(|word| *word == "-j" || *word == "-g")?;
    words.next()
}

/// Whether an accepting rule is unrestricted: it has no protocol or port, connection state, single
/// address, set, mark or negation.
fn is_wide(rule: &str) -> bool {
    let words: Vec<&str> = rule.split(' ').collect();
    let narrow = |word: &&str| {
        let one_address = word.ends_with("/32") || word.ends_with("/128");
        let asks = ["!", "-p", "--ctstate", "--state", "--match-set", "--mark", "--ctmark"];
        one_address || asks.contains(word)
    };
    !words.iter().any(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn rules_in_front_of_the_jump() {
        let table = lines("-N OCI-LINK\n-A FORWARD -i a -j DROP\n-A FORWARD -j OCI-LINK\n");
        assert_eq!(in_front(&table), Some(vec!["-A FORWARD -i a -j DROP"]));
        assert_eq!(in_front(&lines("-A FORWARD -j OCI-LINK\n-A FORWARD -j X")), Some(vec![]));
        assert_eq!(in_front(&lines("-N OCI-LINK\n-A FORWARD -j OCI-LINK-X")), None);
    }

    /// Rules as netavark 1.4 creates them, a rule for a Docker bridge, and one that opens a port.
    #[test]
    fn a_subnet_that_is_accepted_is_found_through_chains() {
        let table = lines(
            "-A FORWARD -m comment --comment \"netavark firewall plugin rules\" -j NETAVARK_FORWARD
             -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
             -A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
             -A FORWARD -j OCI-LINK
             -A FORWARD -j LATE
             -A LATE -j ACCEPT
             -A NETAVARK_FORWARD -d 10.88.0.0/16 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
             -A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT",
        );
        let front = in_front(&table).unwrap();
        assert_eq!(wide_accepts(&table, &front), ["-A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT"]);
        let circle = lines("-A FORWARD -j A\n-A FORWARD -j OCI-LINK\n-A A -j B\n-A B -j A");
        assert!(wide_accepts(&circle, &in_front(&circle).unwrap()).is_empty());
    }
}
