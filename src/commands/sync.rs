//! `sync`: repairs links, rules and hosts files according to the records.

use crate::cli::Sync;
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::recovery::{self, Finding};
use std::io::{Write, stdout};

/// Prints one line for each thing that was repaired or removed. With `--check` nothing is changed, and
/// findings are an error with the status of the worst.
pub(crate) fn run(host: &Host, arguments: &Sync) -> Result<()> {
    if arguments.check {
        let findings = recovery::audit(host)?;
        print(findings.iter().map(ToString::to_string))?;
        return match Finding::worst(&findings) {
            Some(kind) => {
                let message = match findings.len() {
                    1 => "1 problem found; run oci-link sync".to_owned(),
                    count => format!("{count} problems found; run oci-link sync"),
                };
                Err(Error::new(kind, message))
            }
            None => Ok(()),
        };
    }
    let repaired = recovery::sync(host)?;
    print_repaired(&repaired.findings)?;
    repaired.failures.into_result()
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
