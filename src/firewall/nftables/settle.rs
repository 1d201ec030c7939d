//! Changes of the elements of one owner, and of its rules for ranges.

use super::crossing::{dated, singles};
use super::messages::{MAX_COMMENT, Transaction};
use super::reading::{existing, has_all};
use super::{lapse, owner, ranges};
use crate::error::Result;
use crate::firewall::elements::{Changes, Element, owned};
use crate::firewall::{OwnerScope, Removal, failed};
use crate::model::Flow;
use crate::sys::net::netlink::Netlink;
use nix::libc::EEXIST;
use std::collections::HashSet;

/// Adds the flows that the record does not name. Returns whether the kernel's state is as
/// recorded.
///
/// The elements that the record names are read. After a flush, another container of the pod may
/// have created the same element with its own tag.
pub(super) fn add(link: &mut Netlink, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<bool> {
    let known: HashSet<Flow> = singles(rules.before).into_iter().collect();
    let elements = singles(flows).into_iter().map(|flow| owned(flow, rules.owner));
    let (there, new): (Vec<_>, Vec<_>) = elements.partition(|element| known.contains(&element.key));
    if !has_all(link, rules.owner, &there)? {
        return Ok(false);
    }
    let mut transaction = Transaction::default();
    transaction.add_elements(&dated(new, rules.lifetime)?);
    if ranges::has_range(flows) {
        ranges::change(&mut transaction, &ranges::list(link)?, rules.owner, flows);
    }
    match transaction.commit(link)? {
        None => Ok(true),
        Some(refusal) if refusal.code == EEXIST => Ok(false),
        Some(refusal) => Err(owner::refused(link, refusal)),
    }
}

/// Changes the owner's rules to those for `flows`. Elements that neither the record nor `flows` name are
/// not read, so that the time does not grow with the number of links.
pub(super) fn apply(
    link: &mut Netlink,
    rules: OwnerScope<'_>,
    flows: &[Flow],
    removal: Removal,
) -> Result<()> {
    let mut known = HashSet::new();
    let named = singles(rules.before).into_iter().chain(singles(flows));
    let named = named.filter(|flow| known.insert(*flow)).map(|flow| owned(flow, rules.owner));
    let there = existing(link, &named.collect::<Vec<_>>())?;
    let has_ranges = ranges::has_range(rules.before) || ranges::has_range(flows);
    settle(link, &there, rules, flows, has_ranges, removal)
}

/// Changes the elements `there` so that the owner has exactly `flows`, in one transaction. The rules for
/// ranges are left alone if there can be none of the owner's, before or after.
pub(super) fn settle(
    link: &mut Netlink,
    there: &[Element<Flow>],
    rules: OwnerScope<'_>,
    flows: &[Flow],
    has_ranges: bool,
    removal: Removal,
) -> Result<()> {
    let changes = Changes::plan(there, rules.owner, &singles(flows));
    let changes = changes.map_err(|why| failed(format!("nftables: {why}")))?;
    if changes.change.iter().any(|element| element.comment.len() > MAX_COMMENT) {
        return Err(failed(
            "nftables: too many linked containers have the same address".to_owned(),
        ));
    }
    let mut transaction = Transaction::default();
    // The comment of an element cannot be changed, so the element is deleted and created again.
    transaction.delete_elements(&changes.change);
    if removal == Removal::AtOnce {
        transaction.delete_elements(&changes.delete);
    }
    transaction.add_elements(&changes.change);
    transaction.add_elements(&dated(changes.add, rules.lifetime)?);
    if has_ranges {
        ranges::change(&mut transaction, &ranges::list(link)?, rules.owner, flows);
    }
    lapse::commit_added(link, transaction)?;
    if removal == Removal::Soon { lapse::lapse(link, &changes.delete) } else { Ok(()) }
}
