//! What a container leaves where we have to clean up behind it must not keep it on the books: its record
//! would stand in the way of whoever is given its address.

use super::scene::system;
use crate::support::{Host, each_runtime};
use std::{fs, process::Command};

each_runtime! {
    /// A container that is deleted is not there any more for its engine.
    fn a12_behind_the_wrapper_the_runtimes_word_counts(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let db = host.container("db").annotate("ports", "3306").build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.run().ok();
        let etc = web.bundle().join("rootfs/etc");
        system("chattr", &["+i".as_ref(), etc.as_os_str()]);
        web.kill();
        let deleted = host.run(&mut host.runtime(&["delete", "web"]));
        let mended = Command::new("chattr").arg("-i").arg(&etc).status().expect("chattr");
        deleted.ok();
        assert!(mended.success());
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("web: its end is left for gc: hosts file /etc/hosts"), "{log}");
        host.run(&mut host.oci_link(&["gc"])).ok();
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }
}
