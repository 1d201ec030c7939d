//! The packet filter backends, in memory.

use super::Journal;
use crate::error::{Kind, Result};
use crate::firewall::walls::Walls;
use crate::firewall::{Firewall, InstalledRules, Outside, OwnerScope};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The rules and connections that the kernel would hold, shared by all backends.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// The flows of each owner's rules, by backend.
    pub(crate) rules: BTreeMap<(&'static str, OwnerTag), Vec<Flow>>,
    /// Backends whose shared parts are damaged.
    pub(crate) damaged: BTreeSet<&'static str>,
    /// The isolated bridges.
    pub(crate) isolated: Vec<BridgeName>,
    /// The bridges with isolated containers.
    pub(crate) guarded: Vec<BridgeName>,
    /// The tracked connections, one for each permitted flow that was used.
    pub(crate) connections: Vec<Flow>,
    /// Whether a change of rules runs programs.
    pub(crate) runs_programs: bool,
    /// The containers' names, for the journal.
    pub(crate) names: BTreeMap<OwnerTag, String>,
}

impl Kernel {
    fn name_of(&self, owner: &OwnerTag) -> String {
        self.names.get(owner).cloned().unwrap_or_else(|| owner.to_string())
    }
}

/// One backend. It refuses nothing by itself; the journal decides which call fails.
pub(crate) struct MemoryFirewall {
    name: BackendName,
    journal: Journal,
    kernel: Rc<RefCell<Kernel>>,
}

impl MemoryFirewall {
    /// The backend `name` of `kernel`.
    pub(crate) fn new(name: BackendName, journal: &Journal, kernel: &Rc<RefCell<Kernel>>) -> Self {
        Self { name, journal: journal.clone(), kernel: Rc::clone(kernel) }
    }

    fn key(&self, owner: &OwnerTag) -> (&'static str, OwnerTag) {
        (self.name.as_str(), owner.clone())
    }

    fn call<T>(&self, text: &str, act: impl FnOnce(&mut Kernel) -> T) -> Result<T> {
        self.journal.call(Kind::Firewall, text, || Ok(act(&mut self.kernel.borrow_mut())))
    }

    /// A call that is about one owner and changes its rules.
    fn change(&self, what: &str, owner: &OwnerTag, act: impl FnOnce(&mut Kernel)) -> Result<()> {
        let text = format!("{what} {}", self.kernel.borrow().name_of(owner));
        self.call(&text, |kernel| {
            let before = kernel.rules.clone();
            act(kernel);
            if kernel.rules != before {
                self.journal.changed(text.clone());
            }
        })
    }

    fn lines(flows: &[Flow]) -> Vec<String> {
        flows.iter().map(ToString::to_string).collect()
    }
}

impl Firewall for MemoryFirewall {
    fn name(&self) -> BackendName {
        self.name
    }

    fn ensure_base(&self) -> Result<()> {
        let text = format!("ensure_base {}", self.name);
        self.call(&text, |kernel| {
            if kernel.damaged.remove(self.name.as_str()) {
                self.journal.changed(text.clone());
            }
        })
    }

    fn isolate(&self, bridges: &[BridgeName], _: &Outside) -> Result<()> {
        self.call("isolate", |kernel| {
            if kernel.isolated != bridges {
                bridges.clone_into(&mut kernel.isolated);
                self.journal.changed("isolate".to_owned());
            }
        })
    }

    fn guard(&self, gates: &[BridgeName]) -> Result<()> {
        self.call("guard", |kernel| kernel.guarded.extend(gates))
    }

    fn release(&self) -> Result<()> {
        self.call("release", |kernel| {
            kernel.isolated.clear();
            kernel.guarded.clear();
        })
    }

    /// Rules that `before` does not name stay, so that a test notices a caller that forgets them.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()> {
        self.change(&format!("ensure {} for", flows.len()), rules.owner, |kernel| {
            let mut now = kernel.rules.remove(&self.key(rules.owner)).unwrap_or_default();
            now.retain(|flow| !rules.before.contains(flow) && !flows.contains(flow));
            now.extend(flows);
            if !now.is_empty() {
                kernel.rules.insert(self.key(rules.owner), now);
            }
        })
    }

    fn renew(&self, owner: &OwnerTag, flows: &[Flow], _: Duration) -> Result<()> {
        self.change("renew", owner, |kernel| {
            let now = kernel.rules.entry(self.key(owner)).or_default();
            now.extend(flows.iter().filter(|flow| flow.crosses()));
            now.sort_by_key(ToString::to_string);
            now.dedup();
        })
    }

    /// Rules that `before` does not name stay, as with [`MemoryFirewall::ensure`].
    fn remove(&self, rules: OwnerScope<'_>) -> Result<()> {
        self.change("remove", rules.owner, |kernel| {
            let mut now = kernel.rules.remove(&self.key(rules.owner)).unwrap_or_default();
            now.retain(|flow| !rules.before.contains(flow));
            if !now.is_empty() {
                kernel.rules.insert(self.key(rules.owner), now);
            }
        })
    }

    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>> {
        self.call("read", |kernel| {
            kernel.rules.get(&self.key(rules.owner)).map(|flows| Self::lines(flows))
        })
        .map(Option::unwrap_or_default)
    }

    fn expected(&self, _: &OwnerTag, flows: &[Flow]) -> Vec<String> {
        Self::lines(flows)
    }

    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>> {
        self.call(&format!("owners {}", self.name), |kernel| {
            let own =
                kernel.rules.iter().filter(|((backend, _), _)| *backend == self.name.as_str());
            let installed = |flows: &Vec<Flow>| InstalledRules {
                lines: Self::lines(flows),
                flows: flows.clone(),
            };
            own.map(|((_, owner), flows)| (owner.clone(), installed(flows))).collect()
        })
    }

    fn remove_owner(&self, owner: &OwnerTag) -> Result<()> {
        self.change("remove_owner", owner, |kernel| {
            kernel.rules.remove(&self.key(owner));
        })
    }

    fn remove_all(&self) -> Result<bool> {
        self.call(&format!("remove_all {}", self.name), |kernel| {
            let before = kernel.rules.len();
            kernel.rules.retain(|(backend, _), _| *backend != self.name.as_str());
            kernel.rules.len() < before
        })
    }

    fn is_intact(&self, _: &[Family]) -> Result<bool> {
        let text = format!("is_intact {}", self.name);
        self.call(&text, |kernel| !kernel.damaged.contains(self.name.as_str()))
    }

    fn runs_programs(&self, _: Family) -> Result<bool> {
        self.call("runs_programs", |kernel| kernel.runs_programs)
    }

    fn drop_connections(&self, flows: &[Flow]) -> Result<()> {
        let text = format!("drop_connections {}", flows.len());
        self.call(&text, |kernel| {
            kernel.connections.retain(|flow| !flows.contains(flow));
            self.journal.changed(text.clone());
        })
    }

    fn walls(&self) -> Result<Walls> {
        self.call("walls", |kernel| Walls {
            bridges: kernel.isolated.clone(),
            gates: kernel.guarded.clone(),
            ..Walls::default()
        })
    }
}
