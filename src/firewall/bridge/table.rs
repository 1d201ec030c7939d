//! The messages that make, read, change and delete the bridge table.

use super::extent::Extent;
use super::keys::{Key, PortSetName};
use super::rules::{CHAINS, Chain};
use super::{Difference, complaint};
use crate::error::{Cause, Error, Result};
use crate::firewall::elements::Element;
use crate::firewall::nftables::dormant::{is_switched_off, switch_on};
use crate::firewall::nftables::expression::Rule;
use crate::firewall::nftables::is_absent;
use crate::firewall::nftables::messages::{
    TABLE, Transaction, about_table_of, comment, elements, message_type, standing_comment,
    write_comment,
};
use crate::firewall::nftables::sets::{FREE_EVERY, HOST_BYTE_ORDER, write_lapse};
use crate::sys::net::netlink::message::{Attributes, Batch, Body};
use crate::sys::net::netlink::uapi::{
    NFPROTO_BRIDGE, NFT_MSG_DELRULE, NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE, NFT_MSG_GETCHAIN,
    NFT_MSG_GETRULE, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
    NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE, NFT_SET_TIMEOUT, NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_CHAIN_USE, NFTA_DATA_VALUE,
    NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_TABLE, NFTA_RULE_USERDATA, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_USERDATA, NFTA_SET_FLAGS, NFTA_SET_GC_INTERVAL,
    NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME, NFTA_SET_USERDATA,
    NFTA_TABLE_FLAGS, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::NF_ACCEPT;

/// Runs before `br_netfilter` hands a bridged packet to the chains of IPv4 and IPv6.
const PRIORITY: i32 = -10;
/// The policy of our chains.
const ACCEPT: u32 = NF_ACCEPT.unsigned_abs();
/// Elements per request. The kernel uses up to one page for each answer.
const ANSWERS: usize = 32;

/// Creates what is missing, in one transaction. A chain without exactly our rules gets them again. A table that was
/// switched off (`flags dormant`) is switched on. Rules that this extent does not need stay.
///
/// The cause of an error is a lack if the kernel has no `nf_tables` for bridges.
pub(super) fn make(link: &mut Netlink, extent: Extent) -> Result<()> {
    switch_on(link, NFPROTO_BRIDGE)?;
    let transaction = creation(link, extent)?;
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(unsupported(refusal)))
}

/// Whether [`make`] would succeed. Changes nothing.
pub(super) fn check(link: &mut Netlink) -> Result<()> {
    let transaction = creation(link, Extent::Isolation)?;
    transaction.check(link)?.map_or(Ok(()), |refusal| Err(unsupported(refusal)))
}

fn creation(link: &mut Netlink, extent: Extent) -> Result<Transaction> {
    let mut transaction = Transaction::of(NFPROTO_BRIDGE);
    transaction.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, |body| {
        body.number(NFTA_TABLE_FLAGS, 0);
    });
    for (number, set) in (1..).zip(PortSetName::ALL) {
        transaction.message(NFT_MSG_NEWSET, NLM_F_CREATE, |body| describe(set, number, body));
    }
    let there = comments(link)?;
    for chain in &CHAINS {
        let is_whole = is_whole(chain, &there, extent);
        if !is_whole && there.iter().any(|(name, _)| name == chain.name) {
            transaction.message(NFT_MSG_DELRULE, 0, |body| {
                body.text(NFTA_RULE_CHAIN, chain.name);
            });
        }
        add_chain(&mut transaction, chain);
        if !is_whole {
            for rule in &(chain.rules)() {
                add_rule(&mut transaction, chain.name, rule);
            }
        }
    }
    Ok(transaction)
}

/// The error for a table that cannot be made.
fn unsupported(refusal: NetlinkError) -> Error {
    let error = complaint(refusal);
    if is_absent(refusal) { error.because(Cause::NotSupported) } else { error }
}

fn add_chain(transaction: &mut Transaction, chain: &Chain) {
    transaction.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |body| {
        body.text(NFTA_CHAIN_NAME, chain.name);
        let Some(number) = chain.hook else { return };
        body.nest(NFTA_CHAIN_HOOK, |hook| {
            hook.number(NFTA_HOOK_HOOKNUM, number);
            hook.bytes(NFTA_HOOK_PRIORITY, &PRIORITY.to_be_bytes());
        });
        body.text(NFTA_CHAIN_TYPE, "filter").number(NFTA_CHAIN_POLICY, ACCEPT);
    });
}

fn add_rule(transaction: &mut Transaction, chain: &str, rule: &Rule) {
    transaction.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
        body.text(NFTA_RULE_CHAIN, chain).nest(NFTA_RULE_EXPRESSIONS, |list| rule.write(list));
        write_comment(body, NFTA_RULE_USERDATA, &rule.comment);
    });
}

/// Writes name, type and key of a set. `number` is its id within the transaction. With the flag an element can
/// be given a timeout when it is to go.
fn describe(set: PortSetName, number: u32, body: &mut Body<'_>) {
    let (kind, length) = set.key();
    body.text(NFTA_SET_NAME, set.name()).number(NFTA_SET_FLAGS, NFT_SET_TIMEOUT);
    body.number(NFTA_SET_KEY_TYPE, kind).number(NFTA_SET_KEY_LEN, length);
    body.number(NFTA_SET_ID, number).number(NFTA_SET_GC_INTERVAL, FREE_EVERY);
    if set.is_of_ports() {
        body.bytes(NFTA_SET_USERDATA, &HOST_BYTE_ORDER);
    }
}

/// Whether packets reach all chains, and these have exactly our rules of this extent or more, in order.
pub(super) fn is_intact(link: &mut Netlink, extent: Extent) -> Result<bool> {
    if !existing(link, &[], extent)?.1 {
        return Ok(false);
    }
    let there = comments(link)?;
    Ok(CHAINS.iter().all(|chain| is_whole(chain, &there, extent)))
}

/// Whether a chain has exactly our rules, in order.
fn is_whole(chain: &Chain, there: &[(String, String)], extent: Extent) -> bool {
    let there = there.iter().filter(|(name, _)| name == chain.name).map(|(_, comment)| comment);
    chain.is_optional(extent) && there.clone().next().is_none()
        || there.eq((chain.rules)().iter().map(|rule| &rule.comment))
}

/// Chain and comment of each rule of the table, in order. A missing table has none.
fn comments(link: &mut Netlink) -> Result<Vec<(String, String)>> {
    let mut batch = Batch::default();
    about(&mut batch, NFT_MSG_GETRULE, NLM_F_DUMP, |_| ());
    let mut all = Vec::new();
    let answer = link.ask(&batch, |message| {
        let rule = message.attributes();
        // Old kernels list all tables.
        if rule.text(NFTA_RULE_TABLE) != Some(TABLE) {
            return;
        }
        if let Some(chain) = rule.text(NFTA_RULE_CHAIN) {
            let comment = rule.get(NFTA_RULE_USERDATA).and_then(comment);
            all.push((chain.to_owned(), comment.unwrap_or_default().to_owned()));
        }
    })?;
    match answer {
        Err(refusal) if !is_absent(refusal) => Err(complaint(refusal)),
        _ => Ok(all),
    }
}

/// Those of these keys that exist, with their owners, and whether packets reach the chains that this extent needs, which
/// have as many rules as ours.
///
/// The time does not depend on the number of other elements.
pub(super) fn existing(
    link: &mut Netlink,
    keys: &[Key],
    extent: Extent,
) -> Result<(Vec<Element<Key>>, bool)> {
    let mut batch = Batch::default();
    about(&mut batch, NFT_MSG_GETTABLE, 0, |_| ());
    for chain in CHAINS.iter().filter(|chain| chain.decides(extent)) {
        about(&mut batch, NFT_MSG_GETCHAIN, 0, |body| {
            body.text(NFTA_CHAIN_NAME, chain.name);
        });
    }
    let (mut found, mut whole, mut refused) = (Vec::new(), 0, Ok(()));
    let mut is_dormant = false;
    let mut rest = keys;
    loop {
        let (some, others) = rest.split_at(rest.len().min(ANSWERS));
        for key in some {
            about(&mut batch, NFT_MSG_GETSETELEM, 0, |body| {
                list_of(body, key.set(), |item| write_key(item, *key));
            });
        }
        link.ask_each(&batch, |answer| {
            let all = answer.attributes();
            if answer.kind == message_type(NFT_MSG_NEWTABLE) {
                is_dormant = is_switched_off(answer);
            } else if answer.kind == message_type(NFT_MSG_NEWCHAIN) {
                whole += usize::from(is_ours(&all, extent));
            } else if answer.kind == message_type(NFT_MSG_NEWSETELEM) {
                found.extend(standing(&all));
            } else if let Some(code) = answer.code().filter(|code| *code != 0) {
                let refusal = NetlinkError { sequence: answer.sequence, code };
                if !is_absent(refusal) {
                    refused = Err(complaint(refusal));
                }
            }
        })?;
        if others.is_empty() {
            break;
        }
        (rest, batch) = (others, Batch::default());
    }
    let all = CHAINS.iter().filter(|chain| chain.decides(extent)).count();
    refused.map(|()| (found, whole == all && !is_dormant))
}

/// Whether a chain has the hook, the policy and the number of rules of ours.
fn is_ours(there: &Attributes<'_>, extent: Extent) -> bool {
    let is_hooked = there.get(NFTA_CHAIN_HOOK).is_some();
    let accepts = !is_hooked || there.number(NFTA_CHAIN_POLICY) == Some(ACCEPT);
    let name = there.text(NFTA_CHAIN_NAME);
    let chain = CHAINS.iter().find(|chain| Some(chain.name) == name);
    accepts
        && chain.is_some_and(|chain| {
            chain.hook.is_some() == is_hooked && chain.has(there.number(NFTA_CHAIN_USE), extent)
        })
}

/// Lists the elements of these sets. A missing table gives an empty list.
pub(super) fn list(link: &mut Netlink, sets: &[PortSetName]) -> Result<Vec<Element<Key>>> {
    let mut all = Vec::new();
    for set in sets {
        let mut batch = Batch::default();
        about(&mut batch, NFT_MSG_GETSETELEM, NLM_F_DUMP, |body| {
            body.text(NFTA_SET_ELEM_LIST_SET, set.name());
        });
        let answer = link.ask(&batch, |message| all.extend(standing(&message.attributes())))?;
        match answer {
            Err(refusal) if !is_absent(refusal) => return Err(complaint(refusal)),
            _ => {}
        }
    }
    Ok(all)
}

/// The elements in one message. Those that are about to lapse count as gone.
fn standing(message: &Attributes<'_>) -> Vec<Element<Key>> {
    let name = message.text(NFTA_SET_ELEM_LIST_SET);
    let set = PortSetName::ALL.into_iter().find(|set| Some(set.name()) == name);
    let Some(set) = set else { return Vec::new() };
    let parse = |item: Attributes<'_>| {
        let key = Key::parse(set, item.inside(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE)?)?;
        Some(Element::new(key, standing_comment(&item)?))
    };
    elements(message).filter_map(parse).collect()
}

/// Deletes elements, which exist, lets others lapse, and adds others, in one transaction. Returns the kernel's
/// refusal.
///
/// An element that gets a timeout of one tick lapses. After a deletion the kernel delays the closing of netlink
/// sockets by 7 to 20 ms.
pub(super) fn change(link: &mut Netlink, difference: &Difference) -> Result<Option<NetlinkError>> {
    let mut transaction = Transaction::of(NFPROTO_BRIDGE);
    for Element { key, .. } in &difference.lapse {
        transaction.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE, |body| {
            list_of(body, key.set(), |item| {
                write_key(item, *key);
                write_lapse(item);
            });
        });
    }
    for Element { key, .. } in &difference.delete {
        transaction.message(NFT_MSG_DELSETELEM, 0, |body| {
            list_of(body, key.set(), |item| write_key(item, *key));
        });
    }
    for Element { key, comment, .. } in &difference.add {
        transaction.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, |body| {
            list_of(body, key.set(), |item| {
                write_key(item, *key);
                write_comment(item, NFTA_SET_ELEM_USERDATA, comment);
            });
        });
    }
    transaction.commit(link)
}

/// Whether a port is isolated.
pub(super) fn isolates(link: &mut Netlink) -> Result<bool> {
    Ok(!list(link, &[PortSetName::PortsIn, PortSetName::PortsOut])?.is_empty())
}

/// Deletes the table, and returns whether there was one.
pub(super) fn delete(link: &mut Netlink) -> Result<bool> {
    let mut transaction = Transaction::of(NFPROTO_BRIDGE);
    transaction.message(NFT_MSG_DELTABLE, 0, |_| ());
    match transaction.commit(link)? {
        Some(refusal) if !is_absent(refusal) => Err(complaint(refusal)),
        refusal => Ok(refusal.is_none()),
    }
}

/// Writes a list with one element of `set`.
fn list_of(body: &mut Body<'_>, set: PortSetName, write: impl FnOnce(&mut Body<'_>)) {
    body.text(NFTA_SET_ELEM_LIST_SET, set.name()).nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        list.nest(NFTA_LIST_ELEM, write);
    });
}

fn write_key(item: &mut Body<'_>, key: Key) {
    item.nest(NFTA_SET_ELEM_KEY, |inside| {
        inside.bytes(NFTA_DATA_VALUE, &key.bytes());
    });
}

/// Adds a message about the table. `write` adds its attributes.
fn about(batch: &mut Batch, command: u16, flags: u16, write: impl FnOnce(&mut Body<'_>)) {
    about_table_of(NFPROTO_BRIDGE, batch, command, flags, write);
}
