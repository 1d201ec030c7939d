//! The links of running containers: what `sync` and `gc` would find.

use super::check::Check;
use super::{HostContext, alive};
use crate::config::Config;
use crate::error::Cause;
use crate::firewall::{Choice, SetupCache, select};
use crate::host::Host;
use crate::model::{BackendName, Origin, Record, StateId};
use crate::recovery::{self, Finding};
use crate::store;
use crate::sys::private_dir::Directory;
use crate::sys::process;
use std::rc::Rc;

const SUBJECT: &str = "links";
/// Findings that are listed; one cause may break a thousand links.
const SHOWN: usize = 20;

/// Opens the host if there are records. `Host::open` creates missing directories, and `doctor` changes
/// nothing.
pub(crate) fn open(config: &Config, state: Option<&Directory>) -> (Option<Host>, Option<Check>) {
    if !state.is_some_and(store::is_there) {
        return (None, None);
    }
    match Host::open(config.clone()) {
        Ok(host) => (Some(host), None),
        Err(error) => {
            let fix = "remove what is not a directory of oci-link there";
            (None, Some(Check::fault(SUBJECT, error.to_string(), fix)))
        }
    }
}

/// The records of running containers.
pub(crate) fn running(host: Option<&Host>) -> Vec<Record> {
    host.map(alive).unwrap_or_default()
}

pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let Some(host) = &context.host else { return without_records(context) };
    match recovery::audit(host) {
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
                    "run oci-link doctor on the host, outside of any container".to_owned()
                }
                _ => context.call("sync"),
            };
            vec![Check::fault(SUBJECT, error.to_string(), fix)]
        }
    }
}

fn checks_of(context: &HostContext, findings: &[Finding]) -> Vec<Check> {
    let check = |finding: &Finding| {
        Check::warning(SUBJECT, finding.to_string(), context.call(command(finding)))
    };
    let mut checks: Vec<Check> = findings.iter().take(SHOWN).map(check).collect();
    if findings.len() > SHOWN {
        let cause = format!("{} more problems", findings.len() - SHOWN);
        checks.push(Check::warning(SUBJECT, cause, context.call("sync")));
    }
    checks
}

/// The command that repairs the finding.
fn command(finding: &Finding) -> &'static str {
    match finding {
        Finding::Dead(_) | Finding::Orphaned { .. } | Finding::Leftover(_) => "gc",
        _ => "sync",
    }
}

/// Looks for rules of records that were lost.
fn without_records(context: &HostContext) -> Vec<Check> {
    let (Some(state), Ok(boot)) = (&context.state, process::boot_id()) else { return Vec::new() };
    let own = StateId::of(&context.config.state_dir);
    let mut findings = Vec::new();
    for backend in BackendName::ALL {
        let firewall = select(Choice::Fixed(backend), SetupCache::new(Rc::clone(state), boot));
        // A backend that cannot be read has no rules of ours.
        let owners = firewall.owners().unwrap_or_default().into_keys();
        let owners = owners.filter(|owner| owner.origin(own) == Origin::Own);
        findings.extend(owners.map(|owner| Finding::Orphaned { backend, owner }));
    }
    if findings.is_empty() {
        vec![Check::ok(SUBJECT, "no container has links yet")]
    } else {
        checks_of(context, &findings)
    }
}
