//! Limits a link of an engine to the addresses of one network.

use crate::model::{Address, DeclaredBy};

/// The bridge of Docker's default network.
const DOCKER0: &str = "docker0";

/// Returns those of `all` that are on the network of `known`, which are addresses on one network.
pub(crate) fn on_network(all: &[Address], known: &[Address]) -> Vec<Address> {
    let is_on = |address: &&Address| known.iter().any(|known| is_same_network(address, known));
    all.iter().filter(is_on).copied().collect()
}

/// Returns addresses on the network of a link, where no file tells which they are: what the recipient
/// has if it is on one network, else what the source shares with it if that is one network.
///
/// `ours` is `None` before the recipient is created. A link on the default bridge prefers the bridge
/// that Docker calls so.
pub(crate) fn assumed(
    declared_by: &DeclaredBy,
    ours: Option<&[Address]>,
    theirs: &[Address],
) -> Vec<Address> {
    let is_shared = |their: &Address| {
        ours.is_none_or(|ours| ours.iter().any(|our| is_same_network(our, their)))
    };
    let shared: Vec<Address> = theirs.iter().filter(|their| is_shared(their)).copied().collect();
    let is_default =
        |address: &Address| address.bridge().is_some_and(|bridge| bridge.as_str() == DOCKER0);
    let wants_default = *declared_by == DeclaredBy::Docker;
    let has_default = shared.iter().any(is_default);
    let left: Vec<Address> =
        shared.into_iter().filter(|at| !has_default || is_default(at) == wants_default).collect();
    if are_of_one_network(&left) { left } else { Vec::new() }
}

/// Whether all addresses are on one network, which may have both families.
pub(crate) fn are_of_one_network(all: &[Address]) -> bool {
    all.iter().all(|one| {
        all.iter().all(|other| {
            let is_other_family = one.ip().is_ipv4() != other.ip().is_ipv4();
            !one.is_apart_from(other) && (is_other_family || one.shares_network(other))
        })
    })
}

fn is_same_network(one: &Address, other: &Address) -> bool {
    one.shares_network(other) && !one.is_apart_from(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BridgeName, NetworkName};

    fn at(text: &str, bridge: &str) -> Address {
        let bridge = (!bridge.is_empty()).then(|| BridgeName::new(bridge).unwrap());
        Address::parse(text).unwrap().on(bridge)
    }

    #[test]
    fn addresses_of_one_network_share_subnet_and_bridge() {
        let known = [at("172.18.0.1/16", "br-1")];
        let all = [
            at("172.17.0.2/16", "docker0"),
            at("172.18.0.2/16", "br-1"),
            at("172.18.0.3/16", "br-2"),
            at("172.18.0.4/16", ""),
        ];
        assert_eq!(on_network(&all, &known), [all[1], all[3]]);
        assert_eq!(on_network(&all, &[]), []);
        let both = [at("172.18.0.2/16", "br-1"), at("fd00::2/64", "br-1")];
        assert!(are_of_one_network(&both) && are_of_one_network(&[]));
        assert!(!are_of_one_network(&all[..2]) && !are_of_one_network(&all[1..3]));
        assert!(!are_of_one_network(&[at("172.18.0.2/16", "br-1"), at("fd00::2/64", "br-2")]));
    }

    #[test]
    fn without_files_one_shared_network_is_assumed() {
        let n1 = DeclaredBy::DockerNetwork(NetworkName::new("n1").unwrap());
        let theirs = [at("172.17.0.2/16", "docker0"), at("172.18.0.2/16", "br-1")];
        let third = [theirs[0], theirs[1], at("172.19.0.2/16", "br-2")];
        let ours = [at("172.17.0.9/16", "docker0"), at("172.18.0.9/16", "br-1")];
        for (declared_by, ours, theirs, expected) in [
            (&DeclaredBy::Docker, Some(&ours[..]), &theirs[..], &theirs[..1]),
            (&n1, Some(&ours[..]), &theirs[..], &theirs[1..]),
            (&n1, Some(&ours[..1]), &theirs[..], &[]),
            (&n1, Some(&ours[..]), &third[..], &theirs[1..]),
            (&DeclaredBy::Docker, None, &theirs[..], &theirs[..1]),
            (&n1, None, &third[..], &[]),
            (&DeclaredBy::Docker, None, &theirs[1..], &theirs[1..]),
            (&DeclaredBy::Docker, Some(&ours[1..]), &theirs[..1], &[]),
        ] {
            assert_eq!(assumed(declared_by, ours, theirs), expected, "{declared_by} {ours:?}");
        }
    }
}
