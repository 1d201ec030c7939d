//! What goes in and comes out of a container in front, and how it ends.

use super::both;
use super::foreground::{Foreground, run};
use crate::support::{Host, OPEN, Proto, SHUT, each_runtime};
use std::fs::{self, File};
use std::process::{Command, Stdio};

/// All bytes, in many orders.
fn bytes() -> Vec<u8> {
    (0..300_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

each_runtime! {
    fn streams_pass_byte_for_byte(runtime) {
        for host in both(runtime) {
            fs::write(host.path("input"), bytes()).expect("written");
            let c = host.container("c").script("cat; echo complaint >&2").build();
            let input = File::open(host.path("input")).expect("input");
            let ended = Foreground::start(&host, run(&host, &c, "c"), input.into()).end();
            assert!(ended.status.success(), "{ended:?}");
            assert!(ended.out == bytes(), "{} bytes of {}", ended.out.len(), bytes().len());
            assert_eq!(ended.err, b"complaint\n");
        }
    }

    fn exit_statuses_pass(runtime) {
        for status in [0, 1, 3, 126, 137, 255] {
            let script = format!("exit {status}");
            for host in both(runtime) {
                let c = host.container("c").script(&script).build();
                let ended = Foreground::start(&host, run(&host, &c, "c"), Stdio::null()).end();
                assert_eq!(ended.status.code(), Some(status), "{ended:?}");
            }
        }
    }

    fn exec_is_the_runtimes(runtime) also youki {
        for host in both(runtime) {
            let c = host.container("c").build();
            c.run().ok();
            let said = c.exec(&["sh", "-c", "cat; echo $0 \"$@\" >&2; exit 7", "--bundle", "start"]);
            assert_eq!(said.ended(7), "--bundle start\n");
            let mut exec = host.runtime(&["exec", "--env", "A=b", "--cwd", "/bin", "c"]);
            exec.args(["/bin/sh", "-c", "cat; echo; echo $A; pwd"]);
            assert_eq!(host.feed(&mut exec, b"word").ok(), "word\nb\n/bin\n");
        }
    }

    fn descriptors_pass_into_the_container(runtime) {
        for host in both(runtime) {
            let c = host.container("c").script("cat <&3").build();
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$@\" 3</proc/sys/kernel/ostype", "sh"]);
            let mut run = host.runtime(&["run", "--preserve-fds", "1", "--bundle"]);
            run.arg(c.bundle()).arg("c");
            shell.arg(run.get_program()).args(run.get_args());
            assert_eq!(host.run(&mut shell).ok(), "Linux\n");
        }
    }

    /// `run` has no `create`, no `start` and no `delete`, and is all three.
    fn links_come_and_go_with_a_run(runtime) also youki {
        let host = Host::isolated(runtime).wrapped();
        let db = host.container("db").annotate("ports", "3306").env("MYSQL_USER=shop").build();
        db.run().ok();
        let untouched = db.hosts();
        let web = host.container("web").annotate("links", "db:mysql");
        let web = web.script("env; cat /etc/hosts; echo ready; cat").build();
        let front = Foreground::start(&host, run(&host, &web, "web"), Stdio::piped());
        front.is_ready(&host, "web");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        let ended = front.end();
        assert!(ended.status.success(), "{ended:?}");
        let said = String::from_utf8(ended.out).expect("text");
        let [ip, _] = db.addresses();
        for line in [
            &format!("MYSQL_PORT=tcp://{ip}:3306\n"),
            "MYSQL_ENV_MYSQL_USER=shop\n",
            &format!("{ip}\tmysql db db\n"),
        ] {
            assert!(said.contains(line), "no {line} in {said}");
        }
        assert_eq!(host.set_elements(), Vec::<String>::new());
        assert!(!host.state_files().iter().any(|file| file.contains("web")));
        assert_eq!(db.hosts(), untouched);
        db.delete_by_force().ok();
        host.assert_nothing_left();
    }
}
