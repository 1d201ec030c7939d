//! Links under real engines: those that can give a container annotations.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};

/// `db`, and `web` that is linked to it. ctr tells us neither name nor ports.
fn linked(engine: Engine) -> Rig {
    let rig = Rig::start(engine, With::Wrapper);
    db(&rig);
    rig.container("web").annotate("links", "db:database").run().ok();
    rig
}

fn db(rig: &Rig) {
    let db = rig.container("db").env("USER_SET=1");
    let told = rig.engine.is_docker() || rig.engine.is_podman();
    let db = if told { db } else { db.annotate("ports", "3306,7000/udp") };
    db.run().ok();
}

fn lines_of<'a>(hosts: &'a str, name: &str) -> Vec<&'a str> {
    hosts.lines().filter(|line| line.split_whitespace().skip(1).any(|word| word == name)).collect()
}

each_engine! {
    fn a_link_works(engine) on [podman_4, containerd_1, docker_28, podman_5, containerd_2] {
        let rig = linked(engine);
        rig.container("other").run().ok();
        let address = rig.address("db");

        let environ = rig.environ("web");
        for entry in [
            format!("DATABASE_PORT=tcp://{address}:3306"),
            format!("DATABASE_PORT_3306_TCP_ADDR={address}"),
            format!("DATABASE_PORT_7000_UDP=udp://{address}:7000"),
            "DATABASE_NAME=/web/database".into(),
            "DATABASE_ENV_COLOUR=green".into(),
            "DATABASE_ENV_USER_SET=1".into(),
        ] {
            assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
        }
        for foreign in ["HOSTNAME", "TERM", "container", "HOME", "PATH"] {
            let key = format!("DATABASE_ENV_{foreign}=");
            assert!(!environ.iter().any(|entry| entry.starts_with(&key)), "{key} in {environ:#?}");
        }

        let hosts = rig.hosts("web");
        let [line] = lines_of(&hosts, "database")[..] else { panic!("not one line in {hosts}") };
        assert!(line.starts_with(&format!("{address}\tdatabase ")), "{line}");

        rig.assert_reaches("web", "database", 3306);
        assert!(!rig.reaches("web", "database", 9999), "another port");
        assert!(!rig.reaches("db", &rig.address("web").to_string(), 3306), "the other way");
        assert!(!rig.reaches("other", &address.to_string(), 3306), "another container");
    }

    fn nothing_is_left(engine) on [podman_4, containerd_1, docker_28, podman_5, containerd_2] {
        let rig = linked(engine);
        assert_ne!(rig.remains(), Vec::<String>::new());
        rig.remove("db");
        let hosts = rig.hosts("web");
        assert_eq!(lines_of(&hosts, "database"), Vec::<&str>::new());
        rig.remove("web");
        assert_eq!(rig.remains(), Vec::<String>::new());
    }

    fn a_source_that_comes_back_elsewhere_is_followed(engine)
        on [podman_4, containerd_1, docker_28, podman_5, containerd_2] {
        let rig = linked(engine);
        let before = rig.address("db");
        rig.kill("db");
        assert!(!rig.reaches("web", &before.to_string(), 3306));
        // Another container takes the address before it returns.
        rig.container("thief").run().ok();
        if engine.is_docker() || engine.is_podman() {
            rig.restart("db");
        } else {
            rig.remove("db");
            db(&rig);
        }
        let after = rig.address("db");
        let hosts = rig.hosts("web");
        let [line] = lines_of(&hosts, "database")[..] else { panic!("not one line in {hosts}") };
        assert!(line.starts_with(&format!("{after}\t")), "{line}");
        rig.assert_reaches("web", "database", 3306);
        let thief = rig.address("thief");
        assert!(!rig.reaches("web", &thief.to_string(), 3306), "{before} is {thief} now");
    }

    fn a_recipient_can_be_started_again(engine) on [podman_4, docker_28, podman_5] {
        let rig = linked(engine);
        rig.kill("web");
        rig.restart("web");
        let address = rig.address("db");
        assert!(rig.environ("web").contains(&format!("DATABASE_PORT=tcp://{address}:3306")));
        rig.assert_reaches("web", "database", 3306);
        let hosts = rig.hosts("web");
        assert_eq!(lines_of(&hosts, "database").len(), 1, "{hosts}");
    }

    fn a_missing_source_fails_the_start(engine)
        on [podman_4, containerd_1, docker_28, podman_5, containerd_2] {
        let rig = Rig::start(engine, With::Wrapper);
        let complaint = rig.container("web").annotate("links", "gone:database").run().refused();
        assert!(complaint.contains("gone"), "{complaint}");
        rig.remove("web");
        assert_eq!(rig.remains(), Vec::<String>::new());
    }

    /// Docker puts its own chains first when it starts, and so behind itself what stood there.
    fn links_work_after_a_restart_of_the_engine(engine) on [docker_28] {
        let rig = linked(engine);
        rig.restart_docker();
        rig.restart("db");
        rig.restart("web");
        rig.assert_reaches("web", "database", 3306);
        assert!(!rig.reaches("db", &rig.address("web").to_string(), 3306));
    }
}
