//! A host that boots: a hundred containers start at once, all linked to one source.

use crate::{
    cast::{ls, source},
    support::{Container, Host, Runtime, storm},
};
use serde_json::json;
use std::{
    fs,
    process::{Child, Command},
    sync::Barrier,
    thread,
};

const CONTAINERS: usize = 100;

/// A container's first process, made without a runtime: that is not what waits here.
struct Process(Child);

impl Process {
    fn start(container: &Container) -> Self {
        let mut sleep = Command::new("unshare");
        sleep.args(["--mount", "sleep", "600"]);
        Self(container.netns().enter(|| sleep.spawn()).expect("unshare starts"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn f30_a_hundred_that_start_at_once_are_all_linked() {
    let _alone = storm::alone();
    let host = Host::open(Runtime::Crun.turned());
    let config = "[firewall]\nbackend = \"ipset\"\nisolate = [\"br0\"]\n";
    fs::write(host.path("config.toml"), config).expect("written");
    let db = source(&host, "db", "3306");
    let container = |n| host.container(&format!("web{n:03}")).annotate("links", "db").build();
    let all: Vec<_> = (0..CONTAINERS).map(container).collect();
    let processes: Vec<_> = all.iter().map(Process::start).collect();
    let states = all.iter().zip(&processes).map(|(container, Process(child))| {
        let id = container
            .bundle()
            .file_name()
            .expect("named after the id")
            .to_string_lossy()
            .to_string();
        let state = json!({
            "ociVersion": "1.0.2",
            "id": id,
            "status": "creating",
            "pid": child.id(),
            "bundle": container.bundle(),
        });
        state.to_string()
    });
    let states: Vec<_> = states.collect();
    let hook = |stage: &str, state: &str| {
        host.feed(&mut host.oci_link(&["hook", stage]), state.as_bytes()).ok()
    };
    let at_once = |stage: &str, states: &[String]| {
        let ready = Barrier::new(states.len());
        thread::scope(|scope| {
            for state in states {
                scope.spawn(|| {
                    ready.wait();
                    hook(stage, state)
                });
            }
        });
    };

    at_once("createRuntime", &states);
    let known = ls(&host);
    let linked = known.iter().filter(|known| {
        known["state"] == "ready" && known["links"].as_array().is_some_and(|all| all.len() == 1)
    });
    assert_eq!(linked.count(), CONTAINERS);
    let (elements, [v4, v6]) = (host.set_elements(), db.addresses());
    for container in &all {
        for (from, to) in container.addresses().into_iter().zip([v4, v6]) {
            let flow = format!(" {from},tcp:3306,{to} ");
            assert!(elements.iter().any(|element| element.contains(&flow)), "{flow}");
        }
        let hosts = fs::read_to_string(container.bundle().join("rootfs/etc/hosts"));
        assert!(hosts.expect("there").contains(&format!("\n{v4}\tdb db\n")));
    }

    drop(processes);
    let ended = |state: &String| state.replace("creating", "stopped");
    at_once("poststop", &states.iter().map(ended).collect::<Vec<_>>());
    crate::cast::end(&db);
    host.assert_nothing_left();
}
