//! What the runtime is called with: the same as if it had been called itself.

use crate::support::{Host, OCI_LINK, Runtime, each_runtime, script};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// A "runtime" that tells how it was called. Bash: dash would unblock signals.
const PARROT: &str = r#"#!/bin/bash
echo "argv: $*"
echo "cwd: $(pwd)"
echo "env: $(env | grep -v ^_= | sort | tr '\n' ' ')"
set -- /proc/$$/fd/*
echo "descriptors: ${*##*/}"
echo "fd 9: $(readlink /proc/$$/fd/9)"
[ "$NAMESPACES" = "$(readlink /proc/$$/ns/*)" ] && echo 'namespaces: the same'
grep -E '^(Sig(Blk|Ign)|Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Cpus_allowed)' /proc/self/status
grep -v ' processes' /proc/$$/limits
cat /proc/$$/oom_score_adj
echo "session: $(awk '{ print $6 == ENVIRON["SESSION"] }' /proc/$$/stat)"
echo "stdin: $(cat)"
echo "complaint" >&2
exit 42
"#;

/// A caller with habits of its own: `bash -c CALLER bash COMMAND…` becomes the command. What other
/// tests have open at that moment is closed.
const CALLER: &str = "for fd in $(ls /proc/$$/fd); do [ $fd -lt 3 ] || eval \"exec $fd>&-\"; done; \
    umask 027; NAMESPACES=$(readlink /proc/$$/ns/*); \
    SESSION=$(awk '{ print $6 }' /proc/$$/stat); export NAMESPACES SESSION; \
    cd /usr; exec \"$@\" 9</etc/passwd";

/// Puts `text` where it can be executed, and makes it the runtime of `host`.
fn parrot(host: &Host) -> String {
    let path = host.path("parrot");
    script(&path, PARROT);
    let path = path.display().to_string();
    becomes(host, &path);
    path
}

fn becomes(host: &Host, path: &str) {
    let config = format!("[runtime]\ncommand = {path:?}\n");
    fs::write(host.path("config.toml"), config).expect("written");
}

/// What the parrot says, called with `words` by itself and through us.
fn said(host: &Host, parrot: &str, words: &[&str]) -> [String; 2] {
    let direct = Command::new(parrot);
    [direct, host.oci_link(&["runtime"])].map(|command| {
        let mut caller = Command::new("env");
        for option in ["block-signal=USR2", "ignore-signal=USR1,PIPE,CHLD,TTOU"] {
            caller.arg(format!("--{option}"));
        }
        caller.args(["-i", "COLOUR=green", "NOTIFY_SOCKET=/n", "bash", "-c", CALLER, "bash"]);
        caller.arg(command.get_program()).args(command.get_args()).args(words);
        host.feed(&mut caller, b"word").ended(42)
    })
}

#[track_caller]
fn assert_same(host: &Host, parrot: &str, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let [direct, wrapped] = said(host, parrot, &words);
    for expected in
        ["fd 9: /etc/passwd", "COLOUR=green", "Umask:\t0027", "stdin: word", "spaces: the same"]
    {
        assert!(direct.contains(expected), "no {expected} in {direct}");
    }
    assert_eq!(direct, wrapped, "{line}");
}

#[test]
fn what_we_do_nothing_about() {
    let host = Host::open(Runtime::Runc).wrapped();
    let parrot = parrot(&host);
    for line in [
        "--version",
        "--root /r --debug state c1",
        "exec -t c1 create",
        "kill c1 9",
        "list -q",
        "create --help c1",
    ] {
        assert_same(&host, &parrot, line);
    }
}

/// We act, with files, namespaces, locks and rules, and leave no trace of that in our process.
#[test]
fn what_we_act_on() {
    let host = Host::isolated(Runtime::Runc).wrapped();
    let db = host.container("db").annotate("ports", "80").build();
    db.run().ok();
    let web = host.container("web").annotate("links", "db").build();
    web.create().ok();
    // It would go on with the runtime that it was created with.
    std::fs::remove_dir_all(host.state_dir().join("runtimes")).expect("remembered");
    let parrot = parrot(&host);
    let root = host.path("root").display().to_string();
    let bundle = web.bundle().display().to_string();
    for line in [
        format!("--root {root} create --bundle {bundle} other"),
        format!("--root {root} run --detach --bundle {bundle} other"),
        format!("--root {root} start web"),
        format!("--root {root} delete web"),
    ] {
        assert_same(&host, &parrot, &line);
    }
    becomes(&host, "runc");
    assert!(web.hosts().contains("\tdb"), "the start was not acted on: {}", web.hosts());
    for container in [web, db] {
        container.delete_by_force().ok();
    }
    // The parrot, which made nothing, is remembered for a container that there never was.
    std::fs::remove_file(host.state_dir().join("runtimes/other")).expect("remembered");
    host.assert_nothing_left();
}

/// The first word of its command line is its path, as for a caller of that path.
#[test]
fn the_name_it_is_called_by() {
    let host = Host::open(Runtime::Runc).wrapped();
    let path = host.path("cat").display().to_string();
    symlink("/bin/busybox", &path).expect("linked");
    becomes(&host, &path);
    let words = ["/proc/self/cmdline", "-", "--", "/proc/self/environ"];
    let direct = host.feed(Command::new(&path).args(words).env("A", "b"), b"\xc3\xa9\n").ok();
    let mut wrapped = host.oci_link(&["runtime"]);
    let wrapped = host.feed(wrapped.args(words).env("A", "b"), b"\xc3\xa9\n").ok();
    assert!(direct.starts_with(&format!("{path}\0/proc/self/cmdline\0-\0--\0")), "{direct}");
    assert_eq!(direct, wrapped);
}

each_runtime! {
    /// crun prints the name in its messages.
    fn a_plain_name_stays_plain(runtime) {
        let host = Host::open(runtime);
        let name = format!("oci-link-{}", runtime.program());
        symlink(OCI_LINK, host.path(&name)).expect("linked");
        let directory = host.path("").display().to_string();
        let said = |program: &str| {
            let script = "PATH=$1:$PATH; \"$2\" nonsense 2>&1; \"$2\" state --none 2>&1; echo $?";
            let said = host.run(Command::new("sh").args(["-c", script, "sh", &directory, program]));
            // runc tells the time in whole seconds.
            let without_time = |line: &str| match line.strip_prefix("time=\"") {
                Some(rest) => rest.split_once('"').map_or("", |(_, rest)| rest).to_owned(),
                None => line.to_owned(),
            };
            said.ok().lines().map(without_time).collect::<Vec<_>>()
        };
        assert_eq!(said(&name), said(runtime.program()));
        let path = format!("/usr/bin/{}", runtime.program());
        if fs::exists(&path).is_ok_and(|exists| exists) {
            assert_eq!(said(&host.path(&name).display().to_string()), said(&path));
        }
    }
}
