//! A link is resolved once: another container takes it over only if it is meant, and two containers
//! that claim one name or one alias are named.

use super::{call, in_pod_of, knows, unprepared};
use crate::{
    cast::{end, inspect, iptables_host, link_rules, ls, recipient, source},
    support::{Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use serde_json::{Value, json};
use std::fs;

/// An id as engines draw it, and its beginning as Docker prints it.
const ID: &str = "abc123def456abc123def456abc123def456abc123def456abc123def456abcd";
const SHORT: &str = "abc123def456";

fn connected(host: &Host, container: &str) -> Value {
    inspect(host, container)["links"][0]["connected"].clone()
}

/// A container that is called `name`.
fn called<'h>(host: &'h Host, id: &str, name: &str) -> Container<'h> {
    let container = host.container(id).annotate("name", name).annotate("ports", "3306");
    let container = container.edit(|config| config["hostname"] = "source".into()).hooks().build();
    container.run().ok();
    container
}

each_runtime! {
    /// Neither at its start, nor when its source has ended and `sync` looks for it.
    fn a_short_word_is_no_prefix(runtime) {
        let host = iptables_host(runtime);
        let others = ["db-backup", ID].map(|id| source(&host, id, "3306"));
        for word in ["db", "db-backu", "abc123", "abc123def45"] {
            let web = unprepared(&host, "web", &format!("{word}:db"), "fail").build();
            let complaint = web.prepare().refused(4);
            assert!(complaint.contains(&format!("No such container: {word}")), "{complaint}");
            let _ = web.run().refused(1);
        }
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        end(&db);
        call(&host, "sync").ok();
        let third = source(&host, "db-copy", "3306");
        assert_eq!(connected(&host, "web"), Value::Null);
        assert_eq!(link_rules(&host), [""; 0]);
        for other in others.iter().chain([&third]) {
            assert!(!knows(&web, "db", other), "{}", web.hosts());
            assert_eq!(web.reach(other, Proto::Tcp, 3306), SHUT);
        }
        let _ = call(&host, "inspect abc123").refused(4);
        assert_eq!(inspect(&host, SHORT)["id"], ID);
        [&web, &third].into_iter().chain(&others).for_each(end);
        host.assert_nothing_left();
    }

    fn a_link_by_id_is_not_taken_by_a_container_of_that_name(runtime) {
        let host = iptables_host(runtime);
        let db = called(&host, ID, "db");
        let web = recipient(&host, "web", &format!("{SHORT}:db"));
        let thief = called(&host, "thief", SHORT);
        call(&host, "sync").ok();
        assert_eq!(connected(&host, "web"), ID);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&thief, Proto::Tcp, 3306), SHUT);
        end(&db);
        drop(db);
        call(&host, "sync").ok();
        assert_eq!(connected(&host, "web"), Value::Null, "it waits for its id");
        assert_eq!(web.reach(&thief, Proto::Tcp, 3306), SHUT);
        let db = called(&host, ID, "renamed");
        assert_eq!(connected(&host, "web"), ID);
        assert!(knows(&web, "db", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &thief, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_link_by_name_is_not_taken_by_a_container_with_that_id(runtime) {
        let host = iptables_host(runtime);
        let db = called(&host, "first", "db");
        let web = recipient(&host, "web", "db");
        let thief = called(&host, "db", "other");
        assert_eq!(connected(&host, "web"), "first");
        end(&db);
        drop(db);
        call(&host, "sync").ok();
        assert_eq!(connected(&host, "web"), Value::Null, "it waits for its name");
        assert_eq!(web.reach(&thief, Proto::Tcp, 3306), SHUT);
        let db = called(&host, "second", "db");
        assert_eq!(connected(&host, "web"), "second");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&web, &thief, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// A record of an earlier version does not say what its links mean, and is no finding of `sync`.
#[test]
fn a_link_of_an_earlier_version_stays_with_its_source() {
    let host = iptables_host(Runtime::Runc);
    let (by_name, by_id) = (called(&host, "first", "db"), called(&host, ID, "cache"));
    let web = recipient(&host, "web", &format!("db {SHORT}:cache"));
    let path = super::record(&host, "web");
    let mut old: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    for link in old["links"].as_array_mut().expect("a list") {
        assert!(link.as_object_mut().expect("an object").remove("means").is_some(), "{link}");
    }
    fs::write(&path, old.to_string()).expect("written");
    assert_eq!(call(&host, "sync --check").ended(0), "");
    let thieves = [("db", "other"), ("thief", SHORT)].map(|(id, name)| called(&host, id, name));
    end(&by_id);
    drop(by_id);
    call(&host, "sync").ok();
    let links = inspect(&host, "web")["links"].clone();
    assert_eq!((&links[0]["connected"], &links[1]["connected"]), (&json!("first"), &Value::Null));
    assert_eq!(web.reach(&by_name, Proto::Tcp, 3306), OPEN);
    for thief in &thieves {
        assert_eq!(web.reach(thief, Proto::Tcp, 3306), SHUT);
    }
}

/// The first running owner keeps a name; both are named.
#[test]
fn two_containers_with_one_name_are_named() {
    let host = iptables_host(Runtime::Runc);
    let first = called(&host, "first", "db");
    let one = ls(&host)[0].clone();
    assert_eq!(one.get("name_owner"), None, "{one}");
    let second = called(&host, "second", "db");
    let web = recipient(&host, "web", "db");
    assert_eq!(web.reach(&first, Proto::Tcp, 3306), OPEN);
    let listed = ls(&host);
    let owner = |id: &str| {
        let found = listed.iter().find(|container| container["id"] == id).expect("listed");
        found.get("name_owner").cloned()
    };
    assert_eq!((owner("first"), owner("second")), (None, Some(json!("first"))));
    let table = call(&host, "ls").ok();
    assert!(table.contains("db (belongs to first)"), "{table}");
    let said = call(&host, "doctor").said();
    assert!(said.contains("first and second have the name db: links to db mean first"), "{said}");
    // After the end of the first, the second still is not found. That is said.
    end(&first);
    assert!(call(&host, "ls").ok().contains("db (not found by db)"));
    let said = call(&host, "doctor").said();
    assert!(said.contains("second has the name db, whose first owner ended"), "{said}");
    end(&second);
    assert!(!call(&host, "doctor").said().contains("name db"));
}

/// Containers of a pod share a hosts file, in which one alias can lead to one source only.
#[test]
fn one_alias_for_two_sources_in_one_hosts_file_is_refused_or_shown() {
    let host = iptables_host(Runtime::Runc);
    let hosts = host.path("pod-hosts");
    fs::write(&hosts, "127.0.0.1\tlocalhost\n").expect("written");
    let sources = ["a", "b"].map(|id| source(&host, id, "3306"));
    let bundle = |id: &str, links: &str| {
        host.container(id).annotate("links", links).bind(&hosts, "/etc/hosts")
    };
    let web = bundle("web", "a:db").hooks().build();
    web.run().ok();
    let before = fs::read_to_string(&hosts).expect("there");

    // A peer of the pod is refused.
    let peer = bundle("peer", "b:db").hooks().build();
    let path = peer.bundle().join("config.json");
    let text = fs::read_to_string(&path).expect("a bundle");
    let [own, pod] = [&peer, &web].map(|c| c.netns().path().display().to_string());
    fs::write(&path, text.replace(&own, &pod)).expect("written");
    let complaint = peer.run().refused(1);
    let reason = "container web shares this hosts file and has the alias for another source";
    assert!(complaint.contains(reason), "{complaint}");
    assert_eq!(fs::read_to_string(&hosts).expect("there"), before);
    drop(peer);
    let good = in_pod_of(&web, bundle("good", "a:db b:other"));
    end(&good);

    // Another container with the same file is shown.
    let other = bundle("other", "b:db").hooks().build();
    other.run().ok();
    let listed = ls(&host);
    let disputed = |id: &str| {
        let found = listed.iter().find(|container| container["id"] == id).expect("listed");
        found["links"][0]["disputed_by"].clone()
    };
    assert_eq!((disputed("web"), disputed("other")), (json!("other"), json!("web")));
    assert!(call(&host, "ls").ok().contains("b:db (disputed by web)"));
    let said = call(&host, "doctor").said();
    assert!(said.contains("other and web share a hosts file"), "{said}");
    [&web, &other].into_iter().chain(&sources).for_each(end);
    assert_eq!(fs::read_to_string(&hosts).expect("there"), "127.0.0.1\tlocalhost\n");
    host.assert_nothing_left();
}

each_runtime! {
    /// Refused when config.json is edited, and by the hook.
    fn two_links_never_share_a_variable(runtime) {
        let host = iptables_host(runtime);
        let sources = ["a", "b"].map(|id| source(&host, id, "80"));
        for links in ["a:my-db b:my_db", "b:db a:db-env", "a:db-env-x b:db", "a:db b:db-port-80-tcp"] {
            let web = host.container("web").annotate("links", links).hooks().build();
            let complaint = web.prepare().refused(3);
            assert!(complaint.contains("their variables can have the same names"), "{complaint}");
            let _ = web.run().refused(1);
        }
        sources.iter().for_each(end);
        host.assert_nothing_left();
    }

    /// The kernel executes no program with it.
    fn a_variable_that_no_program_can_have_is_left_out(runtime) {
        let host = iptables_host(runtime);
        let fits = "x".repeat(128 * 1024 - 1 - "DB_ENV_FITS=".len());
        let db = host.container("db").annotate("ports", "3306");
        // The source has it under a shorter name.
        let db = db.env(&format!("FITS={fits}")).env(&format!("LONGER={fits}")).env("SMALL=1");
        let db = db.hooks().build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        let note = web.prepare().ended(0);
        let expected = "web: variable DB_ENV_LONGER is left out: it has 131074 bytes, and the kernel \
                        accepts 131072\n";
        assert_eq!(note, format!("oci-link: {expected}"));
        web.run().ok();
        let environ = web.environ();
        let has = |start: &str| environ.iter().any(|variable| variable.starts_with(start));
        assert!(has("DB_ENV_SMALL=1") && has("DB_ENV_FITS=xxx") && !has("DB_ENV_LONGER"));
        assert!(fs::read_to_string(host.path("log")).expect("a log").contains(expected));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}
