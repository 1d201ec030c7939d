//! SIGKILL at every system call while a host takes in what it hears of another one. The next look at the spool must leave
//! what one without a kill would have left.

use crate::{
    actor::{Actor, Hosts},
    scene::host,
    snapshot::{Snapshot, same_but_for_leftovers},
    support::{Host, netns::Netns},
    tracer::{Blow, Point, Traced, trace},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Instant,
};

const SPOOL: &str = "/run/oci-link-cluster/peers";
/// What a host `b` says: a source, and a recipient of the source `db` here.
const OFFER: &str = "b~6f.offer";
const WANT: &str = "b~web.want";

/// Of the calls of children, one in so many is tried.
const OF_CHILDREN: usize = 7;

/// What the spool does while a look at it is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// The records of `b` come.
    Come,
    /// They go.
    Go,
}

/// A host with a source that another host wants, and a recipient of that host's source.
struct Site<'h> {
    host: &'h Host,
    backend: &'static str,
    db: Actor<'h>,
    app: Actor<'h>,
    /// Without the other host's records, and with them.
    apart: Snapshot,
    linked: Snapshot,
}

impl<'h> Site<'h> {
    fn new(host: &'h Host, backend: &'static str) -> Self {
        let path = host.path("config.toml");
        let config = fs::read_to_string(&path).expect("text")
            + "[cluster]\nname = \"a\"\npatience = \"24h\"\n\
                   networks = { a = [\"10.77.0.0/24\"], b = [\"10.78.0.0/24\"] }\n";
        fs::write(&path, config).expect("written");
        DirBuilder::new().mode(0o750).create(host.path("spool")).expect("made");
        let db = [("ports", "3306, 53/udp"), ("share", "all")];
        let db = Actor::new(host, "db", Hosts::Mounted, &db);
        let app = [("links", "mysql@b"), ("missing", "defer")];
        let app = Actor::new(host, "app", Hosts::Mounted, &app);
        for actor in [&db, &app] {
            actor.begin();
            actor.call("createRuntime").ok();
        }
        let nothing = Snapshot::take(host, backend, [].into());
        let mut site = Self { host, backend, db, app, apart: nothing.clone(), linked: nothing };
        site.sync();
        freshen(&host.state_dir());
        // The first link between hosts makes rules for all of them, and folders.
        for news in [News::Come, News::Go] {
            site.put(news);
            site.sync();
        }
        site.apart = site.look();
        site.put(News::Come);
        site.sync();
        site.linked = site.look();
        assert_ne!(site.apart, site.linked);
        assert!(site.linked.files["app hosts"].contains("10.78.0.9\tmysql"));
        site.put(News::Go);
        site.sync();
        same_but_for_leftovers(&site.look(), &site.apart, "a clean run");
        site
    }

    /// Changes the spool.
    fn put(&self, news: News) {
        let spool = self.host.path("spool");
        if news == News::Go {
            return [OFFER, WANT].iter().for_each(|name| {
                let _ = fs::remove_file(spool.join(name));
            });
        }
        let offers = self.host.state_dir().join("offers/db.offer");
        let own = fs::read_to_string(offers).expect("db is shared");
        let own: serde_json::Value = serde_json::from_str(&own).expect("JSON");
        let want = format!(
            r#"{{"v":1,"host":"b","id":"web","run":"90c2f1be77d0aa14","name":"web","addresses":["10.78.0.8"],"sources":[{{"host":"a","id":"db","run":{}}}]}}"#,
            own["run"]
        );
        let offer = r#"{"v":1,"host":"b","id":"6f","run":"4be1c07d9a22e310","name":"mysql","addresses":["10.78.0.9"],"ports":["3306/tcp"],"to":"all"}"#;
        for (name, text) in [(OFFER, offer), (WANT, &want)] {
            fs::write(spool.join(".new"), text).expect("written");
            fs::rename(spool.join(".new"), spool.join(name)).expect("there");
        }
    }

    fn look(&self) -> Snapshot {
        let files = [&self.db, &self.app].into_iter().flat_map(Actor::files).collect();
        Snapshot::take(self.host, self.backend, files)
    }

    /// One look at the spool, to its end.
    fn sync(&self) {
        let mut sync = self.host.oci_link(&["sync"]);
        let out = within(self.host.netns(), &self.host.path("spool"), || sync.output());
        let out = out.expect("oci-link starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// One look that is cut short.
    fn attempt(&self, blow: Option<(Point, Blow)>) -> Traced {
        let mut sync = self.host.oci_link(&["sync"]);
        sync.stdout(File::create(self.host.path("out")).expect("written"));
        sync.stderr(File::create(self.host.path("err")).expect("written"));
        within(self.host.netns(), &self.host.path("spool"), || trace(&mut sync, blow))
    }

    /// The look at `news` is killed at `point`, and another one follows.
    fn survives(&self, news: News, point: Point, blow: Blow) {
        self.put(news);
        let _ = self.attempt(Some((point, blow)));
        self.sync();
        let (now, before) = match news {
            News::Come => (&self.linked, News::Go),
            News::Go => (&self.apart, News::Come),
        };
        same_but_for_leftovers(&self.look(), now, "the next look");
        self.put(before);
        self.sync();
    }
}

/// Does some work with the spool where `oci-link` looks for it.
fn within<T: Send>(netns: &Netns, spool: &Path, work: impl FnOnce() -> T + Send) -> T {
    netns.enter(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
        let (none, flags) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        mount(none, "/", none, flags, none).expect("mounts become private");
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .expect("a tmpfs");
        fs::create_dir_all(SPOOL).expect("made");
        mount(Some(spool), SPOOL, none, MsFlags::MS_BIND, none).expect("the spool is there");
        work()
    })
}

/// What is known of other hosts is new, as after the view of a courier.
fn freshen(state: &Path) {
    let read = |path| fs::read_to_string(path).expect("the kernel tells");
    let (boot, uptime) = (read("/proc/sys/kernel/random/boot_id"), read("/proc/uptime"));
    let whole = uptime.split('.').next().expect("seconds");
    let view = format!(r#"{{"v":1,"boot":"{}","fresh_ms":{whole}000,"by":"test"}}"#, boot.trim());
    let folder = state.join("peers/fresh");
    DirBuilder::new().mode(0o700).recursive(true).create(&folder).expect("made");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(folder.join("view"));
    file.expect("made").write_all(view.as_bytes()).expect("written");
}

/// Every point, as far as `wanted` takes it by its number.
fn killed(backend: &'static str, wanted: impl Fn(usize) -> bool) {
    let (begun, mut complaints, mut tried) = (Instant::now(), Vec::new(), 0);
    for news in [News::Come, News::Go] {
        let host = host(backend);
        let site = Site::new(&host, backend);
        if news == News::Go {
            site.put(News::Come);
            site.sync();
        }
        site.put(news);
        let traced = site.attempt(None);
        let undo = if news == News::Come { News::Go } else { News::Come };
        site.put(undo);
        site.sync();
        let calls = traced.calls.iter().enumerate();
        let points = calls.flat_map(|(process, calls)| {
            // Most of what a child does is to begin.
            let step = if process == 0 { 1 } else { OF_CHILDREN };
            (0..calls.len()).step_by(step).map(move |call| Point { process, call })
        });
        for (number, point) in points.enumerate().filter(|(number, _)| wanted(*number)) {
            let blow = if number % 2 == 0 { Blow::KillCaller } else { Blow::KillProgram };
            tried += 1;
            let done = catch_unwind(AssertUnwindSafe(|| site.survives(news, point, blow)));
            if let Err(cause) = done {
                let why = cause.downcast_ref::<String>().cloned().unwrap_or_default();
                complaints.push(format!("{news:?}, {point:?}: {why}"));
                // What it left is in the way of the next.
                break;
            }
        }
    }
    println!("{backend}: killed: {tried} points in {:.0?}", begun.elapsed());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// A point in so many, another one for each backend.
const SAMPLE: [usize; 2] = [701, 173];

#[test]
fn news_of_other_hosts_survive_a_kill() {
    killed("ipset", |number| number % SAMPLE[0] == SAMPLE[0] / 2);
    killed("nftables", |number| number % SAMPLE[1] == SAMPLE[1] / 2);
}

#[test]
#[ignore = "minutes: make test-crash"]
fn news_of_other_hosts_survive_a_kill_at_every_point_ipset() {
    killed("ipset", |_| true);
}

#[test]
#[ignore = "minutes: make test-crash"]
fn news_of_other_hosts_survive_a_kill_at_every_point_nftables() {
    killed("nftables", |_| true);
}
