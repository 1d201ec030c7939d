//! The end of all links of a host.

use super::super::end_all;
use super::{linked, shown};
use crate::host::WATCH_LOCK;
use crate::lifecycle::fakes::own;
use crate::model::{OwnerTag, StateId};
use std::path::Path;

#[test]
fn all_links_end_and_their_containers_run_on() {
    let scene = linked();
    let repaired = end_all(&scene.host).unwrap();
    assert!(repaired.failures.is_empty());
    let expected = ["links of container db (db): the container still runs"];
    assert_eq!(shown(&repaired.findings)[..1], expected);
    assert_eq!((scene.store.records(), scene.permitted()), (vec![], vec![]));
    assert_eq!(scene.hosts_text("web"), "127.0.0.1\tlocalhost\n");
    assert_eq!(scene.journal.count_of("remove_all iptables"), 1);
}

/// The chains of iptables are those of ipset too.
#[test]
fn what_another_state_directory_uses_stays() {
    let scene = linked();
    let (lost, flow) = (own("lost", "", &[]), scene.permitted()[0]);
    let other = StateId::of(Path::new("/run/other"));
    let tag = OwnerTag::new(other, &lost.id, &lost.instance);
    scene.kernel.borrow_mut().rules.insert(("iptables", tag), vec![flow]);
    let repaired = end_all(&scene.host).unwrap();
    let kept =
        |name| format!("firewall: common rules of {name}: another state directory has links");
    let said = shown(&repaired.findings);
    assert!(said.contains(&kept("ipset")) && said.contains(&kept("iptables")), "{said:?}");
    let removed = ["ipset", "iptables", "nftables"]
        .map(|name| scene.journal.count_of(&format!("remove_all {name}")));
    assert_eq!((removed, scene.permitted()), ([0, 0, 1], vec![flow]));
}

#[test]
fn links_do_not_end_while_watch_would_restore_them() {
    let scene = linked();
    let before = scene.state();
    let _watch = scene.host.sole_watch().unwrap();
    assert!(scene.host.config.state_dir.join(WATCH_LOCK).exists());
    let error = end_all(&scene.host).unwrap_err();
    assert!(error.to_string().contains("another oci-link watch is already running"), "{error}");
    assert_eq!(scene.state(), before);
}
