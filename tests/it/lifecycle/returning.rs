//! Sources that come back as another container: under the same name, with a new id and address.

use super::knows;
use crate::{
    cast::{end, inspect, iptables_host, link_rules, recipient},
    support::{Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime},
};
use std::{fs, path::Path};

/// The container called db, whatever its id is this time.
fn db<'h>(host: &'h Host, id: &str) -> Container<'h> {
    let db = host.container(id).annotate("name", "db").annotate("ports", "3306").hooks().build();
    db.run().ok();
    db
}

/// A container of a pod: its hosts file is the pod's.
fn in_pod<'h>(host: &'h Host, id: &str, hosts: &Path) -> Container<'h> {
    let container = host.container(id).annotate("links", "db").bind(hosts, "/etc/hosts");
    let container = container.hooks().build();
    container.run().ok();
    container
}

each_runtime! {
    fn f31_all_recipients_follow_in_hosts_and_rules(runtime) also youki {
        let host = iptables_host(runtime);
        let first = db(&host, "id1");
        let old = first.number();
        let all: Vec<_> = (0..3).map(|n| recipient(&host, &format!("web{n}"), "db")).collect();
        end(&first);
        for web in &all {
            assert!(!knows(web, "db", &first), "{}", web.hosts());
        }
        assert_eq!(link_rules(&host), [""; 0], "at once");
        drop(first);

        let second = db(&host, "id2");
        for web in &all {
            assert!(knows(web, "db", &second), "{}", web.hosts());
            assert_eq!(web.reach(&second, Proto::Tcp, 3306), OPEN);
            assert_eq!(web.hosts().matches("# BEGIN oci-link").count(), 1, "{}", web.hosts());
        }
        let successor = host.container("successor").number(old).hooks().build();
        successor.run().ok();
        assert_eq!(all[0].reach(&successor, Proto::Tcp, 3306), SHUT);
        all.iter().chain([&second, &successor]).for_each(end);
        host.assert_nothing_left();
    }

    fn containers_of_one_pod_follow_in_the_file_they_share(runtime) {
        let host = iptables_host(runtime);
        let hosts = host.path("pod-hosts");
        fs::write(&hosts, "127.0.0.1\tlocalhost\n").expect("written");
        let first = db(&host, "id1");
        let all = ["one", "two", "three"].map(|id| in_pod(&host, id, &hosts));
        end(&first);
        assert!(!fs::read_to_string(&hosts).expect("there").contains("\tdb"), "gone for all");
        drop(first);
        let second = db(&host, "id2");
        for web in &all {
            assert!(knows(web, "db", &second), "{}", web.hosts());
            assert_eq!(web.reach(&second, Proto::Tcp, 3306), OPEN);
        }
        let blocks = fs::read_to_string(&hosts).expect("there");
        assert_eq!(blocks.matches("# BEGIN oci-link").count(), all.len(), "{blocks}");
        all.iter().chain([&second]).for_each(end);
        assert_eq!(fs::read_to_string(&hosts).expect("there"), "127.0.0.1\tlocalhost\n");
        host.assert_nothing_left();
    }

    /// Engines write a container's hosts file again when a neighbour of theirs comes or goes.
    fn a_source_is_followed_in_a_file_that_an_engine_rewrote(runtime) {
        let host = iptables_host(runtime);
        let hosts = host.path("hosts");
        fs::write(&hosts, "127.0.0.1\tlocalhost\n").expect("written");
        let first = db(&host, "id1");
        let web = in_pod(&host, "web", &hosts);
        let rewritten = "127.0.0.1\tlocalhost\n10.9.9.9\tnew neighbour\n";
        fs::write(&hosts, rewritten).expect("written");
        end(&first);
        drop(first);
        let second = db(&host, "id2");
        assert!(knows(&web, "db", &second), "{}", web.hosts());
        assert!(web.hosts().starts_with(rewritten), "{}", web.hosts());
        end(&web);
        assert_eq!(fs::read_to_string(&hosts).expect("there"), rewritten);
        end(&second);
        host.assert_nothing_left();
    }

    fn a_recipient_that_cannot_be_linked_again_keeps_no_source_from_starting(runtime) {
        let host = iptables_host(runtime);
        let first = db(&host, "id1");
        let (bad, good) = (recipient(&host, "bad", "db"), recipient(&host, "good", "db"));
        end(&first);
        drop(first);
        let _ = bad.exec(&["sh", "-c", "rm /etc/hosts; mkfifo /etc/hosts"]).ok();
        let second = db(&host, "id2");
        assert!(knows(&good, "db", &second));
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("links of bad: hosts file /etc/hosts: is a FIFO"), "{log}");
        assert_eq!(inspect(&host, "id2")["state"], "ready");
        [&good, &bad, &second].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// A later version's record cannot be read, and other containers are not concerned.
#[test]
fn a_recipient_of_a_later_version_keeps_no_source_from_starting() {
    let host = iptables_host(Runtime::Runc);
    let first = db(&host, "id1");
    let _web = recipient(&host, "web", "db");
    end(&first);
    drop(first);
    let files = host.state_files();
    let record = files.iter().find(|file| file.ends_with("/web.json")).expect("a record");
    let path = host.state_dir().join(record);
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("\"version\":1", "\"version\":99")).expect("written");
    let second = db(&host, "id2");
    assert_eq!(second.state()["status"], "running");
    fs::write(&path, text).expect("written");
}
