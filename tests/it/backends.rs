//! What every backend of the firewall promises, whatever it is made of.

mod across;
mod bridges;
mod faults;
mod lapsing;
mod packets;
mod pods;
mod ranges;
mod site;
mod whole;

use oci_link::testing::{BackendName, Family};
use site::{Site, flows, owner};

/// Makes each scenario a test per backend.
macro_rules! each_backend {
    ($($(#[doc = $about:literal])* $(#[ignore = $why:literal])? fn $name:ident($backend:ident) $story:block)*) => {$(
        mod $name {
            use super::*;

            $(#[doc = $about])*
            fn scenario($backend: oci_link::testing::BackendName) $story

            #[test]
            $(#[ignore = $why])?
            fn ipset() {
                scenario(oci_link::testing::BackendName::Ipset);
            }

            #[test]
            $(#[ignore = $why])?
            fn iptables() {
                scenario(oci_link::testing::BackendName::Iptables);
            }

            #[test]
            $(#[ignore = $why])?
            fn nftables() {
                scenario(oci_link::testing::BackendName::Nftables);
            }
        }
    )*};
}
pub(crate) use each_backend;

const PORTS: &str = "3306, 53/udp, 2905/sctp, 7000-7009/tcp";

each_backend! {
    fn f18_doing_it_twice_is_doing_it_once(backend) {
        let site = Site::new(backend);
        let (web, wanted) = (owner('a'), flows(11, 12, PORTS));
        site.ensure(&web, &[], &wanted);
        site.assert_permitted(&web, &wanted);
        let once = site.snapshot();
        for remembered in [&wanted[..], &[]] {
            site.ensure(&web, remembered, &wanted);
            site.assert_permitted(&web, &wanted);
            assert_eq!(site.snapshot().lines().count(), once.lines().count());
        }
        site.act(|firewall| firewall.ensure_base()).expect("nothing is missing");
        assert_eq!(site.snapshot().lines().count(), once.lines().count());
    }

    /// The record names all that may be there, and perhaps more.
    fn exactly_these_flows_whatever_was_there(backend) {
        let site = Site::new(backend);
        let web = owner('a');
        let old = flows(11, 12, "3306, 33060");
        let new = flows(11, 12, "3306, 53/udp");
        for remembered in [&old[..], &[&old[..], &new].concat()] {
            site.ensure(&web, &[], &old);
            site.ensure(&web, remembered, &new);
            site.assert_permitted(&web, &new);
            site.remove(&web, &new);
            site.assert_permitted(&web, &[]);
        }
        let v4: Vec<_> = new.iter().filter(|flow| flow.from.is_ipv4()).copied().collect();
        site.ensure(&web, &[], &new);
        site.ensure(&web, &new, &v4);
        site.assert_permitted(&web, &v4);
    }

    fn what_is_not_there_is_removed_already(backend) {
        let site = Site::open(backend);
        let (web, wanted) = (owner('a'), flows(11, 12, PORTS));
        let untouched = site.snapshot();
        site.remove(&web, &wanted);
        site.remove(&web, &[]);
        assert_eq!(site.snapshot(), untouched);
        site.ensure(&web, &[], &wanted);
        site.remove(&web, &wanted);
        site.remove(&web, &wanted);
        site.assert_permitted(&web, &[]);
        site.host.assert_nothing_left();
    }

    fn f18_what_is_others_stays(backend) {
        let site = Site::new(backend);
        let (web, other) = (owner('a'), owner('b'));
        let (ours, theirs) = (flows(11, 12, "3306"), flows(13, 12, "3306, 53/udp"));
        site.ensure(&other, &[], &theirs);
        match backend {
            BackendName::Nftables => site.by_hand(&[
                "nft insert rule inet oci-link forward tcp dport 9999 counter accept",
                "nft add element inet oci-link links4 { 10.77.0.1 . 10.77.0.2 . tcp . 9998 }",
            ]),
            _ => site.by_hand(&[
                "iptables -I FORWARD -p tcp --dport 9999 -j ACCEPT",
                "iptables -A OCI-LINK -p tcp --dport 9998 -j ACCEPT",
            ]),
        }
        let before = site.snapshot();
        site.ensure(&web, &[], &ours);
        site.ensure(&web, &ours, &flows(11, 12, "3307"));
        site.remove(&web, &flows(11, 12, "3307"));
        assert_eq!(site.snapshot().lines().count(), before.lines().count());
        site.act(|firewall| firewall.ensure_base()).expect("what is ours stands");
        site.assert_permitted(&other, &theirs);
        let after = site.snapshot();
        assert!(after.contains("9999") && after.contains("9998"), "{after}");
    }

    /// Two containers of a pod have one address, and may be linked to the same source.
    fn what_two_need_goes_with_the_last(backend) {
        let site = Site::new(backend);
        let (one, two) = (owner('a'), owner('b'));
        let (both, more) = (flows(11, 12, "3306"), flows(11, 12, "3306, 53/udp"));
        site.ensure(&one, &[], &both);
        site.ensure(&two, &[], &more);
        site.assert_permitted(&one, &both);
        site.assert_permitted(&two, &more);
        site.remove(&one, &both);
        site.assert_permitted(&one, &[]);
        site.assert_permitted(&two, &more);
        site.remove(&two, &more);
        site.host.assert_nothing_left();
    }

    /// No record says what there is; the rules do.
    fn i2_owners_are_found_and_purged_by_their_tags(backend) {
        let site = Site::open(backend);
        let owners = || site.act(|firewall| firewall.owners()).expect("rules are read");
        let remove_owner = |owner| site.act(|firewall| firewall.remove_owner(owner)).expect("rules are removed");
        assert!(owners().is_empty(), "where nothing was made");
        let (one, two) = (owner('a'), owner('b'));
        remove_owner(&one);
        let (both, more) = (flows(11, 12, "3306"), flows(11, 12, "3306, 53/udp"));
        site.ensure(&one, &[], &both);
        site.ensure(&two, &[], &more);
        for (owner, flows) in [(&one, &both), (&two, &more)] {
            let kept = &owners()[owner];
            let mut expected = site.act(|firewall| firewall.expected(owner, flows));
            expected.sort();
            let mut lines = kept.lines.clone();
            lines.sort();
            assert_eq!(lines, expected);
            assert_eq!(kept.flows.len(), flows.len());
            assert!(flows.iter().all(|flow| kept.flows.contains(flow)));
        }
        assert!(site.act(|firewall| firewall.is_intact(&[Family::V4, Family::V6])).expect("looked"));
        remove_owner(&one);
        assert!(owners().keys().eq([&two]));
        site.assert_permitted(&two, &more);
        if backend == BackendName::Iptables {
            let flush = format!("iptables -F OCI-LINK-{two}");
            site.by_hand(&[&flush, &format!("ip6{}", &flush[2..])]);
            assert!(owners()[&two].lines.is_empty(), "a chain of nothing is still one");
        }
        remove_owner(&two);
        assert!(owners().is_empty());
        site.host.assert_nothing_left();
    }

    fn as_many_ports_as_a_source_may_have(backend) {
        let site = Site::open(backend);
        let (web, wanted) = (owner('a'), flows(11, 12, "1000-5095/tcp"));
        site.ensure(&web, &[], &wanted);
        site.assert_permitted(&web, &wanted);
        site.remove(&web, &wanted);
        site.host.assert_nothing_left();
    }
}
