//! The part of the table that all owners share: its sets, its chain and the rules of the chain.

use super::complaint;
use super::crossing;
use super::dormant::switch_on;
use super::expression::Rule;
pub(crate) use super::found::is_absent;
use super::found::{CHAIN, Found, PRIORITY, State, rules_of};
use super::messages::{RANGES, TABLE, Transaction, USER, about_table, message_type, write_comment};
use super::outside;
use super::owner::refused;
use super::rules::rules;
use super::separation::{self, all_rules, count_all};
use super::sets::{FREE_EVERY, HOST_BYTE_ORDER, NftSet};
use crate::error::{Cause, Result};
use crate::firewall::failed;
use crate::firewall::strays::Strays;
use crate::firewall::walls::Walls;
use crate::model::{BridgeName, Family};
use crate::sys::net::netlink::message::{Batch, Body};
use crate::sys::net::netlink::uapi::{
    NF_INET_FORWARD, NFPROTO_INET, NFPROTO_UNSPEC, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE,
    NFT_MSG_DELSET, NFT_MSG_DELTABLE, NFT_MSG_GETGEN, NFT_MSG_GETSET, NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWTABLE, NFT_SET_TIMEOUT, NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY,
    NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_HANDLE, NFTA_RULE_USERDATA, NFTA_SET_FLAGS,
    NFTA_SET_GC_INTERVAL, NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME,
    NFTA_SET_USERDATA, NFTA_TABLE_FLAGS, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::NF_ACCEPT;

/// Numbers of the data types that `nft` uses (`enum datatypes`). The kernel only stores them.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const INET_PROTO: u32 = 12;
const INET_SERVICE: u32 = 13;
const INTERFACE: u32 = 41;
/// The length in bytes that an interface name adds to a key.
const NAME_LENGTH: u32 = 16;

/// Creates what is missing, in one transaction, and removes `strays`. A table that was switched off (`flags
/// dormant`) is switched on.
///
/// Other rules that other programs added to the chain stay. If our rules are not exactly those for
/// `walls`, in order, all of ours are deleted and created again.
pub(crate) fn make(link: &mut Netlink, walls: &Walls, strays: Strays) -> Result<()> {
    switch_on(link, NFPROTO_INET)?;
    let Found { ours: mut there, mut strays } = Found::read(link, strays)?;
    let walls = &with_found(walls, &there);
    let (wanted, older) = (all_rules(walls), older_sets(link)?);
    let mut transaction = Transaction::default();
    transaction.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, |body| {
        body.number(NFTA_TABLE_FLAGS, 0);
    });
    if State::read(link)?.is_misplaced() {
        log::warn!("table inet {TABLE}: the chain {CHAIN} has another hook: it is made again");
        remove_chain(&mut transaction, CHAIN);
        there.clear();
        strays.retain(|(chain, _)| *chain != CHAIN);
    }
    for (chain, handle) in &strays {
        log::warn!("table inet {TABLE}: a rule that is not of oci-link is in {chain}: removed");
        transaction.message(NFT_MSG_DELRULE, 0, |body| {
            body.text(NFTA_RULE_CHAIN, chain).bytes(NFTA_RULE_HANDLE, handle);
        });
    }
    let between: &[NftSet] = if walls.crosses { &NftSet::BETWEEN_HOSTS } else { &[] };
    let sets = NftSet::ALL.iter().chain(between).filter(|set| !older.contains(set));
    for (number, set) in (2..).zip(sets) {
        transaction.message(NFT_MSG_NEWSET, NLM_F_CREATE, |body| describe(*set, number, body));
    }
    if walls.crosses {
        transaction.message(NFT_MSG_NEWSET, NLM_F_CREATE, |body| {
            body.text(NFTA_SET_NAME, crossing::BRIDGES).number(NFTA_SET_KEY_TYPE, INTERFACE);
            body.number(NFTA_SET_KEY_LEN, NAME_LENGTH).number(NFTA_SET_ID, 1);
            body.bytes(NFTA_SET_USERDATA, &HOST_BYTE_ORDER);
        });
    }
    for chain in [USER, RANGES] {
        transaction.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |body| {
            body.text(NFTA_CHAIN_NAME, chain);
        });
    }
    transaction.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |body| {
        body.text(NFTA_CHAIN_NAME, CHAIN).nest(NFTA_CHAIN_HOOK, |hook| {
            hook.number(NFTA_HOOK_HOOKNUM, NF_INET_FORWARD);
            hook.bytes(NFTA_HOOK_PRIORITY, &PRIORITY.to_be_bytes());
        });
        body.text(NFTA_CHAIN_TYPE, "filter").number(NFTA_CHAIN_POLICY, NF_ACCEPT.unsigned_abs());
    });
    if !there.iter().map(|(_, name)| name).eq(wanted.iter().map(|rule| &rule.comment)) {
        for (handle, _) in &there {
            transaction.message(NFT_MSG_DELRULE, 0, |body| {
                body.text(NFTA_RULE_CHAIN, CHAIN).bytes(NFTA_RULE_HANDLE, handle);
            });
        }
        for rule in &wanted {
            add_rule(&mut transaction, rule);
        }
    }
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(refused(link, refusal)))
}

/// Deletes the table, and returns whether there was anything to delete. If the administrator's chain has rules, it
/// and the table stay.
pub(crate) fn delete(link: &mut Netlink) -> Result<bool> {
    let mut transaction = Transaction::default();
    if has_rules(link, USER)? {
        // The rules of the first chain refer to the second one and to the sets.
        for chain in [CHAIN, RANGES] {
            remove_chain(&mut transaction, chain);
        }
        let sets = NftSet::ALL.into_iter().map(NftSet::name);
        for name in sets.chain(crossing::sets_there(link)?) {
            transaction.message(NFT_MSG_DELSET, 0, |body| {
                body.text(NFTA_SET_NAME, name);
            });
        }
    } else {
        transaction.message(NFT_MSG_DELTABLE, 0, |_| ());
    }
    match transaction.commit(link)? {
        Some(refusal) if !is_absent(refusal) => Err(refused(link, refusal)),
        refusal => Ok(refusal.is_none()),
    }
}

/// Deletes a chain and its rules. Those of other chains must not lead to it.
fn remove_chain(transaction: &mut Transaction, chain: &str) {
    transaction.message(NFT_MSG_DELRULE, 0, |body| {
        body.text(NFTA_RULE_CHAIN, chain);
    });
    transaction.message(NFT_MSG_DELCHAIN, 0, |body| {
        body.text(NFTA_CHAIN_NAME, chain);
    });
}

/// Writes name, key type and key length of a set. `number` is its id within the transaction.
fn describe(set: NftSet, number: u32, body: &mut Body<'_>) {
    let (key_type, length) = key_of(set);
    body.text(NFTA_SET_NAME, set.name()).number(NFTA_SET_FLAGS, NFT_SET_TIMEOUT);
    body.number(NFTA_SET_GC_INTERVAL, FREE_EVERY);
    body.number(NFTA_SET_KEY_TYPE, key_type)
        .number(NFTA_SET_KEY_LEN, length)
        .number(NFTA_SET_ID, number);
}

/// The type and the length in bytes of the keys of a set.
fn key_of(set: NftSet) -> (u32, u32) {
    let (address, length) = match set.family {
        Family::V4 => (IPV4_ADDR, 16),
        Family::V6 => (IPV6_ADDR, 40),
    };
    let parts = [address, address, INET_PROTO, INET_SERVICE];
    let (first, length) = if set.bridged { (INTERFACE, length + NAME_LENGTH) } else { (0, length) };
    (parts.iter().fold(first, |all, part| all << 6 | part), length)
}

/// The sets that an older version made, without timeouts. They stay as they are, because the kernel refuses
/// another description of a set.
fn older_sets(link: &mut Netlink) -> Result<Vec<NftSet>> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETSET, NLM_F_DUMP, |_| ());
    let mut all = Vec::new();
    let answer = link.ask(&batch, |message| {
        let there = message.attributes();
        let number = |attribute| there.number(attribute);
        let key = number(NFTA_SET_KEY_TYPE).zip(number(NFTA_SET_KEY_LEN));
        let named = |set: &NftSet| there.text(NFTA_SET_NAME) == Some(set.name());
        let is_older = |set: &NftSet| key == Some(key_of(*set));
        let has_flags = number(NFTA_SET_FLAGS).unwrap_or(0) != 0;
        all.extend(NftSet::ALL.into_iter().find(|set| named(set) && is_older(set) && !has_flags));
    })?;
    match answer {
        Err(refusal) if !is_absent(refusal) => Err(complaint(refusal)),
        _ => Ok(all),
    }
}

/// Whether packets reach all rules that use the sets. Isolation is not checked.
pub(crate) fn is_intact(link: &mut Netlink) -> Result<bool> {
    if !State::read(link)?.is_reached() {
        return Ok(false);
    }
    let there = Found::read(link, Strays::Total)?.ours;
    let has = |rule: &Rule| there.iter().any(|(_, comment)| *comment == rule.comment);
    Ok(rules(&[]).iter().all(has))
}

/// Whether our rules in the chain are exactly those for `bridges`, besides those for single containers, and packets
/// reach them.
pub(crate) fn separates(link: &mut Netlink, bridges: &[BridgeName]) -> Result<bool> {
    if !State::read(link)?.is_reached() {
        return Ok(false);
    }
    let there = Found::read(link, Strays::Total)?.ours;
    let is_gate = |name: &str| {
        let is_gate = |name: &str| name.starts_with(separation::PREFIX);
        name.strip_prefix(Rule::MARK).is_some_and(is_gate)
            || crossing::is_rule(name)
            || outside::is_rule(name)
    };
    let wanted = rules(bridges);
    let there = there.iter().map(|(_, name)| name).filter(|name| !is_gate(name));
    Ok(there.eq(wanted.iter().map(|rule| &rule.comment)))
}

/// Whether packets reach our rules, which are exactly those for `walls`, and there are no `strays`.
pub(crate) fn is_whole(link: &mut Netlink, walls: &Walls, strays: Strays) -> Result<bool> {
    Ok(State::read(link)?.is_reached() && has_all_rules(link, walls, strays)?)
}

fn has_all_rules(link: &mut Netlink, walls: &Walls, strays: Strays) -> Result<bool> {
    let Found { ours, strays } = Found::read(link, strays)?;
    let wanted = all_rules(&with_found(walls, &ours));
    let same = ours.iter().map(|(_, name)| name).eq(wanted.iter().map(|rule| &rule.comment));
    Ok(same && strays.is_empty())
}

/// The walls with what the rules `there` are for besides, which another state directory may have made: gates, and flows
/// between hosts.
fn with_found(walls: &Walls, there: &[(Vec<u8>, String)]) -> Walls {
    let gates: Vec<BridgeName> =
        there.iter().filter_map(|(_, comment)| separation::gate_of(comment)).collect();
    let mut walls = walls.clone().with_gates(&gates);
    walls.crosses |= there.iter().any(|(_, comment)| crossing::is_rule(comment));
    walls
}

/// Removes all rules that isolate. Links stay.
pub(crate) fn release(link: &mut Netlink) -> Result<()> {
    let known = rules(&[]);
    let is_known = |comment: &str| {
        known.iter().any(|rule| rule.comment == comment) || crossing::is_rule(comment)
    };
    let mut transaction = Transaction::default();
    let there = Found::read(link, Strays::Total)?.ours;
    for (handle, _) in there.iter().filter(|(_, comment)| !is_known(comment)) {
        transaction.message(NFT_MSG_DELRULE, 0, |body| {
            body.text(NFTA_RULE_CHAIN, CHAIN).bytes(NFTA_RULE_HANDLE, handle);
        });
    }
    transaction.commit(link)?.map_or(Ok(()), |refusal| Err(refused(link, refusal)))
}

/// Whether our rules seem complete: a faster check than [`is_whole`], for a container start.
///
/// Compares the number of rules, which takes an eighth of the time of reading them. The rules are
/// read only if the number differs, as it does if another program added rules to the chain.
pub(crate) fn seems_whole(link: &mut Netlink, walls: &Walls) -> Result<bool> {
    let state = State::read(link)?;
    let as_many = state.uses == Some(count_all(walls));
    Ok(state.is_reached() && (as_many || has_all_rules(link, walls, Strays::Total)?))
}

/// Fails if the kernel does not support `nf_tables`.
pub(crate) fn is_in_kernel() -> Result<()> {
    let answer = generation(&mut Netlink::netfilter()?)?;
    answer.map_err(|refusal| {
        let error = failed(format!("nf_tables: not in the kernel ({})", refusal.errno().desc()));
        if is_absent(refusal) { error.because(Cause::NotSupported) } else { error }
    })
}

/// Requests the generation of the rule set, the shortest request that only `nf_tables` answers.
pub(crate) fn generation(link: &mut Netlink) -> Result<std::result::Result<(), NetlinkError>> {
    let mut batch = Batch::default();
    batch.message(message_type(NFT_MSG_GETGEN), 0, NFPROTO_UNSPEC, |_| ());
    link.ask(&batch.with_receipt(), |_| ())
}

fn add_rule(transaction: &mut Transaction, rule: &Rule) {
    transaction.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
        body.text(NFTA_RULE_CHAIN, CHAIN).nest(NFTA_RULE_EXPRESSIONS, |list| rule.write(list));
        write_comment(body, NFTA_RULE_USERDATA, &rule.comment);
    });
}

/// Whether a chain of the table has a rule. A missing chain has none.
fn has_rules(link: &mut Netlink, chain: &str) -> Result<bool> {
    let mut found = false;
    rules_of(link, chain, |_| found = true)?;
    Ok(found)
}
