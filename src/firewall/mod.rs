//! Rules that let exactly one container talk to exactly the exposed ports of another.
//!
//! One seam, one choice point: [`select`]. A further backend is one file and one line there.

mod iptables;
mod none;

use crate::error::{Error, Kind, Result};
use crate::model::{BackendName, Flow, OwnerTag};
use crate::sys::directory::Directory;

/// The rules of one owner.
#[derive(Debug, Clone, Copy)]
pub struct Ruleset<'a> {
    /// Whose they are.
    pub owner: &'a OwnerTag,
    /// What may be there already, from the record. It says which tables to look at and what to
    /// try first; a wrong hint costs time, never a rule.
    pub before: &'a [Flow],
}

/// A packet filter of the host. Every rule it makes carries its owner's tag, and is found by it.
pub trait Firewall {
    /// As the record names it.
    fn name(&self) -> BackendName;
    /// Makes the owner's rules permit exactly `flows`: all of them, or nothing has changed. Doing
    /// it twice is doing it once.
    fn ensure(&self, rules: Ruleset<'_>, flows: &[Flow]) -> Result<()>;
    /// Removes all of the owner's rules. Rules that are not there are removed already.
    fn remove(&self, rules: Ruleset<'_>) -> Result<()>;
    /// The owner's rules as the kernel has them, in the backend's own words.
    fn read(&self, rules: Ruleset<'_>) -> Result<Vec<String>>;
    /// What [`Firewall::read`] would say if the rules permitted exactly `flows`.
    fn expected(&self, owner: &OwnerTag, flows: &[Flow]) -> Vec<String>;
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

/// The choice point of this seam. `state` is where a backend may remember what it set up.
pub fn select(choice: Choice, state: Directory, boot: u128) -> Result<Box<dyn Firewall>> {
    match choice {
        Choice::Fixed(BackendName::None) => Ok(Box::new(none::NoFirewall)),
        Choice::Fixed(BackendName::Iptables) | Choice::Auto => {
            Ok(Box::new(iptables::Iptables::new(state, boot)?))
        }
    }
}

/// An error of the firewall's.
fn failed(message: String) -> Error {
    Error::new(Kind::Firewall, message)
}
