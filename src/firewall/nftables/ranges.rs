//! Ranges of ports. Each is a pair of rules with the owner tag as comment, in a chain of their own.
//!
//! ```text
//! chain ranges {
//!     iifname "br0" oifname "br0" ip saddr R ip daddr S udp dport 7000-7010 accept
//!     iifname "br0" oifname "br0" ip saddr S ip daddr R udp sport 7000-7010
//!         ct state established accept
//! }
//! ```
//!
//! Sets with several fields hold intervals since Linux 5.6 only, and refuse intervals that overlap, which
//! two containers of a pod may need. A packet passes the rules of all ranges, but only if no set has
//! accepted it.

use super::complaint;
use super::expression::Expression;
use super::messages::{
    RANGES, Transaction, about_table, comment, interface_name, octets, parse_address, write_comment,
};
use super::rules::{has_mark, is_between, is_established, is_of, load};
use super::table::is_absent;
use crate::error::Result;
use crate::firewall::bridge::BOUND;
use crate::model::{Family, Flow, OnBridge, OwnerTag, PortRange, Protocol};
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Attributes, Batch, Body};
use crate::sys::net::netlink::uapi::{
    NFT_CMP_EQ, NFT_CMP_GTE, NFT_CMP_LTE, NFT_MSG_DELRULE, NFT_MSG_GETRULE, NFT_MSG_NEWRULE,
    NFT_REG32_00, NFTA_CMP_DATA, NFTA_CMP_OP, NFTA_DATA_VALUE, NFTA_EXPR_DATA, NFTA_EXPR_NAME,
    NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_HANDLE, NFTA_RULE_USERDATA,
    NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP,
};
use nix::libc::{IFNAMSIZ, NF_ACCEPT};
use std::collections::HashSet;

/// One rule of the pair for a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RangeRule {
    flow: Flow,
    /// Whether it is the rule for replies.
    back: bool,
}

/// A rule of the chain, as the kernel has it.
#[derive(Debug)]
pub(super) struct InstalledRange {
    handle: Vec<u8>,
    /// The container that the rule belongs to.
    pub(super) owner: OwnerTag,
    /// `None` if the rule is not as we make it.
    pub(super) rule: Option<RangeRule>,
}

/// Whether a flow is to a range of ports, and needs rules. A rule has no timeout: a flow between hosts has an element
/// for each port.
fn is_range(flow: &Flow) -> bool {
    !flow.ports.is_single() && !flow.crosses()
}

/// Whether one of the flows is to a range of ports.
pub(super) fn has_range(flows: &[Flow]) -> bool {
    flows.iter().any(is_range)
}

/// The rules for the ranges among `flows`, in order. Flows to single ports need none.
pub(super) fn rules(flows: &[Flow]) -> impl Iterator<Item = RangeRule> + '_ {
    let ranges = flows.iter().filter(|flow| is_range(flow));
    ranges.flat_map(|flow| [false, true].map(|back| RangeRule { flow: *flow, back }))
}

/// Lists the rules of all owners. A missing table or chain gives an empty list.
pub(super) fn list(link: &mut Netlink) -> Result<Vec<InstalledRange>> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETRULE, NLM_F_DUMP, |body| {
        body.text(NFTA_RULE_CHAIN, RANGES);
    });
    let mut all = Vec::new();
    let answer = link.ask(&batch, |message| all.extend(installed(&message.attributes())))?;
    match answer {
        Err(refusal) if !is_absent(refusal) => Err(complaint(refusal)),
        _ => Ok(all),
    }
}

/// Adds what changes the rules `there` so that `owner` has exactly those for `flows`.
pub(super) fn change(
    transaction: &mut Transaction,
    there: &[InstalledRange],
    owner: &OwnerTag,
    flows: &[Flow],
) {
    let mut missing: HashSet<RangeRule> = rules(flows).collect();
    for installed in there.iter().filter(|installed| installed.owner == *owner) {
        if installed.rule.is_none_or(|rule| !missing.remove(&rule)) {
            transaction.message(NFT_MSG_DELRULE, 0, |body| {
                body.text(NFTA_RULE_CHAIN, RANGES).bytes(NFTA_RULE_HANDLE, &installed.handle);
            });
        }
    }
    for rule in rules(flows).filter(|rule| missing.remove(rule)) {
        transaction.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
            rule.write(owner, body);
        });
    }
}

impl RangeRule {
    /// The flow, if this is the rule that permits new connections.
    pub(super) fn as_flow(self) -> Option<Flow> {
        (!self.back).then_some(self.flow)
    }

    /// Formats the rule as `nft list chain` prints it.
    pub(super) fn show(self) -> String {
        let Flow { from, to, ports, bridge } = self.flow;
        let place = bridge.map(|OnBridge { name, by_port, .. }| {
            let mark = if by_port { "meta mark & 0x10000000 == 0x10000000 " } else { "" };
            format!("{mark}iifname \"{name}\" oifname \"{name}\" ")
        });
        let place = place.unwrap_or_default();
        let ip = if from.is_ipv4() { "ip" } else { "ip6" };
        let (protocol, first, last) = (ports.protocol(), ports.first(), ports.last());
        let (from, to, port, state) = if self.back {
            (to, from, "sport", "ct state established ")
        } else {
            (from, to, "dport", "")
        };
        format!(
            "{RANGES} {place}{ip} saddr {from} {ip} daddr {to} {protocol} {port} {first}-{last} \
             {state}accept"
        )
    }

    fn write(self, owner: &OwnerTag, body: &mut Body<'_>) {
        body.text(NFTA_RULE_CHAIN, RANGES).nest(NFTA_RULE_EXPRESSIONS, |list| {
            for expression in self.expressions() {
                list.nest(NFTA_LIST_ELEM, |item| expression.write(item));
            }
        });
        write_comment(body, NFTA_RULE_USERDATA, owner.as_str());
    }

    /// In the rule for replies, [`load`] exchanges source and destination of the packet.
    pub(super) fn expressions(self) -> Vec<Expression> {
        let Self { flow: Flow { from, to, ports, bridge }, back } = self;
        let family = Family::of(from);
        let mut all = is_of(family).to_vec();
        if bridge.is_some_and(|on| on.by_port) {
            all.extend(has_mark(BOUND));
        }
        all.extend(bridge.iter().flat_map(|on| is_between(&on.name, &on.name)));
        let words = if family == Family::V4 { 1 } else { 4 };
        let registers = [0, words, 2 * words, 2 * words + 1].map(|word| NFT_REG32_00 + word);
        let (first, last) = (ports.first().to_be_bytes(), ports.last().to_be_bytes());
        let values: [&[(u32, Vec<u8>)]; 4] = [
            &[(NFT_CMP_EQ, octets(from))],
            &[(NFT_CMP_EQ, octets(to))],
            &[(NFT_CMP_EQ, vec![ports.protocol().number()])],
            &[(NFT_CMP_GTE, first.to_vec()), (NFT_CMP_LTE, last.to_vec())],
        ];
        let loads = load(family, back, NFT_REG32_00).into_iter();
        for ((load, register), values) in loads.zip(registers).zip(values) {
            all.push(load);
            all.extend(values.iter().map(|(operator, value)| Expression::Compare {
                register,
                operator: *operator,
                value: value.clone(),
            }));
        }
        if back {
            all.extend(is_established());
        }
        all.push(Expression::Verdict(NF_ACCEPT));
        all
    }

    /// Parses the values that a listed rule compares. `None` if the rule is not as we make it.
    fn of(listed: &Attributes<'_>) -> Option<Self> {
        let steps: Vec<Step<'_>> = listed
            .inside(NFTA_RULE_EXPRESSIONS)
            .map(|(_, item)| Step::listed(&Attributes::new(item)))
            .collect::<Option<_>>()?;
        let values: Vec<&[u8]> = steps.iter().filter_map(|step| Some(step.1?.1)).collect();
        // The family, the mark if the flow is tied to ports, both interfaces if it is bound to a bridge, and
        // the flow.
        let (bridge, values) = match &values[..] {
            [_, [_, _, _, _], bridge, _, rest @ ..] if bridge.len() == IFNAMSIZ => {
                (Some(OnBridge::by_port(interface_name(bridge)?)), rest)
            }
            [_, bridge, _, rest @ ..] if bridge.len() == IFNAMSIZ && rest.len() >= 5 => {
                (Some(OnBridge::from(interface_name(bridge)?)), rest)
            }
            [_, rest @ ..] => (None, rest),
            [] => return None,
        };
        let [from, to, [protocol], first, last, state @ ..] = values else { return None };
        let number = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
        let protocol = Protocol::from_number(*protocol)?;
        let ports = PortRange::new(number(first)?, number(last)?, protocol)?;
        let (from, to) = (parse_address(from)?, parse_address(to)?);
        let rule = Self { flow: Flow { from, to, ports, bridge }, back: !state.is_empty() };
        let ours = rule.expressions();
        ours.iter().map(Step::ours).eq(steps).then_some(rule)
    }
}

/// The type of an expression, and operator and value of a comparison.
#[derive(Debug, PartialEq, Eq)]
struct Step<'a>(&'a str, Option<(u32, &'a [u8])>);

impl<'a> Step<'a> {
    fn listed(item: &Attributes<'a>) -> Option<Self> {
        let (name, data) = (item.text(NFTA_EXPR_NAME)?, item.inside(NFTA_EXPR_DATA));
        let value = || data.inside(NFTA_CMP_DATA).get(NFTA_DATA_VALUE);
        let compared =
            if name == "cmp" { Some((data.number(NFTA_CMP_OP)?, value()?)) } else { None };
        Some(Self(name, compared))
    }

    fn ours(expression: &'a Expression) -> Self {
        let compared = match expression {
            Expression::Compare { operator, value, .. } => Some((*operator, value.as_slice())),
            _ => None,
        };
        Self(expression.name(), compared)
    }
}

fn installed(listed: &Attributes<'_>) -> Option<InstalledRange> {
    // Old kernels list all chains of the table.
    if listed.text(NFTA_RULE_CHAIN) != Some(RANGES) {
        return None;
    }
    let owner = OwnerTag::parse(comment(listed.get(NFTA_RULE_USERDATA)?)?).ok()?;
    let handle = listed.get(NFTA_RULE_HANDLE)?.to_vec();
    Some(InstalledRange { handle, owner, rule: RangeRule::of(listed) })
}

#[cfg(test)]
mod tests;
