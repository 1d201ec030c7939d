//! Containers that the engine starts by itself: all at once, or one after the other.

use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::{Engine, Rig, With};
use crate::tool::PODMAN;
use std::{
    thread,
    time::{Duration, Instant},
};

const RECIPIENTS: [&str; 3] = ["early", "web", "late"];
const RESTART: &str = "--restart always";
const COMMAND: &str = "sh -c 'httpd -p 9999; exec httpd -f -p 3306'";
/// Below `[links] wait`, above what a machine with others on it takes.
const SOON: Duration = Duration::from_secs(20);

/// A restart, and `[links] wait`.
const RETURN: Duration = Duration::from_secs(90);

const FILE: &str = "\
services:
  web:
    image: db
    restart: always
    command: [sh, -c, 'httpd -p 9999; exec httpd -f -p 3306']
    links: ['db:database']
  job:
    image: db
    restart: always
    command: [sh, -c, 'httpd -p 9999; exec httpd -f -p 3306']
    links: ['db:database']
  db:
    image: db
    restart: always
    command: [sh, -c, 'httpd -p 9999; exec httpd -f -p 3306']
";

/// `db`, its recipients, and a Compose project; one recipient is older than its source.
fn stack(engine: Engine) -> Rig {
    let rig = Rig::start(engine, With::Wrapper);
    // Links over IPv6 too: otherwise nothing of ours moves the jump in its FORWARD chain back in
    // front of dockerd's, and `sync --check` says so.
    let ipv6 = r#"sed -i 's/^{/{"ipv6": true, "fixed-cidr-v6": "fd00:77::\/64", /' /etc/docker/daemon.json"#;
    rig.machine.sh(ipv6).ok();
    rig.restart_docker();
    let links = "--annotation org.oci-link.links=db:database";
    rig.machine.sh(&format!("docker create --name early {RESTART} {links} db {COMMAND}")).ok();
    rig.container("db").option(RESTART.into()).run().ok();
    rig.machine.sh("docker start early").ok();
    for name in &RECIPIENTS[1..] {
        let recipient = rig.container(name).option(RESTART.into());
        recipient.annotate("links", "db:database").run().ok();
    }
    let file = rig.machine.feed("oci-link", &["compose", "--runtime=link"], FILE.as_bytes()).ok();
    rig.write("/root/compose.yaml", &format!("{file}\n"));
    rig.machine.sh("cd /root && docker-compose -p shop up -d").ok();
    rig
}

fn runs(rig: &Rig, name: &str) -> bool {
    let state = rig.machine.sh(&format!("docker inspect -f '{{{{.State.Status}}}}' {name}"));
    state.is_ok() && state.ok() == "running"
}

fn all_return(rig: &Rig, all: &[&str], round: u32) {
    let deadline = Instant::now() + RETURN;
    while !all.iter().all(|name| runs(rig, name)) {
        let why =
            "docker inspect -f '{{.Name}} {{.State.Status}} {{.State.Error}}' $(docker ps -aq)";
        let why = || rig.machine.sh(&format!("{why}; tail -n 30 /root/engine.log"));
        assert!(Instant::now() < deadline, "round {round}: {}", why());
        thread::sleep(Duration::from_millis(100));
    }
}

fn assert_linked(rig: &Rig, name: &str, source: &str) {
    let entry = format!("DATABASE_PORT=tcp://{}:3306", rig.address(source));
    let environ = rig.environ(name);
    assert!(environ.contains(&entry), "{name}: no {entry} in {environ:#?}");
    rig.assert_reaches(name, "database", 3306);
}

each_engine! {
    fn all_come_back_with_their_variables(engine) on [docker_28] {
        let rig = stack(engine);
        let all = ["early", "web", "late", "db", "shop-web-1", "shop-job-1", "shop-db-1"];
        for round in 0..3 {
            if round == 1 {
                rig.crash_docker();
            } else {
                rig.restart_docker();
            }
            all_return(&rig, &all, round);
            for name in RECIPIENTS {
                assert_linked(&rig, name, "db");
                assert!(!rig.reaches(name, "database", 9999), "another port");
            }
            for name in ["shop-web-1", "shop-job-1"] {
                assert_linked(&rig, name, "shop-db-1");
            }
            let check = rig.machine.sh("oci-link sync --check");
            assert!(check.is_ok(), "round {round}: {check}");
        }
    }

    fn a_source_that_was_stopped_by_hand_is_not_waited_for(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.container("db").option(RESTART.into()).run().ok();
        let web = rig.container("web").option(RESTART.into());
        web.annotate("links", "db:database").run().ok();
        rig.machine.sh("docker stop -t 0 web db").ok();
        let begun = Instant::now();
        let complaint = rig.machine.sh("docker start web").refused();
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        let reason = "Cannot link to a non running container: /db AS /web/database";
        assert!(complaint.contains(reason), "{complaint}");
        rig.machine.sh("docker start db web").ok();
        assert_linked(&rig, "web", "db");
    }

    /// Docker's files tell all that a link needs. Rules come with `watch`.
    fn a_source_of_another_runtime_is_linked(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.container("db").option("--runtime runc".into()).run().ok();
        rig.container("web").annotate("links", "db:database").run().ok();
        let listed = rig.machine.sh("oci-link ls").ok();
        assert!(listed.contains("db (by docker)"), "{listed}");
        assert!(listed.contains("(no rules without oci-link watch)"), "{listed}");
        let environ = rig.environ("web");
        assert!(environ.iter().any(|entry| entry.starts_with("DATABASE_PORT=")), "{environ:?}");
        let hosts = rig.machine.sh("docker exec web cat /etc/hosts").ok();
        assert!(hosts.contains(&format!("{}\tdatabase ", rig.address("db"))), "{hosts}");
    }

    fn a_circle_comes_up(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        for (name, source) in [("one", "two"), ("two", "one")] {
            let links = format!("--annotation org.oci-link.links={source}:other");
            let create = format!("docker create --name {name} {RESTART} {links} db {COMMAND}");
            rig.machine.sh(&create).ok();
        }
        let begun = Instant::now();
        rig.machine.sh("docker start one two").ok();
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        rig.restart_docker();
        wait_until("return of both", || runs(&rig, "one") && runs(&rig, "two"));
        rig.assert_reaches("one", "other", 3306);
        rig.assert_reaches("two", "other", 3306);
    }

    /// dockerd holds the container's lock while it creates it: a stop is answered after the wait.
    fn a_stop_is_answered_when_the_wait_is_over(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.write("/etc/oci-link/config.toml", "[links]\nwait = \"4s\"\n");
        rig.machine.sh(&format!("docker create --name db {RESTART} db {COMMAND}")).ok();
        let links = "--annotation org.oci-link.links=db:database";
        rig.machine.sh(&format!("docker create --name web {links} db {COMMAND}")).ok();
        rig.machine.daemon("docker start web", "/root/start.log");
        let waits = || rig.machine.sh("pgrep -f '[o]ci-link-runc.* create'").is_ok();
        wait_until("wait", waits);
        let begun = Instant::now();
        rig.machine.sh("docker stop -t 0 web").ok();
        assert!(begun.elapsed() < SOON && !waits(), "{:?}", begun.elapsed());
        assert!(!runs(&rig, "web"));
    }

    fn podman_starts_a_recipient_before_its_source_without_it(engine) on [podman_4, podman_5] {
        let rig = Rig::start(engine, With::Wrapper);
        rig.write("/etc/oci-link/config.toml", "[log]\nfile = \"/root/oci-link.log\"\n");
        // A source that was made again is younger than its recipients.
        let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
        let links = "--annotation org.oci-link.links=db:database";
        let create = |name: &str, options: &str| {
            let options = format!("--name {name} {RESTART} {limits} {options}");
            rig.machine.sh(&format!("{PODMAN} create {options} db {COMMAND}")).ok();
        };
        create("web", links);
        create("db", "");
        create("whole", &format!("{links} --requires db"));
        let begun = Instant::now();
        // podman 4.3 starts all in the order of their ids, which are random.
        let all = match engine {
            Engine::podman_4 => "web db whole",
            _ => "--all --filter restart-policy=always",
        };
        rig.machine.sh(&format!("{PODMAN} start {all}")).ok();
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_secs(5) && waited < SOON, "{waited:?}");
        assert_linked(&rig, "whole", "db");
        rig.assert_reaches("web", "database", 3306);
        let environ = rig.environ("web");
        assert!(!environ.iter().any(|entry| entry.starts_with("DATABASE_")), "{environ:?}");
        let log = rig.machine.sh("cat /root/oci-link.log").ok();
        let warning = "db does not run: the variables for database are missing";
        assert!(log.contains(warning), "{log}");
        let listed = rig.machine.sh("oci-link ls").ok();
        assert!(listed.contains("db:database (no variables)"), "{listed}");
        let doctor = rig.machine.sh("oci-link doctor || true").ok();
        let cause = "web started before db: it lacks the variables of database";
        assert!(doctor.contains(cause) && !doctor.contains("whole started"), "{doctor}");
    }
}
