//! Decides which annotations, dependencies and runtime each service gets. Input and output are
//! values; the text is edited elsewhere.

use super::ports::{exposed, last_colon};
use super::services::{Conditions, Pairs, Service, conditions, pairs, restarted};
use super::yaml::Value;
use super::{ANNOTATIONS, ComposeOptions, DEPENDS_ON, RUNTIME};
use crate::error::Result;
use crate::model::{Alias, Invalid, Link, MAX_LINKS, parse_links};
use std::collections::{HashMap, HashSet};

/// Compose replaces this variable with the project name.
const PROJECT: &str = "${COMPOSE_PROJECT_NAME}";
/// The annotations that a conversion writes.
const OUR_LINKS: &str = "org.oci-link.links";
const OUR_NAME: &str = "org.oci-link.name";
const OUR_PORTS: &str = "org.oci-link.ports";

/// What a service must contain after the conversion, including what it merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) annotations: Pairs,
    pub(crate) depends_on: Conditions,
    /// The runtime to set; `None` leaves the service's runtime as it is.
    pub(crate) runtime: Option<String>,
}

/// Computes the wanted content of each service, in file order. Links that cannot be converted are
/// an error that names the service and its line.
pub(crate) fn decide(services: &[Service], options: &ComposeOptions<'_>) -> Result<Vec<Wanted>> {
    let file = ServiceIndex::read(services)?;
    let linked: Vec<Vec<String>> =
        (0..services.len()).map(|at| file.annotation(at)).collect::<Result<_>>()?;
    // Links from annotations count too: they were written by hand or by an earlier conversion.
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
                let name = services[source].name.clone();
                depends_on.entry(name).or_insert_with(|| Some(restarted()));
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

/// The services of a file, and which of them are link sources.
struct ServiceIndex<'a> {
    services: &'a [Service],
    by_name: HashMap<&'a str, usize>,
    targets: HashSet<usize>,
    /// The name by which links refer to each service's container.
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

    /// The services named in the `links` of service `at`; inherited links are not included.
    fn sources(&self, at: usize) -> Result<Vec<usize>> {
        let [links, _] = self.services[at].links()?;
        links.into_iter().map(|link| self.source(at, link).map(|(source, _)| source)).collect()
    }

    /// Splits an entry of `links` into the source service and the alias.
    fn source<'l>(&self, at: usize, link: &'l str) -> Result<(usize, &'l str)> {
        let service = &self.services[at];
        if link.contains('$') {
            let message = "variables are not supported in links: convert the output of \"docker \
                           compose config\"";
            return Err(service.refuse_link(link, message));
        }
        let (name, alias) = link.split_once(':').unwrap_or((link, link));
        let Some(source) = self.by_name.get(name).copied().filter(|source| *source != at) else {
            let message = "no other service of this file has this name; of several files, convert \
                       the output of \"docker compose config\"";
            return Err(service.refuse_link(link, Invalid::new("link", link, message)));
        };
        Alias::new(alias).map_err(|error| service.refuse_link(link, error))?;
        Ok((source, alias))
    }

    /// The first value that `says` finds: in the service itself, then along its `extends` chain.
    fn first<T>(&self, at: usize, says: impl Fn(&Service) -> Option<T>) -> Option<T> {
        self.services[at].chain.iter().find_map(|at| says(&self.services[*at]))
    }

    fn container_name(&self, at: usize) -> Option<String> {
        self.first(at, |s| s.value.get("container_name").and_then(Value::text).map(str::to_owned))
    }

    /// The name by which links refer to the service's container: its name annotation,
    /// `container_name`, or `<project>_<service>_1`.
    ///
    /// Generated container names differ between Compose versions. The last form is that of the
    /// first Compose version, which `external_links` of other projects use.
    fn reference(&self, at: usize) -> String {
        let named = self.first(at, |service| service.own(OUR_NAME));
        let name = &self.services[at].name;
        named.or_else(|| self.container_name(at)).unwrap_or_else(|| format!("{PROJECT}_{name}_1"))
    }

    /// Whether the conversion must add a name annotation: the service is a source and has no name
    /// of its own.
    fn is_named(&self, at: usize) -> bool {
        self.targets.contains(&at)
            && self.container_name(at).is_none()
            && self.first(at, |service| service.own(OUR_NAME)).is_none()
    }

    /// Whether the links annotation of the service must be written. A service without links of its
    /// own inherits the annotation of the service that it extends.
    fn rewrites(&self, at: usize) -> bool {
        let service = &self.services[at];
        let has_links = |at: &usize| self.services[*at].has_links();
        service.has_links()
            || service.own(OUR_LINKS).is_some() && service.chain.iter().any(has_links)
    }

    /// The links of a service in the form of the annotation: those already in the annotation, then
    /// those of the extended services, then its own.
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
                let checked = check_external(link);
                checked.map_err(|error| self.services[*at].refuse_link(link, error))?;
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
        // Links with other variables cannot be checked: Compose replaces variables only when the
        // file is used.
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

    /// The runtime to write for a service that takes part in a link. Returns an error if the
    /// service already uses another runtime.
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

/// Checks an external link `container[:alias]`, in which variables may replace parts.
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
