//! Reads tables, chains, rules and sets of all programs from `nf_tables`.

use crate::error::Result;
use crate::firewall::failed;
use crate::firewall::nftables::messages::{TABLE, message_type};
use crate::firewall::nftables::{is_absent, owner};
use crate::sys::net::netlink::Netlink;
use crate::sys::net::netlink::message::{Attributes, Batch, Body, Message};
use crate::sys::net::netlink::uapi::{
    NF_INET_FORWARD, NF_INET_POST_ROUTING, NF_INET_PRE_ROUTING, NFPROTO_BRIDGE, NFPROTO_INET,
    NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_UNSPEC, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET,
    NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE, NFT_SET_EVAL, NFT_SET_INTERVAL, NFT_TABLE_OWNER,
    NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE,
    NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY, NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET, NFTA_SET_FLAGS, NFTA_SET_NAME,
    NFTA_TABLE_FLAGS, NFTA_TABLE_NAME, NFTA_TABLE_OWNER, NLM_F_DUMP,
};
use nix::libc::NF_DROP;
use std::collections::HashMap;
use std::rc::Rc;

pub(super) use super::expression::{Expression, Field, Rule, Verdict, Way};

/// Elements of a set that are read. A longer one counts as not understood.
const MAX_ELEMENTS: usize = 8192;

/// A table that only one process may change.
#[derive(Debug)]
pub(super) struct OwnedTable {
    pub(super) family: &'static str,
    pub(super) name: String,
    /// The process, in words.
    pub(super) owner: String,
}

/// A chain.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// The family of its table, in the words of `nft`.
    pub(super) family: &'static str,
    pub(super) table: String,
    pub(super) name: String,
    /// Its hook; `None` for a chain that is only jumped to.
    pub(super) base: Option<Base>,
}

/// How a base chain is attached.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) hook: Hook,
    pub(super) priority: i32,
    /// Whether its policy is drop.
    pub(super) drops: bool,
    /// Its type, such as `filter`.
    pub(super) kind: String,
}

/// Where a base chain is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// Forwarded packets pass it.
    Forward,
    /// Packets that leave pass it, forwarded ones too.
    Postrouting,
    /// Packets that arrive pass it, before they are routed.
    Prerouting,
    Other,
}

impl Hook {
    /// The name in the words of `nft`, for hooks that links pass.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Forward => Some("forward"),
            Self::Postrouting => Some("postrouting"),
            Self::Prerouting => Some("prerouting"),
            Self::Other => None,
        }
    }
}

impl Chain {
    /// Whether it is attached to `hook`.
    pub(super) fn is_at(&self, hook: Hook) -> bool {
        self.base.as_ref().is_some_and(|base| base.hook == hook)
    }
}

/// The elements of a set: the key, and the verdict if it is a map of verdicts.
pub(super) type Elements = Vec<(Vec<u8>, Option<Verdict>)>;

/// The rules and sets of a table.
pub(super) trait Ruleset {
    /// The rules of the chain `name` in the table of `chain`; `None` if they cannot be read.
    fn rules(&mut self, chain: &Chain, name: &str) -> Option<Rc<Vec<Rule>>>;
    /// The elements of a set in the table of `chain`; `None` if they cannot be read or compared.
    fn elements(&mut self, chain: &Chain, set: &str) -> Option<Rc<Elements>>;
}

/// Family, table, and the name of a chain or set.
type Key = (&'static str, String, String);

/// The rules of this network namespace. What was read is kept.
pub(super) struct Kernel {
    link: Netlink,
    rules: HashMap<Key, Option<Rc<Vec<Rule>>>>,
    sets: HashMap<Key, Option<Rc<Elements>>>,
}

impl Kernel {
    pub(super) fn open() -> Result<Self> {
        let link = Netlink::netfilter()?;
        Ok(Self { link, rules: HashMap::new(), sets: HashMap::new() })
    }

    /// Lists the tables that have an owner.
    pub(super) fn owned_tables(&mut self) -> Result<Vec<OwnedTable>> {
        let mut found = Vec::new();
        self.dump(
            NFT_MSG_GETTABLE,
            NFPROTO_UNSPEC,
            |_| (),
            |message| {
                let table = message.attributes();
                let name = table.text(NFTA_TABLE_NAME);
                let (Some(family), Some(name)) = (family_of(message), name) else { return };
                if table.number(NFTA_TABLE_FLAGS).is_some_and(|flags| flags & NFT_TABLE_OWNER != 0)
                {
                    let owner = owner::in_words(table.number(NFTA_TABLE_OWNER).unwrap_or(0));
                    found.push(OwnedTable { family, name: name.to_owned(), owner });
                }
            },
        )?;
        Ok(found)
    }

    /// Lists the chains that forwarded packets pass, and all chains with the name FORWARD.
    pub(super) fn chains(&mut self) -> Result<Vec<Chain>> {
        self.list(|chain| chain.is_at(Hook::Forward) || chain.name == "FORWARD")
    }

    /// Lists the chains that translate the source addresses of forwarded packets.
    pub(super) fn nat_chains(&mut self) -> Result<Vec<Chain>> {
        let is_nat = |chain: &Chain| chain.base.as_ref().is_some_and(|base| base.kind == "nat");
        self.list(|chain| chain.is_at(Hook::Postrouting) && is_nat(chain))
    }

    /// Lists the chains that packets pass before they are routed.
    pub(super) fn arrival_chains(&mut self) -> Result<Vec<Chain>> {
        let filters = |chain: &Chain| chain.base.as_ref().is_some_and(|it| it.kind == "filter");
        self.list(|chain| chain.is_at(Hook::Prerouting) && filters(chain))
    }

    /// Lists the chains of other programs for which `counts` returns true, by priority.
    fn list(&mut self, counts: impl Fn(&Chain) -> bool) -> Result<Vec<Chain>> {
        let mut found = Vec::new();
        self.dump(
            NFT_MSG_GETCHAIN,
            NFPROTO_UNSPEC,
            |_| (),
            |message| {
                let chain =
                    family_of(message).and_then(|family| chain(family, &message.attributes()));
                found.extend(chain.filter(|chain| {
                    let ours = ["inet", "bridge"].contains(&chain.family) && chain.table == TABLE;
                    counts(chain) && !ours
                }));
            },
        )?;
        found.sort_by_key(|chain| chain.base.as_ref().map(|base| base.priority));
        Ok(found)
    }

    /// Sends a request for a listing. A kernel without `nf_tables` has nothing to list.
    fn dump(
        &mut self,
        command: u16,
        family: u8,
        write: impl FnOnce(&mut Body<'_>),
        visit: impl FnMut(&Message<'_>),
    ) -> Result<()> {
        let mut batch = Batch::default();
        batch.message(message_type(command), NLM_F_DUMP, family, write);
        match self.link.ask(&batch, visit)? {
            Err(refusal) if !is_absent(refusal) => {
                Err(failed(format!("nf_tables: cannot be listed: {}", refusal.errno().desc())))
            }
            _ => Ok(()),
        }
    }

    fn read_rules(&mut self, chain: &Chain, name: &str) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        let about = |body: &mut Body<'_>| {
            body.text(NFTA_RULE_TABLE, &chain.table).text(NFTA_RULE_CHAIN, name);
        };
        self.dump(NFT_MSG_GETRULE, number_of(chain.family), about, |message| {
            let rule = message.attributes();
            // Before Linux 3.14 a listing is of all chains.
            if rule.text(NFTA_RULE_CHAIN) == Some(name) {
                let list = rule.inside(NFTA_RULE_EXPRESSIONS);
                rules.push(list.map(|(_, item)| Expression::of(&Attributes::new(item))).collect());
            }
        })?;
        Ok(rules)
    }

    /// The elements of a set that can be compared byte by byte.
    fn read_elements(&mut self, chain: &Chain, set: &str) -> Result<Option<Elements>> {
        let family = number_of(chain.family);
        let mut flags = None;
        let mut batch = Batch::default();
        batch.message(message_type(NFT_MSG_GETSET), 0, family, |body| {
            body.text(NFTA_TABLE_NAME, &chain.table).text(NFTA_SET_NAME, set);
        });
        let answer = self.link.ask(&batch.with_receipt(), |message| {
            flags = message.attributes().number(NFTA_SET_FLAGS);
        })?;
        let plain = flags.is_some_and(|flags| flags & (NFT_SET_INTERVAL | NFT_SET_EVAL) == 0);
        if answer.is_err() || !plain {
            return Ok(None);
        }
        let (mut elements, mut complete) = (Vec::new(), true);
        let about = |body: &mut Body<'_>| {
            body.text(NFTA_TABLE_NAME, &chain.table).text(NFTA_SET_ELEM_LIST_SET, set);
        };
        self.dump(NFT_MSG_GETSETELEM, family, about, |message| {
            for (_, item) in message.attributes().inside(NFTA_SET_ELEM_LIST_ELEMENTS) {
                let item = Attributes::new(item);
                let key = item.inside(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE);
                // An element without a key matches all others.
                complete &= key.is_some() && elements.len() < MAX_ELEMENTS;
                let verdict = item.inside(NFTA_SET_ELEM_DATA).inside(NFTA_DATA_VERDICT);
                let verdict = Verdict::of(&verdict);
                elements.extend(key.filter(|_| complete).map(|key| (key.to_vec(), verdict)));
            }
        })?;
        Ok(complete.then_some(elements))
    }
}

impl Ruleset for Kernel {
    fn rules(&mut self, chain: &Chain, name: &str) -> Option<Rc<Vec<Rule>>> {
        let key = (chain.family, chain.table.clone(), name.to_owned());
        if let Some(known) = self.rules.get(&key) {
            return known.clone();
        }
        let read = self.read_rules(chain, name).ok().map(Rc::new);
        self.rules.insert(key, read.clone());
        read
    }

    fn elements(&mut self, chain: &Chain, set: &str) -> Option<Rc<Elements>> {
        let key = (chain.family, chain.table.clone(), set.to_owned());
        if let Some(known) = self.sets.get(&key) {
            return known.clone();
        }
        let read = self.read_elements(chain, set).ok().flatten().map(Rc::new);
        self.sets.insert(key, read.clone());
        read
    }
}

fn chain(family: &'static str, chain: &Attributes<'_>) -> Option<Chain> {
    let base = chain.get(NFTA_CHAIN_HOOK).map(|hook| {
        let hook = Attributes::new(hook);
        let drop = u32::try_from(NF_DROP).ok();
        Base {
            hook: match hook.number(NFTA_HOOK_HOOKNUM) {
                // NF_BR_FORWARD is the same number.
                Some(NF_INET_FORWARD) => Hook::Forward,
                Some(NF_INET_POST_ROUTING) => Hook::Postrouting,
                Some(NF_INET_PRE_ROUTING) => Hook::Prerouting,
                _ => Hook::Other,
            },
            priority: hook.signed(NFTA_HOOK_PRIORITY).unwrap_or(0),
            drops: chain.number(NFTA_CHAIN_POLICY) == drop,
            kind: chain.text(NFTA_CHAIN_TYPE).unwrap_or_default().to_owned(),
        }
    });
    let (table, name) = (chain.text(NFTA_CHAIN_TABLE)?, chain.text(NFTA_CHAIN_NAME)?);
    Some(Chain { family, table: table.to_owned(), name: name.to_owned(), base })
}

/// The family of a message in the words of `nft`; `None` for families that no link uses.
fn family_of(message: &Message<'_>) -> Option<&'static str> {
    FAMILIES.iter().find(|(number, _)| Some(*number) == message.family()).map(|(_, name)| *name)
}

fn number_of(family: &str) -> u8 {
    FAMILIES.iter().find(|(_, name)| *name == family).map_or(NFPROTO_UNSPEC, |(number, _)| *number)
}

const FAMILIES: [(u8, &str); 4] = [
    (NFPROTO_INET, "inet"),
    (NFPROTO_IPV4, "ip"),
    (NFPROTO_IPV6, "ip6"),
    (NFPROTO_BRIDGE, "bridge"),
];
