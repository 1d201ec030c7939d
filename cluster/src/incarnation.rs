//! Which machine this is: the value of the host's presence, and the lease that own records hang on.
//!
//! A courier that starts again on the same boot is the same machine and takes its lease over. A copy of
//! the machine has another boot id, or none of this in its spool.

use crate::clock::{boot_id, random_id};
use crate::spool::Spool;
use serde::{Deserialize, Serialize};
use std::io;

/// The content of `.incarnation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incarnation {
    /// The host name that it was made for.
    host: String,
    /// Boot id and a random number.
    machine: String,
    /// The lease, if there was one.
    pub(crate) lease: Option<i64>,
}

/// The value of the presence: an interface (docs/cluster.md).
#[derive(Serialize)]
struct Presence<'t> {
    v: u32,
    host: &'t str,
    incarnation: &'t str,
}

impl Incarnation {
    /// The incarnation that the spool remembers, if it is of this boot and this host name; else a new one.
    pub(crate) fn of(spool: &Spool, host: &str) -> io::Result<Self> {
        let kept = spool.incarnation().as_deref().and_then(|bytes| Self::parse(bytes, host));
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let machine = format!("{}/{}", boot_id(), random_id());
        let new = Self { host: host.to_owned(), machine, lease: None };
        new.keep(spool)?;
        Ok(new)
    }

    /// Reads the content of the file; `None` for another boot, another host and other bytes.
    pub(crate) fn parse(bytes: &[u8], host: &str) -> Option<Self> {
        let kept: Self = serde_json::from_slice(bytes).ok()?;
        (kept.host == host && kept.machine.starts_with(&boot_id())).then_some(kept)
    }

    /// Stores it in the spool.
    pub(crate) fn keep(&self, spool: &Spool) -> io::Result<()> {
        spool.set_incarnation(&serde_json::to_vec(self)?)
    }

    /// The value of the presence.
    pub(crate) fn presence(&self) -> String {
        let presence = Presence { v: 1, host: &self.host, incarnation: &self.machine };
        serde_json::to_string(&presence).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_boot_or_host_is_another_machine() {
        let machine = format!("{}/x", boot_id());
        let kept = Incarnation { host: "b".to_owned(), machine, lease: Some(7) };
        let bytes = serde_json::to_vec(&kept).unwrap();
        assert_eq!(Incarnation::parse(&bytes, "b"), Some(kept));
        assert_eq!(Incarnation::parse(&bytes, "c"), None);
        assert_eq!(Incarnation::parse(b"{}", "b"), None);
        let other = br#"{"host":"b","machine":"00000000-0000/x","lease":null}"#;
        assert_eq!(Incarnation::parse(other, "b"), None);
    }

    #[test]
    fn the_presence_is_the_documented_object() {
        let it = Incarnation { host: "b".to_owned(), machine: "x/y".to_owned(), lease: None };
        assert_eq!(it.presence(), r#"{"v":1,"host":"b","incarnation":"x/y"}"#);
    }
}
