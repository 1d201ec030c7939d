//! Records of other hosts, and `watch`, which takes them in.

use crate::{place::Place, rig::Rig, sample::command};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fmt::Write as _,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Child,
    thread,
};

/// Where `watch` looks for them, in its mount namespace.
const SPOOL: &str = "/run/oci-link-cluster/peers";
/// The hosts with records, `h0` and so on.
const HOSTS: u32 = 20;

/// A directory with records of other hosts, as a courier fills it.
pub(crate) struct Spool(PathBuf);

/// `watch`, until dropped.
pub(crate) struct Daemon(Child);

/// The table `[cluster]` of the host `a`. It knows the hosts of [`Spool::fill`].
pub(crate) fn table() -> String {
    let mut networks = "a = [\"10.0.0.0/8\"]".to_owned();
    for host in 0..HOSTS {
        let _ = write!(networks, ", h{host} = [\"100.{}.0.0/16\"]", 64 + host);
    }
    format!("[cluster]\nname = \"a\"\npatience = \"1h\"\nnetworks = {{ {networks} }}\n")
}

/// The name by which the host `a` links to a record of [`Spool::fill`].
pub(crate) fn name(number: u32) -> String {
    format!("far{number}@h{}", number % HOSTS)
}

impl Spool {
    /// An empty one.
    pub(crate) fn new(place: &Place, name: &str) -> Self {
        let path = place.directory(name).join("peers");
        DirBuilder::new().mode(0o750).create(&path).expect("spool is made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts so many sources into it, of 0.85 KB each.
    pub(crate) fn fill(&self, records: u32) {
        for number in 0..records {
            let (host, place) = (number % HOSTS, number / HOSTS);
            let names = [format!("shop-db-{number}")];
            let ports: Vec<_> = (0..40).map(|port| format!("{}/tcp", 3306 + port)).collect();
            let guests: Vec<_> = (0..12).map(|one| format!("h1/{:016x}", number + one)).collect();
            let record = serde_json::json!({
                "v": 1, "host": format!("h{host}"), "id": format!("{number:064x}"),
                "run": format!("{number:016x}"), "name": format!("far{number}"), "names": names,
                "hostname": format!("far{number}"),
                "addresses": [format!("100.{}.{}.{}", 64 + host, place / 250, 1 + place % 250)],
                "ports": ports, "to": "all", "guests": guests,
            });
            self.put(&format!("h{host}~{number:064x}.offer"), record.to_string().as_bytes());
        }
    }

    /// Writes one file, as a courier does.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(".new"), bytes).expect("record is written");
        fs::rename(self.0.join(".new"), self.0.join(name)).expect("record is there");
    }

    /// Removes all records.
    pub(crate) fn clear(&self) {
        for entry in fs::read_dir(&self.0).expect("spool is there") {
            let entry = entry.expect("an entry");
            if entry.file_name() != "view" {
                fs::remove_file(entry.path()).expect("record goes");
            }
        }
    }

    /// Says that the records are complete now.
    pub(crate) fn freshen(&self) {
        let read = |path| fs::read_to_string(path).expect("the kernel tells");
        let (boot, uptime) = (read("/proc/sys/kernel/random/boot_id"), read("/proc/uptime"));
        let seconds: f64 = uptime.split(' ').next().and_then(|it| it.parse().ok()).expect("a time");
        let view = format!(
            r#"{{"v":1,"boot":"{}","fresh_ms":{:.0},"by":"bench"}}"#,
            boot.trim(),
            seconds * 1000.0
        );
        self.put("view", view.as_bytes());
    }
}

impl Daemon {
    /// Starts `watch` on the host of `rig`, with `spool` where it looks for one.
    pub(crate) fn start(rig: &Rig, spool: &Spool) -> Self {
        let begin = || {
            unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
            fs::create_dir_all(SPOOL).expect("directory is made");
            let (from, none) = (Some(spool.path()), None::<&str>);
            mount(from, SPOOL, none, MsFlags::MS_BIND, none).expect("spool is mounted");
            let words = rig.command_line();
            let watch = command(Path::new(&words[0])).args(&words[1..]).args(["watch"]);
            Self(watch.within(&rig.host).into_command().spawn().expect("watch starts"))
        };
        thread::scope(|scope| scope.spawn(begin).join()).expect("watch starts")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many records of other hosts a host has taken in.
pub(crate) fn mirrored(rig: &Rig) -> usize {
    fs::read_dir(rig.state_dir().join("peers/records")).map_or(0, Iterator::count)
}
