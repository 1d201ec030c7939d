//! `--metrics`: the file says what is so, in `OpenMetrics`, and costs an idle daemon nothing.

use super::{Watch, command, soon};
use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    lifecycle::{by_hand, host_of},
    support::{Host, Runtime},
};
use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
use oci_link::testing::BackendName;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::PathBuf, time::Duration};

fn begin(host: &Host) -> (Watch<'_>, PathBuf) {
    let file = host.path("oci-link.prom");
    let mut command = command(host);
    command.arg("--metrics").arg(&file);
    (Watch::begin_by(host, command), file)
}

/// The samples of a text. Every line is what `OpenMetrics` allows: families follow each other, each with its type and
/// help first, and the end is marked.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, u64> {
    let lines = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
    let (mut families, mut samples) = (Vec::<(String, String)>::new(), BTreeMap::new());
    for line in lines.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind @ ("gauge" | "counter")] => {
                assert!(families.iter().all(|(known, _)| known != name), "twice: {name}");
                families.push((name.to_owned(), kind.to_owned()));
            }
            ["#", "HELP" | "UNIT", name, rest] => {
                assert_eq!(families.last().map(|(known, _)| known.as_str()), Some(name));
                assert!(!rest.is_empty(), "{line}");
            }
            [sample, value] => {
                let (family, kind) = families.last().expect("a family");
                let expected =
                    if kind == "counter" { format!("{family}_total") } else { family.clone() };
                let name = sample.split('{').next().expect("a name");
                assert_eq!(name, expected, "{line}");
                let labels = &sample[name.len()..];
                assert!(
                    labels.is_empty() || (labels.starts_with('{') && labels.ends_with("\"}")),
                    "{line}"
                );
                let value = value.parse().unwrap_or_else(|why| panic!("{line}: {why}"));
                assert_eq!(samples.insert(sample.to_owned(), value), None, "twice: {sample}");
            }
            _ => panic!("no line of OpenMetrics: {line:?}"),
        }
    }
    samples
}

each_backend! {
    fn metrics_are_what_is_so(backend) {
        let host = host_of(backend, Runtime::Runc);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let (mut watch, file) = begin(&host);
        let says = |key: &str, value: u64| {
            fs::read_to_string(&file).is_ok_and(|text| samples(&text).get(key) == Some(&value))
        };
        let flows = format!("oci_link_flows{{backend=\"{backend}\"}}");
        soon("written", || says("oci_link_containers{state=\"ready\"}", 2));
        assert!(says("oci_link_links{state=\"ready\"}", 1) && says(&flows, 2), "{flows}");
        assert!(says("oci_link_links{state=\"stale\"}", 0));
        let there = fs::metadata(&file).expect("there");
        assert_eq!((there.mode() & 0o7777, there.uid()), (0o644, 0));
        let beside: Vec<_> = fs::read_dir(file.parent().expect("a directory")).expect("readable")
            .map(|entry| entry.expect("an entry").file_name())
            .filter(|name| name.to_string_lossy().starts_with("oci-link.prom."))
            .collect();
        assert!(beside.is_empty(), "{beside:?}");

        end(&db);
        soon("the link waits", || says("oci_link_links{state=\"waiting\"}", 1));
        soon("no flow", || says(&flows, 0));
        let text = fs::read_to_string(&file).expect("there");
        let before = samples(&text)["oci_link_repairs_total"];
        let _db = source(&host, "db", "3306");
        soon("linked again", || says("oci_link_links{state=\"ready\"}", 1));
        by_hand(&host, &["nft flush ruleset"]);
        soon("the repairs are counted", || {
            let text = fs::read_to_string(&file).expect("there");
            samples(&text)["oci_link_repairs_total"] > before
        });
        // A reload keeps the file, and an end removes it.
        watch.signal(SIGHUP);
        watch.hears("READY=1");
        assert!(file.exists());
        assert!(watch.end(SIGTERM).success());
        assert!(!file.exists());
        end(&web);
    }
}

#[test]
fn an_idle_daemon_with_metrics_sleeps() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let (watch, file) = begin(&host);
    soon("written", || file.exists());
    watch.sleeps(Duration::from_secs(3));
}

/// The daemon does its work without them.
#[test]
fn metrics_that_cannot_be_written_are_logged_once() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let mut command = command(&host);
    command.args(["--metrics", "/nonexistent/oci-link.prom"]);
    let watch = Watch::begin_by(&host, command);
    let count = || watch.log().matches("metrics: /nonexistent/oci-link.prom").count();
    soon("logged", || count() == 1);
    let db = source(&host, "db", "3306");
    db.kill();
    soon("cleared away", || !super::is_known(&host, "db"));
    watch.sleeps(Duration::from_secs(3));
    assert_eq!(count(), 1);
}
