//! The first backend that the host can do: found out by making what each needs, when a container
//! first needs it, and remembered until the next boot. Commands that only look never get here.

use super::setup_cache::SetupCache;
use super::{Firewall, Kept, Ruleset, open};
use crate::error::Result;
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// The best first: what costs least as links become many, then what people know to read.
pub const ORDER: [BackendName; 3] =
    [BackendName::Ipset, BackendName::Iptables, BackendName::Nftables];
/// Whose complaint about a host that can do none says most.
const FALLBACK: BackendName = BackendName::Iptables;
const NOTE: &str = "backend";

/// Stands for the backend that it chooses.
pub struct Auto {
    memory: SetupCache,
    chosen: OnceCell<Box<dyn Firewall>>,
}

impl Auto {
    /// `memory` knows what was chosen before.
    pub fn new(memory: SetupCache) -> Self {
        Self { memory, chosen: OnceCell::new() }
    }

    fn chosen(&self) -> &dyn Firewall {
        self.chosen.get_or_init(|| self.remembered().unwrap_or_else(|| self.choose())).as_ref()
    }

    /// None if it would have to be chosen.
    fn known(&self) -> Option<&dyn Firewall> {
        if self.chosen.get().is_none() {
            let _ = self.chosen.set(self.remembered()?);
        }
        self.chosen.get().map(AsRef::as_ref)
    }

    fn remembered(&self) -> Option<Box<dyn Firewall>> {
        let name = self.memory.recall(NOTE).ok()??;
        Some(open(BackendName::parse(&name).ok()?, self.memory.clone()))
    }

    fn choose(&self) -> Box<dyn Firewall> {
        for name in ORDER {
            let backend = open(name, self.memory.clone());
            match backend.restore() {
                Ok(()) => {
                    if let Err(error) = self.memory.note(NOTE, name.as_str()) {
                        log::debug!("firewall: chosen for now only: {error}");
                    }
                    return backend;
                }
                Err(error) => log::debug!("firewall: not {name}: {error}"),
            }
        }
        open(FALLBACK, self.memory.clone())
    }
}

impl Firewall for Auto {
    fn name(&self) -> BackendName {
        self.chosen().name()
    }

    fn decided(&self) -> Option<BackendName> {
        self.known().map(Firewall::name)
    }

    fn restore(&self) -> Result<()> {
        self.chosen().restore()
    }

    fn isolate(&self, bridges: &[BridgeName]) -> Result<()> {
        self.chosen().isolate(bridges)
    }

    fn ensure(&self, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()> {
        self.chosen().ensure(rules, flows)
    }

    fn remove(&self, rules: Ruleset<'_>) -> Result<()> {
        self.chosen().remove(rules)
    }

    fn read(&self, rules: Ruleset<'_>) -> Result<Vec<String>> {
        self.chosen().read(rules)
    }

    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        self.chosen().expected(owner, flows)
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, Kept>> {
        self.known().map_or_else(|| Ok(BTreeMap::new()), Firewall::owners)
    }

    fn purge(&self, owner: &OwnerTag) -> Result<()> {
        self.known().map_or(Ok(()), |known| known.purge(owner))
    }

    fn dismantle(&self) -> Result<()> {
        self.known().map_or(Ok(()), Firewall::dismantle)
    }

    fn stands(&self) -> Result<bool> {
        self.known().map_or(Ok(true), Firewall::stands)
    }

    fn runs_programs(&self, family: Family) -> Result<bool> {
        self.chosen().runs_programs(family)
    }

    fn isolated(&self) -> Result<Vec<BridgeName>> {
        self.known().map_or_else(|| Ok(Vec::new()), Firewall::isolated)
    }
}
