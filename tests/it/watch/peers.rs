//! With `[cluster]`: records of other hosts are mirrored, and those of this host are published.

use super::{Watch, command, soon};
use crate::{
    cast::{end, inspect, ls, source},
    hazards::scene::with_mounts,
    lifecycle::call,
    support::{Host, Runtime},
};
use nix::sys::signal::Signal::SIGKILL;
use nix::time::ClockId;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
    time::Duration,
};

/// A host called `a`, and its spool, which any program may fill.
struct Scene {
    host: Host,
    spool: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let host = Host::open(Runtime::Runc);
        let config = "[cluster]\nname = \"a\"\npatience = \"1m\"\n\
                      networks = { a = [\"10.77.0.0/24\"], b = [\"10.78.0.0/24\"], c = [\"10.78.0.0/24\"] }\n";
        fs::write(host.path("config.toml"), config).expect("written");
        let spool = host.path("spool");
        fs::DirBuilder::new().mode(0o750).create(&spool).expect("made");
        Self { host, spool }
    }

    /// `watch`, whose spool is that of the scene.
    fn watch(&self) -> Watch<'_> {
        self.watch_with(&[])
    }

    /// `watch` with more options.
    fn watch_with(&self, words: &[&str]) -> Watch<'_> {
        let mounts = "mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/oci-link-cluster/peers\n\
                      mount --bind \"$1\" /run/oci-link-cluster/peers; shift";
        Watch::begin_by(
            &self.host,
            with_mounts(mounts, &[&self.spool], command(&self.host).args(words)),
        )
    }

    /// Copies a file into the spool, as a courier does.
    fn put(&self, name: &str, content: &Value) {
        let new = self.spool.join(format!(".{name}"));
        fs::write(&new, content.to_string()).expect("written");
        fs::rename(new, self.spool.join(name)).expect("moved");
    }

    fn offer(&self, host: &str, id: &str, name: &str, address: &str) {
        let offer = json!({
            "v": 1, "host": host, "id": id, "run": "4be1c07d9a22e310", "name": name,
            "addresses": [address], "ports": ["3306/tcp"], "to": ["a"],
        });
        self.put(&format!("{host}~{id}.offer"), &offer);
    }

    fn view(&self) {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("an id");
        let now = Duration::from(ClockId::CLOCK_BOOTTIME.now().expect("a clock"));
        let fresh = u64::try_from(now.as_millis()).expect("small");
        self.put("view", &json!({ "v": 1, "boot": boot.trim(), "fresh_ms": fresh, "by": "hand" }));
    }

    /// Name, host and state of what `ls` shows.
    fn shown(&self) -> Vec<String> {
        let word = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let all = ls(&self.host);
        let all = all.iter().map(|one| {
            format!("{} {} {}", word(one, "name"), word(one, "host"), word(one, "state"))
        });
        all.collect()
    }
}

#[test]
fn metrics_have_the_age_of_the_news() {
    let scene = Scene::new();
    let file = scene.host.path("oci-link.prom");
    let watch = scene.watch_with(&["--metrics", &file.display().to_string()]);
    let says = |line: &str| fs::read_to_string(&file).is_ok_and(|text| text.contains(line));
    soon("written", || says("# EOF"));
    assert!(!says("oci_link_view_age_seconds"), "nothing was heard");
    scene.view();
    soon("b", || says("\noci_link_view_age_seconds{host=\"b\"} "));
    assert!(says("\noci_link_view_age_seconds{host=\"c\"} ") && !says("{host=\"a\"}"));
    assert!(says("# UNIT oci_link_view_age_seconds seconds\n"));
    drop(watch);
}

#[test]
fn a_file_that_is_copied_into_the_spool_is_shown_and_goes() {
    let scene = Scene::new();
    let host = &scene.host;
    let db = source(host, "db", "80");
    let watch = scene.watch();
    assert_eq!(scene.shown(), ["db a ready"]);
    scene.offer("b", "6f", "mysql", "10.78.0.2");
    soon("the offer is shown", || scene.shown() == ["db a ready", "mysql b stale"]);
    let said = call(host, "inspect mysql@b").refused(4);
    assert!(said.contains("nothing heard of other hosts since the boot (patience 1m)"), "{said}");
    scene.view();
    soon("the view is believed", || scene.shown() == ["db a ready", "mysql b ready"]);
    let said = call(host, "inspect pg@b").refused(4);
    assert_eq!(said, "oci-link: pg@b: host b shares no pg with a\n");
    let mysql = inspect(host, "mysql@b");
    assert_eq!((&mysql["id"], &mysql["addresses"]), (&json!("6f"), &json!(["10.78.0.2"])));
    let table = call(host, "ls").ok();
    let heading: Vec<&str> = table.lines().next().expect("a line").split_whitespace().collect();
    assert_eq!(heading[..4], ["ID", "NAME", "HOST", "ADDRESS"]);
    assert_eq!(call(host, "ls --names").ok(), "db\nmysql@b\n");
    let web = host.container("web").annotate("links", "mysql@b:db").build();
    web.prepare().ok();
    let config = fs::read_to_string(web.bundle().join("config.json")).expect("read");
    assert!(config.contains("DB_PORT=tcp://10.78.0.2:3306"), "{config}");
    // An address of a container of this host, and one that two hosts claim, are no addresses.
    scene.offer("b", "70", "thief", &db.addresses()[0].to_string());
    scene.offer("b", "71", "one", "10.78.0.7");
    soon("it is shown", || scene.shown().len() == 3);
    scene.offer("c", "72", "other", "10.78.0.7");
    soon("neither is shown", || scene.shown() == ["db a ready", "mysql b ready"]);
    let log = watch.log();
    assert!(log.contains("b~70.offer: put aside: no address in cluster.networks of b"), "{log}");
    for entry in fs::read_dir(&scene.spool).expect("a spool") {
        let path = entry.expect("an entry").path();
        if !path.ends_with("view") {
            fs::remove_file(path).expect("removed");
        }
    }
    soon("all are gone", || scene.shown() == ["db a ready"]);
    drop(watch);
    end(&db);
}

#[test]
fn what_is_shared_is_published_and_withdrawn_by_its_own_end() {
    let scene = Scene::new();
    let host = &scene.host;
    let watch = scene.watch();
    let state = host.state_dir();
    let mode = |path: &PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    soon("the folder is there", || state.join("offers").exists());
    assert_eq!((mode(&state), mode(&state.join("offers"))), (0o711, 0o750));
    for private in ["records", "names", "addresses", "wanted", "peers"] {
        assert_eq!(mode(&state.join(private)), 0o700, "{private}");
    }
    let db = host.container("db").annotate("ports", "3306").annotate("share", "b").hooks().build();
    db.run().ok();
    let plain = source(host, "plain", "80");
    let offer = state.join("offers/db.offer");
    soon("the offer is there", || offer.exists());
    assert_eq!(mode(&offer), 0o640);
    let published: Value = serde_json::from_slice(&fs::read(&offer).expect("read")).expect("JSON");
    let address = db.addresses()[0].to_string();
    let expected = json!({
        "v": 1, "host": "a", "id": "db", "name": "db", "hostname": published["hostname"],
        "run": inspect(host, "db")["owner"], "addresses": [address], "ports": ["3306/tcp"],
        "to": ["b"],
    });
    assert_eq!(published, expected);
    assert!(!state.join("offers/plain.offer").exists(), "nothing leaves by default");
    let mut watch = watch;
    assert!(!watch.end(SIGKILL).success());
    end(&db);
    assert!(!offer.exists(), "its own end withdraws it, without a daemon");
    fs::write(&offer, "{}").expect("written");
    call(host, "gc").ok();
    assert!(!offer.exists(), "gc removes what no container shares");
    fs::write(host.path("config.toml"), "").expect("written");
    end(&plain);
    assert_eq!(mode(&state), 0o700, "without the table no other user passes");
}
