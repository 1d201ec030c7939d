//! `oci-link runtime` in the place of runc and crun: links without hooks and without `prepare`, and
//! nothing else different.

use crate::support::{Host, OPEN, Proto, SHUT, each_runtime};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

/// A "runtime" that tells how it was called.
const PARROT: &str = r#"#!/bin/sh
echo "argv: $*"
echo "cwd: $(pwd)"
echo "env: $(env | grep -v ^_= | sort | tr '\n' ' ')"
echo "fd 9: $(readlink /proc/$$/fd/9)"
echo "umask: $(umask)"
grep -E '^Sig(Blk|Ign)' /proc/$$/status
echo "stdin: $(cat)"
echo "complaint" >&2
exit 42
"#;

/// Writes the parrot and makes it the runtime of `host`.
fn parrot(host: &Host) -> String {
    let path = host.path("parrot").display().to_string();
    fs::write(&path, PARROT).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    let config = format!("[runtime]\ncommand = {path:?}\n");
    fs::write(host.path("config.toml"), config).expect("written");
    path
}

each_runtime! {
    fn a_link_needs_no_hooks(runtime) {
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

    fn run_is_create_and_start(runtime) {
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

    fn links_are_not_transitive(runtime) {
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

    fn a_container_that_never_started_leaves_nothing(runtime) {
        let host = Host::open(runtime).wrapped();
        let db = host.container("db").annotate("ports", "80").build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").build();
        web.create().ok();
        web.delete_by_force().ok();
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }

    fn a_missing_source_stops_the_creation_and_the_engine_is_told(runtime) {
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
fn everything_else_passes_through() {
    let host = Host::open(crate::support::Runtime::Runc).wrapped();
    let parrot = parrot(&host);
    for line in
        ["--version", "--root /r --debug state c1", "exec -t c1 create", "kill c1 9", "list -q"]
    {
        let words: Vec<&str> = line.split(' ').collect();
        let mut direct = Command::new(&parrot);
        direct.args(&words);
        let mut wrapped = host.oci_link(&["runtime"]);
        wrapped.args(&words);
        let both = [direct, wrapped].map(|command| {
            // A descriptor that is to be passed on, as engines do.
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$@\" 9</etc/passwd", "sh"]);
            shell.arg(command.get_program()).args(command.get_args());
            shell.env("COLOUR", "green").current_dir("/usr");
            host.feed(&mut shell, b"word").ended(42)
        });
        assert!(both[0].contains("fd 9: /etc/passwd"), "{}", both[0]);
        assert_eq!(both[0], both[1], "{line}");
    }
}

#[test]
fn the_name_it_is_called_by_names_the_runtime() {
    let host = Host::open(crate::support::Runtime::Runc);
    for name in ["runc", "crun"] {
        let link = host.path(&format!("oci-link-{name}"));
        symlink(env!("CARGO_BIN_EXE_oci-link"), &link).expect("linked");
        let version = host.run(Command::new(&link).arg("--version")).ok();
        assert!(version.starts_with(&format!("{name} version")), "{version}");
    }
}
