//! `gc`: removes what containers left behind that nobody ended.

use super::sync::tell;
use crate::cli::Gc;
use crate::error::Result;
use crate::host::Host;
use crate::recovery;

/// One line for each thing that is, or would be, removed.
pub(crate) fn run(host: &Host, arguments: &Gc) -> Result<()> {
    if arguments.dry_run {
        return tell(&recovery::audit_dead(host)?);
    }
    let repaired = if arguments.all { recovery::end_all(host) } else { recovery::gc(host) }?;
    tell(&repaired.findings)?;
    repaired.failures.into_result()
}
