//! Containers of one pod have one address, and so the same flows to the same source.

use super::{Site, flows, owner};
use oci_link::testing::BackendName;

/// As many as one comment of nftables' can name.
const MOST: usize = 14;

fn owners() -> impl Iterator<Item = oci_link::testing::OwnerTag> {
    "0123456789abcdef".chars().map(owner)
}

/// The first of the two containers creates again what was flushed; it still belongs to both.
#[test]
fn f15_what_was_flushed_is_both_containers_again() {
    let site = Site::new(BackendName::Nftables);
    let [one, two] = ['a', 'b'].map(owner);
    let (both, more) = (flows(11, 12, "3306"), flows(11, 12, "3306, 1000-1099/udp"));
    for restored in [true, false] {
        site.ensure(&one, &[], &both);
        site.ensure(&two, &[], &more);
        site.by_hand(&["nft flush ruleset"]);
        if restored {
            site.act(|firewall| firewall.ensure_base()).expect("it can be made again");
        }
        site.ensure(&one, &both, &both);
        site.ensure(&two, &more, &more);
        site.assert_permitted(&one, &both);
        site.assert_permitted(&two, &more);
        site.remove(&one, &both);
        site.assert_permitted(&two, &more);
        site.remove(&two, &more);
        site.host.assert_nothing_left();
    }
}

/// Comments of many owners make the messages long.
#[test]
fn many_of_one_pod_are_linked_to_many_ports() {
    let site = Site::new(BackendName::Nftables);
    let wanted = flows(11, 12, "1000-1299/tcp");
    for owner in owners().take(MOST) {
        site.ensure(&owner, &[], &wanted);
    }
    for owner in owners().take(MOST) {
        site.assert_permitted(&owner, &wanted);
    }
    for owner in owners().take(MOST) {
        site.remove(&owner, &wanted);
        site.assert_permitted(&owner, &[]);
    }
    site.host.assert_nothing_left();
}

#[test]
fn one_more_than_a_comment_can_name_is_refused() {
    let site = Site::new(BackendName::Nftables);
    let wanted = flows(11, 12, "3306, 3307");
    for owner in owners().take(MOST) {
        site.ensure(&owner, &[], &wanted[..1]);
    }
    let one_more = owner('f');
    let refused = site.try_ensure(&one_more, &[], &wanted).expect_err("no room");
    let complaint = refused.to_string();
    assert!(complaint.contains("too many linked containers have the same address"), "{complaint}");
    site.assert_permitted(&one_more, &[]);
    for owner in owners().take(MOST) {
        site.assert_permitted(&owner, &wanted[..1]);
    }
    site.remove(&owner('0'), &wanted[..1]);
    site.ensure(&one_more, &[], &wanted);
    site.assert_permitted(&one_more, &wanted);
}
