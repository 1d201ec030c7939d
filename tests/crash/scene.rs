//! Three containers on one host: `db`, a source; `app`, which is linked to it and would be to
//! `web`; and `web`, linked to `db`, whose start and end are cut short.

use crate::{
    actor::{Actor, HOSTS, Hosts, TAIL},
    snapshot::{Snapshot, same},
    support::{Host, Outcome, Runtime},
    tracer::{Blow, Point, Traced, trace},
};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    process::Command,
};

pub(crate) const BACKENDS: [&str; 4] = ["iptables", "ipset", "nftables", "none"];

/// What is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A start where others are linked already.
    Start,
    /// The first start with links that the host sees: rules for all of them are made, too.
    First,
    /// An end.
    Stop,
}

impl Stage {
    pub(crate) fn hook(self) -> &'static str {
        if self == Self::Stop { "poststop" } else { "createRuntime" }
    }
}

/// A host that isolates its bridge. It outlives its actors.
pub(crate) fn host(backend: &str) -> Host {
    let host = Host::open(Runtime::Runc);
    let isolate = if backend == "none" { "" } else { "isolate = [\"br0\"]\n" };
    let config = format!("[firewall]\nbackend = \"{backend}\"\n{isolate}");
    fs::write(host.path("config.toml"), config).expect("written");
    host
}

pub(crate) struct Scene<'h> {
    pub(crate) host: &'h Host,
    backend: &'static str,
    pub stage: Stage,
    pub web: Actor<'h>,
    app: Actor<'h>,
    db: Actor<'h>,
    /// Before `web` starts.
    pub idle: Snapshot,
    /// While it runs.
    pub linked: Snapshot,
    hosts_of_app: Vec<u8>,
}

impl<'h> Scene<'h> {
    pub(crate) fn new(host: &'h Host, backend: &'static str, stage: Stage) -> Self {
        // Each kind of hosts file meets two kinds of rules, which have nothing to do with it.
        let (of_web, of_app) = match backend {
            _ if stage == Stage::First => (Hosts::Missing, Hosts::Mounted),
            "iptables" | "none" => (Hosts::Mounted, Hosts::Inside),
            _ => (Hosts::Inside, Hosts::Mounted),
        };
        let db = Actor::new(host, "db", Hosts::Mounted, &[("ports", "3306, 53/udp")]);
        let links = if stage == Stage::First { "web" } else { "db web" };
        let app = [("links", links), ("missing", "defer")];
        let app = Actor::new(host, "app", of_app, &app);
        let web = Actor::new(host, "web", of_web, &[("links", "db"), ("ports", "80")]);
        let nothing = Snapshot::take(host, backend, [].into());
        let (idle, linked) = (nothing.clone(), nothing);
        let mut scene =
            Self { host, backend, stage, web, app, db, idle, linked, hosts_of_app: vec![] };
        scene.db.begin();
        scene.db.call("createRuntime").ok();
        if stage != Stage::First {
            scene.app.begin();
            scene.app.call("createRuntime").ok();
            append(&scene.app);
            scene.hosts_of_app = fs::read(scene.app.hosts_path()).expect("a file");
        }
        scene.idle = scene.look();
        scene.web.begin();
        scene.web.call("createRuntime").ok();
        scene.linked = scene.look();
        assert_ne!(scene.idle, scene.linked);
        scene.web.end();
        scene.web.call("poststop").ok();
        scene.must_be(&scene.idle, "a clean run");
        scene.reset();
        scene
    }

    /// Rules that name no container do not count at a stage that may or may not have made them.
    pub(crate) fn named(&self, snapshot: Snapshot) -> Snapshot {
        if self.stage == Stage::First { snapshot.named() } else { snapshot }
    }

    /// What there is now is `expected`.
    #[track_caller]
    pub(crate) fn must_be(&self, expected: &Snapshot, when: &str) {
        same(&self.named(self.look()), &self.named(expected.clone()), when);
    }

    pub(crate) fn look(&self) -> Snapshot {
        let files = [&self.db, &self.app, &self.web].into_iter().flat_map(Actor::files).collect();
        Snapshot::take(self.host, self.backend, files)
    }

    /// After a clean run that is all there is to do.
    pub(crate) fn reset(&self) {
        self.web.lay_hosts();
        if self.stage == Stage::First {
            self.forget_rules();
        } else {
            fs::write(self.app.hosts_path(), &self.hosts_of_app).expect("written");
        }
    }

    /// The host is as if it had never seen a link.
    fn forget_rules(&self) {
        let run = |words: &[&str], input: &str| {
            self.host.feed(Command::new(words[0]).args(&words[1..]), input.as_bytes()).ok()
        };
        run(&["iptables-restore"], "*filter\nCOMMIT\n");
        run(&["ip6tables-restore"], "*filter\nCOMMIT\n");
        match self.backend {
            "ipset" => drop(run(&["ipset", "destroy"], "")),
            "nftables" => drop(run(&["nft", "flush", "ruleset"], "")),
            "iptables" | "none" => {}
            other => panic!("how are rules of {other} forgotten?"),
        }
        let table = "table bridge oci-link\ndelete table bridge oci-link\n";
        drop(run(&["nft", "-f", "-"], table));
        let notes = ["iptables", "ip6tables", "ipset-shared", "isolation", "nftables-isolation"];
        for note in notes.into_iter().chain(["bridge-table"]) {
            let _ = fs::remove_file(self.host.state_dir().join(note));
        }
    }

    /// Brings `web` to where its hook is to be cut short.
    pub(crate) fn prepare(&self) {
        self.web.begin();
        if self.stage == Stage::Stop {
            self.web.call("createRuntime").ok();
            append(&self.web);
            self.web.end();
        }
    }

    /// The hook, traced; what it said on standard error.
    pub(crate) fn attempt(&self, blow: Option<(Point, Blow)>) -> (Traced, String) {
        let (mut hook, input) = self.web.hook(self.stage.hook());
        let path = |name| self.host.path(name);
        fs::write(path("in"), input).expect("written");
        fs::write(path("log"), "").expect("written");
        hook.stdin(File::open(path("in")).expect("readable"));
        hook.stdout(File::create(path("out")).expect("written"));
        hook.stderr(File::create(path("err")).expect("written"));
        let traced = self.host.netns().enter(|| trace(&mut hook, blow));
        (traced, fs::read_to_string(path("err")).expect("text"))
    }

    /// `oci-link` with one word or two.
    pub(crate) fn call(&self, words: &str) -> Outcome {
        self.host.run(&mut self.host.oci_link(&words.split(' ').collect::<Vec<_>>()))
    }

    /// What there is when `web` is over: `idle`, but for what was appended to its file.
    pub(crate) fn over(&self) -> Snapshot {
        let mut over = self.idle.clone();
        if self.stage == Stage::Stop {
            over.files.insert("web hosts".into(), HOSTS.to_owned() + TAIL);
        }
        over
    }
}

/// Edits the hosts file of a running container.
fn append(actor: &Actor) {
    let mut file = OpenOptions::new().append(true).open(actor.hosts_path()).expect("a file");
    file.write_all(TAIL.as_bytes()).expect("written");
}
