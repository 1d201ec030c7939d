//! `sync`: repairs links, rules and hosts files according to the records.

use super::warn_of_newer;
use crate::cli::Sync;
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::recovery::{self, Finding};
use std::io::{Write, stdout};

/// Prints one line for each thing that was repaired or removed. With `--check` nothing is changed, and
/// findings are an error with the status of the worst.
pub(crate) fn run(host: &Host, arguments: &Sync) -> Result<()> {
    if arguments.check {
        return check(host);
    }
    warn_of_newer(&host.store.newer()?);
    let mut repaired = recovery::sync(host)?;
    print_repaired(&repaired.findings)?;
    repaired.failures.note(recovery::peers::exchange(host));
    repaired.failures.into_result()
}

/// Prints what is wrong. Problems are an error with the status of the worst.
fn check(host: &Host) -> Result<()> {
    let recovery::Report { findings, snapshot } = recovery::report_with_sources(host)?;
    warn_of_newer(&snapshot.newer);
    let obstacles = recovery::obstacles(&snapshot.living)?;
    print(findings.iter().map(ToString::to_string))?;
    print(obstacles.iter().map(ToString::to_string))?;
    // Only the program that made a foreign chain can change it.
    let message = match (findings.len(), obstacles.len()) {
        (0, 0) => return Ok(()),
        (1, 0) => "1 problem found; run oci-link sync".to_owned(),
        (count, 0) => format!("{count} problems found; run oci-link sync"),
        (0, 1) => "1 problem found; run oci-link doctor".to_owned(),
        (0, count) => format!("{count} problems found; run oci-link doctor"),
        (ours, others) => {
            let count = ours + others;
            format!("{count} problems found; run oci-link sync, then oci-link doctor")
        }
    };
    let kind = if obstacles.is_empty() { Finding::worst(&findings) } else { None };
    Err(Error::new(kind.unwrap_or(Kind::Firewall), message))
}

/// Prints each finding behind what was done about it.
pub(crate) fn print_repaired(findings: &[Finding]) -> Result<()> {
    print(findings.iter().map(|finding| format!("{}: {finding}", finding.outcome())))
}

/// Prints `lines`, each on a line of its own.
pub(crate) fn print(lines: impl IntoIterator<Item = String>) -> Result<()> {
    let mut out = stdout().lock();
    let printed = lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
    printed.context(Kind::Internal, || "standard output")
}
