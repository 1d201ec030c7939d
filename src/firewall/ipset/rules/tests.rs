//! The rules as `iptables -S` prints them.

use super::*;

#[test]
fn a_bound_flow_passes_only_where_its_recipient_sits() {
    let at = |end| {
        format!(
            "-m set --match-set oci-link6-at {end},src -m set --match-set oci-link6-at {end},dst "
        )
    };
    let rule = |set: &str, at: &str| {
        [
            format!("-A OCI-LINK -m set --match-set {set} src,dst,dst {at}-j ACCEPT"),
            format!(
                "-A OCI-LINK -m conntrack --ctstate ESTABLISHED -m set --match-set {set} \
                 dst,src,src {at}-j ACCEPT"
            ),
        ]
    };
    let bound = |set| {
        let [there, _] = rule(set, &at("src"));
        let [_, back] = rule(set, &at("dst"));
        vec![there, back]
    };
    let mark = "-A OCI-LINK -m mark --mark 0x10000000/0x10000000 ";
    let ported = bound("oci-link6-port").into_iter();
    let ported = ported.map(|rule| rule.replace("-A OCI-LINK ", mark)).collect();
    let routed = rule("oci-link6-routed", "").to_vec();
    assert_eq!(rules(Family::V6), [ported, bound("oci-link6"), routed].concat());
    assert_eq!(outdated(Family::V6), rule("oci-link6", ""));
}

#[test]
fn a_packet_between_hosts_passes_the_bridge_of_this_one_and_no_other() {
    let expected = [
        "-A OCI-LINK -m set --match-set oci-link4-leaves src,dst,dst \
         -m set --match-set oci-link4-ends src,src \
         -m set ! --match-set oci-link4-ends src,dst -j ACCEPT",
        "-A OCI-LINK -m conntrack --ctstate ESTABLISHED \
         -m set --match-set oci-link4-leaves dst,src,src \
         -m set --match-set oci-link4-ends dst,dst \
         -m set ! --match-set oci-link4-ends dst,src -j ACCEPT",
        "-A OCI-LINK -m set --match-set oci-link4-enters src,dst,dst \
         -m set --match-set oci-link4-ends dst,dst \
         -m set ! --match-set oci-link4-closed src,src -j ACCEPT",
        "-A OCI-LINK -m conntrack --ctstate ESTABLISHED \
         -m set --match-set oci-link4-enters dst,src,src \
         -m set --match-set oci-link4-ends src,src \
         -m set ! --match-set oci-link4-closed dst,dst -j ACCEPT",
    ];
    assert_eq!(rules_between(Family::V4), expected);
}
