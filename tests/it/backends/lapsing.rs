//! Elements of nftables sets that lapse at an end instead of being deleted.

use super::site::{Site, flows, owner};
use crate::cast::{end, recipient, source};
use crate::support::{Host, Runtime};
use oci_link::testing::BackendName;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::Duration;

const PORTS: &str = "3306, 53/udp";

/// Since Linux 6.12, an element can be given another timeout.
fn kernel_updates_timeouts() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(['.', '-']).map_while(|part| part.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

/// What the kernel reports of changes while `act` runs.
fn reported(host: &Host, act: impl FnOnce()) -> String {
    let log = host.path("monitor");
    let mut monitor = Command::new("stdbuf");
    monitor.args(["-oL", "nft", "monitor"]).stdout(File::create(&log).expect("a file"));
    let mut monitor = host.spawn(&mut monitor).expect("nft monitor starts");
    let seen = |word: &str| {
        let heard = || fs::read_to_string(&log).expect("readable").contains(word);
        (0..1000).any(|_| {
            heard() || {
                thread::sleep(Duration::from_millis(5));
                false
            }
        })
    };
    let mark = |name: &str| {
        for verb in ["add", "delete"] {
            host.run(Command::new("nft").args([verb, "table", "inet", name])).ok();
        }
    };
    // It reports nothing of what was changed before it listened.
    assert!((0..1000).any(|_| {
        mark("begun");
        fs::read_to_string(&log).expect("readable").contains("begun")
    }));
    act();
    mark("done");
    assert!(seen("delete table inet done"));
    monitor.kill().expect("it runs");
    monitor.wait().expect("it ends");
    fs::read_to_string(&log).expect("readable")
}

#[test]
fn an_end_deletes_no_element_and_leaves_none() {
    let host = Host::isolated(Runtime::Crun.turned());
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"nftables\"\n").expect("written");
    let db = source(&host, "db", PORTS);
    let web = recipient(&host, "web", "db");
    let other = recipient(&host, "other", "db");
    let said = reported(&host, || {
        end(&web);
        let listed = host.run(Command::new("nft").args(["list", "table", "inet", "oci-link"])).ok();
        assert!(!listed.contains(&format!("{} . ", web.addresses()[0])), "{listed}");
        assert!(listed.contains(&format!("{} . ", other.addresses()[0])), "{listed}");
        end(&db);
        let listed = host.run(Command::new("nft").args(["list", "table", "inet", "oci-link"])).ok();
        assert!(!listed.contains("3306"), "{listed}");
    });
    let deleted = said.lines().any(|line| line.starts_with("delete element inet oci-link"));
    assert_eq!(deleted, !kernel_updates_timeouts(), "{said}");
}

#[test]
fn what_has_just_lapsed_can_be_permitted_again() {
    let site = Site::new(BackendName::Nftables);
    let (web, wanted) = (owner('a'), flows(11, 12, PORTS));
    for _ in 0..50 {
        // Without the host lock, `remove` waits itself.
        site.ensure(&web, &[], &wanted);
        site.assert_permitted(&web, &wanted);
        site.remove(&web, &wanted);
        site.assert_permitted(&web, &[]);
    }
    site.ensure(&web, &[], &wanted);
    // Another process takes the lock before they are gone.
    let element = "{ \"br0\" . 10.77.0.11 . 10.77.0.12 . tcp . 3306 timeout 1ms }";
    let mut lapse = Command::new("nft");
    lapse.args(["add", "element", "inet", "oci-link", "bridged4", element]);
    site.host.run(&mut lapse).ok();
    site.ensure(&web, &wanted, &wanted);
    site.assert_permitted(&web, &wanted);
}

/// The sets of version 0.1 have no timeouts. They stay as they are, also when rules are missing.
#[test]
fn sets_of_an_older_version_are_used() {
    let site = Site::new(BackendName::Nftables);
    let (web, wanted) = (owner('a'), flows(11, 12, PORTS));
    site.act(|firewall| firewall.remove_all()).expect("removed");
    let sets = [
        ("bridged4", "ifname . ipv4_addr . ipv4_addr . inet_proto . inet_service"),
        ("links4", "ipv4_addr . ipv4_addr . inet_proto . inet_service"),
        ("bridged6", "ifname . ipv6_addr . ipv6_addr . inet_proto . inet_service"),
        ("links6", "ipv6_addr . ipv6_addr . inet_proto . inet_service"),
    ];
    let sets = sets.map(|(name, kind)| format!("set {name} {{ type {kind}; }}\n")).concat();
    let table = format!("table inet oci-link {{\n{sets}}}\n");
    site.host.feed(Command::new("nft").args(["-f", "-"]), table.as_bytes()).ok();
    site.isolate(&[super::site::BRIDGE]);
    for _ in 0..2 {
        site.ensure(&web, &[], &wanted);
        site.assert_permitted(&web, &wanted);
        site.remove(&web, &wanted);
        site.assert_permitted(&web, &[]);
        site.by_hand(&["nft flush chain inet oci-link forward"]);
    }
}
