//! The links of running containers: what `sync` and `gc` would find.

use super::check::{Check, Fix, advice};
use super::{HostContext, carried, lost};
use crate::config::Config;
use crate::error::Cause;
use crate::host::Host;
use crate::lifecycle::home::open_at_home;
use crate::model::Record;
use crate::recovery::Finding;
use crate::store::{self, NewerRecord};
use crate::sys::private_dir::Directory;

const SUBJECT: &str = "links";
/// Findings that are listed; one cause may break a thousand links.
const SHOWN: usize = 20;

/// Opens the host if there are records. `Host::open` creates missing directories, and `doctor` changes
/// nothing.
pub(crate) fn open(config: &Config, state: Option<&Directory>) -> (Option<Host>, Option<Check>) {
    if !state.is_some_and(store::is_there) {
        return (None, None);
    }
    match open_at_home(|| Host::open(config.clone())) {
        Ok(host) => (Some(host), None),
        Err(error) => {
            let fix = advice("remove what is not a directory of oci-link there");
            (None, Some(Check::fault(SUBJECT, error.to_string(), fix)))
        }
    }
}

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    if context.host.is_none() {
        return without_records(context);
    }
    let mut checks: Vec<Check> = context.newer.iter().map(newer).collect();
    checks.extend(audited(context));
    checks.extend(context.running.iter().flat_map(started_too_early));
    checks.extend(carried::examine(context));
    checks
}

/// Containers that started before a source and lack its variables.
fn started_too_early(record: &Record) -> impl Iterator<Item = Check> + '_ {
    record.links.iter().filter(|link| record.lacks_variables(&link.link.alias)).map(|link| {
        let (name, source, alias) = (&record.name, &link.link.source, &link.link.alias);
        let cause = format!("{name} started before {source}: it lacks the variables of {alias}");
        Check::warning(SUBJECT, cause, advice(format!("restart {name} while {source} runs")))
    })
}

fn audited(context: &HostContext) -> Vec<Check> {
    let found = context.findings.as_ref().map(|findings| {
        let is_shared = |it: &Finding| matches!(it, Finding::Base(_) | Finding::Isolation);
        let is_idle = context.is_idle();
        let counts = |finding: &&Finding| !(is_idle && is_shared(finding));
        findings.iter().filter(counts).collect::<Vec<_>>()
    });
    match found {
        Ok(findings) if findings.is_empty() => {
            let count = context.running.len();
            vec![Check::ok(
                SUBJECT,
                format!("{count} containers: rules and hosts files match their records"),
            )]
        }
        Ok(findings) => checks_of(context, &findings),
        Err(error) => {
            let fix = match error.cause {
                // A repair from here would take what it cannot see for lost.
                Cause::OtherNetwork(_) | Cause::OtherProcesses => {
                    advice("run oci-link doctor on the host, outside of any container")
                }
                _ => Fix::from(context.call("sync")),
            };
            vec![Check::fault(SUBJECT, error.to_string(), fix)]
        }
    }
}

/// A record that only a newer oci-link reads.
fn newer(newer: &NewerRecord) -> Check {
    let cause = format!("{}: it and its rules stay as they are", newer.reason);
    Check::warning("newer record", cause, advice("install the oci-link that wrote it"))
}

fn checks_of(context: &HostContext, findings: &[&Finding]) -> Vec<Check> {
    let lost = lost::examine(context, findings.iter().copied());
    let is_orphaned = |finding: &Finding| matches!(finding, Finding::Orphaned { .. });
    let findings: Vec<&Finding> = findings.iter().copied().filter(|it| !is_orphaned(it)).collect();
    let check = |finding: &&Finding| {
        let fix = context.call(command(finding));
        Check::trouble(finding.is_grave(), SUBJECT, &finding.to_string(), fix)
    };
    let mut checks: Vec<Check> = findings.iter().take(SHOWN).map(check).collect();
    if findings.len() > SHOWN {
        let cause = format!("{} more problems", findings.len() - SHOWN);
        checks.push(Check::warning(SUBJECT, cause, context.call("sync")));
    }
    checks.extend(lost);
    checks
}

/// The command that repairs the finding.
fn command(finding: &Finding) -> &'static str {
    match finding {
        Finding::Dead(_) | Finding::Leftover(_) => "gc",
        _ => "sync",
    }
}

/// Looks for rules of records that were lost.
fn without_records(context: &HostContext) -> Vec<Check> {
    let findings = lost::without_records(context);
    let lost = lost::examine(context, &findings);
    vec![lost.unwrap_or_else(|| Check::ok(SUBJECT, "no container has links yet"))]
}
