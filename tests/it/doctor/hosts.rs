//! Rules, switches and containers.

use super::{assert_well, command, config, doctor, paste};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    configure::site::Site,
    lifecycle::{by_hand, call, everything, host_of, host_with, wipe},
    support::{Host, Runtime, each_runtime},
};
use oci_link::testing::BackendName;
use serde_json::json;

each_backend! {
    fn a_host_with_links_is_well_and_stays_as_it_is(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let _db = source(&host, "db", "3306");
        let _web = recipient(&host, "web", "db");
        let before = everything(&host);
        let report = doctor(&host, &site, 0);
        assert_eq!(report.troubles(), [""; 0]);
        report.of("links").is("ok", "2 containers");
        report.of("backend").is("ok", &format!("{backend}, as config.toml says"));
        assert_eq!(everything(&host), before);
        assert!(!host.path("state/watch.lock").exists());
    }

    fn what_was_flushed_comes_back_by_sync(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let _db = source(&host, "db", "3306");
        let _web = recipient(&host, "web", "db");
        by_hand(&host, &["nft flush ruleset", "ipset destroy"]);
        let report = doctor(&host, &site, 12);
        let rules = report.checks.iter().find(|check| {
            check["detail"].as_str().is_some_and(|said| said.contains("web (web): its rules"))
        });
        let fix = rules.expect("said")["fix"].as_str().expect("a fix").to_owned();
        assert!(fix.ends_with(" sync") && rules.expect("said")["verdict"] == "fault", "{fix}");
        let isolation = if backend == BackendName::Nftables { "isolation" } else { "isolation, IPv6" };
        report.of(isolation).is("fault", "do not separate");
        paste(&host, &site, &fix);
        assert_well(&host, &site);
    }

    fn what_the_dead_left_goes_by_gc(backend) {
        let (host, site) = (host_of(backend, Runtime::Crun), Site::new());
        let _db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        web.kill();
        let report = doctor(&host, &site, 11);
        assert_eq!(report.troubles(), ["warning links"]);
        let said = report.of("links");
        assert!(said.is("warning", "web (web): the container no longer runs").fix().ends_with(" gc"), "{}", said.fix());
        paste(&host, &site, said.fix());
        assert_well(&host, &site);
    }

    /// No record names them any more. The links still work, and gc would end them.
    fn rules_without_records_are_found_in_an_empty_state_directory(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let [v4, v6] = web.addresses();
        let check = |host: &Host| {
            let report = doctor(host, &site, 11);
            assert_eq!(report.troubles(), ["warning lost records"]);
            let said = report.of("lost records");
            said.is("warning", &format!("orphaned rules of 1 container at {v4}, {v6}: records were lost"));
            said.fix().to_owned()
        };
        wipe(&host);
        assert_eq!(check(&host), "");
        let told = doctor(&host, &site, 11);
        told.of("lost records").is("warning", &format!("restart the containers at {v4}, {v6}, then call"));
        assert_eq!(host.state_files(), [""; 0], "nothing is made");
        std::fs::remove_dir(host.state_dir()).expect("removed");
        check(&host);
        // docker's files know the name.
        site.container("web", "oci-link", &json!({}), &json!({}), &v4.to_string());
        site.write("/etc/docker/daemon.json", "{\"runtimes\":{\"oci-link\":{\"path\":\"@BIN@/oci-link-runtime\"}}}");
        let fix = check(&host);
        fix.strip_prefix("docker restart web && ").expect("two steps");
        // The source first: it has no record either, so its recipient would find none.
        site.container("db", "oci-link", &json!({}), &json!({}), &db.addresses()[0].to_string());
        let fix = check(&host);
        let gc = fix.strip_prefix("docker restart db web && ").expect("two steps");
        [&web, &db].into_iter().for_each(end);
        paste(&host, &site, gc);
        assert_well(&host, &site);
    }

    fn after_gc_all_nothing_is_set_up_and_nothing_is_missing(backend) {
        let (host, site) = (host_of(backend, Runtime::Runc), Site::new());
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let told = call(&host, "gc --all").ok();
        let all = if backend == BackendName::Nftables {
            "removed: firewall: the table of oci-link in nftables\n"
        } else {
            "removed: firewall: the chains and sets of oci-link in iptables\n"
        };
        assert!(told.contains(all), "{told}");
        assert_eq!(call(&host, "gc --all").ok(), "", "that was all");
        assert_well(&host, &site);
        [&web, &db].into_iter().for_each(end);
    }
}

/// oci-link has not run here: nothing is made, and no backend is chosen.
#[test]
fn a_host_without_containers_is_well_and_stays_untouched() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    by_hand(&host, &["nft flush ruleset"]);
    let before = everything(&host);
    std::fs::remove_dir(host.state_dir()).expect("removed");
    let report = doctor(&host, &site, 0);
    assert_eq!(report.troubles(), [""; 0]);
    report.of("state directory").is("ok", "created when the first container starts");
    report.of("backend").is("ok", "ipset, would be chosen");
    assert!(!host.state_dir().exists() && !host.path("log").exists(), "nothing is made");
    std::fs::create_dir(host.state_dir()).expect("made");
    assert_eq!(everything(&host), before);
}

#[test]
fn rules_in_front_are_named() {
    let (host, site) = (host_of(BackendName::Iptables, Runtime::Runc), Site::new());
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    by_hand(&host, &["iptables -I FORWARD -s 10.9.8.7/32 -j DROP"]);
    let report = doctor(&host, &site, 11);
    let said = report.of("FORWARD, IPv4");
    said.is("warning", "-A FORWARD -s 10.9.8.7/32 -j DROP");
    report.of("FORWARD, IPv6").is("ok", "first");
    paste(&host, &site, said.fix());
    assert_well(&host, &site);

    // As in front of the chain of Docker's users.
    let user = [
        "iptables -N DOCKER-USER",
        "iptables -I FORWARD -j DOCKER-USER",
        "iptables -I FORWARD -s 10.9.8.7 -j DROP",
    ];
    by_hand(&host, &user);
    let report = doctor(&host, &site, 11);
    let said = report.of("FORWARD, IPv4");
    let fix = said.is("warning", "rules before DOCKER-USER").fix();
    assert!(
        fix.starts_with(
            "iptables -D FORWARD -j DOCKER-USER && iptables -I FORWARD -j DOCKER-USER && "
        ),
        "{fix}"
    );
    paste(&host, &site, fix);
    assert_well(&host, &site);

    by_hand(&host, &["ip6tables -F FORWARD"]);
    let report = doctor(&host, &site, 12);
    report.of("FORWARD, IPv6").is("fault", "has no jump to OCI-LINK: the rules were flushed");
}

each_runtime! {
    fn f14_rules_in_both_kinds_of_iptables(runtime) {
        let (host, site) = (Host::open(runtime), Site::new());
        by_hand(&host, &["iptables-legacy -A FORWARD -j ACCEPT"]);
        assert_well(&host, &site);
        by_hand(&host, &["iptables-nft -A FORWARD -j ACCEPT"]);
        let report = doctor(&host, &site, 11);
        assert_eq!(report.troubles(), ["warning iptables variants"]);
        let told = "rules of IPv4 in FORWARD: nft has 1, legacy has 1";
        report.of("iptables variants").is("warning", told);
    }
}

/// netavark 1.4 makes these, and podman calls it after we made ours.
#[test]
fn a_subnet_that_is_accepted_in_front_of_us_is_a_fault() {
    let (host, site) = (host_of(BackendName::Ipset, Runtime::Runc), Site::new());
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    by_hand(
        &host,
        &[
            "iptables -N NETAVARK_FORWARD",
            "iptables -A NETAVARK_FORWARD -s 10.77.0.0/16 -j ACCEPT",
            "iptables -I FORWARD -j NETAVARK_FORWARD",
        ],
    );
    let report = doctor(&host, &site, 12);
    let said = report.of("rules before OCI-LINK, IPv4");
    said.is(
        "fault",
        "netavark accepts its whole subnet before FORWARD reaches OCI-LINK: -A NETAVARK_FORWARD",
    );
    report.of("FORWARD, IPv4").is("warning", "NETAVARK_FORWARD");
    paste(&host, &site, said.fix());
    assert_well(&host, &site);
}

/// The note says that bridges are isolated; the rules do not.
#[test]
fn isolation_is_read_from_rules() {
    let (host, site) = (host_of(BackendName::Iptables, Runtime::Runc), Site::new());
    let _db = source(&host, "db", "3306");
    assert_well(&host, &site);
    by_hand(&host, &["iptables -F OCI-LINK-ISOLATE"]);
    let report = doctor(&host, &site, 12);
    let said = report.of("isolation, IPv4");
    said.is("fault", "do not separate the containers");
    report.of("isolation, IPv6").is("ok", "last");
    paste(&host, &site, said.fix());
    assert_well(&host, &site);
    config(&host, "[firewall]\nbackend = \"iptables\"\nisolate = [\"br0\", \"br9\"]\n");
    let report = doctor(&host, &site, 12);
    report.of("isolated bridges").is("warning", "no such interface: br9");
    report.of("isolation, IPv6").is("fault", "do not separate the containers");
}

each_backend! {
    fn f37_a_bridge_that_is_not_filtered(backend) {
        let (host, site) = (host_with(backend), Site::new());
        let _db = source(&host, "db", "3306");
        let _web = recipient(&host, "web", "db");
        by_hand(&host, &["sysctl -qw net.bridge.bridge-nf-call-iptables=0"]);
        let report = doctor(&host, &site, 12);
        assert_eq!(report.troubles(), ["fault bridge-nf-call-iptables"]);
        let said = report.of("bridge-nf-call-iptables");
        said.is("fault", "traffic between containers of one bridge is not filtered");
        assert!(said.fix().contains(" >>/etc/sysctl.d/oci-link.conf"), "{}", said.fix());
        paste(&host, &site, said.fix());
        assert_well(&host, &site);
        // Where nothing need be kept apart it may be meant so.
        let host = Host::open(Runtime::Crun);
        config(&host, &format!("[firewall]\nbackend = \"{backend}\"\n"));
        by_hand(&host, &["sysctl -qw net.bridge.bridge-nf-call-iptables=0"]);
        let report = doctor(&host, &site, 11);
        assert_eq!(report.troubles(), ["warning bridge-nf-call-iptables"]);
    }
}

#[test]
fn all_lines_of_the_table_are_in_the_json() {
    let (host, site) = (host_of(BackendName::Iptables, Runtime::Runc), Site::new());
    by_hand(&host, &["sysctl -qw net.bridge.bridge-nf-call-ip6tables=0"]);
    let report = doctor(&host, &site, 12);
    let table = host.run(&mut command(&host, &site, &[])).ended(12);
    let mut rows = table.lines();
    assert!(rows.next().is_some_and(|headings| headings.starts_with("VERDICT   SUBJECT")));
    for check in &report.checks {
        let row = rows.next().expect("a row for each");
        for key in ["verdict", "subject", "detail", "fix"] {
            let cell = check[key].as_str().unwrap_or_default();
            assert!(row.contains(cell), "no {cell} in {row}");
        }
    }
    assert_eq!(rows.next(), None);
    let long = host.run(&mut command(&host, &site, &["--format", "json"])).ended(12);
    assert_eq!(long, report.text);
    host.run(&mut command(&host, &site, &["--format", "xml"])).refused(2);
}
