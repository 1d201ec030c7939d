//! Flows between hosts: sets whose elements end by themselves, and the rules that match them.
//!
//! ```text
//! set leaves4 { type ifname . ipv4_addr . ipv4_addr . inet_proto . inet_service; flags timeout }
//! set enters4 { the same }
//! set leaves6, set enters6 { … }
//! set bridges { type ifname }          bridges by which no packet of another host comes in
//!
//! iifname . R . S . tcp . N in leaves4, oifname . R . S . tcp . N not: accept
//! oifname . R . S . tcp . N in enters4, iifname not in bridges: accept
//! and both for replies of established connections
//! ```
//!
//! They are made with the first flow between hosts. A host without such flows has none of them.

use super::complaint;
use super::expression::{Expression, Rule};
use super::found::is_absent;
use super::messages::{Transaction, about_table, elements, interface, interface_name};
use super::owner;
use super::reading::existing;
use super::rules::{NAME_WORDS, is_established, is_of, load};
use super::sets::NftSet;
use crate::error::Result;
use crate::firewall::across::{closed_bridges, crossing, each_port, needed};
use crate::firewall::elements::{Element, owned};
use crate::model::{BridgeName, Crossing, Family, Flow, OwnerTag};
use crate::sys::net::netlink::message::{Batch, Body};
use crate::sys::net::netlink::uapi::{
    NFT_META_IIFNAME, NFT_META_OIFNAME, NFT_MSG_DELSETELEM, NFT_MSG_GETSET, NFT_MSG_GETSETELEM,
    NFT_MSG_NEWSETELEM, NFT_REG32_00, NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET, NFTA_SET_NAME, NLM_F_CREATE, NLM_F_DUMP,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::{EEXIST, ENOENT, NF_ACCEPT};
use std::collections::HashSet;
use std::time::Duration;

/// The set of bridges by which no packet of another host comes in.
pub(super) const BRIDGES: &str = "bridges";
/// What the names of these rules begin with.
const PREFIX: &str = "between hosts, ";
/// The number of rules that [`rules`] returns.
pub(super) const COUNT: usize = 8;
/// How often a renewal is tried. An element can end between the reading and the change.
const ATTEMPTS: usize = 4;

/// The rules for flows between hosts.
pub(super) fn rules() -> Vec<Rule> {
    let mut all = Vec::new();
    for (family, name) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
        for crossing in Crossing::BETWEEN_HOSTS {
            let set = NftSet::across(family, crossing);
            let way = crossing.as_str();
            all.push(Rule::new(&format!("{PREFIX}{name} {way}, there"), passes(set, false)));
            all.push(Rule::new(&format!("{PREFIX}{name} {way}, back"), passes(set, true)));
        }
    }
    all
}

/// Whether a rule with this comment is one of [`rules`].
pub(super) fn is_rule(comment: &str) -> bool {
    comment.strip_prefix(Rule::MARK).is_some_and(|name| name.starts_with(PREFIX))
}

/// Accepts packets of a flow in the set; `back` selects replies. The key has the interface of the end on this host:
/// packets of a flow that leaves come in by it, and those of a flow that enters go out by it.
fn passes(set: NftSet, back: bool) -> Vec<Expression> {
    let (near, far) = if (set.crossing == Crossing::Leaves) == back {
        (NFT_META_OIFNAME, NFT_META_IIFNAME)
    } else {
        (NFT_META_IIFNAME, NFT_META_OIFNAME)
    };
    let mut rule = is_of(set.family).to_vec();
    rule.push(Expression::Meta { key: near, to: NFT_REG32_00 });
    rule.extend(load(set.family, back, NFT_REG32_00 + NAME_WORDS));
    rule.push(Expression::Lookup { set: set.name(), register: NFT_REG32_00 });
    rule.push(Expression::Meta { key: far, to: NFT_REG32_00 });
    let others = if set.crossing == Crossing::Leaves { set.name() } else { BRIDGES };
    rule.push(Expression::LookupMissing { set: others, register: NFT_REG32_00 });
    if back {
        rule.extend(is_established());
    }
    rule.push(Expression::Verdict(NF_ACCEPT));
    rule
}

/// The names of our sets for flows between hosts that exist.
pub(super) fn sets_there(link: &mut Netlink) -> Result<Vec<&'static str>> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETSET, NLM_F_DUMP, |_| ());
    let mut all = Vec::new();
    let ours = || NftSet::BETWEEN_HOSTS.into_iter().map(NftSet::name).chain([BRIDGES]);
    let answer = link.ask(&batch, |message| {
        let there = message.attributes();
        let name = there.text(NFTA_SET_NAME);
        all.extend(ours().find(|own| Some(*own) == name));
    })?;
    match answer {
        Err(refusal) if !is_absent(refusal) => Err(complaint(refusal)),
        _ => Ok(all),
    }
}

/// Makes the set of closed bridges what `flows` need. Does nothing if none of them comes in from another host.
pub(super) fn close_bridges(link: &mut Netlink, flows: &[Flow]) -> Result<()> {
    let Some(wanted) = closed_bridges(flows)? else { return Ok(()) };
    let there = listed_bridges(link)?;
    let mut transaction = Transaction::default();
    let (new, old) = (wanted.difference(&there), there.difference(&wanted));
    change_bridges(&mut transaction, NFT_MSG_NEWSETELEM, NLM_F_CREATE, new);
    change_bridges(&mut transaction, NFT_MSG_DELSETELEM, 0, old);
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(owner::refused(link, refusal)))
}

fn listed_bridges(link: &mut Netlink) -> Result<HashSet<BridgeName>> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETSETELEM, NLM_F_DUMP, |body| {
        body.text(NFTA_SET_ELEM_LIST_SET, BRIDGES);
    });
    let mut all = HashSet::new();
    let answer = link.ask(&batch, |message| {
        all.extend(elements(&message.attributes()).filter_map(|item| {
            interface_name(item.inside(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE)?)
        }));
    })?;
    answer.map(|()| all).map_err(complaint)
}

fn change_bridges<'a>(
    transaction: &mut Transaction,
    command: u16,
    flags: u16,
    bridges: impl Iterator<Item = &'a BridgeName>,
) {
    for bridge in bridges {
        transaction.message(command, flags, |body: &mut Body<'_>| {
            body.text(NFTA_SET_ELEM_LIST_SET, BRIDGES);
            body.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                list.nest(NFTA_LIST_ELEM, |item| {
                    item.nest(NFTA_SET_ELEM_KEY, |inside| {
                        inside.bytes(NFTA_DATA_VALUE, &interface(bridge));
                    });
                });
            });
        });
    }
}

/// The flows that are elements of the sets: those to single ports, and each port of those between hosts.
pub(super) fn singles(flows: &[Flow]) -> Vec<Flow> {
    let mut all: Vec<Flow> =
        flows.iter().filter(|flow| flow.ports.is_single() && !flow.crosses()).copied().collect();
    let mut known = HashSet::new();
    let between = flows.iter().filter(|flow| flow.crosses()).flat_map(each_port);
    all.extend(between.filter(|flow| known.insert(*flow)));
    all
}

/// The elements with the time that those between hosts last.
pub(super) fn dated(
    mut elements: Vec<Element<Flow>>,
    lifetime: Option<Duration>,
) -> Result<Vec<Element<Flow>>> {
    for element in elements.iter_mut().filter(|element| element.key.crosses()) {
        element.left = Some(needed(lifetime)?);
    }
    Ok(elements)
}

/// Lets the owner's elements for those of `flows` that are between hosts last for `lifetime` from now. Each is
/// deleted and added in one transaction: the kernel does not change a timeout of the same length.
pub(super) fn renew(
    link: &mut Netlink,
    tag: &OwnerTag,
    flows: &[Flow],
    lifetime: Duration,
) -> Result<()> {
    let wanted: Vec<_> =
        singles(&crossing(flows)).into_iter().map(|flow| owned(flow, tag)).collect();
    let mut refused = None;
    for _ in 0..ATTEMPTS {
        let there = existing(link, &wanted)?;
        let mut renewed = wanted.clone();
        for element in &mut renewed {
            element.left = Some(lifetime);
            if let Some(before) = there.iter().find(|it| it.key == element.key) {
                element.comment = with_owner(before, tag);
            }
        }
        let mut transaction = Transaction::default();
        transaction.delete_elements(&there);
        transaction.add_elements(&renewed);
        match transaction.commit(link)? {
            None => return Ok(()),
            Some(refusal) if [ENOENT, EEXIST].contains(&refusal.code) => refused = Some(refusal),
            Some(refusal) => return Err(owner::refused(link, refusal)),
        }
    }
    let refusal: Option<NetlinkError> = refused;
    refusal.map_or(Ok(()), |refusal| Err(owner::refused(link, refusal)))
}

fn with_owner(element: &Element<Flow>, tag: &OwnerTag) -> String {
    let joined = || format!("{} {tag}", element.comment);
    if element.belongs_to(tag) { element.comment.clone() } else { joined().trim_start().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_have_names_of_their_own_and_are_counted() {
        let rules = rules();
        assert_eq!(rules.len(), COUNT);
        let names: HashSet<&String> = rules.iter().map(|rule| &rule.comment).collect();
        assert_eq!(names.len(), COUNT);
        assert!(names.iter().all(|name| is_rule(name)) && !is_rule("oci-link: IPv4, there"));
    }

    #[test]
    fn an_owner_is_named_once() {
        let tag = OwnerTag::parse("aaaaaaaaaaaaaaaa").unwrap();
        let [from, to] = ["10.0.0.2", "10.0.0.3"].map(|ip| ip.parse().unwrap());
        let flow = Flow { from, to, ports: crate::model::sample::port("80"), bridge: None };
        let named = |comment: &str| with_owner(&Element::new(flow, comment.to_owned()), &tag);
        assert_eq!(named("bbbbbbbbbbbbbbbb"), "bbbbbbbbbbbbbbbb aaaaaaaaaaaaaaaa");
        assert_eq!((named(""), named(tag.as_str())), (tag.to_string(), tag.to_string()));
    }
}
