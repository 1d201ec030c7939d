//! The end of all links of a host.

use super::super::end_all;
use super::{linked, shown};
use crate::host::WATCH_LOCK;

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
