//! `events`: what changes is printed once, in order, and costs nothing while nothing happens.

use crate::{
    backends::each_backend,
    cast::{end, recipient, source},
    documents::json::{assert_described, tables},
    lifecycle::{by_hand, call, host_of},
    support::{Host, Runtime},
    watch::soon,
};
use oci_link::testing::BackendName;
use serde_json::Value;
use std::{
    fs::{self, File},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

/// One that runs. Killed when dropped.
struct Events<'h> {
    host: &'h Host,
    child: Child,
}

impl<'h> Events<'h> {
    /// It has begun to follow: it has opened its subscriptions.
    fn begin(host: &'h Host, words: &[&str]) -> Self {
        let mut command = host.oci_link(&[&["events"], words].concat());
        command.stdin(Stdio::null());
        command.stdout(File::create(host.path("events.out")).expect("made"));
        command.stderr(File::create(host.path("events.err")).expect("made"));
        let events = Self { host, child: host.spawn(&mut command).expect("it starts") };
        soon("it follows", || {
            let file = format!("/proc/{}/wchan", events.child.id());
            fs::read_to_string(file).is_ok_and(|place| place.contains("poll"))
        });
        events
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.host.path("events.out")).expect("there");
        text.lines().map(str::to_owned).collect()
    }

    /// The lines without their times.
    fn told(&self) -> Vec<String> {
        let rest = |line: String| line.split_once(' ').expect("a time first").1.to_owned();
        self.lines().into_iter().map(rest).collect()
    }

    #[track_caller]
    fn tells(&self, expected: &[&str]) {
        assert_eq!(self.wait(expected.len()), expected);
    }

    /// Waits for so many lines, but not for ever. Returns all.
    fn wait(&self, count: usize) -> Vec<String> {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while self.told().len() < count && std::time::Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        self.told()
    }

    /// Asserts that `pair` comes behind `before`, and returns all. The two are about records that one process writes one
    /// after the other, so a look between them shows the second one first.
    #[track_caller]
    fn tells_both<'t>(&self, before: &[&'t str], pair: [&'t str; 2]) -> Vec<&'t str> {
        let [first, second] = pair;
        let orders = [[first, second], [second, first]].map(|pair| [before, &pair].concat());
        let told = self.wait(orders[0].len());
        let order = orders.into_iter().find(|order| told == *order);
        order.unwrap_or_else(|| panic!("{pair:?} behind {before:?}: {told:?}"))
    }

    /// How often it has been woken.
    fn switches(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        counts.map(|(_, count)| count.trim().parse::<u64>().expect("a number")).sum()
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

each_backend! {
    fn the_life_of_a_link(backend) {
        let host = host_of(backend, Runtime::Runc);
        let _old = source(&host, "old", "80");
        let events = Events::begin(&host, &[]);
        let db = source(&host, "db", "3306");
        events.tells(&["started db (db)"]);
        let web = recipient(&host, "web", "db:mysql");
        let begun = ["started db (db)", "started web (web)", "linked web db:mysql"];
        events.tells(&begun);
        end(&db);
        let waits = events.tells_both(&begun, ["ended db (db)", "waiting web db:mysql"]);
        let db = source(&host, "db", "3306");
        let back = [&waits[..], &["started db (db)", "linked web db:mysql"]].concat();
        events.tells(&back);
        call(&host, "disconnect web mysql").ok();
        let closed = [&back[..], &["closed web db:mysql"]].concat();
        events.tells(&closed);
        call(&host, "connect web old").ok();
        let other = [&closed[..], &["linked web old"]].concat();
        events.tells(&other);
        end(&web);
        let over = [&other[..], &["closed web old", "ended web (web)"]].concat();
        events.tells(&over);
        end(&db);
        // Nothing of it changed anything.
        events.tells(&[&over[..], &["ended db (db)"]].concat());
        assert_eq!(fs::read_to_string(host.path("events.err")).expect("there"), "");
    }
}

#[test]
fn repairs_are_told_in_json() {
    let host = host_of(BackendName::Iptables, Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    by_hand(&host, &["iptables -F OCI-LINK"]);
    let before = call(&host, "sync").ok();
    let events = Events::begin(&host, &["--json"]);
    by_hand(&host, &["iptables -D FORWARD -j OCI-LINK"]);
    let printed = call(&host, "sync").ok();
    assert!(before.contains("repaired: ") && printed.contains("repaired: "), "{printed}");
    soon("told", || !events.lines().is_empty());
    for (line, printed) in events.lines().iter().zip(printed.lines()) {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        let text = event["text"].as_str().expect("a text");
        assert_eq!(format!("repaired: {text}"), printed);
        assert_eq!(event["event"], "repaired");
        let time = event["time"].as_str().expect("a text");
        assert!(time.ends_with('Z') && time.contains('T'), "{line}");
    }
    let dead = recipient(&host, "dead", "db");
    dead.kill();
    call(&host, "gc").ok();
    let has = |word: &str| {
        events.lines().iter().any(|line| line.contains(&format!("\"event\":\"{word}\"")))
    };
    soon("removed", || has("removed") && has("ended"));
    let table = &tables("events")[0];
    for line in events.lines() {
        assert_described(&serde_json::from_str(&line).expect("JSON"), table);
    }
    let words: Vec<&str> = table.iter().map(|(key, _)| *key).collect();
    // A link to another host is not here.
    for word in words.into_iter().filter(|word| *word != "connected_host") {
        assert!(events.lines().iter().any(|line| line.contains(&format!("\"{word}\":"))), "{word}");
    }
}

#[test]
fn it_sleeps_and_survives_its_state_directory() {
    let host = host_of(BackendName::Ipset, Runtime::Runc);
    let events = Events::begin(&host, &[]);
    thread::sleep(Duration::from_millis(500));
    let before = events.switches();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(events.switches(), before, "woken");
    for folder in fs::read_dir(host.state_dir()).expect("readable") {
        let path = folder.expect("an entry").path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            .expect("removed");
    }
    soon("it has opened it again", || host.state_dir().join("records").exists());
    thread::sleep(Duration::from_millis(500));
    let _db = source(&host, "db", "3306");
    events.tells(&["started db (db)"]);
    // Another one holds the lock: events need none.
    let lock = File::open(host.state_dir().join("lock")).expect("there");
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).expect("free");
    let second = Events::begin(&host, &[]);
    drop((lock, second));
}
