//! Rules that no record names: the state directory was emptied while containers ran. Their links still
//! work, so nothing is removed before the containers are linked again.

use super::HostContext;
use super::check::{Check, advice, word};
use super::docker;
use crate::firewall::{Choice, SetupCache, select};
use crate::model::{BackendName, Origin, OwnerTag, StateId};
use crate::recovery::Finding;
use crate::sys::private_dir::Directory;
use crate::sys::process;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

/// Addresses that are listed.
const SHOWN: usize = 10;

/// The check of rules without a record among `findings`; `None` if there are none.
pub(super) fn examine<'a>(
    context: &HostContext,
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Option<Check> {
    let orphaned = findings.into_iter().filter_map(|finding| match finding {
        Finding::Orphaned { backend, owner } => Some((*backend, owner)),
        _ => None,
    });
    let orphaned: Vec<(BackendName, &OwnerTag)> = orphaned.collect();
    if orphaned.is_empty() {
        return None;
    }
    let recipients = recipients(context, &orphaned);
    let at: Vec<String> = recipients.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if recipients.len() > SHOWN { " and others" } else { "" };
    let at = format!("{}{more}", at.join(", "));
    let gc = context.call("gc");
    let count = match orphaned.len() {
        1 => "1 container".to_owned(),
        count => format!("{count} containers"),
    };
    let cause = format!(
        "orphaned rules of {count} at {at}: records were lost, or rules of an earlier boot were \
         restored. Links of containers that run still work, but do not follow their sources, and gc \
         ends them"
    );
    let names = names(context, &recipients);
    let fix = if names.is_empty() {
        advice(format!("restart the containers at {at}, then call {gc}"))
    } else {
        format!("docker restart {} && {gc}", names.join(" ")).into()
    };
    Some(Check::warning("lost records", cause, fix))
}

/// Rules of all backends, on a host without records.
pub(super) fn without_records(context: &HostContext) -> Vec<Finding> {
    let owners = BackendName::ALL.into_iter().flat_map(|backend| {
        let own = StateId::of(&context.config.state_dir);
        let owners = owners(context, backend).into_iter();
        let owners = owners.filter(move |(owner, _)| owner.origin(own) == Origin::Own);
        owners.map(move |(owner, _)| Finding::Orphaned { backend, owner })
    });
    owners.collect()
}

/// The addresses of the recipients to which the rules belong.
fn recipients(context: &HostContext, orphaned: &[(BackendName, &OwnerTag)]) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    for backend in BackendName::ALL {
        let here = orphaned.iter().filter(|(of, _)| *of == backend).map(|(_, owner)| *owner);
        let here: HashSet<&OwnerTag> = here.collect();
        for (owner, flows) in owners(context, backend) {
            if here.contains(&owner) {
                found.extend(flows);
            }
        }
    }
    found
}

/// The owners of rules of a backend, with the addresses of their recipients. A backend that cannot be
/// read has no rules of ours.
fn owners(context: &HostContext, backend: BackendName) -> Vec<(OwnerTag, Vec<IpAddr>)> {
    let (Some(state), Ok(boot)) = (notes(context), process::boot_id()) else { return Vec::new() };
    let firewall = select(Choice::Fixed(backend), SetupCache::new(state, boot));
    let owners = firewall.owners().unwrap_or_default().into_iter();
    let from = owners.map(|(owner, installed)| {
        let from = installed.flows.iter().map(|flow| flow.from);
        (owner, from.collect())
    });
    from.collect()
}

/// The state directory. The one above it takes its place if it was removed: it has no notes either.
fn notes(context: &HostContext) -> Option<Rc<Directory>> {
    let above = || {
        let above = context.config.state_dir.parent()?;
        Some(Rc::new(Directory::look(above).ok()??.0))
    };
    context.state.clone().or_else(above)
}

/// The names of docker's running containers at these addresses.
fn names(context: &HostContext, addresses: &BTreeSet<IpAddr>) -> Vec<String> {
    let has = |ip: &String| ip.parse().is_ok_and(|ip: IpAddr| addresses.contains(&ip));
    let containers = docker::containers(&context.question.root).into_iter();
    let found =
        containers.filter(|container| container.runs && container.addresses.iter().any(has));
    found.map(|container| word(Path::new(&container.name))).take(SHOWN).collect()
}
