//! What others break comes back; what cannot be done is not done by half.

use super::{Site, each_backend, flows, owner};
use crate::support::{OPEN, Proto, SHUT};
use oci_link::testing::BackendName;

each_backend! {
    fn f15_what_was_flushed_returns(backend) {
        let site = Site::new(backend);
        let (web, wanted) = (owner('a'), flows(11, 12, "3306, 53/udp"));
        site.ensure(&web, &[], &wanted);
        let whole = site.snapshot();
        let flushes: &[&[&str]] = match backend {
            BackendName::Nftables => {
                &[&["nft flush ruleset"], &["nft flush chain inet oci-link forward"]]
            }
            BackendName::Ipset => &[
                &["ipset flush"],
                &["nft flush ruleset", "ipset destroy"],
                &["iptables -F", "ip6tables -F"],
            ],
            _ => &[&["iptables -F", "ip6tables -F"], &["nft flush ruleset"]],
        };
        for flush in flushes {
            site.by_hand(flush);
            assert_ne!(site.snapshot().lines().count(), whole.lines().count());
            site.act(|firewall| firewall.ensure_base()).expect("it can be made again");
            site.ensure(&web, &wanted, &wanted);
            site.assert_permitted(&web, &wanted);
            assert_eq!(site.snapshot().lines().count(), whole.lines().count(), "{flush:?}");
        }
    }

    /// A start that changes an owner's rules notices by itself.
    fn f15_a_flush_is_noticed(backend) {
        let site = Site::new(backend);
        let (web, other, wanted) = (owner('a'), owner('b'), flows(11, 12, "3306"));
        site.ensure(&web, &[], &wanted);
        match backend {
            BackendName::Ipset => site.by_hand(&["nft flush ruleset", "ipset destroy"]),
            _ => site.by_hand(&["nft flush ruleset"]),
        }
        site.ensure(&web, &wanted, &wanted);
        site.ensure(&other, &[], &flows(13, 12, "3306"));
        site.assert_permitted(&web, &wanted);
        site.assert_permitted(&other, &flows(13, 12, "3306"));
    }

    /// The chains are emptied and the sets stay. Then a container is linked.
    fn f15_sets_without_rules_are_noticed(backend) {
        let site = Site::new(backend);
        let (web, db, other) = (site.running("web"), site.running("db"), site.running("other"));
        let own = flows(web.number(), db.number(), "3306");
        site.ensure(&owner('a'), &[], &own);
        for own_rule in [false, true] {
            match backend {
                BackendName::Nftables => site.by_hand(&["nft flush table inet oci-link"]),
                _ => site.by_hand(&["iptables -F", "ip6tables -F"]),
            }
            if own_rule && backend == BackendName::Nftables {
                let rule = "nft add rule inet oci-link forward tcp dport 9999 counter accept";
                site.by_hand(&[rule]);
            }
            assert_eq!(other.reach(&db, Proto::Tcp, 3307), OPEN, "flushed");
            let more = flows(other.number(), db.number(), "3306");
            site.ensure(&owner('b'), &[], &more);
            assert_eq!(other.reach(&db, Proto::Tcp, 3306), OPEN);
            assert_eq!(other.reach(&db, Proto::Tcp, 3307), SHUT, "isolated again");
            site.remove(&owner('b'), &more);
        }
    }

    fn f36_all_or_nothing(backend) {
        let site = Site::open(backend);
        let (web, wanted) = (owner('a'), flows(11, 12, "3306, 53/udp, 9000-9099"));
        // The second of the two families is one that cannot be changed.
        match backend {
            BackendName::Ipset => site.by_hand(&[
                "ipset create oci-link4 hash:ip,port,ip comment",
                "ipset create oci-link6 hash:ip,port,ip family inet6 comment maxelem 64",
            ]),
            BackendName::Nftables => site.by_hand(&[
                "nft add table inet oci-link",
                "nft add set inet oci-link links6 { type ipv4_addr; }",
            ]),
            // A chain of the owner's name that iptables can neither see nor make.
            _ => site.by_hand(&[
                "iptables -N X",
                "nft add chain ip filter OCI-LINK-aaaaaaaaaaaaaaaa { type filter hook prerouting \
                 priority 0; }",
            ]),
        }
        site.try_ensure(&web, &[], &wanted).expect_err("not possible");
        assert!(site.host.set_elements().is_empty());
        let left = site.snapshot();
        assert!(!left.contains("10.77.0.11") && !left.contains("fd77::b"), "{left}");
    }
}

#[test]
fn f17_a_set_of_another_kind_is_not_ours() {
    let site = Site::open(BackendName::Ipset);
    site.by_hand(&["ipset create oci-link4 hash:ip"]);
    let refused = site.try_ensure(&owner('a'), &[], &flows(11, 12, "3306"));
    let complaint = refused.expect_err("it would let everything through").to_string();
    assert!(complaint.contains("oci-link4"), "{complaint}");
}
