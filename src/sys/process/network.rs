//! Whether this process is in the network namespace that has the bridges and the rules.
//!
//! It enters those of containers to read their addresses, and returns at once. If the return fails, rules
//! would be changed in the container's namespace, so no socket for them is opened and no program is run. A
//! user without a network namespace for bridges has no rules at all.

use crate::error::{Error, Kind, Result};
use std::sync::atomic::{AtomicU8, Ordering};

static HERE: Presence = Presence(AtomicU8::new(IN_SITE));

const IN_SITE: u8 = 0;
const LOST: u8 = 1;
const NO_SITE: u8 = 2;

struct Presence(AtomicU8);

impl Presence {
    fn check(&self) -> Result<()> {
        let message = match self.0.load(Ordering::Relaxed) {
            IN_SITE => return Ok(()),
            NO_SITE => "the engine of this user has no network namespace with bridges",
            _ => "the network namespace of a container could not be left: nothing is changed",
        };
        Err(Error::new(Kind::Namespace, message))
    }
}

/// Remembers that this process could not return to its own network namespace.
pub(crate) fn is_lost() {
    HERE.0.store(LOST, Ordering::Relaxed);
}

/// Remembers that there is no network namespace with bridges.
pub(crate) fn has_no_site() {
    HERE.0.store(NO_SITE, Ordering::Relaxed);
}

/// Remembers that this process has entered the network namespace with the bridges.
pub(crate) fn is_in_site() {
    HERE.0.store(IN_SITE, Ordering::Relaxed);
}

/// Fails if this process is not in the network namespace that has the bridges.
pub(crate) fn must_be_ours() -> Result<()> {
    HERE.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_in_the_namespace_of_a_container() {
        let here = Presence(AtomicU8::new(IN_SITE));
        assert!(here.check().is_ok());
        for elsewhere in [LOST, NO_SITE] {
            here.0.store(elsewhere, Ordering::Relaxed);
            assert_eq!(here.check().unwrap_err().kind, Kind::Namespace);
        }
    }
}
