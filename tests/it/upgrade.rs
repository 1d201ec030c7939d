//! Containers that version 0.1 linked run on while the program is replaced. `make test-upgrade` builds
//! that version, and names it in `OCI_LINK_PREVIOUS`.

use crate::{
    backends::each_backend,
    cast::{end, ls, permissions, recipient},
    lifecycle::{call, host_with, wipe},
    support::{Container, Host, OCI_LINK, OPEN, Proto, SHUT},
};
use oci_link::testing::BackendName;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the program is installed on this host: hooks call it by this path.
fn installed(host: &Host) -> PathBuf {
    host.path("oci-link")
}

/// Installs a program as packages do, by a rename.
fn install(host: &Host, program: &Path) {
    let new = host.path(".oci-link.new");
    fs::copy(program, &new).expect("a program");
    fs::rename(new, installed(host)).expect("replaced");
}

/// Runs the program that is installed.
fn call_installed(host: &Host, words: &[&str]) -> String {
    let mut command = Command::new(installed(host));
    host.run(command.args(host.global_options()).args(words)).ok()
}

/// A running container whose hooks and variables are made by the program that is installed.
fn started<'h>(host: &'h Host, id: &str, annotations: &[(&str, &str)]) -> Container<'h> {
    let bundle = host.container(id).env("LEVEL=old");
    let bundle =
        annotations.iter().fold(bundle, |bundle, (key, value)| bundle.annotate(key, value));
    let container = bundle.build();
    call_installed(host, &["prepare", container.bundle().to_str().expect("a path")]);
    container.run().ok();
    container
}

fn states(host: &Host) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    ls(host).iter().map(|known| (text(&known["name"]), text(&known["state"]))).collect()
}

/// The program of version 0.1.
fn previous_program() -> PathBuf {
    std::env::var_os("OCI_LINK_PREVIOUS").expect("make test-upgrade sets it").into()
}

/// A host with version 0.1, and the program that replaces it.
fn with_previous(backend: BackendName) -> (Host, PathBuf) {
    let host = host_with(backend);
    install(&host, &previous_program());
    (host, PathBuf::from(OCI_LINK))
}

each_backend! {
    #[ignore = "needs version 0.1: make test-upgrade"]
    fn links_of_the_previous_version_go_on_after_an_upgrade(backend) {
        let (host, next) = with_previous(backend);
        let db = started(&host, "db", &[("ports", "3306,7000-7003/udp")]);
        let cache = started(&host, "cache", &[("ports", "6379")]);
        let web = started(&host, "web", &[("links", "db:sql cache")]);
        let late = started(&host, "late", &[("links", "queue:q"), ("missing", "defer")]);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert!(web.environ().contains(&"SQL_ENV_LEVEL=old".to_owned()), "{:?}", web.environ());
        let hosts = web.hosts();

        install(&host, &next);
        let all = ["cache", "db", "late", "web"].map(|name| (name.to_owned(), "ready".to_owned()));
        assert_eq!(states(&host), all);
        // Nothing is cut while the new program looks, and nothing is left to do after it repaired.
        call(&host, "sync").ok();
        assert_eq!(call(&host, "sync --check").ended(0), "");
        assert_eq!(call(&host, "gc --dry-run").ended(0), "");
        assert_eq!(web.hosts(), hosts);
        for (source, proto, port, expected) in [
            (&db, Proto::Tcp, 3306, OPEN),
            (&db, Proto::Udp, 7002, OPEN),
            (&db, Proto::Tcp, 3307, SHUT),
            (&cache, Proto::Tcp, 6379, OPEN),
        ] {
            assert_eq!(web.reach(source, proto, port), expected, "{proto:?} {port}");
        }
        assert_eq!(late.reach(&db, Proto::Tcp, 3306), SHUT);

        // Old and new containers are linked to each other, in every way.
        let next = recipient(&host, "next", "db cache");
        assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
        let queue = started(&host, "queue", &[("ports", "5672"), ("links", "db")]);
        assert_eq!(late.reach(&queue, Proto::Tcp, 5672), OPEN);
        assert!(late.hosts().contains("\tq"), "{}", late.hosts());
        call(&host, "disconnect web cache").ok();
        assert_eq!(web.reach(&cache, Proto::Tcp, 6379), SHUT);
        call(&host, "connect web queue").ok();
        assert_eq!(web.reach(&queue, Proto::Tcp, 5672), OPEN);

        // A source of the old version ends and comes back, by its old hooks.
        end(&db);
        assert_eq!([web.reach(&db, Proto::Tcp, 3306), next.reach(&db, Proto::Tcp, 3306)], [SHUT; 2]);
        db.run().ok();
        for recipient in [&web, &next] {
            assert_eq!(recipient.reach(&db, Proto::Tcp, 3306), OPEN);
        }
        [&web, &late, &next, &queue, &cache, &db].into_iter().for_each(end);
        assert_eq!(permissions(&host), [""; 0]);
        host.assert_nothing_left();
    }

    /// Links end although the new program never repaired them: the first that it hears is their end.
    #[ignore = "needs version 0.1: make test-upgrade"]
    fn containers_of_the_previous_version_end_after_an_upgrade(backend) {
        let (host, next) = with_previous(backend);
        let db = started(&host, "db", &[("ports", "3306")]);
        let web = started(&host, "web", &[("links", "db")]);
        let killed = started(&host, "killed", &[("links", "db")]);
        let file = web.bundle().join("rootfs/etc/hosts");
        assert!(fs::read_to_string(&file).expect("a file").contains("\tdb"));
        install(&host, &next);
        end(&web);
        assert!(!fs::read_to_string(&file).expect("a file").contains("\tdb"));
        killed.kill();
        call(&host, "gc").ok();
        killed.delete().ok();
        end(&db);
        assert_eq!(permissions(&host), [""; 0]);
        host.assert_nothing_left();
    }

    /// What the previous version left in the firewall is removed with the program.
    #[ignore = "needs version 0.1: make test-upgrade"]
    fn gc_all_removes_the_rules_of_the_previous_version(backend) {
        let (host, next) = with_previous(backend);
        let db = started(&host, "db", &[("ports", "3306")]);
        let web = started(&host, "web", &[("links", "db")]);
        install(&host, &next);
        call(&host, "gc --all").ok();
        assert_eq!(host.set_elements(), [""; 0]);
        assert_eq!(host.rules(), host.baseline());
        [&web, &db].into_iter().for_each(end);

        // Its records are lost. Their rules do not say whose they are: they stay until a container gets their
        // address, or all rules are removed.
        install(&host, &previous_program());
        let both = [db, web];
        for container in &both {
            container.run().ok();
        }
        install(&host, &next);
        wipe(&host);
        call(&host, "gc").ok();
        assert_ne!(permissions(&host), [""; 0]);
        let successor = host.container("successor").number(both[1].number()).hooks();
        both[1].kill();
        both[1].unplug();
        let successor = successor.build();
        successor.run().ok();
        assert_eq!(permissions(&host), [""; 0]);
        assert_eq!(successor.reach(&both[0], Proto::Tcp, 3306), SHUT);
        end(&successor);
        for container in &both {
            let _ = container.delete_by_force();
        }
        call(&host, "gc --all").ok();
        assert_eq!(host.rules(), host.baseline());
    }
}

/// The keys that version 0.1 had in config.toml.
#[test]
fn a_configuration_of_the_previous_version_is_read() {
    let host = crate::support::Host::open(crate::support::Runtime::Crun);
    let config = "state_dir = \"/run/oci-link\"\n[firewall]\nbackend = \"auto\"\nisolate = [\"cni0\"]\n\
         [env]\ndialect = \"27\"\n[runtime]\ncommand = \"crun\"\n[log]\nlevel = \"info\"\n\
         file = \"/var/log/oci-link.log\"\n";
    fs::write(host.path("config.toml"), config).expect("written");
    assert_eq!(call(&host, "ls --format json").ok().trim(), "[]");
}
