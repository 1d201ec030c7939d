//! What a recipient of another host may reach here.

use super::flows::MAX_ELEMENTS;
use crate::model::{
    Address, BackendName, Cluster, Crossing, Flow, Network, OnBridge, Record, Share, Want,
};
use std::net::IpAddr;

/// What this host permits recipients of others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// The declared hosts.
    pub(crate) cluster: &'a Cluster,
    /// The recipient's addresses that this host believes.
    pub(crate) addresses: &'a [IpAddr],
    /// The backend of the rules.
    pub(crate) backend: BackendName,
}

/// Returns the flows by which the recipient of `want` reaches `me`, a running container of this host. `None` if it
/// may not have a link, or has no address of a family of `me` that this host believes: nothing could pass then.
///
/// `me` must share itself with the recipient's host, and the want must be to this run of it. The flows lead to the
/// addresses and ports in the record of `me`: the other host names neither.
pub(crate) fn plan_guest(me: &Record, want: &Want, policy: Policy<'_>) -> Option<Vec<Flow>> {
    let Policy { cluster, addresses, backend } = policy;
    let own = &cluster.name;
    let is_meant = want
        .sources
        .iter()
        .any(|source| (&source.host, &source.id, &source.run) == (own, &me.id, &me.owner));
    let can = matches!(backend, BackendName::Ipset | BackendName::Nftables);
    let is_admitted = me.share != Share::None && me.share.admits(&want.recipient.host);
    let Network::Own(own_addresses) = &me.network else { return None };
    (can && is_meant && is_admitted && !me.is_pod_infra).then_some(())?;
    let (mut flows, mut has_pair) = (Vec::new(), false);
    let admitted = |address: &&Address| cluster.admits(own, address.ip());
    for to in own_addresses.iter().filter(admitted) {
        has_pair |= addresses.iter().any(|from| from.is_ipv4() == to.ip().is_ipv4());
        let Some(bridge) = to.bridge() else { continue };
        let bridge = Some(OnBridge { crossing: Crossing::Enters, ..bridge.into() });
        for from in addresses.iter().filter(|from| from.is_ipv4() == to.ip().is_ipv4()) {
            let all = me.ports.iter();
            flows.extend(all.map(|ports| Flow { from: *from, to: to.ip(), ports, bridge }));
        }
    }
    let elements: usize = flows.iter().map(|flow| flow.ports.count()).sum();
    (has_pair && elements <= MAX_ELEMENTS).then_some(flows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{
        BridgeName, ContainerId, ContainerName, HostName, OwnerTag, PeerRun, PortSet, Subnet,
    };
    use std::time::Duration;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    fn cluster() -> Cluster {
        let network = |text: &str| vec![Subnet::parse(text).unwrap()];
        let networks = [(host("a"), network("10.10.1.0/24")), (host("b"), network("10.10.2.0/24"))];
        Cluster { name: host("b"), networks: networks.into(), patience: Duration::from_secs(60) }
    }

    fn at(text: &str, bridge: &str) -> Address {
        Address::parse(text).unwrap().on(BridgeName::new(bridge).ok())
    }

    fn mysql(share: &str) -> Record {
        let network = Network::Own(vec![
            at("172.17.0.2/16", "docker0"),
            at("10.10.2.2/24", "br0"),
            at("10.10.2.3/24", ""),
        ]);
        Record { network, share: Share::parse(share).unwrap(), ..record("mysql", "3306", &[]) }
    }

    fn want(run: &OwnerTag) -> Want {
        let id = |text: &str| ContainerId::new(text).unwrap();
        let of_a = OwnerTag::parse("90c2f1be77d0aa14").unwrap();
        let source = PeerRun { host: host("b"), id: id("mysql"), run: run.clone() };
        Want {
            recipient: PeerRun { host: host("a"), id: id("web"), run: of_a },
            name: ContainerName::new("web").unwrap(),
            addresses: vec!["10.10.1.2".parse().unwrap()],
            sources: vec![source],
        }
    }

    fn planned(me: &Record, want: &Want, backend: BackendName) -> Option<Vec<String>> {
        let cluster = cluster();
        let policy = Policy { cluster: &cluster, addresses: &want.addresses, backend };
        let flows = plan_guest(me, want, policy)?;
        assert!(flows.iter().all(Flow::crosses));
        Some(flows.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_the_own_record_says_what_is_opened() {
        let me = mysql("all");
        let found = planned(&me, &want(&me.owner), BackendName::Nftables).unwrap();
        assert_eq!(found, ["10.10.1.2 -> 10.10.2.2 3306/tcp into br0"]);
        let silent = Record { ports: PortSet::default(), ..me.clone() };
        assert_eq!(planned(&silent, &want(&me.owner), BackendName::Ipset), Some(Vec::new()));
        let mut other_family = want(&me.owner);
        other_family.addresses = vec!["fd00::1".parse().unwrap()];
        assert_eq!(planned(&me, &other_family, BackendName::Ipset), None, "nothing could pass");
        assert_eq!(planned(&silent, &other_family, BackendName::Ipset), None);
    }

    #[test]
    fn the_source_consents_and_its_run_is_meant() {
        let me = mysql("all");
        let of = |share: &str| planned(&mysql(share), &want(&me.owner), BackendName::Ipset);
        assert!(of("all").is_some() && of("a,c").is_some());
        assert_eq!((of("none"), of("c")), (None, None));
        let other_run = OwnerTag::parse("0123456789abcdef").unwrap();
        assert_eq!(planned(&me, &want(&other_run), BackendName::Ipset), None);
        let mut elsewhere = want(&me.owner);
        elsewhere.sources[0].host = host("c");
        assert_eq!(planned(&me, &elsewhere, BackendName::Ipset), None, "another host's");
        let mut another = want(&me.owner);
        another.sources[0].id = ContainerId::new("redis").unwrap();
        assert_eq!(planned(&me, &another, BackendName::Ipset), None, "another container");
        for backend in [BackendName::Iptables, BackendName::None] {
            assert_eq!(
                planned(&me, &want(&me.owner), backend),
                None,
                "no rule would end by itself"
            );
        }
        let on_host = Record { network: Network::Host, ..me.clone() };
        assert_eq!(planned(&on_host, &want(&me.owner), BackendName::Ipset), None);
    }
}
