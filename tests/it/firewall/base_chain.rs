//! The chain that all links hang on, and what others do to it.

use super::{open, probe, shut};
use crate::hazards::scene::after as traced;
use crate::{
    cast::{end, iptables_host, link_rules, permissions, prepared, recipient, source},
    lifecycle::{host_of, wipe},
    support::{Container, Host, OPEN, Proto, Runtime, SHUT},
};
use oci_link::testing::BackendName;
use serde_json::json;
use std::fs;
use std::process::Command;

const TOOLS: [&str; 2] = ["iptables", "ip6tables"];

fn both(host: &Host, rule: &str) {
    for iptables in TOOLS {
        host.run(Command::new(iptables).args(rule.split(' '))).ok();
    }
}

/// What the administrator of an isolated host wants.
fn isolate(host: &Host) {
    both(host, "-A FORWARD -i br0 -o br0 -j DROP");
}

/// In each family, our chain is entered once and before all else.
#[track_caller]
fn assert_entered_once_and_first(host: &Host) {
    let rules = host.rules();
    let mut forward = rules.iter().filter(|rule| rule.starts_with("-A FORWARD "));
    let jump = "-A FORWARD -j OCI-LINK";
    assert_eq!(forward.next().map(String::as_str), Some(jump), "{rules:?}");
    assert_eq!(rules.iter().filter(|rule| *rule == jump).count(), TOOLS.len(), "{rules:?}");
}

#[test]
fn f17_a_chain_that_is_there_already_is_used_and_the_users_rules_stay() {
    let host = iptables_host(Runtime::Runc.turned());
    let users = "-A OCI-LINK -s 192.0.2.1/32 -j RETURN";
    host.run(Command::new("iptables").args(["-N", "OCI-LINK"])).ok();
    host.run(Command::new("iptables").args(users.split(' '))).ok();
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert_entered_once_and_first(&host);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    end(&web);
    end(&db);
    assert!(host.rules().contains(&users.to_owned()), "{:?}", host.rules());
}

/// All that we make, as a service brings it back, with a rule and a chain of the user's in the table.
#[test]
fn f17_a_table_that_is_there_already_is_used_and_the_users_rules_stay() {
    let host = host_of(BackendName::Nftables, Runtime::Runc.turned());
    let nft = |words: &str| host.run(Command::new("nft").args(words.split(' '))).ok();
    let db = source(&host, "db", "3306");
    end(&recipient(&host, "web", "db"));
    let table = nft("list table inet oci-link");
    assert!(table.contains("set bridged4"), "{table}");
    end(&db);
    nft("delete table inet oci-link");
    wipe(&host);
    host.feed(Command::new("nft").args(["-f", "-"]), table.as_bytes()).ok();
    nft("insert rule inet oci-link forward ip saddr 192.0.2.1 drop");
    nft("add chain inet oci-link users");
    nft("add rule inet oci-link users ip saddr 192.0.2.2 drop");
    let stay = || {
        let table = nft("list table inet oci-link");
        assert_eq!(table.matches("192.0.2.1 drop").count(), 1, "{table}");
        assert_eq!(table.matches("192.0.2.2 drop").count(), 1, "{table}");
    };
    drop(db);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    stay();
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
    end(&web);
    end(&db);
    assert_eq!(permissions(&host), [""; 0]);
    stay();
}

#[test]
fn f18_jumps_that_are_too_many_or_too_late_become_one_and_the_first() {
    let host = iptables_host(Runtime::Runc.turned());
    both(&host, "-N OCI-LINK");
    both(&host, "-A FORWARD -j OCI-LINK");
    both(&host, "-A FORWARD -j OCI-LINK");
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert_entered_once_and_first(&host);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
}

#[test]
fn f18_many_starts_make_one_jump() {
    let host = iptables_host(Runtime::Crun.turned());
    let _db = source(&host, "db", "3306");
    for _ in 0..3 {
        end(&recipient(&host, "web", "db"));
        assert_entered_once_and_first(&host);
    }
}

/// Rules are removed while `db` and `web` run; the links of the next container work.
fn after(host: &Host, clear: impl FnOnce()) {
    let db = source(host, "db", "3306");
    let web = recipient(host, "web", "db");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    let next = prepared(host, "next", "db");
    clear();
    isolate(host);
    next.run().ok();
    assert_entered_once_and_first(host);
    let unlinked = source(host, "unlinked", "1");
    probe(&[
        open(&next, &db, Proto::Tcp, 3306),
        shut(&next, &db, Proto::Tcp, 3307),
        shut(&unlinked, &db, Proto::Tcp, 3306),
    ]);
    let all: [&Container; 4] = [&next, &web, &db, &unlinked];
    all.into_iter().for_each(end);
    assert_eq!(link_rules(host), [""; 0]);
    host.assert_nothing_left();
}

#[test]
fn f15_the_next_start_repairs_a_flushed_ruleset() {
    let host = iptables_host(Runtime::Runc.turned());
    after(&host, || drop(host.run(Command::new("nft").args(["flush", "ruleset"])).ok()));
}

#[test]
fn f15_the_next_start_repairs_a_flushed_forward_chain() {
    let host = iptables_host(Runtime::Crun.turned());
    after(&host, || both(&host, "-F FORWARD"));
}

#[test]
fn f15_the_next_start_repairs_a_flushed_base_chain() {
    let host = iptables_host(Runtime::Crun.turned());
    after(&host, || both(&host, "-F OCI-LINK"));
    let host = iptables_host(Runtime::Runc.turned());
    after(&host, || both(&host, "-D OCI-LINK -j OCI-LINKS"));
    let tied = "-D OCI-LINK -m mark --mark 0x10000000/0x10000000 -j OCI-LINKS-TIED";
    after(&host, || both(&host, tied));
}

/// Version 0.1 had the jumps to the recipients in the base chain itself.
#[test]
fn a_jump_of_an_older_version_goes_with_its_recipient() {
    let host = iptables_host(Runtime::Crun.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    for iptables in TOOLS {
        let jumps = host.run(Command::new(iptables).args(["-S", "OCI-LINKS-TIED"])).ok();
        let jump =
            jumps.lines().find_map(|line| line.strip_prefix("-A OCI-LINKS-TIED ")).expect("one");
        let move_it = |verb: &str, chain: &str| {
            host.run(Command::new(iptables).args([verb, chain]).args(jump.split(' '))).ok()
        };
        move_it("-A", "OCI-LINK");
        move_it("-D", "OCI-LINKS-TIED");
    }
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    let other = recipient(&host, "other", "db");
    end(&web);
    assert!(host.rules().iter().all(|rule| !rule.starts_with("-A OCI-LINK -i")));
    assert_eq!(other.reach(&db, Proto::Tcp, 3306), OPEN);
    end(&other);
    end(&db);
    host.assert_nothing_left();
}

/// The size of all that a start reads from the kernel, programs included, in bytes.
fn received(host: &Host, id: &str) -> usize {
    let next = host.container(id).annotate("links", "db").build();
    next.create().ok();
    let state = json!({
        "ociVersion": "1.0.2", "id": id, "status": "creating", "pid": next.state()["pid"],
        "bundle": next.bundle(),
    });
    let trace = host.path("received");
    let strace = "exec strace -f -qq -e trace=recvmsg,recvfrom -o \"$1\" \"${@:2}\"";
    let hook = host.oci_link(&["hook", "createRuntime"]);
    host.feed(&mut traced(strace, &[&trace], &hook), state.to_string().as_bytes()).ok();
    let text = fs::read_to_string(&trace).expect("strace wrote it");
    let sizes = text.lines().filter_map(|line| line.rsplit_once(" = ")?.1.parse::<usize>().ok());
    let sum = sizes.sum();
    end(&next);
    sum
}

/// A jump that is inserted at a number makes iptables read all rules of the chain.
#[test]
fn a_start_does_not_read_the_rules_of_other_recipients() {
    let host = iptables_host(Runtime::Crun.turned());
    let db = source(&host, "db", "3306");
    end(&recipient(&host, "first", "db"));
    let few = received(&host, "web");
    let lines = |line: &dyn Fn(&str) -> String| {
        (0..500).map(|number| line(&format!("OCI-LINK-{number:016x}"))).collect::<Vec<_>>().concat()
    };
    let chains = lines(&|chain| format!(":{chain} -\n"));
    let jumps = lines(&|chain| format!("-A OCI-LINKS-TIED -i br0 -o br0 -j {chain}\n"));
    let text = format!("*filter\n{chains}{jumps}COMMIT\n");
    host.feed(Command::new("iptables-restore").arg("--noflush"), text.as_bytes()).ok();
    let many = received(&host, "other");
    // The names of chains are read all the same.
    assert!(many < few + 200 * 500, "{few} bytes, {many} among 500 jumps");
    end(&db);
}

/// What dockerd does when it starts again: its chains, which drop, go before ours. With sets there
/// is no transaction that could fail, so the start looks by itself.
#[test]
fn the_next_start_is_first_again_with_either_backend() {
    for backend in ["iptables", "ipset"] {
        for disorder in ["-I FORWARD -i br0 -o br0 -j DROP", "-F FORWARD"] {
            let host = Host::isolated(Runtime::Runc);
            let config = format!("[firewall]\nbackend = \"{backend}\"\n");
            fs::write(host.path("config.toml"), config).expect("written");
            let db = source(&host, "db", "3306");
            let web = recipient(&host, "web", "db");
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            let next = prepared(&host, "next", "db");
            both(&host, disorder);
            isolate(&host);
            next.run().ok();
            assert_entered_once_and_first(&host);
            assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN, "{backend}: {disorder}");
        }
    }
}
