//! Whether this process is in its own network namespace.
//!
//! It enters those of containers to read their addresses, and returns at once. If the return fails, rules
//! would be changed in the container's namespace, so no socket for them is opened and no program is run.

use crate::error::{Error, Kind, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static HERE: Presence = Presence(AtomicBool::new(true));

struct Presence(AtomicBool);

impl Presence {
    fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = "the network namespace of a container could not be left: nothing is changed";
        Err(Error::new(Kind::Namespace, message))
    }
}

/// Remembers that this process could not return to its own network namespace.
pub(crate) fn is_lost() {
    HERE.0.store(false, Ordering::Relaxed);
}

/// Fails if this process could not return to its own network namespace.
pub(crate) fn must_be_ours() -> Result<()> {
    HERE.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_in_the_namespace_of_a_container() {
        let here = Presence(AtomicBool::new(true));
        assert!(here.check().is_ok());
        here.0.store(false, Ordering::Relaxed);
        assert_eq!(here.check().unwrap_err().kind, Kind::Namespace);
    }
}
