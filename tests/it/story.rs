//! The log at level `debug`: what happened at a start and at an end.

use crate::cast::{end, source};
use crate::support::{Container, Host, each_runtime};
use std::fs;

/// So many lines are read; more are scrolled past.
const READABLE: usize = 15;

/// A container whose hooks write their story.
fn told<'h>(host: &'h Host, id: &str, links: &str) -> Container<'h> {
    let bundle = host.container(id).annotate("links", links).hooks().edit(|config| {
        for stage in ["createRuntime", "poststop"] {
            let hook = &mut config["hooks"][stage][0];
            hook["env"] = serde_json::json!(["RUST_LOG=off"]);
            let arguments = hook["args"].as_array_mut().expect("arguments");
            arguments.splice(1..1, ["--log-level".into(), "debug".into()]);
        }
    });
    bundle.build()
}

/// What was told since `begun`, without times and process ids.
fn story(host: &Host, begun: usize) -> Vec<String> {
    let log = fs::read_to_string(host.path("log")).unwrap_or_default();
    let lines = log[begun..].lines();
    lines.map(|line| line.split_once("]: ").expect("a line of ours").1.to_owned()).collect()
}

/// The steps stand in the story, in this order, and it is short.
#[track_caller]
fn assert_tells(story: &[String], steps: &[&str]) {
    let mut lines = story.iter();
    for step in steps {
        assert!(lines.any(|line| line.contains(step)), "no {step:?} in its place in {story:#?}");
    }
    assert!(story.len() <= READABLE, "{} lines: {story:#?}", story.len());
}

each_runtime! {
    fn a_start_and_an_end_are_told(runtime) also youki {
        let host = Host::isolated(runtime);
        let db = source(&host, "db", "3306");
        let written = || fs::read(host.path("log")).unwrap_or_default().len();
        let begun = written();
        let web = told(&host, "web", "db:mysql");
        web.run().ok();
        let [from, to] = [web.addresses()[0], db.addresses()[0]].map(|address| address.to_string());
        let pid = web.state()["pid"].to_string();
        assert_tells(&story(&host, begun), &[
            "web: hook CreateRuntime",
            "read: engine bare, called web, links db:mysql, exposes nothing, variables 1",
            &format!("process {pid} has the addresses {from}/24 on br0"),
            "hosts file /etc/hosts, in the root filesystem",
            "has the lock; rules by ",
            &format!("found: db is db at {to}"),
            &format!("planned: 4 lines of hosts; flows {from} -> {to} 3306/tcp on br0"),
            "record written: pending",
            "2 flows permitted, 0 before",
            "hosts file written",
            "record written: ready",
            "linked to it: none",
            "hook CreateRuntime done after ",
        ]);

        let begun = written();
        end(&web);
        assert_tells(&story(&host, begun), &[
            "web: hook Poststop",
            "linked to it: none",
            "rules of ",
            "connections ended; flows: 2",
            "hosts file restored",
            "record removed",
            "hook Poststop done after ",
        ]);
    }

    fn a_returning_source_logs_the_recipients_that_wait_for_it(runtime) also youki {
        let host = Host::isolated(runtime);
        let web = host.container("web").annotate("links", "db").annotate("missing", "defer");
        let web = web.hooks().build();
        web.run().ok();
        let begun = fs::read(host.path("log")).unwrap_or_default().len();
        let db = told(&host, "db", "none");
        db.run().ok();
        assert_tells(&story(&host, begun), &["db: record written", "db: linked to it: web", "web: found: db is db at", "web: hosts file written"]);
    }

    fn nothing_is_logged_without_debug_logging(runtime) {
        let host = Host::isolated(runtime);
        let _db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").hooks().edit(|config| {
            for stage in ["createRuntime", "poststop"] {
                config["hooks"][stage][0]["env"] = serde_json::json!(["RUST_LOG=trace"]);
            }
        });
        end(&{ let web = web.build(); web.run().ok(); web });
        assert_eq!(fs::read_to_string(host.path("log")).unwrap_or_default(), "");
    }

    /// Ids that an engine drew at random are cut to 12 digits, as in `docker ps`. Ids that a user chose are not.
    fn log_lines_have_short_ids(runtime) {
        let host = Host::isolated(runtime);
        let ids = ["0123456789abcdef".repeat(4), "a-name-of-more-than-12-bytes".to_owned()];
        for (id, shown) in ids.iter().zip(["0123456789ab", &ids[1]]) {
            let container = host.container(id).hooks().build();
            container.run().ok();
            let stopped = serde_json::json!({ "ociVersion": "1.0.2", "id": id, "status": "stopped" });
            let begun = fs::read(host.path("log")).unwrap_or_default().len();
            let mut poststop = host.oci_link(&["hook", "poststop"]);
            host.feed(&mut poststop, stopped.to_string().as_bytes()).ok();
            let expected = format!("{shown}: still runs: poststop is about an earlier container with this id");
            assert_eq!(story(&host, begun), [expected]);
            end(&container);
        }
    }
}
