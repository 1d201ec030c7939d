//! The log: lines on standard error, which systemd puts into the journal.

use crate::error::one_line;
use std::io::Write;

/// Writes one line. A closed standard error is not an error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "oci-link-cluster: {}", one_line(text));
}
