//! The scene that every hazard enters: `db` runs and is published, `web` is linked to it and
//! created, without hooks of ours. The hook is then called as the runtime would call it, which
//! shows what a runtime hides: exit status, complaint and time.

use super::world::World;
use crate::{
    cast::inspect,
    support::{Container, Host, Outcome, Runtime},
};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A refusal takes no longer, because the engine waits for the container.
const AT_ONCE: Duration = Duration::from_millis(250);
/// Tries, while other tests keep the machine busy. What is slow by itself is so each time.
const CHANCES: usize = 20;

/// A host whose rules can be read one by one, which only one of the backends makes.
pub(super) fn isolated(runtime: Runtime) -> Host {
    let host = Host::isolated(runtime);
    let path = host.path("config.toml");
    let config = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, config + "[firewall]\nbackend = \"iptables\"\n").expect("written");
    host
}

pub(super) struct Scene<'h> {
    pub(super) host: &'h Host,
    pub(super) db: Container<'h>,
    pub(super) web: Container<'h>,
    pid: Value,
}

impl<'h> Scene<'h> {
    pub(super) fn open(host: &'h Host) -> Self {
        Self::with(host, |_| {})
    }

    /// The same with `change` in web's config.json.
    pub(super) fn with(host: &'h Host, change: impl FnOnce(&mut Value)) -> Self {
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").edit(change).build();
        web.create().ok();
        let pid = web.state()["pid"].take();
        Self { host, db, web, pid }
    }

    /// The path `name` in web's root filesystem, as the host sees it.
    pub(super) fn rootfs(&self, name: &str) -> PathBuf {
        self.web.bundle().join("rootfs").join(name)
    }

    /// A file that no container may read or write.
    pub(super) fn decoy(&self, name: &str) -> PathBuf {
        let path = self.host.path("decoys").join(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(&path, "10.66.66.66\tdecoy\n").expect("written");
        path
    }

    pub(super) fn config(&self) -> Value {
        let text = fs::read(self.web.bundle().join("config.json")).expect("readable");
        serde_json::from_slice(&text).expect("JSON")
    }

    pub(super) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut config = self.config();
        change(&mut config);
        self.write_config(&config);
    }

    pub(super) fn write_config(&self, config: &Value) {
        let path = self.web.bundle().join("config.json");
        fs::write(path, config.to_string()).expect("written");
    }

    /// What the runtime would send to the hook, the annotations of config.json included.
    pub(super) fn state(&self) -> Value {
        json!({
            "ociVersion": "1.0.2",
            "id": "web",
            "status": "creating",
            "pid": self.pid,
            "bundle": self.web.bundle(),
            "annotations": self.config()["annotations"],
        })
    }

    pub(super) fn command(&self) -> Command {
        self.host.oci_link(&["hook", "createRuntime"])
    }

    /// The hook does its work.
    #[track_caller]
    pub(super) fn accepted(&self) {
        self.accepted_by(self.command());
    }

    #[track_caller]
    pub(super) fn accepted_by(&self, mut command: Command) {
        self.host.feed(&mut command, self.state().to_string().as_bytes()).ok();
    }

    /// What the hook adds to a hosts file that has neither db's address nor web's.
    pub(super) fn block(&self) -> String {
        let [db, db6] = self.db.addresses();
        let [web, web6] = self.web.addresses();
        format!(
            "# BEGIN oci-link\n{db}\tdb db\n{db6}\tdb db\n{web}\tweb\n{web6}\tweb\n\
             # END oci-link\n"
        )
    }

    /// web reaches db, as far as its rules say.
    #[track_caller]
    pub(super) fn assert_permitted(&self) {
        let rules = &inspect(self.host, "web")["rules"];
        assert_eq!(rules["verdict"], "as recorded", "{rules}");
        let kernel = rules["kernel"].as_array().expect("a list");
        let of_port = |line: &&Value| line.as_str().is_some_and(|line| line.contains("3306"));
        assert!(kernel.iter().filter(of_port).count() >= 2, "{rules}");
    }

    /// The hook refuses with exit status `code`, in one line that says `word`, at once, and
    /// nothing at all has changed.
    #[track_caller]
    pub(super) fn refused(&self, code: i32, word: &str) {
        self.refused_by(self.command(), self.state().to_string().as_bytes(), code, word);
    }

    /// The same for another command or input.
    #[track_caller]
    pub(super) fn refused_by(&self, mut command: Command, input: &[u8], code: i32, word: &str) {
        let before = World::now(self.host);
        let complaint = at_once(self.host, &mut command, input).refused(code);
        assert_clear(&complaint, word);
        before.assert_still(&World::now(self.host));
    }

    /// An end succeeds and changes nothing; the log says `word`.
    #[track_caller]
    pub(super) fn logged_by(&self, mut command: Command, input: &[u8], word: &str) {
        let log = self.host.path("log");
        let before = (World::now(self.host), fs::read_to_string(&log).unwrap_or_default());
        assert_eq!(at_once(self.host, &mut command, input).ok(), "");
        let logged = fs::read_to_string(&log).unwrap_or_default();
        let new = logged.strip_prefix(&before.1).expect("a log grows");
        assert!(new.contains(" error oci-link[") && new.contains(word), "no {word:?} in {new:?}");
        before.0.assert_still(&World::now(self.host));
    }

    /// `prepare` refuses in the same way.
    #[track_caller]
    pub(super) fn prepare_refused(&self, code: i32, word: &str) {
        let mut prepare = self.host.oci_link(&["prepare"]);
        prepare.arg(self.web.bundle());
        self.refused_by(prepare, b"", code, word);
    }

    /// web dies and the runtime says so: what was done for it is undone.
    pub(super) fn end(&self) {
        self.web.kill();
        let state = json!({ "id": "web", "status": "stopped", "bundle": self.web.bundle() });
        let mut poststop = self.host.oci_link(&["hook", "poststop"]);
        self.host.feed(&mut poststop, state.to_string().as_bytes()).ok();
    }

    /// The runtime itself, which runs the hook by now, starts no such container and leaves
    /// nothing of it.
    #[track_caller]
    pub(super) fn start_fails(&self) {
        if self.web.state()["status"] != "stopped" {
            self.web.kill();
        }
        self.web.delete().ok();
        self.web.prepare().ok();
        let before = World::now(self.host).timeless();
        let _ = self.web.run().refused(1);
        before.assert_still(&World::now(self.host).timeless());
    }
}

/// What comes of a command that ends at once, and has not computed for longer even so.
#[track_caller]
pub(super) fn at_once(host: &Host, command: &mut Command, input: &[u8]) -> Outcome {
    for _ in 1..CHANCES {
        let outcome = host.feed(command, input);
        if outcome.elapsed() <= AT_ONCE {
            return outcome.busy_within(AT_ONCE);
        }
    }
    host.feed(command, input).within(AT_ONCE).busy_within(AT_ONCE)
}

/// One line that names what is wrong, and that no terminal or log can take for anything else.
#[track_caller]
pub(super) fn assert_clear(complaint: &str, word: &str) {
    let line = complaint.strip_suffix('\n').unwrap_or_default();
    assert!(line.starts_with("oci-link: ") && line.contains(word), "no {word:?} in {complaint:?}");
    let harmless = |c: char| c.is_ascii_graphic() || c == ' ' || c == '…';
    assert!(line.chars().all(harmless), "not one harmless line: {complaint:?}");
    assert!(line.len() < 1000, "too long: {complaint}");
}

/// `command`, started by a shell that runs `script` before: its `"$@"` is the command, behind
/// those of `arguments` that it has not shifted away.
pub(crate) fn after(script: &str, arguments: &[&Path], command: &Command) -> Command {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("{script}\nexec \"$@\"")).arg("bash").args(arguments);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

/// Returns `command` in a mount namespace of its own, in which `script` mounts something first.
pub(crate) fn with_mounts(script: &str, arguments: &[&Path], command: &Command) -> Command {
    let script = format!("set -e\n{script}");
    let shell = after(&script, arguments, command);
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount").arg(shell.get_program()).args(shell.get_args());
    unshare
}

/// Runs a program of the system, such as `mkfifo`.
pub(super) fn system(program: &str, arguments: &[impl AsRef<OsStr>]) {
    let done = Command::new(program).args(arguments).output().expect(program);
    assert!(done.status.success(), "{program}: {done:?}");
}
