//! At create: the addresses by which a recipient will reach its sources.
//!
//! A source on several networks has several addresses. The hosts lines and the rules are made later, when
//! the recipient has addresses. Its variables are made now, and name the address on a network of both, if
//! the recipient's networks are known: by its network namespace, which podman and CNI set up before
//! create, or by Docker's files.

use crate::engine::Listing;
use crate::link::carry::is_shared;
use crate::model::{Address, ContainerId, Family, Network, Record};
use crate::oci::network_namespace;
use crate::sys::net::netns::Namespace;
use std::borrow::Cow;
use std::cell::OnceCell;

/// A recipient before its creation.
pub(crate) struct Future<'a> {
    /// Its id, if it is known.
    pub(crate) id: Option<&'a ContainerId>,
    /// The content of its config.json.
    pub(crate) config: &'a [u8],
    /// Where its engine lists containers.
    pub(crate) listing: &'a Listing,
}

impl Future<'_> {
    /// Returns each source with only the addresses by which this recipient will reach it. A source whose
    /// networks are not shared, as far as that is known, keeps all.
    ///
    /// Nothing is read for sources that are on one network.
    pub(crate) fn narrow<'a>(
        &self,
        sources: Vec<Option<&'a Record>>,
    ) -> Vec<Option<Cow<'a, Record>>> {
        let own = OnceCell::new();
        let narrowed = |source: &'a Record| {
            let all = source.network.addresses();
            if is_on_one_network(all) {
                return Cow::Borrowed(source);
            }
            let mut shared = shared(own.get_or_init(|| self.own_addresses()), all);
            if shared.is_empty() {
                let ips = self.id.map(|id| self.listing.shared_addresses(id, &source.id));
                let ips = ips.unwrap_or_default();
                shared =
                    all.iter().filter(|address| ips.contains(&address.ip())).copied().collect();
            }
            if shared.is_empty() {
                return Cow::Borrowed(source);
            }
            Cow::Owned(Record { network: Network::Own(shared), ..source.clone() })
        };
        sources.into_iter().map(|source| source.map(narrowed)).collect()
    }

    /// The addresses in the network namespace that the recipient joins; none if they cannot be read.
    fn own_addresses(&self) -> Vec<Address> {
        let Some(path) = network_namespace::joined(self.config) else { return Vec::new() };
        match Namespace::at(&path) {
            Ok(namespace) => namespace.addresses,
            Err(error) => {
                log::debug!("the recipient's network is unknown: {error}");
                Vec::new()
            }
        }
    }
}

/// Whether there is one address, or one of each family on one bridge.
fn is_on_one_network(addresses: &[Address]) -> bool {
    match addresses {
        [] | [_] => true,
        [one, other] => {
            Family::of(one.ip()) != Family::of(other.ip()) && one.bridge() == other.bridge()
        }
        _ => false,
    }
}

/// The source's addresses that links will use: of each family the first on a network of both.
fn shared(ours: &[Address], theirs: &[Address]) -> Vec<Address> {
    let of = |all: &[Address], family| -> Vec<Address> {
        all.iter().filter(|address| Family::of(address.ip()) == family).copied().collect()
    };
    let first = |family| {
        let (ours, theirs) = (of(ours, family), of(theirs, family));
        ours.iter().find_map(|our| theirs.iter().find(|their| is_shared(our, their)).copied())
    };
    Family::BOTH.into_iter().filter_map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BridgeName;

    fn at(addresses: &[(&str, &str)]) -> Vec<Address> {
        let on = |(text, bridge): &(&str, &str)| {
            Address::parse(text).unwrap().on(BridgeName::new(bridge).ok())
        };
        addresses.iter().map(on).collect()
    }

    #[test]
    fn the_address_on_the_network_of_both_is_found() {
        let db = at(&[("10.1.0.3/24", "a"), ("10.2.0.3/24", "b"), ("fd02::3/64", "b")]);
        let shown = |ours: &[(&str, &str)]| -> Vec<String> {
            shared(&at(ours), &db).iter().map(|address| address.ip().to_string()).collect()
        };
        assert_eq!(shown(&[("10.2.0.2/24", "b"), ("fd02::2/64", "b")]), ["10.2.0.3", "fd02::3"]);
        assert_eq!(
            shown(&[("10.2.0.2/24", "b"), ("10.1.0.2/24", "a")]),
            ["10.2.0.3"],
            "ours first"
        );
        assert_eq!(shown(&[("fd02::2/64", "b")]), ["fd02::3"]);
        assert_eq!(shown(&[("10.2.0.2/24", "c")]), [""; 0], "another bridge");
        assert_eq!(shown(&[("10.9.0.2/24", "")]), [""; 0]);
    }

    #[test]
    fn nothing_is_asked_for_a_source_on_one_network() {
        for (addresses, expected) in [
            (at(&[]), true),
            (at(&[("10.1.0.3/24", "a")]), true),
            (at(&[("10.1.0.3/24", "a"), ("fd01::3/64", "a")]), true),
            (at(&[("10.1.0.3/24", "a"), ("fd01::3/64", "b")]), false),
            (at(&[("10.1.0.3/24", "a"), ("10.2.0.3/24", "a")]), false),
        ] {
            assert_eq!(is_on_one_network(&addresses), expected, "{addresses:?}");
        }
    }
}
