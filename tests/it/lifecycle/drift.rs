//! `sync`: what was undone while containers run is done again.

use super::{
    by_hand, call, everything, host_of, host_with, in_pod_of, knows, record, unlinked_at, wipe,
};
use crate::{
    backends::each_backend,
    cast::{end, inspect, recipient, source},
    support::{Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use oci_link::testing::BackendName;
use std::{fs, thread};

/// Commands that remove all rules of all programs.
const EVERYTHING: [&str; 2] = ["nft flush ruleset", "ipset destroy"];

/// Commands that remove a part of the rules, for each backend.
fn partial_losses(backend: BackendName) -> &'static [&'static [&'static str]] {
    match backend {
        BackendName::Iptables => &[
            &["iptables -F", "ip6tables -F"],
            &["iptables -F FORWARD", "ip6tables -F FORWARD"],
            &["iptables -F OCI-LINK", "ip6tables -F OCI-LINK"],
            &["iptables -I FORWARD -i br0 -o br0 -j DROP", "ip6tables -I FORWARD -j DROP"],
        ],
        BackendName::Ipset => &[
            &["iptables -F", "ip6tables -F", "ipset destroy"],
            &["ipset flush"],
            &["ipset flush oci-link6-port"],
            &["ipset flush oci-link4-at"],
            &["iptables -F OCI-LINK", "ip6tables -F OCI-LINK"],
        ],
        BackendName::None => panic!("no rules can be lost"),
        BackendName::Nftables => &[
            &["nft delete table inet oci-link"],
            &["nft flush chain inet oci-link forward"],
            &["nft flush set inet oci-link ported4"],
            &["nft flush set inet oci-link ported6"],
        ],
    }
}

#[track_caller]
fn assert_well(host: &Host) {
    assert_eq!(call(host, "sync --check").ended(0), "");
}

/// The finding of a line that `sync` prints.
#[track_caller]
fn without_outcome(line: &str) -> &str {
    let removed = ["links of ", "orphaned rules ", "leftover "];
    let (outcome, finding) = line.split_once(": ").expect("an outcome");
    let is_removal = removed.iter().any(|start| finding.starts_with(start));
    assert_eq!(outcome, if is_removal { "removed" } else { "repaired" }, "{line}");
    finding
}

/// `sync --check` finds this and changes nothing; `sync` says the same and repairs it.
#[track_caller]
fn assert_repaired(host: &Host, finding: &str) {
    let before = everything(host);
    let told = call(host, "sync --check").ended(13);
    assert!(told.contains(finding), "no {finding:?} in\n{told}");
    assert_eq!(everything(host), before, "only looked");
    let repaired = call(host, "sync").ended(0);
    let (last, mut lines): (Vec<_>, Vec<_>) =
        told.lines().partition(|line| line.starts_with("oci-link: "));
    let mut others: Vec<_> = repaired.lines().map(without_outcome).collect();
    lines.sort_unstable();
    others.sort_unstable();
    assert_eq!(lines, others);
    let found = match lines.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    assert_eq!(last, [format!("oci-link: {found} found; run oci-link sync")]);
    assert_well(host);
    assert_eq!(call(host, "sync").ended(0), "", "once is enough");
}

each_backend! {
    /// firewalld reloads, an administrator flushes: the living come back, the dead do not.
    fn f15_links_come_back_after_a_flush_and_the_dead_do_not(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let (web, dead) = (recipient(&host, "web", "db"), recipient(&host, "dead", "db"));
        assert_well(&host);
        dead.kill();
        dead.unplug();
        by_hand(&host, &EVERYTHING);
        let successor = unlinked_at(&host, "successor", dead.number());
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), OPEN, "nothing isolates any more");
        assert_repaired(&host, "container web (web): its rules differ from its record\n");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), SHUT);
        dead.delete().ok();
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn partial_losses_are_repaired(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        for disaster in partial_losses(backend) {
            by_hand(&host, disaster);
            assert_repaired(&host, "");
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{disaster:?}");
            assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT, "{disaster:?}");
        }
        // What was the disaster of another is no rule of ours.
        by_hand(&host, &["iptables -F FORWARD", "ip6tables -F FORWARD"]);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn rules_of_our_tag_that_no_record_names_go(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let owner = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
        let (from, to) = (web.addresses()[0], db.addresses()[0]);
        by_hand(&host, &[&match backend {
            BackendName::Iptables =>
                format!("iptables -A OCI-LINK-{owner} -s {from} -d {to} -p tcp --dport 22 -j ACCEPT"),
            BackendName::Ipset =>
                format!("ipset add oci-link4 {from},tcp:22,{to} comment {owner}"),
            BackendName::None => panic!("there are no rules"),
            BackendName::Nftables => format!("nft add element inet oci-link links4 \
                 {{ {from} . {to} . tcp . 22 comment \"{owner}\" }}"),
        }]);
        assert_repaired(&host, "container web (web): its rules differ from its record\n");
        assert_eq!(web.reach(&db, Proto::Tcp, 22), SHUT);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    }

    /// Its note of what it set up is gone too.
    fn f20_a_wiped_state_directory_is_a_new_beginning(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let owner = inspect(&host, "web")["owner"].as_str().expect("a tag").to_owned();
        wipe(&host);
        assert_repaired(&host, &format!(": no record has the owner tag {owner}\n"));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// A container whose hosts file an engine made.
fn with_file<'h>(host: &'h Host, id: &str, file: &str) -> Container<'h> {
    let container = host.container(id).annotate("links", "db");
    let container = container.bind(&host.path(file), "/etc/hosts").hooks().build();
    container.run().ok();
    container
}

each_runtime! {
    fn lines_come_back_into_a_file_that_an_engine_rewrote(runtime) {
        let host = host_of(BackendName::Ipset, runtime);
        let rewritten = "127.0.0.1\tlocalhost\n10.9.9.9\tneighbour\n";
        fs::write(host.path("hosts"), "127.0.0.1\tlocalhost\n").expect("written");
        let db = source(&host, "db", "3306");
        let web = with_file(&host, "web", "hosts");
        assert_well(&host);
        let lacks = "container web (web): its hosts file differs from its record\n";
        fs::write(host.path("hosts"), rewritten).expect("written");
        assert_repaired(&host, lacks);
        assert!(knows(&web, "db", &db) && web.hosts().starts_with(rewritten), "{}", web.hosts());

        // Without its marks, but with its lines.
        let bare = web.hosts().replace("# BEGIN oci-link\n", "").replace("# END oci-link\n", "");
        fs::write(host.path("hosts"), bare).expect("written");
        assert_repaired(&host, lacks);
        let [ip, _] = db.addresses();
        assert_eq!(web.hosts().matches(&format!("{ip}\tdb")).count(), 1, "{}", web.hosts());
        end(&web);
        assert_eq!(fs::read_to_string(host.path("hosts")).expect("there"), rewritten);
        end(&db);
        host.assert_nothing_left();
    }

    fn a_source_that_came_back_unnoticed_is_linked_again(runtime) {
        let host = host_of(BackendName::Ipset, runtime);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        end(&db);
        drop(db);
        // web's record cannot be read when db returns.
        let path = record(&host, "web");
        let text = fs::read_to_string(&path).expect("readable");
        fs::write(&path, text.replace("\"version\":1", "\"version\":99")).expect("written");
        let db = source(&host, "db", "3306");
        fs::write(&path, text).expect("written");
        assert_repaired(&host, "container web (web): its links do not match the running containers\n");
        assert!(knows(&web, "db", &db));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

#[test]
fn the_dead_are_records_that_are_wrong() {
    let host = host_of(BackendName::Iptables, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    db.kill();
    assert_repaired(&host, "links of container db (db): the container no longer runs\n");
    assert!(!knows(&web, "db", &db), "{}", web.hosts());
    assert_eq!(inspect(&host, "web")["flows"].as_array().map(Vec::len), Some(0));
}

/// A hook was killed between the record's two writings.
#[test]
fn a_change_that_was_not_finished_is_finished() {
    let host = host_of(BackendName::Nftables, Runtime::Crun);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let path = record(&host, "web");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("\"ready\":true", "\"ready\":false")).expect("written");
    assert_eq!(inspect(&host, "web")["state"], "pending");
    assert_repaired(&host, "container web (web): a change of its links was interrupted\n");
    assert_eq!(inspect(&host, "web")["state"], "ready");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
}

/// Two of a pod share address and hosts file; neither is wrong because of the other.
#[test]
fn a_pod_is_well_and_comes_back() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    fs::write(host.path("hosts"), "127.0.0.1\tlocalhost\n").expect("written");
    let db = source(&host, "db", "3306");
    let one = with_file(&host, "one", "hosts");
    let two = host.container("two").annotate("links", "db");
    let two = in_pod_of(&one, two.bind(&host.path("hosts"), "/etc/hosts"));
    assert_eq!(inspect(&host, "one")["addresses"], inspect(&host, "two")["addresses"]);
    assert_well(&host);
    fs::write(host.path("hosts"), "127.0.0.1\tlocalhost\n").expect("written");
    by_hand(&host, &EVERYTHING);
    assert_repaired(&host, "container two (two): its hosts file differs from its record\n");
    assert!(knows(&one, "db", &db) && knows(&two, "db", &db));
    assert_eq!(one.reach(&db, Proto::Tcp, 3306), OPEN);
    end(&two);
    assert_well(&host);
    assert_eq!(one.reach(&db, Proto::Tcp, 3306), OPEN, "it goes with the last of them");
    assert!(knows(&one, "db", &db));
    [&one, &db].into_iter().for_each(end);
    assert_eq!(fs::read_to_string(host.path("hosts")).expect("there"), "127.0.0.1\tlocalhost\n");
    host.assert_nothing_left();
}

#[test]
fn isolation_is_what_config_toml_says() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let (a, b) = (source(&host, "a", "80"), source(&host, "b", "80"));
    assert_eq!(a.reach(&b, Proto::Tcp, 80), SHUT);
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"ipset\"\n").expect("written");
    assert_repaired(&host, "firewall: isolated bridges differ from config.toml\n");
    assert_eq!(a.reach(&b, Proto::Udp, 80), OPEN);
    let config = "[firewall]\nbackend = \"auto\"\nisolate = [\"br0\"]\n";
    fs::write(host.path("config.toml"), config).expect("written");
    wipe(&host);
    assert_repaired(&host, "firewall: isolated bridges differ from config.toml\n");
    assert_eq!(a.reach(&b, Proto::Tcp, 81), SHUT);
}

/// One whose file cannot be opened keeps the others from nothing.
#[test]
fn what_cannot_be_repaired_is_reported_and_the_rest_is_repaired() {
    let host = host_of(BackendName::Iptables, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let (bad, good) = (recipient(&host, "bad", "db"), recipient(&host, "good", "db"));
    let _ = bad.exec(&["sh", "-c", "rm /etc/hosts; mkfifo /etc/hosts"]).ok();
    by_hand(&host, &EVERYTHING);
    let told = call(&host, "sync").ended(5);
    assert!(told.contains("container good (good): its rules"), "{told}");
    assert!(told.contains("oci-link: hosts file /etc/hosts: is a FIFO"), "{told}");
    for web in [&good, &bad] {
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    }
    let _ = call(&host, "sync --check").refused(13);
}

#[test]
fn syncs_and_starts_at_once_lose_nothing() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let all: Vec<_> =
        (0..6).map(|n| crate::cast::prepared(&host, &format!("web{n}"), "db")).collect();
    thread::scope(|scope| {
        for web in &all {
            scope.spawn(|| web.run().ok());
        }
        for _ in 0..6 {
            call(&host, "sync").ok();
        }
    });
    assert_well(&host);
    for web in &all {
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    }
}
