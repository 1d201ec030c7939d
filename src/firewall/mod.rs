//! Firewall rules that let one container reach the exposed ports of another, and nothing else.
//!
//! A backend implements [`Firewall`]; [`select`] chooses one. ARCHITECTURE.md lists what a new
//! backend needs.

mod across;
mod auto;
pub(crate) mod bridge;
mod elements;
pub(crate) mod foreign;
pub(crate) mod ipset;
pub(crate) mod iptables;
mod isolation;
pub(crate) mod nftables;
mod none;
mod outside;
pub(crate) mod probe;
mod setup_cache;
mod strays;
pub(crate) mod walls;
pub(crate) mod xtables;

use crate::error::{Error, Kind, Result};
use crate::model::{BackendName, BridgeName, Family, Flow, OwnerTag};
use crate::sys::net::conntrack;
use across::stays_here;
pub use isolation::isolate;
pub use outside::Outside;
pub use setup_cache::SetupCache;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use walls::Walls;

/// The owner of a set of rules, and the rules that may exist.
#[derive(Debug, Clone, Copy)]
pub struct OwnerScope<'a> {
    /// Tag of the recipient instance that the rules belong to.
    pub owner: &'a OwnerTag,
    /// All flows for which rules may exist.
    ///
    /// They come from the record, which is written before any rule is created. A flow in this list
    /// that has no rules costs time but does no harm.
    pub before: &'a [Flow],
    /// How long the rules for flows between hosts last from now. A backend refuses such flows without it.
    /// All other rules last until they are removed.
    pub lifetime: Option<Duration>,
}

impl<'a> OwnerScope<'a> {
    /// The owner of rules on this host only.
    pub fn new(owner: &'a OwnerTag, before: &'a [Flow]) -> Self {
        Self { owner, before, lifetime: None }
    }
}

/// When rules that are removed must have stopped to permit packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// When the change returns: both ends of a flow may be running.
    AtOnce,
    /// When the host lock has been released, a tick of the kernel's clock later (10 ms at most): a container at
    /// one end of each of these flows is gone. `nf_tables` removes them without a delay then.
    Soon,
}

/// A change of the rules of one owner.
#[derive(Debug, Clone, Copy)]
pub struct RuleChange<'a> {
    /// The owner, and the rules that may exist.
    pub rules: OwnerScope<'a>,
    /// What the rules permit afterwards.
    pub flows: &'a [Flow],
    /// When the others must have stopped to permit packets.
    pub removal: Removal,
}

/// The rules of one owner as found in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledRules {
    /// The rules in the backend's own notation. Rules that no packet can reach are left out.
    pub lines: Vec<String>,
    /// The flows that the rules permit, including those of unreachable rules.
    pub flows: Vec<Flow>,
}

/// A packet filter backend. Each rule carries the tag of its owner and can be found by it.
pub trait Firewall {
    /// The name that the record stores.
    fn name(&self) -> BackendName;
    /// The backend's name, or `None` if `auto` has not chosen one yet.
    ///
    /// Unlike [`Firewall::name`], this never triggers the choice, which would set up a backend.
    fn chosen(&self) -> Option<BackendName> {
        Some(self.name())
    }
    /// Creates what is missing of the parts that all owners share: chains, sets and isolation.
    ///
    /// Reads the kernel's state and ignores the setup cache, because another process may have
    /// flushed the rules.
    fn ensure_base(&self) -> Result<()>;
    /// As [`Firewall::ensure_base`], and removes rules of other programs from our chains, but the administrator's.
    ///
    /// Fails if our rules are in place and packets pass by all the same.
    fn reclaim(&self) -> Result<()> {
        self.ensure_base()
    }
    /// Restores the isolation of bridges if it seems to be missing. A quick check, for the start of a container
    /// with links.
    fn hold(&self) -> Result<()> {
        Ok(())
    }
    /// Isolates exactly `bridges`: their containers reach each other by links only, and so do those of `outside` and
    /// containers of other hosts.
    ///
    /// Does nothing if it was done before. Callers use [`isolate`], which also ends the isolation
    /// by another backend.
    fn isolate(&self, bridges: &[BridgeName], outside: &Outside) -> Result<()>;
    /// Judges the packets of isolated containers on `gates` too: the bridge table marks them.
    ///
    /// Does nothing if it was done before. Requires the host lock.
    fn guard(&self, gates: &[BridgeName]) -> Result<()>;
    /// Ends all isolation, because another backend isolates from now on.
    fn release(&self) -> Result<()>;
    /// Changes the owner's rules to permit exactly `flows`. On an error nothing has changed.
    ///
    /// Idempotent. Requires the host lock.
    fn ensure(&self, rules: OwnerScope<'_>, flows: &[Flow]) -> Result<()>;
    /// Creates what flows between hosts need of the parts that all owners share. [`Firewall::ensure`] does so too with
    /// the first such flow, but a process that may not run programs cannot with ipset.
    fn prepare_crossing(&self) -> Result<()> {
        Ok(())
    }
    /// Lets the owner's rules for those of `flows` that are between hosts last for `lifetime` from now. Missing ones
    /// are made. No packet is lost meanwhile.
    fn renew(&self, _: &OwnerTag, flows: &[Flow], _: Duration) -> Result<()> {
        stays_here(flows)
    }
    /// Renews the rules of several owners as [`Firewall::renew`] does. Returns the outcome of each, in the same order.
    fn renew_each(&self, all: &[(&OwnerTag, &[Flow])], lifetime: Duration) -> Vec<Result<()>> {
        all.iter().map(|(owner, flows)| self.renew(owner, flows, lifetime)).collect()
    }
    /// Changes the rules of several owners as [`Firewall::ensure`] does. Returns the outcome of each, in the
    /// same order. After an error the rules are those before or after, or some of both.
    fn ensure_each(&self, changes: &[RuleChange<'_>]) -> Vec<Result<()>> {
        changes.iter().map(|change| self.ensure(change.rules, change.flows)).collect()
    }
    /// Removes all rules of the owner, which has ended. Missing rules are not an error. They are gone when the
    /// host lock has been released (`Removal::Soon`).
    fn remove(&self, rules: OwnerScope<'_>) -> Result<()>;
    /// The owner's rules as the kernel has them, in the backend's own notation.
    fn read(&self, rules: OwnerScope<'_>) -> Result<Vec<String>>;
    /// The lines that [`Firewall::read`] returns if the rules permit exactly `flows`.
    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String>;
    /// Makes the rules with the owner's tag those for `flows`, whatever a listing shows of them. Does nothing where
    /// [`Firewall::ensure`] does so too.
    fn rewrite(&self, _: &OwnerTag, _: &[Flow]) -> Result<()> {
        Ok(())
    }
    /// Says of each empty chain of an ended container why it cannot be deleted.
    fn held_chains(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// All owners that have rules, with their rules, independent of any record.
    fn owners(&self) -> Result<BTreeMap<OwnerTag, InstalledRules>>;
    /// Removes all rules with the owner's tag, found by a listing.
    fn remove_owner(&self, owner: &OwnerTag) -> Result<()>;
    /// Removes everything that the backend created, for all owners, and returns whether there was
    /// anything. Missing parts are not an error.
    fn remove_all(&self) -> Result<bool>;
    /// Whether [`Firewall::ensure_base`] would change nothing that rules of `families` need.
    fn is_intact(&self, families: &[Family]) -> Result<bool>;
    /// Whether changing rules of a family would run programs in the current state.
    fn runs_programs(&self, family: Family) -> Result<bool>;
    /// Ends the tracked connections that only `flows` permitted.
    fn drop_connections(&self, flows: &[Flow]) -> Result<()> {
        conntrack::drop_connections(flows)
    }
    /// What is isolated according to the setup cache.
    fn walls(&self) -> Result<Walls>;
}

/// The backend that config.toml asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The first backend that works on this host.
    #[default]
    Auto,
    /// The named backend.
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

/// Creates the backend for `choice`. `memory` is the cache of what a backend has set up.
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

/// Whether a change in a table of this name can concern links.
///
/// True for `filter`, the table of iptables in both families, and for our own tables.
pub(crate) fn concerns(table: &str) -> bool {
    table == "filter" || table.starts_with("oci-link")
}

/// The address families that this host supports. Without IPv6 (`ipv6.disable=1`) the kernel has neither file.
///
/// The settings are found sooner, but may be hidden (`ProcSubset=pid` of systemd). Isolation needs the truth.
pub(crate) fn host_families() -> impl Iterator<Item = Family> {
    let has_v6 =
        ["/proc/sys/net/ipv6", "/proc/net/if_inet6"].iter().any(|it| Path::new(it).exists());
    let v6 = has_v6.then_some(Family::V6);
    [Family::V4].into_iter().chain(v6)
}

/// A firewall error with this message.
fn failed(message: String) -> Error {
    Error::new(Kind::Firewall, message)
}
