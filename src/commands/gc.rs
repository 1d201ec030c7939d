//! `gc`: removes what dead containers left behind, whose end no poststop hook reported.

use super::sync::tell;
use crate::cli::Gc;
use crate::error::Result;
use crate::host::Host;
use crate::recovery;

/// Prints one line for each thing that was removed, or with `--dry-run` would be.
pub(crate) fn run(host: &Host, arguments: &Gc) -> Result<()> {
    if arguments.dry_run {
        return tell(&recovery::audit_dead(host)?);
    }
    let repaired = if arguments.all { recovery::end_all(host) } else { recovery::gc(host) }?;
    tell(&repaired.findings)?;
    repaired.failures.into_result()
}
