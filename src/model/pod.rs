//! Pods of Kubernetes: which namespace a container belongs to, and which other namespaces may link to it.

use super::{ContainerName, Invalid, NamespaceName, PodName, Record, Reference, digest};
use std::fmt;

/// Where a container is in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The name of the pod.
    pub name: PodName,
    /// The name of the container in the pod.
    pub container: ContainerName,
}

impl Pod {
    /// Whether `reference` is `pod/container` of this container.
    pub(crate) fn is_named(&self, reference: &Reference) -> bool {
        reference.in_pod().is_some_and(|(pod, container)| {
            pod == self.name.as_str() && container == self.container.as_str()
        })
    }

    /// Returns `pod/container`, or `None` if it is too long for a reference.
    pub(crate) fn reference(&self) -> Option<Reference> {
        Reference::of_link(&format!("{}/{}", self.name, self.container)).ok()
    }
}

/// The value of `org.oci-link.from`: which other namespaces may link to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Admitted {
    /// None. Containers of its own namespace may link to it, and those that are in no namespace.
    #[default]
    None,
    /// All.
    All,
    /// These.
    Only(Vec<NamespaceName>),
}

impl Admitted {
    /// Parses `none`, `*`, or names of namespaces between commas.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        match value.trim() {
            "none" => Ok(Self::None),
            "*" => Ok(Self::All),
            names => {
                let names = names.split(',').map(|name| NamespaceName::new(name.trim()));
                names.collect::<Result<_, _>>().map(Self::Only)
            }
        }
    }

    fn admits(&self, namespace: &NamespaceName) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }
}

impl fmt::Display for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("*"),
            Self::Only(names) => {
                let names: Vec<&str> = names.iter().map(NamespaceName::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

/// What the containers of pods are listed under, besides their names: many containers have one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodKey<'a> {
    /// Containers with this name in this namespace.
    Namespace(&'a NamespaceName, &'a str),
    /// Containers with this name that other namespaces may link to.
    Admitting(&'a str),
    /// The containers of the pods with this name.
    Pod(&'a str),
}

/// The longest text of a key. Longer ones contain a hash.
const MAX_KEY: usize = 200;

impl PodKey<'_> {
    /// Returns the key as a file name. It contains a tilde behind its first character, as no name does.
    pub(crate) fn text(&self) -> String {
        let text = match self {
            Self::Namespace(namespace, name) => format!("n~{namespace}~{name}"),
            Self::Admitting(name) => format!("a~~{name}"),
            Self::Pod(name) => format!("p~~{name}"),
        };
        if text.len() > MAX_KEY { format!("h~~{}", digest::sha256(text.as_bytes())) } else { text }
    }

    /// Whether `record` is listed under the key.
    pub(crate) fn lists(&self, record: &Record) -> bool {
        let pod = record.pod.as_ref();
        match self {
            Self::Namespace(namespace, name) => {
                record.has_name(name) && pod.is_some_and(|pod| pod.namespace == **namespace)
            }
            Self::Admitting(name) => record.has_name(name) && record.admitted != Admitted::None,
            Self::Pod(name) => pod.is_some_and(|pod| pod.name.as_str() == *name),
        }
    }
}

impl Record {
    /// Returns the keys that the container is listed under.
    pub(crate) fn pod_keys(&self) -> Vec<PodKey<'_>> {
        let names = || self.names().map(ContainerName::as_str);
        let pod = self.pod.iter();
        let mut keys: Vec<PodKey<'_>> =
            pod.clone().map(|pod| PodKey::Pod(pod.name.as_str())).collect();
        for pod in pod {
            keys.extend(names().map(|name| PodKey::Namespace(&pod.namespace, name)));
        }
        if self.admitted != Admitted::None {
            keys.extend(names().map(PodKey::Admitting));
        }
        keys
    }

    /// Whether a recipient in `pod` may link to the container. One that is in no pod may link to all.
    pub(crate) fn admits(&self, pod: Option<&Pod>) -> bool {
        pod.is_none_or(|pod| {
            let is_same = |own: &Pod| own.namespace == pod.namespace;
            self.pod.as_ref().is_some_and(is_same) || self.admitted.admits(&pod.namespace)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{in_pod, record, reference};

    fn namespace(name: &str) -> NamespaceName {
        NamespaceName::new(name).unwrap()
    }

    #[test]
    fn from_names_whole_namespaces() {
        let admits = |from: &str, name: &str| {
            Admitted::parse(from).is_ok_and(|it| it.admits(&namespace(name)))
        };
        for from in ["blue, evil", "evil", " evil ,blue", "*", " * "] {
            assert!(admits(from, "evil"), "{from}");
        }
        for from in
            ["none", "evi", "evil2", "Evil", "blue", "evil,*", "evil,,blue", "", ",", "e vil"]
        {
            assert!(!admits(from, "evil"), "{from}");
        }
        for malformed in ["", ",", "a,,b", "a b", "*,a", "a/b", "-a"] {
            assert!(Admitted::parse(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_source_admits_its_own_namespace_and_those_that_it_names() {
        let source = |pod: Option<&str>, from: &str| {
            let db = record("db", "", &[]);
            let db = pod.map_or(db.clone(), |pod| in_pod(db, pod));
            crate::model::Record { admitted: Admitted::parse(from).unwrap(), ..db }
        };
        let web = in_pod(record("web", "", &[]), "blog/web-1");
        for (pod, from, admits) in [
            (Some("blog/db-1"), "none", true),
            (Some("shop/db-1"), "none", false),
            (Some("shop/db-1"), "blog", true),
            (Some("shop/db-1"), "*", true),
            (Some("shop/db-1"), "shop", false),
            (None, "none", false),
            (None, "blog", true),
        ] {
            assert_eq!(source(pod, from).admits(web.pod.as_ref()), admits, "{pod:?} {from}");
            assert!(source(pod, from).admits(None), "a recipient in no pod");
        }
        let reaches = crate::model::Record { admitted: Admitted::All, ..web };
        assert!(!source(Some("shop/db-1"), "none").admits(reaches.pod.as_ref()), "its own from");
    }

    #[test]
    fn a_container_is_listed_under_each_of_its_keys() {
        let mut app = in_pod(record("id1", "", &[]), "blog/blog-1");
        app.engine_name = ContainerName::new("app").ok();
        app.admitted = Admitted::All;
        let keys: Vec<String> = app.pod_keys().iter().map(PodKey::text).collect();
        let expected = ["p~~blog-1", "n~blog~id1", "n~blog~app", "a~~id1", "a~~app"];
        assert_eq!(keys, expected);
        assert!(app.pod_keys().iter().all(|key| key.lists(&app)));
        let other = in_pod(record("id1", "", &[]), "shop/shop-1");
        assert!(!app.pod_keys().iter().any(|key| key.lists(&other)));
        let plain = record("app", "", &[]);
        assert!(plain.pod_keys().is_empty());
        let long = "n".repeat(240);
        let key = PodKey::Admitting(&long).text();
        assert!(key.len() < 80 && key.starts_with("h~~"), "{key}");
    }

    #[test]
    fn a_pod_and_a_container_are_a_name() {
        let app = in_pod(record("app", "", &[]), "blog/blog-1").pod.unwrap();
        assert_eq!(app.reference(), Some(reference("blog-1/app")));
        assert!(app.is_named(&reference("blog-1/app")));
        for other in ["app", "blog-1", "blog-2/app", "blog-1/apps"] {
            assert!(!app.is_named(&reference(other)), "{other}");
        }
    }
}
