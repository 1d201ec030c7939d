//! A hundred containers start and end at once, linked to one source, each to the next, and in pairs to
//! each other.

use crate::{
    actor::{Actor, Hosts},
    scene::host,
    snapshot::Snapshot,
    support::Host,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    process::Command,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

const BACKENDS: [&str; 3] = ["iptables", "ipset", "nftables"];

struct Crowd<'h> {
    host: &'h Host,
    backend: &'static str,
    _db: Actor<'h>,
    all: Vec<Actor<'h>>,
    /// What each start took.
    starts: Vec<Duration>,
}

impl<'h> Crowd<'h> {
    fn new(host: &'h Host, backend: &'static str, size: usize) -> Self {
        let db = Actor::new(host, "db", Hosts::Mounted, &[("ports", "3306")]);
        db.begin();
        db.call("createRuntime").ok();
        let member = |number: usize| {
            let links = format!("db web{:03}:next web{:03}:twin", (number + 1) % size, number ^ 1);
            let kind = if number % 2 == 0 { Hosts::Mounted } else { Hosts::Inside };
            let wishes = [("links", links.as_str()), ("missing", "defer"), ("ports", "80")];
            Actor::new(host, &format!("web{number:03}"), kind, &wishes)
        };
        let all = (0..size).map(member).collect();
        Self { host, backend, _db: db, all, starts: Vec::new() }
    }

    /// Some start and others end, all at the same time.
    fn turn(&mut self, starting: impl Fn(usize) -> bool, ending: impl Fn(usize) -> bool) {
        let mut hooks: Vec<(bool, String, Command)> = Vec::new();
        for (number, member) in self.all.iter().enumerate() {
            let stage = match (starting(number), ending(number)) {
                (true, _) => "createRuntime",
                (_, true) => "poststop",
                _ => continue,
            };
            if ending(number) {
                member.end();
            } else {
                member.begin();
            }
            let (mut hook, state) = member.hook(stage);
            let path = |name| self.host.path("commands").join(format!("{}.{name}", member.id));
            fs::write(path("in"), state).expect("written");
            hook.stdin(File::open(path("in")).expect("readable"));
            hook.stderr(File::create(path("err")).expect("written"));
            hooks.push((starting(number), member.id.clone(), hook));
        }
        let took = at_once(self.host, hooks);
        self.starts.extend(took);
    }

    /// Exactly those who `run` have a record, their lines and their rules.
    fn must_run(&self, run: impl Fn(usize) -> bool) {
        let told = self.host.run(&mut self.host.oci_link(&["sync", "--check"])).ok();
        assert_eq!(told, "", "{}: not as the records say", self.backend);
        let files = self.all.iter().flat_map(Actor::files).collect();
        let found = Snapshot::take(self.host, self.backend, files);
        let size = self.all.len();
        let (mut flows, mut pairs) = (0, BTreeSet::new());
        for number in 0..size {
            let next = (number + 1) % size;
            let path =
                format!("records/{0}web{number:03}.json", folders(&format!("web{number:03}")));
            let record = found
                .state
                .get(&path)
                .map(|text| -> Value { serde_json::from_str(text).expect("a record") });
            assert_eq!(record.is_some(), run(number), "{}: record of web{number}", self.backend);
            let Some(record) = record else { continue };
            // To every other one, its twin is the next as well: two names, and one way.
            let twin = number ^ 1;
            let others = if next == twin { &[next][..] } else { &[next, twin] };
            let linked = 1 + others.iter().filter(|other| run(**other)).count();
            assert_eq!(record["ready"], true);
            assert_eq!(record["flows"].as_array().map(Vec::len), Some(2 * linked), "{record:#}");
            flows += 2 * linked;
            pairs.extend(record["flows"].as_array().into_iter().flatten().map(|flow| {
                let mut ends = [flow["from"].to_string(), flow["to"].to_string()];
                ends.sort();
                ends
            }));
            let text = &found.files[&format!("web{number:03} hosts")];
            let lines = |alias: &str| {
                let named = |line: &&str| line.split(['\t', ' ']).nth(1) == Some(alias);
                text.lines().filter(named).count()
            };
            let expected = [2, if run(next) { 2 } else { 0 }, if run(twin) { 2 } else { 0 }, 1];
            let block = text.matches("# BEGIN oci-link").count();
            assert_eq!(
                [lines("db"), lines("next"), lines("twin"), block],
                expected,
                "web{number}:\n{text}"
            );
        }
        let kept = found.rules.iter().filter(|rule| permits(rule)).count();
        let pair = if self.backend == "iptables" { 2 } else { 1 };
        assert_eq!(kept, pair * flows, "{}:\n{}", self.backend, found.rules.join("\n"));
        // Two containers have one end each, whatever the number of links and ports between them.
        let ends = found.rules.iter().filter(|rule| is_end(rule)).count();
        let expected = if self.backend == "none" { 0 } else { 2 * pairs.len() };
        assert_eq!(ends, expected, "{}:\n{}", self.backend, found.rules.join("\n"));
    }
}

/// As the store does it.
fn folders(id: &str) -> String {
    let padded: Vec<char> = id.chars().chain("____".chars()).collect();
    format!("{}{}/{}{}/", padded[0], padded[1], padded[2], padded[3])
}

/// Whether this is an end of a link in the table of family `bridge`.
fn is_end(rule: &str) -> bool {
    rule.starts_with("set \"ends")
}

/// Whether this is a rule or an element of a link.
fn permits(rule: &str) -> bool {
    let seat = rule.contains("-at ");
    let element = rule.starts_with("add ") && !seat || rule.contains(" elem ") && !is_end(rule);
    element || rule.contains("-A OCI-LINK-") && rule.contains(" -s ")
}

/// Runs the hooks, and says what each start took.
fn at_once(host: &Host, hooks: Vec<(bool, String, Command)>) -> Vec<Duration> {
    let ready = Barrier::new(hooks.len());
    let run = |(starts, id, mut hook): (bool, String, Command)| {
        ready.wait();
        let begun = Instant::now();
        let mut child = host.spawn(&mut hook).expect("the hook starts");
        let status = crate::support::wait(&mut child, &hook);
        let complaint = host.path("commands").join(format!("{id}.err"));
        let complaint = fs::read_to_string(complaint).expect("text");
        assert!(status.success(), "{id}: {complaint}");
        starts.then(|| begun.elapsed())
    };
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> =
            hooks.into_iter().map(|hook| scope.spawn(move || run(hook))).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().expect("every hook succeeds"))
            .collect()
    })
}

fn rounds(size: usize, rounds: usize) {
    for backend in BACKENDS {
        let host = host(backend);
        let mut crowd = Crowd::new(&host, backend, size);
        let even = |number: usize| number % 2 == 0;
        for _ in 0..rounds {
            crowd.turn(even, |_| false);
            crowd.must_run(even);
            crowd.turn(|number| !even(number), even);
            crowd.must_run(|number| !even(number));
            crowd.turn(even, |_| false);
            crowd.must_run(|_| true);
            crowd.turn(|_| false, |_| true);
            crowd.must_run(|_| false);
        }
        crowd.starts.sort();
        let p99 = crowd.starts[crowd.starts.len() * 99 / 100];
        println!("{backend}: {} starts among {size} at once: p99 {p99:.0?}", crowd.starts.len());
    }
}

#[test]
fn f30_a_crowd_comes_and_goes() {
    rounds(30, 1);
}

#[test]
#[ignore = "minutes: make test-crash"]
fn f30_a_hundred_come_and_go_twenty_times() {
    rounds(100, 20);
}
