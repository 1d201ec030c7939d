//! Rules that stand and should not, or should and do not, though records say nothing of it: records
//! that are lost, and containers of one pod, whose rules are the same.

use super::{call, host_with, in_pod_of, knows, record, wipe};
use crate::{
    backends::each_backend,
    cast::{end, permissions, recipient, source},
    support::{Host, OPEN, Proto, SHUT},
};
use oci_link::testing::BackendName;
use serde_json::Value;
use std::{fs, process::Command};

fn read(host: &Host, id: &str) -> Value {
    serde_json::from_slice(&fs::read(record(host, id)).expect("readable")).expect("JSON")
}

/// The runtime was killed, so no hook reported the end, and no record names the rules any more.
fn assert_no_rules_inherited_after(host: &Host, loss: impl FnOnce()) {
    let db = source(host, "db", "3306");
    let web = recipient(host, "web", "db");
    loss();
    web.kill();
    web.unplug();
    assert!(!permissions(host).is_empty(), "no hook has run");
    let successor = host.container("successor").number(web.number()).hooks().build();
    successor.create().ok();
    assert_eq!(permissions(host), [""; 0], "and the successor has not run yet");
    successor.start().ok();
    assert_eq!(successor.reach(&db, Proto::Tcp, 3306), SHUT);
    let next = recipient(host, "next", "successor");
    [&next, &successor, &db].into_iter().for_each(end);
    web.delete().ok();
    call(host, "gc").ok();
    let _ = fs::remove_dir_all(host.state_dir().join("broken"));
    host.assert_nothing_left();
}

/// The container `id` was killed when it had said that it would do what had been done for `one`.
fn killed_before_it_did_what_one_has(host: &Host, id: &str) {
    let mut killed = read(host, id);
    killed["ready"] = false.into();
    for field in ["flows", "backend"] {
        killed[field] = read(host, "one")[field].clone();
    }
    fs::write(record(host, id), killed.to_string()).expect("written");
}

each_backend! {
    fn i3_no_rules_are_inherited_when_all_records_are_lost(backend) {
        let host = host_with(backend);
        assert_no_rules_inherited_after(&host, || wipe(&host));
    }

    fn i3_no_rules_are_inherited_when_one_record_is_torn(backend) {
        let host = host_with(backend);
        assert_no_rules_inherited_after(&host, || fs::write(record(&host, "web"), "{").expect("written"));
    }

    /// Rules that do not concern a starting container stay, for `gc` to remove.
    fn rules_of_others_stay_when_records_are_lost(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        wipe(&host);
        let other = source(&host, "other", "80");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        call(&host, "gc").ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        [&other, &web, &db].into_iter().for_each(end);
    }

    /// They have one address, and expose the same ports.
    fn links_to_two_of_a_pod_are_one_flow(backend) {
        let host = host_with(backend);
        let one = source(&host, "one", "3306");
        let two = in_pod_of(&one, host.container("two").annotate("ports", "3306"));
        let web = recipient(&host, "web", "one two");
        assert_eq!(web.reach(&one, Proto::Tcp, 3306), OPEN);
        call(&host, "sync --check").ok();
        end(&two);
        assert_eq!(web.reach(&one, Proto::Tcp, 3306), OPEN);
        assert!(knows(&web, "one", &one) && !web.hosts().contains("two"));
        [&web, &one].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// It was killed after it had said what it was about to do. That is there already, for another
    /// of its pod.
    fn what_a_killed_one_only_named_stays_for_its_pod(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let one = recipient(&host, "one", "db");
        let two = in_pod_of(&one, host.container("two").annotate("ports", "80"));
        killed_before_it_did_what_one_has(&host, "two");
        end(&two);
        assert_eq!(one.reach(&db, Proto::Tcp, 3306), OPEN);
        [&one, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Nor does it go when what was only named is planned again.
    fn what_a_killed_one_only_named_is_never_its_own(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let one = recipient(&host, "one", "db");
        let two = in_pod_of(&one, host.container("two").annotate("ports", "80"));
        killed_before_it_did_what_one_has(&host, "two");
        call(&host, "sync").ok();
        assert_eq!(one.reach(&db, Proto::Tcp, 3306), OPEN);
        call(&host, "sync --check").ok();
        [&two, &one, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// Its rules went when it ended, and only its hosts file could not be restored.
    fn a_dead_container_that_cannot_be_removed_takes_nothing_from_the_next(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let etc = web.bundle().join("rootfs/etc");
        let change = |how: &str| {
            let done = Command::new("chattr").arg(how).arg(&etc).status().expect("chattr");
            assert!(done.success());
        };
        web.kill();
        web.unplug();
        change("+i");
        call(&host, "gc").refused(8);
        let successor = host.container("successor").number(web.number()).annotate("links", "db");
        let successor = successor.hooks().build();
        successor.run().ok();
        call(&host, "gc").refused(8);
        let open = successor.reach(&db, Proto::Tcp, 3306);
        change("-i");
        assert_eq!(open, OPEN);
        web.delete().ok();
        [&successor, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn i3_no_rules_are_inherited_when_the_folder_of_records_is_lost(backend) {
        let host = host_with(backend);
        assert_no_rules_inherited_after(&host, || {
            fs::remove_dir_all(host.state_dir().join("records")).expect("removed");
        });
    }

    /// The record is of an earlier boot, and the rules were restored. Where nothing is isolated,
    /// nothing is made in this boot before a link is.
    fn i3_no_rules_are_inherited_from_an_earlier_boot(backend) {
        let host = host_with(backend);
        let config = format!("[firewall]\nbackend = \"{backend}\"\n");
        fs::write(host.path("config.toml"), config).expect("written");
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        web.kill();
        web.unplug();
        // As if all that is remembered were of that boot.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
        let boot = boot.trim().replace('-', "");
        let earlier = boot.chars().rev().collect::<String>();
        let replace = format!("s/{boot}/{earlier}/g");
        let state = host.state_dir();
        let find = ["-type", "f", "-exec", "sed", "-i", &replace, "{}", "+"];
        assert!(Command::new("find").arg(&state).args(find).status().expect("find").success());
        let other = source(&host, "other", "80");
        let successor = host.container("successor").number(web.number()).hooks().build();
        successor.run().ok();
        assert_eq!(permissions(&host), [""; 0]);
        db.kill();
        db.delete_by_force().ok();
        [&successor, &other].into_iter().for_each(end);
        web.delete().ok();
        call(&host, "gc").ok();
        host.assert_nothing_left();
    }

    /// Connections end with the last who permits them.
    fn a_pods_connections_outlive_one_of_it(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let one = recipient(&host, "one", "db");
        let two = in_pod_of(&one, host.container("two").annotate("links", "db"));
        assert_eq!(one.reach(&db, Proto::Tcp, 3306), OPEN);
        let tracked = || {
            let list = ["-L", "-p", "tcp", "--orig-port-dst", "3306"];
            host.run(Command::new("conntrack").args(list)).ok().lines().count()
        };
        assert_ne!(tracked(), 0);
        end(&two);
        assert_ne!(tracked(), 0);
        end(&one);
        assert_eq!(tracked(), 0);
        end(&db);
        host.assert_nothing_left();
    }
}

/// iptables prints a comment as it is, line breaks and all.
#[test]
fn a29_what_a_comment_says_is_no_rule() {
    let host = host_with(BackendName::Iptables);
    let forged = "x\n-N OCI-LINK-aaaaaaaaaaaaaaaa\n-A FORWARD -j OCI-LINK\n-A OCI-LINK-aaaaaaaaaaaaaaaa \
                  -s 10.77.0.11/32 -d 10.77.0.12/32 -p tcp -m tcp --dport 80 -j ACCEPT\n";
    let mut comment = Command::new("iptables");
    comment.args(["-A", "FORWARD", "-m", "comment", "--comment", forged, "-j", "RETURN"]);
    host.run(&mut comment).ok();
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    for words in ["sync --check", "gc --dry-run", "gc", "sync", "gc --all"] {
        assert_eq!(call(&host, words).ok().lines().filter(|line| line.contains("aaaa")).count(), 0);
    }
    assert!(host.rules().iter().any(|rule| rule.ends_with("-j RETURN")), "it is not ours");
}
