//! `sync`: repairs links, rules and hosts files according to the records.

use crate::cli::Sync;
use crate::error::{Context, Error, Kind, Result};
use crate::host::Host;
use crate::recovery::{self, Finding};
use std::io::{Write, stdout};

/// Prints one line for each thing that was repaired. With `--check` nothing is repaired, and
/// findings are an error with the status of the worst.
pub(crate) fn run(host: &Host, arguments: &Sync) -> Result<()> {
    if arguments.check {
        let findings = recovery::audit(host)?;
        tell(&findings)?;
        return match Finding::worst(&findings) {
            Some(kind) => {
                let message = format!("not as the records say: {}", findings.len());
                Err(Error::new(kind, message))
            }
            None => Ok(()),
        };
    }
    let repaired = recovery::sync(host)?;
    tell(&repaired.findings)?;
    repaired.failures.into_result()
}

/// Prints one line for each finding.
pub(crate) fn tell(findings: &[Finding]) -> Result<()> {
    let mut out = stdout().lock();
    let told = findings.iter().try_for_each(|finding| writeln!(out, "{finding}"));
    told.context(Kind::Internal, || "standard output")
}
