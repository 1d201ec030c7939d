//! The chains of one recipient.
//!
//! There is one chain for each bridge that its flows are bound to, one more for those that are tied to its
//! ports, and one for flows without a bridge. Nearly always that is one chain in total.

use crate::firewall::xtables::common_chain::{BASE, LINKS, TIED};
use crate::firewall::xtables::strays::owner_of;
use crate::model::{Flow, OnBridge, OwnerTag, PortRange};
use std::fmt::Write;

/// The chains of one recipient in one address family.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chains(Vec<Chain>);

#[derive(Debug, PartialEq, Eq)]
struct Chain {
    name: String,
    /// The rules that jump to the chain, without `-A`. A listed chain may have none or several.
    jumps: Vec<String>,
    rules: Vec<String>,
}

impl Chains {
    /// The chains that permit `flows`, which are of one family, in the order of the flows.
    pub(crate) fn of<'a>(owner: &OwnerTag, flows: impl Iterator<Item = &'a Flow>) -> Self {
        let mut chains: Vec<(Option<OnBridge>, Chain)> = Vec::new();
        for flow in flows {
            let at = chains.iter().position(|(bridge, _)| *bridge == flow.bridge);
            let at = at.unwrap_or_else(|| {
                let chain = Chain::new(owner, chains.len(), flow.bridge);
                chains.push((flow.bridge, chain));
                chains.len() - 1
            });
            if let Some((_, chain)) = chains.get_mut(at) {
                let pair = pair(&chain.name, flow);
                chain.rules.extend(pair);
            }
        }
        Self(chains.into_iter().map(|(_, chain)| chain).collect())
    }

    /// The recipient's chains in `there`, the output of `iptables -S`.
    ///
    /// Their rules are not read, because a replacement flushes them. A jump with a line break in
    /// its comment is left out: `iptables-restore` cannot name it.
    pub(crate) fn listed(owner: &OwnerTag, there: &[String]) -> Self {
        let names = there.iter().filter_map(|line| line.strip_prefix("-N "));
        let chain = |name: &str| {
            let into = format!(" -j {name}");
            let all = there.iter().filter_map(|line| line.strip_prefix("-A "));
            let jumps = all.filter(|rule| is_in_ours(rule) && rule.ends_with(&into));
            let jumps = jumps.filter(|rule| !rule.contains('\n')).map(ToOwned::to_owned).collect();
            Chain { name: name.to_owned(), jumps, rules: Vec::new() }
        };
        Self(names.filter(|name| is_chain_of(owner, name)).map(chain).collect())
    }

    /// The transaction that replaces `others` by these chains.
    ///
    /// It fails if the existing chains and jumps are not exactly `others`. Jumps are deleted and
    /// appended again even if nothing changes, so that the transaction fails if they were flushed.
    pub(crate) fn instead_of(&self, others: &Self) -> String {
        let has = |chains: &Self, name: &str| chains.0.iter().any(|chain| chain.name == name);
        let mut text = String::new();
        for chain in &others.0 {
            for jump in &chain.jumps {
                let _ = writeln!(text, "-D {jump}");
            }
            let _ = writeln!(text, "-F {}", chain.name);
        }
        for chain in others.0.iter().filter(|chain| !has(self, &chain.name)) {
            let _ = writeln!(text, "-X {}", chain.name);
        }
        for chain in self.0.iter().filter(|chain| !has(others, &chain.name)) {
            let _ = writeln!(text, "-N {}", chain.name);
        }
        for chain in &self.0 {
            for rule in &chain.rules {
                text.extend([rule, "\n"]);
            }
            for jump in &chain.jumps {
                let _ = writeln!(text, "-A {jump}");
            }
        }
        text
    }

    /// The jumps and the rules of all chains, as `iptables -S` prints them.
    pub(crate) fn into_rules(self) -> impl Iterator<Item = String> {
        self.0.into_iter().flat_map(|chain| {
            let jumps = chain.jumps.into_iter().map(|jump| format!("-A {jump}"));
            jumps.chain(chain.rules)
        })
    }
}

impl Chain {
    /// Creates a chain without rules. `number` counts the chains of the recipient.
    ///
    /// A chain name has at most 28 characters. The first chain's name has 25, which leaves room for
    /// a number below 100.
    fn new(owner: &OwnerTag, number: usize, bridge: Option<OnBridge>) -> Self {
        let name = match number {
            0 => format!("{BASE}-{owner}"),
            number => format!("{BASE}-{owner}-{number}"),
        };
        let from = if bridge.is_some_and(|on| on.by_port) { TIED } else { LINKS };
        let place = bridge.map(|OnBridge { name, .. }| format!("-i {name} -o {name} "));
        let jumps = vec![format!("{from} {}-j {name}", place.unwrap_or_default())];
        Self { name, jumps, rules: Vec::new() }
    }
}

/// Whether a rule, without `-A`, is in a chain of the jumps, or in the base chain, where older versions had
/// them.
pub(crate) fn is_in_ours(rule: &str) -> bool {
    [LINKS, TIED, BASE]
        .iter()
        .any(|chain| rule.strip_prefix(chain).is_some_and(|rest| rest.starts_with(' ')))
}

/// Whether a chain of this name belongs to `owner`.
pub(crate) fn is_chain_of(owner: &OwnerTag, name: &str) -> bool {
    owner_of(name).as_ref() == Some(owner)
}

/// The two rules of a flow: new connections to the port, and replies in established ones.
///
/// Docker's second rule also let the source open connections from that port.
fn pair(chain: &str, flow: &Flow) -> [String; 2] {
    let bits = if flow.from.is_ipv4() { 32 } else { 128 };
    let Flow { from, to, ports, bridge: _ } = flow;
    let (proto, ports) = (ports.protocol(), in_words(*ports));
    [
        format!(
            "-A {chain} -s {from}/{bits} -d {to}/{bits} -p {proto} -m {proto} --dport {ports} \
             -j ACCEPT"
        ),
        format!(
            "-A {chain} -s {to}/{bits} -d {from}/{bits} -p {proto} -m {proto} --sport {ports} \
             -m conntrack --ctstate ESTABLISHED -j ACCEPT"
        ),
    ]
}

/// A port, or a range such as `7000:7010`, as `iptables -S` prints it.
fn in_words(ports: PortRange) -> String {
    if ports.is_single() {
        ports.first().to_string()
    } else {
        format!("{}:{}", ports.first(), ports.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BridgeName;
    use crate::model::sample::port;

    const TAG: &str = "aaaaaaaaaaaaaaaa";

    fn flow(number: u16, bridge: &str) -> Flow {
        let ports = port(&number.to_string());
        let bridge = BridgeName::new(bridge).ok().map(OnBridge::from);
        Flow { from: [10, 0, 0, 2].into(), to: [10, 0, 0, 3].into(), ports, bridge }
    }

    fn chains(flows: &[Flow]) -> Chains {
        Chains::of(&OwnerTag::parse(TAG).unwrap(), flows.iter())
    }

    #[test]
    fn one_bridge_is_one_chain_and_several_are_several() {
        let one = chains(&[flow(1, "a"), flow(2, "a")]);
        let text = one.instead_of(&Chains::default());
        assert!(text.starts_with(&format!("-N OCI-LINK-{TAG}\n-A OCI-LINK-{TAG} -s 10.0.0.2/32 ")));
        assert!(text.ends_with(&format!("\n-A OCI-LINKS -i a -o a -j OCI-LINK-{TAG}\n")), "{text}");
        assert_eq!(text.lines().count(), 6);

        let three = chains(&[flow(1, "a"), flow(1, "b"), flow(2, "a"), flow(1, "")]);
        let text = three.instead_of(&one);
        assert!(text.starts_with(&format!(
            "-D OCI-LINKS -i a -o a -j OCI-LINK-{TAG}\n-F OCI-LINK-{TAG}\n\
             -N OCI-LINK-{TAG}-1\n-N OCI-LINK-{TAG}-2\n"
        )));
        assert!(
            text.contains(&format!("\n-A OCI-LINKS -i b -o b -j OCI-LINK-{TAG}-1\n")),
            "{text}"
        );
        assert!(text.ends_with(&format!("\n-A OCI-LINKS -j OCI-LINK-{TAG}-2\n")), "{text}");
    }

    #[test]
    fn ports_of_a_bridge_are_a_chain_of_their_own() {
        let tied = |number| {
            let flow = flow(number, "a");
            Flow { bridge: flow.bridge.map(|on| OnBridge { by_port: true, ..on }), ..flow }
        };
        let text = chains(&[tied(1), flow(2, "a"), tied(3)]).instead_of(&Chains::default());
        let jumps: Vec<&str> =
            text.lines().filter(|line| line.starts_with("-A OCI-LINKS")).collect();
        let expected = [
            format!("-A OCI-LINKS-TIED -i a -o a -j OCI-LINK-{TAG}"),
            format!("-A OCI-LINKS -i a -o a -j OCI-LINK-{TAG}-1"),
        ];
        assert_eq!(jumps, expected);
    }

    #[test]
    fn there_to_the_port_and_back_from_it_in_a_connection() {
        let ports = port("53/udp");
        let [from, to] = ["fd00::2", "fd00::3"].map(|ip| ip.parse().unwrap());
        let text = chains(&[Flow { from, to, ports, bridge: None }]).into_rules();
        let expected = [
            format!("-A OCI-LINKS -j OCI-LINK-{TAG}"),
            format!(
                "-A OCI-LINK-{TAG} -s fd00::2/128 -d fd00::3/128 -p udp -m udp --dport 53 -j ACCEPT"
            ),
            format!(
                "-A OCI-LINK-{TAG} -s fd00::3/128 -d fd00::2/128 -p udp -m udp --sport 53 \
                 -m conntrack --ctstate ESTABLISHED -j ACCEPT"
            ),
        ];
        assert_eq!(text.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_range_is_one_pair_of_rules() {
        let ends = [[10, 0, 0, 2].into(), [10, 0, 0, 3].into()];
        let flow = |ports| Flow { from: ends[0], to: ends[1], ports: port(ports), bridge: None };
        let text = chains(&[flow("16384-32768/udp"), flow("1-65535")]).into_rules();
        let text: Vec<String> = text.skip(1).collect();
        assert_eq!(text.len(), 4);
        assert!(text[0].contains(" -p udp -m udp --dport 16384:32768 -j ACCEPT"), "{text:?}");
        assert!(text[1].contains(" -m udp --sport 16384:32768 -m conntrack "), "{text:?}");
        assert!(text[2].contains(" -m tcp --dport 1:65535 -j ACCEPT"), "{text:?}");
    }

    #[test]
    fn what_is_listed_goes_however_it_is_entered() {
        let owner = OwnerTag::parse(TAG).unwrap();
        let listing = format!(
            "-N OCI-LINK\n-N OCI-LINK-{TAG}\n-N OCI-LINK-{TAG}-1\n-N OCI-LINK-{TAG}-x\n\
             -N OCI-LINK-bbbbbbbbbbbbbbbb\n-A FORWARD -j OCI-LINK\n-A OCI-LINK -j OCI-LINK-{TAG}\n\
             -A OCI-LINKS -i a -o a -j OCI-LINK-{TAG}\n-A OCI-LINK -j OCI-LINK-bbbbbbbbbbbbbbbb\n\
             -A OCI-LINK-{TAG} -s 10.0.0.2/32 -j ACCEPT"
        );
        let there: Vec<String> = listing.lines().map(ToOwned::to_owned).collect();
        let there = Chains::listed(&owner, &there);
        let expected = format!(
            "-D OCI-LINK -j OCI-LINK-{TAG}\n-D OCI-LINKS -i a -o a -j OCI-LINK-{TAG}\n\
             -F OCI-LINK-{TAG}\n-F OCI-LINK-{TAG}-1\n-X OCI-LINK-{TAG}\n-X OCI-LINK-{TAG}-1\n"
        );
        assert_eq!(Chains::default().instead_of(&there), expected);
        assert_eq!(Chains::default().instead_of(&Chains::default()), "");

        let comment =
            format!("-A OCI-LINK -m comment --comment \"\n-F FORWARD\" -j OCI-LINK-{TAG}");
        let broken = Chains::listed(&owner, &[format!("-N OCI-LINK-{TAG}"), comment]);
        let expected = format!("-F OCI-LINK-{TAG}\n-X OCI-LINK-{TAG}\n");
        assert_eq!(Chains::default().instead_of(&broken), expected);
    }
}
