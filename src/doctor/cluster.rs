//! What is known of other hosts: the courier's view, and the files of its spool that are not believed.

use super::HostContext;
use super::between_hosts;
use super::check::{Check, Fix, advice, word};
use crate::cluster::spool::{self, Aside, COURIER, PeerRecord, SPOOL, VIEW};
use crate::cluster::view::{BootClock, Freshness};
use crate::config::ClusterConfig;
use crate::model::{Address, Cluster, HostName, Record, Share};
use crate::sys::process;
use crate::sys::spool::Spool;
use crate::sys::users;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SUBJECT: &str = "other hosts";
/// How many files that were put aside are named.
const NAMED: usize = 5;
/// Size limit of the view in bytes.
const MAX_VIEW: u64 = 64 << 10;

/// The checks of `[cluster]`. Without the table there are none.
pub(crate) fn examine(context: &HostContext) -> Vec<Check> {
    let Some(cluster) = &context.config.cluster else { return Vec::new() };
    let mut checks = between_hosts::examine(context, &cluster.hosts);
    checks.extend(cluster.key_file().and_then(key));
    checks.push(user(users::uid_of(Path::new("/"), COURIER).is_some()));
    checks.extend(daemon(context.watched));
    checks.extend(context.running.iter().filter_map(|record| unpublished(record, &cluster.hosts)));
    match spool::open(Path::new(SPOOL)) {
        Ok(Some(spool)) => {
            checks.push(view(&spool, cluster));
            checks.extend(details(&spool));
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

/// Whether others than the owner and the group can read the key. A missing file is the courier's fault to report.
fn key(file: &Path) -> Option<Check> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o7 != 0).then(|| {
        let cause = format!("{} has mode {:o}: others can use it", file.display(), mode & 0o777);
        Check::fault("key of this host", cause, format!("chmod 640 {}", word(file)))
    })
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

/// What the view says besides its age. Nothing if it cannot be read.
fn details(spool: &Spool) -> Vec<Check> {
    let Ok(Some(bytes)) = spool.read(OsStr::new(VIEW), MAX_VIEW) else { return Vec::new() };
    let mut freshness = Freshness::default();
    let boot = process::boot_id().unwrap_or_default();
    let is_taken = freshness.take(&bytes, boot, &BootClock).is_ok();
    let by = freshness.last().filter(|_| is_taken).and_then(|view| version(&view.by));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    by.into_iter().chain(certificate(&bytes, now)).collect()
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

/// The oldest version of etcd whose permissions keep hosts apart.
const ETCD: (u32, u32) = (3, 5);

/// Reports an etcd below [`ETCD`], from the words of the view, such as `etcd 3.5.30 rev 1841`.
fn version(by: &str) -> Option<Check> {
    let mut numbers = by.strip_prefix("etcd ")?.split(['.', ' ', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    ((major, minor) < ETCD).then(|| {
        let cause = format!("{by}: a host can end the lease of another one; want 3.5 or later");
        Check::warning("etcd", cause, advice("upgrade etcd, one member after the other"))
    })
}

/// What the courier says of its certificate besides what an interface needs.
#[derive(Deserialize)]
struct Certificate {
    #[serde(default)]
    certificate_ends: Option<i64>,
}

/// How long before its end a certificate is reported, in days.
const SOON: i64 = 14;

/// Reports a certificate that ends soon, from the bytes of the view. `now` is in seconds since 1970.
fn certificate(view: &[u8], now: i64) -> Option<Check> {
    let Certificate { certificate_ends } = serde_json::from_slice(view).ok()?;
    let left = certificate_ends?.saturating_sub(now) / 86_400;
    (left < SOON).then(|| {
        let cause = match left {
            ..=0 => "has ended, or ends today".to_owned(),
            left => format!("ends in {left} days"),
        };
        let fix =
            advice("make another as in docs/cluster.md, then systemctl restart oci-link-cluster");
        Check::trouble(left <= 0, "certificate of this host", &cause, fix)
    })
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
    let mut claims: BTreeMap<IpAddr, BTreeSet<&HostName>> = BTreeMap::new();
    for listed in &listing.records {
        let addresses = match spool::read(spool, &listed.key, &cluster.hosts) {
            Ok(Some(PeerRecord::Offer(offer))) => offer.addresses,
            Ok(Some(PeerRecord::Want(want))) => want.addresses,
            Ok(Some(PeerRecord::Host(_)) | None) => Vec::new(),
            Err(why) => {
                listing.aside.put(OsStr::new(&listed.key.file_name()), why);
                Vec::new()
            }
        };
        for ip in addresses {
            claims.entry(ip).or_default().insert(&listed.key.host);
        }
    }
    let mut checks = vec![aside(&listing.aside, listing.records.len())];
    checks.extend(claimed(&claims));
    checks
}

/// Reports addresses that several hosts claim. None of them is believed.
fn claimed(claims: &BTreeMap<IpAddr, BTreeSet<&HostName>>) -> Option<Check> {
    let double = || claims.iter().filter(|(_, hosts)| hosts.len() > 1);
    let (ip, hosts) = double().next()?;
    let hosts = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let more = double().count() - 1;
    let more = if more > 0 { format!(", and {more} more addresses") } else { String::new() };
    let cause = format!("{ip} is claimed by hosts {hosts}{more}: none of them is believed");
    let fix = advice(
        "give each host container networks of its own, or wait until the older record has gone",
    );
    Some(Check::warning("address of two hosts", cause, fix))
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
mod tests;
