//! What is said of views, records and files of the courier.

use super::super::Verdict;
use super::*;
use crate::cluster::format::view_bytes;
use crate::cluster::view::Clock;
use crate::config::Config;
use crate::model::View;
use crate::model::sample::record;

struct Late;

impl Clock for Late {
    fn since_boot(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

#[test]
fn a_view_is_judged_by_its_age_and_by_its_own_words() {
    let judged = |published, problem: Option<&str>, age| {
        let (problem, by) = (problem.map(str::to_owned), "etcd".to_owned());
        let view = View { boot: 1, fresh_ms: 9, by, published, problem };
        let mut freshness = Freshness::default();
        freshness.take(&view_bytes(&view).unwrap(), 1, &Late).unwrap();
        let check = judge(&freshness, Duration::from_secs(age), Duration::from_secs(60));
        (check.verdict, check.detail)
    };
    assert_eq!(judged(true, None, 3), (Verdict::Ok, "heard 3 s ago, by etcd".to_owned()));
    assert_eq!(judged(true, None, 60).0, Verdict::Fault);
    let (_, detail) = judged(true, Some("no endpoint answers"), 60);
    let expected = "nothing heard for 60 s (patience 60 s): no endpoint answers; start ";
    assert!(detail.starts_with(expected), "{detail}");
    assert_eq!(judged(false, None, 3).0, Verdict::Warning);
    let clone = "host name \"b\" is published by another machine";
    let (verdict, detail) = judged(false, Some(clone), 3);
    assert_eq!(verdict, Verdict::Warning);
    assert!(detail.contains(clone), "{detail}");
}

#[test]
fn a_shared_container_outside_the_declared_networks_is_named() {
    let text = "[cluster]\nname = 'a'\nnetworks = { a = ['10.10.1.0/24'] }";
    let cluster = Config::parse("c", text).unwrap().cluster.unwrap().hosts;
    let judged = |share: &str, addresses: &[&str]| {
        let share = Share::parse(share).unwrap();
        unpublished(&Record { share, ..record("db", "80", addresses) }, &cluster)
    };
    assert_eq!(judged("none", &["172.17.0.2/16"]), None);
    assert_eq!(judged("all", &["172.17.0.2/16", "10.10.1.2/24"]), None);
    let detail = judged("b,c", &["172.17.0.2/16"]).unwrap().detail;
    assert!(detail.contains("org.oci-link.share is b,c"), "{detail}");
    assert_eq!(daemon(true), None);
    assert_eq!(daemon(false).unwrap().verdict, Verdict::Fault);
}

#[test]
fn an_old_etcd_and_the_end_of_a_certificate_are_named() {
    for (by, fine) in [
        ("etcd 3.4.23 rev 9", false),
        ("etcd 3.5.30 rev 1841", true),
        ("etcd 3.6.0-rc.1", true),
        ("etcd 2.9.0", false),
        ("etcd", true),
        ("a copy", true),
    ] {
        assert_eq!(version(by).is_none(), fine, "{by}");
    }
    let day = 86_400;
    let judged = |ends: &str| certificate(format!("{{\"v\":1{ends}}}").as_bytes(), 100 * day);
    assert_eq!(judged(""), None);
    let ends = |days: i64| judged(&format!(",\"certificate_ends\":{}", days * day));
    assert_eq!(ends(115), None);
    assert_eq!(ends(113).unwrap().verdict, Verdict::Warning);
    assert_eq!(ends(99).unwrap().verdict, Verdict::Fault);
    assert_eq!(certificate(b"junk", 0), None);
}

#[test]
fn an_address_of_two_hosts_is_named() {
    let hosts = ["b", "c"].map(|name| HostName::new(name).unwrap());
    let [one, two] = ["10.10.2.2", "10.10.2.3"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let claims = [(one, [&hosts[0]].into()), (two, [&hosts[0], &hosts[1]].into())].into();
    let check = claimed(&claims).unwrap();
    assert!(
        check.detail.starts_with("10.10.2.3 is claimed by hosts b and c: "),
        "{}",
        check.detail
    );
    assert_eq!(claimed(&BTreeMap::new()), None);
}

#[test]
fn a_key_that_others_can_read_is_a_fault() {
    let file = std::env::temp_dir().join(format!("oci-link-key-{}", std::process::id()));
    fs::write(&file, "key").unwrap();
    for (mode, fine) in [(0o600, true), (0o640, true), (0o644, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(key(&file).is_none(), fine, "{mode:o}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(key(&file), None);
}

#[test]
fn five_files_are_named() {
    let named = (0..9).map(|n| (format!("f{n}"), "junk".to_owned())).collect();
    let check = super::aside(&Aside { named, count: 12 }, 3);
    assert!(check.detail.starts_with("12 files put aside: f0 (junk), "), "{}", check.detail);
    assert!(check.detail.contains("f4 (junk); ls -la "), "{}", check.detail);
    assert_eq!(super::aside(&Aside::default(), 3).verdict, Verdict::Ok);
    assert_eq!((user(true).verdict, user(false).verdict), (Verdict::Ok, Verdict::Warning));
}
