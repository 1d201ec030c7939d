//! `exec`: what an engine starts in a container later sees the variables of its links.

use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::{Engine, Rig, With};
use crate::tool::PODMAN;

/// `web`, which is linked to `db` as `mysql`: twelve variables.
fn linked(engine: Engine, options: &str) -> Rig {
    let rig = Rig::start(engine, With::Wrapper);
    let db = rig.container("db");
    let told = engine.is_docker() || engine.is_podman();
    let db = if told { db } else { db.annotate("ports", "3306,7000/udp") };
    db.run().ok();
    let web = rig.container("web").annotate("links", "db:mysql");
    web.option(options.to_owned()).run().ok();
    rig
}

/// The variables of the link in the output of `env`, sorted.
fn variables(output: &str) -> Vec<String> {
    let lines = output.lines().map(|line| line.trim_end_matches('\r'));
    let mut found: Vec<String> =
        lines.filter(|line| line.starts_with("MYSQL_")).map(String::from).collect();
    found.sort();
    found
}

fn of_first_process(rig: &Rig) -> Vec<String> {
    let all = variables(&rig.environ("web").join("\n"));
    assert_eq!(all.len(), 12, "{all:?}");
    all
}

/// The engine's `exec` with options.
fn exec(rig: &Rig, options: &str, command: &str) -> String {
    let client = if rig.engine.is_docker() { "docker" } else { PODMAN };
    rig.machine.sh(&format!("{client} exec {options} web {command}")).ok()
}

each_engine! {
    fn exec_sees_the_variables(engine)
        on [docker_28, podman_4, podman_5, containerd_1, containerd_2] {
        let rig = linked(engine, "");
        let expected = of_first_process(&rig);
        assert_eq!(variables(&rig.exec("web", "env").ok()), expected);
        assert_eq!(variables(&rig.exec("db", "env").ok()), [""; 0]);
    }

    fn options_of_exec_keep_working(engine) on [docker_28, podman_5] {
        let rig = linked(engine, "");
        let expected = of_first_process(&rig);
        for options in ["-u 1000", "-t", "-i", "-w /bin", "--privileged"] {
            assert_eq!(variables(&exec(&rig, options, "env")), expected, "{options}");
        }
        let said = exec(&rig, "-e MYSQL_PORT=mine -e OWN=1", "env");
        assert!(said.contains("OWN=1"), "{said}");
        let found = variables(&said);
        assert_eq!(found.len(), 12, "{said}");
        assert!(found.contains(&"MYSQL_PORT=mine".to_owned()), "{said}");
        exec(&rig, "-d", "sh -c 'env >/detached.new; cat /detached.new >/detached'");
        wait_until("a detached process", || rig.exec("web", "cat /detached").is_ok());
        assert_eq!(variables(&rig.exec("web", "cat /detached").ok()), expected);
    }

    fn health_checks_see_the_variables(engine) on [docker_28, podman_5] {
        let check = "--health-cmd 'env >/health' --health-interval 1s";
        // Without systemd podman has no timer: the check is called by hand.
        let podmans = "--health-cmd 'env >/health' --health-interval disable";
        let rig = linked(engine, if engine.is_docker() { check } else { podmans });
        if engine.is_podman() {
            rig.machine.sh(&format!("{PODMAN} healthcheck run web")).ok();
        }
        let seen = || variables(&rig.exec("web", "sh -c 'cat /health || true'").ok());
        wait_until("a health check", || !seen().is_empty());
        assert_eq!(seen(), of_first_process(&rig));
    }

    fn a_container_that_was_started_again(engine) on [docker_28, podman_5] {
        let rig = linked(engine, "");
        rig.kill("web");
        rig.kill("db");
        rig.restart("db");
        rig.restart("web");
        assert_eq!(variables(&rig.exec("web", "env").ok()), of_first_process(&rig));
        rig.remove("web");
        rig.remove("db");
        assert_eq!(rig.remains(), Vec::<String>::new());
    }
}
