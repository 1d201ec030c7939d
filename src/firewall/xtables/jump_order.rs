//! Whether FORWARD still begins with our jump.
//!
//! A daemon that starts again (dockerd, firewalld) puts its own chains in front, and what these drop
//! never reaches ours. Every start looks: one question by netlink, where iptables would be a program
//! run of its own. It is `nf_tables` that is asked; with iptables-legacy nobody answers, and the jump
//! is taken to be where it was put.

use super::common_chain::BASE;
use crate::error::Result;
use crate::model::Family;
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Attributes, Batch, DUMP, family_number};

/// Messages of the subsystem `nf_tables` (`linux/netfilter/nf_tables.h`).
const GET_CHAIN: u16 = (10 << 8) + 4;
const GET_RULE: u16 = (10 << 8) + 7;
/// Attribute of a chain, after its table.
const CHAIN_NAME: u16 = 3;
/// Attributes of a rule.
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const EXPRESSIONS: u16 = 4;
/// Attributes of an expression, of its data, and of a verdict in it.
const NAME: u16 = 1;
const DATA: u16 = 2;
const IMMEDIATE_DATA: u16 = 2;
const VERDICT: u16 = 2;
const VERDICT_CHAIN: u16 = 2;

/// Whether the first rule of FORWARD jumps to our chain; none if `nf_tables` has no such chain.
pub(crate) fn is_ours(link: &mut Netlink, family: Family) -> Result<Option<bool>> {
    let number = family_number(family);
    let mut rules = Batch::default();
    rules.message(GET_RULE, DUMP, number, |body| {
        body.text(TABLE, "filter").text(CHAIN, "FORWARD");
    });
    let mut first = None;
    let answer = link.ask(&rules, |message| {
        let rule = message.attributes();
        if first.is_none() && rule.text(CHAIN) == Some("FORWARD") {
            first = Some(jumps_to_us(&rule));
        }
    })?;
    if let (Ok(()), Some(ours)) = (answer, first) {
        return Ok(Some(ours));
    }
    // No rule: somebody flushed the chain, or it is not here but in iptables-legacy.
    Ok(has_chain(link, family, "FORWARD")?.then_some(false))
}

/// Whether the filter table that `nf_tables` has of a family has this chain.
pub(crate) fn has_chain(link: &mut Netlink, family: Family, name: &str) -> Result<bool> {
    let mut chain = Batch::default();
    chain.message(GET_CHAIN, 0, family_number(family), |body| {
        body.text(TABLE, "filter").text(CHAIN_NAME, name);
    });
    Ok(link.ask(&chain.with_receipt(), |_| ())?.is_ok())
}

pub(crate) fn jumps_to_us(rule: &Attributes<'_>) -> bool {
    rule.inside(EXPRESSIONS).map(|(_, item)| Attributes::new(item)).any(|item| {
        let verdict = item.inside(DATA).inside(IMMEDIATE_DATA).inside(VERDICT);
        item.text(NAME) == Some("immediate") && verdict.text(VERDICT_CHAIN) == Some(BASE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::net::netlink::message::messages;

    /// A rule with a counter, and an expression of that name that goes to that chain.
    fn rule(name: &str, chain: &str) -> Batch {
        let mut batch = Batch::default();
        batch.message(0, 0, 0, |body| {
            body.text(CHAIN, "FORWARD").nest(EXPRESSIONS, |list| {
                list.nest(1, |item| {
                    item.text(NAME, "counter");
                });
                list.nest(1, |item| {
                    item.text(NAME, name).nest(DATA, |data| {
                        data.nest(IMMEDIATE_DATA, |value| {
                            value.nest(VERDICT, |verdict| {
                                verdict.text(VERDICT_CHAIN, chain);
                            });
                        });
                    });
                });
            });
        });
        batch
    }

    #[test]
    fn a_jump_to_our_chain_is_ours_and_no_other_rule() {
        let ours = |name: &str, chain: &str| {
            let batch = rule(name, chain);
            messages(batch.bytes()).all(|message| jumps_to_us(&message.attributes()))
        };
        assert!(ours("immediate", BASE));
        assert!(!ours("immediate", "DOCKER-USER") && !ours("immediate", "OCI-LINK-ISOLATE"));
        assert!(!ours("lookup", BASE), "that is data");
    }
}
