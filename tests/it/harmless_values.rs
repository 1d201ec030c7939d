//! Values that runtimes accept and links cannot use: the container starts, is linked where that is
//! possible, and ends without a trace.

mod addresses;
mod configs;
mod trouble;

use crate::cast::{end, inspect, ls};
use crate::support::{Container, Host, OPEN, Proto, Runtime, each_runtime};
use std::fs;

/// The host as it is, and behind the wrapper.
fn hosts(runtime: Runtime) -> [Host; 2] {
    [Host::isolated(runtime), Host::isolated(runtime).wrapped()]
}

/// A container with our hooks, or for the wrapper without them.
fn bundle<'h>(host: &'h Host, wrapped: bool, id: &str) -> crate::support::Bundle<'h> {
    // The kernel limits host names to 64 bytes.
    let bundle = host.container(id).edit(|config| config["hostname"] = "box".into());
    if wrapped { bundle } else { bundle.hooks() }
}

/// Starts `container`, which has a record then, and ends it: nothing is left.
#[track_caller]
fn starts_and_ends(host: &Host, container: &Container, what: &str) {
    container.create().ok();
    container.start().ok();
    let listed = ls(host);
    assert_eq!(listed.len(), 1, "{what}: {listed:?}");
    assert_eq!(container.state()["status"], "running", "{what}");
    container.kill();
    container.delete().ok();
    host.assert_nothing_left();
}

/// Each line of the log is one of ours: no value has made another.
#[track_caller]
fn assert_log_is_whole(host: &Host) {
    let log = fs::read_to_string(host.path("log")).unwrap_or_default();
    assert!(log.lines().all(|line| line.contains(" oci-link[")), "{log}");
    assert!(
        log.chars().all(|c| c == '\n' || c == '…' || c.is_ascii_graphic() || c == ' '),
        "{log}"
    );
}

const HOST_NAMES: [&str; 13] = [
    "my host", "büro", "-x", ".x", "a:b", "a#b", "a\tb", "a\nb", "a\\b", "\"", "é", "a/b", "$(id)",
];

/// Ids that runc accepts too.
const IDS: [&str; 9] = ["a,b", "+x", "+", "a,", ",", "x.json", "..x", ".x", "_,"];
/// Ids that only crun accepts.
const CRUN_IDS: [&str; 14] = [
    "a b", "a@b", "a:b", "é", "日本", "a\\b", "a\"b", "~x", "a~b", "a%b", "a*b", "a\u{1b}b", "'",
    "#a",
];

/// The ids that this runtime accepts here.
fn ids(runtime: Runtime) -> Vec<String> {
    let long = ["x".repeat(241), "x".repeat(254), "x".repeat(255), format!("{},", "x".repeat(200))];
    let mut all: Vec<String> = IDS.iter().map(|id| (*id).to_owned()).chain(long).collect();
    if runtime == Runtime::Crun {
        // crun names a keyring after the id, and the kernel refuses a leading dot.
        all.retain(|id| !id.starts_with('.'));
        all.extend(CRUN_IDS.iter().map(|id| (*id).to_owned()));
        all.push("é".repeat(127));
    }
    all
}

each_runtime! {
    fn h01_host_names(runtime) also youki {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            for name in HOST_NAMES {
                let web = bundle(host, wrapped, "web").edit(|config| config["hostname"] = name.into());
                starts_and_ends(host, &web.build(), name);
            }
            assert_log_is_whole(host);
            let log = fs::read_to_string(host.path("log")).expect("readable");
            let told = log.lines().filter(|line| line.contains("host name \"my host\"")).count();
            assert!((1..=2).contains(&told), "{told}: {log}");
        }
    }

    /// A link needs no host name.
    fn h01_host_names_of_linked_containers(runtime) also youki {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            let named = |id: &str, name: &str| {
                bundle(host, wrapped, id).edit(|config| config["hostname"] = name.into())
            };
            let db = named("db", "bü ro").annotate("ports", "3306").build();
            let web = named("web", "my\thost").annotate("links", "db:sql").build();
            for container in [&db, &web] {
                container.create().ok();
                container.start().ok();
            }
            let lines = web.hosts();
            let [v4, v6] = db.addresses();
            let block = format!("# BEGIN oci-link\n{v4}\tsql db\n{v6}\tsql db\n# END oci-link\n");
            assert!(lines.ends_with(&block), "{lines}");
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            assert!(inspect(host, "web")["hostname"].is_null());
            end(&web);
            end(&db);
            host.assert_nothing_left();
            assert_log_is_whole(host);
        }
    }

    /// Aliases and names of sources come before host names.
    fn the_host_name_of_one_source_is_the_name_of_another(runtime) {
        let host = Host::isolated(runtime);
        let cache = host.container("cache").edit(|config| config["hostname"] = "mysql".into());
        let (cache, mysql) = (cache.hooks().build(), host.container("mysql").hooks().build());
        let web = host.container("web").annotate("links", "cache:c mysql:db").hooks().build();
        for container in [&cache, &mysql, &web] {
            container.run().ok();
        }
        let hosts = web.hosts();
        let meant = |line: &&str| line.split_whitespace().skip(1).any(|name| name == "mysql");
        let addresses: Vec<&str> =
            hosts.lines().filter(meant).filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(addresses, mysql.addresses().map(|ip| ip.to_string()), "{hosts}");
    }

    fn h02_ids(runtime) {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            for id in ids(runtime) {
                let odd = bundle(host, wrapped, &id).build();
                starts_and_ends(host, &odd, &id);
            }
            assert_log_is_whole(host);
        }
    }

    /// Whatever its id is, a container is linked by its name, and others to it.
    fn h02_ids_of_linked_containers(runtime) {
        let host = Host::isolated(runtime);
        for id in ids(runtime) {
            let db = bundle(&host, false, &id).annotate("ports", "3306").annotate("name", "db").build();
            db.run().ok();
            let other = format!("{}+", id.chars().take(50).collect::<String>());
            let web = bundle(&host, false, &other).annotate("links", "db").build();
            web.run().ok();
            assert!(web.hosts().contains(&format!("{}\tdb", db.addresses()[0])), "{id}: {}", web.hosts());
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "{id}");
            let ids: Vec<_> = ls(&host).iter().map(|listed| listed["id"].clone()).collect();
            assert!(ids.contains(&id.as_str().into()) && ids.len() == 2, "{ids:?}");
            for command in [&["ls"][..], &["graph"], &["sync", "--check"], &["inspect", "db"]] {
                let shown = host.run(&mut host.oci_link(command)).ok();
                assert!(shown.chars().all(|c| c == '\n' || c == '…' || c.is_ascii_graphic() || c == ' '), "{shown:?}");
            }
            end(&db);
            assert!(!web.hosts().contains("\tdb"), "{id}: {}", web.hosts());
            end(&web);
            host.assert_nothing_left();
        }
        assert_log_is_whole(&host);
    }

    /// No link means a container whose id only resembles the name.
    fn h02_a_derived_name_captures_no_link(runtime) {
        let host = Host::isolated(runtime);
        let odd = host.container("my,sql").annotate("ports", "3306").hooks().build();
        odd.run().ok();
        let name = ls(&host)[0]["name"].as_str().expect("a name").to_owned();
        for source in ["my_sql", "mysql", "my-sql", "my.sql"] {
            let web = host.container("web").annotate("links", source).hooks().build();
            assert!(!web.run().succeeded(), "{source}");
        }
        assert!(name.contains('~'), "{name}");
        end(&odd);
        host.assert_nothing_left();
    }

    /// Two roots of one runtime: both containers start, and the end of one is not that of the other.
    fn h08_one_id_twice(runtime) {
        for first_ends_first in [true, false] {
            let host = Host::isolated(runtime);
            let db = host.container("db").annotate("ports", "3306").hooks().build();
            db.run().ok();
            let web = host.container("web").annotate("links", "db").hooks().build();
            web.run().ok();
            let again = host.container("again").annotate("links", "db").hooks().build();
            let other = host.path("root").join("other").display().to_string();
            let bundle = again.bundle().display().to_string();
            let call = |words: &[&str]| host.run(&mut host.runtime(&[&["--root", &other], words].concat()));
            call(&["run", "--detach", "--bundle", &bundle, "web"]).ok();
            let listed = ls(&host);
            assert_eq!(listed.iter().filter(|one| one["id"] == "web").count(), 2, "{listed:?}");
            assert_eq!(inspect(&host, "db")["linked_by"].as_array().map(Vec::len), Some(2));
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            assert_eq!(again.reach(&db, Proto::Tcp, 3306), OPEN);
            let end_again = || {
                call(&["delete", "--force", "web"]).ok();
            };
            if first_ends_first { end(&web) } else { end_again() }
            let left = if first_ends_first { &again } else { &web };
            assert_eq!(left.reach(&db, Proto::Tcp, 3306), OPEN, "the other's links stay");
            assert_eq!(ls(&host).iter().filter(|one| one["id"] == "web").count(), 1);
            assert_eq!(inspect(&host, "web")["addresses"][0], left.addresses()[0].to_string());
            host.run(&mut host.oci_link(&["gc"])).ok();
            host.run(&mut host.oci_link(&["sync"])).ok();
            assert_eq!(left.reach(&db, Proto::Tcp, 3306), OPEN, "neither gc nor sync removes them");
            if first_ends_first { end_again() } else { end(&web) }
            end(&db);
            host.assert_nothing_left();
        }
    }

    /// Both die without a hook, and `gc` finds both.
    fn h08_gc_finds_both(runtime) {
        let host = Host::isolated(runtime);
        let first = host.container("web").hooks().build();
        first.run().ok();
        let again = host.container("again").hooks().build();
        let other = host.path("root").join("other").display().to_string();
        let bundle = again.bundle().display().to_string();
        let call = |words: &[&str]| host.run(&mut host.runtime(&[&["--root", &other], words].concat()));
        call(&["run", "--detach", "--bundle", &bundle, "web"]).ok();
        first.kill();
        call(&["kill", "web", "KILL"]).ok();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(ls(&host).len(), 2);
        host.run(&mut host.oci_link(&["gc"])).ok();
        host.assert_nothing_left();
        call(&["delete", "--force", "web"]).ok();
    }
}
