//! Changes of flows between hosts, alone or in lots. A lot lists the sets once.

use super::crossing::{There, close_bridges, in_one_lot, renew, settle};
use super::{Ipset, crossing};
use crate::error::Result;
use crate::firewall::across::{self, has_crossing};
use crate::firewall::{Firewall, OwnerScope, RuleChange};
use crate::model::{Family, Flow, OwnerTag};
use crate::sys::net::netlink::Netlink;
use std::time::Duration;

impl Ipset {
    /// Makes the sets and rules for flows between hosts, if they are missing.
    pub(super) fn cross(&self, link: &mut Netlink) -> Result<()> {
        if self.base.walls()?.crosses && crossing::are_in_use(link)? {
            return Ok(());
        }
        self.base.cross()
    }

    /// Changes the elements of flows between hosts so that the owner has exactly those of `flows`.
    pub(super) fn settle_crossing(
        &self,
        link: &mut Netlink,
        rules: OwnerScope<'_>,
        flows: &[Flow],
    ) -> Result<()> {
        if !has_crossing(flows) && !has_crossing(rules.before) {
            return Ok(());
        }
        if has_crossing(flows) {
            self.cross(link)?;
            close_bridges(link, flows)?;
        }
        let there = &mut There::list(link)?;
        settle(link, there, rules.owner, &across::crossing(flows), rules.lifetime)
    }

    /// Makes what `flows`, all of them between hosts, need of the parts that all owners share, and lists the sets once.
    fn begin_lot(&self, link: &mut Netlink, flows: &[Flow]) -> Result<There> {
        if !flows.is_empty() {
            self.cross(link)?;
            close_bridges(link, flows)?;
        }
        for family in Family::BOTH {
            if flows.iter().any(|flow| Family::of(flow.from) == family) {
                self.ensure_rules(link, family)?;
            }
        }
        There::list(link)
    }

    /// Lists the sets once.
    pub(super) fn renew_lot(
        &self,
        all: &[(&OwnerTag, &[Flow])],
        lifetime: Duration,
    ) -> Vec<Result<()>> {
        let between: Vec<Flow> =
            all.iter().flat_map(|(_, flows)| across::crossing(flows)).collect();
        if between.is_empty() {
            return all.iter().map(|_| Ok(())).collect();
        }
        in_one_lot(
            all,
            |link| self.begin_lot(link, &between),
            |link, there, (owner, flows)| renew(link, there, owner, flows, lifetime),
        )
    }

    /// Lists the sets once if all flows are between hosts. Sets of other flows are not listed.
    pub(super) fn ensure_lot(&self, changes: &[RuleChange<'_>]) -> Vec<Result<()>> {
        let is_between =
            |it: &RuleChange<'_>| it.rules.before.iter().chain(it.flows).all(Flow::crosses);
        if !changes.iter().all(is_between) {
            return changes.iter().map(|it| self.ensure(it.rules, it.flows)).collect();
        }
        let all: Vec<Flow> = changes.iter().flat_map(|it| it.flows).copied().collect();
        in_one_lot(
            changes,
            |link| self.begin_lot(link, &all),
            |link, there, it| settle(link, there, it.rules.owner, it.flows, it.rules.lifetime),
        )
    }
}
