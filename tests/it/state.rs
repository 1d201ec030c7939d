//! What is known of containers, who is asked for it, and what becomes of it when hooks come late,
//! twice, or not at all.

mod crowd;
mod records;
pub(crate) mod scale;

use crate::{
    backends::each_backend,
    cast::{end, inspect, iptables_host, link_rules, ls, permissions, prepared, recipient, source},
    lifecycle::host_with,
    support::{Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime, storm},
};
use serde_json::{Value, json};
use std::{fs, thread};

/// The word of a container's end, as runc words it; it is always taken.
#[track_caller]
fn poststop(host: &Host, id: &str) {
    let state = json!({ "ociVersion": "1.0.2", "id": id, "status": "stopped", "bundle": "/none" });
    host.feed(&mut host.oci_link(&["hook", "poststop"]), state.to_string().as_bytes()).ok();
}

/// Killed, and the runtime knows nothing of it any more: no hook has told of its end.
fn forgotten(host: &Host, container: Container, id: &str) {
    container.kill();
    fs::remove_dir_all(host.path("root").join(id)).expect("the runtime kept it there");
    drop(container);
}

/// `text` as rows of cells, which are at least three spaces apart.
fn table(text: &str) -> Vec<Vec<&str>> {
    let cells = |line| str::split(line, "   ").map(str::trim).filter(|cell| !cell.is_empty());
    text.lines().map(|line| cells(line).collect()).collect()
}

#[test]
fn ls_prints_sources_and_recipients() {
    let host = iptables_host(Runtime::Runc);
    let long = &"0123456789abcdef".repeat(4);
    let db = host.container(long).annotate("name", "db").annotate("ports", "53/udp,3306");
    let db = db.edit(|config| config["hostname"] = "dbhost".into()).hooks().build();
    db.run().ok();
    let web = recipient(&host, "web", "db:mysql 0123456789ab:store");
    let [[db4, db6], [web4, web6]] = [&db, &web].map(Container::addresses);

    assert_eq!(
        ls(&host),
        [
            json!({
                "id": long, "name": "db", "hostname": "dbhost", "network": "own", "host": null,
                "addresses": [db4, db6], "ports": ["53/udp", "3306/tcp"], "links": [],
                "linked_by": ["web"], "state": "ready",
            }),
            json!({
                "id": "web", "name": "web", "hostname": "web", "network": "own", "host": null,
                "addresses": [web4, web6], "ports": [], "linked_by": [], "state": "ready",
                "links": [
                    {
                        "source": "db", "alias": "mysql", "connected": long, "declared_by": "annotation",
                        "state": "ready", "ports": ["53/udp", "3306/tcp"],
                    },
                    {
                        "source": "0123456789ab", "alias": "store", "connected": long, "declared_by": "annotation",
                        "state": "ready", "ports": ["53/udp", "3306/tcp"],
                    },
                ],
            }),
        ]
    );

    let text = host.run(&mut host.oci_link(&["ls"])).ok();
    let [db, web] = [[db4, db6], [web4, web6]].map(|[v4, v6]| format!("{v4},{v6}"));
    assert_eq!(
        table(&text),
        [
            vec!["ID", "NAME", "ADDRESS", "PORTS", "LINKS", "LINKED BY", "STATE"],
            vec!["0123456789ab", "db", &db, "53/udp,3306/tcp", "-", "web", "ready"],
            vec!["web", "web", &web, "-", "db:mysql,0123456789ab:store", "-", "ready"],
        ]
    );
}

#[test]
fn inspect_tells_all_about_one_container() {
    let host = iptables_host(Runtime::Crun);
    let db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db:mysql").env("COLOUR=green").build();
    web.prepare().ok();
    web.run().ok();
    let ([db4, db6], [web4, web6]) = (db.addresses(), web.addresses());

    let told = inspect(&host, "web");
    assert_eq!(told["pid"], web.state()["pid"]);
    assert_eq!(told["backend"], "iptables");
    let flow = |from, to| json!({ "from": from, "to": to, "port": 3306, "protocol": "tcp", "bridge": "br0" });
    assert_eq!(told["flows"], json!([flow(web4, db4), flow(web6, db6)]));
    assert_eq!(told["env"], json!(["PATH", "COLOUR"]), "its own, not what the link brought");
    assert_eq!(told["shows"], json!(["COLOUR"]), "recipients have a PATH of their own");
    assert_eq!(told["plan"]["verdict"], "as recorded");
    assert_eq!(told["plan"]["links"], told["links"]);
    assert_eq!(told["plan"]["flows"], told["flows"]);
    let rootfs = web.bundle().join("rootfs/etc/hosts");
    assert_eq!(told["hosts"]["path"], json!(rootfs));
    let lines = [format!("{db4}\tmysql db db"), format!("{db6}\tmysql db db")];
    let own = [web4, web6].map(|ip| format!("{ip}\tweb"));
    assert_eq!(told["hosts"]["lines"], json!([&lines[..], &own].concat()));

    let text = host.run(&mut host.oci_link(&["inspect", "web"])).ok();
    let rows = table(&text);
    let has = |field: &str, value: &str| {
        let found = rows.iter().any(|row| row[..] == [field, value]);
        assert!(found, "no {field} {value} in\n{text}");
    };
    has("id", "web");
    has("state", "ready");
    has("pid", &web.state()["pid"].to_string());
    has("address", &format!("{web4}/24"));
    has("link", "db as mysql (db)");
    has("passes on", "COLOUR");
    assert!(!rows.iter().any(|row| row.contains(&"PATH")), "{text}");
    has("plan", "as recorded");
    has("hosts line", &lines[0].replace('\t', " "));
    has("flow", &format!("{web4} -> {db4} 3306/tcp on br0"));
    has("rules", "iptables, as recorded");
    for rule in link_rules(&host) {
        has("rule", &rule);
    }
    assert_eq!(inspect(&host, "db")["linked_by"], json!(["web"]));
    host.run(&mut host.oci_link(&["inspect", "nobody"])).refused(4);
}

/// No hook has reported the end of its source: the record is unchanged.
#[test]
fn inspect_tells_what_should_be_from_what_is() {
    let host = iptables_host(Runtime::Runc);
    let db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    db.kill();
    let told = inspect(&host, "web");
    assert_eq!(told["plan"]["verdict"], "differ");
    assert_eq!(told["plan"]["flows"], json!([]));
    assert_eq!(told["plan"]["links"][0]["connected"], Value::Null);
    assert_eq!(told["links"][0]["connected"], "db");
    assert_eq!(told["rules"]["verdict"], "as recorded");
    let text = host.run(&mut host.oci_link(&["inspect", "web"])).ok();
    let rows = table(&text);
    assert!(rows.contains(&vec!["plan", "differ"]), "{text}");
    assert!(rows.contains(&vec!["planned link", "db as db (waiting)"]), "{text}");
}

/// At a terminal, unless it or its owner wants none; and never elsewhere.
#[test]
fn colours_are_for_terminals() {
    let host = Host::open(Runtime::Crun);
    let _db = source(&host, "db", "3306");
    let listed = |terminal: bool, variables: &[(&str, &str)]| {
        let words = host.oci_link(&["ls"]);
        let program = [words.get_program()].into_iter().chain(words.get_args());
        let line: Vec<_> = program.map(|word| word.to_string_lossy().into_owned()).collect();
        let mut command = if terminal {
            let mut script = std::process::Command::new("script");
            script.args(["-qec", &line.join(" "), "/dev/null"]);
            script
        } else {
            words
        };
        command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
        host.run(&mut command).ok()
    };
    let coloured = listed(true, &[]);
    assert!(coloured.contains("\u{1b}[32mready\u{1b}[0m"), "{coloured:?}");
    assert!(listed(true, &[("NO_COLOR", "")]).contains('\u{1b}'));
    for plain in
        [listed(false, &[]), listed(true, &[("NO_COLOR", "1")]), listed(true, &[("TERM", "dumb")])]
    {
        assert!(plain.contains("ready") && !plain.contains('\u{1b}'), "{plain:?}");
    }
}

#[test]
fn a_container_that_died_is_dead_until_it_is_deleted() {
    let host = iptables_host(Runtime::Runc);
    let db = source(&host, "db", "3306");
    db.kill();
    assert_eq!(inspect(&host, "db")["state"], "dead");
    let names = host.run(&mut host.oci_link(&["ls", "--names"])).ok();
    assert_eq!(names, "db\n");
    db.delete().ok();
    assert_eq!(ls(&host), [Value::Null; 0]);
}

each_backend! {
    /// The first is killed and forgotten, and the second runs by the time of the poststop hook.
    fn f28_the_late_end_of_an_earlier_container_does_not_touch_the_next(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let first = recipient(&host, "web", "db");
        let old = inspect(&host, "web")["owner"].clone();
        forgotten(&host, first, "web");
        assert_eq!(inspect(&host, "web")["state"], "dead");
        let web = recipient(&host, "web", "db");
        assert_ne!(inspect(&host, "web")["owner"], old);
        poststop(&host, "db");
        poststop(&host, "web");
        assert_eq!(inspect(&host, "web")["rules"]["verdict"], "as recorded");
        assert!(web.hosts().contains(&format!("\n{}\tdb db", db.addresses()[0])));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    fn f24_an_end_that_is_told_twice_is_one_end(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        end(&web);
        poststop(&host, "web");
        end(&db);
        poststop(&host, "db");
        poststop(&host, "nobody");
        host.assert_nothing_left();
    }

    /// The runtime was killed, so no hook told of the end; and the address is given out again.
    fn i3_the_next_holder_of_an_address_gets_no_rule(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        web.kill();
        web.unplug();
        assert!(!permissions(&host).is_empty(), "no hook has run");

        let successor = host.container("successor").number(web.number()).hooks().build();
        successor.create().ok();
        assert_eq!(permissions(&host), [""; 0], "and the successor has not run yet");
        successor.start().ok();
        assert_eq!(successor.reach(&db, Proto::Tcp, 3306), SHUT);
        web.delete().ok();
        end(&successor);
        end(&db);
        host.assert_nothing_left();
    }

    fn f27_the_next_holder_of_a_sources_address_is_not_a_source(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        db.kill();
        db.unplug();
        let successor = host.container("successor").number(db.number()).hooks().build();
        successor.run().ok();
        assert_eq!(permissions(&host), [""; 0]);
        assert!(!web.hosts().contains("\tdb"), "{}", web.hosts());
        assert_eq!(web.reach(&successor, Proto::Tcp, 3306), SHUT);
    }
}

each_runtime! {
    /// Old bundles name `prestart`, new ones `createRuntime`, careful ones both.
    fn both_hooks_of_a_start_do_their_work_once(runtime) {
        let host = iptables_host(runtime);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let path = web.bundle().join("config.json");
        let text = fs::read_to_string(&path).expect("config.json is there");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["hooks"]["prestart"] = config["hooks"]["createRuntime"].clone();
        let args = config["hooks"]["prestart"][0]["args"].as_array_mut().expect("a list");
        let stage = args.iter_mut().find(|word| **word == "createRuntime").expect("the stage");
        *stage = "prestart".into();
        fs::write(&path, config.to_string()).expect("written");
        web.run().ok();

        assert_eq!(link_rules(&host).len(), 4, "there and back, IPv4 and IPv6");
        assert_eq!(web.hosts().matches("# BEGIN oci-link").count(), 1, "{}", web.hosts());
        assert_eq!(inspect(&host, "web")["state"], "ready");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }
}

/// Its record is there still; rules made for it would be for the next holder of its address.
#[test]
fn a_recipient_that_died_is_not_linked_again_when_its_source_returns() {
    let host = iptables_host(Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    web.kill();
    end(&db);
    drop(db);
    let _db = source(&host, "db", "3306");
    assert_eq!(link_rules(&host), [""; 0]);
}

/// The runtime forgot it, and no hook told of its end: the next of that id starts afresh.
#[test]
fn f24_a_container_returns_under_its_id_though_its_end_was_never_told() {
    let host = iptables_host(Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let rules = link_rules(&host);
    for (container, id) in [(db, "db"), (web, "web")] {
        forgotten(&host, container, id);
    }

    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert!(!link_rules(&host).iter().any(|rule| rules.contains(rule)));
    end(&web);
    end(&db);
    host.assert_nothing_left();
}

#[test]
fn f30_hooks_that_come_at_once_lose_nothing() {
    let _alone = storm::alone();
    let host = iptables_host(Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let old: Vec<_> = (0..10).map(|n| recipient(&host, &format!("old{n}"), "db")).collect();
    let new: Vec<_> = (0..20).map(|n| prepared(&host, &format!("new{n:02}"), "db")).collect();
    thread::scope(|scope| {
        for container in &old {
            scope.spawn(|| end(container));
        }
        for container in &new {
            scope.spawn(|| container.run().ok());
        }
    });
    let ready: Vec<_> = ls(&host).into_iter().filter(|known| known["state"] == "ready").collect();
    let names: Vec<_> = ready.iter().map(|known| known["name"].clone()).collect();
    let expected = (0..20).map(|n| format!("new{n:02}"));
    assert_eq!(
        json!(names),
        json!(["db".to_owned()].into_iter().chain(expected).collect::<Vec<_>>())
    );
    assert_eq!(ready[0]["linked_by"].as_array().map(Vec::len), Some(new.len()));
    assert_eq!(link_rules(&host).len(), 4 * new.len());
    thread::scope(|scope| new.iter().for_each(|new| drop(scope.spawn(|| end(new)))));
    end(&db);
    host.assert_nothing_left();
}
