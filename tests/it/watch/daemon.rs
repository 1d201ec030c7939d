//! A good daemon: alone, quiet, told what it needs, and gone when it should be.

use super::{Watch, command, is_known, is_well, soon};
use crate::{
    backends::each_backend,
    cast::{recipient, source},
    hazards::scene::with_mounts,
    lifecycle::{by_hand, call, host_of, knows},
    support::{OPEN, Proto, Runtime},
};
use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};
use oci_link::testing::BackendName;
use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{MetadataExt, PermissionsExt, chown},
            net::{SocketAddr, UnixDatagram},
        },
    },
    process::{self, Command},
    time::Duration,
};

#[test]
fn it_sleeps_while_nothing_happens() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    let watch = Watch::begin(&host);
    watch.sleeps(Duration::from_secs(3));
    let status = fs::read_to_string(format!("/proc/{}/status", watch.child.id())).expect("runs");
    let wanted = ["VmRSS", "Threads"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    println!("{}", lines.collect::<Vec<_>>().join("\n"));
    assert!(status.contains("Threads:\t1\n"), "{status}");
}

#[test]
fn links_stay_when_it_ends() {
    let host = host_of(BackendName::Iptables, Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let before = host.rules();
    for signal in [SIGTERM, SIGINT] {
        let mut watch = Watch::begin(&host);
        assert!(watch.end(signal).success());
        watch.hears("STOPPING=1");
    }
    assert_eq!(host.rules(), before);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert_eq!(call(&host, "sync --check").ended(0), "");
    assert_eq!(call(&host, "gc").ended(0), "", "its lock is not a leftover");
}

#[test]
fn there_is_one_for_each_state_directory() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let mut first = Watch::begin(&host);
    let refusal = call(&host, "watch").refused(7);
    let state = host.state_dir();
    let expected =
        format!("oci-link: {}: another oci-link watch is already running\n", state.display());
    assert_eq!(refusal, expected);
    // A lock ends with its holder, however that ends.
    assert!(!first.end(SIGKILL).success());
    assert!(Watch::begin(&host).end(SIGTERM).success());
}

/// Without a manager, with one in the kernel's own list of sockets, and with one that is not there.
#[test]
fn the_manager_may_be_anywhere_or_nowhere() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let name = format!("oci-link-test-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    // The kernel's list is one for each network namespace.
    let manager = host.netns().enter(|| UnixDatagram::bind_addr(&address)).expect("free");
    let mut watch = Watch::tells(&host, command(&host), manager, &format!("@{name}"));
    watch.hears("READY=1");
    watch.hears("STATUS=watched containers: 0");
    assert!(watch.end(SIGTERM).success());
    watch.hears("STOPPING=1");
    for nowhere in ["", "/nonexistent/socket", "@nobody-is-there", "vsock:2:1234"] {
        let manager = UnixDatagram::unbound().expect("a socket");
        let mut watch = Watch::tells(&host, command(&host), manager, nowhere);
        let db = source(&host, "db", "3306");
        db.kill();
        soon("cleared away", || !is_known(&host, "db"));
        assert!(watch.end(SIGTERM).success(), "{nowhere}");
    }
}

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/oci-link-watch.service");

/// The capabilities that the unit of systemd leaves it, in the words of setpriv.
fn capabilities() -> String {
    let unit = fs::read_to_string(UNIT).expect("readable");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let all = line.expect("bounded").replace("CAP_", "+").to_lowercase();
    format!("-all,{}", all.replace(' ', ","))
}

each_backend! {
    /// Rules, and hosts files with attributes that belong to the container's root, where /proc shows
    /// processes only to those that may trace them.
    fn what_its_unit_leaves_it_is_enough(backend) {
        let host = host_of(backend, Runtime::Crun);
        let (db, cache) = (source(&host, "db", "3306"), source(&host, "cache", "6379"));
        let given = host.path("hosts");
        fs::write(&given, "127.0.0.1\tlocalhost\n").expect("written");
        let web = host.container("web").annotate("links", "db cache");
        let web = web.bind(&given, "/etc/hosts").hooks().build();
        web.run().ok();
        let other = recipient(&host, "other", "db cache");
        for file in [given.clone(), other.bundle().join("rootfs/etc/hosts")] {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("root may");
            chown(&file, Some(100_000), Some(100_000)).expect("root may");
        }
        chown(other.bundle().join("rootfs/etc"), Some(100_000), None).expect("root may");
        let replaced = other.bundle().join("rootfs/etc/hosts");
        let mode = || fs::metadata(&replaced).expect("there").mode() & 0o7777;
        fs::set_permissions(&replaced, fs::Permissions::from_mode(0o4640)).expect("root may");
        let names = ["trusted.oci-link", "security.oci-link"];
        for name in names {
            xattr::set(&replaced, name, b"kept").expect("set");
        }
        let all = command(&host);
        let mut bounded = Command::new("setpriv");
        bounded.args(["--no-new-privs", "--bounding-set", &capabilities(), "--"]);
        bounded.arg(all.get_program()).args(all.get_args());
        let hiding = "mount -t proc -o hidepid=ptraceable proc /proc";
        let watch = Watch::begin_by(&host, with_mounts(hiding, &[], &bounded));
        db.kill();
        soon("cleared away", || !is_known(&host, "db"));
        fs::write(&given, "127.0.0.1\tlocalhost\n").expect("written");
        by_hand(&host, &["nft flush ruleset"]);
        soon("all is well", || is_well(&host));
        for web in [&web, &other] {
            assert!(knows(web, "cache", &cache) && !knows(web, "db", &db), "{}", web.hosts());
            assert_eq!(web.reach(&cache, Proto::Tcp, 6379), OPEN);
        }
        for name in names {
            let value = xattr::get(&replaced, name).expect("readable");
            assert_eq!(value.as_deref(), Some(&b"kept"[..]), "{name}");
        }
        assert_eq!(mode(), 0o4640);
        let complaint = format!(" error oci-link[{}]", watch.child.id());
        assert!(!watch.log().contains(&complaint), "{}", watch.log());
    }
}

/// What `gc --all` removes, a watch would make again under its eyes.
#[test]
fn gc_all_is_refused_while_watch_runs() {
    let host = host_of(BackendName::Ipset, Runtime::Crun);
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    let watch = Watch::begin(&host);
    let complaint = call(&host, "gc --all").refused(7);
    assert!(complaint.contains("another oci-link watch is already running"), "{complaint}");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    drop(watch);
    call(&host, "gc --all").ok();
    assert_eq!(host.state_files(), [""; 0]);
}
