//! Links that name a host: `name@host`. One to this host is a link like any other.

use crate::cluster::offers;
use crate::error::{Cause, Error, Kind, Result};
use crate::host::{Host, Locked};
use crate::lifecycle::others::{Others, span};
use crate::model::{Link, Offer, Record, Reference};
use crate::oci::annotations::{Annotations, Declared};
use crate::store::Found;
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
        log::error!("{}: other hosts are not told of its end: {error}", record.id);
    }
}

/// Parses how a command line names a container of this host.
pub(crate) fn named(host: &Host, text: &str) -> Result<Reference> {
    local_part(host, &Reference::of_link(text)?)
}

/// Parses how a command line names a link.
pub(crate) fn link(host: &Host, text: &str) -> Result<Link> {
    let link = Link::parse(text)?;
    Ok(Link { source: local_part(host, &link.source)?, ..link })
}

/// Returns `links` without the name of this host, each once. A link to another host is an error.
fn localized(host: &Host, links: Vec<Link>) -> Result<Vec<Link>> {
    if links.iter().all(|link| link.source.host().is_none()) {
        return Ok(links);
    }
    let mut local: Vec<Link> = Vec::with_capacity(links.len());
    for link in links {
        let link = Link { source: local_part(host, &link.source)?, ..link };
        if !local.contains(&link) {
            local.push(link);
        }
    }
    Ok(local)
}

/// Returns `reference` without the name of this host. One to another host is an error.
fn local_part(host: &Host, reference: &Reference) -> Result<Reference> {
    match source(host, reference)? {
        None => Ok(reference.without_host()),
        Some(_) => {
            let message = format!(
                "{reference}: this version makes no links to other hosts: name a container of this host"
            );
            Err(Error::new(Kind::Cluster, message))
        }
    }
}

/// Finds the source `reference` on another host. `None` if the reference is to this host. A source that is
/// not shared, and a view that is too old, are errors.
pub(crate) fn source<'a>(
    host: &'a Host,
    reference: &Reference,
) -> Result<Option<(Others<'a>, Offer)>> {
    let Some(name) = reference.host() else { return Ok(None) };
    let Some(others) = Others::of(host)? else {
        let message = format!(
            "{reference}: config.toml has no [cluster], so this host knows no host {name}: name a \
             container of this host"
        );
        return Err(Error::new(Kind::Cluster, message));
    };
    let (own, patience) = (&others.cluster.name, others.cluster.patience);
    if name == *own {
        return Ok(None);
    }
    if !others.cluster.networks.contains_key(&name) {
        let message =
            format!("{reference}: cluster.networks of config.toml has no host {name}: add it");
        return Err(Error::new(Kind::Cluster, message));
    }
    if others.is_stale() {
        let age = others.age().map_or_else(|| "since the boot".to_owned(), heard);
        let patience = span(patience);
        let message =
            format!("{reference}: nothing heard of other hosts {age} (patience {patience})");
        return Err(Error::new(Kind::Source, message).because(Cause::MissingSource));
    }
    // An exact id comes before a name.
    let bare = reference.bare();
    let mut found = others.named(bare, Some(&name))?;
    found.sort_by_key(|offer| offer.source.id.as_str() != bare);
    match found.into_iter().next() {
        Some(offer) => Ok(Some((others, offer))),
        None => {
            let message = format!("{reference}: host {name} shares no {bare} with {own}");
            Err(Error::new(Kind::Source, message).because(Cause::MissingSource))
        }
    }
}

/// Explains why a start failed: if no container of this host has the name of a source, other hosts may share
/// one. Any other failure stays as it is.
pub(crate) fn explain<'a>(
    host: &Host,
    sources: impl Iterator<Item = &'a Reference>,
    error: Error,
) -> Error {
    if error.cause != Cause::MissingSource {
        return error;
    }
    sharing(host, sources).ok().flatten().unwrap_or(error)
}

/// Looks for the first of `sources` that only other hosts have.
fn sharing<'a>(host: &Host, sources: impl Iterator<Item = &'a Reference>) -> Result<Option<Error>> {
    let Some(others) = Others::of(host)?.filter(|others| !others.is_stale()) else {
        return Ok(None);
    };
    for source in sources.filter(|source| source.must_be_plain().is_ok()) {
        if host.store.find(source)? != Found::Nothing {
            continue;
        }
        let mut found = others.named(source.as_str(), None)?;
        found.retain(|offer| offer.has_name(source.as_str()));
        let mut hosts: Vec<String> =
            found.iter().map(|offer| format!("{source}@{}", offer.source.host)).collect();
        hosts.dedup();
        let hosts = hosts.join(", ");
        if found.len() > 1 {
            let message = format!(
                "{source}: several containers of other hosts have this name: {hosts}: name one as NAME@HOST"
            );
            return Ok(Some(Error::new(Kind::Source, message).because(Cause::MissingSource)));
        }
        if !found.is_empty() {
            let message = format!(
                "{source}: no container of this host has this name, and this version makes no link to {hosts}"
            );
            return Ok(Some(Error::new(Kind::Cluster, message)));
        }
    }
    Ok(None)
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
            (
                true,
                "redis mysql@b:db",
                "4 mysql@b: nothing heard of other hosts since the boot (patience 10m)",
            ),
        ] {
            let error = of(&scene(has_cluster), link).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
