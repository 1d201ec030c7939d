//! Rules that let exactly one container talk to exactly the exposed ports of another.
//!
//! One seam, one choice point: [`select`]. A further backend is one file and one line there.

mod auto;
mod elements;
pub(crate) mod ipset;
pub(crate) mod iptables;
mod isolation;
pub(crate) mod nftables;
mod none;
pub(crate) mod probe;
mod setup_cache;
pub(crate) mod xtables;

use crate::error::{Error, Kind, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
pub use isolation::isolate;
pub use setup_cache::SetupCache;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The rules of one owner.
#[derive(Debug, Clone, Copy)]
pub struct OwnerScope<'a> {
    /// Whose they are.
    pub owner: &'a OwnerTag,
    /// All that may be there already, from the record, which is written before any rule is made.
    /// What it names in excess costs time, never a rule.
    pub before: &'a [Flow],
}

/// An owner's rules as they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledRules {
    /// In the backend's own words; none that no packet gets to.
    pub lines: Vec<String>,
    /// What they permit, or would if packets got to them.
    pub flows: Vec<Flow>,
}

/// A packet filter of the host. Every rule it makes carries its owner's tag, and is found by it.
pub trait Firewall {
    /// As the record names it.
    fn name(&self) -> BackendName;
    /// The same, if it is known by now: to choose one makes what it needs.
    fn chosen(&self) -> Option<BackendName> {
        Some(self.name())
    }
    /// Makes what is nobody's in particular, as far as it is missing: chains, sets, isolation. What
    /// was remembered of it does not count: somebody may have flushed it.
    fn ensure_base(&self) -> Result<()>;
    /// Keeps containers of `bridges` from reaching each other except by links, and those of no
    /// other bridge. Costs nothing if it was done before. Callers use [`isolate`], which also ends
    /// the isolation by another backend.
    fn isolate(&self, bridges: &[BridgeName]) -> Result<()>;
    /// Makes the owner's rules permit exactly `flows`: all of them, or nothing has changed. Doing
    /// it twice is doing it once.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()>;
    /// Removes all of the owner's rules. Rules that are not there are removed already.
    fn remove(&self, rules: OwnerScope<'_>) -> Result<()>;
    /// The owner's rules as the kernel has them, in the backend's own words.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>>;
    /// What [`Firewall::read`] would say if the rules permitted exactly `flows`.
    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String>;
    /// Whose rules there are, and which, whatever any record says.
    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>>;
    /// Removes whatever carries the owner's tag, by what is there.
    fn remove_owner(&self, owner: &OwnerTag) -> Result<()>;
    /// Removes all that it ever made, whoever's it is. What is not there is removed already.
    fn remove_all(&self) -> Result<()>;
    /// Whether [`Firewall::ensure_base`] would find nothing to do.
    fn is_intact(&self) -> Result<bool>;
    /// Whether it would run programs to change rules of a family, as things stand.
    fn runs_programs(&self, _: Family) -> Result<bool> {
        Ok(false)
    }
    /// The bridges that it remembers to isolate.
    fn isolated(&self) -> Result<Vec<BridgeName>>;
}

/// Which backend config.toml asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The first that the host can do.
    #[default]
    Auto,
    /// This one.
    Fixed(BackendName),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "the first that this host supports",
            Self::Fixed(_) => "as config.toml says",
        })
    }
}

/// The choice point of this seam. `memory` is where a backend keeps what it set up.
pub fn select(choice: Choice, memory: SetupCache) -> Box<dyn Firewall> {
    match choice {
        Choice::Auto => Box::new(auto::Auto::new(memory)),
        Choice::Fixed(name) => open(name, memory),
    }
}

fn open(name: BackendName, memory: SetupCache) -> Box<dyn Firewall> {
    match name {
        BackendName::None => Box::new(none::NoFirewall),
        BackendName::Ipset => Box::new(ipset::Ipset::new(memory)),
        BackendName::Iptables => Box::new(iptables::Iptables::new(memory)),
        BackendName::Nftables => Box::new(nftables::Nftables::new(memory)),
    }
}

/// Whether rules of ours, or those that decide before them, may be in a table of this name: in
/// iptables', which is the same in both families, or in our own.
pub(crate) fn concerns(table: &str) -> bool {
    table == "filter" || table.starts_with("oci-link")
}

/// The families that this host speaks.
fn host_families() -> impl Iterator<Item = Family> {
    let v6 = Path::new("/proc/net/if_inet6").exists().then_some(Family::V6);
    [Family::V4].into_iter().chain(v6)
}

/// An error of the firewall's.
fn failed(message: String) -> Error {
    Error::new(Kind::Firewall, message)
}
