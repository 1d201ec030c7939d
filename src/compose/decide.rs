//! What services with links are to say instead. Values in, values out: nothing is edited here.

use super::ports::{exposed, last_colon};
use super::services::{Conditions, Pairs, Service, conditions, pairs};
use super::yaml::Value;
use super::{ANNOTATIONS, ComposeOptions, DEPENDS_ON, RUNTIME};
use crate::error::Result;
use crate::model::{Alias, Invalid, Link, MAX_LINKS, parse_links};
use std::collections::{HashMap, HashSet};

/// In its place Compose puts the name of the project.
const PROJECT: &str = "${COMPOSE_PROJECT_NAME}";
/// Our annotations.
const OUR_LINKS: &str = "org.oci-link.links";
const OUR_NAME: &str = "org.oci-link.name";
const OUR_PORTS: &str = "org.oci-link.ports";

/// What a service is to say in the end, by itself and by what it merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) annotations: Pairs,
    pub(crate) depends_on: Conditions,
    /// If it is to be written.
    pub(crate) runtime: Option<String>,
}

/// What each of the services is to say.
pub(crate) fn decide(services: &[Service], options: &ComposeOptions<'_>) -> Result<Vec<Wanted>> {
    let file = ServiceIndex::read(services)?;
    let linked: Vec<Vec<String>> =
        (0..services.len()).map(|at| file.annotation(at)).collect::<Result<_>>()?;
    // Also those that somebody has linked to by hand, or we before.
    let links = linked.iter().flatten();
    let named: HashSet<&str> =
        links.map(|link| &link[..last_colon(link).unwrap_or(link.len())]).collect();
    let mut all = Vec::new();
    for (at, service) in services.iter().enumerate() {
        let mut annotations = pairs(service.value.get(ANNOTATIONS));
        let mut depends_on = conditions(service.value.get(DEPENDS_ON));
        let name = &file.references[at];
        let is_source = named.contains(name.as_str());
        let runtime = options.runtime.filter(|_| is_source || !linked[at].is_empty());
        let runtime = runtime.map(|runtime| file.runtime(at, runtime)).transpose()?;
        if options.ports && is_source && !annotations.contains_key(OUR_PORTS) {
            let ports = file.ports(at)?;
            if !ports.is_empty() {
                annotations.insert(OUR_PORTS.to_owned(), ports.join(","));
            }
        }
        if file.rewrites(at) {
            annotations.insert(OUR_LINKS.to_owned(), linked[at].join(","));
            for source in file.sources(at)? {
                depends_on.entry(services[source].name.clone()).or_default();
            }
        }
        let inherits = service.chain[1..].iter().any(|base| file.is_named(*base));
        if !annotations.contains_key(OUR_NAME) && (file.is_named(at) || inherits) {
            annotations.insert(OUR_NAME.to_owned(), name.clone());
        }
        all.push(Wanted { annotations, depends_on, runtime });
    }
    Ok(all)
}

/// The services of a file, and who of them is linked to.
struct ServiceIndex<'a> {
    services: &'a [Service],
    by_name: HashMap<&'a str, usize>,
    targets: HashSet<usize>,
    /// What the containers of each go by.
    references: Vec<String>,
}

impl<'a> ServiceIndex<'a> {
    fn read(services: &'a [Service]) -> Result<Self> {
        let by_name = services.iter().enumerate().map(|(at, s)| (s.name.as_str(), at)).collect();
        let mut file = Self { services, by_name, targets: HashSet::new(), references: Vec::new() };
        file.references = (0..services.len()).map(|at| file.reference(at)).collect();
        for (at, service) in services.iter().enumerate().filter(|(_, service)| service.has_links())
        {
            let mode = service.network();
            if mode == "host" || mode.starts_with("container:") || mode.starts_with("service:") {
                let message = format!("network_mode {mode:?} can't be used with links");
                return Err(service.refuse(message));
            }
            for source in file.sources(at)? {
                if services[source].network() == "host" {
                    return Err(services[source].refuse("network_mode \"host\" can't be linked to"));
                }
                file.targets.insert(source);
            }
        }
        Ok(file)
    }

    /// The services that one is linked to by itself.
    fn sources(&self, at: usize) -> Result<Vec<usize>> {
        let [links, _] = self.services[at].links()?;
        links.into_iter().map(|link| self.source(at, link).map(|(source, _)| source)).collect()
    }

    /// The service and the alias of one of `links`.
    fn source<'l>(&self, at: usize, link: &'l str) -> Result<(usize, &'l str)> {
        let service = &self.services[at];
        let (name, alias) = link.split_once(':').unwrap_or((link, link));
        let Some(source) = self.by_name.get(name).copied().filter(|source| *source != at) else {
            let message = "no other service of this file has this name; of several files, convert \
                       the output of \"docker compose config\"";
            return Err(service.refuse(Invalid::new("link", link, message)));
        };
        Alias::new(alias).map_err(|error| service.refuse(error))?;
        Ok((source, alias))
    }

    /// The first that says something: a service, then those that it extends.
    fn first<T>(&self, at: usize, says: impl Fn(&Service) -> Option<T>) -> Option<T> {
        self.services[at].chain.iter().find_map(|at| says(&self.services[*at]))
    }

    fn container_name(&self, at: usize) -> Option<String> {
        self.first(at, |s| s.value.get("container_name").and_then(Value::text).map(str::to_owned))
    }

    /// What its container goes by. Compose's own names differ with its version; the form that the
    /// first one had is what `external_links` of other projects know.
    fn reference(&self, at: usize) -> String {
        let named = self.first(at, |service| service.own(OUR_NAME));
        let name = &self.services[at].name;
        named.or_else(|| self.container_name(at)).unwrap_or_else(|| format!("{PROJECT}_{name}_1"))
    }

    /// Whether it is given a name.
    fn is_named(&self, at: usize) -> bool {
        self.targets.contains(&at)
            && self.container_name(at).is_none()
            && self.first(at, |service| service.own(OUR_NAME)).is_none()
    }

    /// Whether its annotation says anything new. Without links of its own it has that of what it
    /// extends.
    fn rewrites(&self, at: usize) -> bool {
        let service = &self.services[at];
        let has_links = |at: &usize| self.services[*at].has_links();
        service.has_links()
            || service.own(OUR_LINKS).is_some() && service.chain.iter().any(has_links)
    }

    /// The links of a service in the annotation's form: those that stand there, then those of what
    /// it extends, then its own.
    fn annotation(&self, at: usize) -> Result<Vec<String>> {
        let service = &self.services[at];
        let written = self.first(at, |service| service.own(OUR_LINKS)).unwrap_or_default();
        let items =
            written.split([',', ' ', '\t', '\n']).filter(|item| !matches!(*item, "" | "none"));
        let mut all: Vec<String> = items.map(str::to_owned).collect();
        for at in service.chain.iter().rev() {
            let [links, external] = self.services[*at].links()?;
            let mut found = Vec::new();
            for link in links {
                let (source, alias) = self.source(*at, link)?;
                found.push(format!("{}:{alias}", self.references[source]));
            }
            for link in external {
                check_external(link).map_err(|error| service.refuse(error))?;
                found.push(link.to_owned());
            }
            for link in found {
                if !all.contains(&link) {
                    all.push(link);
                }
                if all.len() > MAX_LINKS {
                    return Err(service.refuse("more than 256 links"));
                }
            }
        }
        // As far as it can be known before the file is used.
        let known = all.join(",").replace(PROJECT, "project");
        if !all.is_empty() && !known.contains('$') {
            parse_links(&known).map_err(|error| service.refuse(error))?;
        }
        Ok(all)
    }

    fn ports(&self, at: usize) -> Result<Vec<String>> {
        let service = &self.services[at];
        let mut all = Vec::new();
        for at in service.chain.iter().rev() {
            let ports =
                exposed(&self.services[*at].value).map_err(|error| service.refuse(error))?;
            all.extend(ports.into_iter().filter(|port| !all.contains(port)).collect::<Vec<_>>());
        }
        Ok(all)
    }

    /// Both ends of a link are to pass the runtime: it must not stand in another's place.
    fn runtime(&self, at: usize, runtime: &str) -> Result<String> {
        match self.first(at, |s| s.value.get(RUNTIME).and_then(Value::text).map(str::to_owned)) {
            Some(other) if other != runtime => {
                let message =
                    Invalid::new("runtime", &other, "must be removed, or given with --runtime");
                Err(self.services[at].refuse(message))
            }
            _ => Ok(runtime.to_owned()),
        }
    }
}

/// `container[:alias]`, where variables may stand for parts.
fn check_external(link: &str) -> std::result::Result<(), Invalid> {
    if link.contains('$') {
        let harmless = |c: char| c.is_ascii_graphic() && c != ',';
        return if link.chars().all(harmless) {
            Ok(())
        } else {
            Err(Invalid::new("link", link, "has a character that is not allowed"))
        };
    }
    Link::parse(link).map(|_| ())
}
