//! Networks of rootless podman: those on which containers do not reach each other, IPv6, and links
//! of running containers.

use crate::each_engine;
use crate::rig::Engine;
use crate::user::{Rootless, User, annotation};

/// A container without links runs with these options as ever, and its end leaves no record.
#[track_caller]
fn assert_runs(alice: &User, options: &str) {
    assert_runs_beside(alice, options);
    let said = alice.engine(&format!("run --rm {options} db sh -c 'exit 7'")).to_string();
    assert!(said.contains("exit status Some(7)"), "{said}");
    assert_eq!(alice.recorded(), Vec::<String>::new());
}

/// A container without links runs with these options beside linked ones.
#[track_caller]
fn assert_runs_beside(alice: &User, options: &str) {
    let said = alice.engine(&format!("run --rm {options} db echo hello"));
    assert_eq!(said.ok(), "hello", "{options}");
}

/// A container with a link to `db` is refused with these options, in words that say what to do.
#[track_caller]
fn assert_refused(alice: &User, options: &str, words: &[&str]) {
    let links = annotation("links", "db:database");
    let complaint = alice.run("web", &format!("{options} {links}")).refused();
    for word in words {
        assert!(complaint.contains(word), "{options}: no {word} in {complaint}");
    }
    alice.remove("web");
}

each_engine! {
    fn networks_without_a_bridge(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.user("alice");
        let program = if engine == Engine::podman_4 { "slirp4netns" } else { "pasta" };
        for options in ["", "--network host", "--network none", "--network bridge"] {
            assert_runs(&alice, options);
        }
        // The source is where nothing reaches it.
        for options in ["", "--network host"] {
            alice.run("db", options).ok();
            assert_refused(&alice, "--network bridge", &["db", "--network"]);
            alice.remove("db");
        }
        // The recipient is.
        alice.run("db", "--network bridge").ok();
        assert_refused(&alice, "", &["web", program, "--network bridge"]);
        assert_refused(&alice, "--network host", &["web", "--network"]);
        assert_refused(&alice, "--network none", &["web"]);
        let links = format!("--network bridge {}", annotation("links", "db:database"));
        alice.run("web", &links).ok();
        alice.assert_reaches("web", "database", 3306);
        for name in ["web", "db"] {
            alice.remove(name);
        }
        assert_eq!(alice.recorded(), Vec::<String>::new());
    }

    fn both_families(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.user_with_network("alice");
        // In the place of the network that is there.
        alice.engine("network rm lan").ok();
        alice.engine("network create --disable-dns --ipv6 --subnet 10.90.0.0/24 --subnet fd00:90::/64 lan").ok();
        alice.run_on_lan("db", "").ok();
        alice.run_on_lan("web", "db:database").ok();
        alice.run_on_lan("third", "").ok();
        alice.assert_linked("web", "database", "db");
        let six = alice.address("db", "-6");
        assert!(alice.hosts("web").contains(&format!("{six}\tdatabase")), "{}", alice.hosts("web"));
        alice.assert_reaches("web", &six, 3306);
        assert!(!alice.reaches("web", &six, 9999), "another port");
        assert!(!alice.reaches("third", &six, 3306), "without a link");
        assert!(!alice.reaches("db", alice.address("web", "-6"), 3306), "the other way");
        alice.kill("db");
        assert_eq!(alice.rules(), Vec::<String>::new());
        alice.restart("db");
        alice.assert_linked("web", "database", "db");
        alice.assert_reaches("web", alice.address("db", "-6"), 3306);
    }

    /// What `docker run --link` and Compose ask docker for.
    fn links_of_docker_itself(engine) on [docker_28] {
        let rig = Rootless::start(engine);
        let alice = rig.user("alice");
        alice.run("db", "").ok();
        alice.run("web", "--link db:database").ok();
        let address = alice.address("db", "-4");
        let environ = alice.environ("web");
        let entry = format!("DATABASE_PORT=tcp://{address}:3306");
        assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
        alice.assert_linked("web", "database", "db");
        for options in ["--network host", "--network none"] {
            assert_runs_beside(&alice, options);
        }
        alice.kill("db");
        alice.restart("db");
        alice.assert_linked("web", "database", "db");
    }

    fn running_containers_are_linked_and_unlinked(engine) on [podman_4, podman_5, docker_28] {
        let rig = Rootless::start(engine);
        let alice = rig.user_with_network("alice");
        alice.run_on_lan("db", "").ok();
        alice.run_on_lan("web", "").ok();
        let address = alice.address("db", "-4");
        assert!(!alice.reaches("web", &address, 3306), "isolated");
        alice.oci_link("connect web db:database").ok();
        alice.assert_linked("web", "database", "db");
        alice.kill("db");
        alice.restart("db");
        alice.assert_linked("web", "database", "db");
        alice.oci_link("disconnect web database").ok();
        assert!(!alice.hosts("web").contains("database"), "{}", alice.hosts("web"));
        assert!(!alice.reaches("web", alice.address("db", "-4"), 3306), "unlinked");
        assert_eq!(alice.rules(), Vec::<String>::new());
    }
}
