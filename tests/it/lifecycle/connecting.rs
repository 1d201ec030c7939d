//! `connect` and `disconnect`.

use super::{call, host_of, knows};
use crate::{
    backends::each_backend,
    cast::{end, inspect, iptables_host, link_rules, recipient, source},
    support::{Container, Flow, Host, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use serde_json::{Value, json};
use std::fs;

/// A running container without links.
fn plain<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let container = host.container(id).hooks().build();
    container.run().ok();
    container
}

fn rootfs_hosts(container: &Container) -> Vec<u8> {
    fs::read(container.bundle().join("rootfs/etc/hosts")).unwrap_or_default()
}

each_runtime! {
    fn a_link_can_be_made_and_ended_while_both_run(runtime) also youki {
        let host = iptables_host(runtime);
        let (db, web) = (source(&host, "db", "3306"), plain(&host, "web"));
        let before = rootfs_hosts(&web);
        assert_eq!(plain(&host, "unlinked").reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(call(&host, "connect web db:mysql").ended(0), "");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        assert!(knows(&web, "mysql", &db), "{}", web.hosts());
        let link = json!([{
            "source": "db", "alias": "mysql", "connected": "db",
            "state": "ready", "ports": ["3306/tcp"], "declared_by": "connect",
        }]);
        assert_eq!(inspect(&host, "web")["links"], link);
        assert_eq!(inspect(&host, "web")["rules"]["verdict"], "as recorded");
        assert_eq!(inspect(&host, "db")["linked_by"], json!(["web"]));

        let mut flow = Flow::open(&web, &db, 3306);
        assert!(flow.is_alive());
        assert_eq!(call(&host, "disconnect web mysql").ended(0), "");
        assert!(!flow.is_alive(), "established connections end too");
        drop(flow);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(link_rules(&host), [""; 0]);
        assert_eq!(rootfs_hosts(&web), before);
        assert_eq!(inspect(&host, "web")["links"], json!([]));
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    fn a_link_to_a_source_without_ports_is_made_with_a_warning(runtime) {
        let host = iptables_host(runtime);
        let (db, cache) = (plain(&host, "db"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "cache");
        let printed = call(&host, "connect web db:mysql").ended(0);
        let warning = "web: its link to db opens no port: the source exposes none";
        assert!(printed.contains(&format!("oci-link: {warning}")), "{printed}");
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert_eq!(log.matches(warning).count(), 1, "{log}");
        assert!(knows(&web, "mysql", &db), "{}", web.hosts());
        assert_eq!(call(&host, "connect web cache:redis").ended(0), "");
        [&web, &db, &cache].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// A list that is too long is left out as a whole, and the source starts without ports.
    fn a_recipient_is_told_of_ports_that_were_ignored(runtime) {
        let host = iptables_host(runtime);
        let scattered: Vec<String> = (1..=4097).map(|number| (2 * number).to_string()).collect();
        let db = source(&host, "db", &scattered.join(","));
        let log = || fs::read_to_string(host.path("log")).expect("a log");
        assert!(log().contains("more than 4096 ports and ranges"), "{}", log());
        let web = recipient(&host, "web", "db");
        let warning = "web: its link to db opens no port: the source exposes none, or its log says that \
                       its ports are ignored";
        assert!(log().contains(warning), "{}", log());
        [&web, &db].into_iter().for_each(end);
    }

    fn a_link_made_later_survives_its_source(runtime) {
        let host = iptables_host(runtime);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "cache");
        call(&host, "connect web db").ok();
        end(&db);
        assert!(!knows(&web, "db", &db));
        drop(db);
        let db = source(&host, "db", "3306");
        assert!(knows(&web, "db", &db) && knows(&web, "cache", &cache));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        end(&web);
        assert_eq!(link_rules(&host), [""; 0]);
        [&db, &cache].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_later_stage_changes_nothing_that_was_changed_by_hand(runtime) {
        let host = iptables_host(runtime);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let (web, api) = (recipient(&host, "web", "cache"), plain(&host, "api"));
        for words in ["connect web db", "disconnect web cache", "connect api cache"] {
            call(&host, words).ok();
        }
        for container in [&web, &api] {
            let hook = &mut host.oci_link(&["hook", "poststart"]);
            host.feed(hook, container.state().to_string().as_bytes()).ok();
        }
        assert!(knows(&web, "db", &db) && !knows(&web, "cache", &cache), "{}", web.hosts());
        assert!(knows(&api, "cache", &cache), "{}", api.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), SHUT);
        // A recipient runs on when its source has gone.
        end(&cache);
        let hook = &mut host.oci_link(&["hook", "poststart"]);
        host.feed(hook, api.state().to_string().as_bytes()).ok();
        assert!(!knows(&api, "cache", &cache), "{}", api.hosts());
        [&web, &api, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_declared_link_can_be_ended_and_others_stay(runtime) {
        let host = iptables_host(runtime);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "db cache cache:store");
        call(&host, "disconnect web DB").ok();
        call(&host, "disconnect web store").ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        assert!(knows(&web, "cache", &cache) && !knows(&web, "db", &db), "{}", web.hosts());
        // Ended is ended: its source's return changes nothing.
        end(&db);
        drop(db);
        let db = source(&host, "db", "3306");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        call(&host, "disconnect web cache").ok();
        assert_eq!(link_rules(&host), [""; 0]);
        [&web, &db, &cache].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

each_backend! {
    fn every_backend_makes_and_ends_links(backend) {
        let host = host_of(backend, Runtime::Crun);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let web = recipient(&host, "web", "cache");
        call(&host, "connect web db").ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(inspect(&host, "web")["rules"]["verdict"], "as recorded");
        call(&host, "disconnect web db").ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        assert_eq!(inspect(&host, "web")["rules"]["verdict"], "as recorded");
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&web, &db, &cache].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

#[test]
fn everybody_is_found_by_name_id_and_prefix() {
    let host = iptables_host(Runtime::Runc);
    let [db_id, web_id] = ["0a1b", "0d1e"].map(|part| part.repeat(16));
    let db = source(&host, &db_id, "3306");
    let web = host.container(&web_id).annotate("name", "web").hooks().build();
    web.run().ok();
    for (at, web_as) in ["web", &web_id, "0d1e0d1e0d1e"].into_iter().enumerate() {
        call(&host, &format!("connect {web_as} 0a1b0a1b0a1b:db{at}")).ok();
        assert!(knows(&web, &format!("db{at}"), &db));
    }
    assert_eq!(link_rules(&host).len(), 4, "one set of rules");
    for at in 0..3 {
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        let _ = call(&host, &format!("disconnect 0d db{at}")).refused(4);
        call(&host, &format!("disconnect 0d1e0d1e0d1e db{at}")).ok();
    }
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
}

#[test]
fn to_connect_twice_is_to_connect_once() {
    let host = iptables_host(Runtime::Runc);
    let (_db, _web) = (source(&host, "db", "3306"), plain(&host, "web"));
    call(&host, "connect web db").ok();
    let (record, rules) = (inspect(&host, "web"), host.rules());
    call(&host, "connect web db").ok();
    assert_eq!((inspect(&host, "web"), host.rules()), (record, rules));
}

#[test]
fn refusals_change_nothing() {
    let host = iptables_host(Runtime::Runc);
    let (_db, _cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
    let (web, dead) = (recipient(&host, "web", "db"), source(&host, "dead", "1"));
    dead.kill();
    let on_host = host.container("onhost").edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "network");
    });
    let on_host = on_host.hooks().build();
    on_host.run().ok();
    let before = (inspect(&host, "web"), host.rules(), web.hosts());
    for (words, status, reason) in [
        ("connect web cache:db", 3, "two sources have the same alias"),
        ("connect web cache:DB", 3, "two sources have the same alias"),
        ("connect web db:a:b", 3, "bad format for links"),
        ("connect web db:localhost", 3, "reserved, because every container has this name"),
        ("connect web cache:web", 3, "is the container's own host name"),
        ("connect web nobody", 4, "No such container: nobody"),
        ("connect web web:other", 4, "a container cannot be linked to itself"),
        ("connect web dead", 4, "Cannot link to a non running container: /dead AS /web/dead"),
        ("connect nobody db", 4, "No such container: nobody"),
        ("connect dead db", 4, "container dead: does not run"),
        ("connect web onhost", 5, "host type networking"),
        ("connect onhost db", 5, "host type networking"),
        ("disconnect web cache", 4, "has no link with the alias cache"),
        ("disconnect nobody db", 4, "No such container: nobody"),
        ("disconnect dead db", 4, "container dead: does not run"),
        ("connect web", 2, "SOURCE[:ALIAS]"),
    ] {
        let complaint = call(&host, words).refused(status);
        assert!(complaint.contains(reason), "{words}: {complaint}");
        let now = (inspect(&host, "web"), host.rules(), web.hosts());
        assert_eq!(now, before, "{words}");
    }
}

/// No record says where the hosts file is, so config.json must.
#[test]
fn a_container_without_its_bundle_is_not_connected() {
    let host = iptables_host(Runtime::Runc);
    let (_db, web) = (source(&host, "db", "3306"), plain(&host, "web"));
    fs::rename(web.bundle().join("config.json"), web.bundle().join("away")).expect("moved");
    let complaint = call(&host, "connect web db").refused(8);
    assert!(complaint.contains("hosts file of web: its bundle was removed"), "{complaint}");
    assert_eq!(link_rules(&host), [""; 0]);
    fs::rename(web.bundle().join("away"), web.bundle().join("config.json")).expect("moved");

    // An earlier version did not note the bundle; its records are read all the same.
    let files = host.state_files();
    let record = files.iter().find(|file| file.ends_with("/web.json")).expect("a record");
    let path = host.state_dir().join(record);
    let mut stored: Value =
        serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    stored.as_object_mut().expect("an object").remove("bundle").expect("noted");
    fs::write(&path, stored.to_string()).expect("written");
    assert_eq!(inspect(&host, "web")["state"], "ready");
    let complaint = call(&host, "connect web db").refused(8);
    assert!(complaint.contains("started by an earlier oci-link"), "{complaint}");
}

/// Half of a link is none.
#[test]
fn a_link_whose_rules_cannot_be_made_is_taken_back() {
    let host = iptables_host(Runtime::Runc);
    let (cache, db) = (source(&host, "cache", "6379"), source(&host, "db", "3306"));
    let web = recipient(&host, "web", "cache");
    let (links, hosts) = (inspect(&host, "web")["links"].clone(), web.hosts());
    // In a mount namespace of its own there is no iptables-restore.
    let call = host.oci_link(&["connect", "web", "db"]);
    let script = "mount --bind /bin/false /usr/sbin/xtables-nft-multi; exec \"$@\"";
    let mut hidden = std::process::Command::new("unshare");
    hidden.args(["--mount", "bash", "-c", script, "bash"]).arg(call.get_program());
    let _ = host.run(hidden.args(call.get_args())).refused(6);
    assert_eq!(inspect(&host, "web")["links"], links);
    assert_eq!(web.hosts(), hosts);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
    assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
    [&web, &db, &cache].into_iter().for_each(end);
    host.assert_nothing_left();
}
