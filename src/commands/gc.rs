//! `gc`: removes what dead containers left behind, whose end no poststop hook reported.

use super::sync::{print, print_repaired, value};
use super::{FOUND, say_json, warn_of_newer};
use crate::cli::Gc;
use crate::error::Result;
use crate::host::Host;
use crate::recovery;

/// Prints one line for each thing that was removed, or with `--dry-run` would be. With `--dry-run` the exit
/// status is [`FOUND`] if there is something to remove.
pub(crate) fn run(host: &Host, arguments: &Gc) -> Result<u8> {
    if arguments.dry_run {
        let recovery::Report { findings, snapshot } = recovery::report_dead(host)?;
        warn_of_newer(&snapshot.newer);
        if arguments.json {
            say_json(&findings.iter().map(value).collect())?;
        } else {
            print(findings.iter().map(ToString::to_string))?;
            print(match findings.len() {
                0 => None,
                1 => Some("1 problem found; run oci-link gc".to_owned()),
                count => Some(format!("{count} problems found; run oci-link gc")),
            })?;
        }
        return Ok(if findings.is_empty() { 0 } else { FOUND });
    }
    warn_of_newer(&host.store.newer()?);
    let mut repaired = if arguments.all { recovery::end_all(host) } else { recovery::gc(host) }?;
    print_repaired(host, &repaired.findings, arguments.json)?;
    repaired.failures.note(recovery::offers::withdraw(host));
    repaired.failures.into_result().map(|()| 0)
}
