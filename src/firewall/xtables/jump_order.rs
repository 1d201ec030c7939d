//! Whether our jump is still where it belongs in FORWARD: right behind the jump to DOCKER-USER, else first.
//!
//! When dockerd or firewalld restart, they insert their own chains at the head of FORWARD. Packets
//! that these drop never reach our chain. So every container start checks the order, with one
//! netlink request instead of a run of iptables. Only `nf_tables` answers it. With iptables-legacy
//! the jump is assumed to be in place.

use super::common_chain::{BASE, DOCKER_USER};
use crate::error::Result;
use crate::model::Family;
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Attributes, Batch, family_number};
use crate::sys::net::netlink::uapi::{
    NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETTABLE, NFT_MSG_NEWCHAIN,
    NFT_TABLE_F_DORMANT, NFTA_CHAIN_NAME, NFTA_CHAIN_TABLE, NFTA_CHAIN_USE, NFTA_DATA_VERDICT,
    NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_TABLE, NFTA_TABLE_FLAGS, NFTA_TABLE_NAME, NFTA_VERDICT_CHAIN, NLM_F_DUMP, nfnl_type,
};

/// Whether the jump to our chain has its place in FORWARD; `None` if `nf_tables` has no such chain.
pub(crate) fn is_ours(link: &mut Netlink, family: Family) -> Result<Option<bool>> {
    let mut order = Order::default();
    let answered = visit_rules(link, family, "FORWARD", |rule| {
        order.add(jumps_to(rule, BASE), jumps_to(rule, DOCKER_USER));
    })?;
    if let (true, Some(ours)) = (answered, order.is_ours()) {
        return Ok(Some(ours));
    }
    // No rule: the chain was flushed, or it exists in iptables-legacy only.
    Ok(has_chain(link, family, "FORWARD")?.then_some(false))
}

/// Whether rules of the chain `from` jump to all these chains, in `nf_tables`.
pub(crate) fn jumps(link: &mut Netlink, family: Family, from: &str, to: &[&str]) -> Result<bool> {
    let mut missing = to.to_vec();
    visit_rules(link, family, from, |rule| missing.retain(|to| !jumps_to(rule, to)))?;
    Ok(missing.is_empty())
}

/// Whether the chains in the table `filter` of `nf_tables` have as many rules, and jumps to them, as this. One
/// request for all of them. `None` if a chain is missing.
pub(crate) fn have_uses(
    link: &mut Netlink,
    wanted: &[(Family, &str, usize)],
) -> Result<Option<bool>> {
    let mut batch = Batch::default();
    for (family, chain, _) in wanted {
        ask_for_chain(&mut batch, *family, chain);
    }
    let mut wanted = wanted.iter();
    let (mut all_there, mut same) = (true, true);
    link.ask_each(&batch, |answer| {
        let uses = answer.attributes().number(NFTA_CHAIN_USE);
        let uses =
            uses.filter(|_| answer.kind == nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWCHAIN));
        all_there &= uses.is_some();
        same &= wanted.next().is_some_and(|(_, _, number)| {
            uses.and_then(|uses| usize::try_from(uses).ok()) == Some(*number)
        });
    })?;
    Ok(all_there.then_some(same))
}

/// Whether the table `filter` of `nf_tables` is switched off (`flags dormant`).
pub(crate) fn is_dormant(link: &mut Netlink, family: Family) -> Result<bool> {
    let mut batch = Batch::default();
    let kind = nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE);
    batch.message(kind, 0, family_number(family), |body| {
        body.text(NFTA_TABLE_NAME, "filter");
    });
    let mut flags = None;
    let answer = link.ask(&batch.with_receipt(), |message| {
        flags = message.attributes().number(NFTA_TABLE_FLAGS);
    })?;
    Ok(answer.is_ok() && flags.is_some_and(|flags| flags & NFT_TABLE_F_DORMANT != 0))
}

/// Whether iptables-legacy has a filter table, of which `nf_tables` knows nothing.
pub(crate) fn is_legacy(family: Family) -> bool {
    let tables = match family {
        Family::V4 => "/proc/net/ip_tables_names",
        Family::V6 => "/proc/net/ip6_tables_names",
    };
    let tables = std::fs::read_to_string(tables);
    tables.is_ok_and(|tables| tables.lines().any(|name| name == "filter"))
}

/// Calls `visit` with each rule of a chain of the table `filter`. Returns whether `nf_tables` answered.
fn visit_rules(
    link: &mut Netlink,
    family: Family,
    chain: &str,
    mut visit: impl FnMut(&Attributes<'_>),
) -> Result<bool> {
    let number = family_number(family);
    let mut rules = Batch::default();
    rules.message(nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE), NLM_F_DUMP, number, |body| {
        body.text(NFTA_RULE_TABLE, "filter").text(NFTA_RULE_CHAIN, chain);
    });
    let answer = link.ask(&rules, |message| {
        let rule = message.attributes();
        // Old kernels list all chains of the table.
        if rule.text(NFTA_RULE_CHAIN) == Some(chain) {
            visit(&rule);
        }
    })?;
    Ok(answer.is_ok())
}

/// Whether the `filter` table of a family in `nf_tables` has the chain `name`.
pub(crate) fn has_chain(link: &mut Netlink, family: Family, name: &str) -> Result<bool> {
    let mut chain = Batch::default();
    ask_for_chain(&mut chain, family, name);
    Ok(link.ask(&chain.with_receipt(), |_| ())?.is_ok())
}

fn ask_for_chain(batch: &mut Batch, family: Family, name: &str) {
    let kind = nfnl_type(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN);
    batch.message(kind, 0, family_number(family), |body| {
        body.text(NFTA_CHAIN_TABLE, "filter").text(NFTA_CHAIN_NAME, name);
    });
}

/// What is known of the rules of FORWARD, in order.
#[derive(Debug, Default)]
struct Order {
    rules: usize,
    /// The place of our first jump.
    ours: Option<usize>,
    /// The place of the first jump to the administrator's chain of Docker.
    user: Option<usize>,
}

impl Order {
    /// Adds the next rule.
    fn add(&mut self, to_us: bool, to_user: bool) {
        if to_us {
            self.ours.get_or_insert(self.rules);
        }
        if to_user {
            self.user.get_or_insert(self.rules);
        }
        self.rules += 1;
    }

    /// Whether our jump has its place; `None` without rules.
    fn is_ours(&self) -> Option<bool> {
        let place = self.user.map_or(0, |user| user + 1);
        (self.rules > 0).then_some(self.ours == Some(place))
    }
}

/// Whether the rule jumps to `chain`.
pub(crate) fn jumps_to(rule: &Attributes<'_>, chain: &str) -> bool {
    rule.inside(NFTA_RULE_EXPRESSIONS).map(|(_, item)| Attributes::new(item)).any(|item| {
        let verdict =
            item.inside(NFTA_EXPR_DATA).inside(NFTA_IMMEDIATE_DATA).inside(NFTA_DATA_VERDICT);
        item.text(NFTA_EXPR_NAME) == Some("immediate")
            && verdict.text(NFTA_VERDICT_CHAIN) == Some(chain)
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
    fn our_jump_comes_right_behind_that_to_docker_user() {
        for (rules, ours) in [
            ("", None),
            ("us", Some(true)),
            ("us other", Some(true)),
            ("other us", Some(false)),
            ("user us", Some(true)),
            ("user us other us", Some(true)),
            ("us user", Some(false)),
            ("user other us", Some(false)),
            ("other user us", Some(true)),
            ("user", Some(false)),
            ("other", Some(false)),
        ] {
            let mut order = Order::default();
            for rule in rules.split_whitespace() {
                order.add(rule == "us", rule == "user");
            }
            assert_eq!(order.is_ours(), ours, "{rules}");
        }
    }

    #[test]
    fn a_jump_to_our_chain_is_ours_and_no_other_rule() {
        let ours = |name: &str, chain: &str| {
            let batch = rule(name, chain);
            messages(batch.bytes()).all(|message| jumps_to(&message.attributes(), BASE))
        };
        assert!(ours("immediate", BASE));
        assert!(!ours("immediate", "DOCKER-USER") && !ours("immediate", "OCI-LINK-ISOLATE"));
        assert!(!ours("lookup", BASE), "that is data");
    }
}
