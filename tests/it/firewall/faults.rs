//! The firewall's program is missing, fails, lies or hangs: the container does not start, and
//! nothing of it is left.

use crate::{
    backends::each_backend,
    cast::{end, inspect, iptables_host, link_rules, permissions, prepared, recipient, source},
    lifecycle::{by_hand, call, host_with},
    support::{Container, Flow, Host, OPEN, Proto, Runtime, SHUT, each_runtime, patiently},
};
use nix::fcntl::{Flock, FlockArg};
use oci_link::testing::BackendName;
use std::{
    fs::{self, File},
    io::ErrorKind,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// A program has five seconds; a busy machine may need some for the rest.
const DEADLINE: Duration = Duration::from_secs(10);

/// All programs of one start together, and the rest on a busy machine.
const TOGETHER: Duration = Duration::from_secs(14);

/// Runs `command` where `change`, a script, has changed `/usr/sbin` in a mount namespace. The
/// real programs can be called in `/usr/sbin/real`.
pub(super) fn where_sbin(host: &Host, change: &str, command: &Command) -> Command {
    const OVERLAY: &str = r#"set -e
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/upper" "$1/work"
        mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$1/upper,workdir=$1/work" overlay /usr/sbin
        cd /usr/sbin
        mkdir real
        cp -P iptables* ip6tables* xtables* real
        instead_of() {
            for name; do rm "$name"; cat "$script" > "$name"; chmod 755 "$name"; done
        }
        script=$1/script
        "#;
    const RUN: &str = "\ncd /\nshift\nexec \"$@\"";
    let place = host.path("sbin");
    fs::create_dir_all(&place).expect("made");
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "sh", "-c", &format!("{OVERLAY}{change}{RUN}"), "sh"]).arg(place);
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

/// The change to the legacy programs, which have a lock; it is the host's own file.
const LEGACY: &str = "touch /run/xtables.lock
    mount --bind $1/../xtables.lock /run/xtables.lock
    for name in iptables-restore ip6tables-restore; do ln -sf xtables-legacy-multi $name; done";

/// The change that puts a script in the place of `programs`.
pub(super) fn script(programs: &str, body: &str) -> String {
    format!("printf '#!/bin/sh\\n%s\\n' '{body}' > $script\ninstead_of {programs}")
}

/// The runtime's `run --detach` of `container`.
pub(super) fn run(host: &Host, container: &Container) -> Command {
    let id = container.bundle().file_name().expect("the bundle is named after the id");
    let mut run = host.runtime(&["run", "--detach", "--bundle"]);
    run.arg(container.bundle()).arg(id);
    run
}

fn hosts_file(container: &Container) -> String {
    fs::read_to_string(container.bundle().join("rootfs/etc/hosts")).expect("rootfs has one")
}

/// A sleep so long that it must be killed, and that no other test sleeps.
fn long_sleep(seconds: u32) -> String {
    static SLEEPS: AtomicU32 = AtomicU32::new(0);
    format!("{seconds}.{}{:03}", std::process::id(), SLEEPS.fetch_add(1, Relaxed))
}

/// No process runs with this argument, at the latest in a moment: a killed process takes a little to die.
fn assert_gone(argument: &str) {
    let gone = || if runs(argument) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) };
    patiently(ErrorKind::WouldBlock, gone).expect("what hung is gone");
}

fn runs(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("proc").filter_map(Result::ok);
    processes.map(|process| process.path().join("cmdline")).any(|cmdline| {
        let cmdline = fs::read(cmdline).unwrap_or_default();
        cmdline.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    })
}

/// A host of one of the backends that run programs.
fn host_of(backend: &str, runtime: Runtime) -> Host {
    let host = Host::isolated(runtime);
    let config = format!("[firewall]\nbackend = \"{backend}\"\n");
    fs::write(host.path("config.toml"), config).expect("written");
    host
}

/// With `change`, `web` does not start, and leaves nothing; without, it does. With ipset the programs
/// run before the first link.
fn refuses_to_start(runtime: Runtime, change: &str) {
    for backend in ["iptables", "ipset"] {
        refuses(&host_of(backend, runtime), runtime, change);
    }
}

fn refuses(host: &Host, runtime: Runtime, change: &str) {
    let db = source(host, "db", "3306");
    let web = prepared(host, "web", "db");
    let (rules, state, hosts) = (host.rules(), host.state_files(), hosts_file(&web));
    // crun's own status is 1 too, and it says nothing of the hook's.
    let complaint = host.run(&mut where_sbin(host, change, &run(host, &web)));
    let complaint = complaint.within(DEADLINE).refused(1);
    assert!(runtime == Runtime::Crun || complaint.contains("exit status 6"), "{complaint}");
    assert_eq!(permissions(host), [""; 0]);
    assert_eq!(hosts_file(&web), hosts);
    assert_eq!(host.state_files(), state);
    let added: Vec<_> = host.rules().into_iter().filter(|rule| !rules.contains(rule)).collect();
    let named = |rule: &String| rule.replace("OCI-LINK-USER", "").contains("OCI-LINK-");
    assert!(!added.iter().any(named), "{added:?}");

    web.run().ok();
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    end(&web);
    end(&db);
    host.assert_nothing_left();
}

each_runtime! {
    fn f09_a_missing_program_fails_the_start(runtime) {
        refuses_to_start(runtime, "rm iptables-restore");
    }

    fn f36_a_missing_program_of_ipv6_fails_the_start(runtime) {
        refuses_to_start(runtime, "rm ip6tables-restore");
    }

    fn f10_a_program_that_fails_fails_the_start(runtime) {
        refuses_to_start(runtime, &script("iptables-restore", "exit 1"));
    }

    fn f08_the_lock_of_xtables_is_held(runtime) {
        for backend in ["iptables", "ipset"] {
            let host = host_of(backend, runtime);
            let lock = File::create(host.path("xtables.lock")).expect("made");
            let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("free");
            refuses(&host, runtime, LEGACY);
            let log = fs::read_to_string(host.path("log")).expect("a log");
            assert!(log.contains("lock /run/xtables.lock"), "{log}");
        }
    }

    /// Nothing is open that is not there, and who asks is told.
    fn f13_a_program_that_does_nothing_is_found_out(runtime) {
        for backend in ["iptables", "ipset"] {
            let host = host_of(backend, runtime);
            let db = source(&host, "db", "3306");
            let web = prepared(&host, "web", "db");
            let lies = "while read -r line; do :; done; exit 0";
            let lies = script("iptables-restore ip6tables-restore", lies);
            host.run(&mut where_sbin(&host, &lies, &run(&host, &web))).ok();
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
            assert_eq!(inspect(&host, "web")["rules"]["verdict"], "differ", "{backend}");
            let _ = call(&host, "sync --check").ended(13);
            call(&host, "sync").ok();
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            end(&web);
            end(&db);
            host.assert_nothing_left();
        }
    }

    /// What iptables-restore does when it cannot read them.
    fn f13_a_program_that_does_not_read_its_rules_fails_the_start(runtime) {
        refuses_to_start(runtime, &script("iptables-restore ip6tables-restore", "exit 0"));
    }

    /// A lock, a lack of memory, a crash, a program that hangs: the next start tries the same again.
    fn n34_auto_does_not_move_on_after_a_failure_of_the_moment(runtime) {
        let sleep = long_sleep(6666);
        for body in ["exit 4", "exit 1", "kill -9 $$", &format!("exec sleep {sleep}")] {
            let host = host_of("auto", runtime);
            let db = source(&host, "db", "3306");
            let web = prepared(&host, "web", "db");
            let fails = script("iptables-restore ip6tables-restore", body);
            let failed = host.run(&mut where_sbin(&host, &fails, &run(&host, &web)));
            let said = failed.within(DEADLINE).refused(1);
            assert!(runtime == Runtime::Crun || said.contains("exit status 6"), "{body}: {said}");
            assert!(!host.state_dir().join("backend").exists(), "{body} is remembered");
            web.run().ok();
            assert_eq!(inspect(&host, "web")["backend"], "ipset", "{body}");
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            end(&web);
            end(&db);
            host.assert_nothing_left();
        }
        assert_gone(&sleep);
    }

    /// What is not installed is passed over, and doctor says when it is installed later.
    fn n34_auto_moves_on_without_programs(runtime) {
        let host = Host::open(runtime);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let gone = "rm iptables-restore ip6tables-restore";
        host.run(&mut where_sbin(&host, gone, &run(&host, &web))).ok();
        assert_eq!(inspect(&host, "web")["backend"], "nftables");
        let said = call(&host, "doctor").said();
        let expected = "nftables was chosen at the first link of this boot; auto would choose ipset now";
        assert!(said.contains(expected), "{said}");
        end(&web);
        end(&db);
        host.assert_nothing_left();
    }

    fn f12_a_program_that_applies_and_then_fails_fails_the_start(runtime) {
        let real = "/usr/sbin/real/${0##*/} \"$@\"; exit 1";
        refuses_to_start(runtime, &script("iptables-restore ip6tables-restore", real));
    }
}

each_backend! {
    /// Something of our name that is none of ours, and cannot be used.
    fn f10_what_the_kernel_refuses_fails_the_start(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let (hosts, state) = (hosts_file(&web), host.state_files());
        let (obstacle, way): (&[&str], &str) = match backend {
            BackendName::Nftables => (
                &[
                    "nft add table inet oci-link",
                    "nft add set inet oci-link links6 { type ipv4_addr; }",
                ],
                "nft delete table inet oci-link",
            ),
            BackendName::Ipset => (&["ipset create oci-link6 hash:ip"], "ipset destroy oci-link6"),
            _ => (
                &[
                    "iptables -N X",
                    "nft add chain ip filter OCI-LINK { type filter hook prerouting priority 0; }",
                ],
                "nft delete chain ip filter OCI-LINK",
            ),
        };
        by_hand(&host, &["nft flush ruleset", "ipset destroy"]);
        by_hand(&host, obstacle);
        let _ = web.run().refused(1);
        assert_eq!(permissions(&host), [""; 0]);
        let log = fs::read_to_string(host.path("log")).unwrap_or_default();
        assert_eq!((hosts_file(&web), host.state_files()), (hosts, state), "{log}");
        by_hand(&host, &[way]);
        call(&host, "sync").ok();
        web.run().ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &db].into_iter().for_each(end);
    }
}

/// Hangs the first time, and only then: the undo gets through. By then programs write nowhere but
/// where their lock is.
#[test]
fn f11_a_program_that_hangs_fails_the_start_in_time_and_is_gone() {
    let sleep = long_sleep(7777);
    let body = format!(
        "(set -C; : > /run/hung) 2>&- && exec sleep {sleep}; exec /usr/sbin/real/${{0##*/}} \"$@\""
    );
    let hangs = script("iptables-restore ip6tables-restore", &body);
    // A /run of its own, but for the network namespaces that runc looks for there.
    let run = "mkdir $1/netns; mount --rbind /run/netns $1/netns; mount -t tmpfs tmpfs /run
        mkdir /run/netns; mount --rbind $1/netns /run/netns";
    refuses_to_start(Runtime::Crun.turned(), &format!("{run}\n{hangs}"));
    assert_gone(&sleep);
}

const PROGRAMS: &str = "iptables ip6tables iptables-restore ip6tables-restore";

/// All runs of a start have one time together, and a container without links waits for none of them.
#[test]
fn n72_programs_that_hang_have_one_time_together() {
    let sleep = long_sleep(5555);
    let hangs = script(PROGRAMS, &format!("exec sleep {sleep}"));
    for backend in ["iptables", "ipset"] {
        let host = host_of(backend, Runtime::Crun.turned());
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let lone = host.container("lone").hooks().build();
        std::thread::scope(|scope| {
            let start = || host.run(&mut where_sbin(&host, &hangs, &run(&host, &web)));
            let start = scope.spawn(start);
            let begun = || if runs(&sleep) { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) };
            patiently(ErrorKind::WouldBlock, begun).expect("it hangs");
            lone.run().within(DEADLINE).ok();
            assert!(runs(&sleep), "{backend}: it was not waited for");
            let _ = start.join().expect("it ends").within(TOGETHER).refused(1);
        });
        assert_gone(&sleep);
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("killed, because it did not end within 5000 ms"), "{log}");
        call(&host, "sync").ok();
        assert_eq!(permissions(&host), [""; 0]);
        web.run().ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        [&web, &lone, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// It starts without the isolation of config.toml, which the next start makes. It is recorded.
#[test]
fn n72_a_start_without_links_does_not_wait_for_the_isolation() {
    let sleep = long_sleep(4444);
    let hangs = script(PROGRAMS, &format!("exec sleep {sleep}"));
    for backend in [BackendName::Iptables, BackendName::Ipset] {
        let host = crate::lifecycle::host_of(backend, Runtime::Crun.turned());
        let lone = host.container("lone").hooks().build();
        let start = host.run(&mut where_sbin(&host, &hangs, &run(&host, &lone)));
        start.within(DEADLINE).ok();
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("isolation: left unchanged: "), "{log}");
        assert!(log.contains("did not end within 500 ms"), "{log}");
        assert!(!log.contains("did not end within 5000 ms"), "{log}");
        assert_eq!(inspect(&host, "lone")["state"], "ready");
        let other = host.container("other").hooks().build();
        other.run().ok();
        assert_eq!(other.reach(&lone, Proto::Tcp, 80), SHUT);
        [&other, &lone].into_iter().for_each(end);
        host.assert_nothing_left();
    }
    assert_gone(&sleep);
}

/// A program that went on alone would make its rules after the container is gone.
#[test]
fn f21_a_program_does_not_outlive_the_hook() {
    let host = iptables_host(Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db").build();
    web.create().ok();
    let state = web.state().to_string();

    let mut impatient = Command::new("timeout");
    impatient.args(["--foreground", "--signal", "KILL", "1"]);
    let hook = host.oci_link(&["hook", "createRuntime"]);
    impatient.arg(hook.get_program()).args(hook.get_args());
    let sleep = long_sleep(8888);
    let hangs = script("iptables-restore ip6tables-restore", &format!("exec sleep {sleep}"));
    let mut impatient = where_sbin(&host, &hangs, &impatient);
    host.feed(&mut impatient, state.as_bytes()).refused(137);
    assert_gone(&sleep);
    assert_eq!(inspect(&host, "web")["state"], "pending");

    // The runtime tries again, or another one does, and finds its way from there.
    host.feed(&mut host.oci_link(&["hook", "createRuntime"]), state.as_bytes()).ok();
    assert_eq!(inspect(&host, "web")["state"], "ready");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    web.start().ok();
    web.kill();
    let over = br#"{"id":"web","status":"stopped"}"#;
    host.feed(&mut host.oci_link(&["hook", "poststop"]), over).ok();
    end(&db);
    host.assert_nothing_left();
}

/// It is no fault of the source's. What could not be changed is in the recipient's record.
#[test]
fn a_source_returns_though_its_recipients_rules_cannot_be_changed() {
    let host = iptables_host(Runtime::Runc);
    let db = |id| {
        let db = host.container(id).annotate("name", "db").annotate("ports", "3306");
        db.hooks().build()
    };
    let first = db("first");
    first.run().ok();
    let web = recipient(&host, "web", "db");
    first.kill();

    let second = db("second");
    let fails = script("iptables-restore ip6tables-restore", "exit 1");
    let started = host.run(&mut where_sbin(&host, &fails, &run(&host, &second)));
    started.ok();
    assert_eq!(inspect(&host, "db")["id"], "second");
    assert_eq!(link_rules(&host).len(), 4, "those for the first");
    host.run(&mut host.oci_link(&["sync", "--check"])).refused(13);

    host.run(&mut host.oci_link(&["sync"])).ok();
    assert_eq!(web.reach(&second, Proto::Tcp, 3306), OPEN);
    end(&web);
    end(&second);
    host.assert_nothing_left();
}

#[test]
fn a_host_without_ip6tables_links_containers_without_ipv6() {
    let host = iptables_host(Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db").hooks().build();
    let flush = ["-netns", web.netns().name(), "-6", "address", "flush", "dev", "eth0"];
    host.run(Command::new("ip").args(flush)).ok();

    let without = |command: &Command| where_sbin(&host, "rm ip6tables*", command);
    host.run(&mut without(&run(&host, &web))).ok();
    assert!(Flow::open(&web, &db, 3306).is_alive());
    assert_eq!(link_rules(&host).len(), 2, "there and back, IPv4 alone");
    web.kill();
    host.run(&mut without(&host.runtime(&["delete", "web"]))).ok();
    end(&db);
    host.assert_nothing_left();
}
