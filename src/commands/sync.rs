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
    let mut repaired = recovery::sync(host)?;
    print_repaired(host, &repaired.findings, arguments.json)?;
    repaired.failures.note(recovery::peers::exchange(host));
    repaired.failures.into_result().map(|()| 0)
}

/// Prints what is wrong, and on standard error what to do about it. Returns the exit status.
fn check(host: &Host, in_json: bool) -> Result<u8> {
    let recovery::Report { findings, snapshot } = recovery::report_with_sources(host)?;
    warn_of_newer(&snapshot.newer);
    let obstacles = recovery::obstacles(&snapshot.living)?;
    if in_json {
        let obstacles = obstacles.iter().map(|obstacle| object(&obstacle.to_string(), None));
        let held = recovery::held_chains(host).into_iter().map(|held| kept(&held));
        say_json(&findings.iter().map(value).chain(obstacles).chain(held).collect())?;
    } else {
        print(findings.iter().map(ToString::to_string))?;
        print(obstacles.iter().map(ToString::to_string))?;
        print(recovery::held_chains(host).iter().map(|held| format!("{KEPT}: {held}")))?;
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
    object(&finding.to_string(), finding.container())
}

fn object(text: &str, container: Option<&ContainerId>) -> Value {
    json!({ "text": text, "container": container.map(ContainerId::as_str) })
}

fn with_outcome(mut value: Value, outcome: &str) -> Value {
    value["outcome"] = outcome.into();
    value
}

/// Prints each finding behind what was done about it, and why empty chains of ended containers stay. Those permit
/// nothing, so they are no problem.
pub(crate) fn print_repaired(host: &Host, findings: &[Finding], in_json: bool) -> Result<()> {
    let held = recovery::held_chains(host).into_iter();
    if in_json {
        let all = findings.iter().map(|finding| with_outcome(value(finding), finding.outcome()));
        return say_json(&all.chain(held.map(|held| kept(&held))).collect());
    }
    print(findings.iter().map(|finding| format!("{}: {finding}", finding.outcome())))?;
    print(held.map(|held| format!("{KEPT}: {held}")))
}

/// What is said about an empty chain of an ended container.
const KEPT: &str = "kept";

fn kept(held: &str) -> Value {
    with_outcome(object(held, None), KEPT)
}

/// Prints `lines`, each on a line of its own.
pub(crate) fn print(lines: impl IntoIterator<Item = String>) -> Result<()> {
    let mut out = stdout().lock();
    let printed = lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
    printed.context(Kind::Internal, || "standard output")
}
