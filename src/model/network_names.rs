//! Names by which not every link finds a container: earlier ones of its run, and those on one network.

use super::{ContainerName, NetworkName, Record, Reference};

/// Limit of the former names that a record keeps.
const MAX_FORMER: usize = 16;

/// A network of a container, and how the engine's name server calls the container there besides its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkNames {
    /// The network.
    pub network: NetworkName,
    /// The aliases of the container on this network. Other containers may have the same.
    pub aliases: Vec<Reference>,
}

impl NetworkNames {
    /// Limit of the aliases of one container that are kept.
    pub(crate) const MAX_ALIASES: usize = 64;
}

impl Record {
    /// Whether the container had the name `reference` before its engine gave it another one. A link that is
    /// connected to the container stays.
    pub(crate) fn was_named(&self, reference: &Reference) -> bool {
        self.former_names.iter().any(|name| name.as_str() == reference.as_str())
    }

    /// The networks on which the container has aliases, with each alias.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (&NetworkName, &Reference)> {
        self.networks.iter().flat_map(|it| it.aliases.iter().map(move |alias| (&it.network, alias)))
    }

    /// Whether the container has the alias `reference` on `network`.
    pub(crate) fn has_alias(&self, network: &NetworkName, reference: &Reference) -> bool {
        self.aliases().any(|(known, alias)| known == network && alias == reference)
    }

    /// Whether the container may be on `network`. The record may have no networks.
    pub(crate) fn may_be_on(&self, network: &NetworkName) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|it| it.network == *network)
    }

    /// The name that the container's engine gave it, as far as the record says.
    pub(crate) fn name_in_engine(&self) -> &ContainerName {
        self.engine_name.as_ref().unwrap_or(&self.name)
    }

    /// Returns the record with the names of `current`, which describes the same run of the container.
    /// Names that it loses become former ones.
    pub(crate) fn renamed_to(&self, current: &Self) -> Self {
        let mut now = self.clone();
        now.name.clone_from(&current.name);
        now.engine_name.clone_from(&current.engine_name);
        now.networks.clone_from(&current.networks);
        // No engine gives a container its id as a name.
        let is_id = |name: &&ContainerName| name.as_str() == self.id.as_str();
        let lost =
            self.names().filter(|name| !now.has_name(name.as_str()) && !is_id(name)).cloned();
        let known = self.former_names.iter().filter(|name| !now.has_name(name.as_str())).cloned();
        let mut former: Vec<ContainerName> = known.collect();
        former.extend(lost);
        former.drain(..former.len().saturating_sub(MAX_FORMER));
        now.former_names = former;
        now
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{record, reference};
    use super::*;

    fn called(name: &str, engine_name: Option<&str>) -> Record {
        let checked = |text: &str| ContainerName::new(text).unwrap();
        let mut record = record("0a", "", &[]);
        record.name = checked(name);
        record.engine_name = engine_name.map(checked);
        record
    }

    #[test]
    fn a_name_that_is_lost_is_a_former_one_until_it_comes_back() {
        let db = called("db", None);
        let old = db.renamed_to(&called("old", None));
        assert!(old.has_name("old") && !old.has_name("db") && old.was_named(&reference("db")));
        let back = old.renamed_to(&called("db", None));
        assert!(back.has_name("db") && !back.was_named(&reference("db")));
        assert!(back.was_named(&reference("old")));
        // The name of an annotation stays.
        let both = called("db", None).renamed_to(&called("db", Some("shop-db-1")));
        assert!(both.former_names.is_empty() && both.has_name("shop-db-1"));
        assert_eq!(
            (both.name_in_engine().as_str(), db.name_in_engine().as_str()),
            ("shop-db-1", "db")
        );
    }

    #[test]
    fn former_names_are_bounded() {
        let mut record = called("n0", None);
        for number in 1..40 {
            record = record.renamed_to(&called(&format!("n{number}"), None));
        }
        assert_eq!(record.former_names.len(), MAX_FORMER);
        assert!(record.was_named(&reference("n38")) && !record.was_named(&reference("n1")));
    }

    #[test]
    fn an_alias_counts_on_its_network() {
        let network = |name: &str| NetworkName::new(name).unwrap();
        let mut db = called("db", None);
        assert!(db.may_be_on(&network("n1")), "unknown");
        db.networks = vec![
            NetworkNames { network: network("n1"), aliases: vec![reference("sql")] },
            NetworkNames { network: network("n2"), aliases: Vec::new() },
        ];
        assert!(db.has_alias(&network("n1"), &reference("sql")));
        assert!(!db.has_alias(&network("n2"), &reference("sql")));
        assert!(db.may_be_on(&network("n2")) && !db.may_be_on(&network("n3")));
    }
}
