//! Links that name a host: `name@host`. One to this host is a link like any other.

use crate::cluster::offers;
use crate::error::{Error, Kind, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::others::{Others, span};
use crate::link::{Candidate, Refusal, There};
use crate::model::{HostName, Link, LinkState, Offer, Record, Reference};
use crate::oci::annotations::{Annotations, Declared};
use std::cell::OnceCell;
use std::time::Duration;

/// Parses the annotations of a container. See [`localized`] for its links.
pub(crate) fn declared(host: &Host, annotations: &Annotations) -> Result<Declared> {
    let declared = annotations.declared()?;
    let links = localized(host, declared.links)?;
    Ok(Declared { links, ..declared })
}

/// Withdraws the offer of a container that ends. A failure is logged: `watch` and `gc` try again.
pub(crate) fn withdraw(host: &Locked<'_>, record: &Record) {
    if host.config.cluster.is_none() {
        return;
    }
    if let Err(error) = offers::remove(host.directory(), host.lock(), record) {
        log::error!("{}: other hosts are not told of its end: {error}", record.id.brief());
    }
}

/// Parses how a command line names a container of this host.
pub(crate) fn named(host: &Host, text: &str) -> Result<Reference> {
    let reference = Reference::of_link(text)?;
    match other_host(host, &reference)? {
        None => Ok(reference.without_host()),
        Some(name) => {
            let message = format!(
                "{reference}: is a container of another host: run this command on host {name}"
            );
            Err(Error::new(Kind::Cluster, message))
        }
    }
}

/// Parses how a command line names a link.
pub(crate) fn link(host: &Host, text: &str) -> Result<Link> {
    let link = Link::parse(text)?;
    Ok(Link { source: localized_source(host, &link.source)?, ..link })
}

/// Returns `links` without the name of this host, each once. One to a host that this one does not know is an error.
fn localized(host: &Host, links: Vec<Link>) -> Result<Vec<Link>> {
    if links.iter().all(|link| link.source.host().is_none()) {
        return Ok(links);
    }
    let mut local: Vec<Link> = Vec::with_capacity(links.len());
    for link in links {
        let link = Link { source: localized_source(host, &link.source)?, ..link };
        if !local.contains(&link) {
            local.push(link);
        }
    }
    Ok(local)
}

/// Returns `reference` without the name of this host.
fn localized_source(host: &Host, reference: &Reference) -> Result<Reference> {
    Ok(match other_host(host, reference)? {
        None => reference.without_host(),
        Some(_) => reference.clone(),
    })
}

/// Returns the other host that `reference` names. A host that this one does not know is an error.
fn other_host(host: &Host, reference: &Reference) -> Result<Option<HostName>> {
    let Some(name) = reference.host() else { return Ok(None) };
    let Some(config) = &host.config.cluster else {
        let message = format!(
            "{reference}: config.toml has no [cluster], so this host knows no host {name}: name a \
             container of this host"
        );
        return Err(Error::new(Kind::Cluster, message));
    };
    if !config.hosts.networks.contains_key(&name) {
        let message =
            format!("{reference}: cluster.networks of config.toml has no host {name}: add it");
        return Err(Error::new(Kind::Cluster, message));
    }
    Ok(Some(name).filter(|name| *name != config.hosts.name))
}

/// Finds the source `reference` on another host. `None` if the reference is to this host. A source that is
/// not shared, and a view that is too old, are errors.
pub(crate) fn source<'a>(
    host: &'a Host,
    reference: &Reference,
) -> Result<Option<(Others<'a>, Offer)>> {
    let Some(name) = other_host(host, reference)? else { return Ok(None) };
    let Some(others) = Others::of(host)? else { return Ok(None) };
    let mut found = shared_by(&others, reference, &name)??;
    Ok(found.drain(..).next().map(|offer| (others, offer)))
}

/// Returns the sources of the other host `name` that `reference` means, at least one and the best first: an exact id
/// comes before a name. Else why there are none.
fn shared_by(
    others: &Others<'_>,
    reference: &Reference,
    name: &HostName,
) -> Result<std::result::Result<Vec<Offer>, Refusal>> {
    let source = reference.clone();
    if others.is_stale() {
        let time = others.age().map_or_else(|| "since the boot".to_owned(), heard);
        let patience = span(others.cluster.patience);
        return Ok(Err(Refusal::Silent { source, time, patience }));
    }
    let bare = reference.bare();
    let mut found = others.named(bare, Some(name))?;
    found.sort_by_key(|offer| offer.source.id.as_str() != bare);
    if found.is_empty() {
        let (host, own) = (name.clone(), others.cluster.name.clone());
        return Ok(Err(Refusal::NotShared { source, host, own }));
    }
    Ok(Ok(found))
}

/// Sources on other hosts for the links of one container. Files are read when the first link needs it.
pub(crate) struct Elsewhere<'a> {
    host: &'a Host,
    others: OnceCell<Option<Others<'a>>>,
}

impl<'a> Elsewhere<'a> {
    /// Nothing is read yet.
    pub(crate) fn new(host: &'a Host) -> Self {
        Self { host, others: OnceCell::new() }
    }

    fn others(&self) -> Result<Option<&Others<'a>>> {
        if self.others.get().is_none() {
            let _ = self.others.set(Others::of(self.host)?);
        }
        Ok(self.others.get().and_then(Option::as_ref))
    }

    /// Finds the source of a link that names its host.
    pub(crate) fn on(&self, link_state: &LinkState, name: &HostName) -> Result<Candidate> {
        let reference = &link_state.link.source;
        let Some(others) = self.others()? else { return Ok(Candidate::Missing) };
        if let Some(offer) = standing(others, link_state)? {
            return Ok(there(others, &offer));
        }
        Ok(match shared_by(others, reference, name)? {
            Ok(found) => found.first().map_or(Candidate::Missing, |offer| there(others, offer)),
            Err(refusal) => Candidate::NotThere(refusal),
        })
    }

    /// Finds the source of a link with a name that no container of this host has. A link that stands is kept; a new
    /// one needs a name that only one container of other hosts has.
    pub(crate) fn anywhere(&self, link_state: &LinkState) -> Result<Option<Candidate>> {
        let reference = &link_state.link.source;
        if link_state.declared_by.is_engine() || reference.must_be_plain().is_err() {
            return Ok(None);
        }
        let Some(others) = self.others()?.filter(|others| !others.is_stale()) else {
            return Ok(None);
        };
        if let Some(offer) = standing(others, link_state)? {
            return Ok(Some(there(others, &offer)));
        }
        let mut found = others.named(reference.as_str(), None)?;
        found.retain(|offer| offer.has_name(reference.as_str()));
        Ok(match &found[..] {
            [] => None,
            [offer] => Some(there(others, offer)),
            several => {
                let shown = |offer: &Offer| format!("{reference}@{}", offer.source.host);
                let mut hosts: Vec<String> = several.iter().map(shown).collect();
                hosts.dedup();
                Some(Candidate::OnHosts(hosts))
            }
        })
    }
}

/// Returns the offer to which the link is connected. It stays so while that run is shared, whatever its name is.
fn standing(others: &Others<'_>, link_state: &LinkState) -> Result<Option<Offer>> {
    match link_state.there.as_ref().filter(|_| !others.is_stale()) {
        Some(run) => others.of_run(run),
        None => Ok(None),
    }
}

fn there(others: &Others<'_>, offer: &Offer) -> Candidate {
    let until = others.until().unwrap_or_default();
    Candidate::There(Box::new(There { record: offer.as_record(), until }))
}

fn heard(age: Duration) -> String {
    format!("for {}", span(age))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::lifecycle::fakes::Scene;
    use crate::model::parse_links;

    fn scene(has_cluster: bool) -> Scene {
        let mut scene = Scene::new();
        let text =
            "[cluster]\nname = 'a'\nnetworks = { a = ['10.10.1.0/24'], b = ['10.10.2.0/24'] }";
        scene.host.config.cluster =
            Config::parse("c", text).unwrap().cluster.filter(|_| has_cluster);
        scene
    }

    fn of(scene: &Scene, links: &str) -> std::result::Result<String, String> {
        let links = localized(&scene.host, parse_links(links).unwrap());
        let shown = |link: &Link| format!("{}:{}", link.source, link.alias);
        links
            .map(|links| links.iter().map(shown).collect::<Vec<_>>().join(" "))
            .map_err(|error| format!("{} {error}", error.kind as i32))
    }

    #[test]
    fn a_link_to_this_host_is_local() {
        let a = scene(true);
        assert_eq!(of(&a, "mysql@a redis"), Ok("mysql:mysql redis:redis".to_owned()));
        assert_eq!(of(&a, "mysql@a:db"), Ok("mysql:db".to_owned()));
        assert_eq!(of(&scene(false), "mysql:db"), Ok("mysql:db".to_owned()));
        assert_eq!(of(&a, "mysql@b redis@a"), Ok("mysql@b:mysql redis:redis".to_owned()));
    }

    #[test]
    fn a_link_to_another_host_says_what_is_missing() {
        for (has_cluster, link, why) in [
            (
                false,
                "mysql@b",
                "10 mysql@b: config.toml has no [cluster], so this host knows no host b",
            ),
            (
                false,
                "mysql@a",
                "10 mysql@a: config.toml has no [cluster], so this host knows no host a",
            ),
            (true, "mysql@c", "10 mysql@c: cluster.networks of config.toml has no host c"),
        ] {
            let error = of(&scene(has_cluster), link).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
