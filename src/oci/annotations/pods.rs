//! The annotations of Kubernetes, and keys of ours that are meant for one container of a pod.
//!
//! containerd and CRI-O write them into config.json. A pod's author cannot set those of containerd. All
//! containers of a pod have the annotations of the pod.

use super::{Annotations, MAX_VALUE, PREFIX};
use crate::model::{ContainerName, Link, NamespaceName, Pod, PodName, Reference, parse_links};

/// The keys that may be meant for one container of a pod, as `KEY/CONTAINER`.
const OF_ONE: [&str; 5] = ["links", "name", "ports", "env", "missing"];
/// What containerd puts before its annotations.
const CONTAINERD: &str = "io.kubernetes.cri.";
/// What marks a container of CRI-O. podman writes it too, but no namespace.
const CRIO: &str = "io.kubernetes.cri-o.ContainerType";

impl Annotations {
    /// Returns the pod of the container; `None` if Kubernetes did not create it, and for a sandbox.
    pub(crate) fn pod(&self) -> Option<Pod> {
        let container = ContainerName::new(self.container()?).ok()?;
        let [namespace, name] = self.place();
        let (namespace, name) = (NamespaceName::new(namespace?).ok()?, PodName::new(name?).ok()?);
        Some(Pod { namespace, name, container })
    }

    /// Whether the container only holds the namespaces of a pod. The pod's annotations are meant for the
    /// other containers.
    ///
    /// Only the engine that created the container is believed: CRI-O passes all annotations of a pod on, and
    /// podman those of its user.
    pub(crate) fn is_sandbox(&self) -> bool {
        let is_crio = self.get(CRIO).is_some();
        let kind = if is_crio { CRIO } else { "io.kubernetes.cri.container-type" };
        self.only(kind) == Some("sandbox") && self.get("io.container.manager").is_none()
    }

    /// The name of the container in its pod.
    fn container(&self) -> Option<&str> {
        if self.is_sandbox() {
            return None;
        }
        if self.get(CRIO).is_some() {
            self.only("io.kubernetes.pod.namespace")?;
            return self.only("io.kubernetes.container.name");
        }
        self.only("io.kubernetes.cri.container-name")
    }

    /// The values of a key of ours: those for this container of the pod, or else those for all.
    pub(super) fn values(&self, name: &str) -> &[String] {
        let all = || self.0.get(&format!("{PREFIX}{name}"));
        self.own_values(name).or_else(all).map_or(&[], Vec::as_slice)
    }

    /// The values of a key of ours that are meant for this container of the pod only.
    fn own_values(&self, name: &str) -> Option<&Vec<String>> {
        let container = self.container().filter(|_| OF_ONE.contains(&name))?;
        self.0.get(&format!("{PREFIX}{name}/{container}"))
    }

    /// Parses the value of `links`. One that is for all containers of a pod does not link a container to
    /// itself. Only a container of a pod may name another as `pod/container`.
    pub(super) fn links_of(
        &self,
        value: &str,
        name: Option<&ContainerName>,
    ) -> Result<Vec<Link>, crate::model::Invalid> {
        let mut links = parse_links(value)?;
        match self.pod() {
            Some(pod) if self.own_values("links").is_none() => {
                links.retain(|link| !is_itself(&pod, name, &link.source));
            }
            Some(_) => {}
            None => {
                self.must_be_in_no_pod()?;
                links.iter().try_for_each(|link| link.source.must_be_in_no_pod())?;
            }
        }
        Ok(links)
    }

    /// Refuses a container of Kubernetes whose namespace or pod is unknown: its links would lead everywhere.
    fn must_be_in_no_pod(&self) -> Result<(), crate::model::Invalid> {
        let is_in_one =
            [CRIO, "io.kubernetes.cri.container-type"].iter().any(|key| self.get(key).is_some());
        // podman writes annotations of CRI-O, and knows no namespaces.
        if is_in_one && self.get("io.container.manager").is_none() {
            let [namespace, name] = self.place().map(Option::unwrap_or_default);
            NamespaceName::new(namespace)?;
            PodName::new(name)?;
        }
        Ok(())
    }

    /// The names of namespace and pod as the engine writes them.
    fn place(&self) -> [Option<&str>; 2] {
        if self.get(CRIO).is_some() {
            ["namespace", "name"].map(|key| self.only(&format!("io.kubernetes.pod.{key}")))
        } else {
            ["namespace", "name"].map(|key| self.only(&format!("{CONTAINERD}sandbox-{key}")))
        }
    }

    /// Whether a value of `links` asks for a link to another container. One that is refused does.
    pub(super) fn asks_for(&self, links: &str) -> bool {
        if links.trim() == "none" {
            return false;
        }
        // Only the annotation of a pod may name no other container.
        if links.len() > MAX_VALUE || self.container().is_none() {
            return true;
        }
        let name = self.values("name").last().and_then(|name| ContainerName::new(name).ok());
        self.links_of(links, name.as_ref()).map_or(true, |links| !links.is_empty())
    }
}

/// Whether `source` names the container of `pod`, which has the `name` besides.
fn is_itself(pod: &Pod, name: Option<&ContainerName>, source: &Reference) -> bool {
    let names = [Some(&pod.container), name].into_iter().flatten();
    pod.is_named(source) || names.into_iter().any(|name| name.as_str() == source.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortSet;

    /// The annotations of a container in a pod of the namespace `blog`, as containerd writes them.
    fn of(container: &str, more: &[(&str, &str)]) -> Annotations {
        let mut all = Annotations::default();
        for (key, value) in [
            ("io.kubernetes.cri.container-type", "container"),
            ("io.kubernetes.cri.sandbox-namespace", "blog"),
            ("io.kubernetes.cri.sandbox-name", "blog-1"),
            ("io.kubernetes.cri.container-name", container),
        ] {
            all.add(key.to_owned(), value.to_owned());
        }
        for (key, value) in more {
            all.add(format!("{PREFIX}{key}"), (*value).to_owned());
        }
        all
    }

    fn links(all: &Annotations) -> Vec<String> {
        let links = all.declared().unwrap().links;
        links.iter().map(|link| format!("{}:{}", link.source, link.alias)).collect()
    }

    #[test]
    fn a_key_for_one_container_comes_before_that_for_all() {
        let pod = [
            ("links", "nosuch"),
            ("links/web", "mydb:db"),
            ("links/side", "none"),
            ("ports", "3306"),
            ("ports/web", "80"),
            ("name/web", "site"),
        ];
        let web = of("web", &pod);
        assert_eq!(links(&web), ["mydb:db"]);
        let declared = web.declared().unwrap();
        assert_eq!(declared.ports, PortSet::parse("80").ok());
        assert_eq!(declared.name.map(|name| name.to_string()).as_deref(), Some("site"));
        assert!(!of("side", &pod).declare_links() && links(&of("side", &pod)).is_empty());
        assert_eq!(links(&of("other", &pod)), ["nosuch:nosuch"]);
        assert_eq!(of("other", &pod).declared().unwrap().name, None);
    }

    #[test]
    fn a_container_is_not_linked_to_itself_by_the_annotation_of_its_pod() {
        let pod = [("links", "db blog-1/web:w cache"), ("name/web", "site")];
        assert_eq!(links(&of("web", &pod)), ["db:db", "cache:cache"]);
        assert_eq!(links(&of("db", &pod)), ["blog-1/web:w", "cache:cache"]);
        let alone = [("links", "db")];
        assert!(!of("db", &alone).declare_links() && links(&of("db", &alone)).is_empty());
        assert!(of("web", &alone).declare_links());
        assert_eq!(
            links(&of("db", &[("links/db", "db")])),
            ["db:db"],
            "refused when it is resolved"
        );
        assert!(links(&of("db", &[("links", "mine"), ("name", "mine")])).is_empty());
    }

    #[test]
    fn the_annotations_of_a_sandbox_are_not_its_own() {
        let mut sandbox = of("", &[("links", "db:x#y"), ("isolate", "in")]);
        sandbox.0.insert("io.kubernetes.cri.container-type".into(), vec!["sandbox".into()]);
        assert!(sandbox.is_sandbox() && sandbox.pod().is_none());
        assert!(!sandbox.declare_links());
        assert!(of("web", &[("links", "db:x#y")]).declare_links());
    }

    #[test]
    fn only_a_pod_links_to_a_pod() {
        assert_eq!(
            links(&of("web", &[("links", "blog-2/app:x shop-1/app2")])),
            ["blog-2/app:x", "shop-1/app2:app2"]
        );
        let mut plain = Annotations::default();
        plain.add(format!("{PREFIX}links"), "blog-2/app:x".to_owned());
        let error = plain.declared().map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("link source \"blog-2/app\": has a character that is not allowed".to_owned())
        );
    }

    #[test]
    fn a_malformed_from_admits_no_one_and_stops_nothing() {
        use crate::model::Admitted;
        for (from, admitted) in [
            ("*", Admitted::All),
            ("a b", Admitted::None),
            ("", Admitted::None),
            ("none", Admitted::None),
        ] {
            let all = of("db", &[("from", from), ("links", "x")]);
            assert_eq!(all.declared().unwrap().admitted, admitted, "{from}");
        }
    }

    #[test]
    fn the_pod_as_containerd_and_crio_write_it() {
        let pod = of("web", &[]).pod().unwrap();
        let shown = |pod: &Pod| format!("{} {} {}", pod.namespace, pod.name, pod.container);
        assert_eq!(shown(&pod), "blog blog-1 web");
        let mut crio = Annotations::default();
        for (key, value) in [
            (CRIO, "container"),
            ("io.kubernetes.container.name", "web"),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.name", "shop-1"),
            // Annotations of the pod's author.
            ("io.kubernetes.cri.sandbox-namespace", "prod"),
            ("io.kubernetes.cri.sandbox-name", "prod-1"),
            ("io.kubernetes.cri.container-name", "db"),
        ] {
            crio.add(key.to_owned(), value.to_owned());
        }
        assert_eq!(crio.pod().as_ref().map(shown).as_deref(), Some("shop shop-1 web"));
        crio.add("io.kubernetes.pod.namespace".to_owned(), "prod".to_owned());
        assert_eq!(crio.pod(), None, "two values");
        crio.add(format!("{PREFIX}links"), "db".to_owned());
        assert!(crio.declared().is_err(), "links of a container in an unknown namespace");
        // Annotations of the pod's author make no sandbox of it.
        crio.add("io.kubernetes.cri.container-type".to_owned(), "sandbox".to_owned());
        assert!(!crio.is_sandbox());
        crio.add(CRIO.to_owned(), "other".to_owned());
        assert!(!crio.is_sandbox(), "two values of CRI-O's key");
        let mut podman = Annotations::default();
        podman.add("io.container.manager".to_owned(), "libpod".to_owned());
        podman.add(CRIO.to_owned(), "sandbox".to_owned());
        assert!(!podman.is_sandbox());
        assert_eq!(Annotations::default().pod(), None);
    }
}
