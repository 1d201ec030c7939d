//! Which container a link means from its first connection on.

use super::{
    Address, ContainerId, ContainerName, DeclaredBy, Link, NetworkName, PeerRun, Record, Reference,
};

/// How a link found its source for the first time. That is decided once: a later container takes the
/// link over only if it has the same name, or is the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// By its name. The link means the container that has this name.
    Name,
    /// By its id or a prefix of it. The link means this id, which has no tag of a namesake.
    Id(ContainerId),
}

impl Meaning {
    /// Returns how `reference` means `source`, or `None` if it is both the name and the id.
    ///
    /// runc and crun call a container by one word, which is then both. Such a link stays open for a
    /// successor of either kind. The 64 digits of an engine's id are never meant as a name.
    pub(crate) fn of(reference: &Reference, source: &Record) -> Option<Self> {
        let is_id = source.id.as_str() == reference.as_str();
        match (source.is_named(reference), is_id) {
            (true, false) => Some(Self::Name),
            (true, true) if !source.id.is_engine_id() => None,
            _ => Some(Self::Id(source.id.tagged(None))),
        }
    }

    /// Returns how a record of an earlier version means the source that it is connected to. Such a
    /// record does not say it.
    pub(crate) fn inferred(reference: &Reference, source: &ContainerId) -> Option<Self> {
        if source.as_str() == reference.as_str() {
            source.is_engine_id().then(|| Self::Id(source.tagged(None)))
        } else if reference.begins(source) {
            Some(Self::Id(source.tagged(None)))
        } else {
            Some(Self::Name)
        }
    }
}

/// A declared link and the container that it is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// The link as declared.
    pub link: Link,
    /// The source's id, or `None` while the link waits, or is connected to a source on another host.
    pub source: Option<ContainerId>,
    /// The source on another host that the link is connected to.
    pub(crate) there: Option<PeerRun>,
    /// Which container the link means. `None` before the first connection, and if name and id of the
    /// source are the same word.
    pub meaning: Option<Meaning>,
    /// What declared the link. Links of records of an earlier version count as those of annotations.
    pub declared_by: DeclaredBy,
    /// Addresses on the network that the link is limited to, while it is connected. Empty if the link is
    /// not limited.
    pub on: Vec<Address>,
}

impl LinkState {
    /// Returns the state of a link that is not connected.
    pub(crate) fn waiting(link: Link) -> Self {
        Self {
            link,
            source: None,
            there: None,
            meaning: None,
            declared_by: DeclaredBy::default(),
            on: Vec::new(),
        }
    }

    /// Returns the state of the link when it is connected to `source`, or waits with `None`.
    ///
    /// A link to another host gets no meaning by that: any source with the name may be the next.
    pub(crate) fn connected(&self, source: Option<&Record>) -> Self {
        let there = source.and_then(Record::run);
        let source = source.filter(|source| source.host.is_none());
        let id = source.map(|source| source.id.clone());
        // An alias on a network is no name: another container may have it next.
        let named = source.filter(|source| !self.is_alias_of(source));
        let found = || named.and_then(|source| Meaning::of(&self.link.source, source));
        // A link that stays connected keeps its meaning: an older record may have none.
        let meaning = if id == self.source {
            self.meaning.clone()
        } else {
            self.meaning.clone().or_else(found)
        };
        let on = if id.is_some() { self.on.clone() } else { Vec::new() };
        let (link, declared_by) = (self.link.clone(), self.declared_by.clone());
        Self { link, source: id, there, meaning, declared_by, on }
    }

    /// Whether the link has its source.
    pub(crate) fn is_connected(&self) -> bool {
        self.source.is_some() || self.there.is_some()
    }

    /// The network whose name server of Docker knows the link's source, if the link is limited to one.
    pub(crate) fn user_network(&self) -> Option<&NetworkName> {
        match &self.declared_by {
            DeclaredBy::DockerNetwork(network) => Some(network),
            DeclaredBy::Annotation | DeclaredBy::Connect | DeclaredBy::Docker => None,
        }
    }

    /// Whether the link means `source` only by an alias on its network.
    fn is_alias_of(&self, source: &Record) -> bool {
        let reference = &self.link.source;
        let is_other = !source.is_named(reference) && source.id.as_str() != reference.as_str();
        is_other && self.user_network().is_some_and(|network| source.has_alias(network, reference))
    }

    /// Whether the link, which is connected to the container `source`, stays so while that one runs.
    pub(crate) fn stays_with(&self, source: &Record) -> bool {
        let is_former = self.meaning == Some(Meaning::Name) && source.was_named(&self.link.source);
        is_former || self.means(source)
    }

    /// Whether the link may be connected to the container `source`.
    pub(crate) fn means(&self, source: &Record) -> bool {
        let reference = &self.link.source;
        let has_id = |id: &str| source.id.as_str() == id;
        match &self.meaning {
            Some(Meaning::Name) => source.is_named(reference),
            Some(Meaning::Id(id)) => has_id(id.as_str()),
            None => {
                source.is_named(reference)
                    || has_id(reference.as_str())
                    || reference.begins(&source.id)
                    || self.is_alias_of(source)
            }
        }
    }

    /// Whether a container that starts with the id `id` may be the source only because the link names
    /// a prefix of its id.
    pub(crate) fn awaits_prefix_of(&self, id: &ContainerId) -> bool {
        self.source.is_none() && self.meaning.is_none() && self.link.source.begins(id)
    }
}

impl Record {
    /// Returns the names by which links find the container: its own, then its engine's if that is
    /// another one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ContainerName> {
        let is_name = |name: &&ContainerName| !self.is_pod_infra && !name.is_derived();
        std::iter::once(&self.name).chain(&self.engine_name).filter(is_name)
    }

    /// Whether `name` is one of the container's names. Another container may own it.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names().any(|own| own.as_str() == name)
    }

    /// Whether links find the container under the name `reference`, if no other container owns it.
    pub(crate) fn is_named(&self, reference: &Reference) -> bool {
        self.has_name(reference.as_str())
            || self.pod.as_ref().is_some_and(|pod| pod.is_named(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkNames;
    use crate::model::sample::{record, reference};

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn id(text: &str) -> ContainerId {
        ContainerId::new(text).unwrap()
    }

    fn named(id: &str, name: &str) -> Record {
        Record { name: ContainerName::new(name).unwrap(), ..record(id, "", &[]) }
    }

    #[test]
    fn a_meaning_is_the_name_or_the_id() {
        let of = |text: &str, source: &Record| Meaning::of(&reference(text), source);
        assert_eq!(of("db", &named("x1", "db")), Some(Meaning::Name));
        assert_eq!(of("x1", &named("x1", "db")), Some(Meaning::Id(id("x1"))));
        assert_eq!(of("db", &record("db", "", &[])), None, "both");
        assert_eq!(of(ID, &record(ID, "", &[])), Some(Meaning::Id(id(ID))), "never a name");
        assert_eq!(of(&ID[..12], &named(ID, "db")), Some(Meaning::Id(id(ID))));
        let mut two = named("x1", "db");
        two.engine_name = ContainerName::new("shop-db-1").ok();
        assert_eq!(of("shop-db-1", &two), Some(Meaning::Name));
    }

    /// What is inferred of an old record is what a new one says, as far as an old one can tell.
    #[test]
    fn an_old_record_means_what_it_is_connected_to() {
        let of = |text: &str, source: &str| Meaning::inferred(&reference(text), &id(source));
        assert_eq!(of("db", "x1"), Some(Meaning::Name));
        assert_eq!(of("db", "db"), None);
        assert_eq!(of(ID, ID), Some(Meaning::Id(id(ID))));
        assert_eq!(of(&ID[..12], ID), Some(Meaning::Id(id(ID))));
        assert_eq!(of(&ID[..11], ID), Some(Meaning::Name), "no prefix by today's rule");
        assert_eq!(of("db", "db-backup"), Some(Meaning::Name));
    }

    #[test]
    fn a_link_keeps_its_meaning() {
        let web = record("web", "", &[]).linked(&["db"]);
        let first = web.links[0].connected(Some(&named("x1", "db")));
        assert_eq!(first.meaning, Some(Meaning::Name));
        let waiting = first.connected(None);
        assert_eq!((&waiting.source, &waiting.meaning), (&None, &Some(Meaning::Name)));
        assert!(waiting.means(&named("x2", "db")));
        assert!(!waiting.means(&named("db", "other")), "an id of that word");
        let by_id = LinkState { meaning: Some(Meaning::Id(id("x1"))), ..waiting };
        assert!(by_id.means(&named("x1", "other")) && !by_id.means(&named("x2", "db")));
        let old = LinkState { meaning: None, ..first.clone() };
        assert_eq!(old.connected(Some(&named("x1", "db"))), old, "no change of a record");
    }

    #[test]
    fn a_connected_link_stays_after_a_new_name() {
        let web = record("web", "", &[]).linked(&["db"]);
        let db = named("x1", "db");
        let old = db.renamed_to(&named("x1", "old"));
        let link = web.links[0].connected(Some(&db));
        assert!(link.stays_with(&old) && !link.means(&old));
        assert!(!link.stays_with(&named("x1", "other")), "another container of that id");
        let by_id = LinkState { meaning: Some(Meaning::Id(id("x2"))), ..link };
        assert!(!by_id.stays_with(&old));
    }

    #[test]
    fn an_alias_on_its_network_leaves_a_link_open() {
        let network = NetworkName::new("n1").unwrap();
        let mut db = named(ID, "shop-db-1");
        let aliases = vec![reference("db")];
        db.networks.push(NetworkNames { network: network.clone(), aliases });
        let mut link = record("web", "", &[]).linked(&["db"]).links.remove(0);
        assert!(!link.means(&db), "no link of that network");
        link.declared_by = DeclaredBy::DockerNetwork(network);
        assert!(link.means(&db));
        let connected = link.connected(Some(&db));
        assert_eq!((&connected.source, &connected.meaning), (&Some(id(ID)), &None));
        assert_eq!(link.connected(Some(&named("x1", "db"))).meaning, Some(Meaning::Name));
        link.declared_by = DeclaredBy::DockerNetwork(NetworkName::new("n2").unwrap());
        assert!(!link.means(&db));
    }

    #[test]
    fn only_a_link_without_a_meaning_awaits_a_prefix() {
        let web = record("web", "", &[]).linked(&[&format!("{}:db", &ID[..12]), "012:x"]);
        let [long, short] = [&web.links[0], &web.links[1]];
        assert!(long.awaits_prefix_of(&id(ID)) && !short.awaits_prefix_of(&id(ID)));
        assert!(!long.awaits_prefix_of(&id(&ID[..20])), "not an engine's id");
        let found = long.connected(Some(&record(ID, "", &[])));
        assert!(
            !found.awaits_prefix_of(&id(ID)) && !found.connected(None).awaits_prefix_of(&id(ID))
        );
    }
}
