//! Ends all links and removes all shared rules: afterwards the host is as it was before the first
//! link.

use super::{Finding, Repaired, remove_dead};
use crate::error::{Error, Kind, Result};
use crate::firewall::Outside;
use crate::host::{Host, Locked};
use crate::lifecycle::apply::rollback;
use crate::lifecycle::guests::{self, GuestChanges};
use crate::model::{BackendName, Origin};

/// Removes the links of all containers and everything that backends made. Fails if `watch` runs,
/// which would restore what is removed, and if there is a record of a newer version, whose rules only
/// the newer program can remove. Takes the host lock.
///
/// What backends made stays where another state directory has rules.
pub(crate) fn end_all(host: &Host) -> Result<Repaired> {
    let _watch = host.sole_watch()?;
    if let Some(newer) = host.store.newer()?.first() {
        return Err(Error::new(Kind::State, format!("nothing was removed: {}", newer.reason)));
    }
    let mut repaired = remove_dead(host)?;
    let host = &host.lock()?;
    for record in host.store.all()? {
        let done = host.effects(record.backend, |effects| rollback(effects, &record));
        repaired.note(vec![Finding::Linked((&record).into())], done);
    }
    for guest in guests::all(host)? {
        let mut changes = GuestChanges::new(host)?;
        changes.end(&guest);
        repaired.note(vec![Finding::Guests(guest.source)], changes.finish().map(drop));
    }
    for backends in BackendName::ALL.chunk_by(|one, other| share_chains(*one, *other)) {
        match have_other_rules(host, backends) {
            Ok(false) => remove_shared(host, backends, &mut repaired),
            Ok(true) => keep_shared(host, backends, &mut repaired),
            Err(error) => repaired.failures.note(Err(error)),
        }
    }
    match host.ports.owners() {
        Ok(owners) if owners.keys().any(|owner| owner.origin(host.identity) == Origin::Other) => {}
        Ok(_) => match host.ports.remove_all() {
            Ok(false) => {}
            done => repaired.note(vec![Finding::SharedPorts], done.map(drop)),
        },
        Err(error) => repaired.failures.note(Err(error)),
    }
    Ok(repaired)
}

/// Whether both backends put their rules into the same chains.
fn share_chains(one: BackendName, other: BackendName) -> bool {
    one.is_in_iptables() && other.is_in_iptables()
}

/// Whether another state directory has rules in one of `backends`.
fn have_other_rules(host: &Locked<'_>, backends: &[BackendName]) -> Result<bool> {
    for backend in backends {
        let owners = host.backend(*backend, |firewall| firewall.owners())?;
        if owners.keys().any(|owner| owner.origin(host.identity) == Origin::Other) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove_shared(host: &Locked<'_>, backends: &[BackendName], repaired: &mut Repaired) {
    for backend in backends {
        match host.effects(*backend, |effects| effects.firewall.remove_all()) {
            Ok(false) => {}
            done => repaired.note(vec![Finding::Shared(*backend)], done.map(drop)),
        }
    }
}

/// Ends the isolation, which is this state directory's own, and nothing else.
fn keep_shared(host: &Locked<'_>, backends: &[BackendName], repaired: &mut Repaired) {
    for backend in backends {
        let done =
            host.effects(*backend, |effects| effects.firewall.isolate(&[], &Outside::default()));
        repaired.note(vec![Finding::Kept(*backend)], done);
    }
}
