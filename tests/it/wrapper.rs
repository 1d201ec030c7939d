//! `oci-link runtime` in the place of runc and crun: links without hooks and without `prepare`, and
//! nothing else different.

mod default;
mod docker_links;
mod exec;
mod few_descriptors;
mod foreground;
mod one_run;
mod passed;
mod pods;
mod signals;
mod streams;
mod terminal;

use crate::support::{Host, OCI_LINK, OPEN, Proto, Runtime, SHUT, each_runtime};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// The runtime alone, and through us.
fn both(runtime: Runtime) -> [Host; 2] {
    [Host::open(runtime), Host::open(runtime).wrapped()]
}

each_runtime! {
    fn a_link_needs_no_hooks(runtime) also youki {
        let host = Host::isolated(runtime).wrapped();
        let db = host.container("db").annotate("ports", "3306").env("MYSQL_USER=shop").build();
        db.create().ok();
        db.start().ok();
        let web = host.container("web").annotate("links", "db:mysql").build();
        web.create().ok();
        web.start().ok();
        let [ip, _] = db.addresses();
        assert!(web.environ().contains(&format!("MYSQL_PORT=tcp://{ip}:3306")));
        assert!(web.environ().contains(&"MYSQL_ENV_MYSQL_USER=shop".to_owned()));
        assert!(web.hosts().contains(&format!("{ip}\tmysql db db\n")));
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        for container in [&web, &db] {
            container.kill();
            container.delete().ok();
        }
        host.assert_nothing_left();
    }

    fn run_is_create_and_start(runtime) also youki {
        let host = Host::isolated(runtime).wrapped();
        let db = host.container("db").annotate("ports", "53/udp").build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.run().ok();
        assert_eq!(web.reach(&db, Proto::Udp, 53), OPEN);
        // Forced deletion kills first.
        db.delete_by_force().ok();
        assert!(!web.hosts().contains("db"), "{}", web.hosts());
        web.delete_by_force().ok();
        host.assert_nothing_left();
    }

    fn links_are_not_transitive(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let [_a, b, c] = [("a", None), ("b", Some("a")), ("c", Some("b"))].map(|(id, source)| {
            let mut bundle = host.container(id).annotate("ports", "80").env(&format!("OF_{id}=1"));
            if let Some(source) = source {
                bundle = bundle.annotate("links", source);
            }
            let container = bundle.build();
            container.run().ok();
            container
        });
        assert!(b.environ().contains(&"A_ENV_OF_a=1".to_owned()));
        let environ = c.environ();
        assert!(environ.contains(&"B_ENV_OF_b=1".to_owned()), "{environ:?}");
        assert!(!environ.iter().any(|entry| entry.starts_with("B_ENV_A_")), "{environ:?}");
    }

    fn a_container_that_never_started_leaves_nothing(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").annotate("ports", "80").build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.create().ok();
        web.delete_by_force().ok();
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }

    fn a_missing_source_stops_the_creation_and_the_engine_is_told(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let web = host.container("web").annotate("links", "db").build();
        let log = host.path("runtime.log").display().to_string();
        for (format, expected) in [("json", "\"level\":\"error\""), ("text", "level=error msg=")] {
            let mut create = host.runtime(&["--log", &log, "--log-format", format, "create"]);
            create.arg("--bundle").arg(web.bundle()).arg("web");
            let complaint = host.run(&mut create).refused(4);
            assert_eq!(
                complaint,
                "oci-link: could not get container for db: No such container: db\n"
            );
            let logged = fs::read_to_string(&log).expect("a log");
            let last = logged.lines().last().unwrap_or_default();
            assert!(last.contains(expected) && last.contains("No such container: db"), "{logged}");
        }
        host.assert_nothing_left();
    }
}

#[test]
fn the_name_it_is_called_by_names_the_runtime() {
    let host = Host::open(Runtime::Runc);
    for name in ["runc", "crun"] {
        let link = host.path(&format!("oci-link-{name}"));
        symlink(OCI_LINK, &link).expect("linked");
        let version = host.run(Command::new(&link).arg("--version")).ok();
        assert!(version.starts_with(&format!("{name} version")), "{version}");
    }
}
