//! `gc`: removes what dead containers left behind, whose end no poststop hook reported.

use super::sync::{print, print_repaired};
use super::warn_of_newer;
use crate::cli::Gc;
use crate::error::Result;
use crate::host::Host;
use crate::recovery;

/// Prints one line for each thing that was removed, or with `--dry-run` would be.
pub(crate) fn run(host: &Host, arguments: &Gc) -> Result<()> {
    if arguments.dry_run {
        let recovery::Report { findings, snapshot } = recovery::report_dead(host)?;
        warn_of_newer(&snapshot.newer);
        print(findings.iter().map(ToString::to_string))?;
        return print(match findings.len() {
            0 => None,
            1 => Some("1 problem found; run oci-link gc".to_owned()),
            count => Some(format!("{count} problems found; run oci-link gc")),
        });
    }
    warn_of_newer(&host.store.newer()?);
    let mut repaired = if arguments.all { recovery::end_all(host) } else { recovery::gc(host) }?;
    print_repaired(&repaired.findings)?;
    repaired.failures.note(recovery::offers::withdraw(host));
    repaired.failures.into_result()
}
