//! What the log level `debug` shows of a start or an end. Texts are formatted only if the level is
//! enabled.

use crate::link::{Candidate, Plan};
use crate::model::{ContainerId, Flow, HostName, HostsEdit, HostsPlace, Network, Record};
use crate::sys::file::shown;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// How many items of a list are printed. The rest is counted.
const NAMED: usize = 6;

/// Logs what was read of a starting container. `engine` is the engine that created it.
pub(crate) fn started(me: &Record, engine: &str, hosts: Option<&HostsPlace>) {
    let id = me.id.brief();
    let bundle = me.bundle.as_deref().unwrap_or(Path::new(""));
    let links = All(&me.links, |link_state, f| {
        write!(f, "{}:{}", link_state.link.source, link_state.link.alias)
    });
    let (name, ports, variables) = (&me.name, &me.ports, me.environment.len());
    log::debug!(
        "{id}: {} read: engine {engine}, called {name}, links {links}, exposes {}{ports}, \
         variables {variables}",
        shown(bundle),
        if ports.is_empty() { "nothing" } else { "" }
    );
    let pid = me.instance.pid;
    match &me.network {
        Network::Host => log::debug!("{id}: process {pid} has the host's network"),
        Network::NoBridge(on) => log::debug!("{id}: process {pid} is on {}", on.as_str()),
        Network::Own(own) => {
            let own = All(own, |address, f| match address.bridge() {
                Some(bridge) => write!(f, "{address} on {bridge}"),
                None => write!(f, "{address}"),
            });
            log::debug!("{id}: process {pid} has the addresses {own}");
        }
    }
    match hosts {
        Some(HostsPlace::Mount { path, .. }) => {
            log::debug!("{id}: hosts file {}, mounted on /etc/hosts", shown(path));
        }
        Some(HostsPlace::Rootfs { path, .. }) => {
            log::debug!("{id}: hosts file /etc/hosts, in the root filesystem {}", shown(path));
        }
        None => {}
    }
}

/// Logs the backend, once the host lock is held. `choice` is the reason for the backend.
pub(crate) fn backend(me: &Record, choice: &impl Display) {
    if me.links.is_empty() {
        log::debug!("{}: has the lock", me.id.brief());
    } else {
        log::debug!("{}: has the lock; rules by {}, {choice}", me.id.brief(), me.backend);
    }
}

/// Logs the candidate for each link.
pub(crate) fn candidates(me: &Record, candidates: &[Candidate]) {
    if me.links.is_empty() || !log::log_enabled!(log::Level::Debug) {
        return;
    }
    let pairs: Vec<_> = me.links.iter().zip(candidates).collect();
    let found = All(&pairs, |(link_state, candidate), f| {
        write!(f, "{} is ", link_state.link.source)?;
        match candidate {
            Candidate::Running(source) => match source.network.addresses().first() {
                Some(address) => write!(f, "{} at {}", source.id.brief(), address.ip()),
                None => write!(f, "{} without an address", source.id.brief()),
            },
            Candidate::Stopped(name) => write!(f, "{name}, which does not run"),
            Candidate::Ambiguous => f.write_str("the beginning of several ids"),
            Candidate::Several(all) | Candidate::OnHosts(all) => {
                write!(f, "each of {}", all.join(", "))
            }
            Candidate::There(there) => {
                let ips = there.record.network.addresses();
                let ip = ips.first().map_or_else(String::new, |it| format!(" at {}", it.ip()));
                let host = there.record.host.as_ref().map_or("", HostName::as_str);
                write!(f, "{} on host {host}{ip}", there.record.id.brief())
            }
            Candidate::NotThere(why) => write!(f, "not there: {why}"),
            Candidate::Missing => f.write_str("unknown"),
            Candidate::Unmanaged => f.write_str("running, but not under oci-link"),
            Candidate::Deferred => f.write_str("not running yet"),
            Candidate::Itself => f.write_str("itself"),
        }
    });
    log::debug!("{}: found: {found}", me.id.brief());
}

/// Logs what the plan changes.
pub(crate) fn planned(plan: &Plan) {
    if plan.record.links.is_empty() {
        return;
    }
    let flows = All(&plan.record.flows, |flow: &Flow, f| write!(f, "{flow}"));
    let block = plan.record.hosts.as_ref().map_or("", |edit: &HostsEdit| &edit.block);
    let hosts = || block.lines().filter(|line| line.contains('\t')).count();
    log::debug!("{}: planned: {} lines of hosts; flows {flows}", plan.record.id.brief(), hosts());
}

/// Logs the recipients of a container that starts or ends.
pub(crate) fn recipients(id: &ContainerId, recipients: &[Record]) {
    let names = All(recipients, |record, f| write!(f, "{}", record.name));
    log::debug!("{}: linked to it: {names}", id.brief());
}

/// A list that is formatted when it is printed.
struct All<'a, T, F: Fn(&T, &mut Formatter<'_>) -> fmt::Result>(&'a [T], F);

impl<T, F: Fn(&T, &mut Formatter<'_>) -> fmt::Result> Display for All<'_, T, F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().take(NAMED).enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            (self.1)(item, f)?;
        }
        match self.0.len() {
            0 => f.write_str("none"),
            all if all > NAMED => write!(f, ", and {} more", all - NAMED),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let show = |items: &[u8]| All(items, |item, f| write!(f, "{item}")).to_string();
        assert_eq!(show(&[]), "none");
        assert_eq!(show(&[1, 2]), "1, 2");
        assert_eq!(show(&[1, 2, 3, 4, 5, 6, 7, 8]), "1, 2, 3, 4, 5, 6, and 2 more");
    }
}
