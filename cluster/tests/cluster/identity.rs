//! The identity of a host: its name, its certificate, its role.

use crate::cluster::Cluster;
use crate::courier::{Host, PATIENCE};
use crate::pki::Pki;
use crate::wait::seconds;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// The second machine with a name publishes nothing, until the first one has gone.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn of_two_machines_with_one_name_one_publishes() {
    let cluster = Cluster::new(&["a", "b"]);
    let mut first = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    first.offer("1.offer", "of the first");
    b.offer("1.want", "of b");
    b.eventually("the offer", seconds(5), |b| b.copies().len() == 2);
    let mut second = Host::new(&cluster, "a", 13);
    second.offer("1.offer", "of the second");
    second.offer("2.offer", "of the second");
    second.start();
    let problem = r#"host name "a" is published by another machine"#;
    second.eventually("refused", seconds(10), |second| second.problem() == problem);
    second.eventually("reads", seconds(5), |second| second.copies() == ["b.host", "b~1.want"]);
    let check = second.run(&["check"]);
    assert_eq!(check.status.code(), Some(10));
    let said = String::from_utf8(check.stderr).expect("UTF-8");
    assert_eq!(said, format!("oci-link-cluster: {problem}\n"));
    b.always("the first one's", PATIENCE + seconds(2), |b| {
        b.copies() == ["a.host", "a~1.offer"]
            && b.copy("a~1.offer").as_deref() == Some("of the first")
    });
    assert!(second.age() < seconds(3) && second.view()["published"] == false);
    assert!(first.problem().is_empty());

    first.kill();
    let bound = PATIENCE * 3 + seconds(3);
    b.eventually("the second one's", bound, |b| {
        b.copy("a~1.offer").as_deref() == Some("of the second") && b.copies().len() == 3
    });
    second.eventually("published", seconds(5), |second| second.problem().is_empty());
    first.start();
    first.eventually("refused", seconds(10), |first| first.problem() == problem);
    b.always("the second one's", seconds(2), |b| b.copies().len() == 3);
}

/// A host without its role can publish nothing; with its role it comes back.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_role_is_revoked_and_granted_again() {
    let cluster = Cluster::new(&["a", "b"]);
    let a = Host::started(&cluster, "a", 11);
    let b = Host::started(&cluster, "b", 12);
    a.offer("1.offer", "1");
    b.offer("1.offer", "1");
    b.eventually("the offer of a", seconds(5), |b| b.copies().len() == 2);
    a.eventually("the offer of b", seconds(5), |a| a.copies().len() == 2);

    // Only the right to write: the copies stay fresh.
    let (own, role) = ("/oci-link/v1/a/", "host-a");
    cluster.admin(&["role", "revoke-permission", role, "--prefix=true", own]);
    a.offer("2.offer", "2");
    a.eventually("refused", seconds(10), |a| {
        a.problem().starts_with("own records are not published: etcdserver: permission denied")
    });
    a.always("fresh", seconds(3), |a| a.age() < seconds(3));
    let check = a.run(&["check"]);
    assert_eq!(check.status.code(), Some(10));
    let said = String::from_utf8(check.stderr).expect("UTF-8");
    assert!(said.contains("may not write /oci-link/v1/a/"), "{said}");
    cluster.admin(&["role", "grant-permission", role, "--prefix=true", "readwrite", own]);
    b.eventually("both", seconds(15), |b| b.copies() == ["a.host", "a~1.offer", "a~2.offer"]);
    a.eventually("well", seconds(10), |a| a.problem().is_empty());

    // The whole role.
    cluster.admin(&["user", "revoke-role", "a", role]);
    a.eventually("denied", seconds(10), |a| a.problem().contains("permission denied"));
    b.eventually("a's records go", PATIENCE + seconds(10), |b| b.copies().is_empty());
    a.eventually("the view ages", seconds(10), |a| a.age() > PATIENCE);
    assert_eq!(a.copies().len(), 2, "no copy goes without news");
    cluster.admin(&["user", "grant-role", "a", role]);
    b.eventually("both", seconds(15), |b| b.copies().len() == 3);
    a.eventually("well", seconds(10), Host::is_well);
}

/// Hosts cannot write each other's records, whatever their couriers want.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_certificate_publishes_its_own_name_only() {
    let cluster = Cluster::new(&["a", "b"]);
    let mut b = Host::new(&cluster, "b", 12);
    // The certificate of a, the name of b: it can never work.
    b.use_certificate(&cluster, "a");
    let ended = b.run(&["run"]);
    assert_eq!(ended.status.code(), Some(3));
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    assert!(said.ends_with("host.pem: is for \"a\" (CN), but cluster.name is \"b\"\n"), "{said}");

    b.use_certificate(&cluster, "b");
    fs::set_permissions(b.path("host.key"), Permissions::from_mode(0o604)).expect("a mode");
    let ended = b.run(&["check"]);
    assert_eq!(ended.status.code(), Some(3));
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    assert!(said.contains("host.key: has mode 0604: others can read the key"), "{said}");

    // A certificate that the cluster's authority did not sign.
    let other = Pki::new(&b.path("other"));
    other.sign("b", 30);
    for (from, to) in [("b.pem", "host.pem"), ("b.key", "host.key")] {
        fs::remove_file(b.path(to)).expect("removed");
        fs::copy(other.path(from), b.path(to)).expect("a certificate");
        fs::set_permissions(b.path(to), Permissions::from_mode(0o640)).expect("a mode");
        b.sh(&format!("chown 65534:65534 {}", b.path(to).display()));
    }
    b.start();
    b.eventually("refused", seconds(10), |b| b.problem().contains("etcd https://10.99.0."));
    let check = b.run(&["check"]);
    assert_eq!(check.status.code(), Some(10));

    // An end before today; then a good one is put in its place.
    cluster.pki.sign("b", -1);
    b.use_certificate(&cluster, "b");
    b.eventually("ended", seconds(10), |b| b.problem().contains("the certificate has ended"));
    assert_eq!(b.run(&["check"]).status.code(), Some(3));
    assert!(b.view()["fresh_ms"].is_null() && b.view()["published"] == false);
    cluster.pki.sign("b", 30);
    b.use_certificate(&cluster, "b");
    b.eventually("well", seconds(10), Host::is_well);
}

/// The courier believes no member that its authority did not sign.
#[test]
#[ignore = "needs etcd: make test-cluster"]
fn a_member_of_another_authority_is_not_believed() {
    let cluster = Cluster::new(&["a"]);
    let mut a = Host::new(&cluster, "a", 11);
    let other = Pki::new(&a.path("other"));
    fs::remove_file(a.path("ca.pem")).expect("removed");
    fs::copy(other.path("ca.pem"), a.path("ca.pem")).expect("a certificate");
    a.start();
    a.eventually("refused", seconds(10), |a| a.problem().contains("invalid peer certificate"));
    assert!(a.view()["fresh_ms"].is_null() && a.copies().is_empty());
}
