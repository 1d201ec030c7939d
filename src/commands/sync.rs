//! `sync`: repairs links, rules and hosts files according to the records.

use super::{FOUND, say_json, warn_of_newer};
use crate::cli::Sync;
use crate::error::{Context, Kind, Result};
use crate::host::Host;
use crate::model::ContainerId;
use crate::recovery::{self, Finding};
use serde_json::{Value, json};
use std::io::{Write, stderr, stdout};

/// Prints one line for each thing that was repaired or removed. With `--check` nothing is changed, and
/// the exit status is [`FOUND`] if there is something to do.
pub(crate) fn run(host: &Host, arguments: &Sync) -> Result<u8> {
    if arguments.check {
        return check(host, arguments.json);
    }
    warn_of_newer(&host.store.newer()?);
    let repaired = recovery::sync(host)?;
    print_repaired(&repaired.findings, arguments.json)?;
    repaired.failures.into_result().map(|()| 0)
}

/// Prints what is wrong, and on standard error what to do about it. Returns the exit status.
fn check(host: &Host, in_json: bool) -> Result<u8> {
    let recovery::Report { findings, snapshot } = recovery::report_with_sources(host)?;
    warn_of_newer(&snapshot.newer);
    let obstacles = recovery::obstacles(&snapshot.living)?;
    if in_json {
        let obstacles = obstacles.iter().map(|it| json!({ "text": it.to_string() }));
        say_json(&findings.iter().map(value).chain(obstacles).collect())?;
    } else {
        print(findings.iter().map(ToString::to_string))?;
        print(obstacles.iter().map(ToString::to_string))?;
    }
    // Only the program that made a foreign chain can change it.
    let message = match (findings.len(), obstacles.len()) {
        (0, 0) => return Ok(0),
        (1, 0) => "1 problem found; run oci-link sync".to_owned(),
        (count, 0) => format!("{count} problems found; run oci-link sync"),
        (0, 1) => "1 problem found; run oci-link doctor".to_owned(),
        (0, count) => format!("{count} problems found; run oci-link doctor"),
        (ours, others) => {
            let count = ours + others;
            format!("{count} problems found; run oci-link sync, then oci-link doctor")
        }
    };
    // Without a standard error the exit status tells it.
    let _ = writeln!(stderr(), "oci-link: {message}");
    Ok(FOUND)
}

/// The JSON object for a finding.
pub(super) fn value(finding: &Finding) -> Value {
    json!({
        "text": finding.to_string(),
        "container": finding.container().map(ContainerId::as_str),
    })
}

/// Prints each finding behind what was done about it.
pub(crate) fn print_repaired(findings: &[Finding], in_json: bool) -> Result<()> {
    if in_json {
        let all = findings.iter().map(|finding| {
            let mut value = value(finding);
            value["outcome"] = finding.outcome().into();
            value
        });
        return say_json(&all.collect());
    }
    print(findings.iter().map(|finding| format!("{}: {finding}", finding.outcome())))
}

/// Prints `lines`, each on a line of its own.
pub(crate) fn print(lines: impl IntoIterator<Item = String>) -> Result<()> {
    let mut out = stdout().lock();
    let printed = lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
    printed.context(Kind::Internal, || "standard output")
}
