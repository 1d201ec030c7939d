//! Rules that no record names: the state directory was emptied while containers ran. Their links still
//! work, so nothing is removed before the containers are linked again.

use super::HostContext;
use super::check::{Check, advice, word};
use super::docker::{self, Container};
use crate::firewall::{Choice, SetupCache, select};
use crate::model::{BackendName, Origin, OwnerTag, StateId};
use crate::recovery::Finding;
use crate::sys::private_dir::Directory;
use crate::sys::process;
use std::collections::{BTreeSet, HashMap, HashSet};
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
    let rules = rules(context, &orphaned);
    let recipients: BTreeSet<IpAddr> = rules.iter().flatten().map(|(from, _)| *from).collect();
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
    let names = names(context, &rules);
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

/// The flows of each owner of rules: from a recipient to a source.
type Flows = Vec<(IpAddr, IpAddr)>;

/// The flows of each of the `orphaned` owners.
fn rules(context: &HostContext, orphaned: &[(BackendName, &OwnerTag)]) -> Vec<Flows> {
    let mut found = Vec::new();
    for backend in BackendName::ALL {
        let here = orphaned.iter().filter(|(of, _)| *of == backend).map(|(_, owner)| *owner);
        let here: HashSet<&OwnerTag> = here.collect();
        for (owner, flows) in owners(context, backend) {
            if here.contains(&owner) && !flows.is_empty() {
                found.push(flows);
            }
        }
    }
    found
}

/// The owners of rules of a backend, with their flows. A backend that cannot be
/// read has no rules of ours.
fn owners(context: &HostContext, backend: BackendName) -> Vec<(OwnerTag, Flows)> {
    let (Some(state), Ok(boot)) = (notes(context), process::boot_id()) else { return Vec::new() };
    let firewall = select(Choice::Fixed(backend), SetupCache::new(state, boot));
    let owners = firewall.owners().unwrap_or_default().into_iter();
    let flows = owners.map(|(owner, installed)| {
        let flows = installed.flows.iter().map(|flow| (flow.from, flow.to));
        (owner, flows.collect())
    });
    flows.collect()
}

/// The state directory. The one above it takes its place if it was removed: it has no notes either.
fn notes(context: &HostContext) -> Option<Rc<Directory>> {
    let above = || {
        let above = context.config.state_dir.parent()?;
        Some(Rc::new(Directory::look(above).ok()??.0))
    };
    context.state.clone().or_else(above)
}

/// The names of docker's containers to restart: the recipients of `rules`, and before each of them its sources
/// that have no record either. Empty if docker does not know all recipients.
fn names(context: &HostContext, rules: &[Flows]) -> Vec<String> {
    let containers = docker::containers(&context.question.root);
    let running = containers.iter().filter(|container| container.runs);
    let at: HashMap<IpAddr, &Container> = running
        .flat_map(|it| it.addresses.iter().filter_map(move |ip| Some((ip.parse().ok()?, it))))
        .collect();
    let recorded: HashSet<&str> = context.running.iter().map(|it| it.id.as_str()).collect();
    let mut sources: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut recipients = Vec::new();
    for flows in rules {
        let Some(recipient) = flows.iter().find_map(|(from, _)| at.get(from)) else {
            return Vec::new();
        };
        let lost = flows.iter().filter_map(|(_, to)| at.get(to));
        let lost = lost.filter(|source| !recorded.contains(source.id.as_str()));
        sources.entry(&recipient.name).or_default().extend(lost.map(|source| source.name.as_str()));
        recipients.push(recipient.name.as_str());
    }
    let order = sources_first(&recipients, &sources);
    order.into_iter().map(|name| word(Path::new(name))).collect()
}

/// The `recipients` and their sources, each source before its recipients. In a circle of links the first recipient
/// comes last.
fn sources_first<'a>(
    recipients: &[&'a str],
    sources: &HashMap<&'a str, Vec<&'a str>>,
) -> Vec<&'a str> {
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    // A name with `true` is placed: all its sources are in the order.
    let mut open: Vec<(&str, bool)> = recipients.iter().rev().map(|name| (*name, false)).collect();
    while let Some((name, is_placed)) = open.pop() {
        if is_placed {
            order.push(name);
        } else if seen.insert(name) {
            open.push((name, true));
            open.extend(sources.get(name).into_iter().flatten().rev().map(|name| (*name, false)));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_restarted_before_their_recipients() {
        let order = |links: &[(&'static str, &[&'static str])]| {
            let recipients: Vec<&str> = links.iter().map(|(name, _)| *name).collect();
            let sources = links.iter().map(|(name, sources)| (*name, sources.to_vec())).collect();
            sources_first(&recipients, &sources).join(" ")
        };
        assert_eq!(order(&[("web", &["db", "cache", "db"])]), "db cache web");
        assert_eq!(order(&[("web", &["app"]), ("app", &["db"])]), "db app web");
        assert_eq!(order(&[("app", &["db"]), ("web", &["app", "db"])]), "db app web");
        assert_eq!(order(&[("a", &["b"]), ("b", &["a"])]), "b a", "a circle");
        assert_eq!(order(&[("web", &[])]), "web");
    }
}
