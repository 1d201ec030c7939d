//! Decides whether a failure of ours concerns a container: the one place for hook, wrapper and
//! precreate.
//!
//! A container that asks for links or isolation gets them or does not start. Every other container
//! starts, and every container ends, whatever fails here: the failure is logged.

use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, Record};
use crate::oci::annotations::declares_links;
use crate::sys::file;
use crate::sys::process::is_confined;
use crate::sys::site::{Whose, whose};
use std::path::Path;

/// The largest config.json that is searched for our annotations, in bytes.
const MAX_CONFIG: u64 = 64 << 20;

/// Whether a container asks for something of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concern {
    /// It has a usable annotation `links` or `isolate`.
    Linked,
    /// All others.
    Unlinked,
}

impl Concern {
    /// Whether a container that was read successfully is isolated, or has links besides those that only
    /// its engine declares.
    pub(crate) fn of_record(record: &Record) -> Self {
        if record.needs_us() { Self::Linked } else { Self::Unlinked }
    }

    /// Reads the annotations in the text of a config.json. Never fails.
    pub(crate) fn of_text(config: &[u8]) -> Self {
        if declares_links(config) { Self::Linked } else { Self::Unlinked }
    }

    /// Reads the annotations in a config.json. A file that cannot be read has none: the runtime cannot
    /// read it either.
    pub(crate) fn of_file(config: &Path) -> Self {
        Self::of_text(&file::read_followed(config, MAX_CONFIG).unwrap_or_default())
    }

    /// Settles a failure of our part of a start. `name` is the container in the log line.
    pub(crate) fn settle(self, name: &str, failed: Error) -> Result<()> {
        match self {
            Self::Linked => Err(match needs(&failed) {
                Some(message) => Error::new(failed.kind, message).because(failed.cause),
                None => failed,
            }),
            Self::Unlinked => {
                // Without root on the host this is the rule, and no problem of the host.
                let level = match needs(&failed) {
                    Some(_) => log::Level::Debug,
                    None => log::Level::Warn,
                };
                let name = brief(name);
                log::log!(
                    level,
                    "{name}: starts, but is not recorded; run oci-link doctor: {failed}"
                );
                Ok(())
            }
        }
    }
}

/// The failure with what a caller without root on the host lacks, if that may be the reason.
fn needs(failed: &Error) -> Option<String> {
    match whose() {
        Whose::Engine { uid, has_network: false } if failed.kind == Kind::State => Some(format!(
            "{failed}: links of user {uid} need the directory /run/user/{uid} of that user"
        )),
        Whose::Engine { .. } => None,
        Whose::Root | Whose::Shell { .. } => is_confined()
            .then(|| format!("{failed}: links need root on the host: start it as root")),
    }
}

/// The id of a container in a log line, also one that is not valid.
pub(crate) fn brief(id: &str) -> String {
    ContainerId::new(id).map_or_else(|_| id.escape_debug().to_string(), |id| id.brief())
}

/// Settles a failure of our part of an end. `name` is the container in the log line.
pub(crate) fn settle_end(name: &str, failed: &Error) {
    let name = brief(name);
    log::error!("{name}: its links could not be removed; run oci-link gc: {failed}");
}
