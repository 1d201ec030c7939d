//! State directories with records, as version 1 of their format has them. The process of each container
//! is the test's own.

use serde_json::{Value, json};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A state directory, and containers in it.
pub(crate) struct World {
    directory: PathBuf,
    boot: String,
    started: u64,
    count: u32,
}

impl World {
    pub(crate) fn new(test: &str) -> Self {
        let directory = PathBuf::from(format!("/var/tmp/oci-link-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        DirBuilder::new().mode(0o700).create(&directory).expect("a directory");
        let read = |path| fs::read_to_string(path).expect("proc");
        let stat = read("/proc/self/stat");
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
        let started = fields.skip(19).map(|field| field.parse().expect("a number")).next();
        let boot = read("/proc/sys/kernel/random/boot_id").trim().replace('-', "");
        Self { directory, boot, started: started.expect("a field"), count: 0 }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Adds a container that exposes `port`, with links to containers that were added before, or to
    /// missing ones. Returns its id.
    pub(crate) fn add(&mut self, name: &str, port: u16, links: &[&str]) -> String {
        self.record(name, port, links, self.started)
    }

    /// Adds a container whose process has ended.
    pub(crate) fn add_dead(&mut self, name: &str, port: u16) -> String {
        self.record(name, port, &[], self.started + 1)
    }

    fn record(&mut self, name: &str, port: u16, links: &[&str], started: u64) -> String {
        self.count += 1;
        let own = id(name);
        let address = address(self.count);
        let mut connected = Vec::new();
        let mut flows = Vec::new();
        for link in links {
            let (source, alias) = link.split_once(':').unwrap_or((link, link));
            let found = fs::read(self.file(&id(source)));
            let found: Option<Value> =
                found.ok().map(|text| serde_json::from_slice(&text).expect("JSON"));
            let source_id = found.as_ref().map(|_| id(source));
            connected.push(json!({ "source": source, "alias": alias, "connected": source_id }));
            if let Some(record) = found {
                let to = record["addresses"][0].as_str().expect("an address").split('/').next();
                flows.push(json!({ "from": address, "to": to, "port": record["ports"][0] }));
            }
        }
        let record = json!({
            "version": 1, "revision": 1, "ready": true, "id": own, "name": name, "hostname": name,
            "boot": self.boot, "netns": 1000 + self.count, "pid": std::process::id(),
            "started": started, "addresses": [format!("{address}/8")],
            "ports": [format!("{port}/tcp")], "env": ["LEVEL=secret-value", "MODE=<script>"],
            "links": connected, "owner": format!("{:016x}", self.count), "backend": "none",
            "flows": flows, "hosts": null,
        });
        let file = self.file(&own);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, record.to_string()).expect("written");
        own
    }

    /// Gives a container these variables for its recipients.
    pub(crate) fn variables(&self, name: &str, entries: &[&str]) {
        let file = self.file(&id(name));
        let mut record: Value =
            serde_json::from_slice(&fs::read(&file).expect("a record")).expect("JSON");
        record["env"] = json!(entries);
        fs::write(file, record.to_string()).expect("written");
    }

    fn file(&self, id: &str) -> PathBuf {
        let records = self.path("state").join("records");
        records.join(&id[..2]).join(&id[2..4]).join(format!("{id}.json"))
    }

    /// Writes the page of `oci-link graph`.
    pub(crate) fn page(&self) -> PathBuf {
        let file = self.path("page.html");
        fs::write(&file, self.graph("html")).expect("written");
        file
    }

    pub(crate) fn graph(&self, format: &str) -> String {
        let state = self.path("state");
        let output = Command::new(env!("CARGO_BIN_EXE_oci-link"))
            .arg("--config")
            .arg(self.path("config.toml"))
            .args(["--log-file", "/dev/null", "--state-dir"])
            .arg(&state)
            .args(["graph", "--format", format])
            .output()
            .expect("oci-link");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A shop of 30 containers, one of them dead, and a link that waits.
    pub(crate) fn shop(test: &str) -> Self {
        let mut world = Self::new(test);
        for (name, port) in [("mysql", 3306), ("redis", 6379), ("rabbit", 5672), ("search", 9200)] {
            world.add(name, port, &[]);
        }
        world.add_dead("mail", 25);
        let services =
            ["users", "orders", "stock", "prices", "ads", "reviews", "billing", "images"];
        for name in services {
            world.add(name, 8080, &["mysql:db", "redis:cache"]);
        }
        world.add("events", 8080, &["rabbit:queue", "mysql:db"]);
        for (at, name) in ["worker-1", "worker-2", "worker-3", "worker-4"].iter().enumerate() {
            world.add(name, 9000, &["rabbit:queue", services[at], "mail"]);
        }
        world.add("api", 8443, &["users", "orders", "stock", "prices", "reviews", "events"]);
        world.add("admin", 8443, &["users", "orders", "billing", "search"]);
        for name in ["web-1", "web-2", "web-3"] {
            world.add(name, 80, &["api:backend", "images", "search"]);
        }
        world.add("proxy", 443, &["web-1", "web-2", "web-3", "admin", "fallback:spare"]);
        for name in ["cron", "backup", "metrics", "shell", "probe", "notes"] {
            world.add(name, 80, &[]);
        }
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// 64 hexadecimal digits made of a name.
fn id(name: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}").repeat(4)
}

fn address(number: u32) -> String {
    format!("10.0.{}.{}", number / 200, number % 200 + 2)
}

/// A directory for the browser beside the world.
pub(crate) fn profile(world: &World) -> PathBuf {
    Path::new(&world.path("browser")).to_owned()
}
