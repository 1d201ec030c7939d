//! What the kernel has of the table: whether packets reach it, its rules, and rules that are not ours.

use super::complaint;
use super::dormant::is_switched_off;
use super::expression::Rule;
use super::messages::{RANGES, about_table, comment, message_type};
use crate::error::Result;
use crate::firewall::strays::Strays;
use crate::model::OwnerTag;
use crate::sys::net::netlink::message::{Attributes, Batch};
use crate::sys::net::netlink::uapi::{
    NF_INET_FORWARD, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETTABLE, NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWTABLE, NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_USE,
    NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY,
    NFTA_IMMEDIATE_DATA, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_HANDLE,
    NFTA_RULE_USERDATA, NFTA_VERDICT_CODE, NLM_F_DUMP,
};
use crate::sys::net::netlink::{Netlink, NetlinkError};
use nix::libc::{EINVAL, ENOENT, EOPNOTSUPP, NF_DROP, NFT_JUMP};

/// The chain through which packets come.
pub(super) const CHAIN: &str = "forward";
/// `filter - 10`: runs before iptables, whose drops still apply after an accept here.
pub(super) const PRIORITY: i32 = -10;

/// The policy of a chain that drops what no rule accepts.
const DROP: u32 = NF_DROP.unsigned_abs();

/// What the kernel says of the table and of its chain, in one request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    /// How many rules the chain has. `None` if there is no chain.
    pub(super) uses: Option<usize>,
    is_dormant: bool,
    is_hooked: bool,
    drops: bool,
}

impl State {
    /// Reads the state.
    pub(super) fn read(link: &mut Netlink) -> Result<Self> {
        let mut batch = Batch::default();
        about_table(&mut batch, NFT_MSG_GETTABLE, 0, |_| ());
        about_table(&mut batch, NFT_MSG_GETCHAIN, 0, |body| {
            body.text(NFTA_CHAIN_NAME, CHAIN);
        });
        let mut state = Self::default();
        link.ask_each(&batch, |answer| {
            let all = answer.attributes();
            if answer.kind == message_type(NFT_MSG_NEWTABLE) {
                state.is_dormant = is_switched_off(answer);
            } else if answer.kind == message_type(NFT_MSG_NEWCHAIN) {
                let hook = all.inside(NFTA_CHAIN_HOOK);
                state.uses = all.number(NFTA_CHAIN_USE).and_then(|uses| usize::try_from(uses).ok());
                state.drops = all.number(NFTA_CHAIN_POLICY) == Some(DROP);
                state.is_hooked = hook.number(NFTA_HOOK_HOOKNUM) == Some(NF_INET_FORWARD)
                    && hook.get(NFTA_HOOK_PRIORITY) == Some(&PRIORITY.to_be_bytes()[..]);
            }
        })?;
        Ok(state)
    }

    /// Whether packets reach the chain, and pass it if no rule drops them.
    pub(super) fn is_reached(self) -> bool {
        !self.is_dormant && self.is_hooked && !self.drops
    }

    /// Whether a chain of this name exists that no packet reaches. The kernel refuses to change its hook.
    pub(super) fn is_misplaced(self) -> bool {
        self.uses.is_some() && !self.is_hooked
    }
}

/// The rules of our chains.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Handle and comment of each of our rules in the main chain, in order.
    pub(super) ours: Vec<(Vec<u8>, String)>,
    /// Chain and handle of rules that are not ours.
    pub(super) strays: Vec<(&'static str, Vec<u8>)>,
}

impl Found {
    /// Reads the rules. `strays` are those that are returned.
    pub(super) fn read(link: &mut Netlink, strays: Strays) -> Result<Self> {
        let mut found = Self::default();
        rules_of(link, CHAIN, |rule| {
            let Some(handle) = rule.get(NFTA_RULE_HANDLE).map(<[u8]>::to_vec) else { return };
            let comment = rule.get(NFTA_RULE_USERDATA).and_then(comment);
            match comment.filter(|comment| comment.starts_with(Rule::MARK)) {
                Some(comment) => found.ours.push((handle, comment.to_owned())),
                None if strays == Strays::All || is_total(rule) => {
                    found.strays.push((CHAIN, handle));
                }
                None => {}
            }
        })?;
        if strays == Strays::All {
            rules_of(link, RANGES, |rule| {
                let comment = rule.get(NFTA_RULE_USERDATA).and_then(comment);
                let is_owned = comment.is_some_and(|tag| OwnerTag::parse(tag).is_ok());
                let handle = rule.get(NFTA_RULE_HANDLE).filter(|_| !is_owned);
                found.strays.extend(handle.map(|handle| (RANGES, handle.to_vec())));
            })?;
        }
        Ok(found)
    }
}

/// Calls `visit` with each rule of a chain of the table. A missing chain has none.
pub(super) fn rules_of(
    link: &mut Netlink,
    chain: &str,
    mut visit: impl FnMut(&Attributes<'_>),
) -> Result<()> {
    let mut batch = Batch::default();
    about_table(&mut batch, NFT_MSG_GETRULE, NLM_F_DUMP, |body| {
        body.text(NFTA_RULE_CHAIN, chain);
    });
    let answer = link.ask(&batch, |message| {
        let rule = message.attributes();
        // Old kernels list all chains of the table.
        if rule.text(NFTA_RULE_CHAIN) == Some(chain) {
            visit(&rule);
        }
    })?;
    match answer {
        Err(refusal) if !is_absent(refusal) => Err(complaint(refusal)),
        _ => Ok(()),
    }
}

/// Whether the error means that the table or the kernel's `nf_tables` is missing.
pub(crate) fn is_absent(refusal: NetlinkError) -> bool {
    [ENOENT, EINVAL, EOPNOTSUPP].contains(&refusal.code)
}

/// Whether a rule decides about every packet: it has a verdict other than a jump, and no condition.
fn is_total(rule: &Attributes<'_>) -> bool {
    let mut decides = false;
    for (_, item) in rule.inside(NFTA_RULE_EXPRESSIONS) {
        let item = Attributes::new(item);
        match item.text(NFTA_EXPR_NAME) {
            Some("counter" | "log") => {}
            Some("reject") => decides = true,
            Some("immediate") => {
                let data = item.inside(NFTA_EXPR_DATA).inside(NFTA_IMMEDIATE_DATA);
                let verdict = data.inside(NFTA_DATA_VERDICT);
                decides |= verdict.get(NFTA_VERDICT_CODE) != Some(&NFT_JUMP.to_be_bytes()[..]);
            }
            _ => return false,
        }
    }
    decides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::nftables::expression::Expression;
    use crate::firewall::nftables::rules::has_mark;
    use crate::sys::net::netlink::message::messages;
    use nix::libc::{NF_ACCEPT, NF_DROP};

    #[test]
    fn only_a_verdict_without_a_condition_is_total() {
        let total = |expressions: Vec<Expression>| {
            let rule = Rule::new("", expressions);
            let mut batch = Batch::default();
            batch.message(0, 0, 0, |body| {
                body.nest(NFTA_RULE_EXPRESSIONS, |list| rule.write(list));
            });
            messages(batch.bytes()).all(|message| is_total(&message.attributes()))
        };
        let verdict = Expression::Verdict;
        for code in [NF_ACCEPT, NF_DROP, nix::libc::NFT_RETURN] {
            assert!(total(vec![verdict(code)]), "{code}");
            assert!(!total([&has_mark(1)[..], &[verdict(code)]].concat()), "{code}");
        }
        assert!(!total(vec![Expression::Jump("elsewhere")]) && !total(Vec::new()));
    }
}
