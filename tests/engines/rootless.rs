//! Links of rootless engines: alice's containers, on bridges in a network namespace of her own.

use crate::each_engine;
use crate::rig::Engine;
use crate::user::{Rootless, User, annotation};

/// `db`, `web` that is linked to it, and `third`, which is not.
fn linked(alice: &User) {
    alice.run_on_lan("db", "").ok();
    alice.run_on_lan("web", "db:database").ok();
    alice.run_on_lan("third", "").ok();
}

#[track_caller]
fn assert_linked(alice: &User) {
    alice.assert_linked("web", "database", "db");
    let address = alice.address("db", "-4");
    assert!(!alice.reaches("third", &address, 3306), "without a link");
    assert!(!alice.reaches("db", alice.address("web", "-4"), 3306), "the other way");
}

fn assert_variables(alice: &User) {
    let address = alice.address("db", "-4");
    let environ = alice.environ("web");
    for entry in [&format!("DATABASE_PORT=tcp://{address}:3306"), "DATABASE_ENV_COLOUR=green"] {
        assert!(environ.iter().any(|one| one == entry), "no {entry} in {environ:#?}");
    }
}

each_engine! {
    fn a_link_lives_with_its_containers(engine) on [podman_4, podman_5, docker_28] {
        let rig = Rootless::start(engine);
        let before = rig.of_root();
        let alice = rig.user_with_network("alice");
        linked(&alice);
        assert_linked(&alice);
        assert_variables(&alice);

        // The source comes back at another address, and its old one is another container's.
        let old = alice.address("db", "-4");
        alice.kill("db");
        assert!(!alice.hosts("web").contains("database"), "{}", alice.hosts("web"));
        assert_eq!(alice.rules(), Vec::<String>::new());
        let at = if engine.is_docker() { String::new() } else { format!("--network lan --ip {old}") };
        alice.run("squatter", &at).ok();
        assert_eq!(alice.address("squatter", "-4"), old);
        alice.restart("db");
        assert_ne!(alice.address("db", "-4"), old);
        assert_linked(&alice);
        assert!(!alice.reaches("web", &old, 3306), "the link went to another container");

        alice.kill("web");
        assert_eq!(alice.rules(), Vec::<String>::new());
        alice.restart("web");
        assert_linked(&alice);
        assert_variables(&alice);

        assert_eq!(alice.recorded(), ["db", "squatter", "third", "web"]);
        for name in ["web", "db", "squatter"] {
            alice.remove(name);
        }
        assert_eq!((alice.rules(), alice.recorded()), (Vec::new(), vec!["third".to_owned()]));
        alice.remove("third");
        assert_eq!(alice.recorded(), Vec::<String>::new());
        assert_eq!(rig.of_root(), before, "nothing of it is root's");
    }

    /// The rootless network namespace goes with the last container on a bridge, and is made again.
    fn the_network_namespace_is_made_again(engine) on [podman_4, podman_5] {
        let rig = Rootless::start_with(engine, "runc");
        let alice = rig.user_with_network("alice");
        let runtime = alice.engine("info --format '{{.Host.OCIRuntime.Path}}'").ok();
        assert!(runtime.ends_with("/oci-link-runc"), "{runtime}");
        linked(&alice);
        assert_linked(&alice);
        assert_variables(&alice);
        for name in ["db", "web", "third"] {
            alice.kill(name);
        }
        for name in ["db", "web", "third"] {
            alice.restart(name);
        }
        assert_linked(&alice);
    }

    fn pods_and_user_namespaces(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.user_with_network("alice");
        // Its containers share the infra container's address, and the ports of the server.
        alice.engine("pod create --name shop --network lan").ok();
        alice.run("db", "--pod shop").ok();
        alice.run_on_lan("web", "db:database").ok();
        alice.assert_linked("web", "database", "db");
        // From the pod to a container outside, which maps the user to itself.
        let keeps = "--network lan --userns keep-id";
        alice.run("kept", keeps).ok();
        let links = annotation("links", "kept:mine");
        alice.engine(&format!("run --detach --name worker --pod shop {links} db sleep 600")).ok();
        alice.assert_linked("worker", "mine", "kept");
        alice.run("reader", &format!("{keeps} {}", annotation("links", "kept:mine"))).ok();
        alice.assert_linked("reader", "mine", "kept");
        assert_eq!(alice.exec("reader", "busybox id -u").ok(), "1500");
        for name in ["reader", "kept", "web"] {
            alice.remove(name);
        }
        alice.engine("pod rm --force --time 0 shop").ok();
        assert_eq!(alice.recorded(), Vec::<String>::new());
    }
}
