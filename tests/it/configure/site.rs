//! A directory with engines' files, and one with our program.

use crate::support::OCI_LINK;
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The runtimes of a host.
const RUNTIMES: [&str; 2] = ["/usr/bin/runc", "/usr/bin/crun"];

/// Gone when dropped.
pub(crate) struct Site(PathBuf);

/// What came of a call.
pub(crate) struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Site {
    /// With the program and its link.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("configure-{}-{}", process::id(), MADE.fetch_add(1, Relaxed));
        let site = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(site.0.join("bin")).expect("a directory");
        fs::create_dir_all(site.0.join("root")).expect("a directory");
        fs::hard_link(OCI_LINK, site.program()).expect("one file system");
        std::os::unix::fs::symlink("oci-link", site.link()).expect("a link");
        for runtime in RUNTIMES {
            site.install(runtime);
        }
        site
    }

    /// A host without the runtimes of [`Site::new`].
    pub(crate) fn without_runtimes() -> Self {
        let site = Self::new();
        for runtime in RUNTIMES {
            site.uninstall(runtime);
        }
        site
    }

    /// Installs a program that is never executed.
    pub(crate) fn install(&self, path: &str) {
        self.write(path, "#!/bin/false\n");
        fs::set_permissions(self.path(path), Permissions::from_mode(0o755)).expect("set");
    }

    pub(crate) fn uninstall(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("it was installed");
    }

    /// The wrapper of this name.
    pub(crate) fn wrapper(&self, name: &str) -> PathBuf {
        self.link().with_file_name(format!("oci-link-{name}"))
    }

    pub(crate) fn link(&self) -> PathBuf {
        self.0.join("bin/oci-link-runtime")
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.0.join("bin/oci-link")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join("root").join(path.trim_start_matches('/'))
    }

    /// Makes a file. `@BIN@` in a text is the directory of our program.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, self.filled(text)).expect("written");
    }

    /// A running container in docker's files, with the pid of this process.
    pub(crate) fn container(
        &self,
        name: &str,
        runtime: &str,
        annotations: &Value,
        labels: &Value,
        address: &str,
    ) {
        let config = json!({
            "State": { "Running": true, "Pid": process::id() },
            "Config": { "Labels": labels },
            "NetworkSettings": { "Networks": { "bridge": { "IPAddress": address } } },
        });
        let host = json!({ "Runtime": runtime, "Annotations": annotations });
        self.container_of(name, config, &host);
    }

    /// A container with these files of docker's, in which its id and name are filled in.
    pub(crate) fn container_of(&self, name: &str, mut config: Value, host: &Value) {
        let id = format!("{name:0<64}").replace(|c: char| !c.is_ascii_hexdigit(), "a");
        let directory = format!("/var/lib/docker/containers/{id}");
        config["ID"] = json!(id);
        config["Name"] = json!(format!("/{name}"));
        self.write(&format!("{directory}/config.v2.json"), &config.to_string());
        self.write(&format!("{directory}/hostconfig.json"), &host.to_string());
    }

    /// Installs a dockerd that prints this version, and does nothing else.
    pub(crate) fn dockerd(&self, version: &str) {
        let only = "[ \"$*\" = --version ] || exit 1";
        let text = format!("#!/bin/sh\n{only}\necho 'Docker version {version}, build x'\n");
        crate::support::script(&self.path("/usr/bin/dockerd"), &text);
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    fn filled(&self, text: &str) -> String {
        text.replace("@BIN@", &self.0.join("bin").display().to_string())
    }

    #[track_caller]
    pub(crate) fn assert_says(&self, path: &str, text: &str) {
        assert_eq!(self.read(path).as_deref(), Some(self.filled(text).as_str()), "{path}");
    }

    /// Every file, and what it says.
    pub(crate) fn all(&self) -> Vec<(PathBuf, String)> {
        fn walk(directory: &Path, all: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    walk(&path, all);
                } else {
                    let text = fs::read_to_string(&path).expect("a text");
                    all.push((path, text));
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.0.join("root"), &mut all);
        all.sort();
        all
    }

    /// `oci-link configure …`, with a state directory that cannot be.
    pub(crate) fn configure(&self, arguments: &str) -> Said {
        let mut command = Command::new(self.program());
        command.args(["--state-dir", "/dev/null/state", "configure", "--root"]);
        command.arg(self.0.join("root")).args(arguments.split_whitespace());
        let Output { status, stdout, stderr } = command.output().expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said { status: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Registers: as a dry run, which must tell the same and change nothing; then really; then
    /// again, which must change nothing more. Then takes it back, and all must be as it was.
    #[track_caller]
    pub(crate) fn there_and_back(&self, arguments: &str, check: impl FnOnce(&Self)) {
        let before = self.all();
        let dry = self.configure(&format!("{arguments} --dry-run")).ok();
        assert_eq!(self.all(), before, "a dry run");
        let said = self.configure(arguments).ok();
        for line in said.lines() {
            assert!(dry.lines().any(|dry| dry == line), "no {line} in {dry}");
        }
        let after = self.all();
        // A file may be told by a link to it.
        let mut changed = after.iter().filter(|file| !before.contains(file)).peekable();
        assert!(changed.peek().is_some(), "nothing changed");
        assert!(
            changed.clone().any(|(path, _)| said.contains(&path.display().to_string())),
            "{said}"
        );
        assert!(changed.all(|(_, text)| dry.contains(text)), "{dry}");
        check(self);
        assert_eq!(self.configure(arguments).ok(), "nothing to change\n");
        assert_eq!(self.all(), after, "twice");
        self.configure(&format!("{arguments} --remove")).ok();
        assert_eq!(self.all(), before, "taken back");
        assert_eq!(self.configure(&format!("{arguments} --remove")).ok(), "nothing to change\n");
    }

    /// Refuses, in one line that contains `why`, and changes nothing.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &str, status: i32, why: &str) {
        let before = self.all();
        let said = self.configure(arguments);
        assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
        assert!(said.stderr.contains(why) && said.stderr.lines().count() == 1, "{}", said.stderr);
        assert_eq!(self.all(), before);
    }
}

impl Said {
    pub(crate) fn status(&self) -> i32 {
        self.status
    }

    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
