//! Links that name a host: `name@host`. One to this host is a link like any other.

use crate::config::ClusterConfig;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::model::{HostName, Link, Reference};
use crate::oci::annotations::{Annotations, Declared};

/// Parses the annotations of a container. See [`localized`] for its links.
pub(crate) fn declared(host: &Host, annotations: &Annotations) -> Result<Declared> {
    let declared = annotations.declared()?;
    let links = localized(host.config.cluster.as_ref(), declared.links)?;
    Ok(Declared { links, ..declared })
}

/// Parses how a command line names a container.
pub(crate) fn named(host: &Host, text: &str) -> Result<Reference> {
    local_part(host.config.cluster.as_ref(), Reference::of_link(text)?)
}

/// Parses how a command line names a link.
pub(crate) fn link(host: &Host, text: &str) -> Result<Link> {
    let link = Link::parse(text)?;
    Ok(Link { source: local_part(host.config.cluster.as_ref(), link.source)?, ..link })
}

/// Returns `links` without the name of this host, each once. A link to another host is an error.
fn localized(cluster: Option<&ClusterConfig>, links: Vec<Link>) -> Result<Vec<Link>> {
    if links.iter().all(|link| link.source.host().is_none()) {
        return Ok(links);
    }
    let mut local: Vec<Link> = Vec::with_capacity(links.len());
    for link in links {
        let link = Link { source: local_part(cluster, link.source)?, ..link };
        if !local.contains(&link) {
            local.push(link);
        }
    }
    Ok(local)
}

/// Returns `reference` without the name of this host. One to another host is an error.
fn local_part(cluster: Option<&ClusterConfig>, reference: Reference) -> Result<Reference> {
    let Some(host) = reference.host() else { return Ok(reference) };
    match cluster {
        Some(ClusterConfig { hosts, .. }) if hosts.name == host => Ok(reference.without_host()),
        cluster => Err(refused(cluster, &reference, &host)),
    }
}

/// Why there is no link to `reference`, which is on another host.
fn refused(cluster: Option<&ClusterConfig>, reference: &Reference, host: &HostName) -> Error {
    let message = match cluster {
        None => format!(
            "{reference}: config.toml has no [cluster], so this host knows no host {host}: name a \
             container of this host"
        ),
        Some(ClusterConfig { hosts, .. }) if !hosts.networks.contains_key(host) => {
            format!("{reference}: cluster.networks of config.toml has no host {host}: add it")
        }
        Some(_) => format!(
            "{reference}: this version makes no links to other hosts: name a container of this host"
        ),
    };
    Error::new(Kind::Cluster, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::parse_links;

    fn cluster() -> Option<ClusterConfig> {
        let text =
            "[cluster]\nname = 'a'\nnetworks = { a = ['10.10.1.0/24'], b = ['10.10.2.0/24'] }";
        Config::parse("c", text).unwrap().cluster
    }

    fn of(cluster: Option<&ClusterConfig>, links: &str) -> std::result::Result<String, String> {
        let links = localized(cluster, parse_links(links).unwrap());
        let shown = |link: &Link| format!("{}:{}", link.source, link.alias);
        links
            .map(|links| links.iter().map(shown).collect::<Vec<_>>().join(" "))
            .map_err(|error| format!("{} {error}", error.kind as i32))
    }

    #[test]
    fn a_link_to_this_host_is_local() {
        let cluster = cluster();
        let a = cluster.as_ref();
        assert_eq!(of(a, "mysql@a redis"), Ok("mysql:mysql redis:redis".to_owned()));
        assert_eq!(of(a, "mysql@a:db"), Ok("mysql:db".to_owned()));
        assert_eq!(of(None, "mysql:db"), Ok("mysql:db".to_owned()));
    }

    #[test]
    fn a_link_to_another_host_says_what_is_missing() {
        let cluster = cluster();
        for (cluster, link, why) in [
            (None, "mysql@b", "has no [cluster], so this host knows no host b"),
            (None, "mysql@a", "has no [cluster], so this host knows no host a"),
            (cluster.as_ref(), "mysql@c", "cluster.networks of config.toml has no host c"),
            (cluster.as_ref(), "redis mysql@b:db", "makes no links to other hosts"),
        ] {
            let error = of(cluster, link).unwrap_err();
            assert!(error.starts_with("10 mysql@") && error.contains(why), "{error}");
        }
    }
}
