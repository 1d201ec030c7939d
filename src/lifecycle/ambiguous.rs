//! Addresses that two running containers in different network namespaces have: two bridges have one
//! network, or a container gave itself the address of a neighbour. A rule that names one would permit
//! the packets of both, so no link uses it.
//!
//! On two bridges that are known the packets differ. There a flow that is bound to its bridge may name it.

use crate::error::{Cause, Error, Kind, Result};
use crate::host::Host;
use crate::lifecycle::alive::is_running;
use crate::link::{self, Candidate, OnMissing, Plan, World};
use crate::model::{Address, ContainerId, Network, Record};
use std::net::IpAddr;

/// The address `ip` of a container, if it has it.
pub(crate) fn find(record: &Record, ip: IpAddr) -> Option<&Address> {
    record.network.addresses().iter().find(|address| address.ip() == ip)
}

/// An address of a container that another running one has too.
struct Shared {
    owner: ContainerId,
    other: ContainerId,
    ip: IpAddr,
    /// Whether each other container has it on another bridge.
    is_apart: bool,
}

/// The addresses of a recipient and its sources that other running containers have too.
pub(crate) struct Ambiguous(Vec<Shared>);

impl Ambiguous {
    /// Looks for them in the records. Reads the records of other holders only.
    pub(crate) fn find(host: &Host, me: &Record, candidates: &[Candidate]) -> Result<Self> {
        let mut all = Vec::new();
        if me.links.is_empty() {
            return Ok(Self(all));
        }
        let sources = candidates.iter().filter_map(|candidate| match candidate {
            Candidate::Running(source) => Some(source.as_ref()),
            _ => None,
        });
        for record in std::iter::once(me).chain(sources) {
            if all.iter().any(|shared: &Shared| shared.owner == record.id) {
                continue;
            }
            for address in record.network.addresses() {
                all.extend(shared(host, record, address)?);
            }
        }
        Ok(Self(all))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Plans the links of `me` without these addresses. The record of the plan keeps them.
    pub(crate) fn plan(&self, me: &Record, world: &World, absent: OnMissing) -> Result<Plan> {
        if self.0.is_empty() {
            return Ok(link::plan(me, world, absent)?);
        }
        let plan = self.plan_without(me, world, absent, |shared| !shared.is_apart)?;
        let is_shared = |ip| self.0.iter().any(|shared| shared.ip == ip);
        let mut unbound = plan.record.flows.iter().filter(|flow| flow.bridge.is_none());
        if unbound.any(|flow| is_shared(flow.from) || is_shared(flow.to)) {
            return self.plan_without(me, world, absent, |_| true);
        }
        Ok(plan)
    }

    fn plan_without(
        &self,
        me: &Record,
        world: &World,
        absent: OnMissing,
        is_out: impl Fn(&Shared) -> bool,
    ) -> Result<Plan> {
        let left = |record: &Record| {
            let mut left = record.network.addresses().to_vec();
            let is_out = |ip| {
                let mut own = self.0.iter().filter(|shared| shared.owner == record.id);
                own.any(|shared| shared.ip == ip && is_out(shared))
            };
            left.retain(|address| !is_out(address.ip()));
            left
        };
        let addresses = left(me);
        if addresses.is_empty() && absent != OnMissing::Leave {
            if let Some(shared) = self.0.iter().find(|shared| shared.owner == me.id) {
                return Err(shared.refusal());
            }
        }
        let candidates = world.candidates.iter().map(|candidate| match candidate {
            Candidate::Running(source) if source.network.is_own() => {
                let network = Network::Own(left(source));
                Candidate::Running(Box::new(Record { network, ..source.as_ref().clone() }))
            }
            other => other.clone(),
        });
        let world = World {
            candidates: candidates.collect(),
            hosts: world.hosts.clone(),
            routing: world.routing.clone(),
        };
        let usable = match &me.network {
            Network::Own(_) => Network::Own(addresses),
            Network::Host | Network::NoBridge(_) => me.network.clone(),
        };
        let mut plan = link::plan(&Record { network: usable, ..me.clone() }, &world, absent)?;
        plan.record.network = me.network.clone();
        plan.before = me.clone();
        Ok(plan)
    }
}

impl Shared {
    fn refusal(&self) -> Error {
        let message = format!(
            "address \"{}\": container {} has it too, and runs: links need another address",
            self.ip, self.other
        );
        Error::new(Kind::Unsafe, message)
    }
}

fn shared(host: &Host, record: &Record, address: &Address) -> Result<Option<Shared>> {
    let ip = address.ip();
    let mut others = match host.store.other_holders_of(ip, &record.id) {
        // Only a newer oci-link knows whether that container runs.
        Err(error) if error.cause == Cause::NewerRecord => return Ok(None),
        others => others?,
    };
    others.retain(|other| {
        // Unknown is not dead.
        !other.instance.shares_namespace(&record.instance)
            && is_running(other, host.boot).unwrap_or(true)
    });
    let found = || others.iter().filter_map(|other| find(other, ip));
    let is_apart = found().all(|theirs| address.is_apart_from(theirs));
    let other = others.iter().find(|other| find(other, ip).is_some());
    Ok(other.map(|other| Shared {
        owner: record.id.clone(),
        other: other.id.clone(),
        ip,
        is_apart,
    }))
}
