//! The `auto` backend: the first backend that works on this host.
//!
//! A backend works if its [`Firewall::ensure_base`] succeeds. The next one is tried only if this host
//! lacks what the backend needs. Any other failure is an error, and nothing is stored: the next start
//! tries again. The choice is made when a container first needs rules, and is cached until the next
//! boot. Read-only commands never trigger it.

use super::outside::Outside;
use super::setup_cache::SetupCache;
use super::walls::Walls;
use super::{Firewall, InstalledRules, OwnerScope, RuleChange, open};
use crate::error::{Error, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// Backends in the order in which they are tried.
///
/// `ipset` is first because its cost per change does not grow with the number of links. `iptables`
/// follows because administrators know how to read its rules.
pub(crate) const ORDER: [BackendName; BackendName::ALL.len()] =
    [BackendName::Ipset, BackendName::Iptables, BackendName::Nftables];
/// If no backend works, this backend is used and its error is reported.
const FALLBACK: BackendName = BackendName::Iptables;
const NOTE: &str = "backend";

/// A backend that delegates to the chosen one.
pub(crate) struct Auto {
    memory: SetupCache,
    chosen: OnceCell<Chosen>,
}

/// The first backend that this host has.
struct Chosen {
    backend: Box<dyn Firewall>,
    /// Why it does not work now.
    failed: Option<Error>,
}

impl Chosen {
    fn new(backend: Box<dyn Firewall>) -> Self {
        Self { backend, failed: None }
    }
}

impl Auto {
    /// Creates the backend. `memory` holds the choice made earlier in this boot.
    pub(crate) fn new(memory: SetupCache) -> Self {
        Self { memory, chosen: OnceCell::new() }
    }

    fn backend(&self) -> &dyn Firewall {
        self.choice().backend.as_ref()
    }

    /// The backend for a change that needs one which works.
    fn working(&self) -> Result<&dyn Firewall> {
        let Chosen { backend, failed } = self.choice();
        failed.as_ref().map_or(Ok(backend.as_ref()), |error| Err(error.again()))
    }

    fn choice(&self) -> &Chosen {
        self.chosen.get_or_init(|| self.remembered().map_or_else(|| self.choose(), Chosen::new))
    }

    /// The chosen backend, or `None` if no choice was made in this boot.
    fn known(&self) -> Option<&dyn Firewall> {
        if self.chosen.get().is_none() {
            let _ = self.chosen.set(Chosen::new(self.remembered()?));
        }
        self.chosen.get().map(|chosen| chosen.backend.as_ref())
    }

    fn remembered(&self) -> Option<Box<dyn Firewall>> {
        let name = self.memory.recall(NOTE).ok()??;
        Some(open(BackendName::parse(&name).ok()?, self.memory.clone()))
    }

    fn choose(&self) -> Chosen {
        for name in ORDER {
            let backend = open(name, self.memory.clone());
            match backend.ensure_base() {
                Ok(()) => {
                    if let Err(error) = self.memory.note(NOTE, name.as_str()) {
                        log::debug!("firewall: the choice could not be stored: {error}");
                    }
                    return Chosen::new(backend);
                }
                Err(error) if error.cause.is_lack() => {
                    log::debug!("firewall: {name} is not used: {error}");
                }
                Err(error) => return Chosen { backend, failed: Some(error) },
            }
        }
        Chosen::new(open(FALLBACK, self.memory.clone()))
    }
}

impl Firewall for Auto {
    fn name(&self) -> BackendName {
        self.backend().name()
    }

    fn chosen(&self) -> Option<BackendName> {
        self.known().map(Firewall::name)
    }

    fn ensure_base(&self) -> Result<()> {
        self.working()?.ensure_base()
    }

    fn reclaim(&self) -> Result<()> {
        self.working()?.reclaim()
    }

    fn hold(&self) -> Result<()> {
        self.known().map_or(Ok(()), Firewall::hold)
    }

    fn isolate(&self, bridges: &[BridgeName], outside: &Outside) -> Result<()> {
        self.working()?.isolate(bridges, outside)
    }

    fn guard(&self, gates: &[BridgeName]) -> Result<()> {
        self.working()?.guard(gates)
    }

    fn release(&self) -> Result<()> {
        self.known().map_or(Ok(()), Firewall::release)
    }

    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        self.working()?.ensure(rules, flows)
    }

    fn prepare_crossing(&self) -> Result<()> {
        self.working()?.prepare_crossing()
    }

    fn renew(&self, owner: &OwnerTag, flows: &[Flow], lifetime: Duration) -> Result<()> {
        self.working()?.renew(owner, flows, lifetime)
    }

    fn renew_each(&self, all: &[(&OwnerTag, &[Flow])], lifetime: Duration) -> Vec<Result<()>> {
        match self.working() {
            Ok(working) => working.renew_each(all, lifetime),
            Err(error) => all.iter().map(|_| Err(error.again())).collect(),
        }
    }

    fn ensure_each(&self, changes: &[RuleChange<'_>]) -> Vec<Result<()>> {
        match self.working() {
            Ok(working) => working.ensure_each(changes),
            Err(error) => changes.iter().map(|_| Err(error.again())).collect(),
        }
    }

    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        self.backend().remove(rules)
    }

    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        self.backend().read(rules)
    }

    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        self.backend().expected(owner, flows)
    }

    fn rewrite(&self, owner: &OwnerTag, flows: &[Flow]) -> Result<()> {
        self.known().map_or(Ok(()), |known| known.rewrite(owner, flows))
    }

    fn held_chains(&self) -> Result<Vec<String>> {
        self.known().map_or_else(|| Ok(Vec::new()), Firewall::held_chains)
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        self.known().map_or_else(|| Ok(BTreeMap::new()), Firewall::owners)
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        self.known().map_or(Ok(()), |known| known.remove_owner(owner))
    }

    fn remove_all(&self) -> Result<bool> {
        self.known().map_or(Ok(false), Firewall::remove_all)
    }

    fn is_intact(&self, families: &[Family]) -> Result<bool> {
        self.known().map_or(Ok(true), |known| known.is_intact(families))
    }

    fn runs_programs(&self, family: Family) -> Result<bool> {
        self.backend().runs_programs(family)
    }

    fn walls(&self) -> Result<Walls> {
        self.known().map_or_else(|| Ok(Walls::default()), Firewall::walls)
    }
}
