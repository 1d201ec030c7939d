//! Whether our jump is still the first rule of FORWARD.
//!
//! When dockerd or firewalld restart, they insert their own chains at the head of FORWARD. Packets
//! that these drop never reach our chain. So every container start checks the order, with one
//! netlink request instead of a run of iptables. Only `nf_tables` answers it. With iptables-legacy
//! the jump is assumed to be in place.

use super::common_chain::BASE;
use crate::error::Result;
use crate::model::Family;
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Attributes, Batch, family_number};
use crate::sys::net::netlink::uapi::{
    NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFTA_CHAIN_NAME, NFTA_CHAIN_TABLE,
    NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE, NFTA_VERDICT_CHAIN, NLM_F_DUMP, nfnl_type,
};

/// Whether the first rule of FORWARD jumps to our chain; `None` if `nf_tables` has no such chain.
pub(crate) fn is_ours(link: &mut Netlink, family: Family) -> Result<Option<bool>> {
    let number = family_number(family);
    let mut rules = Batch::default();
    rules.message(nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE), NLM_F_DUMP, number, |body| {
        body.text(NFTA_RULE_TABLE, "filter").text(NFTA_RULE_CHAIN, "FORWARD");
    });
    let mut first = None;
    let answer = link.ask(&rules, |message| {
        let rule = message.attributes();
        if first.is_none() && rule.text(NFTA_RULE_CHAIN) == Some("FORWARD") {
            first = Some(jumps_to_us(&rule));
        }
    })?;
    if let (Ok(()), Some(ours)) = (answer, first) {
        return Ok(Some(ours));
    }
    // No rule: the chain was flushed, or it exists in iptables-legacy only.
    Ok(has_chain(link, family, "FORWARD")?.then_some(false))
}

/// Whether the `filter` table of a family in `nf_tables` has the chain `name`.
pub(crate) fn has_chain(link: &mut Netlink, family: Family, name: &str) -> Result<bool> {
    let mut chain = Batch::default();
    chain.message(
        nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN),
        0,
        family_number(family),
        |body| {
            body.text(NFTA_CHAIN_TABLE, "filter").text(NFTA_CHAIN_NAME, name);
        },
    );
    Ok(link.ask(&chain.with_receipt(), |_| ())?.is_ok())
}

pub(crate) fn jumps_to_us(rule: &Attributes<'_>) -> bool {
    rule.inside(NFTA_RULE_EXPRESSIONS).map(|(_, item)| Attributes::new(item)).any(|item| {
        let verdict =
            item.inside(NFTA_EXPR_DATA).inside(NFTA_IMMEDIATE_DATA).inside(NFTA_DATA_VERDICT);
        item.text(NFTA_EXPR_NAME) == Some("immediate")
            && verdict.text(NFTA_VERDICT_CHAIN) == Some(BASE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::net::netlink::message::messages;
    use crate::sys::net::netlink::uapi::NFTA_LIST_ELEM;

    /// A rule with a counter and an expression `name` whose verdict leads to `chain`.
    fn rule(name: &str, chain: &str) -> Batch {
        let mut batch = Batch::default();
        batch.message(0, 0, 0, |body| {
            body.text(NFTA_RULE_CHAIN, "FORWARD").nest(NFTA_RULE_EXPRESSIONS, |list| {
                list.nest(NFTA_LIST_ELEM, |item| {
                    item.text(NFTA_EXPR_NAME, "counter");
                });
                list.nest(NFTA_LIST_ELEM, |item| {
                    item.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, |data| {
                        data.nest(NFTA_IMMEDIATE_DATA, |value| {
                            value.nest(NFTA_DATA_VERDICT, |verdict| {
                                verdict.text(NFTA_VERDICT_CHAIN, chain);
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
