//! What is known of other hosts: the courier's view, and the files of its spool that are not believed.

use super::HostContext;
use super::check::{Check, Fix, advice, word};
use crate::cluster::spool::{self, Aside, COURIER, SPOOL, VIEW};
use crate::cluster::view::{BootClock, Freshness};
use crate::config::ClusterConfig;
use crate::model::{Address, Cluster, Record, Share};
use crate::sys::process;
use crate::sys::spool::Spool;
use crate::sys::users;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

const SUBJECT: &str = "other hosts";
/// How many files that were put aside are named.
const NAMED: usize = 5;
/// Size limit of the view in bytes.
const MAX_VIEW: u64 = 64 << 10;

/// The checks of `[cluster]`. Without the table there are none.
pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let Some(cluster) = &context.config.cluster else { return Vec::new() };
    let mut checks = vec![user(users::uid_of(Path::new("/"), COURIER).is_some())];
    checks.extend(daemon(context.watched));
    checks.extend(context.running.iter().filter_map(|record| unpublished(record, &cluster.hosts)));
    match spool::open(Path::new(SPOOL)) {
        Ok(Some(spool)) => {
            checks.push(view(&spool, cluster));
            checks.extend(records(&spool, cluster));
        }
        Ok(None) => {
            let cause = format!("{SPOOL} is missing: nothing is heard of other hosts");
            checks.push(Check::fault(SUBJECT, cause, courier_fix()));
        }
        Err(error) => {
            let fix = format!("chown {COURIER} {SPOOL} && chmod 750 {SPOOL}");
            checks.push(Check::fault(SUBJECT, error.to_string(), fix));
        }
    }
    checks
}

/// What fills the spool.
fn courier_fix() -> Fix {
    advice("start oci-link-cluster, or the program that carries the records")
}

fn user(is_there: bool) -> Check {
    const USER: &str = "user oci-link-cluster";
    if is_there {
        Check::ok(USER, "is there")
    } else {
        let cause = "is missing: only root can fill the spool";
        Check::warning(USER, cause, "useradd --system --no-create-home oci-link-cluster")
    }
}

/// Without `watch` no host hears of another.
fn daemon(is_watched: bool) -> Option<Check> {
    let cause =
        "watch does not run: it publishes this host's containers, and reads the records of others";
    let fix = "systemctl enable --now oci-link-watch";
    (!is_watched).then(|| Check::fault(SUBJECT, cause, fix))
}

/// Reports a container that is shared, and that no other host can reach.
fn unpublished(record: &Record, cluster: &Cluster) -> Option<Check> {
    let is_inside = |address: &Address| cluster.admits(&cluster.name, address.ip());
    if record.share == Share::None || record.network.addresses().iter().any(is_inside) {
        return None;
    }
    let cause = format!(
        "{} ({}): org.oci-link.share is {}, and it has no address in cluster.networks of {}: it is not \
         published",
        record.name,
        record.id.short(),
        record.share,
        cluster.name
    );
    let fix = advice("connect it to a network of cluster.networks, or add its network there");
    Some(Check::warning("shared container", cause, fix))
}

/// Judges the view of the courier.
fn view(spool: &Spool, cluster: &ClusterConfig) -> Check {
    let mut freshness = Freshness::default();
    let taken = match (spool.read(OsStr::new(VIEW), MAX_VIEW), process::boot_id()) {
        (Ok(None), _) => Err("is missing".to_owned()),
        (Ok(Some(bytes)), Ok(boot)) => freshness.take(&bytes, boot, &BootClock),
        (Err(why), _) => Err(why),
        (_, Err(error)) => Err(error.to_string()),
    };
    if let Err(why) = taken {
        return Check::fault(SUBJECT, format!("{SPOOL}/{VIEW}: {why}"), courier_fix());
    }
    let age = freshness.age(&BootClock).unwrap_or_default();
    judge(&freshness, age, cluster.hosts.patience)
}

/// Judges a good view of this age.
fn judge(freshness: &Freshness, age: Duration, patience: Duration) -> Check {
    let (age, patience_s) = (age.as_secs(), patience.as_secs());
    let Some(view) = freshness.last() else {
        return Check::fault(SUBJECT, "nothing heard", courier_fix());
    };
    if age >= patience_s {
        let problem = view.problem.as_ref().map(|problem| format!(": {problem}"));
        let problem = problem.unwrap_or_default();
        let cause = format!("nothing heard for {age} s (patience {patience_s} s){problem}");
        return Check::fault(SUBJECT, cause, courier_fix());
    }
    match &view.problem {
        Some(problem) => {
            let by = if view.by.is_empty() { "the courier" } else { &view.by };
            Check::warning(
                SUBJECT,
                format!("{by}: {problem}"),
                advice("see the log of the courier"),
            )
        }
        None if !view.published => {
            let cause = "the records of this host are not published";
            Check::warning(SUBJECT, cause, advice("see the log of the courier"))
        }
        None => Check::ok(SUBJECT, format!("heard {age} s ago, by {}", view.by)),
    }
}

/// Reads all records, and reports those that were put aside.
fn records(spool: &Spool, cluster: &ClusterConfig) -> Vec<Check> {
    let mut listing = match spool::list(spool, &cluster.hosts) {
        Ok(listing) => listing,
        Err(error) => return vec![Check::fault("spool", error.to_string(), courier_fix())],
    };
    for listed in &listing.records {
        if let Err(why) = spool::read(spool, &listed.key, &cluster.hosts) {
            listing.aside.put(OsStr::new(&listed.key.file_name()), why);
        }
    }
    vec![aside(&listing.aside, listing.records.len())]
}

fn aside(aside: &Aside, records: usize) -> Check {
    const SPOOL_FILES: &str = "spool";
    if aside.count == 0 {
        return Check::ok(SPOOL_FILES, format!("{records} records"));
    }
    let named = aside.named.iter().take(NAMED).map(|(name, why)| format!("{name} ({why})"));
    let named: Vec<String> = named.collect();
    let cause = format!("{} files put aside: {}", aside.count, named.join(", "));
    let fix = advice(format!("ls -la {} lists them", word(Path::new(SPOOL))));
    Check::warning(SPOOL_FILES, cause, fix)
}

#[cfg(test)]
mod tests {
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
    fn five_files_are_named() {
        let named = (0..9).map(|n| (format!("f{n}"), "junk".to_owned())).collect();
        let check = super::aside(&Aside { named, count: 12 }, 3);
        assert!(check.detail.starts_with("12 files put aside: f0 (junk), "), "{}", check.detail);
        assert!(check.detail.contains("f4 (junk); ls -la "), "{}", check.detail);
        assert_eq!(super::aside(&Aside::default(), 3).verdict, Verdict::Ok);
        assert_eq!((user(true).verdict, user(false).verdict), (Verdict::Ok, Verdict::Warning));
    }
}
