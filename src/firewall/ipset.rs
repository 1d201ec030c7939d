//! The same chain as the iptables backend's with rules that never change, which ask sets that do.
//!
//! ```text
//! OCI-LINK   -m set --match-set oci-link4 src,dst,dst -j ACCEPT
//! OCI-LINK   -m conntrack --ctstate ESTABLISHED -m set --match-set oci-link4 dst,src,src -j ACCEPT
//! oci-link4  R,tcp:N,S comment "<tag>"            one per flow
//! ```
//!
//! Elements come and go by netlink: no program is run, and neither a change nor a packet takes
//! longer the more there are. Programs make the rules once per boot, and again when the kernel says
//! that nothing refers to a set any more.

mod messages;

use super::base::{BASE, Base};
use super::elements::{Changes, Element, by_owner, owned, shown};
use super::memory::Memory;
use super::tool::Tool;
use super::{Firewall, Kept, Ruleset, failed, front};
use crate::error::{Error, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::netlink::message::Batch;
use crate::sys::netlink::{Netlink, Refusal};
use messages::{
    Change, EXISTS, FULL, MISSING, REFERENCED, ask_for_header, ask_for_set, change_element,
    create_set, element, rename_to_itself, set_name,
};
use nix::libc::{EEXIST, EINVAL};
use std::collections::{BTreeMap, HashSet};

/// How many messages go out together. If the kernel refused each, its answers would still fit the
/// buffer of the socket.
const TOGETHER: usize = 64;

/// Remembers that there are, or were, elements with several owners.
const SHARED: &str = "ipset-shared";

/// See the module.
#[derive(Debug)]
pub struct Ipset {
    base: Base,
    memory: Memory,
}

impl Ipset {
    /// `memory` knows whether the rules were made.
    pub fn new(memory: Memory) -> Self {
        let base = Base::with_rules(memory.clone(), "ipset", make_set, rules);
        Self { base, memory }
    }

    /// Sees to it that the rules of a family stand, which is when they refer to its set.
    fn stand(&self, link: &mut Netlink, family: Family) -> Result<()> {
        let stands = self.base.is_remembered(family)?
            && is_in_use(link, family)?
            && front::is_ours(link, family)?.unwrap_or(true);
        if stands { Ok(()) } else { self.base.make(Tool::find(family)?) }
    }

    /// Whether an element has had several owners since the host booted. If none had, an owner's
    /// elements are nobody else's, and go without a look at the others.
    fn is_shared(&self) -> Result<bool> {
        Ok(self.memory.recall(SHARED)?.is_some())
    }

    /// Goes from what is really there to exactly `flows`.
    fn settle(&self, link: &mut Netlink, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
        let mut there = Vec::new();
        for family in Family::BOTH {
            there.extend(list(link, family)?.unwrap_or_default());
        }
        let changes = Changes::plan(&there, owner, flows);
        let changes = changes.map_err(|why| failed(format!("ipset: {why}")))?;
        if !changes.change.is_empty() && !self.is_shared()? {
            self.memory.note(SHARED, "")?;
        }
        add(link, &changes.add)?;
        if let Some((element, refusal)) = send(link, Change::Update, &changes.change)?.first() {
            return Err(undo(link, &changes.add, complaint(element, *refusal)));
        }
        delete(link, &changes.delete)
    }
}

impl Firewall for Ipset {
    fn name(&self) -> BackendName {
        BackendName::Ipset
    }

    fn restore(&self) -> Result<()> {
        self.base.make_all()
    }

    fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        self.base.isolate(bridges)
    }

    /// Adds without looking. What is there already and no surprise is the owner's own; a surprise
    /// is settled by what is really there.
    fn ensure(&self, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        for family in Family::BOTH {
            if flows.iter().any(|flow| Family::of(flow.from) == family) {
                self.stand(&mut link, family)?;
            }
        }
        if !self.is_shared()? {
            let own = |flow: &Flow| owned(*flow, rules.owner);
            let wanted: HashSet<&Flow> = flows.iter().collect();
            let known: HashSet<&Flow> = rules.before.iter().collect();
            let there = add(&mut link, &flows.iter().map(own).collect::<Vec<_>>())?;
            if there.iter().all(|flow| known.contains(flow)) {
                let stale = rules.before.iter().filter(|flow| !wanted.contains(flow)).map(own);
                return delete(&mut link, &stale.collect::<Vec<_>>());
            }
        }
        self.settle(&mut link, rules.owner, flows)
    }

    fn remove(&self, rules: Ruleset<'_>) -> Result<()> {
        let mut link = Netlink::netfilter()?;
        if rules.before.is_empty() || self.is_shared()? {
            return self.settle(&mut link, rules.owner, &[]);
        }
        let own = rules.before.iter().map(|flow| owned(*flow, rules.owner));
        delete(&mut link, &own.collect::<Vec<_>>())
    }

    /// Elements permit nothing when no rule asks for them.
    fn read(&self, rules: Ruleset<'_>) -> Result<Vec<String>> {
        let mut link = Netlink::netfilter()?;
        let mut flows = Vec::new();
        for family in Family::BOTH {
            let there = list(&mut link, family)?.unwrap_or_default();
            let own = there.into_iter().filter(|element| element.belongs_to(rules.owner));
            if is_in_use(&mut link, family)? {
                flows.extend(own.map(|element| element.flow));
            }
        }
        Ok(shown(flows, show))
    }

    fn expected(&self, _: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        shown(flows.iter().copied(), show)
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, Kept>> {
        let mut link = Netlink::netfilter()?;
        let (mut there, mut asked) = (Vec::new(), Vec::new());
        for family in Family::BOTH {
            there.extend(list(&mut link, family)?.unwrap_or_default());
            asked.extend(is_in_use(&mut link, family)?.then_some(family));
        }
        Ok(by_owner(&there, |flow| asked.contains(&Family::of(flow.from)).then(|| show(flow))))
    }

    fn purge(&self, owner: &OwnerTag) -> Result<()> {
        self.settle(&mut Netlink::netfilter()?, owner, &[])
    }

    fn stands(&self) -> Result<bool> {
        self.base.stands()
    }

    fn isolated(&self) -> Result<Vec<BridgeName>> {
        self.base.isolated()
    }
}

/// As `ipset save` prints it.
fn show(flow: &Flow) -> String {
    let Flow { from, to, port } = flow;
    let set = set_name(Family::of(*from));
    format!("add {set} {from},{}:{},{to}", port.protocol, port.number)
}

/// There: what is in the set. Back: only what belongs to a connection.
fn rules(family: Family) -> Vec<String> {
    let set = set_name(family);
    vec![
        format!("-A {BASE} -m set --match-set {set} src,dst,dst -j ACCEPT"),
        format!(
            "-A {BASE} -m conntrack --ctstate ESTABLISHED -m set --match-set {set} dst,src,src \
             -j ACCEPT"
        ),
    ]
}

/// Makes the set of a family. One that is there stays as it is, if it is of our kind: another
/// could let through more than its elements say.
fn make_set(family: Family) -> Result<()> {
    let mut link = Netlink::netfilter()?;
    let mut batch = Batch::default();
    create_set(&mut batch, family);
    let refused = link.exchange(&batch.with_receipt())?;
    let Some(refusal) = refused.first() else { return Ok(()) };
    if refusal.code == EEXIST && is_ours(&mut link, family)? {
        return Ok(());
    }
    let (set, why) = (set_name(family), refusal.errno().desc());
    Err(failed(format!("ipset {set}: cannot be made: {why} ({})", refusal.code)))
}

/// Whether the set that is there compares what a flow is made of.
fn is_ours(link: &mut Netlink, family: Family) -> Result<bool> {
    let mut ours = false;
    let mut batch = Batch::default();
    ask_for_header(&mut batch, family);
    let answer =
        link.ask(&batch.with_receipt(), |message| ours = messages::is_ours(&message.attributes()))?;
    Ok(answer.is_ok() && ours)
}

/// Fails where the kernel has no sets.
pub fn is_in_kernel() -> Result<()> {
    let mut batch = Batch::default();
    ask_for_header(&mut batch, Family::V4);
    match Netlink::netfilter()?.ask(&batch.with_receipt(), |_| ())? {
        Err(refusal) if refusal.code != MISSING => {
            Err(failed(format!("ipset: not in the kernel ({})", refusal.errno().desc())))
        }
        _ => Ok(()),
    }
}

/// Whether rules ask for the set. The kernel lists a set's references only after counting its
/// elements; a set that is referred to cannot be renamed, and says so at once.
fn is_in_use(link: &mut Netlink, family: Family) -> Result<bool> {
    let mut batch = Batch::default();
    rename_to_itself(&mut batch, family);
    let refused = link.exchange(&batch.with_receipt())?;
    Ok(refused.iter().any(|refusal| refusal.code == REFERENCED))
}

/// The elements of a family's set; none if there is no set.
fn list(link: &mut Netlink, family: Family) -> Result<Option<Vec<Element>>> {
    let mut all = Vec::new();
    let mut batch = Batch::default();
    ask_for_set(&mut batch, family);
    let answer = link.ask(&batch, |message| {
        let elements = messages::elements(&message.attributes());
        all.extend(elements.filter_map(|attributes| element(&attributes)));
    })?;
    match answer {
        Ok(()) => Ok(Some(all)),
        Err(refusal) if refusal.code == MISSING => Ok(None),
        // A kernel without sets has none of ours.
        Err(refusal) if refusal.code == EINVAL => Ok(None),
        Err(refusal) => {
            let set = set_name(family);
            Err(failed(format!("ipset {set}: cannot be listed: {}", refusal.errno())))
        }
    }
}

/// Adds all or nothing; returns what was there already.
fn add(link: &mut Netlink, elements: &[Element]) -> Result<Vec<Flow>> {
    let refused = send(link, Change::Add, elements)?;
    match refused.iter().find(|(_, refusal)| refusal.code != EXISTS) {
        Some((element, refusal)) => {
            let refused_flows: HashSet<Flow> = refused.iter().map(|(e, _)| e.flow).collect();
            let mut made = elements.to_vec();
            made.retain(|element| !refused_flows.contains(&element.flow));
            Err(undo(link, &made, complaint(element, *refusal)))
        }
        None => Ok(refused.into_iter().map(|(element, _)| element.flow).collect()),
    }
}

/// Deletes what is there.
fn delete(link: &mut Netlink, elements: &[Element]) -> Result<()> {
    let refused = send(link, Change::Delete, elements)?;
    match refused.iter().find(|(_, refusal)| ![MISSING, EINVAL].contains(&refusal.code)) {
        Some((element, refusal)) => Err(complaint(element, *refusal)),
        None => Ok(()),
    }
}

/// Deletes what was added before `error`.
fn undo(link: &mut Netlink, added: &[Element], error: Error) -> Error {
    match delete(link, added) {
        Ok(()) => error,
        Err(another) => failed(format!("{error}; {another}")),
    }
}

fn complaint(element: &Element, refusal: Refusal) -> Error {
    let why = match refusal.code {
        FULL => "the set is full".to_owned(),
        code => format!("{} ({code})", refusal.errno().desc()),
    };
    failed(format!("ipset {}: {why}", show(&element.flow)))
}

/// Sends one message per element, and returns those that the kernel refused.
fn send(
    link: &mut Netlink,
    change: Change,
    elements: &[Element],
) -> Result<Vec<(Element, Refusal)>> {
    let mut refused = Vec::new();
    for some in elements.chunks(TOGETHER) {
        let mut batch = Batch::default();
        for element in some {
            change_element(&mut batch, change, element);
        }
        for refusal in link.exchange(&batch.with_receipt())? {
            let at = usize::try_from(refusal.sequence).unwrap_or(0);
            if let Some(element) = at.checked_sub(1).and_then(|at| some.get(at)) {
                refused.push((element.clone(), refusal));
            }
        }
    }
    Ok(refused)
}
